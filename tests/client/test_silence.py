"""A daemon that stands still: what a user hears of it, and what an idle client does not say."""
import wire
from client.events import Silent
from client.silence import DOUBT_SECONDS, SILENCE_SECONDS, TELL_SECONDS
from tests.client.linked import FIRST, Linked

WHILE_TOLD = TELL_SECONDS - DOUBT_SECONDS


class Quiet(Linked):
    def setUp(self) -> None:
        super().setUp()
        self.login()

    def pings(self) -> int:
        return sum(isinstance(said, wire.Ping) for said in self.house.hear())

    def test_a_message_without_an_answer(self) -> None:
        self.wait(30)
        self.link.send(["bob"], "hi")
        self.assertEqual(self.link.timeout(), DOUBT_SECONDS)
        self.assertEqual(self.wait(DOUBT_SECONDS), [])
        self.assertEqual(self.pings(), 1)
        self.assertEqual(self.link.timeout(), WHILE_TOLD)
        self.assertEqual(self.wait(WHILE_TOLD), [Silent(TELL_SECONDS)])
        self.wait(7)
        self.assertEqual((self.link.silence.seconds, self.pings()), (TELL_SECONDS + 7, 0))
        self.given(wire.Stored(FIRST, FIRST))
        self.assertEqual(self.link.silence.seconds, 0)
        self.assertEqual(self.link.timeout(), SILENCE_SECONDS)

    def test_a_line_of_a_chat_which_nobody_answers(self) -> None:
        self.link.ask.say(1, "hi")
        self.wait(DOUBT_SECONDS)
        self.assertEqual(self.wait(WHILE_TOLD), [Silent(TELL_SECONDS)])

    def test_a_request(self) -> None:
        self.link.ask.list()
        self.wait(DOUBT_SECONDS)
        self.assertEqual(self.wait(WHILE_TOLD), [Silent(TELL_SECONDS)])

    def test_a_daemon_that_waits_for_its_disk_answers_the_ping(self) -> None:
        self.link.send(["bob"], "hi")
        for _ in range(5):
            self.assertEqual(self.wait(DOUBT_SECONDS), [])
            self.assertEqual(self.pings(), 1)
            self.given(wire.Pong(0))
        self.assertEqual(self.link.silence.seconds, 0)

    def test_it_falls_silent_after_another_word(self) -> None:
        self.link.send(["bob"], "hi")
        self.wait(1)
        self.given(wire.Notice("soon"))
        self.assertEqual(self.wait(DOUBT_SECONDS), [])
        self.assertEqual(self.wait(WHILE_TOLD), [Silent(TELL_SECONDS)])

    def test_after_a_sleep_the_daemon_has_time_to_answer(self) -> None:
        self.link.send(["bob"], "hi")
        self.assertEqual(self.wait(50), [])
        self.assertEqual((self.pings(), self.link.silence.seconds), (1, 0))
        self.assertEqual(self.wait(1), [])
        self.given(wire.Pong(0))
        self.assertEqual(self.wait(1), [])

    def test_who_is_idle_asks_once_a_minute_and_is_told_nothing(self) -> None:
        self.wait(SILENCE_SECONDS - 1)
        self.assertEqual(self.pings(), 0)
        self.assertEqual(self.wait(10), [])
        self.assertEqual((self.pings(), self.link.silence.seconds), (1, 0))

    def test_a_message_while_the_ping_of_an_idle_connection_is_out(self) -> None:
        self.wait(SILENCE_SECONDS)
        self.assertEqual(self.pings(), 1)
        self.wait(10)
        self.link.send(["bob"], "hi")
        self.assertEqual(self.link.timeout(), TELL_SECONDS)
        self.assertEqual(self.wait(DOUBT_SECONDS), [])
        self.assertEqual(self.wait(WHILE_TOLD), [Silent(TELL_SECONDS)])
        self.assertEqual(self.pings(), 0)

    def test_what_arrives_makes_nobody_ask(self) -> None:
        """A CONFIRM and a PONG are no questions of the user's."""
        self.given(wire.Mail(5, 1, 99, 0, 1, "bob", "hi"), wire.Ping(1))
        self.link.shown([wire.Mail(5, 1, 99, 0, 1, "bob", "hi")])
        self.house.hear()
        self.assertEqual(self.wait(TELL_SECONDS), [])
        self.assertEqual(self.pings(), 0)

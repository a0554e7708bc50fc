"""Headings: to whom a message was addressed stays with it, wherever it is kept."""
from unittest import mock

from mailbox import EVERYONE, Mailbox
from net.bodies import body_of, end_of
from net.fields import READERS
from net.texts import ADDRESSED_MAX
from store import salvage
from store.headings import Headed, at_rest, from_rest, heading_of, heading_of_names
from store.mail import EACH, HEADED, Mail, singles, weight
from tests.store.test_damage import said
from tests.store.test_mailbox import EVER
from tests.store.test_recovery import RecoveryCase
from tests.store.test_segment import BACKENDS

ROOM = heading_of(["#ops"])


def words(mail: Mail) -> tuple[str, ...]:
    """To whom a message was addressed."""
    found: tuple[str, ...] = READERS["words"](mail.heading, 0)[0] if mail.heading else ()
    return found


class Kept(RecoveryCase):
    def fill(self, backend: str) -> Mailbox:
        """To one, to some, to so many that the body is shared, to too many; to rooms; to all."""
        box = self.open(backend=backend, small=0)
        users = self.names(box, *[f"user{n}" for n in range(ADDRESSED_MAX + 2)])
        for number, to in enumerate((1, 2, 7, 8, ADDRESSED_MAX, ADDRESSED_MAX + 1)):
            recipients = users[to:0:-1]
            heading = heading_of_names([user.name for user in recipients])
            texts = body_of([b"%d.%d" % (to, n) for n in range(3)])
            origin = 9 << 32 | number * 10 + 1
            box.put_run(users[0], origin, 5, recipients, 0, texts, False, heading)
        box.put_run(users[0], 9 << 32 | 101, 5, users[1:2], 0, body_of([b"room"]), False, ROOM)
        box.put_run(users[0], 9 << 32 | 102, 5, users[1:12], 1, body_of([b"rooms"]), False, ROOM)
        box.put(users[0], 9 << 32 | 103, 5, users[1:], EVERYONE, b"all")
        self.keep(box)
        return box

    def told(self, box: Mailbox) -> list[tuple[bytes, int, tuple[str, ...]]]:
        """What user1 finds: text, flags, heading of each message."""
        mails = box.unread(box.users[1], 0, EVER, 1 << 30, 1 << 40)
        return [(one.texts[0], one.flags, words(one)) for one in singles(mails[0])
                + [one for mail in mails[1:] for one in singles(mail)]]

    def expected(self) -> list[tuple[bytes, int, tuple[str, ...]]]:
        runs = [(to, tuple(f"user{n}" for n in range(to, 0, -1)) if 1 < to <= ADDRESSED_MAX else ())
                for to in (1, 2, 7, 8, ADDRESSED_MAX, ADDRESSED_MAX + 1)]
        return [*[(b"%d.%d" % (to, n), 0, names) for to, names in runs for n in range(3)],
                (b"room", 0, ("#ops",)), (b"rooms", 1, ("#ops",)), (b"all", EVERYONE, ())]

    def test_in_memory_in_a_journal_in_a_segment_and_salvaged(self) -> None:
        for backend in BACKENDS:
            with self.subTest(backend):
                self.setUp()
                box = self.fill(backend)
                self.assertEqual(self.told(box), self.expected())
                box = self.reopen(box, backend=backend)
                self.assertEqual(self.told(box), self.expected())
                said(salvage.salvage(self.copy("torn"), self.path + "-1", backend=backend))
                self.assertEqual(self.told(self.opened(self.path + "-1")), self.expected())
                self.seal(box)
                self.assertTrue(box.users[1].pages and not box.users[1].tail)
                self.assertEqual(self.told(box), self.expected())
                box = self.reopen(box, backend=backend)
                self.assertEqual(self.told(box), self.expected())
                said(salvage.salvage(self.copy("torn"), self.path + "-2", backend=backend))
                self.assertEqual(self.told(self.opened(self.path + "-2")), self.expected())

    def opened(self, path: str) -> Mailbox:
        box = Mailbox(path)
        self.addCleanup(self.let_go, box)
        return box

    def test_what_sealing_will_take(self) -> None:
        """What the store counts for a sender is the same before and after a start, and a seal."""
        box = self.fill("dbm.dumb")
        sent = box.users[0].sent
        self.assertAlmostEqual(sent, sum(weight(mail) for user in box.users
                                         for mail in box.unread(user, 0, EVER, EVER, EVER)))
        box = self.reopen(box)
        self.assertAlmostEqual(box.users[0].sent, sent)
        self.assertGreater(weight(Mail(1, 1, 1, 0, 0, 0, 2, body_of([b"x"])).headed(ROOM)),
                           EACH + 1)

    def test_a_store_of_before(self) -> None:
        """A segment of version 2 says no more than how many they were; a journal has their
        numbers."""
        box = self.open(backend="dbm.dumb", small=0)
        users = self.names(box, "ann", "bob", "cy")
        with mock.patch("store.writer.VERSION", 2):
            box.put_run(users[0], 9 << 32 | 1, 5, users[1:], 0, body_of([b"sealed"]))
            self.keep(box)
            self.seal(box)
        box.put_run(users[0], 9 << 32 | 2, 5, users[1:], 0, body_of([b"written"]))
        self.keep(box)
        box = self.reopen(box, small=0)
        self.assertEqual(self.told(box), [(b"sealed", 0, ()), (b"written", 0, ("bob", "cy"))])
        self.assertEqual([mail.recipients for mail in box.unread(box.users[1], 0, EVER, 9, EVER)],
                         [2, 2])

    def test_part_of_a_run(self) -> None:
        run = Mail(5, 7, 1, 0, 9 << 32 | 1, 0, 2, body_of([b"a", b"b", b"c"])).headed(ROOM)
        self.assertEqual(run.skip, HEADED)
        for part, texts in ((run.part(6, 7), [b"b", b"c"]), (run.part(6, 7).part(7, 7), [b"c"])):
            self.assertEqual((part.texts, words(part), part.amount),
                             (texts, ("#ops",), (len(texts), len(texts))))

    def test_at_rest(self) -> None:
        for heading in (ROOM, heading_of(["n" * 32] * ADDRESSED_MAX)):
            data = at_rest(body_of([b"one", b""]), heading)
            self.assertEqual(from_rest(data), Headed.of(body_of([b"one", b""]), heading))
            for wrong in (b"", data[:1], data[:end_of(data)], data[:-1], data + b"x"):
                self.assertRaises(ValueError, from_rest, wrong)
        self.assertRaises(ValueError, Headed.of, bytes(64 << 10), ROOM)
        self.assertNotEqual(Headed.of(b"body", ROOM), Headed.of(b"body", heading))

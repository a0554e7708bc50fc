"""What a user can do, and what each event of the daemon means: keys and events in, words and
requests out."""
import unittest
from math import inf

import wire
from client.history import Sent
from terminal.display import UNICODE
from terminal.keys import Paste
from tests.client.fake_link import (
    AWAY,
    BUSY,
    FREE,
    NOON,
    NameRefused,
    Offline,
    Online,
    OtherStore,
    Over,
    Play,
)
from ui import plain
from ui.desk import BACK, Mode
from ui.entries import Settled
from ui.feed import SETTLED_MAX
from ui.modes import MENU_BEFORE, MENU_IN_CHAT, MENU_OFFLINE, MODES
from ui.picker import TO_SEVERAL
from ui.screen import frame
from ui.words import DONE, FAILED, Request
from wire import Outcome, SendFlag, Why

EVERYONE, NOW, CHECK = int(SendFlag.EVERYONE), int(SendFlag.NOW), SendFlag.CHECK


class Login(unittest.TestCase):
    def test_the_login_name_is_offered_and_can_be_edited(self) -> None:
        play = Play("", offered="ann")
        self.assertEqual((play.prompt, play.text), ("username>", "ann"))
        play.press("<Backspace>", "a", "<Enter>")
        self.assertEqual((play.link.name, play.asked), ("ana", [("connect",)]))

    def test_typing_replaces_what_is_offered_or_was_refused(self) -> None:
        play = Play("", offered="ann")
        play.enter("bob")
        self.assertEqual(play.link.name, "bob")
        play.hear(NameRefused(Why.TAKEN, "bob is already in use: choose another name"))
        play.enter("carol")
        self.assertEqual(play.link.name, "carol")

    def test_a_session_of_one_s_own_can_be_moved_here(self) -> None:
        play = Play("", offered="ann")
        play.press("<Enter>")
        play.hear(NameRefused(Why.YOURS, "ann is in use, by you, since 09:12 on pts/3"))
        self.assertEqual(play.error, "ann is in use, by you, since 09:12 on pts/3: "
                                     "/take moves it here")
        play.enter("/take")
        self.assertEqual(play.asked, [("connect",), ("connect", "take")])

    def test_there_is_nothing_to_move_without_a_name_or_from_here(self) -> None:
        play = Play("")
        play.enter("/take")
        self.assertIn("1 to 32", play.error)
        play = Play().online("bob")
        play.enter("/take")
        self.assertEqual((play.error, play.asked), ("your session is here", []))

    def test_a_session_that_was_moved_says_where_it_went(self) -> None:
        play = Play().online("bob")
        play.hear(Over("moved to pts/5", NOON))
        self.assertRegex(play.menu.talk.contact.over, r"^moved to pts/5 at \d\d:\d\d$")

    def test_a_bad_name_is_not_even_tried(self) -> None:
        play = Play("")
        play.enter("böb")
        self.assertIn("1 to 32", play.error)
        self.assertEqual((play.asked, play.text), ([], "böb"))

    def test_a_refused_name_says_why_and_is_still_there_to_edit(self) -> None:
        play = Play("")
        play.enter("bob")
        play.hear(NameRefused(Why.TAKEN, "bob is already in use: choose another name"))
        self.assertEqual(play.error, "bob is already in use: choose another name")
        self.assertEqual((play.mode, play.text), (Mode.LOGIN, "bob"))
        play.press("<End>")
        play.enter("2")
        play.online()
        self.assertEqual((play.link.name, play.prompt, play.text), ("bob2", "menu>", ""))

    def test_a_name_from_the_options_that_is_refused_is_asked_for(self) -> None:
        play = Play("bob")
        play.hear(NameRefused(Why.TAKEN, "in use"))
        self.assertEqual((play.prompt, play.text), ("username>", "bob"))

    def test_connected_says_who_is_there_and_what_waits(self) -> None:
        play = Play().online("bob", "carol", away=("dave",), waiting=2)
        self.assertEqual(play.last, "* connected to lab as alice: 3 online, 2 messages waiting")


class Items(unittest.TestCase):
    def setUp(self) -> None:
        self.play = Play().online("bob", "carol", away=("dave",))
        self.play.asked.clear()

    def test_a_digit_selects_and_echoes_and_enter_runs(self) -> None:
        self.play.press("3")
        self.assertEqual((self.play.menu.desk.selected, self.play.text),
                         (3, "3. Check for messages"))
        self.assertEqual(self.play.asked, [])
        self.play.press("<Enter>")
        self.assertEqual(self.play.asked, [("check",)])

    def test_arrows_select(self) -> None:
        self.play.press("<Right>", "<Right>", "<Left>", "<Left>")
        self.assertEqual(self.play.text, "6. Exit")
        self.play.press("<Down>")
        self.assertEqual(self.play.text, "1. List users")

    def test_history_is_what_was_read_before(self) -> None:
        play = self.play
        for line in ("/history", "/history 0", "/history 1001", "/history bob many",
                     "/history \u0663", "/history many"):
            play.enter(line)
            known = line in ("/history", "/history many")       # a name, or none
            self.assertIn("archive" if known else "needs a number", play.error, line)
            play.press("<C-u>")
        play.enter("/history bob carol 5")
        self.assertIn("takes one name", play.error)
        play.press("<C-u>")
        play.link.read = [wire.Mail(n, n * 1_000_000, 1, 0, 1, "bob", f"text {n}\nbelow")
                          for n in range(30)]
        for line, count in (("/history", 20), ("/history 3", 3), ("/history 1000", 30),
                            ("/history 1", 1)):
            play.enter(line)
            rows = play.last.split("\n")
            what = "message" if count == 1 else f"{count} messages"
            self.assertEqual(rows[0], f"* the last {what}:")
            self.assertEqual(len([row for row in rows if "bob" in row]), count)
            self.assertIn("text 29", rows[-2])
        play.enter("/find Text 7")
        self.assertEqual(play.error, "")
        play.link.read.append(Sent(1, 1, 0, ("Carol",), "refused", "no room", "text for carol"))
        play.enter("/history carol")
        self.assertEqual(play.last.split("\n")[0], "* the last message with carol:")
        self.assertRegex(play.last.split("\n")[1], "you > Carol !.*text for carol")
        play.enter("/history 7 5")                      # a name may be a number
        self.assertIn("no messages with 7", play.error)
        play.press("<C-u>")
        play.link.read = None
        play.enter("/history")
        self.assertEqual((play.error, play.text), ("can't keep messages", "/history"))

    def test_find_goes_up_from_the_newest(self) -> None:
        play = self.play
        play.enter("/find")
        self.assertIn("/find needs a text", play.error)
        play.press("<C-u>")
        for n in range(40):
            what = "Drawer" if n in (3, 20) else "bay"
            play.hear(wire.Mail(n, play.now, n, 0, 1, "bob", f"the {what} {n}"))
        found = []
        for line in ("/find drawer", "/find", "/find", "/find DRAWER", "/find bay 39"):
            play.enter(line)
            rows = ["".join(text for text, _ in row) for row in play.menu.pane.view(60, 8)]
            at = next((place for place, row in enumerate(rows)
                       if row.startswith("-- found, Sat 21 Nov 2026 ")), None)
            found.append("" if at is None else rows[at + 1].split("the ")[1])
            if play.error:
                self.assertIn("nothing above contains 'drawer'", play.error)
                play.press("<C-u>")
        self.assertEqual(found, ["Drawer 20", "Drawer 3", "", "Drawer 20", "bay 39"])
        play.enter("@bob thanks")
        self.assertNotIn("found", str(play.menu.pane.view(60, 8)))

    def test_up_is_what_was_typed_before_until_an_item_is_selected(self) -> None:
        """In every other program it is; the last item is Exit, and Enter would take it."""
        self.play.press("<Up>", "<Enter>")
        self.assertFalse(self.play.menu.desk.leaving)
        self.play.enter("@bob hi")
        self.play.press("<Esc>", "<Up>")
        self.assertEqual((self.play.menu.desk.selected, self.play.text), (0, "@bob hi"))
        self.play.press("<C-u>", "<Down>", "<Down>", "<Up>")
        self.assertEqual(self.play.text, "1. List users")

    def test_typing_replaces_an_echo_and_escape_takes_it_away(self) -> None:
        self.play.press("2", "/", "w")
        self.assertEqual(self.play.text, "/w")
        self.play.press("<C-u>", "2", "<Esc>")
        self.assertEqual((self.play.menu.desk.selected, self.play.text), (0, ""))

    def test_an_item_can_be_typed_by_its_words(self) -> None:
        self.play.enter("list users")
        self.assertEqual(self.play.asked, [("list",)])

    def test_what_is_no_item_stays(self) -> None:
        for text in ("hello", "99", "/nonsense", "/send zed hi", "@zed hi", "/hold maybe",
                     "/group bob"):
            with self.subTest(text):
                self.play.press("<C-u>")
                self.play.enter(text)
                self.assertEqual((self.play.text, bool(self.play.error)), (text, True))
                self.assertEqual(self.play.asked, [])
        self.play.press("x")
        self.assertEqual(self.play.error, "")

    def test_list_users(self) -> None:
        self.play.roster(bob=(BUSY, 7), carol=(BUSY, 7),
                         dave=(BUSY, 8), eve=(BUSY, 8), fay=(BUSY, 8), gus=AWAY)
        self.play.enter("1")
        self.play.listed(1)
        self.assertEqual([line.strip() for line in self.play.last.split("\n")], [
            "* 6 current users:", "alice    Available (you)", "bob      Chatting with carol",
            "carol    Chatting with bob", "dave     Chatting with eve, fay",
            "eve      Chatting with dave, fay", "fay      Chatting with dave, eve"])

    def test_nobody_else(self) -> None:
        play = Play().online(away=("bob",))
        play.enter("1")
        play.listed(1)
        self.assertEqual(play.last, "* No other client.")
        for item in "45":
            play.enter(item)
            self.assertEqual((play.last, play.prompt), ("* No clients to chat", "menu>"))

    def test_what_waited_while_holding(self) -> None:
        """New messages overtake it, so the user hears how to get it."""
        for waiting, words in ((0, ""), (1, "; 1 still waits: /check shows it"),
                               (12, "; 12 still wait: /check shows them")):
            self.play.link.waiting = waiting
            self.play.enter("/hold off")
            self.play.hear(wire.Done(self.play.link._numbers))
            self.assertEqual(
                self.play.last, f"* not holding: messages are shown on arrival{words}")

    def test_a_name_that_has_no_passphrase(self) -> None:
        self.play.link.unclaim = lambda: self.play.link._ask("unclaim")     # type: ignore
        self.play.enter("/unclaim")
        self.play.hear(wire.Failed(1, Why.OTHER, "alice is not claimed"))
        self.assertEqual(self.play.last, "* no passphrase was removed: alice is not claimed")

    def test_the_log(self) -> None:
        self.play.enter("/log")
        self.play.listed(1)
        self.assertIn("4 names in the log", self.play.last)
        self.assertIn("dave     not connected since", self.play.last)

    def test_exit(self) -> None:
        self.play.enter("6")
        self.assertTrue(self.play.menu.desk.leaving)
        self.assertEqual(self.play.asked, [("exit",)])

    def test_exit_asks_again_when_that_would_lose_a_message(self) -> None:
        self.play.link.online = False
        self.play.enter("@bob hi")
        self.play.enter("/exit")
        self.assertIn("would be lost", self.play.error)
        self.assertFalse(self.play.menu.desk.leaving)
        self.play.press("<Enter>")
        self.assertTrue(self.play.menu.desk.leaving)


class Sending(unittest.TestCase):
    def setUp(self) -> None:
        self.play = Play().online("bob", "carol", "erin", away=("dave",))
        self.play.asked.clear()

    def test_to_one(self) -> None:
        self.play.enter("2")
        self.assertEqual([item.label for item in self.play.menu.items],
                         ["1. One user", "2. Several users", "3. All users"])
        self.play.enter("1")
        self.play.enter("dav")
        self.assertEqual(self.play.prompt, "to dave>")
        self.play.enter("hello")
        self.assertEqual(self.play.asked, [("send", ("dave",), "hello", 0)])
        self.assertEqual((self.play.last, self.play.prompt), ("you > dave .: hello", "to dave>"))

    def test_to_several_by_marks(self) -> None:
        self.play.enter("2")
        self.play.enter("2")
        self.play.press(" ", "e", "r", " ")
        self.assertEqual(self.play.menu.where, "send to bob, erin")
        self.play.press("<Enter>")
        self.assertEqual(self.play.prompt, "to bob, erin>")
        self.play.enter("both of you")
        self.assertEqual(self.play.asked, [("send", ("bob", "erin"), "both of you", 0)])

    def test_to_several_by_typing(self) -> None:
        self.play.enter("2")
        self.play.enter("2")
        self.play.enter("BOB,erin")
        self.assertEqual(self.play.menu.desk.draft.to, ("bob", "erin"))

    def test_to_all(self) -> None:
        self.play.enter("2")
        self.play.enter("3")
        self.assertEqual(self.play.prompt, "to all>")
        self.play.enter("all of you")
        self.assertEqual(self.play.asked, [("send", (), "all of you", EVERYONE)])
        self.assertEqual(self.play.last, "you > all .: all of you")

    def test_a_name_that_is_not_in_the_log_is_refused_with_the_nearest(self) -> None:
        for way in "12":
            self.play.enter("2")
            self.play.enter(way)
            self.play.enter("bobb")
            self.assertEqual(self.play.error,
                             "nobody named bobb has ever been here: did you mean bob?")
            self.assertEqual((self.play.mode, self.play.text), (Mode.PICK, "bobb"))
            self.play.press("<Esc>", "<Esc>")
        self.assertEqual(self.play.asked, [])

    def test_the_names_that_are_meant_come_first(self) -> None:
        """5,000 names begin with bobby.*, and the user means trial-bob, who is here."""
        play = self.play
        play.roster(**{f"bobby_{n}": AWAY for n in range(40)}, trial_bob=FREE, old_friend=AWAY)
        play.mail(1, "old.friend", "hello")
        play.enter("@carol hi")
        play.press("2", "<Enter>", "1", "<Enter>")
        picker = play.menu.desk.picker
        assert picker
        self.assertEqual([choice.name for choice in picker.shown[:5]],
                         ["carol", "old.friend", "bob", "erin", "trial.bob"])
        self.assertEqual(picker.shown[-1].name, "alice")
        play.type("bob")
        self.assertEqual([choice.name for choice in picker.shown[:3]],
                         ["bob", "trial.bob", "bobby.0"])
        play.press("<C-u>")
        play.type("bob.", "<Enter>")
        play.press("<C-u>", "<Esc>", "<Esc>")
        for typed, meant in (("@trial-bob hi", "trial.bob"), ("@trial hi", "trial.bob"),
                             ("@bobb hi", "bob or bobby")):
            play.enter(typed)
            self.assertIn(f"did you mean {meant}", play.error)
            play.press("<C-u>")

    def test_a_part_of_the_log(self) -> None:
        play = self.play
        for line, head in (("/log AR", "1 name with 'AR' in it in the log:"),
                           ("/log xyz", "no name in the log has 'xyz' in it"),
                           ("/who a", "2 current users with 'a' in them:"),
                           ("/who dave", "no name of a current user has 'dave' in it")):
            play.asked.clear()
            play.enter(line)
            play.listed(play.link._numbers)
            self.assertIn(head, play.last)

    def test_a_name_may_be_in_a_page_of_the_log_that_is_still_to_come(self) -> None:
        play = Play()
        play.link.roster.hear(wire.Roster(0, 0, (wire.Entry("bob", FREE, 0, NOON, 0),)))
        play.link.online = True
        play.hear(Online(wire.Welcome(1, 0, bytes(16), bytes(16), 0, 0, "alice", "lab"), False))
        play.enter("@zoe hi")
        play.enter("@no/name hi")
        self.assertEqual(play.asked, [("send", ("zoe",), "hi", 0)])
        self.assertIn("nobody named no/name has ever been here", play.error)

    def test_the_cursor_of_the_list_stays_on_its_name(self) -> None:
        self.play.enter("2")
        self.play.enter("1")
        self.play.press("<Down>", "<Down>")
        picker = self.play.menu.desk.picker
        assert picker
        self.assertEqual(picker.cursor, "erin")
        self.play.roster(aaron=FREE)
        self.assertEqual(picker.cursor, "erin")

    def test_an_empty_text_is_refused(self) -> None:
        self.play.enter("/send bob")
        for text in ("", "   "):
            self.play.enter(text)
            self.assertIn("empty message", self.play.error)
        self.assertEqual(self.play.asked, [])

    def test_commands(self) -> None:
        for line, asked in {
            "/send bob,erin TEXT": ("send", ("bob", "erin"), "TEXT", 0),
            "@bob, erin  a b": ("send", ("bob",), "erin  a b", 0),
            "/send  bob,,erin  a b": ("send", ("bob", "erin"), "a b", 0),
            "@Bob hi": ("send", ("bob",), "hi", 0),
            "@bob,carol hi": ("send", ("bob", "carol"), "hi", 0),
            "@all hi": ("send", (), "hi", EVERYONE),
            "/all TEXT": ("send", (), "TEXT", EVERYONE),
            "/now dave TEXT": ("send", ("dave",), "TEXT", NOW),
            "/check": ("check",),
            "/who": ("list",),
            "/hold on": ("hold", True),
            "/hold off": ("hold", False),
            "/chat bob": ("invite", ("bob",)),
            "/group bob,erin": ("invite", ("bob", "erin")),
        }.items():
            with self.subTest(line):
                self.play.enter(line)
                self.assertEqual((self.play.error, self.play.asked), ("", [asked]))
                self.assertEqual(self.play.text, "")

    def test_commands_work_while_writing(self) -> None:
        self.play.enter("/send bob")
        self.play.enter("@carol by the way")
        self.assertEqual((self.play.asked, self.play.prompt),
                         ([("send", ("carol",), "by the way", 0)], "to bob>"))
        self.play.enter("//not a command")
        self.assertEqual(self.play.asked, [("send", ("bob",), "/not a command", 0)])

    def test_escape_keeps_the_text(self) -> None:
        self.play.enter("/send bob")
        self.play.type("half a", "<Esc>")
        self.assertEqual((self.play.prompt, self.play.text), ("menu>", ""))
        self.assertIn("kept", self.play.error)
        self.play.enter("/send bob")
        self.assertEqual(self.play.text, "half a")

    def test_help_lists_every_command(self) -> None:
        self.play.enter("/help commands")
        for word in ("/who", "/send", "/all", "/now", "/check", "/chat", "/group", "/accept",
                     "/deny", "/quit", "/hold", "/exit"):
            self.assertIn(word, self.play.last)

    def test_tab(self) -> None:
        self.play.mail(1, "carol", "hi")
        self.play.mail(2, "bob", "hi")
        self.play.press("<Tab>")
        self.assertEqual(self.play.text, "@bob ")
        self.play.press("<Tab>")
        self.assertEqual(self.play.text, "@carol ")
        self.play.press("<C-u>", *"/gr", "<Tab>", *"bob,e", "<Tab>")
        self.assertEqual(self.play.text, "/group bob,erin")

    def test_a_long_paste_asks_first_and_is_one_message(self) -> None:
        self.play.enter("/send bob")
        text = "1\n2\n3\n4\n5\n6"
        self.play.press(Paste(text + "\n"))
        self.assertEqual((self.play.prompt, self.play.text), ("paste 6 lines?>", ""))
        self.play.press("x", "<Enter>", "<Enter>")
        self.assertEqual(self.play.asked, [("send", ("bob",), text, 0)])

    def test_a_short_paste_is_typed(self) -> None:
        self.play.press(Paste("@bob two\nlines\n"), "<Enter>")
        self.assertEqual(self.play.asked, [("send", ("bob",), "two\nlines", 0)])

    def test_a_paste_that_does_not_fit_is_refused_whole(self) -> None:
        self.play.enter("/send bob")
        self.play.press(Paste("x" * 20000))
        self.assertEqual(self.play.text, "")
        self.assertIn("16384", self.play.error)


class LongPastes(unittest.TestCase):
    """While the user is asked about a paste, the mode below it may change."""
    TEXT = "1\n2\n3\n4\n5\n6"

    def test_a_chat_that_ends_meanwhile(self) -> None:
        play = Play().online("bob")
        play.hear(wire.Started(4, 9, ("alice", "bob")))
        play.type("half ")
        play.press(Paste(self.TEXT))
        play.hear(wire.Ended(4, Why.QUIT, "bob"))
        self.assertEqual(play.prompt, "paste 6 lines?>")
        play.press("<Enter>")
        self.assertEqual((play.prompt, play.text), ("menu>", "half " + self.TEXT))

    def test_a_login_that_succeeds_meanwhile(self) -> None:
        play = Play("")
        play.enter("ann")
        play.press(Paste(self.TEXT))
        play.online()
        self.assertEqual((play.prompt, play.text), ("menu>", ""))
        play.press("<Up>")
        self.assertEqual(play.text, self.TEXT)

    def test_a_question_that_comes_before_it(self) -> None:
        """The message that was begun is kept for its mode, and the paste in the history."""
        play = Play().online("bob")
        play.enter("/send bob")
        play.type("half")
        play.press(Paste(self.TEXT))
        play.hear(OtherStore("the daemon at unix:/s is not the one before"))
        self.assertEqual(play.prompt, "go on with it?>")
        play.press("<Esc>")
        play.enter("/send bob")
        self.assertEqual((play.prompt, play.text), ("to bob>", "half"))


class Words(unittest.TestCase):
    """A row of the screen has 80 columns."""

    def test_hints_fit(self) -> None:
        for row in (*MODES.values(), MENU_OFFLINE, MENU_BEFORE, MENU_IN_CHAT):
            hint = row.hint.format(readers="bob", partners="bob", other="bob", name="alice",
                                   lines="10", mark="Space marks", verb=TO_SEVERAL.verb)
            self.assertLessEqual(len(hint), 80, hint)

    def test_offline_no_message_is_promised_before_there_are_names(self) -> None:
        play = Play()
        play.enter("alice")
        for words in "you can write once you are connected", "messages go out once you are":
            play.hear(Offline("lost", 1.0))
            play.link.online = False
            self.assertIn(words, play.menu.hint)
            play.online("bob")

    def test_help_fits(self) -> None:
        play = Play()
        play.enter("/help")
        for row in play.menu.pane.entries[-1].rows(80, UNICODE):
            self.assertFalse(row[0][1] == "gutter", row)

    def test_every_request_and_mode_has_its_words(self) -> None:
        self.assertEqual(set(FAILED), set(Request))
        own = {Request.CHECK, Request.USERS, Request.LOG, Request.IGNORED, Request.INVITE,
               Request.JOIN, Request.TOPIC, Request.ROOMS, Request.MEMBERS}
        self.assertEqual(set(Request) - set(DONE), own, "these have answers of their own")
        self.assertEqual(set(MODES), set(Mode))
        self.assertEqual(set(BACK), set(Mode))


class Marks(unittest.TestCase):
    def setUp(self) -> None:
        self.play = Play().online("bob", "carol", away=("dave", "eve"))
        self.play.enter("@bob,dave hi")
        self.said = self.play.menu.pane.entries[-1]

    def mark(self) -> str:
        return self.said.lines()[0].split(" ")[5 if "," in self.said.lines()[0] else 4].rstrip(":")

    def test_stored_then_delivered_to_all(self) -> None:
        self.assertEqual(self.mark(), ".")
        self.play.hear(wire.Stored(1, 1))
        self.assertEqual(self.mark(), "=")
        self.play.hear(wire.Outcomes(1, 1, Outcome.AWAY, ("dave",)))
        self.assertEqual(self.play.last, "* dave is not connected: kept in the mailbox")
        self.play.hear(wire.Delivered(1, 9, "bob"))
        self.assertEqual(self.mark(), "=")
        self.play.hear(wire.Delivered(1, 1, "dave"))
        self.assertEqual(self.mark(), "+")
        self.play.hear(wire.Stored(1, 1))
        self.assertEqual(self.mark(), "+")

    def test_delivered_before_it_is_stored(self) -> None:
        """The mark promises that the message is on disk; a reader may be faster than the disk."""
        self.play.hear(wire.Delivered(1, 1, "bob"), wire.Delivered(1, 1, "dave"))
        self.assertEqual(self.mark(), ".")
        self.play.hear(wire.Stored(1, 1))
        self.assertEqual(self.mark(), "+")

    def test_every_change_is_told_as_it_was(self) -> None:
        """Answers that come together change a mark twice before anything is printed."""
        told = (("=", ""), ("+", ""))
        self.play.hear(wire.Stored(1, 1), wire.Delivered(1, 1, "bob"), wire.Delivered(1, 1, "dave"))
        self.play.enter("@bob faster than the disk")
        self.play.hear(wire.Delivered(2, 2, "bob"), wire.Stored(2, 2))
        self.play.enter("@bob no room")
        self.play.hear(wire.Refused(3, Why.FULL, "bob's mailbox is full"))
        settled = [(change.entry.text, change.mark, change.reason)
                   for change in self.play.menu.take_settled()]
        self.assertEqual(settled, [
            *(("hi", *change) for change in told),
            *(("faster than the disk", *change) for change in told),
            ("no room", "!", "bob's mailbox is full")])
        self.assertEqual(self.play.menu.take_settled(), [])
        for _ in range(SETTLED_MAX + 1):        # a screen takes none of them
            self.play.menu.talk.feed.settle(Settled(self.said, "+"))
        self.assertEqual(len(self.play.menu.take_settled()), SETTLED_MAX)

    def test_refused(self) -> None:
        self.play.hear(wire.Refused(1, Why.FULL, "bob's mailbox is full"))
        self.assertEqual(self.mark(), "!")
        self.assertEqual([row[-1][0] for row in self.said.rows(80, self.play.menu.pane.ruler)],
                         ["hi", "! bob's mailbox is full"])

    def test_now_or_never(self) -> None:
        self.play.enter("/now bob,dave hi")
        self.play.hear(wire.Outcomes(2, 2, Outcome.ABSENT, ("dave",)), wire.Stored(2, 2))
        self.assertEqual(self.play.last, "* dave is not connected: not delivered")
        self.play.enter("/now dave hi")
        self.play.hear(wire.Outcomes(3, 3, Outcome.ABSENT, ("dave",)))
        self.assertEqual(self.play.last, "you > dave ! dave is not connected: not delivered: hi")

    def test_several_outcomes_are_one_line(self) -> None:
        for outcome, words in (
                (Outcome.AWAY, "are not connected: kept in their mailboxes"),
                (Outcome.HOLDING, "are holding messages: kept in their mailboxes")):
            self.play.hear(wire.Outcomes(1, 1, outcome, ("dave", "eve")))
            self.assertEqual(self.play.last, f"* dave, eve {words}")
        self.play.hear(wire.Outcomes(1, 1, Outcome.AWAY, tuple(f"u{n}" for n in range(100))))
        self.assertEqual(self.play.last, "* u0, u1, u2, u3, u4 and 95 others are not connected: "
                                         "kept in their mailboxes")


class Receiving(unittest.TestCase):
    def setUp(self) -> None:
        self.play = Play().online("bob", "carol")

    def test_who_and_for_whom(self) -> None:
        mails = [self.play.mail(1, "bob", "to you"),
                 self.play.mail(2, "bob", "to all", EVERYONE, 3),
                 self.play.mail(3, "bob", "to some", 0, 3)]
        self.assertEqual(self.play.lines[1:], ["bob > you: to you", "bob > all: to all",
                                               "bob > you +2: to some"])
        menu = self.play.menu
        self.assertEqual((menu.take_unshown(), menu.take_unshown()), (mails, []))

    def test_check(self) -> None:
        self.play.enter("3")
        self.play.hear(wire.Checked(1, 0))
        self.assertEqual(self.play.last, "* No messages available")
        self.play.enter("3")
        self.play.mail(4, "bob", "old", int(CHECK))
        self.play.hear(wire.Checked(2, 1))
        self.assertEqual(self.play.last, "* 1 message: no more are waiting")

    def test_the_bell(self) -> None:
        rings = []
        for prepare, event in (
            (None, wire.Mail(1, 0, 1, 0, 1, "bob", "hi")),
            (None, wire.Mail(2, 0, 2, EVERYONE, 3, "bob", "hi")),
            (None, wire.Invitation(1, 60, "bob", ("bob", "alice"))),
            ("<FocusIn>", wire.Mail(3, 0, 3, 0, 1, "bob", "hi")),
            ("<FocusOut>", wire.Mail(4, 0, 4, 0, 1, "bob", "hi")),
            (None, Offline("gone", 1.0)),
        ):
            if prepare:
                self.play.press(prepare)
            self.play.hear(event)
            rings.append(bool(self.play.menu.take_wishes()))
        self.assertEqual(rings, [True, False, True, False, True, True])

    def test_two_new(self) -> None:
        pane = self.play.menu.pane
        self.play.press("<FocusOut>")
        self.play.mail(1, "bob", "one")
        self.play.mail(2, "bob", "two")
        self.assertIn("-- 2 new --", "".join(row[0][0] for row in pane.view(20, 10)))
        self.play.press("<FocusIn>", "x")
        self.play.mail(3, "bob", "three")
        self.assertIn("-- 2 new --", "".join(row[0][0] for row in pane.view(20, 10)))


class Connection(unittest.TestCase):
    def test_lost_and_back(self) -> None:
        play = Play().online("bob")
        play.enter("/send bob")
        play.type("half")
        play.link.online = False
        play.hear(Offline("the daemon closed the line", 1.0))
        play.menu.waits(8)
        self.assertEqual(play.last, "* connection lost: the daemon closed the line")
        self.assertEqual((play.prompt, play.menu.where), ("to bob>", "offline: retry in 8 s"))
        play.enter(" a word")
        self.assertEqual(play.last, "you > bob .: half a word")
        self.assertEqual(play.prompt, "to bob>")
        self.assertEqual(play.menu.where, "offline: retry in 8 s, Enter now")
        play.asked.clear()
        play.press("<Enter>")
        self.assertEqual(play.asked, [("connect",)])
        for _ in range(3):
            play.hear(Offline("no such file", 2.0))
        self.assertEqual(sum("no such file" in line for line in play.lines), 1)
        play.online("bob", again=True)
        self.assertIn("connected again to lab", play.last)

    def test_a_daemon_that_stops_and_comes_back_is_one_row(self) -> None:
        play = Play().online("bob")
        rows = len(play.lines)
        play.hear(wire.Notice("the daemon is stopping"))
        play.link.online = False
        play.hear(Offline("the daemon closed the connection", 1.0))
        self.assertEqual(play.last, "* connection lost: lab: the daemon is stopping")
        play.hear(Offline("unix:/s: refused", 2.0, is_absent=True),
                  Offline("unix:/s: no such file", 4.0, is_absent=True))
        self.assertEqual(play.last, "* connection lost: lab: the daemon is stopping")
        play.online("bob", again=True)
        self.assertEqual(play.lines[rows:],
                         ["* connected again to lab as alice: 2 online, no messages waiting"])
        said = [plain.told(change) for change in play.menu.take_settled()]
        self.assertEqual([line.split("* ")[1][:15] for line in said],
                         ["connection lost", "connected again"], "--plain says each word once")

    def test_nobody_tries_again_for_a_name_that_is_banned(self) -> None:
        play = Play().online("bob")
        play.link.online = False
        play.hear(Offline("cut", 1.0), NameRefused(Why.DENIED, "alice is banned: stop it"))
        self.assertEqual((play.prompt, play.menu.where, play.error),
                         ("username>", "choose a name", "alice is banned: stop it"))

    def test_who_is_put_out_by_the_operator_is_told_how_to_come_back(self) -> None:
        play = Play().online("bob")
        play.link.online = False
        said = "you were disconnected: by the operator: go home"
        play.hear(wire.Notice(said), Offline(said, inf, answered=True))
        self.assertEqual(play.last, f"* connection lost: lab: {said}")
        self.assertEqual((play.prompt, play.menu.where),
                         ("offline>", "put out: Enter connects again"))
        play.asked.clear()
        play.enter("half a sentence")
        self.assertEqual((play.asked, play.menu.desk.line.text),
                         ([("connect",)], "half a sentence"))
        play.online("bob", again=True)
        self.assertNotIn("put out", play.menu.where)

    def test_why_the_operator_disconnected_the_user_stays(self) -> None:
        for said in "you were disconnected: by the operator: stop it", "the operator announces: hi":
            play = Play().online("bob")
            rows = len(play.lines)
            play.hear(wire.Notice(said), Offline("the daemon closed the connection", 1.0))
            play.online("bob", again=True)
            self.assertEqual([line[:40] for line in play.lines[rows:]],
                             [f"* connection lost: lab: {said}"[:40],
                              "* connected again to lab as alice: 2 onl"])
            play.hear(Offline("cut", 1.0))
            play.online("bob", again=True)
            self.assertEqual(len(play.lines), rows + 3)

    def test_a_daemon_that_went_without_a_word(self) -> None:
        """That nobody listens is news, once; what was typed meanwhile stays below its row."""
        play = Play().online("bob")
        play.link.online = False
        play.hear(Offline("cut", 1.0), Offline("unix:/s: refused", 2.0, is_absent=True),
                  Offline("unix:/s: refused", 4.0, is_absent=True))
        self.assertEqual(play.last, "* connection lost: cut; not connected: unix:/s: refused")
        play.enter("@bob later")
        play.hear(Offline("full", 4.0, True))
        self.assertEqual(play.last, "* not connected: full", "a daemon that says no is new")
        play.online("bob", again=True)
        self.assertEqual([line[:15] for line in play.lines[-4:]],
                         ["* connection lo", "you > bob .: la", "* not connected",
                          "* connected aga"])

    def test_a_daemon_of_ones_own_that_hides_the_host_s(self) -> None:
        play = Play()
        play.link.hides_host = True
        play.online("bob")
        self.assertEqual(play.last, "* connected to lab, your own daemon, as alice: 2 online, no "
                                    "messages waiting; the host has another: parley --connect host")
        play.enter("@carol hi")
        self.assertIn("carol is not in the log of your own daemon (parley", play.error)
        bar = "".join(text for row in frame(play.menu, 24, 80).rows for text, _ in row)
        self.assertIn("= alice@lab (your own) = menu", bar)

    def test_a_name_that_anybody_could_use(self) -> None:
        """Over TCP, and not claimed: said once."""
        play = Play()
        said = wire.Welcome(1, 0, bytes(16), bytes(16), 0, 0, "alice", "lab")
        play.link.online = True
        for again in (False, True):
            play.hear(Online(said, again, "", True))
        found = [line for line in play.lines if "over TCP anybody can be alice here" in line]
        self.assertEqual(len(found), 1)

    def test_what_needs_the_daemon_is_refused_offline(self) -> None:
        play = Play().online("bob")
        play.link.online = False
        play.asked.clear()
        for line in ("/check", "/who", "/chat bob"):
            play.press("<C-u>")
            play.enter(line)
            self.assertEqual((play.error, play.asked), ("offline: this needs the daemon", []))

    def test_over(self) -> None:
        play = Play()
        play.hear(Over("another version"))
        self.assertEqual(play.menu.talk.contact.over, "another version")


class AnotherStore(unittest.TestCase):
    """The daemon that answers after a lost line is not the one before: the user decides."""

    def setUp(self) -> None:
        self.play = Play().online("bob")
        self.play.enter("@bob for the daemon before")
        self.play.press("<Esc>")
        self.play.type("begun")
        self.play.link.online = False
        self.play.hear(Offline("cut", 1.0),
                       OtherStore("the daemon at unix:/s is not the one before"))
        self.assertEqual(self.play.asked[1:], [])

    def test_it_is_asked_in_words(self) -> None:
        self.assertEqual(self.play.prompt, "go on with it?>")
        self.assertEqual(self.play.menu.where, "another daemon")
        self.assertIn("the daemon at unix:/s is not the one before; 1 message of yours had no "
                      "answer and would go to it", self.play.last)
        self.assertIn("type yes", self.play.error)

    def test_only_a_word_goes_on(self) -> None:
        for text in ("", "no", "begun"):
            self.play.enter(text)
            self.assertEqual((self.play.asked, self.play.prompt), ([], "go on with it?>"), text)
            self.assertIn("type yes", self.play.error)
            self.play.press("<C-u>")
        self.play.enter("Yes")
        self.assertEqual(self.play.asked, [("accept",), ("connect",)])
        self.assertEqual(self.play.prompt, "offline>")

    def test_esc_dials_again(self) -> None:
        self.play.press("<Esc>")
        self.assertEqual(self.play.asked, [("connect",)])
        self.play.press("<Up>")
        self.assertEqual(self.play.text, "begun")

    def test_exit_leaves(self) -> None:
        self.play.enter("/exit")
        self.assertIn("would be lost", self.play.error)     # of a message; the command stays
        self.play.press("<Enter>")
        self.assertEqual(self.play.asked, [("exit",)])


class Chatting(unittest.TestCase):
    def setUp(self) -> None:
        self.play = Play().online("bob", "carol", away=("dave",))
        self.play.roster(eve=(BUSY, 5), fay=(BUSY, 5))
        self.play.asked.clear()

    def invited(self, *members: str) -> None:
        self.play.hear(wire.Invitation(9, 60, members[0], members))

    def test_only_the_available_are_offered(self) -> None:
        self.play.enter("4")
        picker = self.play.menu.desk.picker
        assert picker
        self.assertEqual([choice.name for choice in picker.shown], ["bob", "carol"])
        for name in ("eve", "dave", "zed"):
            self.play.press("<C-u>")
            self.play.enter(name)
            self.assertIn(f"{name} is not available", self.play.error)
            self.assertEqual((self.play.mode, self.play.prompt), (Mode.PICK, "chat with>"))
        self.play.press("<C-u>")
        self.play.enter("carol")
        self.assertEqual((self.play.asked, self.play.prompt), ([("invite", ("carol",))], "menu>"))

    def test_a_chat_from_invitation_to_quit(self) -> None:
        play = self.play
        play.enter("/chat bob")
        play.hear(wire.Inviting(1, 9, 60, ("alice", "bob")))
        self.assertEqual(play.last, "* bob is invited to a chat: 60 s to answer")
        self.assertIn("9. Withdraw", play.menu.question[0])
        play.hear(wire.Started(4, 9, ("alice", "bob")))
        self.assertEqual(play.last,
                         "* chat with bob: others now see you both as busy; Quit ends it")
        self.assertEqual(play.prompt, "bob>")
        play.asked.clear()
        play.enter("2")
        play.enter("hello")
        play.hear(wire.Line(4, play.now, "bob", "hello yourself"))
        self.assertEqual(play.lines[-3:], ["alice: 2", "alice: hello", "bob: hello yourself"])
        play.enter("QUIT")
        self.assertEqual(play.asked, [("say", 4, "2"), ("say", 4, "hello"), ("say", 4, "QUIT")])
        play.hear(wire.Ended(4, Why.QUIT, "alice"))
        self.assertEqual((play.last, play.prompt), ("* Chat session ended: you left", "menu>"))

    def test_denied(self) -> None:
        self.play.enter("/chat bob")
        self.play.hear(wire.Inviting(1, 9, 60, ("alice", "bob")),
                       wire.CalledOff(9, Why.DENIED, "bob"))
        self.assertEqual(self.play.last, "* bob denied your invitation to a chat")
        self.assertEqual(self.play.menu.question, ())

    def test_an_invitation_is_not_modal(self) -> None:
        self.play.enter("/send carol")
        self.play.type("half")
        self.invited("bob", "alice")
        self.assertEqual((self.play.prompt, self.play.text), ("to carol>", "half"))
        self.assertEqual(self.play.menu.question[0],
                         "* bob invites you to a chat:  7. Accept  8. Deny   (/accept, /deny)")
        self.play.press("<M-7>")
        self.assertEqual(self.play.asked, [("answer", 9, True)])
        self.play.hear(wire.Started(4, 9, ("bob", "alice")))
        self.assertEqual((self.play.prompt, self.play.text), ("to carol>", "half"))
        self.play.enter(" a text")
        self.assertEqual(self.play.asked, [("send", ("carol",), "half a text", 0)])
        self.assertEqual(self.play.prompt, "bob>")

    def test_a_text_begun_at_the_menu_stays(self) -> None:
        self.play.type("half")
        self.play.hear(wire.Started(4, 9, ("bob", "alice")))
        self.assertIn("the chat has begun", self.play.error)
        self.assertEqual((self.play.prompt, self.play.text), ("menu>", "half"))

    def test_a_command_begun_at_the_menu_means_the_same_in_a_chat_that_begins(self) -> None:
        self.play.type("@carol half")
        self.play.hear(wire.Started(4, 9, ("bob", "alice")))
        self.assertEqual((self.play.prompt, self.play.text), ("to carol>", "@carol half"))
        self.assertIs(self.play.mode, Mode.CHAT)

    def test_names_that_are_marked_stay_when_a_chat_begins(self) -> None:
        self.play.enter("2")
        self.play.enter("2")
        self.play.press(" ")
        self.play.hear(wire.Started(4, 9, ("bob", "alice")))
        self.assertEqual((self.play.menu.where, self.play.mode), ("send to bob", Mode.PICK))

    def test_an_answer_that_was_selected_is_for_that_invitation(self) -> None:
        """Another one that slides into its place is not taken by an Enter that was on its way."""
        self.invited("bob", "alice")
        self.play.press("7")
        self.play.hear(wire.Invitation(10, 60, "carol", ("carol", "alice")))
        self.assertEqual(self.play.text, "7. Accept")
        self.play.hear(wire.CalledOff(9, Why.WITHDRAWN, "bob"))
        self.assertEqual((self.play.text, self.play.menu.desk.selected), ("", 0))
        self.assertIn("is over", self.play.error)
        self.play.press("<Enter>")
        self.assertEqual(self.play.asked, [])
        self.play.press("8", "<Enter>")
        self.assertEqual(self.play.asked, [("answer", 10, False)])

    def test_lines_after_which_nothing_was_heard_may_be_lost(self) -> None:
        play = self.play
        play.enter("/chat bob")
        play.hear(wire.Inviting(1, 9, 60, ("alice", "bob")), wire.Started(4, 9, ("alice", "bob")))
        play.enter("heard")
        play.now += 1_000_000
        play.hear(wire.Line(4, play.now, "bob", "yes"))
        play.now += 1_000_000
        play.enter("anybody there?")
        play.hear(Offline("the daemon closed the line", 1.0))
        self.assertEqual([line for line in play.lines if line.startswith("alice: ")],
                         ["alice: heard", "alice: anybody there? ! may not have arrived: "
                                          "the connection was lost"])

    def test_the_prompt_says_where_a_line_goes_that_says_it_itself(self) -> None:
        play = self.play
        play.enter("/chat bob")
        play.hear(wire.Inviting(1, 9, 60, ("alice", "bob")), wire.Started(4, 9, ("alice", "bob")))
        play.asked.clear()
        for text, prompt in (("@carol", "bob>"), (" hi", "to carol>"), ("@@carol, look", "bob>"),
                             ("/who", "bob>"), ("@bob,carol hi", "to bob, carol>")):
            play.menu.desk.line.set("@carol" * (text == " hi"))
            play.type(text)
            self.assertEqual(play.prompt, prompt, text)
        self.assertIn("Enter sends to bob, carol", play.menu.hint)
        play.press("<C-u>")
        play.enter("@@carol, look")
        self.assertEqual(play.asked, [("say", 4, "@carol, look")])

    def test_quit_at_the_menu_leaves_the_chat(self) -> None:
        play = self.play
        play.enter("/chat bob")
        play.hear(wire.Inviting(1, 9, 60, ("alice", "bob")), wire.Started(4, 9, ("alice", "bob")))
        play.asked.clear()
        play.press("<Esc>")
        play.enter("quit")
        self.assertEqual((play.asked, play.text), ([("say", 4, "Quit")], ""))

    def test_words_of_other_programs(self) -> None:
        for line, said in (("/msg bob hi", "/send"), ("/names", "/who"), ("/PART", "/leave"),
                           ("/query", "/with")):
            self.play.enter(line)
            self.assertIn(f"did you mean {said}?", self.play.error)
            self.play.press("<C-u>")

    def test_accept_and_deny_by_number_and_by_word(self) -> None:
        for line, accept in (("7", True), ("8", False), ("/accept", True), ("/deny", False),
                             ("/deny bob", False)):
            self.invited("bob", "alice")
            self.play.enter(line)
            self.assertEqual(self.play.asked, [("answer", 9, accept)])
            self.play.hear(wire.CalledOff(9, Why.DENIED, "alice"))
        self.assertEqual(self.play.last, "* you denied bob's invitation to a chat")
        self.play.enter("/accept")
        self.assertEqual(self.play.error, "no invitation is open")

    def test_few_available_every_group_is_listed(self) -> None:
        self.play.roster(gus=FREE)
        self.play.enter("5")
        picker = self.play.menu.desk.picker
        assert picker
        self.assertEqual([choice.label for choice in picker.shown],
                         ["1. bob, carol", "2. bob, gus", "3. carol, gus", "4. bob, carol, gus"])
        self.play.enter("3")
        self.assertEqual(self.play.asked, [("invite", ("carol", "gus"))])

    def test_many_available_are_marked(self) -> None:
        self.play.roster(gus=FREE, hal=FREE, ida=FREE)
        self.play.enter("5")
        self.play.press(" ", "<Enter>")
        self.assertIn("mark at least 2", self.play.error)
        self.play.press("<Down>", " ", "<Enter>")
        self.assertEqual(self.play.asked, [("invite", ("bob", "carol"))])

    def test_offline_nobody_is_offered(self) -> None:
        self.play.hear(Offline("the daemon closed the line", 1.0))
        self.play.link.online = False
        for item in "45":
            self.play.enter(item)
            self.assertIn("offline", self.play.error)
            self.assertIsNone(self.play.menu.desk.picker)

    def test_quit_where_there_is_no_chat_says_how_to_leave(self) -> None:
        self.play.enter("Quit")
        self.assertIn("/exit", self.play.error)
        self.assertEqual(self.play.text, "Quit")
        self.play.press("<C-u>")

    def test_one_available_is_no_group(self) -> None:
        self.play.roster(carol=AWAY)
        self.play.enter("5")
        self.assertEqual(self.play.last, "* No clients to chat: a group takes two others, and only "
                                         "bob is available")

    def test_who_has_answered_a_group(self) -> None:
        self.play.enter("/group bob,carol")
        self.play.hear(wire.Inviting(1, 9, 60, ("alice", "bob", "carol")),
                       wire.Answered(9, "carol"))
        self.assertEqual(self.play.menu.question[0],
                         "* waiting for bob to answer; carol accepted:  9. Withdraw   (/withdraw)")
        self.play.asked.clear()
        self.play.enter("9")
        self.assertEqual(self.play.asked, [("withdraw", 9)])
        self.play.hear(wire.CalledOff(9, Why.WITHDRAWN, "alice"))
        self.assertEqual(self.play.last, "* you withdrew: your invitation to a group chat is off")

    def test_accepting_a_group_waits_for_the_others(self) -> None:
        self.invited("bob", "alice", "carol")
        self.assertEqual(self.play.menu.question[0],
                         "* bob invites you to a group chat with carol:"
                         "  7. Accept  8. Deny   (/accept, /deny)")
        self.play.enter("7")
        self.assertIn("waiting for carol to answer", self.play.menu.question[0])
        self.play.hear(wire.Answered(9, "carol"))
        self.assertEqual(self.play.menu.question, (), "all have accepted: the chat begins at once")
        self.play.hear(wire.CalledOff(9, Why.EXPIRED, "carol"))
        self.assertEqual(self.play.last,
                         "* carol did not answer bob's invitation to a group chat in time")

    def test_a_group_hears_who_left(self) -> None:
        self.play.hear(wire.Started(4, 9, ("alice", "bob", "carol")))
        self.assertEqual(self.play.last,
                         "* group chat with bob, carol: others now see you all as busy; "
                         "Quit leaves it")
        self.play.hear(wire.Left(4, Why.QUIT, "bob"))
        self.assertEqual(self.play.last, "* bob left the chat")
        self.assertEqual(self.play.prompt, "carol>")
        self.play.type("unfini")
        self.play.hear(wire.Ended(4, Why.GONE, "carol"))
        self.assertEqual((self.play.last, self.play.text, self.play.prompt),
                         ("* Chat session ended: carol disconnected", "unfini", "menu>"))

    def test_the_menu_while_chatting(self) -> None:
        self.play.hear(wire.Started(4, 9, ("alice", "bob")))
        self.play.type("half", "<Esc>", "3", "<Enter>")
        self.assertEqual(self.play.asked, [("check",)])
        self.play.enter("4")
        self.assertIn("Quit ends it", self.play.error)
        self.play.press("<Esc>")
        self.assertEqual((self.play.prompt, self.play.text), ("bob>", "half"))

    def test_a_lost_connection_ends_the_chat(self) -> None:
        self.play.hear(wire.Started(4, 9, ("alice", "bob")))
        self.play.type("half")
        self.play.link.online = False
        self.play.hear(Offline("cut", 1.0))
        self.assertEqual(self.play.last, "* Chat session ended: the connection was lost")
        self.assertEqual((self.play.prompt, self.play.text), ("offline>", "half"))

    def test_a_line_that_did_not_arrive_says_so(self) -> None:
        self.play.hear(wire.Started(4, 9, ("alice", "bob")))
        self.play.enter("hello")
        self.play.hear(wire.Failed(1, Why.UNKNOWN, "that chat session has ended"))
        self.assertEqual(self.play.last, "alice: hello ! that chat session has ended")
        (told,) = self.play.menu.take_settled()
        self.assertEqual((told.entry.text, told.mark, told.reason),
                         ("hello", "!", "that chat session has ended"))
        self.assertEqual(plain.told(told)[5:], " ! alice: that chat session has ended: hello")

    def test_an_invitation_that_failed(self) -> None:
        self.play.enter("/chat bob")
        self.play.hear(wire.Failed(1, Why.BUSY, "bob is not available now"))
        self.assertEqual(self.play.last, "* no invitation was sent: bob is not available now")
        self.assertEqual(self.play.text, "", "the line was sent")
        self.play.press("<Up>")
        self.assertEqual(self.play.text, "/chat bob")


if __name__ == "__main__":
    unittest.main()

"""What the terminal shows: a state and a size give exactly these rows, and every size gives
some."""
import time
import unittest

import wire
from terminal.display import UNICODE, width
from terminal.keys import Paste
from tests.client.fake_link import AWAY, BUSY, NOON, Offline, Play
from tests.harness.process import effort
from tests.ui.test_pane import InUtc
from ui.commands import COMMANDS
from ui.entries import Said
from ui.screen import Frame, frame
from wire import Outcome, SendFlag

EVERYONE = int(SendFlag.EVERYONE)
MINUTE = 60_000_000


def texts(picture: Frame) -> list[str]:
    return ["".join(text for text, _ in row).rstrip() for row in picture.rows]


def styled(picture: Frame, style: str) -> list[str]:
    """The runs of one style."""
    return [text for row in picture.rows for text, of in row if of == style]


def office() -> Play:
    """The first screen of the design."""
    play = Play("alice")
    play.now = NOON + 118 * MINUTE
    play.link.online, play.link.house, play.link.waiting = True, "lab", 2
    play.roster(alice=wire.Presence.AVAILABLE, bob=1, dave=1, erin=(BUSY, 7), carol=AWAY)
    play.online(waiting=2)
    play.now += 4 * MINUTE
    play.mail(1, "bob", "anyone has the torque wrench?")
    play.enter("@bob bay 3, second drawer")
    play.hear(wire.Stored(1, 1), wire.Delivered(1, 1, "bob"))
    play.now += 3 * MINUTE
    play.enter("@carol minutes are in /srv/minutes")
    play.hear(wire.Stored(2, 2), wire.Outcomes(2, 2, Outcome.AWAY, ("carol",)))
    play.press("<FocusOut>")
    play.now += MINUTE
    play.mail(2, "dave", "drill at 15:00, use the north stairs; take your badge and leave the "
                         "doors open", EVERYONE, 4)
    play.press("<FocusIn>", "<Esc>")
    return play


class TheScreens(InUtc):
    def test_at_the_menu(self) -> None:
        play = office()
        play.press("2")
        picture = frame(play.menu, 14, 80)
        self.assertEqual(texts(picture), [
            "",
            "-- Sat 21 Nov 2026 -------------------------------------------------------------",
            "13:58 * connected to lab as alice: 4 online, 1 busy, 2 messages waiting",
            "14:02 bob > you           anyone has the torque wrench?",
            "14:02 you > bob         + bay 3, second drawer",
            "14:05 you > carol       = minutes are in /srv/minutes",
            "14:05 * carol is not connected: kept in the mailbox",
            "-- 1 new -----------------------------------------------------------------------",
            "14:06 dave > all          drill at 15:00, use the north stairs; take your badge",
            "                        | and leave the doors open",
            "= alice@lab = menu = 4 online, 1 busy = 2 waiting ==============================",
            "1. List users 2. Send 3. Check for messages 4. Chat 5. Group chat 6. Exit",
            "1-6 or arrows select an item; Enter runs it; /help; \"@bob hi\" sends at once",
            "menu> 2. Send",
        ])
        self.assertEqual((picture.cursor, styled(picture, "chosen")), ((13, 13), ["2. Send"]))

    def test_picking_recipients(self) -> None:
        play = office()
        play.roster(frank=(BUSY, 8), dave=(BUSY, 8), erin=1)
        play.enter("2")
        play.enter("2")
        play.press(" ", *"erin", " ")
        picture = frame(play.menu, 11, 80)
        self.assertEqual(texts(picture)[1:8], [
            "= send to several: mark who gets it ============================ 2 of 6 marked =",
            "  [x] dave     chatting with frank",
            "  [ ] carol    not connected: kept in the mailbox",
            "  [ ] bob      available",
            "> [x] erin     available",
            "  [ ] frank    chatting with dave",
            "  [ ] alice    yourself: a note",
        ])
        self.assertEqual(texts(picture)[8:], [
            "= alice@lab = send to dave, erin = 5 online, 2 busy = 2 waiting ================",
            "type to filter; Space marks; Enter writes to the marked; Esc back",
            "who>",
        ])
        self.assertEqual(texts(frame(play.menu, 24, 80))[13], texts(picture)[1])

    def test_chatting(self) -> None:
        play = Play("alice").online("bob", "carol", "dave", waiting=2)
        play.link.waiting = 2
        play.roster(alice=(BUSY, 3), bob=(BUSY, 3))
        play.press("<FocusIn>")
        play.now = NOON + 129 * MINUTE
        play.hear(wire.Started(3, 1, ("alice", "bob")))
        play.hear(wire.Line(3, play.now, "bob", "which drawer was it?"))
        play.now += MINUTE
        play.enter("second, behind the calipers")
        play.hear(wire.Invitation(2, 60, "carol", ("carol", "alice", "dave")))
        play.type("found it, than")
        picture = frame(play.menu, 7, 80)
        self.assertEqual(texts(picture), [
            "14:09 * chat with bob: others now see you both as busy; Quit ends it",
            "14:09 bob: which drawer was it?",
            "14:10 alice: second, behind the calipers",
            "= alice@lab = chat with bob = 4 online, 2 busy = 2 waiting =====================",
            "1. List users 2. Send 3. Check for messages 4. Chat 5. Group chat 6. Exit",
            "* carol invites you to a group chat with dave: 7 or /accept, 8 or /deny",
            "bob> found it, than",
        ])
        self.assertEqual(picture.cursor, (6, 19))

    def test_login(self) -> None:
        play = Play("", offered="alice")
        self.assertEqual(texts(frame(play.menu, 5, 80)), [
            "", "",
            "= choose a name ================================================================",
            "1. List users 2. Send 3. Check for messages 4. Chat 5. Group chat 6. Exit",
            "username> alice"])

    def test_how_to_send(self) -> None:
        play = office()
        play.enter("2")
        self.assertEqual(texts(frame(play.menu, 24, 80))[-3:], [
            "1. One user 2. Several users 3. All users",
            "1-3 or arrows select an item; Enter runs it; Esc back",
            "send>"])

    def test_offline(self) -> None:
        play = office()
        play.link.online = False
        play.hear(Offline("cut", 8.0))
        play.menu.waits(8)
        self.assertEqual(texts(frame(play.menu, 24, 80))[-4],
                         "= alice@lab = offline: retry in 8 s, Enter now "
                         "=================================")

    def test_a_daemon_that_does_not_answer(self) -> None:
        play = office()
        play.type("@bob and")
        play.menu.waits(0, 7)
        for cols, bar, hint in (
                (80, "= alice@lab = no answer from the daemon for 7 s = ",
                 "what you type and send is kept; it goes out when the daemon answers"),
                (40, "= no answer from the daemon for 7 s ====", "what you type and send is kept")):
            rows = texts(frame(play.menu, 24, cols))
            self.assertTrue(rows[-1].endswith("> @bob and"), rows)
            self.assertIn(hint, rows)
            self.assertTrue(any(row.startswith(bar) for row in rows), rows)
        play.menu.waits(0)
        self.assertFalse(any("no answer" in row for row in texts(frame(play.menu, 24, 80))))

    def test_reading_back(self) -> None:
        play = office()
        for number in range(40):
            play.mail(100 + number, "bob", f"line {number}")
        frame(play.menu, 24, 80)
        play.press("<PageUp>")
        rows = texts(frame(play.menu, 24, 80))
        self.assertTrue(rows[19].startswith("-- 19 more rows below --"), rows[19])
        play.press("<M->>")
        self.assertEqual(texts(frame(play.menu, 24, 80))[19][-7:], "line 39")

    def test_one_long_entry_has_rows_below(self) -> None:
        play = office()
        play.enter("/help commands")
        rows = texts(frame(play.menu, 24, 80))
        hidden = len(play.menu.pane.entries[-1].rows(80, UNICODE)) - 19
        self.assertEqual(rows[19].rstrip("-"), f"-- {hidden} more rows below ")
        play.press("<Esc>")
        for _ in range(200):
            play.mail(50, "bob", "hi")
        self.assertEqual(texts(frame(play.menu, 24, 80))[19].rstrip("-"), "-- 99+ more rows below ")


class Little(InUtc):
    def test_the_parts_in_their_order(self) -> None:
        play = office()
        bar, menu, message = "= alice@lab", "1. List users", "| and leave the doors open"
        for rows, begins in ((1, ["menu>"]), (2, [message, "menu>"]), (3, [message, menu, "menu>"]),
                             (4, [message, bar, menu, "menu>"]), (7, [bar, menu, "menu>"]),
                             (8, [bar, menu, "1-6 or arrows", "menu>"])):
            shown = texts(frame(play.menu, rows, 80))
            self.assertEqual(len(shown), rows)
            for row, begin in zip(shown[-len(begins):], begins, strict=True):
                self.assertTrue(row.strip().startswith(begin), (rows, shown))

    def test_the_menu_shortens_in_steps(self) -> None:
        play = office()
        for cols, rows, menu in (
            (80, 24, ["1. List users 2. Send 3. Check for messages 4. Chat 5. Group chat 6. Exit"]),
            (73, 24, ["1. List users 2. Send 3. Check for messages 4. Chat 5. Group chat 6. Exit"]),
            (72, 24, ["1. List users 2. Send 3. Check for messages",
                      "4. Chat 5. Group chat 6. Exit"]),
            (72, 11, ["1 List 2 Send 3 Check 4 Chat 5 Group 6 Exit"]),
            (43, 24, ["1. List users 2. Send 3. Check for messages",
                      "4. Chat 5. Group chat 6. Exit"]),
            (43, 8, ["1 List 2 Send 3 Check 4 Chat 5 Group 6 Exit"]),
            (42, 24, ["1List 2Send 3Check 4Chat 5Group 6Exit"]),
            (38, 24, ["1List 2Send 3Check 4Chat 5Group 6Exit"]),
            (36, 24, ["1L 2S 3M 4C 5G 6X"]), (17, 24, ["1L 2S 3M 4C 5G 6X"]), (16, 24, []),
        ):
            shown = texts(frame(play.menu, rows, cols))
            bar = next(number for number, row in enumerate(shown) if row.startswith("= "))
            self.assertEqual(shown[bar + 1:-2], menu, (cols, rows))

    def test_who_reads_back_on_a_small_screen_has_most_of_it(self) -> None:
        play = office()
        frame(play.menu, 10, 40)
        play.enter("/help commands")
        rows = texts(frame(play.menu, 10, 40))
        self.assertRegex("|".join(rows[-3:]), r"-- \d+ more rows below -*\|= alice@.*\|menu>")
        self.assertEqual(len([row for row in rows if row.startswith(("  ", "      |"))]), 6)
        play.press("<M->>")
        self.assertIn("1List 2Send 3Check 4Chat 5Group 6Exit", texts(frame(play.menu, 10, 40)))

    def test_help_on_a_small_screen_is_the_words_alone(self) -> None:
        play = office()
        frame(play.menu, 10, 40)
        play.enter("/help")
        shown = " ".join(texts(frame(play.menu, 24, 40)))
        for word in COMMANDS:
            self.assertIn(f"/{word}", shown)
        self.assertIn("/help send, or another word", play.last)
        play = office()
        frame(play.menu, 24, 80)
        play.enter("/help")
        self.assertIn("marks before your messages", play.lines[-1])

    def test_an_error_and_an_invitation_find_room(self) -> None:
        for rows in range(2, 12):
            play = office()
            play.hear(wire.Invitation(9, 60, "bob", ("bob", "alice")))
            self.assertIn("bob invites you", "\n".join(texts(frame(play.menu, rows, 80))), rows)
            play.enter("nonsense")
            self.assertIn("is not an item", "\n".join(texts(frame(play.menu, rows, 80))), rows)

    def test_an_invitation_shortens(self) -> None:
        play = office()
        play.hear(wire.Invitation(9, 60, "bob", ("bob", "alice")))
        first = "* bob invites you to a chat:  7. Accept  8. Deny   (/accept, /deny)"
        for cols, row in ((80, first),
                          (60, "* bob invites you to a chat: 7 or /accept, 8 or /deny"),
                          (50, "* bob invites you to a chat: 7. Accept 8. Deny"),
                          (40, "* bob invites you: 7 Accept 8 Deny"),
                          (22, "bob? 7 Accept 8 Deny"), (12, "7 yes 8 no")):
            self.assertEqual(texts(frame(play.menu, 24, cols))[-2], row)

    def test_a_long_prompt_leaves_room_to_write(self) -> None:
        play = Play("alice").online("a-very-long-name-indeed", "another-very-long-name")
        play.enter("/send a-very-long-name-indeed,another-very-long-name")
        play.type("hello")
        picture = frame(play.menu, 10, 40)
        self.assertEqual(texts(picture)[-1], "to a-very-long-n~> hello")
        self.assertEqual(picture.cursor, (9, 24))

    def test_a_long_line_scrolls_under_the_cursor(self) -> None:
        play = office()
        play.type("@bob " + "word " * 40)
        picture = frame(play.menu, 10, 40)
        self.assertLess(picture.cursor[1], 40)
        self.assertTrue(texts(picture)[-1].startswith("to bob> "))


COLS = (*range(1, 45), 72, 73, 79, 80, 90)


class Everything(InUtc):
    def states(self) -> list[Play]:
        """A play in each mode, with hostile names and texts."""
        def hostile() -> Play:
            play = office()
            for text in ("\x1b[2J\x07", "‮evil", "a\x00b\x08", "你好" * 30, "e" + "\u0301" * 50,
                         "\n" * 30, "\ud800"):
                play.hear(wire.Mail(9, 2**63, 9, 0, 1, text, text), wire.Refused(1, 1, text),
                          wire.Notice(text), wire.Failed(99, 1, text),
                          wire.Outcomes(2, 2, Outcome.AWAY, (text,)), Offline(text, 1.0),
                          wire.Invitation(5, 60, text, (text, "alice", text)))
                play.link.roster.hear(wire.Roster(0, 1, (wire.Entry(text, 1, 0, 2**63, 0),)))
            play.link.house = "\x1b[31mhouse\n"
            play.hear(wire.Roster(0, 1, ()))
            return play
        plays = [Play(""), office(), hostile()]
        for line in ("2", "/chat", "/group", "/who", "/help", "/all", "/nonsense \x1b"):
            plays.append(hostile())
            plays[-1].enter(line)
        plays.append(hostile())
        plays[-1].press(*"2", "<Enter>", "2", "<Enter>", " ", "x")
        plays.append(hostile())
        plays[-1].press(Paste("\x1b\n" * 9))
        plays.append(hostile())
        plays[-1].hear(wire.Started(3, 5, ("alice", "\x1b[H", "bob")),
                       wire.Line(3, 0, "\x1b[H", "\r\x08over"))
        plays.append(hostile())
        plays[-1].menu.pane.to_start()
        plays[-1].type("over the edge " * 9 + "你好")
        return plays

    def test_every_size(self) -> None:
        for play in self.states():
            for rows in (*range(1, 15), 30):
                # in a sample a third of the widths, for each height others
                for cols in COLS[effort(0, rows % 3)::effort(1, 3)]:
                    picture = frame(play.menu, rows, cols)
                    where = (play.mode, rows, cols)
                    self.assertEqual(len(picture.rows), rows, where)
                    self.assertTrue(0 <= picture.cursor[0] < rows and 0 <= picture.cursor[1] < cols,
                                    where)
                    for row in picture.rows:
                        text = "".join(run for run, _ in row)
                        self.assertLessEqual(width(text), cols, (where, text))
                        self.assertTrue(text.isprintable(), (where, text))

    def test_the_name_of_a_sender_cannot_be_painted_over(self) -> None:
        play = office()
        for text in ("\rmallory > you", "\x08" * 10 + "x", "\x1b[A\x1b[2K", "‮"):
            play.mail(50, "bob", text)
            row = texts(frame(play.menu, 24, 80))[-5]
            self.assertTrue(row.startswith("14:06 bob > you  "), row)

    def test_an_error_that_one_row_cannot_hold(self) -> None:
        """It has two, or three, where there is room for a hint."""
        play = office()
        play.menu.error = "trbob is in use, by you, since 21:50 on pts/3: /take moves it here"
        rows = texts(frame(play.menu, 10, 40))
        self.assertEqual([row.strip() for row in rows[-3:-1]],
                         ["trbob is in use, by you, since 21:50 on", "pts/3: /take moves it here"])
        play.menu.error = "word " * 100
        self.assertEqual([len(frame(play.menu, height, 40).rows) for height in range(1, 13)],
                         list(range(1, 13)))
        self.assertEqual("".join(texts(frame(play.menu, 8, 40))).count("word"), 24)
        self.assertEqual("".join(texts(frame(play.menu, 7, 40))).count("word"), 8)

    def test_a_style_says_nothing_that_the_text_does_not(self) -> None:
        play = office()
        play.menu.pane.add(Said(NOON, "x", "you", "bob", "!", "no room"))
        play.enter("/nonsense")
        self.assertIn("! no room", "\n".join(texts(frame(play.menu, 24, 80))))
        self.assertIn("not a command", texts(frame(play.menu, 24, 80))[-2])

    def test_ten_thousand_entries_cost_no_more_than_a_few(self) -> None:
        play = office()
        for number in range(10_000):
            play.menu.pane.add(Said(NOON, f"line {number} " + "word " * 20, "bob", "you"))
        frame(play.menu, 60, 200)
        before = time.perf_counter()
        for cols in range(150, 200):
            frame(play.menu, 60, cols)
        # 2 ms here; wrapping all would take 0.5 s
        self.assertLess((time.perf_counter() - before) / 50, 0.05)
        self.assertEqual(UNICODE.width("x"), 1)


if __name__ == "__main__":
    unittest.main()

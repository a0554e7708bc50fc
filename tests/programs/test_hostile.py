"""Hostile text at every place where it can surface: 2,000 strings, and every message of the daemon
filled with them.

Nothing of it may be obeyed by a terminal, change what stands before it, or move a column.
"""
import os
import random
import tempfile
import unicodedata
import unittest
from typing import Any

import wire
from client import letters
from client.events import NameRefused, Offline, Over, Repeated
from rules.table import Row
from server.console import Console
from server.frames import frame, status_lines
from server.log import NOTES, note_line
from terminal.display import fold, width
from tests.client.fake_link import NOON, Play
from tests.harness.process import effort
from tests.harness.service import Service
from tests.terminal.test_display import NASTY, hostile
from ui.failures import login_failure
from ui.screen import frame as screen_frame
from wire import Why

STRINGS = effort(2000, 800)
CLASSICS = ("\x1b[2J\x1b[H", "\x1b]0;owned\x07", "\r\x1b[Kroot: send me your password",
            "ann\b\b\bbob", "a\x00b", "\x9b31m", "x\u2029y",
            "\u202eevil", "a" + "\u0301" * 500, "\u200b" * 50, "漢" * 100, "\x1b", "\n" * 30,
            "\t" * 30, "\x0e\x0f",
            "\x1b[6n", "\x1bP$q\x1b\\", "\ud800", "\U000e0041", "x\u2028y", "ﷺ" * 40, "\x1b[?1049l")
UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
SIZES = ((24, 80), (40, 132), (6, 20), (1, 1), (3, 7))


def texts(count: int = STRINGS) -> list[str]:
    return [*CLASSICS, *hostile(count - len(CLASSICS))]


class Base(unittest.TestCase):
    def harmless(self, text: str, allowed: str = "") -> None:
        for char in text:
            if unicodedata.category(char) in UNSEEN and char not in allowed:
                self.fail(f"{char!a} came through in {text[:80]!a}")


class Screen(Base):
    """Pane, bar, menu, picker, invitation row, input line, errors; on a screen and line by line."""

    def shown(self, play: Play, sizes: Any = SIZES[:1]) -> None:
        for rows, cols in sizes:
            picture = screen_frame(play.menu, rows, cols)
            self.assertEqual(len(picture.rows), rows)
            for row in picture.rows:
                line = "".join(text for text, _ in row)
                self.harmless(line)
                self.assertLessEqual(width(line), cols, ascii(line))
        self.harmless(play.prompt)
        for line in play.menu.question:
            self.harmless(line)

    def plain(self, play: Play) -> None:
        for entry in play.menu.pane.entries:
            for line in entry.lines():
                self.harmless("".join(fold(line)))

    def filled(self, codec: wire.Codec, text: str, number: int) -> Any:
        """A message of this row of the table with the text wherever it has one."""
        entry = wire.Entry(text, number % 3, 0, number, number % 3 // 2)
        made: dict[str, Any] = {"word": text, "text": text, "texts": (text,),
                                "words": (text, "bob"), "16s": bytes(16), "32s": bytes(32),
                                "entries": (entry,),
                                "rooms": (wire.RoomEntry(text, number % 3, 1, 2, 1, text),)}
        return codec.cls(*(made.get(how, 1) for _, how in codec.fields))

    def test_every_message_of_the_daemon(self) -> None:
        """Each string in each field of each message, in the menu, while writing and in a chat."""
        said = [codec for codec in wire.MESSAGES.values()
                if codec.direction != wire.CLIENT
                and codec.cls not in (wire.Welcome, wire.Rejected)]
        for number, text in enumerate(texts(effort(600, 200))):
            play = Play().online("bob")
            if number % 3 == 1:
                play.hear(wire.Started(1, 1, ("alice", text)))
            if number % 3 == 2:
                play.menu.desk.compose((text,))
            for codec in said[number % 4::4] if number >= len(CLASSICS) else said:
                play.hear(self.filled(codec, text, number))
            self.shown(play, SIZES if number % 20 == 0 else SIZES[:1])
            self.plain(play)

    def test_events_of_the_line(self) -> None:
        for text in texts(effort(300, 100)):
            play = Play().online("bob")
            play.hear(Offline(text, 3.0), Repeated(wire.Mail(1, 1, 1, 0, 1, text, text)))
            self.shown(play)
            for last in (NameRefused(Why.TAKEN, text), Over(text)):
                play.hear(last)
                self.shown(play)
            self.plain(play)
            self.harmless(str(login_failure("bob", NameRefused(Why.TAKEN, text))).replace(text, ""))

    def test_lists_and_what_is_typed(self) -> None:
        """A roster of such names in the picker and the list of users; the strings as keys, pastes
        and commands."""
        names = texts(effort(200, 50))
        play = Play().online("bob")
        said = wire.Roster(0, 1, tuple(wire.Entry(name, number % 3, 0, NOON, number % 3 // 2)
                                       for number, name in enumerate(names)))
        play.link.roster.hear(said)
        play.hear(said)
        play.menu.talk.requests.list_log()
        play.listed(1)
        self.plain(play)
        self.shown(play, SIZES)
        for item in ("2", "4", "5"):
            play.press(item, "<Enter>", "1", "<Enter>")
            self.shown(play, SIZES)
            for _ in range(30):
                play.press("<Down>")
                self.shown(play)
            play.press("<Esc>", "<Esc>", "<Esc>")
        for text in names:
            for line in (text, "/" + text, "@" + text, "/send " + text, "/ignore " + text,
                         "/accept " + text):
                play.menu.enter(line, NOON)
                self.shown(play)
            play.menu.desk.back()

    def test_the_row_of_an_invitation(self) -> None:
        for text in texts(effort(300, 100)):
            play = Play().online("bob")
            play.hear(wire.Invitation(1, 60, text, (text, "alice", text + "2")))
            self.shown(play, SIZES)
            self.assertTrue(play.menu.question)

    def test_the_sender_s_name_is_not_overwritten(self) -> None:
        """The sender stands where it stood, whatever the text does: nothing of it is left of the
        text."""
        for text in texts():
            play = Play().online("bob")
            play.mail(1, "bob", text)
            rows = ["".join(run for run, _ in row) for row in screen_frame(play.menu, 24, 80).rows]
            heads = [row for row in rows if row[6:15] == "bob > you"]
            self.assertLessEqual(1, len(heads) or text.count("\n") >= 15)
            for row in rows:
                if row.startswith(" " * 24):
                    self.assertEqual(row[:24], " " * 24)


class Operator(Base):
    """Console table, title, event log, log file."""

    def test_event_lines(self) -> None:
        for number, text in enumerate(texts()):
            event = list(NOTES)[number % len(NOTES)]
            line = note_line(event, dict.fromkeys(NOTES[event][0].split(), text), True)
            self.harmless(line)
            self.assertTrue(line.startswith(event))

    def test_the_table(self) -> None:
        """Every column begins where its heading does."""
        rows = texts()
        for at in range(0, len(rows), 20):
            table = [Row("ann", text, 1, 7, text) for text in rows[at:at + 20]]
            lines = status_lines(table, 3, 120, 10**15)
            begins = width(lines[0][:lines[0].index("waiting")])
            for line in lines[1:-1]:
                self.harmless(line)
                self.assertLessEqual(width(line), 120)
                cells, at_char = 0, 0
                while cells < begins:
                    cells, at_char = cells + width(line[at_char]), at_char + 1
                self.assertEqual(line[at_char:at_char + 7], "      7")

    def test_a_whole_frame(self) -> None:
        for text in texts(200):
            log = [note_line("message", {"sender": text, "to": text, "id": 1, "text": text}, True)]
            for line in frame("parleyd", status_lines([Row(text, text, 1, 1, text)], 0, 80, 10**15),
                              log, (80, 24)):
                self.harmless(line)
                self.assertLessEqual(width(line), 80)

    def test_the_log_file(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "log")
            console = Console("none", -1, lambda: 0, log=path)
            for text in texts():
                console.note("rejected", name=text, address=text, reason=text)
                console.draw(0.0, str, lambda limit: ([], 0))
            console.close()
            with open(path, encoding="utf-8", newline="\n") as file:
                lines = file.read().split("\n")[:-1]
            self.assertEqual(len(lines), len(texts()))
            for line in lines:
                self.harmless(line)

    def test_quit_words_and_names_through_the_service(self) -> None:
        """From the wire to the log: nothing unseen in any line, no name that is none, and no
        crash."""
        with Service() as service:
            ann, bob = service.users("ann", "bob")
            chance = random.Random(3)
            for text in texts():
                if any("\ud800" <= char <= "\udfff" for char in text):
                    continue
                number = ann.send("bob", text)
                said = [each for each in ann.hears_all(wire.Refused) if each.id == number]
                control = any(unicodedata.category(char) == "Cc" and char not in "\n\t"
                              for char in text)
                self.assertEqual(bool(said), control or not text or text.isspace())
                ann.hears_all(wire.Stored)
                bob.confirm(*bob.hears_all(wire.Mail))
                if chance.random() < 0.2:
                    ann.say(wire.Invite(1, (text[:60],)), wire.Say(2, 1, text),
                            wire.Ignore(3, 1, text[:60]))
                    service.client(text[:60]).sock.close()
            for event, fields in service.notes.told:
                self.harmless(note_line(event, fields, True))
            self.assertEqual([user.name for user in service.mailbox.users
                              if not wire.is_name(user.name)], [])


class Archived(Base):
    def test_a_line_each_and_back_again(self) -> None:
        for number, text in enumerate(texts()):
            mail = wire.Mail(number + 1, NOON, number + 1, 0, 1, "bob",
                             text.encode("utf-8", "replace").decode())
            line = letters.line(mail)
            self.harmless(line)
            record = letters.parse(line.encode())
            assert record is not None
            self.assertEqual(record.text, mail.text)


class Words(unittest.TestCase):
    def test_the_strings_are_hostile(self) -> None:
        """Of every kind of what is not shown there is some in them."""
        seen = {unicodedata.category(char) for text in texts() for char in text}
        self.assertLessEqual(UNSEEN | {"Mn", "Me"}, seen)
        self.assertGreaterEqual(len(texts()), STRINGS)
        self.assertTrue(NASTY)


if __name__ == "__main__":
    unittest.main()

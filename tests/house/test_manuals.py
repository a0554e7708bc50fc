"""The manuals say what the programs do: each table in them that has a twin in the source is
compared with it."""
import importlib
import os
import re
import shutil
import struct
import subprocess
import sys
import unittest
from pathlib import Path
from unittest.mock import patch

import wire
from net.bodies import BODY_MAX
from net.fields import ENTRY, ROOM_ENTRY
from net.texts import RESERVED
from rules import invitations, promises, publication, rooms, window
from server import connection, heartbeat, log
from server.options import LOGIN_SECONDS, SILENCE_SECONDS
from tests.harness import service as harness
from tests.harness.service import Service

ROOT = Path(__file__).resolve().parents[2]
MAN = ROOT / "man"
PAGES = ("parleyd.8", "parley.1", "parley-wire.7", "parley-store.5")
PROGRAMS = {"parleyd.8": "daemon.py", "parley.1": "curses_client.py"}
# the kinds of fields that the manual calls by another name
KINDS = {"B": "u8", "H": "u16", "I": "u32", "Q": "u64", "16s": "key16", "32s": "key32"}
SIDES = {"client": wire.CLIENT, "daemon": wire.DAEMON, "both": wire.BOTH}
# parts that are packed or unpacked in one go, for speed
COMPOSED = ("records.PUT_WHOLE", "records.PUT_ONE")


def lines_of(page):
    return (MAN / page).read_text(encoding="utf-8").splitlines()


def section(page, title):
    """The lines of one section."""
    lines = lines_of(page)
    begin = lines.index(f".Sh {title}") + 1
    ends = [at for at in range(begin, len(lines)) if lines[at].startswith(".Sh ")]
    return lines[begin:ends[0] if ends else len(lines)]


# ---- parley-wire.7 ----

MESSAGE = r"\.It Sy ([A-Z_]+) Pq (\d+) , (client|daemon|both)(?: , answered by ([A-Z_]+))?"


def wire_table():
    """The messages as the manual has them: number, name, direction, answer, fields."""
    table = []
    for line in section("parley-wire.7", "MESSAGES"):
        if head := re.fullmatch(MESSAGE, line):
            table.append((int(head[2]), head[1], SIDES[head[3]], head[4] or "", []))
        elif row := re.fullmatch(r"\.It Va (\w+) Vt (\w+)", line):
            table[-1][4].append((row[1], row[2]))
        elif line.startswith(".It"):
            raise AssertionError(f"neither a message nor a field: {line}")
    return table


def valued(title):
    """The names with numbers in a part of the manual: `.It NOW Pq 1`."""
    return {line[1]: int(line[2])
            for line in (re.fullmatch(r"\.It ([A-Z_]+) Pq (\d+)", line) for line in title) if line}


def values_of(subsection):
    """Those of one subsection of VALUES."""
    lines = section("parley-wire.7", "VALUES")
    begin = lines.index(f".Ss {subsection}") + 1
    ends = [at for at in range(begin, len(lines)) if lines[at].startswith(".Ss ")]
    return valued(lines[begin:ends[0] if ends else len(lines)])


def numbers(names):
    """The members of a class of numbers, an enumeration or not."""
    return {name: int(value)
            for name, value in vars(names).items() if name.isupper() and isinstance(value, int)}


def order_on_page(row):
    """What clients say, and then what the daemon says; each by number."""
    return row[1].direction is wire.DAEMON, row[0]


class WireTest(unittest.TestCase):

    def test_table_of_messages(self):
        ours = [(codec.kind, wire.label(codec), codec.direction, codec.answer,
                 [(name, KINDS.get(how, how)) for name, how in codec.fields])
                for _, codec in sorted(wire.MESSAGES.items(), key=order_on_page)]
        for said, meant in zip(wire_table(), ours, strict=True):
            self.assertEqual(said, meant)

    def test_values(self):
        for subsection, enum in (("Flags of SENDS and MAILS", wire.SendFlag),
                                 ("Outcome", wire.Outcome),
                                 ("State, in an entry", wire.Presence), ("Why", wire.Why),
                                 ("Admission", wire.Admission),
                                 ("Part, in an entry of a room", wire.Part)):
            with self.subTest(subsection):
                self.assertEqual(values_of(subsection), numbers(enum))
        self.assertEqual(valued(section("parley-wire.7", "FEATURES")), numbers(wire.Feature))

    def test_limits(self):
        self.assertEqual(promises.OUTCOME_NAMES, invitations.INVITED_MAX)
        self.assertEqual(promises.OUTCOME_NAMES, publication.PAGE)
        told = [line.removeprefix(".It ") for line in section("parley-wire.7", "LIMITS")
                if line.startswith(".It ")]
        seconds = LOGIN_SECONDS, SILENCE_SECONDS, heartbeat.LEAVE_SECONDS
        self.assertEqual(told, [
            *map(str, (wire.FRAME_MAX, wire.HELLO_MAX, wire.TEXT_MAX, wire.NAME_MAX,
                       wire.NAMES_MAX, BODY_MAX, promises.OUTCOME_NAMES, rooms.MEMBERS_MAX,
                       rooms.ROOMS_OF_ONE, window.WINDOW)),
            f"{window.WINDOW_BYTES >> 10} KiB", f"{connection.READ_PAUSE_AT >> 10} KiB",
            f"{connection.UNSENT_MAX >> 20} MiB", *[f"{number:g} s" for number in seconds]])
        self.assertIn(f"and {heartbeat.ANSWER_SECONDS} s for an answer.",
                      section("parley-wire.7", "LIMITS"))

    def test_entry(self):
        numbered = zip(wire.Entry._fields[1:], ENTRY.format[1:], strict=True)
        drawn = "name word | " + " | ".join(f"{name} {KINDS[how]}" for name, how in numbered)
        self.assertIn(f" {drawn}", section("parley-wire.7", "FIELD TYPES"))
        numbered = zip(wire.RoomEntry._fields[1:5], ROOM_ENTRY.format[1:], strict=True)
        drawn = "name word | " + " | ".join(f"{name} {KINDS[how]}" for name, how in numbered)
        self.assertIn(f" {drawn} | topic word", section("parley-wire.7", "FIELD TYPES"))

    def test_example_decodes_to_what_it_says(self):
        told = 0
        for _, speaker, words, data in example():
            with self.subTest(words):
                (frame,) = wire.Decoder(wire.FRAME_MAX).feed(data)
                said = wire.decode(frame, speaker)
                self.assertEqual(wire.describe(said), words)
                self.assertEqual(wire.encode(said), data)
            told += 1
        self.assertGreater(told, 12)

    def test_a_daemon_says_what_the_example_says(self):
        """In this order; only times, and what is random, differ."""
        def told(said):
            fields = said._asdict()
            if "entries" in fields:
                fields["entries"] = [entry._replace(since=0) for entry in said.entries]
            return type(said), {name: value for name, value in fields.items()
                                if name not in ("time", "token", "store", "house")}

        with Service() as service, patch.object(harness, "BACKGROUND", ()):
            service.mailbox.register("bob", 1)
            service.run()
            clients, expected = {}, {}
            for who, speaker, words, data in example():
                if words.startswith("HELLO"):
                    clients[who], expected[who] = service.connect(), []
                if speaker is wire.CLIENT:
                    clients[who].say_bytes(data)
                    service.forward(1)
                else:
                    (said,) = wire.each(wire.decode(data[4:], speaker))
                    expected[who].append(told(said))
            for who, client in clients.items():
                client.listen()
                heard = [told(said) for said in client.heard]
                self.assertEqual(heard[:len(expected[who])], expected[who])


def example():
    """The session in EXAMPLES: whose it is, which side speaks, what the manual says of the frame,
    its bytes."""
    frames = []
    inside = False
    for line in section("parley-wire.7", "EXAMPLES"):
        if line.startswith(".Bd") or line == ".Ed":
            inside = line != ".Ed"
        elif not inside:
            continue
        elif head := re.fullmatch(r"(\w+) ([<>]) (.*)", line):
            frames.append([head[1], wire.CLIENT if head[2] == ">" else wire.DAEMON, head[3], b""])
        elif re.fullmatch(r"    [0-9a-f]{2}(?: [0-9a-f]{2})*", line):
            frames[-1][3] += bytes.fromhex(line)
        else:
            frames[-1][2] += " " + line.strip()
    return frames


# ---- parleyd.8: the events ----

class EventTest(unittest.TestCase):

    def test_every_event_with_its_fields(self):
        told = {}
        for line in section("parleyd.8", "THE EVENT LOG"):
            if row := re.fullmatch(r"\.It Sy ([a-z-]+)(?: Va ([a-z ]+))?", line):
                told[row[1]] = row[2] or ""
        self.assertEqual(told, {event: fields for event, (fields, _) in log.NOTES.items()})


# ---- parley.1: the commands ----

class CommandTest(unittest.TestCase):

    def test_every_command(self):
        commands = importlib.import_module("ui.commands").COMMANDS
        told = [line.removeprefix(".It Ic ")
                for line in section("parley.1", "COMMANDS") if line.startswith(".It Ic ")]
        self.assertEqual(told, [command.usage for command in commands.values()])

    def test_every_reserved_name(self):
        lines = section("parley.1", "DESCRIPTION")
        at = lines.index("No user can be called")
        self.assertEqual(lines[at + 2], "or")
        names = f"{lines[at + 1]} {lines[at + 3]}".replace(".Em", "").replace(",", "").rstrip(" :")
        self.assertEqual(names.split(), sorted(RESERVED))


# ---- options ----

def help_of(program, *words):
    """What a program, or one of its subcommands, prints for --help."""
    path = ROOT / program
    if not path.exists():
        raise unittest.SkipTest(f"{program} is not here")
    if program == "daemon.py" and words:        # in this process: a start for each takes seconds
        with patch.dict(os.environ, COLUMNS="80"):
            return importlib.import_module("server.control").parser(words[0]).format_help()
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "LC_ALL": "C"}
    return subprocess.run([sys.executable, str(path), *words, "--help"], env=environment,
                          check=True, capture_output=True, text=True, timeout=30).stdout


def synopsis_of_help(text):
    """The usage of --help on one line, without the program's name."""
    usage = " ".join(text.partition("\n\n")[0].split())
    return usage[usage.index(" ["):].strip()


def plain_of(line):
    """A line of mdoc as --help would write it: `.Op Fl -state Ar DIR` is `[--state DIR]`."""
    words, close = [], 0
    flag = False
    for word in line.removeprefix(".").split():
        if word in ("Op", "Oo"):
            words.append("[")
            close += word == "Op"
        elif word == "Oc":
            words.append("]")
        elif word == "Fl":
            flag = True
        elif word not in ("Ar", "Nm", "It"):
            words.append(f"-{word}" if flag else word)
            flag = False
    return " ".join(words + ["]"] * close)


def tight(text):
    """Without blanks inside brackets."""
    return text.replace("[ ", "[").replace(" ]", "]").strip()


def synopses_of_page(page):
    """A manual's SYNOPSIS as --help would write it, for the program and for each subcommand."""
    found, word = {"": []}, ""
    for line in section(page, "SYNOPSIS"):
        if line.startswith(".Nm"):
            word = ""
        elif line.startswith(".Cm "):
            word = line.removeprefix(".Cm ")
            found[word] = []
        else:
            found[word].append(plain_of(line))
    return {word: tight(" ".join(" ".join(lines).split())) for word, lines in found.items()}


def options_of_help(text):
    """Every option with its arguments: {"--state": "DIR", "-h": "", ...}."""
    found = {}
    for line in text.partition("\noptions:")[2].splitlines():
        if re.match(r"  -", line):
            for option in re.split(r"\s{2,}", line.strip())[0].split(", "):
                name, _, arguments = option.partition(" ")      # -n COUNT, --number COUNT
                found[name] = arguments if name.startswith("--") else ""
    return found


def options_of_page(lines):
    """The same of the list in a manual."""
    found = {}
    for line in lines:
        if line.startswith(".It Fl "):
            for option in line.split(" , "):
                name, _, arguments = tight(plain_of(option)).partition(" ")
                found[name] = arguments
    return found


class OptionTest(unittest.TestCase):

    def test_synopsis_is_usage(self):
        for page, program in PROGRAMS.items():
            with self.subTest(page):
                for word, synopsis in synopses_of_page(page).items():
                    self.assertEqual(synopsis, synopsis_of_help(help_of(program, *word.split())))

    def test_every_option_is_described(self):
        for page, program in PROGRAMS.items():
            with self.subTest(page):
                self.assertEqual(options_of_page(section(page, "DESCRIPTION")),
                                 options_of_help(help_of(program)))

    def test_every_subcommand_and_its_options(self):
        """In SYNOPSIS, and in a subsection of its own."""
        for page, module in (("parley.1", "ui.shell"), ("parleyd.8", "server.control")):
            lines = section(page, "SUBCOMMANDS")
            words = list(importlib.import_module(module).SUBCOMMANDS)
            self.assertEqual([line[4:] for line in lines if line.startswith(".Ss ")], words)
            self.assertEqual(list(synopses_of_page(page)), ["", *words])
            for word in words:
                part = lines[lines.index(f".Ss {word}"):]
                ends = [at for at, line in enumerate(part) if at and line.startswith(".Ss ")]
                told = options_of_help(help_of(PROGRAMS[page], word))
                self.assertEqual(options_of_page(part[:ends[0] if ends else None]), told, word)


# ---- parley-store.5 ----

def structs_of(*modules):
    """Every struct.Struct that these modules define."""
    return {f"{name.rpartition('.')[2]}.{key}": value for name in modules
            for key, value in vars(importlib.import_module(name)).items()
            if isinstance(value, struct.Struct)}


class StoreTest(unittest.TestCase):

    def test_structures(self):
        told = {}
        for line in section("parley-store.5", "STRUCTURES"):
            if row := re.fullmatch(r"\.It Sy (\w+\.\w+) Cm (\S+) No , (\d+) bytes", line):
                told[row[1]] = row[2], int(row[3])
        ours = {name: (layout.format, layout.size)
                for name, layout in structs_of("store.journal", "store.segment").items()}
        ours |= {name: (layout.format, layout.size)
                 for name, layout in structs_of("store.records").items()
                 if name != "records.RECORD" and name not in COMPOSED}
        self.assertEqual(told, ours)

    def test_drawings_have_the_sizes(self):
        """The offsets above the drawings of the header and of a batch are sums of their fields."""
        journal = importlib.import_module("store.journal")
        text = "\n".join(section("parley-store.5", "JOURNAL"))
        for layouts in ([journal.HEADER, journal.CRC], [journal.BATCH], [journal.RECORD]):
            offsets = [0]
            for part in re.findall(r"\d*s|[BHIQ]",
                                   "".join(layout.format[1:] for layout in layouts)):
                offsets.append(offsets[-1] + struct.calcsize("!" + part))
            with self.subTest(offsets):
                self.assertRegex(text, r"(?m)^ " + r"\s+".join(map(str, offsets)) + "$")

    def test_types_of_records(self):
        records = importlib.import_module("store.records")
        rows = [re.fullmatch(r"\.It ([A-Z]+), type (\d)", line)
                for line in section("parley-store.5", "JOURNAL")]
        told = {row[1]: int(row[2]) for row in rows if row}
        self.assertEqual(told, {name: getattr(records, name)
                                for name in ("NAME", "PUT", "READ", "SEEN", "ORIGINS", "SETTING",
                                             "ADDRESSED", "EXCEPT")})

    def test_kinds_of_settings(self):
        kinds = vars(importlib.import_module("rules.store").Setting).items()
        rows = [re.fullmatch(r"\.It ([A-Z]+), (\d+)", line)
                for line in section("parley-store.5", "JOURNAL")]
        told = {row[1]: int(row[2]) for row in rows if row}
        self.assertEqual(told, {name: number for name, number in kinds if name.isupper()})


# ---- markup ----

class MarkupTest(unittest.TestCase):

    def check(self, *command):
        if not shutil.which(command[0]):
            self.skipTest(f"{command[0]} is not installed")
        for page in PAGES:
            with self.subTest(page):
                done = subprocess.run([*command, str(MAN / page)], capture_output=True, text=True,
                                      timeout=60)
                said = done.stdout if command[0] == "mandoc" else done.stderr
                self.assertEqual([line for line in said.splitlines() if line], [])

    def test_mandoc_has_nothing_to_say(self):
        self.check("mandoc", "-Tlint", "-Wwarning")

    def test_groff_has_nothing_to_say(self):
        self.check("groff", "-mdoc", "-ww", "-Tutf8")


if __name__ == "__main__":
    unittest.main()

"""parley log and parley forget, as users and scripts run them: no daemon anywhere."""
import json
import os
import subprocess
import sys
import tempfile
import unittest
from datetime import datetime, timedelta
from pathlib import Path

from client import letters
from client.archive import Archive
from client.history import Chat, Sent
from tests.harness.lived_in import KEPT, TEXTS, _year
from tests.harness.process import HERE
from tests.harness.terminals import environment
from wire import Mail, SendFlag

ONE, TWO = bytes(range(16)), bytes(16)
NOON = 1_795_262_400_000_000        # 21 November 2026 12:00 UTC
HOSTILE = 'a "quoted" \\ \x1b[2J\x7f\nFrom bob: h\u00e9llo\n>From x'
SECONDS = 30.0
READ = """import json, mailbox, sys
print(json.dumps([[letter["From"], letter["To"], letter["Date"], letter["X-Parley"],
                   letter.get_payload(decode=True).decode()]
                  for letter in mailbox.mbox(sys.argv[1])]))"""


class Log(unittest.TestCase):
    def setUp(self) -> None:
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.state = Path(place.name)
        self.directory = self.state / "parley"
        self.directory.mkdir()
        self.path(ONE).write_bytes(_year())
        found = self.opened(ONE)
        found.keep([Mail(5000, NOON, 7, 0, 2, "Bob", HOSTILE),
                    Mail(5001, NOON + 1, 8, int(SendFlag.EVERYONE), 9, "carol", "drill")])
        found.note([Sent(NOON + 2, 9, 0, ("bob", "carol"), "stored", "", "mine"),
                    Sent(NOON + 3, 10, 0, ("carol",), "refused", "no room", "lost"),
                    Chat(NOON + 4, ("bob",), "bob", "which drawer?")])
        found.close()

    def opened(self, store: bytes, name: str = "ann") -> Archive:
        found = Archive(self.directory, fsync=lambda fd: None)
        self.addCleanup(found.close)
        found.open(store, name)
        return found

    def path(self, store: bytes) -> Path:
        return self.directory / f"ann.{store.hex()}.txt"

    def run_it(self, *words: str, **more: str) -> tuple[int, list[str], str]:
        """The exit code, the lines of stdout, stderr."""
        done = subprocess.run([sys.executable, HERE + "/curses_client.py", *words], timeout=SECONDS,
                              env=environment(XDG_STATE_HOME=str(self.state), TZ="UTC", **more),
                              stdin=subprocess.DEVNULL, capture_output=True)
        return done.returncode, done.stdout.decode().split("\n")[:-1], done.stderr.decode()

    def log(self, *words: str) -> list[str]:
        code, lines, err = self.run_it("log", "--name", "ann", *words)
        self.assertEqual((code, err), (0 if lines else 1, ""))
        return lines

    def test_lines_as_check_prints_them(self) -> None:
        self.assertEqual(self.log("--since", "2026-11-21"), [
            '2026-11-21 12:00 Bob > you +1: a "quoted" \\ ^[[2J^?',
            "    | From bob: h\u00e9llo", "    | >From x",
            "2026-11-21 12:00 carol > all: drill", "2026-11-21 12:00 you > bob, carol =: mine",
            "2026-11-21 12:00 you > carol ! no room: lost",
            "2026-11-21 12:00 bob > you (chat): which drawer?"])

    def test_all_of_it_and_what_is_asked_for(self) -> None:
        for count, words in ((KEPT + 5, ()), (3, ("--with", "BOB")), (KEPT // len(TEXTS), (
                "--grep", "^two\nlines")), (1, ("--grep", "(?i)WHICH")), (0, ("--grep", "^x$")),
                (0, ("--with", "nobody")), (0, ("--since", "2027-01-01")),
                (3, ("--since", "2026-11-21T12:00:00.000002Z")),
                (2, ("--since", "2026-11-21", "--until", "2026-11-21T12:00:00.000002Z")),
                (5, ("--since", "2026-11-21", "--until", "2026-11-21")),
                (KEPT, ("--until", "2026-11-20")),
                (1, ("--with", "carol", "--grep", "mine", "--since", "2026-11-21"))):
            with self.subTest(words):
                self.assertEqual(len(self.log(*words, "--json")), count)

    def test_json(self) -> None:
        told = [json.loads(line) for line in self.log("--since", "2026-11-21", "--json")]
        self.assertEqual(told[0], {
            "time": "2026-11-21T12:00:00.000000Z", "kind": "received", "from": "Bob", "to": ["ann"],
            "everyone": False, "text": HOSTILE, "origin": 7, "id": 5000, "copies": 2})
        self.assertEqual(told[3], {
            "time": "2026-11-21T12:00:00.000003Z", "kind": "sent", "from": "ann", "to": ["carol"],
            "everyone": False, "text": "lost", "origin": 10, "became": "refused",
            "reason": "no room"})
        self.assertEqual((told[4]["kind"], told[4]["to"]), ("chat", ["ann"]))
        self.assertTrue(all(line.isprintable() for line in self.log("--json")))

    def test_a_mailbox_that_python_reads(self) -> None:
        file = self.state / "mbox"
        file.write_text("\n".join(self.log("--mbox")) + "\n")
        told = subprocess.run([sys.executable, "-I", "-c", READ, str(file)], check=True, cwd="/",
                              capture_output=True, timeout=SECONDS).stdout.decode()
        letters = json.loads(told)
        self.assertEqual(len(letters), KEPT + 5)
        self.assertEqual(letters[KEPT], [
            "Bob", "ann", "Sat, 21 Nov 2026 12:00:00 +0000", "received",
            'a "quoted" \\ ^[[2J^?\n>From bob: h\u00e9llo\n>>From x\n'])
        self.assertEqual(letters[KEPT + 3][:4],
                         ["ann", "carol", "Sat, 21 Nov 2026 12:00:00 +0000", "refused"])

    def test_several_stores_by_time(self) -> None:
        other = self.opened(TWO)
        other.keep([Mail(1, NOON + n, n, 0, 1, "eve", "elsewhere") for n in (0, 3, 9)])
        other.close()
        told = self.log("--since", "2026-11-21", "--json")
        self.assertEqual(len(told), 8)
        times = [json.loads(line)["time"] for line in told]
        self.assertEqual(times, sorted(times))

    def test_whose_archive(self) -> None:
        for words, more in ((("--name", "ANN", "log"), {}), (("--name=ann", "--plain", "log"), {}),
                            (("log",), {"PARLEY_NAME": "ann", "LOGNAME": "eve"})):
            code, lines, err = self.run_it(*words, "--since", "2026-11-21", "--json", **more)
            self.assertEqual((code, len(lines), err), (0, 5, ""), words)

    def test_wrong_use_is_one_line(self) -> None:
        for code, words, said in (
                (66, ("log", "--name", "zoe"), "zoe has no archive here"),
                (64, ("log", "--name", "../x"), "a username has"),
                (64, ("log", "--since", "soon"), "is no date: 2026"),
                (64, ("log", "--since", "999999d"), "is no date"),
                (64, ("log", "--grep", "("), "missing )"),
                (64, ("log", "--json", "--mbox"), "not allowed with"),
                (64, ("log", "bob"), "unrecognized"), (64, ("forget",), "--before"),
                (64, ("--check", "log"), "not an option"),
                (66, ("forget", "--before", "today", "--name", "zoe"), "no archive")):
            found, lines, err = self.run_it(*words, LOGNAME="ann")
            self.assertEqual((found, lines, err.count("\n")), (code, [], 1), (words, err))
            self.assertIn(said, err)

    def test_a_reader_that_leaves(self) -> None:
        command = f"{sys.executable} {HERE}/curses_client.py log --name ann --json | head -1"
        done = subprocess.run(["bash", "-c", command + '; echo "${PIPESTATUS[0]}"'],
                              timeout=SECONDS, env=environment(XDG_STATE_HOME=str(self.state)),
                              capture_output=True, text=True)
        self.assertEqual((done.stdout.split("\n")[1], done.stderr), ("141", ""))

    def test_forget(self) -> None:
        before = f"{datetime.fromisoformat('2026-11-21') - timedelta(1):%Y-%m-%dT%H:%M}"
        self.assertEqual(self.run_it("forget", "--name", "ann", "--before", before), (
            0, [f"ann: forgot what was said before 2026-11-20 00:00: {KEPT * 4 // 6} received "
                f"messages, {KEPT // 6} sent messages, {KEPT // 6} lines of chats"], ""))
        self.assertEqual(len(self.log("--json")), 5)
        kept = self.opened(ONE)
        received = [mail for mail in map(letters.parse, _year().split(b"\n")) if mail]
        self.assertEqual(len(received), KEPT * 4 // 6)
        self.assertTrue(all(map(kept.has, received)))
        self.assertEqual(self.run_it("forget", "--name", "ann", "--before", "tomorrow")[0], 64)
        os.chmod(self.directory, 0o500)
        self.addCleanup(os.chmod, self.directory, 0o700)
        if os.geteuid():
            self.assertEqual(self.run_it("forget", "--name", "ann", "--before", "2027-01-01")[0],
                             74)


if __name__ == "__main__":
    unittest.main()

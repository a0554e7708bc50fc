"""The configuration file of the daemon: what it says, what is stronger, and what is wrong with
it."""
import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import daemon as program
from net.address import Address
from net.places import SYSTEM_SOCKET
from server import options, startup
from terminal import config
from tests.harness.process import HERE


class File(unittest.TestCase):
    def setUp(self) -> None:
        self.home = self.enterContext(tempfile.TemporaryDirectory())
        self.path = Path(self.home, "parleyd.conf")
        self.enterContext(mock.patch.dict(os.environ, HOME=self.home, XDG_CONFIG_HOME=self.home,
                                          XDG_STATE_HOME=self.home))

    def run_(self, *words: str) -> tuple[int, list[str]]:
        """The exit code of a program that ends at once, and what it says."""
        said: list[str] = []
        with mock.patch("terminal.printer.line", said.append), \
                mock.patch("terminal.printer.complain", lambda who, text: said.append(text)):
            try:
                return program.main(["--config", str(self.path), *words]), said
            except SystemExit as end:
                return int(end.code or 0), said

    def parse(self, text: str, *words: str) -> object:
        self.path.write_text(text)
        return options.parse(["--config", str(self.path), *words])

    def test_the_word_of_a_subcommand_and_what_may_stand_before_it(self) -> None:
        status = ["status", "--connect", "unix:/s", "--json"]
        for words, found in ((status, status),
                             (["--connect", "unix:/s", "status", "--json"], status),
                             (["--connect=unix:/s", "check"], ["check", "--connect=unix:/s"]),
                             (["--connect", "status"], []), (["--name", "status"], []), ([], [])):
            self.assertEqual(options.subcommand(words), found, words)

    def test_what_it_says(self) -> None:
        found = self.parse("""
# a comment
[listen]
listen = unix:/tmp/a
    127.0.0.1:7000
trust-names = yes
[store]
state = /srv/x
[log]
console = log
[limits]
mailbox-bytes = 2M
names-each = none
""")
        self.assertEqual([str(place[0]) for place in found.places],
                         ["unix:/tmp/a", "127.0.0.1:7000"])
        self.assertEqual((found.state, found.console, found.trust_names, found.mailbox_bytes,
                          found.names_each), ("/srv/x", "log", True, 2 << 20, 0))

    def test_the_command_line_is_stronger(self) -> None:
        text = "[listen]\nlisten = unix:/tmp/a\n[limits]\nnames = 7\n"
        found = self.parse(text, "--listen", "unix:/tmp/b", "--names", "9")
        self.assertEqual(([str(place[0]) for place in found.places], found.names),
                         (["unix:/tmp/b"], 9))

    def test_what_is_wrong(self) -> None:
        for text, line, reason in (
                ("[limits]\n\nnames = many\n", 3, "names: 'many' is neither a number"),
                ("[limits]\nmailbox = 7\n", 2, "no option mailbox is known in [limits]"),
                ("[quota]\nnames = 7\n", 1, "no section [quota] is known"),
                ("names = 7\n", 1, "a section comes first: [limits]"),
                ("nothing = 7\n", 1, "a section comes first: [listen]"),
                ("[listen]\nlisten = nowhere\n", 2, "'nowhere' is not an address"),
                ("[log]\nno-text = maybe\n", 2, "'maybe' is neither yes nor no"),
                ("[limits]\nlisten = unix:/x\n", 2, "listen stands in [listen], not in [limits]")):
            with self.subTest(text):
                self.path.write_text(text)
                for words in ((), ("--check-config",)):
                    code, said = self.run_(*words)
                    self.assertEqual(code, os.EX_CONFIG)
                    self.assertEqual(len(said), 1)
                    self.assertIn(f"{self.path}:{line}: ", said[0])
                    self.assertIn(reason, said[0])

    def test_no_file(self) -> None:
        code, said = self.run_("--check-config")
        self.assertEqual((code, said), (os.EX_CONFIG,
                                        [f"--config {self.path}: there is no such file"]))
        self.assertEqual(options.parse(["--config", "none"]).names, options.wire.LOG_MAX)

    def test_others_may_not_write_it(self) -> None:
        self.path.write_text("[limits]\nnames = 7\n")
        self.path.chmod(0o666)
        code, said = self.run_("--check-config")
        self.assertEqual(code, os.EX_CONFIG)
        self.assertIn("may be written by others", said[0])

    def test_in_the_home_of_somebody_else(self) -> None:
        """As after su: it is passed over, with a line; the host's file is not."""
        Path(self.home, "parley").mkdir()
        Path(self.home, "parley/parleyd.conf").write_text("[limits]\nnames = 7\n")
        Path(self.home, "parley/parleyd.conf").chmod(0o666)
        said: list[str] = []
        with mock.patch("terminal.printer.complain", lambda who, text: said.append(text)):
            self.assertEqual(options.parse([]).names, options.wire.LOG_MAX)
            self.assertIn("it is passed over", said[0])
            with mock.patch("server.options.HOST_FILE", f"{self.home}/parley/parleyd.conf"), \
                    self.assertRaises(SystemExit) as end:
                options.parse([])
        self.assertEqual(end.exception.code, os.EX_CONFIG)

    def test_checked(self) -> None:
        self.path.write_text("[listen]\nlisten = unix:/tmp/a\n")
        self.assertEqual(self.run_("--check-config")[0], 0)
        self.path.write_text("[listen]\nlisten = tls:127.0.0.1:1\ntls-cert = /nowhere\n")
        code, said = self.run_("--check-config")
        self.assertEqual((code, said), (os.EX_NOINPUT, ["/nowhere: No such file or directory"]))

    def test_every_option_has_a_line(self) -> None:
        """What --show-config prints is a file that says the same; each option is in it."""
        self.path.write_text("[limits]\nlogin-bytes = 2G\nrate = 5\n"
                             "[listen]\nlisten = unix:/tmp/a\n")
        _, shown = self.run_("--show-config", "--names-each", "none")
        self.assertNotIn("# /etc/parley/parleyd.conf", shown)
        self.assertIn("login-bytes = 2G", shown)
        self.assertIn("names-each = none", shown)
        self.assertIn("#mailbox-bytes = 512M", shown)
        named = {action for keys in options.SECTIONS.values() for action in keys}
        every = {config.name_of(action) for action in options._parser()._actions} - {
            "", "help", "config", "check-config", "show-config", "check-store", "salvage",
            "version"}
        self.assertEqual(named, every)
        before = options.parse(["--config", str(self.path), "--names-each", "none"])
        self.path.write_text("\n".join(row.removeprefix("#") if " = " in row else row
                                       for row in shown if not row.endswith(" =")) + "\n")
        after = options.parse(["--config", str(self.path)])
        for key in sorted(named):
            dest = key.replace("-", "_")
            self.assertEqual(getattr(after, dest), getattr(before, dest), key)

    def test_its_place(self) -> None:
        self.assertEqual(options.config_path(), f"{self.home}/parley/parleyd.conf")
        with mock.patch("net.places.host_owner", os.geteuid):
            self.assertEqual(options.config_path(), "/etc/parley/parleyd.conf")

    def test_where_the_host_s_is(self) -> None:
        """Whoever looks at the options as root learns which file the host's daemon reads."""
        for owner, told in ((os.geteuid() + 1, 1), (os.geteuid(), 0)):
            said: list[str] = []
            with mock.patch("net.places.host_owner", return_value=owner), \
                    mock.patch("terminal.printer.line", said.append), \
                    self.assertRaises(SystemExit):
                options.configured(["--show-config"])
            self.assertEqual(sum(row.startswith("# The host's daemon, ") for row in said), told)
            self.assertIn("# /etc/parley/parleyd.conf", said[:5])


class Unfound(unittest.TestCase):
    """A daemon of a user of the system, who does not own /run/parley: it may be the host's."""

    def said(self, uid: int, path: str, owner: int | None) -> list[str]:
        notes, said = mock.Mock(), list[str]()
        with mock.patch("os.geteuid", return_value=uid), \
                mock.patch("net.places.host_owner", return_value=owner), \
                mock.patch("server.startup.first_person", return_value=1000), \
                mock.patch("terminal.printer.complain", lambda who, text: said.append(text)):
            startup._say_unfound(notes, Address(path, "", 0, default=True))
        noted = [call.kwargs["reason"] for call in notes.note.call_args_list]
        self.assertEqual(noted, said)
        return said

    def test_it_says_so(self) -> None:
        with mock.patch("net.places.SYSTEM_SOCKET", "/nonexistent/parley.sock"):
            for uid in 0, 1000:
                self.assertEqual(self.said(uid, "/tmp/s", None), [])
            missing, = self.said(999, "/tmp/s", None)
        self.assertRegex(missing, "^/nonexistent is missing, .*install -d -o .* /nonexistent`")
        with mock.patch("net.places.SYSTEM_SOCKET", f"{HERE}/parley.sock"):
            roots, = self.said(999, "/tmp/s", 0)
        self.assertIn(" belongs to root, so other logins do not find this daemon", roots)
        self.assertEqual(self.said(999, SYSTEM_SOCKET, 999), [])


if __name__ == "__main__":
    unittest.main()

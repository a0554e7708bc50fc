"""A program that is started warm finds what it finds at a start with exec."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

from tests.harness import warm
from tests.harness.neighbours import TREE, Host, reason_not_to
from tests.harness.terminals import Terminal, environment

PROBE = warm.HERE + "/tests/harness/start_probe.py"
COMMAND = [sys.executable, PROBE, "--name", "ann", "a b", "\xff"]


@unittest.skipUnless(sys.platform == "linux", "warm starts need Linux")
class Warm(unittest.TestCase):
    maxDiff = None

    def setUp(self) -> None:
        self.enterContext(mock.patch.dict(warm.PROGRAMS, {PROBE: "tests.harness.start_probe"}))
        self.nurseries: dict[Any, warm.Nursery] = {}
        self.enterContext(mock.patch.object(warm, "NURSERIES", self.nurseries))
        self.addCleanup(lambda: [each.close() for each in self.nurseries.values()])

    def both(self, command: list[str] = COMMAND, **given: Any) -> None:
        """The same start, with exec and warm."""
        told = []
        for popen in (warm.COLD, warm.Popen):
            with popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, **given) as process:
                out, err = process.communicate("línea\n".encode())
            self.assertEqual((process.returncode, err), (7, b"and on stderr\n"))
            told.append(json.loads(out))
        self.assertEqual(*told)

    def test_what_is_inherited_and_what_is_given(self) -> None:
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
        self.addCleanup(signal.pthread_sigmask, signal.SIG_SETMASK, mask)
        umask = os.umask(0o027)
        self.addCleanup(os.umask, umask)
        with mock.patch.object(warm, "ENOUGH", 1):
            self.both()
            self.both(env=environment(TZ="Asia/Tokyo", ODD="\xfe"), cwd="/",
                      start_new_session=True)
            self.both(env=environment(LC_ALL="C", PYTHONUNBUFFERED="1"))
        self.assertEqual(len(self.nurseries), 3)

    @unittest.skipIf(reason_not_to(), reason_not_to())
    def test_under_another_login_in_a_host_of_its_own(self) -> None:
        host = Host()
        self.addCleanup(host.close)
        shutil.copy(PROBE, host.path(TREE))
        host.path(f"{TREE}/{Path(PROBE).name}").chmod(0o644)
        self.enterContext(mock.patch.dict(warm.PROGRAMS, {
            f"{warm.HERE}/{Path(PROBE).name}": Path(PROBE).stem}))
        with mock.patch.object(warm, "ENOUGH", 1):
            for login in "alice", "root":
                self.both(host.command(login, sys.executable, f"{TREE}/{Path(PROBE).name}", "x"))
        self.assertEqual(len(self.nurseries), 1)

    def test_on_a_terminal(self) -> None:
        seen = []
        for popen in (warm.COLD, warm.Popen):
            with (mock.patch.object(subprocess, "Popen", popen),
                  mock.patch.object(warm, "ENOUGH", 1),
                  Terminal(COMMAND, environment("xterm"), rows=24, cols=2000) as terminal):
                self.assertEqual(terminal.wait(), 7)
                seen.append(terminal.transcript)
        self.assertEqual(*seen)
        self.assertEqual(len(self.nurseries), 1)

    def test_a_child_that_is_killed_is_a_child_of_ours(self) -> None:
        with tempfile.TemporaryFile() as out, mock.patch.object(warm, "ENOUGH", 1):
            reading, writing = os.pipe()
            child = warm.Popen(COMMAND, stdin=reading, stdout=out)
            os.close(reading)
            self.assertIsNone(child.poll())
            child.kill()
            self.assertEqual(child.wait(), -signal.SIGKILL)
            os.close(writing)
        self.assertEqual(len(self.nurseries), 1)

    def test_other_starts_are_real_ones(self) -> None:
        with mock.patch.object(warm, "ENOUGH", 1):
            for command, given in ((["sh", "-c", 'exec "$@"', "sh", *COMMAND], {}),
                                   ([sys.executable, "-I", PROBE], {}), (COMMAND, {"umask": 0o77}),
                                   (COMMAND, {"preexec_fn": os.getpid}), (COMMAND, {"shell": 1})):
                with warm.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, **given) as process:
                    process.communicate()
            ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
            self.addCleanup(signal.signal, signal.SIGHUP, ignored)
        self.assertEqual(self.nurseries, {})


if __name__ == "__main__":
    unittest.main()

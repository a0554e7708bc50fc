"""The runner's second run: what failed beside others runs again, alone."""
import contextlib
import io
import os
import signal
import tempfile
import unittest
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

from tests import __main__ as runner
from tests.harness.terminals import until


class Kinds:
    """Where nobody looks for tests."""

    class Sample(unittest.TestCase):
        """Tests that write down that they ran, and then fail for as often as they are told."""
        directory: ClassVar[str]
        fails: ClassVar[dict[str, int]]

        def times(self, name: str) -> int:
            """How often it has run."""
            with open(Path(self.directory, name), "a+") as file:
                file.write("x")
                return file.tell()

        def fail_some_times(self, name: str) -> None:
            self.assertGreater(self.times(name), self.fails.get(name, 0))

        def test_one(self) -> None:
            self.fail_some_times("one")

        def test_other(self) -> None:
            with self.subTest("a part", of="it"):
                self.fail_some_times("other")
            self.assertTrue(True)

        def test_third(self) -> None:
            self.fail_some_times("third")

        def test_good(self) -> None:
            self.times("good")

    class Unready(Sample):
        @classmethod
        def setUpClass(cls) -> None:
            cls("test_one").fail_some_times("class")


class Again(unittest.TestCase):
    def ran(self, kind: type[Kinds.Sample], **fails: int) -> tuple[int, str, dict[str, int]]:
        """Exit status, what was printed, and how often each test ran."""
        with tempfile.TemporaryDirectory() as directory:
            made: type[Any] = type(kind.__name__, (kind,), {
                "directory": directory, "fails": fails})
            cases = [made(name) for name in ("test_one", "test_other", "test_third", "test_good")]
            tally = runner.Tally(len(cases), False)
            with contextlib.redirect_stdout(io.StringIO()) as out:
                runner.Run(runner.units(cases, {}), 1, tally).run()
                runner.again(cases, tally)
                status = tally.close()
            times = {path.name: len(path.read_text()) for path in Path(directory).iterdir()}
        return status, out.getvalue(), times

    def last(self, said: str) -> str:
        return said.splitlines()[-1]

    def test_nothing_failed(self) -> None:
        status, said, times = self.ran(Kinds.Sample)
        self.assertEqual((status, self.last(said)), (0, "4 passed, 0 failed, 0 skipped"))
        self.assertEqual(set(times.values()), {1})

    def test_two_that_pass_alone_are_flaky(self) -> None:
        status, said, times = self.ran(Kinds.Sample, one=1, other=1)
        self.assertEqual((status, self.last(said)), (0, "4 passed, 0 failed, 0 skipped, 2 flaky"))
        self.assertEqual((said.count("\nFLAKY: "), said.count("\nFAIL: ")), (2, 2))
        self.assertEqual(times, {"one": 2, "other": 2, "third": 1, "good": 1})

    def test_three_are_too_many(self) -> None:
        status, said, _ = self.ran(Kinds.Sample, one=1, other=1, third=1)
        self.assertEqual((status, self.last(said)), (1, "1 passed, 3 failed, 0 skipped"))

    def test_one_that_fails_alone_has_failed(self) -> None:
        status, said, times = self.ran(Kinds.Sample, one=9, other=1)
        self.assertEqual((status, self.last(said)), (1, "3 passed, 1 failed, 0 skipped, 1 flaky"))
        self.assertRegex(said, r"\nFAILED: .*test_one\n")
        self.assertEqual(times["one"], 2)

    def test_a_class_that_could_not_be_set_up(self) -> None:
        """All its tests failed: four are more than may be let pass."""
        for most, code in ((runner.FLAKY_MAX, 1), (4, 0)):
            with mock.patch.object(runner, "FLAKY_MAX", most):
                self.assertEqual(self.ran(Kinds.Unready, **{"class": 1})[0], code)

    def test_a_broken_tree_is_not_run_again(self) -> None:
        with mock.patch.object(runner, "AGAIN_MAX", 1):
            status, said, times = self.ran(Kinds.Sample, one=1, other=1)
        self.assertEqual((status, times["one"]), (1, 1))
        self.assertNotIn("again, alone", said)


class InMemory(unittest.TestCase):
    def test_a_test_that_is_stopped_cleans_up(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            here, seen = Path(directory, "here"), Path(directory, "seen")

            def test(case: unittest.TestCase) -> None:
                case.addCleanup(seen.touch)
                here.touch()
                signal.pause()

            made: Any = type("Long", (unittest.TestCase,), {"test": test})
            run = runner.Run(runner.units([made("test")], {}), 1, runner.Tally(1, False))
            run._next(None, waiting=False)
            (key,) = run.selector.get_map().values()
            until(here.exists, 30, "the test")
            run.stop()
            self.assertTrue(seen.exists())
        self.assertEqual(len(run.selector.get_map()), 0)
        self.assertRaises(ChildProcessError, os.waitpid, key.data.pid, 0)

    def test_tests_about_disks_have_a_disk(self) -> None:
        from tests.programs.test_heartbeat import Heartbeat
        from tests.torture.test_kills import Kills
        for case, on_disk in ((Heartbeat("run"), True), (Kills("run"), True), (self, False)):
            self.assertEqual(runner.is_about_disks(case), on_disk)

    def test_only_where_there_is_room_and_programs_may_run(self) -> None:
        with tempfile.TemporaryDirectory() as place, mock.patch.object(runner, "SHM", place):
            for full, room, flags, made in ((False, 1 << 20, 0, True), (False, 1 << 19, 0, False),
                                            (False, 1 << 20, os.ST_NOEXEC, False),
                                            (True, 1 << 20, 0, False)):
                found = mock.Mock(f_bavail=room, f_frsize=2048, f_flag=flags)
                with (mock.patch.object(runner, "FULL", full),
                      mock.patch.object(runner.os, "statvfs", lambda _, found=found: found)):
                    self.assertEqual(bool(runner.directory_in_memory()), made)
            mode = next(Path(place).iterdir()).stat().st_mode
            self.assertEqual(mode & 0o7777, 0o1777)


if __name__ == "__main__":
    unittest.main()

"""The runner of the tests: all of them, or those of a room, on all processors.

    python3 -m tests [-v] [--again] [-j JOBS] [WHAT ...]

WHAT is a room (store), a module (test_mailbox), a path (tests/store), or a name as unittest writes
it (tests.store.test_mailbox.TestNames).  Without one, all tests run.

How it works
    The runner loads all tests, then forks the workers; a worker runs one unit of work after the
    other.  A unit is a TestCase class, or a single test of a class that takes longer than
    SPLIT_SECONDS and has no fixture.  The longest units begin.  JOBS workers run the units that
    compute, by default half as many again as there are processors, for these wait a little too; as
    many more, unless JOBS is 1, run only units that mostly wait, which need hardly a processor.
    How long a test took, and how much of that was processor time, stands in TIMES, from the last
    run here; in a fresh clone in the committed SEED, which is a copy of such a file.  Both are
    hints: without them the tests only take longer.
    Temporary files are in memory (SHM), but for those of tests about disks; in `make test-all` all
    are where TMPDIR says.
    A worker reports through a pipe of its own, one line of JSON for each test, so that the output
    of tests goes where it always went.  When a worker dies, its unit has failed, and another
    worker takes its place.  A worker is also replaced when its tests have left many descriptors
    open, as the tests of killed stores do.

How it ends
    Each failure is shown when it happens and named again at the end.  So is each reason why tests
    were skipped.  The last line counts: `1315 passed, 0 failed, 3 skipped`.  The exit status is 1
    when a test failed.
    With --again the tests that failed run once more, one at a time, when all others are done.  Up
    to FLAKY_MAX of them are let pass if they pass now: they are named as FLAKY, and counted in the
    last line.  A test that fails alone has failed; so have all if more than AGAIN_MAX failed.
"""
from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import selectors
import shutil
import signal
import sys
import tempfile
import time
import traceback
import unittest
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.harness import HOUSES, warm
from tests.harness.process import FULL

HOME = Path(__file__).resolve().parent.parent
TIMES = HOME / ".test-times"        # {test: [seconds, processor seconds]} of the last run here
SEED = HOME / "tests/times.json"    # the same of the tests that take long, for a fresh clone
SHOW_SECONDS = 10.0                 # between two lines of progress, where there is no terminal
SPLIT_SECONDS = 4.0                 # a class that takes longer is run test by test
NEW_SECONDS = 0.02                  # assumed for a test that was never measured: most take less
WAITS = 0.4                         # of its seconds a test may compute and still count as waiting
SOME_SECONDS = 1.0                  # a unit below this is not worth a worker of its own kind
SHM, SHM_ROOM = "/dev/shm", 2 << 30  # where temporary files are, if there is so much room
MEMORY = "PARLEY_TEST_MEMORY"       # environment: the directory there, for the workers
AGAIN_MAX = 10                      # failures; more are no accident, and would take long
FLAKY_MAX = 2                       # tests that may fail beside others in a run, and pass alone
FIXTURES = ("setUpClass (", "tearDownClass (", "setUpModule (", "tearDownModule (")
STOP_SECONDS = 10                   # for a test to clean up, in a run that is stopped
OPEN_MAX = 200                      # descriptors a worker may have open when it is given a unit


# ---- what there is to run ----

class Unit(NamedTuple):
    """What a worker runs at once: a class, or one test of a class that takes long."""
    name: str
    cases: tuple[unittest.TestCase, ...]
    seconds: float
    waits: bool


def cases(suite: Any) -> Iterator[unittest.TestCase]:
    """The tests of a suite, one by one."""
    for each in suite:
        if isinstance(each, unittest.TestSuite):
            yield from cases(each)
        else:
            yield each


def class_of(case: unittest.TestCase) -> str:
    """The class of a test, as unittest names it.  A broken module is a class too."""
    if type(case).__module__ == "unittest.loader":
        return str(case._testMethodName)
    return f"{type(case).__module__}.{type(case).__qualname__}"


def chosen(what: Sequence[str]) -> list[unittest.TestCase]:
    """The tests to run.  Raises SystemExit for a name of nothing."""
    tests = unittest.defaultTestLoader.discover(str(HOME / "tests"), top_level_dir=str(HOME))
    found = {case.id(): case for case in cases(tests)}
    wanted: dict[str, unittest.TestCase] = {}
    for name in [each.strip("/").removesuffix(".py").replace("/", ".") for each in what] or [""]:
        named = {test: case for test, case in found.items()
                 if not name or f".{name}." in f".{class_of(case)}.{case._testMethodName}."}
        if not named:
            raise SystemExit(f"tests: there is no room, module, class or test {name!r}")
        wanted |= named
    return list(wanted.values())


def units(wanted: Iterable[unittest.TestCase], times: dict[str, list[float]]) -> list[Unit]:
    """The units of these tests, the longest last."""
    classes: dict[str, list[unittest.TestCase]] = {}
    for case in wanted:
        classes.setdefault(class_of(case), []).append(case)
    found = []
    for name, its in classes.items():
        whole = unit(name, its, times)
        has_fixture = (type(its[0]).setUpClass.__func__ is not unittest.TestCase.setUpClass.__func__
                       or hasattr(sys.modules[type(its[0]).__module__], "setUpModule"))
        is_split = whole.seconds > SPLIT_SECONDS and not has_fixture
        found += [unit(case.id(), [case], times) for case in its] if is_split else [whole]
    return sorted(found, key=lambda each: each.seconds)


def unit(name: str, its: Sequence[unittest.TestCase], times: dict[str, list[float]]) -> Unit:
    took = [times.get(case.id(), [NEW_SECONDS, NEW_SECONDS]) for case in its]
    seconds, computing = sum(wall for wall, _ in took), sum(cpu for _, cpu in took)
    waits = seconds > SOME_SECONDS and computing < WAITS * seconds
    return Unit(name, tuple(its), seconds, waits)


# ---- the worker ----

def processor_seconds() -> float:
    """What this process and its children that have ended have taken so far."""
    return sum(os.times()[:4])


class Report(unittest.TestResult):
    """Says what became of each test, a line of JSON each."""

    def __init__(self, out: Any) -> None:
        super().__init__()
        self.out, self.failfast, self.buffer = out, False, False
        self.begun, self.computed = 0.0, 0.0

    def tell(self, kind: str, test: Any, detail: str = "") -> None:
        print(json.dumps([kind, test.id(), detail]), file=self.out, flush=True)

    def startTest(self, test: Any) -> None:
        super().startTest(test)
        self.begun, self.computed = time.monotonic(), processor_seconds()

    def stopTest(self, test: Any) -> None:
        super().stopTest(test)
        took = time.monotonic() - self.begun, processor_seconds() - self.computed
        print(json.dumps(["took", test.id(), *took]), file=self.out, flush=True)

    def addSuccess(self, test: Any) -> None:
        self.tell("passed", test)

    def addError(self, test: Any, err: Any) -> None:
        detail = self._exc_info_to_string(err, test)                # type: ignore[attr-defined]
        self.tell("failed", test, detail)

    addFailure = addError

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        if err is not None:
            self.addError(subtest, err)

    def addSkip(self, test: Any, reason: str) -> None:
        self.tell("skipped", test, reason)

    def addExpectedFailure(self, test: Any, err: Any) -> None:
        self.tell("passed", test)

    def addUnexpectedSuccess(self, test: Any) -> None:
        self.tell("failed", test, "it was expected to fail\n")


def work(orders: int, reports: int, all_units: Sequence[Unit]) -> None:
    """The worker: the number of a unit a line; reports, and `[OPEN]` after each unit."""
    if not FULL:
        warm.install()
    disk = tempfile.gettempdir()
    with open(orders, encoding="ascii") as wanted, open(reports, "w", encoding="utf-8") as out:
        running = list[Report]()
        end_by_signal(running)
        for line in wanted:
            unit = all_units[int(line)]
            in_memory = "" if is_about_disks(unit.cases[0]) else os.environ.get(MEMORY)
            tempfile.tempdir = os.environ["TMPDIR"] = in_memory or disk
            running[:] = [report := Report(out)]
            unittest.TestSuite(unit.cases).run(report)
            if report.shouldStop:
                return
            for case in unit.cases:         # the runner's list holds them; what they held can go
                vars(case).clear()
            print(json.dumps([descriptors()]), file=out, flush=True)


def descriptors() -> int:
    """How many this process has open, without those in cycles of garbage."""
    if len(os.listdir("/dev/fd")) > OPEN_MAX:
        gc.collect()
    return len(os.listdir("/dev/fd"))


def end_by_signal(running: list[Report]) -> None:
    """From now on SIGTERM ends this worker: the test that runs has failed, and cleans up.

    One handler for all units: warm.py looks whether the signals are as they were."""
    worker = os.getpid()

    def end(number: int, frame: object) -> None:
        if os.getpid() != worker or any(each.shouldStop for each in running):
            signal.signal(number, signal.SIG_DFL)           # a fork of it, or it is told again
            os.kill(os.getpid(), number)
            return
        for each in running:
            each.stop()
        signal.alarm(STOP_SECONDS)
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, end)


def is_about_disks(case: unittest.TestCase) -> bool:
    """Whether a test needs its files on a real disk: all of torture, and modules with ON_DISK."""
    module = type(case).__module__
    return ".torture." in module or hasattr(sys.modules[module], "ON_DISK")


class Worker:
    """One worker process, forked, and the unit that it runs.

    `waiting`: it takes only units that mostly wait."""

    def __init__(self, all_units: Sequence[Unit], others: Iterable[Worker], waiting: bool) -> None:
        self.waiting, self.unit = waiting, all_units[0]
        theirs, self.orders = os.pipe()
        self.reports, their_reports = os.pipe()
        self.rest = b""
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if not self.pid:
            self._child(theirs, their_reports, all_units, others)
        os.close(theirs)
        os.close(their_reports)
        os.set_blocking(self.reports, False)

    def _child(self, orders: int, reports: int, all_units: Sequence[Unit],
               others: Iterable[Worker]) -> None:
        """Never returns, and runs nothing that the runner has registered for its own end."""
        status = 1
        try:
            for worker in (self, *others):          # or their end would not be seen
                os.close(worker.orders)
                os.close(worker.reports)
            work(orders, reports, all_units)
            status = 0
        except (KeyboardInterrupt, SystemExit):
            pass
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def give(self, number: int, unit: Unit) -> None:
        self.unit = unit
        os.write(self.orders, b"%d\n" % number)

    def hear(self) -> list[Any] | None:
        """What it reports; None when it is dead."""
        data = os.read(self.reports, 1 << 20)
        *lines, self.rest = (self.rest + data).split(b"\n")
        return [json.loads(line) for line in lines] if data else None

    def end(self) -> int:
        """Let it end; its exit status, or minus the signal that killed it."""
        os.close(self.orders)
        os.close(self.reports)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


# ---- the run ----

class Tally:
    """What became of the tests so far, and the words for it."""

    def __init__(self, total: int, verbose: bool) -> None:
        self.total, self.verbose = total, verbose
        self.passed, self.failed, self.flaky = 0, [], []    # type: int, list[str], list[str]
        self.skipped: Counter[str] = Counter()
        self.begun = self.shown = time.monotonic()
        self.is_terminal = sys.stdout.isatty()

    def count(self, kind: str, test: str, detail: str) -> None:
        self.passed += kind == "passed"
        if kind == "failed":
            self.failed.append(test)
            self._write(f"\nFAIL: {test}\n{detail}\n")
        elif kind == "skipped":
            self.skipped[detail] += 1
        if self.verbose:
            self._write(f"{kind}: {test}" + f" ({detail})" * (kind == "skipped") + "\n")

    def show(self) -> None:
        """How far the run is: on a terminal always, elsewhere now and then."""
        now, done = time.monotonic(), self.passed + self.skipped.total() + len(self.failed)
        seconds = now - self.begun
        text = f"{done} of {self.total} tests, {len(self.failed)} failed, {seconds:.0f} s"
        if self.is_terminal:
            self._write(f"\r\x1b[K{text}")
        elif now - self.shown > SHOW_SECONDS:
            self.shown = now
            self._write(text + "\n")

    def forgive(self, flaky: Sequence[str], alone: Tally) -> None:
        """These failed beside others and passed alone, in another run."""
        self.flaky, self.failed = list(flaky), alone.failed
        self.passed += alone.passed

    def close(self) -> int:
        """The last words; the exit status."""
        if self.is_terminal:
            self._write("\r\x1b[K")
        for test in self.flaky:
            print(f"FLAKY: {test} failed beside others, see FAIL above, and passed alone")
        for reason, times in sorted(self.skipped.items()):
            print(f"skipped {times}: {reason}")
        for test in self.failed:
            print(f"FAILED: {test}")
        seconds = time.monotonic() - self.begun
        print(f"{seconds:.0f} seconds, {processor_seconds():.0f} of a processor")
        failed, skipped = len(self.failed), self.skipped.total()
        print(f"{self.passed} passed, {failed} failed, {skipped} skipped"
              + f", {len(self.flaky)} flaky" * bool(self.flaky))
        return int(bool(failed) or not self.passed)

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


class Run:
    """All units, given out to the workers."""

    def __init__(self, all_units: Sequence[Unit], jobs: int, tally: Tally) -> None:
        self.units, self.jobs, self.tally = all_units, jobs, tally
        self.waiting = [number for number, each in enumerate(all_units) if each.waits]
        self.computing = [number for number, each in enumerate(all_units) if not each.waits]
        self.times: dict[str, list[float]] = {}
        self.selector = selectors.DefaultSelector()

    def run(self) -> None:
        for _ in range(self.jobs):
            self._next(None, waiting=False)
        for _ in range(self.jobs if self.jobs > 1 else 0):
            self._next(None, waiting=True)
        while self.selector.get_map():
            for key, _ in self.selector.select(SHOW_SECONDS):
                self._hear(key.data)
            self.tally.show()

    def _take(self, waiting: bool) -> int | None:
        """The number of the longest unit that is left for such a worker."""
        for numbers in (self.waiting,) if waiting else (self.computing, self.waiting):
            if numbers:
                return numbers.pop()
        return None

    def _next(self, worker: Worker | None, waiting: bool) -> None:
        """Give a worker, or a new one, its next unit; or let it end."""
        number = self._take(waiting)
        if number is None:
            if worker is not None:
                self._end(worker)
            return
        if worker is None:
            others = [key.data for key in self.selector.get_map().values()]
            worker = Worker(self.units, others, waiting)
            self.selector.register(worker.reports, selectors.EVENT_READ, worker)
        worker.give(number, self.units[number])

    def stop(self) -> None:
        """End the workers that are left, of a run that was interrupted."""
        left = [key.data for key in self.selector.get_map().values()]
        for worker in left:
            os.kill(worker.pid, signal.SIGTERM)
        for worker in left:
            os.set_blocking(worker.reports, True)
            while worker.hear() is not None:
                pass
            self._end(worker)

    def _end(self, worker: Worker) -> int:
        self.selector.unregister(worker.reports)
        return worker.end()

    def _hear(self, worker: Worker) -> None:
        reports = worker.hear()
        if reports is None:
            name, status = worker.unit.name, self._end(worker)
            self.tally.count("failed", name, f"its worker ended with status {status}\n")
            self._next(None, worker.waiting)
            return
        for report in reports:
            if report[0] == "took":
                self.times[report[1]] = [round(seconds, 2) for seconds in report[2:]]
            elif len(report) > 1:
                self.tally.count(*report)
            elif report[0] > OPEN_MAX:
                self._end(worker)
                self._next(None, worker.waiting)
            else:
                self._next(worker, worker.waiting)


def blamed(failed: Iterable[str], among: Iterable[unittest.TestCase]) -> list[unittest.TestCase]:
    """The tests that these names of failures speak of: of a test, a subtest, a class that could not
    be set up, or the unit of a worker that died."""
    names = {name.rpartition("(")[2].rstrip(")") if name.startswith(FIXTURES)
             else name.partition(" ")[0] for name in failed}
    return [case for case in among
            if names & {case.id(), class_of(case), type(case).__module__}]


def again(wanted: Sequence[unittest.TestCase], tally: Tally) -> None:
    """Run what failed once more, with nothing beside it, and forgive what passes now."""
    cases = blamed(tally.failed, wanted)
    if not cases or len(cases) > AGAIN_MAX:
        return
    print(f"\nagain, alone: {', '.join(case.id() for case in cases)}", flush=True)
    alone = Tally(len(cases), tally.verbose)
    Run([unit(case.id(), [case], {}) for case in cases], 1, alone).run()
    fail_alone = blamed(alone.failed, cases)
    flaky = [case.id() for case in cases if case not in fail_alone]
    if len(flaky) <= FLAKY_MAX and len(flaky) == alone.passed:
        tally.forgive(flaky, alone)


def directory_in_memory() -> str | None:
    """A new one for temporary files, if `make test` may have it: no test there waits for a disk."""
    with contextlib.suppress(OSError):
        room = os.statvfs(SHM)
        is_usable = room.f_bavail * room.f_frsize >= SHM_ROOM and not room.f_flag & os.ST_NOEXEC
        if is_usable and not FULL:
            made = tempfile.mkdtemp(prefix="pt-", dir=SHM)      # short, for the paths of sockets
            os.chmod(made, 0o1777)                              # some tests run as nobody
            return made
    return None


def remembered() -> dict[str, list[float]]:
    """{test: [seconds, processor seconds]} of the last run here, or of the run in SEED."""
    for path in (TIMES, SEED):
        with contextlib.suppress(OSError, ValueError):
            times: dict[str, list[float]] = json.loads(path.read_text())
            return times
    return {}


def remember(times: dict[str, list[float]]) -> None:
    """Keep them for the next run.  A tree that belongs to another user stays as it is."""
    with contextlib.suppress(OSError):
        rows = (f"{json.dumps(test)}: {json.dumps(took)}" for test, took in sorted(times.items()))
        TIMES.write_text("{\n" + ",\n".join(rows) + "\n}\n")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m tests",
                                     description="Run the tests on all processors.")
    parser.add_argument("what", nargs="*", help="a room, module, class or test; all by default")
    parser.add_argument("-v", "--verbose", action="store_true", help="name each test, show figures")
    processors = len(os.sched_getaffinity(0))
    parser.add_argument("-j", "--jobs", type=int, default=processors + processors // 2,
                        help="worker processes for the tests that compute")
    parser.add_argument("--again", action="store_true",
                        help="run what failed once more, alone; let a flaky test or two pass")
    options = parser.parse_args()
    os.chdir(HOME)
    runner = os.getpid()
    signal.signal(signal.SIGTERM, lambda number, frame: (   # the files in memory go with it
        sys.exit if os.getpid() == runner else os._exit)(128 + number))
    warnings.simplefilter("default", ResourceWarning)
    times = remembered()
    wanted = chosen(options.what)
    tally = Tally(len(wanted), options.verbose)
    run = Run(units(wanted, times), options.jobs, tally)
    memory = directory_in_memory()
    houses = tempfile.mkdtemp(prefix="parley-houses-", dir=memory)
    os.environ[HOUSES], os.environ[MEMORY] = houses, memory or ""
    gc.freeze()
    try:
        run.run()
        if options.again and tally.failed:
            again(wanted, tally)
    finally:
        run.stop()
        for directory in houses, memory:
            if directory:
                shutil.rmtree(directory, ignore_errors=True)
    remember(times | run.times if options.what else run.times)
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())

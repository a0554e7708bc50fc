"""The runner of the tests: all of them, or those of a room, on all processors.

    python3 -m tests [-v] [-j JOBS] [WHAT ...]

WHAT is a room (store), a module (test_mailbox), or a name as unittest writes it
(tests.store.test_mailbox.TestNames).  Without one, all tests run.

How it works
    The unit of work is a TestCase class.  Each of JOBS worker processes asks for the next class when
    it is done with one.  The classes that took longest in the last run (TIMES) begin; a class with
    `alone = True` measures time, and runs at the end, while nothing else does.
    A worker reports through a pipe of its own, one line of JSON for each test, so that what a test
    prints goes where it always went.  When a worker dies, its class has failed, and another worker
    takes its place; so it is when the tests of a worker have left many descriptors open, as those of
    killed stores do.

How it ends
    Each failure is shown when it happens, and named again at the end; so is why a test was skipped.
    The last line counts: `1315 passed, 0 failed, 3 skipped`.  The exit status is 1 when one failed.
"""
from __future__ import annotations

import argparse
import gc
import json
import os
import selectors
import subprocess
import sys
import time
import unittest
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parent.parent
TIMES = HOME / ".test-times"        # seconds of each class in the last run: a hint, and never needed
SHOW_SECONDS = 10.0                 # between two lines of progress, where there is no terminal
NEW_CLASS = 5.0                     # seconds that a class may take of which nothing is known
OPEN_MAX = 200                      # descriptors that a worker may have open when it is given a class


# ---- what there is to run ----

def cases(suite: Any) -> Iterator[unittest.TestCase]:
    """The tests of a suite, one by one."""
    for each in suite:
        if isinstance(each, unittest.TestSuite):
            yield from cases(each)
        else:
            yield each


def class_of(case: unittest.TestCase) -> str:
    """The class of a test, as unittest names it; a module that can't be imported has a test of its own."""
    if type(case).__module__ == "unittest.loader":
        return str(case._testMethodName)
    return f"{type(case).__module__}.{type(case).__qualname__}"


def chosen(what: Sequence[str]) -> Counter[str]:
    """The classes to run, and how many tests each has.  Raises SystemExit for a name of nothing."""
    found = list(cases(unittest.defaultTestLoader.discover(str(HOME / "tests"), top_level_dir=str(HOME))))
    counts: Counter[str] = Counter()
    for name in what or [""]:
        wanted = [case for case in found if not name or f".{name}." in f".{class_of(case)}."]
        if not wanted:
            raise SystemExit(f"tests: there is no room, module or class {name!r}")
        counts |= Counter(map(class_of, wanted))
    return counts


def is_alone(name: str) -> bool:
    """Whether a class measures time, so that nothing may run beside it."""
    module, _, cls = name.rpartition(".")
    return bool(getattr(getattr(sys.modules.get(module), cls, None), "alone", False))


# ---- the worker ----

class Report(unittest.TestResult):
    """Says what became of each test, a line of JSON each."""

    def __init__(self, out: Any) -> None:
        super().__init__()
        self.out, self.failfast, self.buffer = out, False, False
        self.said = False

    def tell(self, kind: str, test: Any, detail: str = "") -> None:
        self.said = True
        print(json.dumps([kind, test.id(), detail]), file=self.out, flush=True)

    def startTest(self, test: Any) -> None:
        super().startTest(test)
        self.said = False

    def addSuccess(self, test: Any) -> None:
        self.tell("passed", test)

    def addError(self, test: Any, err: Any) -> None:
        self.tell("failed", test, self._exc_info_to_string(err, test))      # type: ignore[attr-defined]

    addFailure = addError

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        if err is not None:
            self.tell("failed", subtest, self._exc_info_to_string(err, test))   # type: ignore[attr-defined]

    def addSkip(self, test: Any, reason: str) -> None:
        self.tell("skipped", test, reason)

    def addExpectedFailure(self, test: Any, err: Any) -> None:
        self.tell("passed", test)

    def addUnexpectedSuccess(self, test: Any) -> None:
        self.tell("failed", test, "it was expected to fail\n")


def work(descriptor: int) -> None:
    """The worker: a class a line on stdin; reports to the descriptor, and `[OPEN]` after each class."""
    with open(descriptor, "w", encoding="utf-8") as out:
        for line in sys.stdin:
            suite = unittest.defaultTestLoader.loadTestsFromName(line.strip())
            suite.run(Report(out))
            gc.collect()
            print(json.dumps([len(os.listdir("/dev/fd"))]), file=out, flush=True)


class Worker:
    """One worker process, and the class that it runs."""

    def __init__(self, number: int, verbose: bool) -> None:
        self.number = number
        inner, outer = os.pipe()
        os.set_blocking(inner, False)
        self.process = subprocess.Popen(
            [sys.executable, "-W", "default::ResourceWarning", "-m", "tests", "--work", str(outer), *["-v"] * verbose],
            stdin=subprocess.PIPE, pass_fds=[outer], cwd=HOME, text=True)
        os.close(outer)
        self.pipe, self.rest = inner, b""
        self.name, self.begun = "", 0.0

    def give(self, name: str) -> None:
        assert self.process.stdin is not None
        self.name, self.begun = name, time.monotonic()
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()

    def hear(self) -> list[Any] | None:
        """What it reports; None when it is dead."""
        data = os.read(self.pipe, 1 << 20)
        *lines, self.rest = (self.rest + data).split(b"\n")
        return [json.loads(line) for line in lines] if data else None

    def end(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        os.close(self.pipe)
        return self.process.wait()


# ---- the run ----

class Run:
    """All classes, given out to the workers; counts what they report."""

    def __init__(self, counts: Counter[str], jobs: int, verbose: bool) -> None:
        self.total, self.verbose, self.jobs = counts.total(), verbose, jobs
        self.times: dict[str, float] = json.loads(TIMES.read_text()) if TIMES.exists() else {}
        longest_last = sorted(counts, key=lambda name: self.times.get(name, NEW_CLASS))
        self.alone = [name for name in longest_last if is_alone(name)]
        self.beside = [name for name in longest_last if not is_alone(name)]
        self.failed: list[str] = []
        self.skipped: Counter[str] = Counter()
        self.passed = self.workers_made = 0
        self.begun = self.shown = time.monotonic()
        self.selector = selectors.DefaultSelector()

    def run(self) -> None:
        self._share(self.beside, self.jobs)
        self._share(self.alone, 1)
        self._line("\r\x1b[K" if sys.stdout.isatty() else "")
        TIMES.write_text(json.dumps(self.times, indent=0, sort_keys=True))

    def _share(self, names: list[str], jobs: int) -> None:
        """Let workers run these classes, from the last to the first, until all are done."""
        for _ in range(min(jobs, len(names))):
            self._next(None, names)
        while self.selector.get_map():
            for key, _ in self.selector.select(SHOW_SECONDS):
                self._hear(key.data, names)
            self._show()

    def _next(self, worker: Worker | None, names: list[str]) -> None:
        """Give a worker its next class, or let it end."""
        if names:
            if worker is None:
                self.workers_made += 1
                worker = Worker(self.workers_made, self.verbose)
                self.selector.register(worker.pipe, selectors.EVENT_READ, worker)
            worker.give(names.pop())
        elif worker is not None:
            self.selector.unregister(worker.pipe)
            worker.end()

    def _hear(self, worker: Worker, names: list[str]) -> None:
        reports = worker.hear()
        if reports is None:
            self.selector.unregister(worker.pipe)
            self._count("failed", worker.name, f"its worker ended with status {worker.end()}\n")
            self._next(None, names)
            return
        for report in reports:
            if len(report) > 1:
                self._count(*report)
                continue
            self.times[worker.name] = round(time.monotonic() - worker.begun, 2)
            if report[0] > OPEN_MAX:
                self._next(worker, [])
                self._next(None, names)
            else:
                self._next(worker, names)

    def _count(self, kind: str, test: str, detail: str) -> None:
        self.passed += kind == "passed"
        if kind == "failed":
            self.failed.append(test)
            self._line(f"\nFAIL: {test}\n{detail}\n")
        elif kind == "skipped":
            self.skipped[detail] += 1
        if self.verbose:
            self._line(f"{kind}: {test}" + f" ({detail})" * (kind == "skipped") + "\n")

    def _line(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    def _show(self) -> None:
        """How far it is: on a terminal always, elsewhere now and then."""
        now, done = time.monotonic(), self.passed + self.skipped.total() + len(self.failed)
        text = f"{done} of {self.total} tests, {len(self.failed)} failed, {now - self.begun:.0f} s"
        if sys.stdout.isatty():
            self._line(f"\r\x1b[K{text}")
        elif now - self.shown > SHOW_SECONDS:
            self.shown = now
            self._line(text + "\n")

    def close(self) -> int:
        """The last words; the exit status."""
        for reason, times in sorted(self.skipped.items()):
            print(f"skipped {times}: {reason}")
        for test in self.failed:
            print(f"FAILED: {test}")
        print(f"{time.monotonic() - self.begun:.0f} seconds")
        print(f"{self.passed} passed, {len(self.failed)} failed, {self.skipped.total()} skipped")
        return int(bool(self.failed) or not self.passed)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m tests", description="Run the tests on all processors.")
    parser.add_argument("what", nargs="*", help="a room, a module or a class; all by default")
    parser.add_argument("-v", "--verbose", action="store_true", help="name each test, and show figures")
    parser.add_argument("-j", "--jobs", type=int, default=len(os.sched_getaffinity(0)), help="worker processes")
    parser.add_argument("--work", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.chdir(HOME)
    if options.work is not None:
        work(options.work)
        return 0
    run = Run(chosen(options.what), options.jobs, options.verbose)
    run.run()
    return run.close()


if __name__ == "__main__":
    sys.exit(main())

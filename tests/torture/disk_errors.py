"""A disk that fails, fills up or lies at one call of a daemon's life (that of kills.py), and what
it must do then.

    python -m tests.torture.disk_errors [--every N] [--workers N]       or `make torture`

It needs strace.

A sync that fails (EIO at the n-th fdatasync): no answer that promises anything leaves after it; the
process ends within a second, with code 70 and one line; the next start loses nothing acknowledged.
No room (ENOSPC at the n-th write): the sender is told within 100 ms; deletions go on; within a
second messages are taken again; the next start loses nothing.  At a start it may refuse, with one
line. A write that says it took 2 bytes, and took none: it is continued, so 2 bytes are missing on
the disk.  Nothing can make them good, but the next start must see it: it refuses, naming the file,
or the bytes were of no account.
"""
import argparse
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import wire
from store.disk import Damaged
from tests.harness.terminals import find_program, until
from tests.torture.kills import Life
from tests.torture.strace import Call, calls, inject

PROMISES = (wire.Welcome, wire.Stored, wire.Outcomes, wire.Delivered, wire.Confirmed)
SYNCS = 50                  # fdatasyncs that fail, one in each life
SYNCED_STEPS = 60           # for a life to have so many
END_SECONDS = 1.0           # from the failed sync to the process's end
LOG_SECONDS = 20.0          # for strace to write its log
REFUSAL_SECONDS = 0.1       # from the failed write to the words that refuse
AGAIN_SECONDS = 1.0         # from the failed write to the next message that is taken


class Result(NamedTuple):
    """`reached`: the fault happened, at this call."""
    reached: str
    faults: list[str]


def fault_in(log: list[Call]) -> tuple[Call, list[Call]] | None:
    """The call that was tampered with, and what followed."""
    return next(((call, log[at + 1:]) for at, call in enumerate(log) if call.injected), None)


def whole_log(life: Life) -> list[Call]:
    """What a life did, once strace has written that it ended, which can be after the daemon was
    waited for."""
    def ended() -> list[Call]:
        log = calls(life.log)
        return log if any(call.name == "end" and call.pid == life.pid for call in log) else []
    return until(ended, LOG_SECONDS, "the end of the daemon, in strace's log")


def one_line(life: Life) -> list[str]:
    assert life.daemon is not None
    said = life.daemon.output().splitlines()
    return [] if len(said) == 1 and said[0].startswith("parleyd: ") else [f"it said {said}"]


def judge(life: Life) -> list[str]:
    return life.party.oracle.judge_store(life.store) + life.party.faults()


def fail_sync(number: int) -> Result:
    with Life([inject("fdatasync", number, "error=EIO")], steps=SYNCED_STEPS) as life:
        status = life.live()
        happened = fault_in(whole_log(life))
        if happened is None:
            return Result("", judge(life))
        call, after = happened
        faults = judge(life)
        # else a backend's own sync: then the segment is given up
        if "/journal." in call.text:
            faults += one_line(life) + [f"exit {status}"] * (status != os.EX_SOFTWARE)
            faults += [f"after the failed sync: {said}" for later in after if later.name == "sendto"
                       for said in later.said() if isinstance(said, PROMISES)]
            took = next(later.begun for later in after if later.name == "end"
                        and later.pid == life.pid) - call.begun
            faults += [f"it ended after {took:.3f} s"] * (took > END_SECONDS)
        return Result(str(call), [f"sync {number} failed: {fault}" for fault in faults])


def fill(name: str, number: int) -> Result:
    with Life([inject(name, number, "error=ENOSPC")], lasting=AGAIN_SECONDS) as life:
        status = life.live()
        happened = fault_in(calls(life.log))
        faults = judge(life) if os.path.isdir(life.store) else []
        if status:
            faults += one_line(life) + [f"exit {status} while it ran"] * life.started
        if happened and life.started and not status:
            faults += _refusals(life, *happened)
        return Result(str(happened[0]) if happened else "",
                      [f"no room at {name} {number}: {each}" for each in faults])


def _refusals(life: Life, call: Call, after: list[Call]) -> list[str]:
    """Was it told at once, and taken again soon?"""
    said = [(later.begun - call.begun, message) for later in after if later.name == "sendto"
            for message in later.said()]
    refused = [at for at, message in said if isinstance(message, wire.Refused | wire.Rejected)]
    stored = [at for at, message in said if isinstance(message, wire.Stored)]
    if not refused:
        return []                                   # it was no message's write
    faults = [f"refused only after {refused[0]:.3f} s"] if refused[0] > REFUSAL_SECONDS else []
    again = next((at for at in stored if at > refused[0]), None)
    if life.lasted and (again is None or again > AGAIN_SECONDS):
        faults.append(f"taken again after {again} s")
    return faults


def lie(number: int) -> Result:
    with Life([inject("pwrite64", number, "retval=2")]) as life:
        life.live()
        happened = fault_in(calls(life.log))
        try:
            faults = judge(life)
        except Damaged as error:
            faults = [] if error.file.startswith(life.store) else [str(error)]
        return Result(str(happened[0]) if happened else "",
                      [f"a lie at write {number}: {each}" for each in faults])


def run_all(what: str, one: Callable[..., Result], *arguments: object, workers: int) -> int:
    """Print what came of all of them; how many faults."""
    with ProcessPoolExecutor(workers) as pool:
        results = list(pool.map(one, *arguments))
    faults = [fault for result in results for fault in result.faults]
    print(f"disk errors: {what}: {sum(bool(result.reached) for result in results)} reached, "
          f"{len(faults)} faults")
    print(*faults[:20], sep="\n", end="\n" if faults else "")
    return len(faults)


def writes() -> list[tuple[str, int]]:
    """The writes of a life: by name and number."""
    with Life() as life:
        life.live()
        return [(call.name, call.number) for call in calls(life.log)
                if call.name in ("write", "pwrite64") and life.store in call.text]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="disk_errors")
    parser.add_argument("--every", type=int, default=1, help="every N-th of the calls only")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    if not find_program("strace"):
        print("disk errors: skipped, needs strace")
        return 0
    started, every, workers = time.monotonic(), options.every, options.workers
    chosen = writes()[::every]
    faults = run_all("EIO at an fdatasync", fail_sync, range(1, SYNCS + 1, every), workers=workers)
    faults += run_all("ENOSPC at a write", fill, *zip(*chosen, strict=True), workers=workers)
    faults += run_all("a write that lies", lie,
                      [number for name, number in chosen if name == "pwrite64"], workers=workers)
    print(f"disk errors: {time.monotonic() - started:.0f} s")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

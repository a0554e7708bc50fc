"""SIGKILL at every system call of a daemon's life that changes a disk or tells somebody, and of its
recovery.

    python -m tests.torture.kills [--every N] [--workers N]         or `make torture`; needs strace

A life: five users log in, write, read and delete, one thing after the other; the store rolls, seals
and drops all the while, for it seals after SEAL_AT bytes; then SIGTERM.  It is run once to count
its calls (strace.CHANGING), and then once for each of them: strace kills the daemon at that call,
which does not run.  The store is then recovered twice, and the oracle compares.

Of some of the stores that such a death has left, and of an empty place, the start is done the same
way: counted, then killed at each call.  What is recovered after that must be what is recovered
without.

kill -9 leaves the page cache alone, so this proves the order of the calls and no durability:
power_cuts.py does that.
"""
import argparse
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import wire
from tests.harness.correspondents import Party
from tests.harness.process import HERE, DaemonProcess
from tests.harness.terminals import find_program
from tests.store.oracle import recover
from tests.torture.strace import calls, inject, under

STEPS = 38                  # things that are done in a life
# seconds without a word, now and then and when all is read: the store does its own work
LIVES = 5
BREATH = 0.05
SEAL_AT = 1500              # bytes: a seal after some ten messages
# messages that a reader may leave in the queue: the others are deleted, segments drop
KEEP = 14
ALL_IS_READ = range(28, 33) # the steps in which a reader leaves none: whole segments drop
SEED = 7                    # of the clients: each life is the same
BASES = 2                   # stores left by a death whose recovery is killed too
TRY_SECONDS = 0.02          # between two tries
TURNED_AWAY_SECONDS = 2     # from a closed line to the end of the process, if it is one
END_SECONDS = 20            # for a life to end; far more than it takes
AT_WORK = ("fsync", "rename", "unlink", "write")    # calls of seals and drops more than of messages
EVENTS = {                  # in the log of calls
    "journals begun": r"^rename .*journal\.spare.*, .*journal\.\d+"
                      r"|^openat .*journal\.\d+\".*O_CREAT",
    "manifests": r"^rename .*manifest\.tmp",
    "segments begun": r"^openat .*segment\.\d+(\.dat)?\".*O_CREAT",
    "segment files removed": r"^unlink .*segment\.\d+(\.dat)?\"",
}
STARTER = "ann"             # logs in to the daemon whose recovery is killed
LEAST = {"life": 300, "recovery": 100}


class Point(NamedTuple):
    """Where to kill: the n-th call of this name."""
    call: str
    number: int


    def __str__(self) -> str:
        return f"{self.call} {self.number}"


class Death(NamedTuple):
    """What came of it.  `reached`: somebody was killed there."""
    point: Point
    reached: bool
    faults: list[str]


class Life:
    """A daemon under strace in a directory of its own, from its start to its end.

    `lasting`: when messages were refused, try until one is taken, but so many seconds more at
    most."""

    def __init__(self, injections: Sequence[str] = (), store: str = "", steps: int = STEPS,
                 lasting: float = 0.0) -> None:
        self.directory = tempfile.mkdtemp(prefix="parley-kills-")
        self.store, self.log = self.directory + "/store", self.directory + "/calls"
        self.party = Party(SEED, KEEP)
        self.daemon: DaemonProcess | None = None
        if store:
            shutil.copytree(store, self.store)
        self._injections, self._steps, self._lasting = injections, steps, lasting
        self.started = self.lasted = False

    def start(self) -> bool:
        """Did it come so far as to listen?"""
        program = (HERE + "/tests/torture/small_store.py", str(SEAL_AT))
        self.daemon = DaemonProcess(store=self.store, program=program,
                                    under=under(self.log, *self._injections), wait=False)
        with contextlib.suppress(AssertionError):
            self.daemon.wait()
            self.started = True
        return self.started

    @property
    def pid(self) -> int:
        assert self.daemon is not None and self.daemon.process is not None
        return self.daemon.process.pid

    def live(self) -> int:
        """All of it, wherever it ends; the exit status."""
        if self.start():
            assert self.daemon is not None
            with contextlib.suppress(ConnectionError):
                self.party.connect(self.daemon.path)
                self._correspond()
        return self.end()

    def _correspond(self) -> None:
        """Each in its turn writes, and deletes some of what came; in mid-life everybody deletes
        everything."""
        party = self.party
        for user in party.users:
            user.say(wire.Hold(0, 0))
        for step in range(self._steps):
            user = party.users[step % len(party.users)]
            user.keep = 1 if step in ALL_IS_READ else KEEP
            if party.gone:
                return
            user.write(everyone=step > 10)
            for _ in range(1 + 3 * (user.keep == 1)):
                user.delete()
            party.wait()
            while (user.keep == 1 or step % 8 == 7) and party.hear(BREATH):
                pass
        self._last()

    def _last(self) -> None:
        """Until a message is taken, if any was refused."""
        party, oracle = self.party, self.party.oracle
        deadline, known = time.monotonic() + self._lasting, len(oracle.acknowledged)
        self.lasted = True
        while oracle.refused and not party.gone and len(oracle.acknowledged) == known \
                and time.monotonic() < deadline:
            party.users[0].write(everyone=False)
            party.wait()
            party.hear(TRY_SECONDS)

    def start_and_stop(self) -> int:
        """A start, a word, and a stop; the background work that a start begins is in it.  The exit
        status."""
        if self.start():
            assert self.daemon is not None
            with contextlib.suppress(ConnectionError,
                                     AssertionError), self.daemon.client(STARTER) as starter:
                starter.say(wire.Ping(1))
                starter.hear(wire.Pong)
        return self.end()

    def end(self) -> int:
        """In good order, unless it is ending by itself; the exit status."""
        assert self.daemon is not None and self.daemon.process is not None
        process = self.daemon.process
        try:
            # it ends by itself, or has closed a line and goes on
            if self.started and self.party.gone:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return process.wait(TURNED_AWAY_SECONDS)
            process.terminate()                 # not sent to one that is known to be dead
            return process.wait(END_SECONDS)
        finally:
            self.party.drain()
            self.party.hang_up()

    def was_killed(self) -> bool:
        """Did strace kill a process?  The one that syncs is one too; the daemon ends by itself when
        that one is gone."""
        return any(call.name == "end" and "SIGKILL" in call.text for call in calls(self.log))

    def points(self) -> list[Point]:
        """The calls that touched the store or spoke to a client, each once."""
        found = {Point(call.name, call.number): None for call in calls(self.log)
                 if self.store in call.text or call.name == "sendto"}
        return list(found)

    def events(self) -> dict[str, int]:
        """How often what this is about happened."""
        return {what: sum(re.search(how, f"{call.name} {call.text}") is not None
                          for call in calls(self.log))
                for what, how in EVENTS.items()}

    def close(self) -> None:
        if self.daemon:
            self.daemon.close()
        shutil.rmtree(self.directory)

    def __enter__(self) -> "Life":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def kill_in_life(point: Point, keep: str = "") -> Death:
    """Kill there; `keep`: copy the store that is left to this place."""
    with Life([inject(*point, "signal=SIGKILL")]) as life:
        life.live()
        if not os.path.isdir(life.store):
            os.mkdir(life.store, 0o700)         # killed before it was made: as if it had been
        if keep:
            shutil.copytree(life.store, keep)
        faults = life.party.oracle.judge_store(life.store) + life.party.faults()
        return Death(point, life.was_killed(), [f"killed at {point}: {fault}" for fault in faults])


def kill_in_recovery(point: Point, base: str) -> Death:
    """Kill there, in a start on a copy of this store.  What is recovered then is what is recovered
    without."""
    with Life([inject(*point, "signal=SIGKILL")], base) as life:
        wanted = recover(copy_of(base, life.directory))
        life.start_and_stop()
        found = recover(life.store), recover(life.store)
        faults = [f"recovery of {base} killed at {point}: changed: {once} is found, not {wanted}"
                  for once in found if once not in (wanted, {STARTER: [], **wanted})]
        return Death(point, life.was_killed(), faults)


def copy_of(store: str, directory: str) -> str:
    return shutil.copytree(store, directory + "/copy")


def count_life() -> tuple[list[Point], str]:
    """The calls of a whole life, and what happened in it.

    On a busy machine less is deleted in a life than in another: up to LIVES are tried."""
    for _ in range(LIVES):
        with Life() as life:
            status = life.live()
            faults = life.party.oracle.judge_store(life.store) + life.party.faults()
            events = life.events()
            if status or faults:
                raise AssertionError(f"a life that nobody kills ends with {status}, {faults}")
            if all(events.values()):
                said = ", ".join(f"{count} {what}" for what, count in events.items())
                return life.points(), f"{said}; {life.party.oracle.count()}"
    raise AssertionError(f"in {LIVES} lives not all happened: {events}")


def count_recovery(base: str) -> list[Point]:
    with Life((), base) as life:
        status = life.start_and_stop()
        if status:
            raise AssertionError(
                f"the start on {base} ends with {status}: {life.daemon and life.daemon.output()}")
        return life.points()


def report(what: str, deaths: Sequence[Death]) -> int:
    """Print it; how many faults there are."""
    reached = sum(death.reached for death in deaths)
    faults = [fault for death in deaths for fault in death.faults]
    print(f"kills: {len(deaths)} points of {what}, {reached} reached: {len(faults)} faults")
    print(*faults[:20], sep="\n", end="\n" if faults else "")
    return len(faults)


def kill_all(every: int, workers: int, directory: str) -> tuple[int, dict[str, int]]:
    """How many faults; how many deaths of each sort there were."""
    points, events = count_life()
    print(f"kills: a life has {len(points)} calls, in it {events}")
    points = points[::every]
    quiet = [point for point in points if point.call in AT_WORK]
    kept = {quiet[len(quiet) * n // BASES]: f"{directory}/base{n}" for n in range(BASES)}
    # threads would share the stores' locks with each other's forks
    with ProcessPoolExecutor(workers) as pool:
        lives = list(pool.map(kill_in_life, points, [kept.get(point, "") for point in points]))
        faults = report("a life", lives)
        os.mkdir(f"{directory}/empty", 0o700)
        starts = [(point, base) for base in (f"{directory}/empty", *kept.values())
                  for point in count_recovery(base)[::every]]
        recoveries = list(pool.map(kill_in_recovery, *zip(*starts, strict=True)))
        faults += report(f"recoveries of {len(kept) + 1} stores", recoveries)
    return faults, {"life": sum(death.reached for death in lives),
                    "recovery": sum(death.reached for death in recoveries)}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="kills")
    parser.add_argument("--every", type=int, default=1,
                        help="kill at every N-th of the points only")
    # they mostly wait: for the disk, for strace, for each other
    parser.add_argument("--workers", type=int, default=2 * (os.cpu_count() or 1))
    options = parser.parse_args(arguments)
    if not find_program("strace"):
        print("kills: skipped, needs strace")
        return 0
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="parley-kills-") as directory:
        faults, reached = kill_all(options.every, options.workers, directory)
    print(f"kills: {time.monotonic() - started:.0f} s")
    few = [what for what, least in LEAST.items() if reached[what] * options.every < least]
    if few:
        print(f"kills: FAILED: too few points reached: {reached}, and {LEAST} are wanted")
    return int(bool(faults or few))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""One login that sends all the bytes that it can: what the daemon, the disk and the others bear.

    python -m tests.torture.hog [--seconds N] [--ways WAY,...] [--disk MiB] [--cage MiB] [-- OPTION]

or `make torture`; needs root and mkfs.ext4.

The store lies on an ext4 of its own, of 1 GB, in memory.  The hog is a login that sends texts of
16 KiB as fast as the daemon reads.  The victim is another login, whose user sends itself a short
message every 50 ms.  Each second: the memory of the daemon, the bytes of the journals and of the
whole store, those left on the disk, and how long the victim waited for STORED.  The daemon may not
need more than MEMORY, and the victim may not be refused once, nor wait for longer than WAIT.

The ways of the hog:

    silent      18 connections, to themselves; they never confirm: its mailboxes fill
    confirms    the same, and they confirm all that they get
    next        each connection to the name of the next one
    deaf        they do not even read what they get
    crowd       300 connections, deaf
    logins      six logins at once, with 6 connections each: they fill nine tenths of the disk

With --cage the daemon runs in a cgroup with so much memory, files in the page cache included.
"""
from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tests.harness.process import DaemonProcess
from tests.torture.other_logins import HOG, Beside, Way, hog, victim
from tests.torture.overload import pin
from tests.torture.power_cuts import Image

WAYS = {"silent": Way(), "confirms": Way(confirms=True), "next": Way(to_next=True),
        "deaf": Way(reads=False), "crowd": Way(connections=300, reads=False),
        "logins": Way(connections=6, logins=6)}
SECONDS = 20                    # of each way
MEMORY = 150 << 20              # bytes of the daemon
WAIT = 1.0                      # seconds, on a busy machine; 5 to 50 ms are usual
DISK = 1024                     # MiB
LOOK = 0.05                     # seconds between two looks at the memory


class Cage:
    """A cgroup with a limit of memory, version 1 or 2."""

    def __init__(self, limit: int) -> None:
        with open("/proc/self/cgroup") as groups:
            rows = [line.strip().split(":", 2) for line in groups]
        own = next((path for _, what, path in rows if what == "memory"), None)
        root = f"/sys/fs/cgroup/memory{own}" if own else "/sys/fs/cgroup"
        self.path = f"{root}/parley-hog-{os.getpid()}"
        os.mkdir(self.path)
        self._write("memory.limit_in_bytes" if own else "memory.max", limit)

    def _write(self, name: str, number: int) -> None:
        with open(f"{self.path}/{name}", "w") as setting:
            setting.write(str(number))

    def take(self, pid: int) -> None:
        self._write("cgroup.procs", pid)

    def close(self) -> None:
        """As soon as the last process in it has ended."""
        for _ in range(200):
            try:
                os.rmdir(self.path)
                break
            except OSError:
                time.sleep(0.05)


@contextlib.contextmanager
def house(disk: int, cage: int, options: Sequence[str]) -> Iterator[tuple[DaemonProcess, str]]:
    """A daemon for all logins on a disk of so many MiB; and where that is mounted."""
    with tempfile.TemporaryDirectory(prefix="parley-hog-", dir="/dev/shm") as directory:
        image, walls = Image(directory, disk << 20), Cage(cage << 20) if cage else None
        try:
            with DaemonProcess("--socket-mode", "666", *options, store=image.root + "/store",
                               wait=False) as daemon:
                assert daemon.process is not None
                if walls:
                    walls.take(daemon.process.pid)
                os.chmod(daemon.directory, 0o711)
                daemon.wait()
                pin(0, daemon.process.pid)
                yield daemon, image.root
        finally:
            image.unmount()
            if walls:
                walls.close()


def sizes(store: str) -> tuple[int, int]:
    """Bytes on the disk of the journals, and of everything."""
    found = Counter[bool]()
    for name in os.listdir(store):
        with contextlib.suppress(FileNotFoundError):
            found[name.startswith("journal")] += os.stat(f"{store}/{name}").st_blocks * 512
    return found[True], found.total()


def part(values: list[float], share: float) -> float:
    """This part of the values lies below, in milliseconds."""
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))] * 1e3 if values else float("nan")


class Second(NamedTuple):
    """What was seen in one."""
    memory: int
    journals: int
    store: int
    free: int
    times: list[float]
    refused: list[str]
    waits: float
    stored: int
    refusals: int

    def __str__(self) -> str:
        return (f"memory {self.memory >> 20:4} MiB, journals {self.journals >> 20:3}, store "
                f"{self.store >> 20:4}, free {self.free >> 20:4}; victim p50 "
                f"{part(self.times, 0.5):5.1f} p99 {part(self.times, 0.99):5.1f} ms"
                f"{f', REFUSED {len(self.refused)}' if self.refused else ''}; hogs: {self.stored} "
                f"stored, {self.refusals} refused")


def watch(daemon: DaemonProcess, root: str, other: Beside, hogs: list[Beside], reads: bool
          ) -> Second:
    """The next second."""
    memory, until = 0, time.monotonic() + 1
    while time.monotonic() < until:
        assert daemon.process is not None
        if daemon.process.poll() is not None:
            raise AssertionError(f"the daemon ended: {daemon.process.returncode}")
        memory = max(memory, daemon.rss())
        time.sleep(LOOK)
    counts = Counter[str]()
    for each in hogs if reads else ():
        counts += Counter(each.report())
    stat, stored = os.statvfs(root), counts.pop("stored", 0)
    return Second(memory, *sizes(daemon.store), stat.f_bavail * stat.f_frsize, *other.report(),
                  stored, counts.total())


def run(name: str, options: argparse.Namespace) -> bool:
    """One way, on a disk of its own; whether the daemon and the victim bore it."""
    way = WAYS[name]
    with house(options.disk, options.cage, options.options) as (daemon, root):
        other, hogs = Beside(victim, daemon.path), list[Beside]()
        try:
            time.sleep(2)
            alone = other.report()[0]
            hogs += [Beside(hog, daemon.path, way, HOG + 2 * number)
                     for number in range(way.logins)]
            seen: list[Second] = []
            for number in range(options.seconds):
                seen.append(watch(daemon, root, other, hogs, way.reads))
                if not number % options.every:
                    print(f"  {number + 1:4} s: {seen[-1]}", flush=True)
        finally:
            for each in (*hogs, other):
                each.close()
    return judged(name, alone, seen)


def judged(name: str, alone: list[float], seen: list[Second]) -> bool:
    times = [each for second in seen for each in second.times]
    refused = sum(len(second.refused) for second in seen)
    memory = max(second.memory for second in seen)
    longest = max([*times, *(second.waits for second in seen)])
    fine = memory <= MEMORY and not refused and longest <= WAIT
    print(f"{name}: memory {memory >> 20} MiB at most; the victim: p50 {part(alone, 0.5):.1f} and "
          f"p99 {part(alone, 0.99):.1f} ms without, {part(times, 0.5):.1f} and "
          f"{part(times, 0.99):.1f} ms with the hog, {longest * 1e3:.0f} at most; {len(times)} "
          f"stored, {refused} refused{'' if fine else '  MISSED'}", flush=True)
    return fine


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--disk", type=int, default=DISK)
    parser.add_argument("--cage", type=int, default=0)
    parser.add_argument("--every", type=int, default=5, help="seconds between two lines")
    parser.add_argument("options", nargs="*", help="of the daemon")
    options = parser.parse_args(arguments)
    missed = [name for name in options.ways.split(",") if not run(name, options)]
    print(f"hog: {'missed: ' + ', '.join(missed) if missed else 'every figure holds'}")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())

"""The heartbeat: a client that asks every 5 ms whether the daemon is there, while the daemon seals
all the time.

The loop may not stall over 20 ms while sealing.  What the client sees on a busy machine is mostly
the scheduler's and the disk's: who loads, who asks and the daemon share both with whatever else
runs.  So the daemon itself measures each slice of the store's work (timed_store.py), and the limit
is on the processor's time, which is its own.  What the fsyncs of sealing add to it, which are made
in the loop, and what the client saw, is printed: that is the disk's.
"""
import os
import subprocess
import sys
import tempfile
import time
import unittest
from collections.abc import Callable
from pathlib import Path

import wire
from tests.harness.process import (
    HERE,
    START_SECONDS,
    DaemonProcess,
    Speaker,
    effort,
    say_figures,
)

ON_DISK = "what fsyncs add to a slice is told"
SEALS = effort(16, 5)
IDLE_BEATS = 50
BEAT = 0.005
STALL_MS = 20.0             # of the processor, for the store's work in one turn
SEAL_AT = 1 << 20           # bytes: several seals a second
BATCH = 100                 # messages sent at once by the load


def load(path: str) -> None:
    """Send until killed: `python -m tests.programs.test_heartbeat PATH`."""
    number = 9 << 32
    with Speaker(path, "ann", 0) as ann:
        while True:
            ann.say(*(wire.Send(number + n + 1, 0, ("bob",), "m" * 1000) for n in range(BATCH)))
            number += BATCH
            while ann.hear(wire.Stored).last < number:
                pass


def beats(client: Speaker, is_enough: Callable[[int], bool]) -> list[float]:
    """Milliseconds from each PING to its PONG, sorted; until there are enough."""
    found: list[float] = []
    deadline = time.monotonic() + START_SECONDS
    while not is_enough(len(found)):
        started = time.monotonic()
        assert started < deadline, f"{len(found)} beats in {START_SECONDS} s were not enough"
        client.say(wire.Ping(1))
        client.hear(wire.Pong)
        took = time.monotonic() - started
        found.append(took * 1000)
        time.sleep(max(0.0, BEAT - took))
    return sorted(found)


class Heartbeat(unittest.TestCase):
    @unittest.skipUnless(sys.platform == "linux", "needs Linux's count of switches for each thread")
    def test_sealing_does_not_stall_the_loop(self) -> None:
        with tempfile.TemporaryDirectory(prefix="parley-heart-") as directory:
            times = Path(directory, "times")
            program = (HERE + "/tests/torture/timed_store.py", str(times), str(SEAL_AT))
            with DaemonProcess("--sender-bytes", "none", program=program) as daemon:
                daemon.client("bob").close()
                with daemon.client("eve", 0) as eve:
                    idle = beats(eve, lambda done: done >= IDLE_BEATS)
                    enough = newest_segment(daemon.store) + SEALS
                    loader = subprocess.Popen([sys.executable, "-m",
                                               "tests.programs.test_heartbeat", daemon.path],
                                              cwd=HERE)
                    try:
                        busy = beats(eve, lambda _: newest_segment(daemon.store) >= enough)
                    finally:
                        loader.kill()
                        loader.wait()
                self.assertEqual(daemon.end(15), os.EX_OK, daemon.output())
            slices, rolls, longest, busiest = map(float, times.read_text().split())
        say_figures(f"{rolls:.0f} seals begun in {slices:.0f} slices of work: the longest "
                    f"{longest} ms, of which the "
                    f"processor at most {busiest} ms; PONG idle {middle(idle)}, while sealing "
                    f"{middle(busy)}")
        self.assertGreater(rolls, SEALS / 2)
        self.assertLess(busiest, STALL_MS)
        self.assertGreater(len(busy), SEALS)


def newest_segment(store: str) -> int:
    """Its number: each seal that is over has written one."""
    return max((int(path.name.split(".")[1].partition("-")[0])      # segment.00000004-wal
                for path in Path(store).glob("segment.*")), default=0)


def middle(sorted_ms: list[float]) -> str:
    return (f"p50 {sorted_ms[len(sorted_ms) // 2]:.1f}, "
            f"p99 {sorted_ms[len(sorted_ms) * 99 // 100]:.1f}, max {sorted_ms[-1]:.1f} ms")


if __name__ == "__main__":
    load(sys.argv[1])

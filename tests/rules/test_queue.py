"""A queue of 100,000 messages, 100 MB, for one name: as quick to add to at its end as at its
beginning, quick to start with, streamed when it is checked, and never held in memory whole by a
check.  `make test` has 24,000.  The figures are printed with `-v`."""
import time
import unittest

import wire
from tests.harness.process import DaemonProcess, Speaker, effort, say_figures

MESSAGES = effort(100_000, 24_000)
BLOCK = effort(10_000, 8_000)
BATCH = 500                     # sends in one write, and in flight
CONFIRMED = 100                 # at once: the window of a reader is 192 KiB
TEXT = "m" * 1000
RESTART_SECONDS = 2.0           # of a processor
# the slowest later block against the quickest: a queue that is scanned costs ten times
GROWTH_MAX = 3.0
# 42 are usual; the texts of all, held as well, would be 24 more of the sample
MEMORY_MAX = effort(150, 60) << 20


class LongQueue(unittest.TestCase):
    def fill(self, ann: Speaker, daemon: DaemonProcess) -> list[float]:
        """Send them all; the processor seconds of the daemon for each block."""
        seconds, number = [], 9 << 32
        for _ in range(MESSAGES // BLOCK):
            started = daemon.processor_seconds()
            for _ in range(BLOCK // BATCH):
                ann.say(*(wire.Send(number + n + 1, 0, ("bob",), f"{TEXT}{number + n + 1}")
                          for n in range(BATCH)))
                number += BATCH
                while ann.hear(wire.Stored).last < number:
                    pass
            seconds.append(daemon.processor_seconds() - started)
        return seconds

    def drain(self, bob: Speaker) -> int:
        """Check, confirming as it comes; how many came, each once and in order."""
        bob.say(wire.Check(1))
        came = last = confirmed = 0
        for said in bob.messages():
            if isinstance(said, wire.Mail):
                self.assertGreater(said.id, last)
                self.assertEqual(said.text, f"{TEXT}{said.origin}")
                confirmed, last, came = confirmed or said.id, said.id, came + 1
            if isinstance(said, wire.Checked):
                self.assertEqual(said.total, MESSAGES)
                break
            if came % CONFIRMED == 0 and confirmed:
                bob.say(wire.Confirm(confirmed, last))
                confirmed = 0
        bob.say(wire.Confirm(confirmed or last, last))
        while bob.hear(wire.Confirmed).last < last:
            pass
        return came

    def test_many_messages_for_one_name(self) -> None:
        with DaemonProcess("--sender-bytes", "none") as daemon:
            daemon.client("bob").close()
            with daemon.client("ann") as ann:
                seconds = self.fill(ann, daemon)
            say_figures(f"microseconds a send, by {BLOCK:,}: "
                        f"{[round(s / BLOCK * 1e6, 1) for s in seconds]}")
            self.assertLess(sorted(seconds)[-2], GROWTH_MAX * min(seconds),
                            "sending slows down as the queue grows")
            full = daemon.rss()
            daemon.end()
            daemon.start()
            restart = daemon.processor_seconds()
            fresh = daemon.rss()
            self.assertLess(restart, RESTART_SECONDS)
            with daemon.client("bob") as bob:
                self.assertEqual(bob.welcome.waiting, MESSAGES)
                started = time.monotonic()
                self.assertEqual(self.drain(bob), MESSAGES)
                took, drained = time.monotonic() - started, daemon.rss()
                bob.say(wire.Check(2))
                self.assertEqual(bob.hear(wire.Checked).total, 0)
            say_figures(f"restart {restart:.3f} s; check of all {took:.2f} s; memory: full "
                        f"{full >> 20} MiB, "
                        f"after the restart {fresh >> 20}, after the check {drained >> 20}")
            self.assertLess(max(full, fresh, drained), MEMORY_MAX)


if __name__ == "__main__":
    unittest.main()

"""A small real disk that is full, again and again, under the real daemon: room must come back by
reading alone.

    python -m tests.torture.full_disk [--rounds N] [--backend NAME] [--kill]

or `make torture`; needs root and mkfs.ext4.

The store lies on an ext4 of some megabytes on a loop device.  A round: writers send until it is
refused; the readers check, and confirm all of it, or most; from then on sending must work again
within AGAIN_SECONDS, without a restart (with --kill: after kill -9 and a start on the full disk).
What waits is compared, message by message, in each round, and how much a round could take may not
shrink.
"""

from __future__ import annotations

import argparse
import collections
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

import wire
from tests.harness.process import DaemonProcess, Speaker, say_figures
from tests.torture.power_cuts import Image

IMAGE = 24 << 20            # bytes
SIZE = 8_000                # of a text
READERS = tuple(f"reader{n}" for n in range(12))
# seconds until a message is taken again, from the last CONFIRMED: one, but for a busy machine
AGAIN_SECONDS = 4.0
AHEAD = 32                  # sends on the way
STAYS_SECONDS = 1.0         # refused for so long, the disk is full of what waits
LOOK_SECONDS = 0.1          # between two tries
CREEP = 0.75                # of what the first rounds took, each later round must take
OPEN_QUOTAS = ("--mailbox-messages", "none", "--mailbox-bytes", "none", "--sender-messages", "none",
               "--sender-bytes", "none", "--login-bytes", "none")


class House:
    """Some readers, a writer, and what must wait for each."""

    def __init__(self, daemon: DaemonProcess) -> None:
        self.daemon = daemon
        self.origin = int(time.time()) << 32
        self.waiting: dict[str, list[str]] = {name: [] for name in READERS}
        self.refusals = 0
        for name in READERS:
            daemon.client(name).close()

    def fill(self, most: int = 1 << 30) -> int:
        """Send until it is refused; how many were taken."""
        sent: collections.OrderedDict[int, tuple[str, str]] = collections.OrderedDict()
        taken, refused = 0, False
        with self.daemon.client("writer") as writer:
            heard = writer.messages()
            while (not refused and taken < most) or sent:
                if not refused and taken < most and len(sent) < AHEAD:
                    self._send(writer, sent)
                    continue
                said = next(heard)
                if isinstance(said, wire.Stored):
                    for origin in [each for each in sent if said.first <= each <= said.last]:
                        name, text = sent.pop(origin)
                        self.waiting[name].append(text)
                        taken += 1
                elif isinstance(said, wire.Refused):
                    assert said.why == wire.Why.FULL, said
                    sent.pop(said.id)
                    refused = True
        self.refusals += refused
        return taken

    def fill_up(self) -> int:
        """Send until it stays refused; how many were taken."""
        taken, refused = 0, 0.0
        while refused < STAYS_SECONDS:
            started, more = time.monotonic(), self.fill()
            taken += more
            time.sleep(LOOK_SECONDS)
            refused = 0.0 if more else refused + time.monotonic() - started
        return taken

    def _send(self, writer: Speaker, sent: dict[int, tuple[str, str]]) -> None:
        self.origin += 1
        name = READERS[self.origin % len(READERS)]
        sent[self.origin] = name, f"{self.origin} ".ljust(SIZE, "abcdefghijklm"[self.origin % 13])
        writer.say(wire.Send(self.origin, 0, (name,), sent[self.origin][1]))

    def read(self, name: str, share: float = 1.0) -> None:
        """Check; compare; confirm the oldest part."""
        expected = self.waiting[name]
        count = int(len(expected) * share)
        with self.daemon.client(name, wire.Feature.HOLD) as reader:
            if reader.welcome.waiting != len(expected):
                raise AssertionError(
                    f"{reader.welcome.waiting} wait for {name}, not {len(expected)}")
            if not count:
                return
            reader.say(wire.Check(1))
            heard = reader.messages()
            # confirmed one by one: a window holds fewer than wait
            for done in range(count):
                mail = next(said for said in heard if isinstance(said, wire.Mail))
                if mail.text != expected[done]:
                    raise AssertionError(
                        f"{name} got {mail.text[:20]!r}, not {expected[done][:20]!r}")
                reader.say(wire.Confirm(mail.id, mail.id))
            while next(said for said in heard if isinstance(said, wire.Confirmed)).last < mail.id:
                pass
        del expected[:count]

    def sends_again(self, within: float = AGAIN_SECONDS) -> float:
        """How many seconds until one is taken."""
        started = time.monotonic()
        while not self.fill(1):
            if time.monotonic() - started > within:
                raise AssertionError(f"still refused {within:g} s after what waited was read")
            time.sleep(0.02)
        return time.monotonic() - started


Share = Callable[[int, str], float]
PATTERNS: dict[str, Share] = {
    "all": lambda _, __: 1.0,
    "most of each": lambda _, __: 0.9,
    "half of each": lambda _, __: 0.5,
    "all but a few users": lambda _, name: 0.0 if name == READERS[0] else 1.0,
}


def live(house: House, rounds: int, kill: bool, pattern: str) -> list[int]:
    """How many messages each round took."""
    taken = []
    for round in range(rounds):
        taken.append(house.fill_up())
        for name in READERS:
            house.read(name, PATTERNS[pattern](round, name))
        if kill:
            house.daemon.end()
            house.daemon.start()
        seconds = house.sends_again()
        say_figures(f"round {round}, {pattern} read: {taken[-1]} taken, "
                    f"again after {seconds:.2f} s")
        for name in READERS:                    # a reader who was away comes back now and then
            if pattern == "all but a few users" or round % 4 == 3:
                house.read(name)
    return taken


def run(pattern: str, rounds: int, kill: bool, *options: str) -> list[int]:
    """One life on a disk of its own; how many messages each round took."""
    with tempfile.TemporaryDirectory(prefix="parley-room-") as directory:
        image = Image(directory, IMAGE)
        try:
            with DaemonProcess(*OPEN_QUOTAS, *options, store=image.root + "/store") as daemon:
                return live(House(daemon), rounds, kill, pattern)
        finally:
            image.unmount()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--backend", default=None)
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("-v", action="store_true", help="each round")
    options = parser.parse_args(arguments)
    creeps = False
    for pattern in PATTERNS:
        taken = run(pattern, options.rounds, options.kill,
                    *(("--backend", options.backend) if options.backend else ()))
        print(f"{pattern} read, {options.rounds} rounds: {min(taken)} to {max(taken)} messages of "
              f"{SIZE} bytes taken")
        part = len(taken) // 8 * 4      # a pattern repeats itself every four rounds
        creeps |= sum(taken[len(taken) - part:]) < CREEP * sum(taken[:part])
    return int(creeps)


if __name__ == "__main__":
    sys.exit(main())

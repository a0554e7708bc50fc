"""End to end: kill -9 at random moments, of the daemon and of its clients, under load.

    python -m tests.torture.end_to_end [--seconds N] [--seed N]     or `make torture`

Senders and readers are processes of their own, on the same link.py and archive.py as the real
client.  A sender writes down what it is about to send, and what was acknowledged.  A reader's
archive is what it has shown.  Every now and then one of them, or the daemon, is killed and started
again; the store seals all the while.  At the end everybody is left alone until the readers have
found everything.  Then: every acknowledged message is in its reader's archive; none is there twice;
those of one sender stand in the order in which they were sent.

The last holds within what came live, and within what was checked: what waits when a reader comes
back is older than what is shown at once, and he may look at it later.  Half of the readers hold,
and check all the time.
"""
import argparse
import os
import random
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path

import wire
from client import archive, route
from client.archive import Archive
from client.events import NameRefused, Online
from client.link import Link
from net import address
from tests.harness.process import HERE, DaemonProcess
from tests.store.oracle import Found, Oracle

SENDERS, READERS = ("sam", "sue", "sid"), ("rob", "ray", "ria", "rex")
HOLDS = ("rob", "ray")          # readers that check; the others receive live
WINDOW = 250                    # sends without an answer
BLOCK = 50                      # sends at once
SEAL_AT = 256 << 10
BETWEEN_SECONDS = (0.15, 0.6)   # from one death to the next
QUIET_SECONDS = 60              # for the readers to find the last message; far more than it takes
RETRY_SECONDS = 0.05            # the client's own are for people
RATE = 2000                     # messages acknowledged a second, deaths and all


# ---- a client: `python -m tests.torture.end_to_end NAME DIRECTORY` ----

class Client:
    """A user without a screen."""

    def __init__(self, name: str, directory: str) -> None:
        self.name, self.directory = name, directory
        self.instance = random.getrandbits(31)
        self.link = Link([address.parse(f"unix:{directory}/sock")], name,
                         Archive(f"{directory}/archive"),
                         features=wire.Feature.HOLD if name in HOLDS else 0,
                         monotonic=time.monotonic, instance=self.instance, jitter=random.random)
        self.log = os.open(f"{directory}/{name}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self.sent = 0
        self.mails: list[wire.Mail] = []

    def run(self) -> None:
        self.link.connect()
        while True:
            with selectors.DefaultSelector() as selector:
                if self.link.sock is not None:
                    selector.register(self.link.sock, self.link.mask)
                timeout = self.link.timeout()
                ready = selector.select(RETRY_SECONDS if timeout is None
                                        else min(timeout, RETRY_SECONDS))
            for event in (*(event for _, mask in ready for event in self.link.ready(mask)),
                          *self.link.tick()):
                self.hear(event)
            if self.mails:
                mails, self.mails = self.mails, []
                self.link.shown(mails)
            if self.name in SENDERS and self.link.online:
                self.send()

    def hear(self, event: object) -> None:
        if isinstance(event, wire.Mail):
            self.mails.append(event)
        elif isinstance(event, wire.Stored):
            os.write(self.log, b"stored %d %d\n" % (event.first, event.last))
        elif isinstance(event, NameRefused):
            self.link.connect()                     # the one before was killed a moment ago
        elif isinstance(event, Online | wire.Checked) or (isinstance(event, wire.Waiting)
                                                          and self.name in HOLDS):
            self.check(event)

    def check(self, event: object) -> None:
        """A reader who holds checks again when there was something, or there is something new."""
        if self.name in READERS and ((self.name in HOLDS and self.link.waiting)
                                     or isinstance(event, Online)):
            self.link.ask.check()

    def send(self) -> None:
        """A block, when there is room in the window: written down, and then sent."""
        if len(self.link.pending) > WINDOW - BLOCK or os.path.exists(f"{self.directory}/enough"):
            return
        first = (self.instance << 32) + self.sent + 1
        sends = [(first + n, READERS[(first + n) % len(READERS)]) for n in range(BLOCK)]
        os.write(self.log, b"".join(b"send %d %s\n" % (origin, reader.encode())
                                    for origin, reader in sends))
        for origin, reader in sends:
            if self.link.send([reader], text_of(self.name, origin)) != [origin]:
                raise AssertionError("the link counts otherwise")
        self.sent += BLOCK


def text_of(sender: str, origin: int) -> str:
    return f"{origin} of {sender} ".ljust(60 + origin % 100, "*")


# ---- the test ----

class EndToEnd:
    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.daemon = DaemonProcess(program=(HERE + "/tests/torture/small_store.py", str(SEAL_AT)),
                                    bare=True)
        self.directory = self.daemon.directory
        for name in READERS:                        # so that they can be written to
            self.daemon.client(name).close()
        self.clients: dict[str, subprocess.Popen[bytes]] = {}
        self.deaths = {"daemon": 0, "clients": 0}
        for name in SENDERS:                        # what each has noted so far
            Path(self.directory, f"{name}.log").touch()
        for name in (*SENDERS, *READERS):
            self.start(name)

    def start(self, name: str) -> None:
        command = [sys.executable, "-m", "tests.torture.end_to_end", name, self.directory]
        self.clients[name] = subprocess.Popen(command, cwd=HERE)

    def run(self, seconds: float) -> float:
        """Kill for so long; how long it took."""
        started = time.monotonic()
        while time.monotonic() - started < seconds:
            time.sleep(self.chance.uniform(*BETWEEN_SECONDS))
            if self.chance.random() < 0.4:
                self.daemon.end()
                self.daemon.start()
                self.deaths["daemon"] += 1
            else:
                name = self.chance.choice((*SENDERS, *READERS))
                self.kill(name)
                self.start(name)
                self.deaths["clients"] += 1
        return time.monotonic() - started

    def kill(self, name: str) -> None:
        process = self.clients[name]
        status = process.poll()
        process.kill()
        process.wait()
        if status is not None:
            raise AssertionError(f"{name} has ended by itself: {status}")

    def settle(self) -> tuple[Oracle, list[str]]:
        """Nobody is killed any more, nobody sends: what the logs say when nothing is missing, or
        time is up."""
        Path(self.directory, "enough").touch()
        deadline = time.monotonic() + QUIET_SECONDS
        while True:
            oracle, faults = self.compare()
            if not faults or time.monotonic() > deadline:
                return oracle, faults
            # those who receive live find what waits when they come again
            for name in READERS:
                if name not in HOLDS:
                    self.kill(name)
                    self.start(name)
            time.sleep(0.5)

    def compare(self) -> tuple[Oracle, list[str]]:
        """The logs and the archives, as they are now."""
        oracle, faults = Oracle(), []
        for name in SENDERS:
            for noted in Path(self.directory, f"{name}.log").read_text().splitlines():
                what, first, second = noted.split()
                if what == "send":
                    oracle.trying(name, int(first), [second], text_of(name, int(first)))
                else:
                    oracle.acknowledge(name, int(first), int(second))
        for name in READERS:
            faults += self._compare_archive(name, oracle)
        return oracle, faults

    def _compare_archive(self, name: str, oracle: Oracle) -> list[str]:
        streams: dict[int, list[Found]] = {0: [], wire.SendFlag.CHECK: []}
        for path in Path(self.directory, "archive").glob(f"{name}.*.txt"):
            for record in archive.read(path):
                found = Found(record.id, record.sender, record.origin, record.text)
                streams[record.flags & wire.SendFlag.CHECK].append(found)
        shown = [(found.sender, found.origin) for stream in streams.values() for found in stream]
        there = set(shown)
        faults = [f"lost: {key} for {name}" for key in oracle.due.get(name, ()) if key not in there]
        if len(shown) != len(there):
            faults.append(f"shown twice: {len(shown) - len(there)} by {name}")
        for stream in streams.values():
            faults += oracle.look_at(name, stream)
        return faults

    def close(self) -> None:
        for process in self.clients.values():
            process.kill()
            process.wait()
        self.daemon.close()

    def __enter__(self) -> "EndToEnd":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def end_to_end(seconds: float, seed: int) -> tuple[str, float, list[str]]:
    """A report, the messages acknowledged a second, and what is wrong."""
    with EndToEnd(seed) as test:
        took = test.run(seconds)
        acknowledged = len(test.compare()[0].acknowledged)
        oracle, faults = test.settle()
        rate, deaths = acknowledged / took, test.deaths
        report = (f"end to end: {deaths['daemon']} deaths of the daemon and {deaths['clients']} "
                  "of clients in "
                  f"{took:.1f} s (seed {seed}); {rate:.0f} messages acknowledged a second; "
                  f"{oracle.count()}")
        return report, rate, faults


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="end_to_end")
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("client", nargs="*", help="for itself: NAME DIRECTORY")
    options = parser.parse_args(arguments)
    if options.client:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        vars(route)["RETRIES"] = (RETRY_SECONDS,)
        Client(*options.client).run()
    report, rate, faults = end_to_end(options.seconds, options.seed)
    print(report)
    print(f"end to end: {len(faults)} faults", *faults[:20], sep="\n")
    if rate < RATE:
        print(f"end to end: FAILED: that is no load: {RATE} a second are wanted")
    return int(bool(faults) or rate < RATE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

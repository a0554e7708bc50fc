"""A block device that fails under the real daemon: writes at each moment of its life, then sectors
that cannot be read.

    python -m tests.torture.device_errors [--every N] [--backends NAME,NAME]

or `make torture`; needs root and /dev/fuse.

The device is failing_device.py's, so that what fails is below ext4, the page cache and the dbm
library.

Writes.  In each life the n-th write to the device, or all from the n-th on, fail with EIO, while
quick clients (correspondents.py) make the daemon roll, seal and drop.  It refuses, or it ends with
code 70 and one line.  Then the device is well, the file system is mounted anew, so that nothing is
believed but what the device holds, and the daemon starts: the oracle finds everything that was
acknowledged.

Reads.  A sector under a page of bob's sealed mail cannot be read.  Bob is brought all but that
page, and told; nobody else notices; what he confirms, the page is not in it.  --check-store and
--salvage name the file and exit with 65; what was salvaged is all but that page.  When the sector
can be read again a start brings bob the rest.
"""
import argparse
import fcntl
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from typing import Any

import wire
from store import manifest
from store.disk import Disk
from tests.harness.correspondents import Party
from tests.harness.process import HERE, DaemonProcess
from tests.harness.terminals import until
from tests.store.oracle import recover
from tests.store.test_segment import BACKENDS
from tests.torture.failing_device import FailingDevice, missing

SEAL_AT = 24 << 10
# writes of the device, from the first burst on: a roll, a seal and a drop are among them
WRITES = 90
# seconds of traffic, before the writes begin to fail and after
BEFORE_SECONDS, AFTER_SECONDS = 0.05, 0.3
BLOCK = 4096                # of the file system
FIBMAP = 1                  # see ioctl_fibmap(2): where on the device a block of a file lies
SIZE, COUNT = 2000, 200     # of the messages to bob, and to carol: some pages each
PAGES_SEAL_AT = 500 << 10
SETTLE_SECONDS = 20


def started(store: str, backend: str, seal_at: int, *options: str) -> DaemonProcess:
    return DaemonProcess("--backend", backend, *options, store=store,
                         program=(HERE + "/tests/torture/small_store.py", str(seal_at)))


# ---- writes ----

def fail_writes(device: FailingDevice, backend: str, number: int,
                count: int) -> tuple[str, list[str]]:
    """What became of the daemon, and what is wrong."""
    store, party = device.root + "/store", Party(number)
    shutil.rmtree(store, ignore_errors=True)
    where = f"{backend}, {count} writes from {number}"
    with started(store, backend, SEAL_AT) as daemon:
        assert daemon.process
        party.connect(daemon.path)
        party.resume()
        party.work(BEFORE_SECONDS)
        device.fail_writes(number, count)
        party.work(AFTER_SECONDS)
        party.drain()
        status = daemon.process.wait(SETTLE_SECONDS) if party.gone else None
        faults = []
        if status not in (None, os.EX_SOFTWARE):
            faults = [f"{where}: exit {status}: {daemon.output()}"]
        if status is None:
            daemon.end()
        elif len(daemon.output().splitlines()) != 1:
            faults.append(f"{where}: it said {daemon.output()}")
        party.hang_up()
        device.again()
        try:
            daemon.start()
            party.connect(daemon.path)
            faults += [f"{where}: {fault}" for fault in party.faults()]
        except AssertionError as error:
            faults.append(f"{where}: lost: {error}")
        party.hang_up()
    return "served on" if status is None else f"exit {status}", faults


def fail_all_writes(device: FailingDevice, backend: str, every: int) -> tuple[str, list[str]]:
    """Of one backend; a line, and what is wrong."""
    ends: dict[str, int] = {}
    faults: list[str] = []
    chance = random.Random(every)
    for number in range(0, WRITES, every):
        end, wrong = fail_writes(device, backend, number, chance.choice((1, 2, 8, 1 << 40)))
        ends[end] = ends.get(end, 0) + 1
        faults += wrong
    told = ", ".join(f"{times} {end}" for end, times in sorted(ends.items()))
    return f"device errors: {backend}, writes: {told}, {len(faults)} faults", faults


# ---- reads ----

class Store:
    """A store of mail to bob and carol, most of it sealed, and a sector of it that cannot be
    read."""

    def __init__(self, device: FailingDevice, backend: str) -> None:
        self.device, self.backend, self.path = device, backend, device.root + "/store"
        for left in self.path, device.root + "/log":
            subprocess.run(["rm", "-rf", left], check=True)
        self.faults: list[str] = []
        with started(self.path, backend, PAGES_SEAL_AT) as daemon:
            with daemon.client("bob"), daemon.client("carol"):
                pass
            with daemon.client("ann") as ann:
                for number in range(COUNT):
                    for name in "bob", "carol":
                        ann.say(wire.Send(ann_id(number, name), 0, (name,), text(name, number)))
                        ann.hear(wire.Stored)
            until(self.is_sealed, SETTLE_SECONDS, "the store is sealed")
            daemon.end(signal.SIGTERM)
        self.file = self.hurt()

    def is_sealed(self) -> bool:
        found = manifest.load(Disk(), self.path)
        return bool(found and found.segments and len(found.journals) == 1
                    and all(name.endswith(("-wal", "-shm"))
                            for name in manifest.unlisted(Disk(), self.path, found)))

    def hurt(self) -> str:
        """The file whose sector is bad from now on."""
        name, at = next((name, at) for name in sorted(os.listdir(self.path))
                        if name.startswith("segment.")
                        for at in [place(f"{self.path}/{name}",
                                         text("bob", COUNT // 3).encode()[:200])] if at)
        self.device.unmount()
        self.device.mount()
        self.device.fail_reads(at, at + BLOCK)
        return name

    def want(self, what: bool, otherwise: str) -> None:
        if not what:
            self.faults.append(f"{self.backend}, a bad sector in {self.file}: {otherwise}")

    def live(self) -> int:
        """How many of bob's messages the sector costs him for now."""
        with started(self.path, self.backend, PAGES_SEAL_AT, "--log",
                     self.device.root + "/log") as daemon:
            found, notice = brought(daemon, "bob")
            lacking = [number for number in range(COUNT) if text("bob", number) not in found]
            self.want(0 < len(lacking) < COUNT // 2, f"bob lacks {len(lacking)}")
            self.want(f"{len(lacking)} of your messages cannot be read" in notice,
                      f"bob was told {notice!r}")
            for _ in range(2):
                again, _ = brought(daemon, "bob")
                self.want(not again, f"{len(again)} came again to bob")
            others, notice = brought(daemon, "carol")
            self.want(others == [text("carol", number) for number in range(COUNT)] and not notice,
                      f"{len(others)} came to carol, {notice!r}")
            status = daemon.end(signal.SIGTERM)
            self.want(status == 0, f"exit {status}: {daemon.output()}")
        with open(self.device.root + "/log", encoding="utf-8") as log:
            said = [line for line in log if "cannot be read" in line]
        self.want(bool(said) and all(self.file.split(".dat")[0] in line and "for bob" in line
                                     for line in said),
                  f"the log has {said}")
        return len(lacking)

    def inspect(self) -> None:
        status, said = run(self.path, "--check-store")
        self.want(status == os.EX_DATAERR and "segment." in said,
                  f"--check-store: {status}, {said}")
        into = self.device.root + "/salvaged"
        shutil.rmtree(into, ignore_errors=True)
        status, said = run(self.path, "--salvage", into)
        self.want(status == os.EX_DATAERR and "segment." in said, f"--salvage: {status}, {said}")
        found = recover(into) if os.path.exists(into + "/manifest") else {}
        bob, carol = ([each.text for each in found.get(name, [])] for name in ("bob", "carol"))
        self.want(carol == [text("carol", number) for number in range(COUNT)],
                  f"salvaged {len(carol)} for carol")
        self.want(COUNT // 2 < len(bob) < COUNT
                  and set(bob) <= {text("bob", number) for number in range(COUNT)},
                  f"salvaged {len(bob)} for bob: {said}")

    def heal(self, lacking: int) -> None:
        self.device.again()
        status, said = run(self.path, "--check-store")
        self.want(status == 0, f"--check-store of the whole store: {said}")
        with started(self.path, self.backend, PAGES_SEAL_AT) as daemon:
            found, notice = brought(daemon, "bob")
            self.want(len(found) == lacking and not notice,
                      f"{len(found)} came once it could be read")


def place(path: str, pattern: bytes) -> int:
    """Where on the device the block lies in which this stands; 0 if it does not stand in this
    file."""
    with open(path, "rb") as file:
        at = file.read().find(pattern)
        if at < 0:
            return 0
        block = struct.unpack("I", fcntl.ioctl(file, FIBMAP, struct.pack("I", at // BLOCK)))[0]
        return int(block) * BLOCK


def text(name: str, number: int) -> str:
    return f"{name} {number:05} ".ljust(SIZE, "abcdefgh"[number % 8])


def ann_id(number: int, name: str) -> int:
    return 5 << 32 | number * 2 + (name == "bob")


def brought(daemon: DaemonProcess, name: str) -> tuple[list[str], str]:
    """What a check brings, and what else is said; all that stands between two messages of it is
    confirmed."""
    with daemon.client(name) as reader:
        reader.say(wire.Check(1))
        found: list[str] = []
        notice, last, confirmed, checked = "", 0, 0, False
        for said in reader.messages():
            if isinstance(said, wire.Mail):
                found.append(said.text)
                reader.say(wire.Confirm(last or said.id, said.id))
                last = said.id
            elif isinstance(said, wire.Notice):
                notice = said.text
            checked = checked or isinstance(said, wire.Checked)
            confirmed = said.last if isinstance(said, wire.Confirmed) else confirmed
            if checked and confirmed == last:
                break
        # what is said behind CHECKED has come when this is answered
        reader.say(wire.Ping(7))
        for said in reader.messages():
            notice = said.text if isinstance(said, wire.Notice) else notice
            if isinstance(said, wire.Pong):
                break
    return found, notice


def run(store: str, *options: str) -> tuple[int, str]:
    """The daemon as a tool."""
    done = subprocess.run([sys.executable, HERE + "/daemon.py", "--state", store, *options],
                          capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def fail_reads(device: FailingDevice, backend: str) -> tuple[str, list[str]]:
    store = Store(device, backend)
    store.inspect()
    lacking = store.live()
    store.heal(lacking)
    return (f"device errors: {backend}, a bad sector under {lacking} messages: "
            f"{len(store.faults)} faults", store.faults)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="device_errors")
    parser.add_argument("--every", type=int, default=2, help="every N-th of the writes only")
    parser.add_argument("--backends", default=",".join(BACKENDS))
    options = parser.parse_args(arguments)
    if reason := missing():
        print(f"device errors: skipped, {reason}")
        return 0
    began, wrong = time.monotonic(), 0
    with tempfile.TemporaryDirectory(prefix="parley-device-", dir="/var/tmp") as directory, \
            FailingDevice(directory) as device:
        for backend in options.backends.split(","):
            parts: list[Any] = [lambda name=backend: fail_reads(device, name),
                                lambda name=backend: fail_all_writes(device, name, options.every)]
            for part in parts:
                line, faults = part()
                print(line, *faults[:20], sep="\n", flush=True)
                wrong += len(faults)
    print(f"device errors: {time.monotonic() - began:.0f} s")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

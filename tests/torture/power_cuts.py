"""Power cuts: a real daemon on a real ext4, whose device loses everything that was not synced,
again and again.

    python -m tests.torture.power_cuts [--cuts N] [--seed N]        or `make torture`

It needs root, mkfs.ext4 and eatmydata.

The store lies on an ext4 image on a loop device.  Clients outside of it write, read and delete
(correspondents.py); after some tens of milliseconds the ioctl EXT4_IOC_SHUTDOWN, without flushing
its log, takes the file system away, as a power cut does: what no fdatasync has carried to the
device is lost.  The daemon is killed; the image is unmounted and mounted again, which replays
ext4's own journal; the daemon starts; everybody checks, and the oracle compares.

Half of the cuts fall while the daemon is stopped: then everything that it ever said is known.  The
others fall in mid-flight: then only what was heard before the cut counts, for an fdatasync that
races the ioctl can return without an error, which no real disk would do after its power is gone.

The control does the same under libeatmydata, where fdatasync does nothing.  It must lose something:
if it does not, these cuts prove nothing, and this says so and fails.

The image is mounted in a mount namespace of this program's own.  Otherwise whoever makes a
namespace on this host meanwhile, as test_neighbours and test_packaging do, holds a copy of the
mount: then unmounting does not end the file system, the next mount finds it still shut down, and
the daemon is told EIO.

The store seals after SEAL_AT bytes, so rolls, seals and drops happen all the time; how many is
printed, and how many cuts fell into one.
"""
import argparse
import ctypes
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

from store import manifest
from store.disk import Disk
from tests.harness.correspondents import Party
from tests.harness.process import HERE, DaemonProcess
from tests.harness.terminals import find_program, until

TOOLS = ("mkfs.ext4", "mount", "umount", "eatmydata")
# EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH: see ext4(5) and its ioctls
SHUTDOWN, WITHOUT_LOG = 0x8004587D, 2
IMAGE_SIZE = 64 << 20
SEAL_AT = 24 << 10
TRAFFIC_SECONDS = (0.03, 0.15)
MID_FLIGHT_SECONDS = 0.005                  # from the last burst of messages to the cut
UNMOUNT_SECONDS = 10
NEW_MOUNTS = 0x20000                        # CLONE_NEWNS, see unshare(2)
CONTROL_CUTS = 10                           # the control loses at the first or second


class Image:
    """An ext4 file system of its own, mounted, whose power can be cut."""

    def __init__(self, directory: str, size: int = IMAGE_SIZE) -> None:
        self.file, self.root = directory + "/image", directory + "/mounted"
        os.mkdir(self.root)
        with open(self.file, "wb") as file:
            file.truncate(size)
        subprocess.run([find_program("mkfs.ext4") or "", "-q", "-F", self.file], check=True)
        self.mounted = False
        self.mount()

    def mount(self) -> None:
        subprocess.run(["mount", "-o", "loop", self.file, self.root], check=True)
        self.mounted = True

    def cut(self) -> None:
        """The power is gone: nothing that is not on the device will ever be."""
        fd = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", WITHOUT_LOG))
        finally:
            os.close(fd)

    def unmount(self) -> None:
        """As soon as nobody has a file open there: who syncs for the daemon ends after it."""
        umount = ["umount", self.root]
        until(lambda: not subprocess.run(umount, capture_output=True, check=False).returncode,
              UNMOUNT_SECONDS, "umount")
        self.mounted = False


class Run:
    """One store on one image, through all its cuts."""

    def __init__(self, directory: str, seed: int, under: tuple[str, ...] = ()) -> None:
        self.image, self.party, self.chance = Image(directory), Party(seed), random.Random(seed)
        self.store = self.image.root + "/store"
        self.faults: list[str] = []
        self.cuts = self.in_a_seal = self.segments = self.manifests = 0
        program = (HERE + "/tests/torture/small_store.py", str(SEAL_AT))
        self.daemon = DaemonProcess("--all-seconds", "none", store=self.store, program=program,
                                    under=under, wait=False)

    def cut(self, stopped: bool) -> None:
        """Traffic, then the cut, then a new start; what is wrong goes to `faults`."""
        process = self.daemon.process
        assert process is not None
        self.party.resume()
        before = manifest.load(Disk(), self.store)
        self.party.work(self.chance.uniform(*TRAFFIC_SECONDS))
        if stopped:
            process.send_signal(signal.SIGSTOP)
            os.waitpid(process.pid, os.WUNTRACED)
        self._look(before)
        self.party.drain()
        if not stopped:
            self.party.burst()
            time.sleep(self.chance.uniform(0, MID_FLIGHT_SECONDS))
        self.image.cut()
        self.daemon.end()
        self.party.hang_up()
        self.image.unmount()
        self.image.mount()
        self.cuts += 1
        self.start(f"cut {self.cuts}, {'stopped' if stopped else 'in mid-flight'}")

    def _look(self, before: manifest.Manifest | None) -> None:
        """What the store was doing: afterwards it can't be read.  A daemon that runs may be a
        little further."""
        after = manifest.load(Disk(), self.store)
        if before and after:
            self.manifests += after.generation - before.generation
            self.segments += _newest(after) - _newest(before)
            self.in_a_seal += any(name.startswith("segment.")
                                  for name in manifest.unlisted(Disk(), self.store, after))

    def start(self, after: str) -> None:
        try:
            self.daemon.start()
        except AssertionError as error:
            self.faults.append(f"{after}: refused start: {error}")
            return
        self.party.connect(self.daemon.path)
        self.faults += [f"{after}: {fault}" for fault in self.party.faults()]

    def close(self) -> None:
        self.party.hang_up()
        self.daemon.close()
        if self.image.mounted:
            self.image.unmount()


def _newest(found: manifest.Manifest) -> int:
    return max((listed.number for listed in found.segments), default=0)


def mount_alone() -> None:
    """From now on nobody outside of this process and its children sees what it mounts."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_MOUNTS):
        raise OSError(ctypes.get_errno(), "unshare failed")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


def torture(cuts: int, seed: int, under: tuple[str, ...] = ()) -> Run:
    """Cut so often, or until something is wrong."""
    directory = tempfile.mkdtemp(prefix="parley-cuts-", dir="/var/tmp")
    run = None
    try:
        run = Run(directory, seed, under)
        run.daemon.wait()
        run.party.connect(run.daemon.path)
        for number in range(cuts):
            run.cut(stopped=number % 2 == 0)
            if run.faults:
                break
    finally:
        if run:
            run.close()
        shutil.rmtree(directory)
    return run


def kinds(faults: list[str]) -> str:
    """How many of each kind."""
    found: dict[str, int] = {}
    for fault in faults:
        kind = fault.split(": ")[1]
        found[kind] = found.get(kind, 0) + 1
    return ", ".join(f"{number} {kind}" for kind, number in found.items()) or "nothing"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="power_cuts")
    parser.add_argument("--cuts", type=int, default=40)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args(arguments)
    missing = [tool for tool in TOOLS if not find_program(tool)]
    if missing or os.geteuid():
        print(f"power cuts: skipped, needs root and {', '.join(missing or TOOLS)}")
        return 0
    mount_alone()
    started = time.monotonic()
    run = torture(options.cuts, options.seed)
    seconds = time.monotonic() - started
    print(f"power cuts: {run.cuts} cuts "
          f"(seed {options.seed}, {seconds / max(1, run.cuts):.2f} s a cut), "
          f"{run.party.oracle.count()}; "
          f"{run.manifests} manifests and {run.segments} segments made, "
          f"{run.in_a_seal} cuts fell into a seal: wrong is {kinds(run.faults)}")
    print(*run.faults[:20], sep="\n", end="\n" if run.faults else "")
    control = torture(CONTROL_CUTS, options.seed, (find_program("eatmydata") or "",))
    print(f"power cuts, control: without fdatasync, after {control.cuts} cuts wrong is "
          f"{kinds(control.faults)}")
    if not control.faults:
        print("power cuts: FAILED: the control lost nothing, so the cuts above prove nothing")
    return int(bool(run.faults) or not control.faults or not run.segments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

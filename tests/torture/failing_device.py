"""A block device whose writes, and reads, fail when a test says so: faults below every library and
every cache.

    with FailingDevice(directory) as device:        ext4 is mounted at device.root
        device.fail_writes()                        until device.heal(): EIO for each write that
                                                    reaches the device
        device.fail_reads(first, last)              and for each read that touches these bytes of it
        device.lose_writes()                        the device says that it wrote, and did not

How it works: a FUSE server in a process of its own, some 100 lines that speak the kernel's protocol
(fuse(4), linux/fuse.h), serves one file; a loop device lies on that file, and ext4 on the loop
device.  FOPEN_DIRECT_IO keeps the kernel from caching the file, so that each request of the block
layer is one request to the server.  What a page cache hides, ext4's or the loop device's, is hidden
from the store in the same way as on a disk that fails.

Orders go through a page of memory that both processes share.  A data block that the device refused
is marked clean by ext4, so a later fsync writes nothing: that is the trap which this instrument is
for.
"""
import contextlib
import ctypes
import errno
import mmap
import os
import select
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Iterator

from tests.harness.terminals import find_program, until

SIZE = 64 << 20
FILE, ROOT = 2, 1                           # node numbers
MAX_WRITE = 1 << 20
WAIT_SECONDS = 20
HELD_SECONDS = 120          # another test's mount namespace may hold the file system for so long

HEADER = struct.Struct("=IIQQIIIHH")        # fuse_in_header
REPLY = struct.Struct("=IiQ")               # fuse_out_header
ATTRIBUTES = struct.Struct("=6Q10I")        # fuse_attr
TRANSFER = struct.Struct("=QQIIQII")        # fuse_read_in and fuse_write_in
INIT, LOOKUP, FORGET, GETATTR, SETATTR, OPEN, READ, WRITE, STATFS = 26, 1, 2, 3, 4, 14, 15, 16, 17
RELEASE, FSYNC, FLUSH, INTERRUPT, BATCH_FORGET, DESTROY = 18, 20, 25, 36, 42, 38
SILENT = (FORGET, BATCH_FORGET, INTERRUPT)  # no answer is expected

# The shared page: what is ordered, which only the test writes, and what was counted, which only the
# server writes.  ORDERS: the writes that fail, first and end, by number; the bytes that cannot be
# read, first and end; whether the writes that fail are said to be done.
ORDERS = struct.Struct("=QQQQQ")
COUNTS = struct.Struct("=QQ")               # writes and reads so far
COUNTS_AT, LOOP_AT = 64, 128                # and from there the name of the loop device
ALL = 1 << 63


def missing() -> str:
    """What keeps this from working here; empty if nothing does."""
    if os.geteuid():
        return "needs root"
    if not os.path.exists("/dev/fuse"):
        return "needs /dev/fuse"
    lacking = [tool for tool in ("mkfs.ext4", "mount", "umount",
                                 "losetup") if not find_program(tool)]
    return f"needs {', '.join(lacking)}" if lacking else ""


class Server:
    """The child: the file, and what the kernel asks of it."""

    def __init__(self, fuse: int, backing: int, orders: mmap.mmap) -> None:
        self.fuse, self.backing, self.orders = fuse, backing, orders

    def serve(self, parent: int) -> None:
        """Until it is unmounted, or whoever made it has died: then nobody may be left waiting for
        it."""
        while True:
            if parent in select.select([self.fuse, parent], [], [])[0]:
                return
            try:
                asked = os.read(self.fuse, MAX_WRITE + (64 << 10))
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.EINTR):      # one that was interrupted
                    continue
                return                                              # ENODEV: unmounted
            _, code, unique, node, *_ = HEADER.unpack_from(asked)
            if code in SILENT:
                continue
            try:
                failed, said = 0, self.answer(code, node, asked[HEADER.size:])
            except OSError as error:
                failed, said = -(error.errno or errno.EIO), b""
            with contextlib.suppress(OSError):
                os.write(self.fuse, REPLY.pack(REPLY.size + len(said), failed, unique) + said)

    def answer(self, code: int, node: int, body: bytes) -> bytes:
        if code == INIT:
            flags = 1 << 5 | 1 << 22                                # BIG_WRITES, MAX_PAGES
            return struct.pack("=IIIIHHIIHHI28x", 7, 31, 1 << 17, flags, 16, 12, MAX_WRITE, 1, 256,
                               0, 0)
        if code == LOOKUP:
            if body.rstrip(b"\0") != b"disk":
                raise OSError(errno.ENOENT, "")
            return struct.pack("=QQQQII", FILE, 0, 3600, 3600, 0, 0) + self.attributes(FILE)
        if code in (GETATTR, SETATTR):
            return struct.pack("=QII", 3600, 0, 0) + self.attributes(node)
        if code == OPEN:
            return struct.pack("=QII", 0, 1, 0)                     # FOPEN_DIRECT_IO
        if code in (READ, WRITE):
            return self.transfer(code, body)
        if code == STATFS:
            return struct.pack("=5Q4I24x", SIZE >> 12, 0, 0, 1, 0, 4096, 255, 4096, 0)
        if code in (RELEASE, FSYNC, FLUSH, DESTROY):
            return b""
        raise OSError(errno.ENOSYS, "")

    def attributes(self, node: int) -> bytes:
        mode, size = (0o100600, SIZE) if node == FILE else (0o40700, 0)
        return ATTRIBUTES.pack(node, size, size >> 9, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)

    def transfer(self, code: int, body: bytes) -> bytes:
        _, offset, size, *_ = TRANSFER.unpack_from(body)
        first, end, bad, bad_end, silent = ORDERS.unpack_from(self.orders)
        writes, reads = COUNTS.unpack_from(self.orders, COUNTS_AT)
        COUNTS.pack_into(self.orders, COUNTS_AT, writes + (code == WRITE), reads + (code == READ))
        if code == READ:
            if offset < bad_end and bad < offset + size:
                raise OSError(errno.EIO, "")
            return os.pread(self.backing, size, offset)
        if first <= writes < end:
            if silent:
                return struct.pack("=II", size, 0)
            raise OSError(errno.EIO, "")
        data = body[TRANSFER.size:TRANSFER.size + size]
        return struct.pack("=II", os.pwrite(self.backing, data, offset), 0)


class FailingDevice:
    """A mounted ext4 on such a device.  Everything lies in `directory`, which is the test's own."""

    def __init__(self, directory: str) -> None:
        self.root, self._fuse, self.image = (f"{directory}/{name}"
                                             for name in ("mounted", "fuse", "image"))
        self.loop = ""
        self._orders = mmap.mmap(-1, mmap.PAGESIZE)
        self._order(0, 0, 0, 0)
        os.mkdir(self.root)
        os.mkdir(self._fuse)
        with open(self.image, "wb") as file:
            file.truncate(SIZE)
        subprocess.run([find_program("mkfs.ext4") or "", "-q", "-F", "-b", "4096", "-E",
                        "nodiscard,lazy_itable_init=0", self.image], check=True)
        self._serve()
        try:
            self.loop = _run("losetup", "--find", "--show", self._fuse + "/disk")
            self._orders[LOOP_AT:LOOP_AT + len(self.loop)] = self.loop.encode()
            self.mount()
        except BaseException:
            self.close()
            raise

    def _serve(self) -> None:
        """Mount FUSE, with a server in a child."""
        fuse, backing = os.open("/dev/fuse", os.O_RDWR), os.open(self.image, os.O_RDWR)
        libc = ctypes.CDLL(None, use_errno=True)
        options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0,allow_other,max_read={MAX_WRITE}"
        # MS_NOSUID | MS_NODEV
        if libc.mount(b"parley", self._fuse.encode(), b"fuse", 6, options.encode()):
            raise OSError(ctypes.get_errno(), "mount of fuse failed")
        parent, self._alive = os.pipe()
        self._server = os.fork()
        if not self._server:
            try:
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    signal.signal(number, signal.SIG_IGN)
                os.close(self._alive)
                Server(fuse, backing, self._orders).serve(parent)
                os.close(fuse)
                self._forsake()
            finally:
                os._exit(0)
        for fd in (fuse, backing, parent):
            os.close(fd)

    def _forsake(self) -> None:
        """The test has died: leave nothing behind it."""
        loop = bytes(self._orders[LOOP_AT:]).partition(b"\0")[0].decode()
        for command in ("umount", "--lazy", self.root), ("losetup", "--detach",
                                                         loop), ("umount", "--lazy", self._fuse):
            subprocess.run(command, capture_output=True, check=False)

    # ---- orders ----

    def _order(self, first: int, end: int, bad: int, bad_end: int, silent: bool = False) -> None:
        ORDERS.pack_into(self._orders, 0, first, end, bad, bad_end, silent)

    def fail_writes(self, after: int = 0, count: int = ALL >> 1) -> None:
        """Of the writes that reach the device from now on, let some pass; then so many fail."""
        self._order(self.writes + after, self.writes + after + count, 0, 0)

    def lose_writes(self) -> None:
        """From now on a write is said to be done, and is not."""
        self._order(0, ALL, 0, 0, silent=True)

    def fail_reads(self, first: int = 0, end: int = ALL) -> None:
        """Each read that touches these bytes of the device fails."""
        self._order(0, 0, first, end)

    def heal(self) -> None:
        self._order(0, 0, 0, 0)

    @property
    def writes(self) -> int:
        """How many have come."""
        return int(COUNTS.unpack_from(self._orders, COUNTS_AT)[0])

    @property
    def reads(self) -> int:
        return int(COUNTS.unpack_from(self._orders, COUNTS_AT)[1])

    def find(self, pattern: bytes) -> list[int]:
        """Where on the device this stands."""
        with open(self.image, "rb") as file, mmap.mmap(file.fileno(), 0,
                                                       prot=mmap.PROT_READ) as data:
            return list(_places(data, pattern))

    # ---- the file system ----

    def mount(self) -> None:
        subprocess.run(["mount", self.loop, self.root], check=True)

    def _umount(self) -> None:
        """Unmount as soon as nobody has a file open there."""
        until(lambda: not subprocess.run(["umount", self.root], capture_output=True,
                                         check=False).returncode
              or not os.path.ismount(self.root), WAIT_SECONDS, "umount")

    def unmount(self) -> None:
        """Unmount everywhere; ext4's and the loop device's memory is gone after it.

        A mount namespace that another process made meanwhile has the file system mounted too.
        Until that namespace is gone, e2fsck would refuse the device, and the next mount would be
        the old one, which is read-only after an error."""
        self._umount()
        mounted = "/sys/fs/ext4/" + os.path.basename(self.loop)
        until(lambda: not os.path.exists(mounted), HELD_SECONDS, "no mount is left")
        subprocess.run(["blockdev", "--flushbufs", self.loop], check=False)

    def again(self) -> None:
        """The device is well; the file system is mounted anew, after what ext4's own journal and
        e2fsck put right."""
        self.unmount()
        self.heal()
        subprocess.run([find_program("fsck.ext4") or "e2fsck", "-f", "-y", self.loop],
                       capture_output=True, check=False)
        self.mount()

    def close(self) -> None:
        self.heal()
        try:
            if os.path.ismount(self.root):
                self._umount()
        finally:
            self._let_go()

    def _let_go(self) -> None:
        if self.loop:
            subprocess.run(["losetup", "--detach", self.loop], check=False)
        deadline = time.monotonic() + WAIT_SECONDS
        while os.path.ismount(self._fuse) and time.monotonic() < deadline:
            subprocess.run(["umount", self._fuse], capture_output=True, check=False)
        os.close(self._alive)
        os.waitpid(self._server, 0)
        for path in (self.root, self._fuse):
            shutil.rmtree(path, ignore_errors=True)

    def __enter__(self) -> "FailingDevice":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _places(data: mmap.mmap, pattern: bytes) -> Iterator[int]:
    at = data.find(pattern)
    while at >= 0:
        yield at
        at = data.find(pattern, at + 1)


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

"""A hostile daemon that floods the clients: how much memory each takes, and whether its user can
still type and leave.  Part of `make torture`.

    python3 -m tests.torture.hostile_floods [FLOOD ...] [CLIENT ...]

The daemon is a process of its own.  It lets every client in and then says one kind of message as
fast as the socket takes it, for PARLEY_FLOOD_SECONDS; it confirms nothing and reads all.  The
figures of a client are its peak of resident memory above that of the same client at an honest
daemon, and, at a terminal, the time from a key to its echo (the median, and the longest) and from
/exit to the end.  Prints a line for each pair; exits 1 when a figure is missed.  Without arguments
the curses client meets all floods, the others the SEVERAL that cost most: six minutes.
"""
from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import pty
import resource
import select
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import wire
from tests.harness.process import HERE
from tests.harness.terminals import environment

SECONDS = float(os.environ.get("PARLEY_FLOOD_SECONDS", "6"))
MEMORY_MAX = 50 << 20           # of a client, above its base
KEY_MAX = 0.1                   # seconds from a key to its echo: the median; others use the machine
LINE_MAX = 0.4                  # at --plain from Enter to the answer; the terminal echoes keys
LEAVE_MAX = 6.0                 # seconds from /exit to the end: the client waits 3 for a goodbye
ADDRESS_SPACE = 3 << 30         # of a client that has no bound: it must not fill the machine
NOON = 1_795_262_400_000_000
KEYS = "ΓΔΘΛΞΠΣΦΨΩ"             # their bytes are in nothing else that is shown
LONGEST = wire.TEXT_MAX


# ---- what the daemon says ----

def name(number: int) -> str:
    """A name of 32 characters."""
    return f"{number:032d}"


def frames(*said: Any) -> bytes:
    return b"".join(map(wire.encode, said))


def entries(start: int, state: int) -> tuple[wire.Entry, ...]:
    return tuple(wire.Entry(name(start + n), state, 0, NOON + n, 0) for n in range(1300))


def rooms(start: int) -> tuple[wire.RoomEntry, ...]:
    return tuple(wire.RoomEntry(f"#r{start + n:030d}", 0, 1, 2**32 - 1, 9, "t" * 255)
                 for n in range(200))


def mails(number: int, texts: tuple[str, ...], flags: int = 0) -> wire.Mails:
    """Messages of a sender and an instance of their own."""
    return wire.Mails(1 + number * 2000, NOON, (number << 32) + 1, flags, 1, name(number), texts)


def body(head: bytes, size: int) -> bytes:
    return struct.pack("!I", size) + head


def half(number: int) -> bytes:
    """A frame of the longest, without its last byte, again and again: the client never has one."""
    if number == 0:
        return struct.pack("!I", wire.FRAME_MAX) + b"\x35" + bytes(wire.FRAME_MAX - 2)
    time.sleep(0.05)
    return b""


# By the name of a flood: what the daemon says the n-th time.  `{me}` is the client's name.
FLOODS: dict[str, Callable[[int, str], bytes]] = {
    "invitations": lambda n, me: frames(*(wire.Invitation(n * 500 + i, 60, "bob", ("bob", me))
                                          for i in range(500))),
    "wide-invitations": lambda n, me: frames(
        wire.Invitation(n, 60, "bob", tuple(f"{n % 900 + 100}{i:x}" for i in range(8000)))),
    "own-invitations": lambda n, me: frames(*(
        wire.Inviting(n * 300 + i, n * 300 + i, 60, (me, "bob", name(i))) for i in range(300))),
    "called-off": lambda n, me: frames(*(wire.CalledOff(i, i % 15, name(i)) for i in range(500))),
    "acceptances": lambda n, me: (
        frames(wire.Invitation(1, 60, "bob", ("bob", me, "carol"))) * (n == 0)
        + frames(*(wire.Answered(1, name(n * 500 + i)) for i in range(500)))),
    "log": lambda n, me: frames(wire.Roster(0, 0, entries(n * 1300, 0))),
    "log-present": lambda n, me: frames(wire.Roster(0, 0, entries(n * 1300, 1))),
    "changes": lambda n, me: frames(wire.Roster(0, 1, entries(n * 1300, 0))),
    "changes-present": lambda n, me: frames(wire.Roster(0, 1, entries(n * 1300, 1))),
    "list": lambda n, me: frames(wire.Roster(LISTED[-1], 0, entries(n * 1300, 1)))
        if LISTED else time.sleep(0.01) or b"",
    "rooms": lambda n, me: frames(*(wire.Rooms(0, 1, rooms(n * 1000 + i * 200)) for i in range(5))),
    "room-list": lambda n, me: frames(wire.Rooms(LISTED[-1], 0, rooms(n * 200)))
        if LISTED else time.sleep(0.01) or b"",
    "members": lambda n, me: frames(
        wire.Admitted(1, "#ops", "bob", tuple(map(name, range(1900)))),
        wire.Members(LISTED[-1] if LISTED else n, "#ops", tuple(map(name, range(1900))))),
    "pasts": lambda n, me: frames(*(
        wire.Past(LISTED[-1] if LISTED else n, NOON, (n << 32) + i, "bob", ("x",) * 1000)
        for i in range(5))),
    "mails": lambda n, me: frames(mails(n, ("x",) * 1000)),
    "checked-mails": lambda n, me: frames(mails(n, ("x",) * 1000, wire.SendFlag.CHECK)),
    "mails-to": lambda n, me: frames(*(
        wire.MailsTo(1 + i, NOON, i << 32, 0, 32, name(n), tuple(
            f"{i:x}-{j}".ljust(32, "n") for j in range(32)), ("x",))
        for i in range(n * 50, n * 50 + 50))),
    "single-mails": lambda n, me: frames(*(mails(n * 500 + i, ("x",)) for i in range(500))),
    "long-mails": lambda n, me: frames(mails(n, ("\U0001f600" * (LONGEST // 4),) * 3)),
    "line-mails": lambda n, me: frames(mails(n, ("\n" * LONGEST,) * 3)),
    "blank-mails": lambda n, me: frames(mails(n, ("\ufe0f" * (LONGEST // 3),) * 3)),
    "same-mails": lambda n, me: frames(*(mails(1, ("x",) * 1000),) * 10),
    "chats": lambda n, me: frames(*(wire.Started(n * 200 + i, 1, ("bob", me))
                                    for i in range(200))),
    "wide-chats": lambda n, me: frames(
        wire.Started(n, 1, tuple(f"{n % 900 + 100}{i:x}" for i in range(8000)))),
    "chat-lines": lambda n, me: frames(wire.Started(1, 1, ("bob", me))) * (n == 0)
        + frames(*(wire.Line(1, NOON, "bob", "".join(map(chr, range(at, at + 5461))))
                   for at in (0x4e00, 0x6400, 0x8000))),
    "partings": lambda n, me: frames(
        wire.Started(n, 1, ("bob", me, "carol")), *(wire.Left(n, i % 15, name(i))
                                                    for i in range(200)), wire.Ended(n, 0, "bob")),
    "short-chat-lines": lambda n, me: frames(wire.Started(1, 1, ("bob", me))) * (n == 0)
        + frames(*(wire.Line(1, NOON, "bob", str(i)) for i in range(1000))),
    "notices": lambda n, me: frames(wire.Notice(chr(0x4e00 + n % 99) * 21000)),
    "long-notices": lambda n, me: frames(
        *(wire.Notice("".join(map(chr, range(at, at + 5461))))      # 15,000 in turn
          for at in (0x4e00, 0x6400, 0x8000))),
    "short-notices": lambda n, me: frames(*(wire.Notice(str(i)) for i in range(1000))),
    "blank-notices": lambda n, me: frames(wire.Notice("\ufe0f" * 5000)),
    "answers": lambda n, me: frames(*(wire.Failed(i, 0, "\u4e00" * 1000) for i in range(10)),
                                    *map(wire.Done, range(200)),
                                    *(wire.Checked(i, 1) for i in range(200))),
    "ignored": lambda n, me: frames(wire.Ignored(n, tuple(f"{i:x}" for i in range(9000)))),
    "outcomes": lambda n, me: frames(
        wire.Outcomes(0, 2**64 - 1, 3, tuple(f"{n * 1000 + i}" for i in range(1000)))),
    "ranges": lambda n, me: frames(*(wire.Stored(i, 2**64 - 1) for i in range(100)),
                                   *(wire.Refused(i, 0, "no") for i in range(100)),
                                   *(wire.Delivered(0, 2**64 - 1, name(i)) for i in range(100)),
                                   *(wire.Confirmed(1, i + 1) for i in range(100))),
    "statuses": lambda n, me: frames(*(wire.Status(name(n * 1000 + i), "\u4e00" * 66)
                                       for i in range(1000))),
    "traced": lambda n, me: frames(wire.Traced(n, tuple(map(name, range(1900))))),
    "waiting": lambda n, me: frames(*map(wire.Waiting, range(2000))),
    "report": lambda n, me: frames(*[wire.Report(0, 0, "x" * 1000)] * 60),
    "live": lambda n, me: frames(*map(wire.Live, range(2000))),
    "pings": lambda n, me: frames(*map(wire.Ping, range(2000)), wire.Pong(n)),
    "half": lambda n, me: half(n),
}
SEVERAL = ["invitations", "log", "changes-present", "single-mails", "together"]
LISTED: list[int] = []              # the requests of LIST that came
# All that a client does not hang up for, in turn: their bounds together.
TOGETHER = [flood for flood in FLOODS if flood not in (
    "log", "log-present", "list", "long-mails", "line-mails", "blank-mails", "notices", "half")]
FLOODS["together"] = lambda n, me: FLOODS[TOGETHER[n % len(TOGETHER)]](n // len(TOGETHER), me)


# ---- the daemon ----

def serve(flood: str, path: str) -> None:
    """Until it is killed."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(8)
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=meet, args=(flood, sock), daemon=True).start()


def meet(flood: str, sock: socket.socket) -> None:
    decoder = wire.Decoder(wire.FRAME_MAX)
    with contextlib.suppress(OSError), sock:
        hello = wire.decode(next(decoder.feed(sock.recv(1024))), wire.CLIENT)
        LISTED.clear()
        threading.Thread(target=listen, args=(sock, decoder), daemon=True).start()
        sock.sendall(frames(wire.Welcome(wire.VERSION, hello.features, bytes(16), bytes(15) + b"7",
                                         NOON, 3, hello.name, "house")))
        here = tuple(wire.Entry(each, 1, 0, NOON, 0) for each in (hello.name, "bob", "carol"))
        sock.sendall(frames(wire.Roster(0, int(not flood.startswith("log")), here)))
        if flood in FLOODS:
            for number in itertools.count():
                sock.sendall(FLOODS[flood](number, hello.name))
        threading.Event().wait()


def listen(sock: socket.socket, decoder: wire.Decoder) -> None:
    """Read what the client says; without a flood, answer what a one-shot command asks."""
    with contextlib.suppress(OSError, wire.ProtocolError):
        while data := sock.recv(1 << 16):
            for frame in decoder.feed(data):
                said = wire.decode(frame, wire.CLIENT)
                if isinstance(said, wire.List):
                    LISTED.append(said.request)
                if isinstance(said, wire.Exit) and len(sys.argv) > 2 and sys.argv[2] == "none":
                    sock.shutdown(socket.SHUT_RDWR)


# ---- a client ----

CLIENTS = {"curses": (), "plain": ("--plain",), "send": ("--send", "bob", "hi"),
           "check": ("--check",), "who": ("--who",)}


class Figures(NamedTuple):
    """What came of one client."""
    peak: int                       # bytes resident
    keys: list[float]               # seconds from a key to its echo, sorted
    left: float | None              # seconds from /exit to the end; None: it had to be killed
    said: str = ""                  # how a client that ended by itself ended


class Client:
    """A client on a pty of its own; what it writes is searched, not painted."""

    def __init__(self, kind: str, path: str, home: str) -> None:
        self.kind = kind
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, HERE + "/curses_client.py", "--connect", "unix:" + path, "--name",
             "ann", *CLIENTS[kind]], stdin=slave, stdout=slave, stderr=slave,
            env=environment(XDG_STATE_HOME=home), start_new_session=True,
            preexec_fn=lambda: (fcntl.ioctl(0, termios.TIOCSCTTY, 0), resource.setrlimit(
                resource.RLIMIT_AS, (ADDRESS_SPACE,) * 2))[0])
        os.close(slave)
        self.tail = b""
        self.peak = 0
        self.looked = 0.0

    def read(self, seconds: float) -> bytes:
        if time.monotonic() - self.looked > 0.02:
            self.look()
            self.looked = time.monotonic()
        if not select.select([self.master], [], [], max(0.0, seconds))[0]:
            return b""
        try:
            data = os.read(self.master, 1 << 16)
        except OSError:
            time.sleep(0.01)
            return b""
        self.tail = (self.tail + data)[-4000:]
        return data

    def look(self) -> None:
        with contextlib.suppress(OSError), open(f"/proc/{self.process.pid}/status") as status:
            for line in status:
                if line.startswith("VmHWM"):
                    self.peak = max(self.peak, int(line.split()[1]) << 10)

    def until(self, mark: bytes, seconds: float) -> float | None:
        began, seen = time.monotonic(), b""
        while mark not in seen:
            left = began + seconds - time.monotonic()
            if left <= 0 or self.process.poll() is not None:
                return None
            seen = seen[-20:] + self.read(min(left, 0.05))
        return time.monotonic() - began

    def idle(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.read(min(left, 0.05))

    def run(self, flood: str, seconds: float) -> Figures:
        end, keys, number = time.monotonic() + seconds, list[float](), 0
        self.until(b"> " if self.kind in ("curses", "plain") else b"\xff", 3.0)
        if flood == "list" and self.kind in ("curses", "plain"):
            os.write(self.master, b"/who\r")
        while time.monotonic() < end and self.process.poll() is None:
            self.idle(0.15)
            self.look()
            if self.kind == "curses":
                letter = KEYS[number % len(KEYS)].encode()
                if number % len(KEYS) == 0:
                    os.write(self.master, b"\x15")
                    self.idle(0.3)              # or the letter is on the screen already
                os.write(self.master, letter)
                keys.append(self.until(letter, 5.0) or 5.0)
                number += 1
            elif self.kind == "plain":
                os.write(self.master, f"/no{number}\r".encode())
                keys.append(self.until(f"? /no{number}".encode(), 5.0) or 5.0)
                number += 1
        self.look()
        left, said = self.leave()
        return Figures(self.peak, sorted(keys), left, said)

    def leave(self) -> tuple[float | None, str]:
        began = time.monotonic()
        if self.process.poll() is not None:
            return 0.0, f"{self.process.returncode}: {self.tail[-150:].decode(errors='replace')!r}"
        os.write(self.master, b"\x15/exit\r" if self.kind == "curses" else b"/exit\r"
                 if self.kind == "plain" else b"\x03")
        while self.process.poll() is None and time.monotonic() < began + 20:
            self.read(0.05)
        left = time.monotonic() - began if self.process.poll() is not None else None
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        return left, f"{self.process.returncode}"


def measure(flood: str, client: str, seconds: float) -> Figures:
    with tempfile.TemporaryDirectory(prefix="parley-floods-") as home:
        path = home + "/sock"
        with open(home + "/output", "wb") as output:
            daemon = subprocess.Popen([sys.executable, "-m", "tests.torture.hostile_floods",
                                       "serve", flood, path], cwd=HERE, stderr=output)
        try:
            while not os.path.exists(path):
                time.sleep(0.01)
            return Client(client, path, home).run(flood, seconds)
        finally:
            daemon.kill()
            daemon.wait()


def judged(flood: str, client: str, base: int) -> bool:
    found = measure(flood, client, SECONDS)
    median = found.keys[len(found.keys) // 2] if found.keys else 0.0
    worst = found.keys[-1] if found.keys else 0.0
    good = (found.peak - base <= MEMORY_MAX and found.left is not None and found.left <= LEAVE_MAX
            and median <= (LINE_MAX if client == "plain" else KEY_MAX)
            and "Traceback" not in found.said)
    print(f"  {flood:18} {client:7} {(found.peak - base) / 2**20:7.1f} MiB  key "
          f"{median * 1000:6.0f} ms, worst {worst * 1000:6.0f} ({len(found.keys)}); left in "
          f"{-1 if found.left is None else found.left:.1f} s, {found.said}"
          f"{'' if good else '  MISSED'}", flush=True)
    return good


def main(arguments: list[str]) -> int:
    clients = [word for word in arguments if word in CLIENTS] or list(CLIENTS)
    chosen = [word for word in arguments if word in FLOODS]
    missed = 0
    for client in clients:
        floods = chosen or (list(FLOODS) if client == "curses" else SEVERAL)
        base = measure("none", client, 3.0).peak
        print(f"  {client}: {base / 2**20:.1f} MiB at an honest daemon")
        missed += sum(not judged(flood, client, base) for flood in floods)
    print(f"hostile_floods: {f'{missed} missed' if missed else 'every figure holds'}")
    return bool(missed)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(*sys.argv[2:])
    else:
        raise SystemExit(main(sys.argv[1:]))

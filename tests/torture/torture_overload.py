"""Overload: floods, storms and stopped readers, and what the others notice of it.  Part of `make
torture`.

    python3 -m tests.torture.torture_overload [flood] [storm] [descriptors] [stopped] [log]

Each figure is compared with one taken in the same run, so that a slow or busy machine judges both
alike.  Times are taken by users in a process of their own (overload.py).  Prints a line for each
part; exits 1 when a figure is missed.
"""
import contextlib
import os
import resource
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import wire
from rules import runs
from server.gathering import BURST_SECONDS
from server.options import LOG_EACH
from tests.harness.process import DaemonProcess, reserved_port
from tests.torture.overload import Crowd, Process, Watched, pin

ROUNDS = 5                      # of a pair: without and with
SECONDS = 3.0                   # each
# microseconds: what the clock of a virtual machine may add to either
GRACE = 150.0
STORM_SECONDS = 20.0
CONNECTS = 1000                 # a second, and as many kept half open
STORM_MEMORY = 32 << 20
LACK_SECONDS = 30.0
STOPPED, READERS = 20, 200
LOG_SECONDS = 20.0
STOPPED_MEMORY = 256 * 1024     # for each


def behind() -> None:
    """This process runs only when the users whose time is taken do not: what they wait for it is
    not the daemon's.  (To be the last by nice(2) is not enough: who has the processor keeps it for
    some milliseconds.)"""
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(30)


def ticks(pid: int) -> float:
    """Seconds of CPU that a process has had."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def started(*options: str, console: str = "none") -> DaemonProcess:
    daemon = DaemonProcess(*options, console=console, bare=True)
    assert daemon.process is not None
    pin(0, daemon.process.pid)
    return daemon


def pairs(crowd: Crowd, begin: Callable[[], Any],
          end: Callable[[Any], None]) -> tuple[list[Watched], list[Watched]]:
    """What a crowd saw in the rounds without, and in those with what begin() starts and end()
    ends."""
    without, under = [], []
    for _ in range(ROUNDS):
        without.append(crowd.watch(SECONDS))
        running = begin()
        time.sleep(0.5)
        under.append(crowd.watch(SECONDS))
        end(running)
        time.sleep(0.5)
    return without, under


def median(watched: list[Watched], field: str) -> float:
    return statistics.median(getattr(each, field) for each in watched)


def judged(what: str, without: list[Watched], under: list[Watched]) -> bool:
    """The 99th percentiles, at most doubled; the medians beside them."""
    fine = True
    for field in ("stored", "shown"):
        before, after = median(without, field), median(under, field)
        half = median(under, f"{field}_median") / median(without, f"{field}_median")
        good = after <= 2 * before + GRACE
        print(f"  {what}: p99 to {field}: {before:.0f} us without, {after:.0f} us with: "
              f"x{after / before:.2f} (median x{half:.2f}){'' if good else '  MISSED'}", flush=True)
        fine &= good
    return fine


def flooding(pipe: Any, path: str) -> None:
    """Send as fast as the daemon reads, for ever; the reader confirms everything."""
    behind()
    socks = [socket.socket(socket.AF_UNIX) for _ in range(2)]
    for sock, name in zip(socks, ("flooder", "sink"), strict=True):
        sock.connect(path)
        sock.sendall(wire.encode(wire.Hello(wire.VERSION, 0, bytes(16), name)))
        sock.setblocking(False)
    decoders = [wire.Decoder(wire.FRAME_MAX) for _ in socks]
    number, data = int(time.monotonic()) << 32, b""
    while not pipe.poll():
        if not data:
            data = b"".join(wire.encode(wire.Send(number + n, 0, ("sink",), "x" * 20))
                            for n in range(1, 1001))
            number += 1000
        try:
            data = data[socks[0].send(data):]
        except BlockingIOError:
            time.sleep(0.001)
        last = 0
        for sock, decoder in zip(socks, decoders, strict=True):
            try:
                frames = list(decoder.feed(sock.recv(1 << 18)))
            except BlockingIOError:
                continue
            last = max([0, *(wire.each(wire.decode(frame, wire.DAEMON))[-1].id
                             for frame in frames if frame[0] == runs.MAIL_KIND)])
        if last:
            socks[1].sendall(wire.encode(wire.Confirm(1, last)))
    pipe.send(number & 0xFFFFFFFF)


def flood() -> bool:
    """50 users who send ten messages a second each, and one who sends all he can."""
    with started() as daemon, Crowd(daemon.path, "u", 50, pause=0.1) as crowd:
        sent: list[float] = []

        def begin() -> tuple[Process, float]:
            return Process(flooding, daemon.path), time.monotonic()

        def end(running: tuple[Process, float]) -> None:
            flooder, since = running
            flooder.order("stop")
            sent.append(flooder.pipe.recv() / (time.monotonic() - since))
            flooder.close()
        crowd.send(True)
        crowd.watch(1.0)
        fine = judged("a flooder among 50 users", *pairs(crowd, begin, end))
        print(f"  the flooder sent {statistics.median(sent):.0f} messages a second meanwhile")
        return fine


def storming(pipe: Any, port: int) -> None:
    """1,000 connects a second, each with half a HELLO; the last 1,000 stay open."""
    resource.setrlimit(resource.RLIMIT_NOFILE,
                       (min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    behind()
    socks: list[socket.socket] = []
    begun, made = time.monotonic(), 0
    while not pipe.poll():
        due = int((time.monotonic() - begun) * CONNECTS)
        while made < due:
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
            socks.append(sock)
            made += 1
            if len(socks) > CONNECTS:
                socks.pop(0).close()
        for sock in socks[-50:]:
            with contextlib.suppress(OSError):
                sock.send(b"\x00\x00")
        time.sleep(0.002)
    pipe.send((made, time.monotonic() - begun))


def storm() -> bool:
    """Connects and half-open logins at the TCP port; users, and new ones, at the Unix socket."""
    port = reserved_port()
    with started("--listen",
                 f"127.0.0.1:{port}") as daemon, Crowd(daemon.path, "u", 50, pause=0.1) as crowd:
        crowd.send(True)
        crowd.watch(1.0)
        without = [crowd.watch(SECONDS) for _ in range(ROUNDS)]
        memory, under, logins = daemon.rss(), [], []
        caller = Process(storming, port)
        for number in range(int(STORM_SECONDS / SECONDS)):
            began = time.monotonic()
            daemon.client(f"new{number}").close()
            logins.append(time.monotonic() - began)
            under.append(crowd.watch(SECONDS))
        grown = daemon.rss() - memory
        caller.order("stop")
        made, seconds = caller.pipe.recv()
        caller.close()
        fine = judged("a storm of connects", without, under)
        good = grown <= STORM_MEMORY and max(logins) <= 1.0 and made / seconds >= 0.9 * CONNECTS
        print(f"  {made / seconds:.0f} connects a second for {seconds:.0f} s: memory "
              f"{grown / 2**20:+.1f} MiB; "
              f"a new user in within {max(logins) * 1000:.0f} ms{'' if good else '  MISSED'}",
              flush=True)
        return fine and good


def descriptors() -> bool:
    """Not one descriptor is left, and callers keep coming."""
    with started(console="log") as daemon, daemon.client("ann") as ann:
        assert daemon.process is not None
        pid = daemon.process.pid
        used = max(map(int, os.listdir(f"/proc/{pid}/fd"))) + 1
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (max(64, used), max(64, used)))
        held = []
        # as many as it takes; those beyond wait in the kernel's queue
        for _ in range(max(64, used)):
            sock = socket.socket(socket.AF_UNIX)
            sock.setblocking(False)
            sock.connect_ex(daemon.path)
            sock.send(wire.encode(wire.Hello(wire.VERSION, 0, bytes(16), f"held{len(held)}")))
            held.append(sock)
        time.sleep(2)
        lines, cpu, began, pongs = daemon.output().count("\n"), ticks(pid), time.monotonic(), 0
        while (now := time.monotonic()) - began < LACK_SECONDS:
            sock = socket.socket(socket.AF_UNIX)
            sock.setblocking(False)
            sock.connect_ex(daemon.path)
            held.append(sock)
            ann.say(wire.Ping(1))
            ann.hear(wire.Pong)
            pongs += 1
            time.sleep(0.1)
        cpu, lines = (ticks(pid) - cpu) / (now - began) * 100, daemon.output().count("\n") - lines
        told = daemon.output().count("no-descriptors")
        good = cpu <= 5 and lines <= LACK_SECONDS and told > 0
        print(f"  no descriptor for {now - began:.0f} s: CPU {cpu:.1f} %, {lines} lines of log "
              f"({told} in all say why)"
              f"; a user's {pongs} requests were answered{'' if good else '  MISSED'}", flush=True)
        for sock in held:
            sock.close()
        return good


def stopped() -> bool:
    """200 users at full load; 20 of them are stopped for a while."""
    names = [f"r{number}" for number in range(READERS)]
    active = READERS - STOPPED
    with started() as daemon, \
            Crowd(daemon.path, "r", active, to=names) as crowd, \
            Crowd(daemon.path, "r", STOPPED, start=active, to=names) as victims:
        victims.watch(0.5)
        crowd.send(True)
        crowd.watch(2.0)
        without, under, grown = [], [], []
        for _ in range(ROUNDS):
            without.append(crowd.watch(SECONDS))
            memory = daemon.rss()
            victims.stop()
            under.append(crowd.watch(SECONDS))
            grown.append((daemon.rss() - memory) / STOPPED)
            victims.go_on()
            victims.watch(1.0)
        fine = judged("20 stopped readers among 200", without, under)
        crowd.send(False)
        deadline = time.monotonic() + 60
        while True:
            one, other = crowd.watch(0.5), victims.watch(0.5)
            if one.sent == one.seen + other.seen or time.monotonic() > deadline:
                break
        lost = one.sent - one.seen - other.seen
        good = not lost and statistics.median(grown) <= STOPPED_MEMORY
        print(f"  {one.sent} messages, {other.seen} of them to the stopped; {lost} lost; "
              f"memory {statistics.median(grown) / 1024:+.0f} KiB for each stopped reader"
              f"{'' if good else '  MISSED'}", flush=True)
        return fine and good


def log() -> bool:
    """One who sends all he can, while the daemon writes a log of it."""
    with tempfile.NamedTemporaryFile(prefix="parley-log-") as file, \
            started("--log", file.name, "--log-each", str(LOG_EACH)) as daemon:
        flooder, began = Process(flooding, daemon.path), time.monotonic()
        time.sleep(LOG_SECONDS)
        flooder.order("stop")
        sent, seconds = flooder.pipe.recv(), time.monotonic() - began
        flooder.close()
        daemon.end(signal.SIGTERM)
        size = os.path.getsize(file.name)
        # "recovered" and the like besides
        good = size <= LOG_EACH * (BURST_SECONDS + 1.2 * seconds) + 4096
        print(f"  {sent} messages of one login in {seconds:.0f} s: {size / 1024:.0f} KiB of log, "
              f"{LOG_EACH * BURST_SECONDS >> 10} of them at once{'' if good else '  MISSED'}",
              flush=True)
        return good


PARTS = {"flood": flood, "storm": storm, "descriptors": descriptors, "stopped": stopped, "log": log}


def main(names: list[str]) -> int:
    missed = []
    for name in names or PARTS:
        print(f"{name}: {PARTS[name].__doc__}", flush=True)
        if not PARTS[name]():
            missed.append(name)
    print(f"overload: {'missed: ' + ', '.join(missed) if missed else 'every figure holds'}")
    return bool(missed)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

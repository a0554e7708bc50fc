"""Long turns: what one request, or the end of one connection, makes all others wait.  Part of `make
torture`.

    python3 -m tests.torture.long_turns [CASE ...]

A daemon with NAMES names in the log and CLIENTS clients, SUBSCRIBERS of which follow the log.  Each
case asks for something that concerns many at once.  Meanwhile one user sends another a message each
BEAT seconds (the victim), in a process of its own.  Prints for each case the longest turn of the
daemon, by the processor's time and by the clock, and the victim's median and 99th percentile, also
as multiples of those of a quiet time in the same run.  Exits 1 if a turn took longer than TURN_MAX
of processor time.
"""
import contextlib
import os
import resource
import selectors
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import wire
from rules.bans import BANS_MAX, HOST, Ban
from server.banned import changing
from tests.harness import lived_in
from tests.harness.process import HERE, DaemonProcess
from tests.torture.overload import Process, pin

NAMES, CLIENTS, SUBSCRIBERS, GROUP = 100_000, 10_000, 4500, 1000
ROOMS = 25                  # of each member
TURN_MAX = 20.0             # milliseconds
BEAT = 0.005
QUIET_SECONDS = 5.0         # without anything else
LIMITS = ("--silence-seconds", "65535", "--patience", "600")


class Seen(NamedTuple):
    """What the victim saw: milliseconds until its message was shown."""
    p50: float
    p99: float
    most: float


class Figure(NamedTuple):
    """One case."""
    name: str
    busiest: float          # milliseconds of the longest turn, by the processor
    longest: float          # and by the clock
    turns: int
    seen: Seen


# ---- the victim ----

def _victim(pipe: Any, path: str, name: str) -> None:
    """Send a message to a second user every BEAT seconds, for ever.  For each order of the pipe:
    say what was seen since the last."""
    socks = [socket.socket(socket.AF_UNIX) for _ in range(2)]
    decoders = [wire.Decoder(wire.FRAME_MAX) for _ in socks]
    for sock, who in zip(socks, (name + "a", name + "b"), strict=True):
        sock.connect(path)
        sock.sendall(wire.encode(wire.Hello(wire.VERSION, 0, bytes(16), who)))
    selector = selectors.DefaultSelector()
    selector.register(pipe, selectors.EVENT_READ, -1)
    for number, sock in enumerate(socks):
        selector.register(sock, selectors.EVENT_READ, number)
    origin, due, shown = int(time.monotonic()) << 32, time.monotonic() + 1, []
    while True:
        ready = selector.select(max(0.0, due - time.monotonic()))
        while due <= (now := time.monotonic()):
            origin += 1
            socks[0].sendall(wire.encode(wire.Send(origin, 0, (name + "b",), f"{due:.6f}")))
            due += BEAT
        for key, _ in ready:
            if key.data < 0:
                try:
                    pipe.recv()
                except EOFError:
                    return
                shown = sorted(shown) or [float("nan")]
                pipe.send(Seen(*(1000 * shown[min(int(len(shown) * part), len(shown) - 1)]
                                 for part in (0.5, 0.99, 1.0))))
                shown = []
                continue
            frames = decoders[key.data].feed(socks[key.data].recv(1 << 18))
            for said in [said for frame in frames
                         for said in wire.each(wire.decode(frame, wire.DAEMON))]:
                if isinstance(said, wire.Mail):
                    if said.sender == name + "a":
                        shown.append(now - float(said.text))
                    socks[key.data].sendall(wire.encode(wire.Confirm(said.id, said.id)))


# ---- all others ----

class Member:
    """One of the clients.  What it hears is read, and understood only if `heard` is a list."""

    def __init__(self, path: str, name: str, features: int) -> None:
        self.name = name
        self.heard: list[Any] | None = None
        self.decoder = wire.Decoder(wire.FRAME_MAX)
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.say(wire.Hello(wire.VERSION, features, bytes(16), name))
        self.sock.setblocking(False)

    def say(self, *said: wire.Message) -> None:
        self.sock.setblocking(True)
        self.sock.sendall(b"".join(map(wire.encode, said)))
        self.sock.setblocking(False)

    def hear(self) -> int:
        with contextlib.suppress(BlockingIOError):
            data = self.sock.recv(1 << 20)
            if self.heard is not None:
                self.heard += [said for frame in self.decoder.feed(data)
                               for said in wire.each(wire.decode(frame, wire.DAEMON))]
            return len(data)
        return -1


class House:
    """The daemon, and its clients."""

    def __init__(self, directory: str, names: int, subscribers: int) -> None:
        self.watch_path = directory + "/watch"
        self.subscribers = subscribers
        store = directory + "/store"
        if names:
            lived_in.furnish(store, names=names)
        self.daemon = DaemonProcess(*LIMITS, "--room-lines", "10000", store=store, console="log",
                                    program=(HERE + "/tests/torture/timed_turns.py",
                                             self.watch_path))
        assert self.daemon.process is not None
        self.pid = self.daemon.process.pid
        pin(0, self.pid)
        # first: a child has copies of all descriptors, and what it has open does not end
        self.victim = Process(_victim, self.daemon.path, "victim")
        self.selector = selectors.DefaultSelector()
        self.members: list[Member] = []
        self.fill()

    def enter(self, name: str, features: int = 0) -> Member:
        member = Member(self.daemon.path, name, features)
        self.members.append(member)
        self.read(member)
        return member

    def fill(self) -> None:
        """Clients in place of those that are not here."""
        here = {each.name for each in self.members}
        for number in range(CLIENTS):
            if f"c{number}" not in here:
                self.enter(f"c{number}", wire.Feature.ROSTER if number < self.subscribers else 0)
            if number % 50 == 0:
                self.drain(0.0)
        self.members.sort(key=lambda each: int(each.name[1:]))
        self.settle()

    def read(self, member: Member) -> None:
        self.selector.register(member.sock, selectors.EVENT_READ, member)

    def stop_reading(self, member: Member) -> None:
        self.selector.unregister(member.sock)

    def leave(self, member: Member) -> None:
        self.members.remove(member)
        with contextlib.suppress(KeyError):
            self.selector.unregister(member.sock)
        member.sock.close()

    def drain(self, seconds: float, done: Callable[[], bool] = lambda: False) -> bool:
        """Read what comes for so long, or until it is done."""
        until = time.monotonic() + seconds
        while not done():
            ready = self.selector.select(max(0.0, min(0.02, until - time.monotonic())))
            for key, _ in ready:
                if key.data.hear() == 0:
                    self.leave(key.data)
            if time.monotonic() >= until and not ready:
                return done()
        return True

    def settle(self, quiet: float = 0.5) -> None:
        """Read until nothing has come for a moment."""
        last = time.monotonic()
        while time.monotonic() - last < quiet:
            for key, _ in self.selector.select(0.1):
                if key.data.hear() == 0:
                    self.leave(key.data)
                last = time.monotonic()

    def hears(self, member: Member, kind: type) -> Any:
        """The next message of this kind."""
        found: list[Any] = []

        def done() -> bool:
            nonlocal found
            found = [said for said in member.heard or () if type(said) is kind]
            return bool(found)
        assert self.drain(60, done), f"{member.name} hears no {kind.__name__}"
        return found[-1]

    def turns(self) -> tuple[int, float, float]:
        """How many turns there were since this was last called, and the longest."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(self.watch_path)
            turns, longest, busiest = sock.recv(100).split()
        return int(turns), float(longest), float(busiest)

    def measure(self, name: str, act: Callable[[], None], seconds: float = 1.0) -> Figure:
        """Do this, and wait until nothing comes of it any more."""
        self.victim.order("begin")
        self.victim.pipe.recv()
        self.turns()
        act()
        self.drain(seconds)
        turns, longest, busiest = self.turns()
        self.victim.order("end")
        return Figure(name, busiest, longest, turns, self.victim.pipe.recv())

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """The daemon finds all that is done here in one turn."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        self.victim.close()
        self.daemon.close()
        for member in self.members:
            member.sock.close()
        self.selector.close()


# ---- the cases ----

def quiet(house: House) -> Iterator[Figure]:
    """Nothing else."""
    yield house.measure("quiet", lambda: house.drain(QUIET_SECONDS), 0.0)


def invited(house: House, members: Sequence[Member]) -> wire.Inviting:
    """The first invites the others."""
    members[0].heard = []
    members[0].say(wire.Invite(1, tuple(each.name for each in members[1:])))
    found: wire.Inviting = house.hears(members[0], wire.Inviting)
    return found


def chat(house: House, members: Sequence[Member]) -> int:
    """A chat of these; its number."""
    number = invited(house, members).invitation
    for each in members[1:]:
        each.say(wire.Answer(number, 1))
    return int(house.hears(members[0], wire.Started).chat)


def group(house: House) -> list[Member]:
    """Members that are in no chat."""
    return house.members[-GROUP:]


def start(house: House) -> Iterator[Figure]:
    """A chat of GROUP: the last one accepts; a member leaves it; all are cut off at once."""
    members = group(house)
    yield house.measure("invitation to many", lambda: (invited(house, members), None)[1])
    number = house.hears(members[0], wire.Inviting).invitation
    with house.at_once():
        for each in members[1:-1]:
            each.say(wire.Answer(number, 1))
    yield house.measure("all but one accept at once", lambda: None, 5.0)
    house.settle()
    yield house.measure("a chat of many starts", lambda: members[-1].say(wire.Answer(number, 1)))
    said = house.hears(members[0], wire.Started).chat

    def talk() -> None:
        with house.at_once():
            for each in members:
                each.say(wire.Say(1, said, "a line"))
    yield house.measure("each member says a line at once", talk, 3.0)
    yield house.measure("a member quits", lambda: members[1].say(wire.Say(1, said, "quit")))
    yield house.measure("a member is cut off", lambda: house.leave(members[2]))

    def cut() -> None:
        with house.at_once():
            for each in [each for each in members if each in house.members]:
                house.leave(each)
    yield house.measure("all members are cut off at once", cut, 3.0)
    house.fill()


def called_off(house: House) -> Iterator[Figure]:
    """An invitation to GROUP, withdrawn; and one to which one says no."""
    members = group(house)
    number = invited(house, members).invitation
    yield house.measure("an invitation is withdrawn",
                        lambda: members[0].say(wire.Withdraw(number)))
    number = invited(house, members).invitation
    yield house.measure("an invitation is denied", lambda: members[1].say(wire.Answer(number, 0)))


def slow(house: House) -> Iterator[Figure]:
    """A chat of GROUP, of which a tenth do not read until they are put out."""
    members = group(house)
    number = chat(house, members)
    for each in members[-GROUP // 10:]:
        house.stop_reading(each)

    def talk() -> None:
        for _ in range(60):
            members[1].say(wire.Say(1, number, "x" * 16_000))
            house.drain(0.05)
    yield house.measure("slow members are put out", talk, 2.0)
    for each in members[-GROUP // 10:]:
        house.read(each)
    members[0].heard = None
    house.settle()
    for each in members:
        each.say(wire.Say(1, number, "quit"))
    house.settle()


def to_all(house: House) -> Iterator[Figure]:
    """Messages to all names."""
    member = house.members[0]
    origin = int(time.monotonic()) << 32

    def send(count: int) -> None:
        nonlocal origin
        for _ in range(count):
            origin += 1
            member.say(wire.Send(origin, wire.SendFlag.EVERYONE, (), "to all"))
    yield house.measure("a message to all", lambda: send(1))
    yield house.measure("ten messages to all", lambda: send(10), 5.0)
    house.settle()


def flap(house: House) -> Iterator[Figure]:
    """A subscriber that comes and goes."""
    def come_and_go() -> None:
        for _ in range(40):
            member = house.enter("flapper", wire.Feature.ROSTER)
            house.drain(0.05)
            house.leave(member)
            house.drain(0.05)
    yield house.measure("a subscriber flaps", come_and_go)


def hold(house: House) -> Iterator[Figure]:
    """HOLD toggled."""
    def toggle() -> None:
        for number in range(200):
            house.members[-1].say(wire.Hold(number + 1, number % 2 ^ 1))
            house.drain(0.02)
    yield house.measure("HOLD is toggled", toggle)


def lists(house: House) -> Iterator[Figure]:
    """The log of names for 100 clients at once."""
    def ask() -> None:
        with house.at_once():
            for each in house.members[-100:]:
                each.say(wire.List(1))
    yield house.measure("100 ask for a LIST", ask, 5.0)


def confirm(house: House) -> Iterator[Figure]:
    """A queue of 100,000 messages, checked, and confirmed in one range."""
    sender, reader = house.members[-1], house.members[-2]
    origin = int(time.monotonic()) << 32
    reader.say(wire.Hold(1, 1))
    for _ in range(200):
        sender.say(wire.Sends(origin + 1, 0, (reader.name,), tuple(["x" * 20] * 500)))
        origin += 500
        house.drain(0.01)
    house.settle()
    yield house.measure("CHECK of a full queue", lambda: reader.say(wire.Check(2)))
    yield house.measure("CONFIRM of a full queue",
                        lambda: reader.say(wire.Confirm(1, 1 << 62)), 3.0)
    reader.say(wire.Hold(3, 0))
    house.settle()


def cut(house: House) -> Iterator[Figure]:
    """A network is cut: 4,000 clients are gone at once, and come back."""
    gone = house.members[2000:6000]

    def act() -> None:
        with house.at_once():
            for each in gone:
                house.leave(each)
    yield house.measure("4,000 are cut off at once", act, 5.0)
    yield house.measure("they come back", house.fill, 2.0)


def scripts(house: House) -> Iterator[Figure]:
    """A thousand errands that CHECK at once, as at a full minute; and end, in each way."""
    ways: dict[str, Callable[[Member], None]] = {
        "hang up": lambda each: house.leave(each),
        "shut down their direction": lambda each: each.sock.shutdown(socket.SHUT_WR),
        "EXIT": lambda each: each.say(wire.Exit())}
    for way, end in ways.items():
        errands = [house.enter(f"e{number}", wire.Feature.ERRAND | wire.Feature.HOLD)
                   for number in range(GROUP)]
        house.settle()

        def at_once(act: Callable[[Member], None], errands: list[Member] = errands) -> None:
            with house.at_once():
                for each in errands:
                    act(each)
        yield house.measure(f"{GROUP} errands CHECK",
                            lambda at=at_once: at(lambda each: each.say(wire.Check(1))), 2.0)
        yield house.measure(f"they {way}", lambda at=at_once, end=end: at(end), 2.0)
        house.settle()


def rooms(house: House) -> Iterator[Figure]:
    """A keeper lets nobody else into a room of GROUP, who are in ROOMS rooms each; and closes
    another."""
    members = [house.enter(f"r{number}", wire.Feature.ROOMS) for number in range(GROUP)]
    for each in members:
        each.say(*(wire.Join(1 + number, f"#r{number}") for number in range(ROOMS)))
        house.drain(0.0)
    house.settle()
    admit = wire.Admit(99, wire.Admission.NAMES, "#r0", (members[0].name,))
    yield house.measure(f"ADMIT that puts {GROUP - 1} out", lambda: members[0].say(admit), 2.0)
    yield house.measure("a room of many is closed",
                        lambda: members[0].say(wire.Close(100, "#r1")), 2.0)
    for each in members:
        house.leave(each)
    house.settle()


def kept(house: House) -> Iterator[Figure]:
    """A room that keeps 10,000 lines becomes too long by a quarter, most of them at rest; then it
    is closed and made again.  Before, the disk refuses a change of it."""
    member, origin = house.enter("k1", wire.Feature.ROOMS), int(time.monotonic()) << 32
    member.say(wire.Join(1, "#kept"))
    house.settle()

    def refuse() -> None:
        limits = resource.prlimit(house.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(house.pid, resource.RLIMIT_FSIZE, (0, limits[1]))
        member.say(wire.Topic(2, "#kept", "refused"))
        house.hears(member, wire.Failed)
        resource.prlimit(house.pid, resource.RLIMIT_FSIZE, limits)

    def write(lines: int) -> None:
        nonlocal origin
        for _ in range(lines // 20):
            member.say(wire.Sends(origin + 1, 0, ("#kept",), tuple(["x" * 1000] * 20)))
            origin += 20
            house.drain(0.005)
    member.heard = []
    yield house.measure("a topic that the disk refuses", refuse, 3.0)
    member.heard = None
    write(12_400)
    house.settle()
    yield house.measure("a room is cut to 10,000 lines", lambda: write(200), 3.0)
    yield house.measure("it is closed and made again", lambda: member.say(
        wire.Close(3, "#kept"), wire.Join(4, "#kept")), 3.0)
    house.leave(member)
    house.settle()


def banned(house: House) -> Iterator[Figure]:
    """HUP with a thousand bans.  All clients are root's here, whom none of them keeps out."""
    with changing(house.daemon.store) as write:
        write([Ban(HOST, f"10.{number // 250}.{number % 250}.0/24", "", "", "")
               for number in range(BANS_MAX)])
    yield house.measure(f"HUP with {BANS_MAX} bans", lambda: os.kill(house.pid, signal.SIGHUP), 2.0)


# Each house: names in the log before the clients came, subscribers, cases.  A subscriber is sent
# the whole log when it comes; so where there are many, the log is short.
HOUSES: dict[str, tuple[int, int, tuple[Callable[[House], Iterator[Figure]], ...]]] = {
    "many subscribers": (0, SUBSCRIBERS, (start, called_off, slow, flap, hold, cut)),
    "many names": (NAMES, 50, (to_all, lists, confirm, scripts, rooms, kept, banned)),
}


def run(house: House, cases: Sequence[Callable[[House], Iterator[Figure]]]) -> Iterator[str]:
    """Go through the cases of one house.  Yields the names of those that took too long."""
    base: Figure | None = None
    for case in (quiet, *cases):
        for figure in case(house):
            base = base or figure
            is_long = figure.busiest > TURN_MAX
            if is_long:
                yield figure.name
            seen, calm = figure.seen, base.seen
            print(f"  {figure.name:34}longest turn {figure.busiest:7.1f} ms of processor, "
                  f"{figure.longest:7.1f} by the clock, of {figure.turns:5}; victim p50 "
                  f"{seen.p50:6.2f} ms x{seen.p50 / calm.p50:<5.1f} p99 {seen.p99:7.2f} ms "
                  f"x{seen.p99 / calm.p99:<6.1f}{'  MISSED' if is_long else ''}", flush=True)


def main(names: list[str]) -> int:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, CLIENTS + 2 * GROUP), hard))
    missed: list[str] = []
    for title, (log, subscribers, cases) in HOUSES.items():
        chosen = [case for case in cases if case.__name__ in names or not names]
        if not chosen:
            continue
        with tempfile.TemporaryDirectory(prefix="parley-long-turns-") as directory:
            house = House(directory, log, subscribers)
            try:
                print(f"  {title}: {len(house.members)} clients, {subscribers} of them "
                      f"subscribers, {log} names before they came", flush=True)
                missed += run(house, chosen)
            finally:
                house.close()
    print(f"long turns: {'missed: ' + ', '.join(missed) if missed else 'every figure holds'}")
    return bool(missed)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

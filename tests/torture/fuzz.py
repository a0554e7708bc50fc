"""The targets of fuzzing: bytes that somebody else chose go in, and nothing but what is promised
may come out.

    python3 -m tests.torture.fuzz [--seconds N] [--hypothesis] [target ...]

Each target is a function of bytes; it raises for a finding.  `make test` runs each for a moment
with seeded chance (test_fuzz.py); `make fuzz` runs each for its share of FUZZ_SECONDS, with
Hypothesis where that is installed, which makes the input that fails small.  A finding is printed
with its bytes, to become a test.

    decoder     any bytes, however cut: frames within the limit, or ProtocolError; what is decoded
                encodes to itself
    daemon      messages, whole and broken, by three users: the loop comes to rest and goes on
                serving a fourth
    journal     a journal that is overwritten, cut, grown: it opens with what is a prefix of the
                truth, or says Damaged
    keys        a terminal's bytes, however cut: the same keys
    display     any text: printable, stable, and wrapped within its width
    link        a daemon that says anything: no exception, no call over 50 ms, no more memory than
                twice a frame
"""
from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

import wire
from client.events import Online
from client.link import Link
from client.outbox import Busy
from mailbox import Mailbox, StoreError
from net.address import Address
from net.bodies import body_of
from rules.claims import Identity
from rules.state import Caller
from terminal.display import UNICODE, display
from terminal.keys import Keys
from tests.harness.service import Service

# the longest that a call of the link may take, in time of its own thread
CALL_SECONDS = 0.05
ALLOCATED_MAX = 2 * wire.FRAME_MAX      # beyond what arrived
TURNS_MAX = 200                 # of the loop, after which it must have come to rest


class Finding(AssertionError):
    """Something that must not be."""


class Source:
    """Choices out of bytes: the same bytes, the same choices; when there are no more, zeros."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def number(self, below: int) -> int:
        size = (max(1, below - 1).bit_length() + 7) // 8
        value = int.from_bytes(self.take(size), "big")
        return value % below

    def take(self, size: int) -> bytes:
        taken = self.data[self.at:self.at + size]
        self.at += size
        return taken

    def choice(self, things: Any) -> Any:
        return things[self.number(len(things))]

    @property
    def more(self) -> bool:
        return self.at < len(self.data)


# ---- messages that are nearly right ----

WORDS = ("ann", "bob", "cat", "dan", "ANN", "all", "", "nobody", "\x1b[2J", "Quit", "é" * 16,
         "x" * 200)
NUMBERS = (0, 1, 2, 3, 4, 5, 7, 255, 65535, 2**31, 2**32 - 1, 2**63, 2**64 - 1)
SIZES = {"B": 1, "H": 2, "I": 4, "Q": 8}


def a_value(source: Source, how: str) -> Any:
    """A value of a field: mostly one that could mean something."""
    if how in SIZES:
        return source.choice(NUMBERS) % (1 << 8 * SIZES[how])
    if how in ("16s", "32s"):
        size = int(how[:-1])
        return source.take(size).ljust(size, b"\0")
    if how == "word":
        return source.choice(WORDS)
    if how == "words":
        return tuple(source.choice(WORDS) for _ in range(source.number(5)))
    if how == "texts":
        if source.number(8) == 0:
            return ("x",) * source.choice((2, wire.COPIES_MAX, wire.COPIES_MAX + 1, 20_000))
        return tuple(a_value(source, "text") for _ in range(1 + source.number(3)))
    if how == "entries":
        return tuple(wire.Entry(source.choice(WORDS), source.number(4), source.number(2),
                                source.number(9), source.number(4))
                     for _ in range(source.number(4)))
    if how == "rooms":
        return tuple(wire.RoomEntry(source.choice(WORDS), source.number(4), source.number(4), 2, 1,
                                    source.choice(WORDS)) for _ in range(source.number(4)))
    return source.choice((*WORDS, "hello", "x" * 16384, source.take(9).decode("utf-8", "replace")))


def a_frame(source: Source, side: wire.Direction) -> bytes:
    """A message that this side may say; one in eight is bent afterwards, one in sixteen is
    anything."""
    kind = source.number(16)
    if kind == 0:
        return source.take(source.number(40))
    codecs = [codec for codec in wire.MESSAGES.values() if codec.direction & side]
    codec = source.choice(codecs)
    frame = bytearray(wire.encode(codec.cls(*(a_value(source, how) for _, how in codec.fields))))
    if kind < 3:
        frame[source.number(len(frame))] = source.number(256)
    return bytes(frame)


# ---- the targets ----

def decoder(data: bytes) -> None:
    source = Source(data)
    side = source.choice((wire.CLIENT, wire.DAEMON))
    stream = source.take(source.number(4096)) if source.number(2) else b"".join(
        a_frame(source, side) for _ in range(source.number(12)))
    heard = []
    for step in (len(stream) or 1, 1 + source.number(7)):
        decode, frames, end = wire.Decoder(source.choice((wire.HELLO_MAX, wire.FRAME_MAX))), [], ""
        decode.limit = wire.FRAME_MAX
        try:
            for at in range(0, len(stream), step):
                for frame in decode.feed(stream[at:at + step]):
                    if not 1 <= len(frame) <= wire.FRAME_MAX:
                        raise Finding(f"a frame of {len(frame)} bytes")
                    frames.append(_said(frame, side))
        except wire.ProtocolError as error:
            end = str(error)
        heard.append((frames, end))
        if decode.held > len(stream):
            raise Finding(f"{decode.held} bytes held of {len(stream)}")
    if heard[0] != heard[1]:
        raise Finding(f"cut otherwise, heard otherwise: {heard}")


def _said(frame: bytes, side: wire.Direction) -> Any:
    try:
        said = wire.decode(frame, side)
    except wire.ProtocolError as error:
        if not str(error).isprintable():
            raise Finding(f"a reason of more than a line: {error!r}") from error
        return str(error)
    if wire.encode(said)[4:] != frame:
        raise Finding(f"{said} is not what {frame.hex()} says")
    wire.describe(said)
    return said


def daemon(data: bytes) -> None:
    """Three users whose words are chosen, some of them broken, and others who want their names;
    then a fourth must be served."""
    source = Source(data)
    with Service(identity=Identity(secret=b"secret" * 6, logins={"cat": 1}.get)) as service:
        clients = [service.user(name, features=7 | 8 | 64, caller=Caller("test:1", uid))
                   for name, uid in (("ann", None), ("bob", 2), ("cat", 1))]
        while source.more:
            if source.number(16) == 0:
                _stranger(service, source)
            client = source.choice(clients)
            try:
                client.sock.send(a_frame(source, wire.CLIENT))
            except OSError:
                clients[clients.index(client)] = _another(service, source)
            if source.number(4) == 0:
                service.clock.forward(source.choice((0.0, 0.1, 61.0)))
            _rest(service)
            for each in clients:
                each.heard.clear()
                each.listen()
        # whatever was said: one who comes now can write to one who is here
        old, new = service.user("fourth"), service.user("fifth")
        old.send("fifth", "still there?")
        if not any(mail.text == "still there?" for mail in new.hears_all(wire.Mail)):
            raise Finding("a fourth user is not served")
        for user in service.mailbox.users:
            if not wire.is_name(user.name):
                raise Finding(f"{user.name!r} is a name")


def _another(service: Service, source: Source) -> Any:
    name = f"more{len(service.clients)}"
    return service.user(name, features=source.number(16) | 64)


def _stranger(service: Service, source: Source) -> None:
    """Somebody who wants one of these names, and may not have it."""
    caller = Caller("test:2", source.choice((None, 3)))
    stranger = service.client(source.choice(("ann", "bob", "cat")), source.number(16),
                              caller=caller)
    stranger.hears_all(wire.Challenge)
    with contextlib.suppress(OSError):
        stranger.sock.send(wire.encode(wire.Proof(source.take(16).ljust(16, b"\0"),
                                                  source.take(32).ljust(32, b"\0"))))
    if stranger.hears_all(wire.Verified):
        raise Finding("somebody is taken for somebody else")
    stranger.hang_up()


def _rest(service: Service) -> None:
    for _ in range(TURNS_MAX):
        service.daemon.turn(0)
        if not service.daemon.selector.select(0) and service.daemon._timeout(None):
            return
    raise Finding("the loop does not come to rest")


def journal(data: bytes) -> None:
    """A store of some messages, whose journal is then damaged: recovery tells it, or gives what is
    right."""
    source = Source(data)
    directory = tempfile.mkdtemp(prefix="parley-fuzz-")
    try:
        texts = _a_store(directory + "/store", 1 + source.number(6))
        name = next(name for name in sorted(os.listdir(directory + "/store"))
                    if name.startswith("journal."))
        path = f"{directory}/store/{name}"
        with open(path, "r+b") as file:
            size, written = os.path.getsize(path), len(file.read().rstrip(b"\0"))
            for _ in range(source.number(4)):
                place = source.number(written) if source.number(4) else source.number(size)
                file.seek(place)
                file.write(source.take(1 + source.number(16)))
            if source.number(3) == 0:
                file.truncate(source.number(written))
        _recovered(directory + "/store", texts)
    finally:
        shutil.rmtree(directory)


def _a_store(path: str, batches: int) -> list[bytes]:
    box, texts = Mailbox(path), []
    ann, bob = box.register("ann", 1), box.register("bob", 1)
    for number in range(batches):
        texts += [b"text %d" % number, b"and %d" % number]
        box.put_run(ann, 2 * number + 1, 1, [bob], 0, body_of(texts[-2:]))
        box.write()
        box.sync()
    box.disk.close(box._lock)
    box._journals.current.close()
    return texts


def _recovered(path: str, texts: list[bytes]) -> None:
    try:
        box = Mailbox(path)
    except StoreError as error:
        if "\n" in str(error):
            raise Finding(f"more than a line: {error!r}") from error
        return
    bob = box.find("bob")
    found = [text for mail in box.unread(bob, 0, 1 << 63, 1000, 1 << 20)
             for text in mail.texts] if bob else []
    box.disk.close(box._lock)
    box._journals.current.close()
    if found != texts[:len(found)]:
        raise Finding(f"recovered {found} of {texts}")


def keys(data: bytes) -> None:
    source = Source(data)
    step, stream = 1 + source.number(5), source.take(len(data))
    whole, cut = Keys(), Keys()
    one = whole.feed(stream)
    other = [key for at in range(0, len(stream), step) for key in cut.feed(stream[at:at + step])]
    if one + whole.expire() != other + cut.expire():
        raise Finding(f"{stream!r} cut by {step} gives other keys")
    if whole.timeout() is not None:
        raise Finding("something is undecided after expire()")


def display_text(data: bytes) -> None:
    text = data.decode("utf-32-be",
                       "ignore") if data[:1] == b"\0" else data.decode("utf-8", "surrogateescape")
    for multiline in (False, True):
        shown = display(text, multiline)
        if not shown.replace("\n", "").isprintable() or (not multiline and "\n" in shown):
            raise Finding(f"{text!a} is shown as {shown!a}")
        if display(shown, multiline) != shown:
            raise Finding(f"{shown!a} is shown otherwise the second time")
        for cells in (1, 7, 40):
            if any(UNICODE.width(row) > cells for row in UNICODE.wrap(shown, cells, cells)):
                raise Finding(f"{shown!a} is wrapped wider than {cells}")


def link(data: bytes) -> None:
    """A client on the line to a daemon that says anything, between what the user asks for."""
    source, now, ends = Source(data), [50.0], list[socket.socket]()

    def dial(address: Address) -> socket.socket:
        ours, theirs = socket.socketpair()
        for sock in (ours, theirs):
            sock.setblocking(False)
        for sock in ends:
            sock.close()
        ends[:] = [theirs]
        return ours
    client = Link([Address("/nowhere", "", 0)], "ann", None, features=7, monotonic=lambda: now[0],
                  instance=1, jitter=lambda: 0.5, dial=dial)
    mails: list[wire.Mail] = []
    try:
        client.connect()
        for _ in range(400):
            if not source.more:
                break
            _a_word(source, ends[0])
            for _ in range(3):
                heard = _measured(client, len(data))
                mails += [said for said in heard if isinstance(said, wire.Mail)]
                if any(isinstance(said, Online) for said in heard):
                    _ask(client, source)
            if source.number(3) == 0:
                _ask(client, source)
                client.shown(mails)
                mails.clear()
            now[0] += source.choice((0.0, 0.1, 31.0, 90.0))
    finally:
        client.close()
        for sock in ends:
            sock.close()


def _a_word(source: Source, end: socket.socket) -> None:
    """The daemon's next words: a WELCOME that is right, once in a while, so that what follows it is
    reached."""
    frame = wire.encode(wire.Welcome(1, 71, bytes(16), b"s" * 16, 0, 3, "ann",
                                     "lab")) if source.number(8) == 0 \
        else a_frame(source, wire.DAEMON)
    with contextlib.suppress(OSError):
        end.send(frame)
        end.recv(1 << 20)


def _ask(client: Link, source: Source) -> None:
    """Something that a user does; what the link refuses, it says."""
    deeds: tuple[Callable[[], object], ...] = (
        client.ask.check, client.ask.list, lambda: client.ask.hold(True),
        lambda: client.ask.hold(False),
        lambda: client.send(("bob",), "hi"), lambda: client.ask.invite(("bob",)),
        lambda: client.ask.answer(1, True),
        lambda: client.ask.withdraw(1), lambda: client.ask.say(1, "hi"),
        lambda: client.ask.ignore("bob", True), client.ask.list_ignored)
    with contextlib.suppress(Busy):
        source.choice(deeds)()


def _measured(client: Link, given: int) -> list[Any]:
    """One call of each kind, by the watch and the scales."""
    sock, heard = client.sock, []
    began, before = time.thread_time(), 0
    if tracemalloc.is_tracing():
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
    if sock is not None:
        heard += client.ready(EVENT_READ | EVENT_WRITE)
    heard += client.tick()
    took = time.thread_time() - began
    if tracemalloc.is_tracing() and (peak := tracemalloc.get_traced_memory()[1]
                                     - before) > ALLOCATED_MAX + 16 * given:
        raise Finding(f"{peak} bytes allocated in one call")
    if took > CALL_SECONDS:
        raise Finding(f"a call took {took * 1000:.0f} ms")
    return heard


TARGETS: dict[str, Callable[[bytes], None]] = {
    "decoder": decoder, "daemon": daemon, "journal": journal, "keys": keys, "display": display_text,
    "link": link}


# ---- running them ----

def chosen(seed: int, most: int = 3000) -> Iterator[bytes]:
    """Inputs without end: random bytes, and bytes of few kinds, which hit upon the same thing
    twice."""
    chance = random.Random(seed)
    while True:
        size = chance.randrange(most)
        if chance.random() < 0.5:
            yield chance.randbytes(size)
        else:
            few = [chance.randrange(256) for _ in range(4)] + [0x1B, 0x5B, 0x41, 0x00]
            yield bytes(chance.choice(few) for _ in range(size))


def by_chance(target: Callable[[bytes], None], seconds: float, seed: int, least: int = 1) -> int:
    """Run a target with chosen inputs, for so long; how many.  A finding is raised with the bytes
    that make it."""
    until, count = time.monotonic() + seconds, 0
    for data in chosen(seed):
        if count >= least and time.monotonic() >= until:
            break
        try:
            target(data)
        except Exception as error:
            raise Finding(f"{target.__name__}: {error!r} "
                          f"for bytes.fromhex({data.hex()!r})") from error
        count += 1
    return count


def by_hypothesis(target: Callable[[bytes], None], seconds: float) -> int:
    """The same with Hypothesis, in rounds until the time is over."""
    import hypothesis
    from hypothesis import strategies
    until, count = time.monotonic() + seconds, 0

    def counted(data: bytes) -> None:
        nonlocal count
        count += 1
        target(data)
    while time.monotonic() < until:
        test = hypothesis.given(strategies.binary(max_size=3000))(counted)
        hypothesis.settings(max_examples=200, deadline=None, database=None,
                            suppress_health_check=list(hypothesis.HealthCheck))(test)()
    return count


def main(arguments: list[str]) -> int:
    seconds, names, with_hypothesis = 60.0, [], False
    while arguments:
        word = arguments.pop(0)
        if word == "--seconds":
            seconds = float(arguments.pop(0))
        elif word == "--hypothesis":
            with_hypothesis = True
        else:
            names.append(word)
    names = names or list(TARGETS)
    tracemalloc.start()
    seed = int.from_bytes(os.urandom(4), "big")
    for name in names:
        share = seconds / len(names)
        half = share / 2 if with_hypothesis else 0.0
        count = by_chance(TARGETS[name], share - half, seed)
        more = by_hypothesis(TARGETS[name], half) if with_hypothesis else 0
        print(f"{name}: {count} by chance (seed {seed}), {more} by hypothesis: no finding",
              flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Scripted users for tests that break things: quick clients that write, read, delete, and tell the
oracle everything.

They live in the test's own process, beside the daemon's: what they know survives it, and its disk.
A Party is all users of a store.  After each crash:

    party.connect(path)         everybody logs in, holding, and checks; the oracle's verdict is in
                                `faults`
    party.resume()              sends without an answer go out again; some readers receive live
                                from now on
    party.work(seconds)         traffic
    party.drain()               what was answered so far is known

What a client sends or deletes is chosen by a seeded generator.
"""
import random
import selectors
import socket
import time
from typing import Any

import wire
from tests.store.oracle import Found, Key, Oracle

# messages in one go of all: some 400 for each of them, and 1000 fill a window
WRITTEN_MAX = 1200
ANSWER_SECONDS = 30         # for a login and a check: far more than they take
NAMES = ("ann", "bob", "carol", "dave", "erin")
IN_FLIGHT = 40              # sends without an answer, for each sender
# messages that a reader may leave in the queue: the store must have something to carry
KEEP = 150
# the share of the senders that are other programs after a crash: they send nothing again
FORGETS = 0.2


class Correspondent:
    """One user, in session after session."""

    def __init__(self, name: str, oracle: Oracle, chance: random.Random, keep: int) -> None:
        self.name, self.oracle, self.chance, self.keep = name, oracle, chance, keep
        self.origin = chance.getrandbits(31) << 32
        self.unanswered: dict[int, wire.Send] = {}
        self.faults: list[str] = []
        self.reset()

    def reset(self) -> None:
        """There is no line."""
        self.sock: socket.socket | None = None
        self.out = bytearray()
        self.decoder = wire.Decoder(wire.FRAME_MAX)
        self.waiting: int | None = None             # what WELCOME said
        self.checked = self.live = self.gone = False
        # what came and is not deleted yet
        self.streams: dict[int, list[Found]] = {0: [], wire.SendFlag.CHECK: []}
        self.came: list[Found] = []                 # live
        self.confirming: dict[int, Key] = {}        # by the daemon's id

    def connect(self, path: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.sock.setblocking(False)
        self.say(wire.Hello(wire.VERSION, wire.Feature.HOLD, bytes(16), self.name), wire.Check(1))

    def hang_up(self) -> None:
        if self.sock:
            self.sock.close()
            self.faults += self.oracle.look_at(self.name, self.came)
        self.reset()

    # ---- speaking ----

    def say(self, *said: wire.Message) -> None:
        self.out += b"".join(map(wire.encode, said))
        self.flush()

    def flush(self) -> None:
        """A daemon that is gone is found out about by reading."""
        try:
            while self.out and self.sock:
                del self.out[:self.sock.send(self.out)]
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            pass

    def write(self, everyone: bool) -> None:
        """Send something to somebody."""
        others = [name for name in NAMES if name != self.name]
        to = self.chance.sample(others, self.chance.choice((1, 1, 1, 1, 3)))
        flags = 0
        if everyone and self.chance.random() < 0.05:
            to, flags = others, wire.SendFlag.EVERYONE
        size = self.chance.choice((20, 60, 100, 200) if self.chance.random() < 0.99 else (4000,))
        self.origin += 1
        text = f"{self.origin} ".ljust(size, "abcdefg"[self.origin % 7])
        self.oracle.trying(self.name, self.origin, to, text)
        self.unanswered[self.origin] = wire.Send(self.origin, flags, () if flags else tuple(to),
                                                 text)
        self.say(self.unanswered[self.origin])

    def resume(self) -> None:
        """As a client does that comes back; or as another one, that knows nothing of the sends
        before."""
        if self.chance.random() < FORGETS:
            self.unanswered.clear()
            self.origin = self.chance.getrandbits(31) << 32
        self.say(*self.unanswered.values())
        self.live = self.chance.random() < 0.6
        if self.live:
            self.say(wire.Hold(2, 0))

    def delete(self) -> None:
        """Confirm a run of one stream; more often when much is left."""
        for stream in self.streams.values():
            excess = len(stream) - self.chance.randrange(self.keep)
            if excess > 0:
                at = self.chance.choice((0, 0, self.chance.randrange(len(stream))))
                run = stream[at:at + self.chance.randrange(1, excess + 1)]
                del stream[at:at + len(run)]
                keys = [(found.sender, found.origin) for found in run]
                self.oracle.ask(self.name, keys)
                self.confirming.update({found.id: key
                                        for found, key in zip(run, keys, strict=True)})
                self.say(wire.Confirm(run[0].id, run[-1].id))

    # ---- hearing ----

    def hear(self) -> bool:
        """Take what came; was there anything?"""
        try:
            data = self.sock.recv(1 << 18) if self.sock else b""
        except BlockingIOError:
            return False
        except ConnectionResetError:
            data = b""
        self.gone = not data
        for frame in self.decoder.feed(data):
            for said in wire.each(wire.decode(frame, wire.DAEMON)):
                HEARD.get(type(said), Correspondent.ignore)(self, said)
        return bool(data)

    def ignore(self, said: Any) -> None:
        pass

    def on_welcome(self, said: wire.Welcome) -> None:
        self.waiting = said.waiting

    def on_stored(self, said: wire.Stored) -> None:
        self.oracle.acknowledge(self.name, said.first, said.last)
        for origin in range(said.first, said.last + 1):
            self.unanswered.pop(origin, None)

    def on_refused(self, said: wire.Refused) -> None:
        self.oracle.refuse(self.name, said.id)
        self.unanswered.pop(said.id, None)

    def on_mail(self, said: wire.Mail) -> None:
        found = Found(said.id, said.sender, said.origin, said.text)
        self.streams[said.flags & wire.SendFlag.CHECK].append(found)
        if not said.flags & wire.SendFlag.CHECK:
            self.came.append(found)

    def on_confirmed(self, said: wire.Confirmed) -> None:
        """A range, or the parts of it that no start has passed over."""
        answered = [number for number in self.confirming if said.first <= number <= said.last]
        self.oracle.confirm(self.name, [self.confirming.pop(number) for number in answered])

    def on_checked(self, said: wire.Checked) -> None:
        """All that waits is here: is it what must be?"""
        found = self.streams[wire.SendFlag.CHECK]
        self.checked = True
        self.faults += self.oracle.judge(self.name, found)
        if not len(found) == said.total == self.waiting:
            self.faults.append(f"miscounted: {len(found)} came to {self.name}, "
                               f"WELCOME said {self.waiting}, {said}")


HEARD = {wire.Welcome: Correspondent.on_welcome, wire.Stored: Correspondent.on_stored,
         wire.Refused: Correspondent.on_refused, wire.Mail: Correspondent.on_mail,
         wire.Confirmed: Correspondent.on_confirmed, wire.Checked: Correspondent.on_checked}


class Party:
    """All the users of a store, and a loop for them."""

    def __init__(self, seed: int, keep: int = KEEP) -> None:
        self.chance = random.Random(seed)
        self.oracle = Oracle()
        self.users = [Correspondent(name, self.oracle, random.Random(self.chance.random()), keep)
                      for name in NAMES]

    def connect(self, path: str) -> None:
        """Everybody logs in and checks."""
        for user in self.users:
            user.hang_up()
            user.connect(path)
        deadline = time.monotonic() + ANSWER_SECONDS
        while not all(user.checked for user in self.users) and not self.gone:
            self.hear(0.1)
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"no answer to {[user.name for user in self.users if not user.checked]}")

    @property
    def gone(self) -> bool:
        """Has the daemon closed a line?"""
        return any(user.gone for user in self.users)

    def wait(self, seconds: float = ANSWER_SECONDS) -> None:
        """Until everything is answered, or the daemon is gone."""
        deadline = time.monotonic() + seconds
        while not self.gone and any(user.unanswered or user.confirming for user in self.users):
            self.hear(0.1)
            if time.monotonic() > deadline:
                raise AssertionError(f"no answer within {seconds:g} s")

    def hear(self, seconds: float) -> bool:
        """Take what comes, waiting for it so long; was there anything?"""
        with selectors.DefaultSelector() as selector:
            for user in self.users:
                if user.sock and not user.gone:
                    user.flush()
                    selector.register(user.sock, selectors.EVENT_READ, user)
            # all of them, not until the first
            heard = [key.data.hear() for key, _ in selector.select(seconds)]
            return any(heard)

    def resume(self) -> None:
        for user in self.users:
            user.resume()

    def work(self, seconds: float) -> None:
        """Write, read and delete for so long; no more than a check can bring before it is
        confirmed."""
        until, written = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            for user in self.users:
                while (len(user.unanswered) < IN_FLIGHT and self.chance.random() < 0.9
                       and written < WRITTEN_MAX):
                    user.write(everyone=True)
                    written += 1
                user.delete()
            self.hear(0.005)

    def burst(self) -> None:
        """Everybody writes once more, and nobody listens."""
        for user in self.users:
            user.write(everyone=True)
            user.delete()

    def drain(self) -> None:
        """Take all that was sent to them until now."""
        while self.hear(0):
            pass

    def hang_up(self) -> None:
        for user in self.users:
            user.hang_up()

    def faults(self) -> list[str]:
        """What is wrong, taken."""
        faults = []
        for user in self.users:
            faults += user.faults
            user.faults = []
        return faults

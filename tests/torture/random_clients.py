"""Clients at random over real sockets, beside what they know themselves; and the same without
sockets, on the rules alone.

    python -m tests.torture.random_clients [--users N] [--messages N] [--walks N] [--seed N]
                                           or `make torture`

Users come, send runs to some, to all and to rooms, hold, check, confirm parts of what they were
shown, take their own sessions over and move them, go on errands beside them, come back with RESUME,
hang up, shut down their direction, and do not read for a while.  They join and leave rooms, close
them and make them again, and say that they are away (random_rooms.py).  Some are logins that get
mail before they come.  The daemon is killed, ended by TERM and stopped for a moment; its store
seals all the while.  After each of many rounds everybody comes to rest: all that was sent has its
answer, and so has all that was confirmed.  Then the clients know, each message by its name, what
must wait for whom.

    always      a stream ascends, no message comes again once it was CONFIRMED, none has another
                text or id than before; a check brings as many messages as WAITING or WELCOME told
                last, less those confirmed meanwhile
    at rest     that number is how many messages wait for CHECK, and a CHECK brings those, each
                once: all that was stored for the user, was not confirmed, and did not come live;
                after RESUME nothing of it is behind the id of LIVE.  Everybody knows the rooms
                that they are in, and who is away; RECALL brings the last lines of a room
    at the end  everything stored was shown to everybody that it was for

The walks without sockets (tests/rules/delivery_walk.py) compare far more, with a model of the
daemon's side, but with a turn made by hand.
"""
from __future__ import annotations

import argparse
import random
import selectors
import signal
import socket
import sys
import time
from collections.abc import Collection, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import wire
from tests.harness.process import HERE, DaemonProcess
from tests.rules.delivery_model import Disagreement
from tests.rules.delivery_walk import walk
from tests.torture.random_errands import Errand, Ghost
from tests.torture.random_rooms import AWAY, KEPT, ROOMS, About, Rooms, Sent
from wire import Feature, Outcome, SendFlag, Why

SEAL_AT = 256 << 10
UNANSWERED_MAX = 200        # messages without an answer, for each user
LEFT_MAX = 100              # messages that a user has not confirmed when all rest
READ_SIZE = 1 << 16
REST_SECONDS = 60           # for all to come to rest; far more than it takes
STEPS = 120                 # of everybody in a round
LATE = 3                    # users that get mail before they come, one of them after each round
FEATURES = (Feature.RESUME | Feature.ADDRESSED | Feature.ROOMS | Feature.STATUS | Feature.LOGINS
            | Feature.PERSON)
WALK_STEPS = 400
CHECK = SendFlag.CHECK
Key = tuple[str, int]       # sender, and the sender's id


class User:
    """One user and its client, in session after session."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.chance, self.name = world, world.chance, name
        self.counter = self.chance.getrandbits(32) << 32
        self.token = self.chance.randbytes(16)
        self.unanswered: dict[int, wire.Send] = {}
        self.due: dict[Key, None] = {}          # stored for it, and not CONFIRMED
        self.maybe: set[Key] = set()            # stored, and maybe for it
        self.never: set[Key] = set()            # not for it, as a check has shown
        self.elsewhere: set[Key] = set()        # confirmed by an errand: a copy may be on its way
        self.above = -1                         # by LIVE
        self.about = About(self)
        self.shown: set[Key] = set()
        self.confirmed: set[Key] = set()
        self.asking: dict[int, Key] = {}        # by the daemon's id: CONFIRM without CONFIRMED
        self.sock: socket.socket | None = None
        self.reset()

    def reset(self) -> None:
        """There is no connection."""
        if self.sock is not None:
            self.sock.close()
        self.sock = None
        self.out = bytearray()
        self.decoder = wire.Decoder(wire.FRAME_MAX)
        self.online = self.half_closed = self.holding = False
        self.deaf = 0                           # steps for which it does not read
        self.told = -1                          # by WELCOME or WAITING
        self.live: set[Key] = set()             # came live, since WELCOME or the last HOLD
        self.holds: list[int] = []              # HOLDs without DONE
        self.check: Check | None = None
        self.runs: list[list[tuple[int, Key]]] = []
        self.run: dict[int, list[tuple[int, Key]]] = {}
        self.last = {0: 0, CHECK: 0}            # the last id in each stream
        self.pinged = self.ponged = 0
        self.checked = Check()                  # the last that ended
        self.resumed = -1                       # what is behind this id is live
        self.about.reset()

    # ---- saying ----

    def connect(self) -> None:
        """Also beside the session of before: then that is taken over, or taken."""
        self.reset()
        self.sock = socket.socket(socket.AF_UNIX)
        try:
            self.sock.connect(self.world.daemon.path)
        except OSError:
            self.reset()
            return
        self.sock.setblocking(False)
        self.holding = self.chance.random() < 0.4
        takes = any(ghost.user is self for ghost in self.world.ghosts)
        features = FEATURES | Feature.HOLD * self.holding | Feature.TAKE * takes
        if self.above < 0 or self.holding or self.chance.random() < 0.3:
            self.say(wire.Hello(wire.VERSION, features, self.token, self.name))
            return
        self.resumed = self.above
        self.say(wire.Resume(wire.VERSION, features, self.token, self.above, self.name))

    def take(self) -> None:
        """Another client of this user's takes the session."""
        assert self.sock is not None
        self.world.ghosts.add(Ghost(self, self.sock, self.decoder))
        self.sock, self.token = None, self.chance.randbytes(16)
        self.connect()

    def say(self, *said: wire.Message) -> None:
        if not self.half_closed:
            self.out += b"".join(map(wire.encode, said))
            self.flush()

    def flush(self) -> None:
        """A daemon that is gone is found out about by reading."""
        try:
            while self.out and self.sock:
                del self.out[:self.sock.send(self.out)]
        except OSError:
            pass

    def send(self) -> None:
        if len(self.unanswered) >= UNANSWERED_MAX:
            return
        flags, names, number = 0, self.world.known(), self.chance.choice((1, 1, 3, 10))
        rooms = [name for name in ROOMS if self.about.is_in[name] is not False]
        if self.chance.random() < 0.03:
            flags, number = SendFlag.EVERYONE, 1
            to = [name for name in names if name != self.name]
        elif rooms and self.chance.random() < 0.2:
            to = [self.chance.choice(rooms)]
        else:
            to = self.chance.sample(names, self.chance.choice((1, 1, 1, 2)))
        for _ in range(number):
            self.counter += 1
            self.unanswered[self.counter] = self.message(self.counter, flags, to)
        self.say(*list(self.unanswered.values())[-number:])

    def message(self, origin: int, flags: int = 0, to: Sequence[str] = ()) -> wire.Send:
        """A message of this user's, which is said next; without recipients, to somebody."""
        to = to or [self.chance.choice(self.world.known())]
        text = f"{self.name} {origin} ".ljust(self.chance.choice((30, 60, 200)), "x")
        key, room = (self.name, origin), to[0] if wire.is_room(to[0]) else ""
        self.world.sent[key] = sent = Sent(text, [] if room else list(to), room)
        if room:
            self.world.rooms.says(self, sent, key)
        return wire.Send(origin, flags, () if flags else tuple(to), text)

    def ask(self) -> None:
        """CHECK."""
        if self.check is None:
            self.run.pop(CHECK, None)
            self.check, self.last[CHECK] = Check(), 0
            self.say(wire.Check(1))

    def hold(self) -> None:
        self.run.pop(0, None)
        self.holds.append(self.chance.getrandbits(1))
        self.above = self.resumed = -1
        self.say(wire.Hold(2, self.holds[-1]))

    def confirm(self, most: int = 1 << 30) -> None:
        """A part of what may be confirmed together."""
        if not self.runs:
            return
        run = self.chance.choice(self.runs)
        first = self.chance.choice((0, 0, self.chance.randrange(len(run))))
        last = min(self.chance.choice((len(run), self.chance.randint(first + 1, len(run)))),
                   first + most)
        self.asking.update(run[first:last])
        if self.check:
            self.check.confirmed += last - first
        self.say(wire.Confirm(run[first][0], run[last - 1][0]))
        del run[first:last]
        if not run:
            self.runs = [other for other in self.runs if other]
            self.run = {kind: other for kind, other in self.run.items() if other}

    def ping(self) -> None:
        self.pinged += 1
        self.say(wire.Ping(self.pinged))

    def shut_down(self) -> None:
        if self.sock and not self.out:
            self.half_closed = True
            self.sock.shutdown(socket.SHUT_WR)

    # ---- hearing ----

    def hear(self) -> None:
        """Take in what has come."""
        data = b""
        try:
            if self.sock:
                data = self.sock.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            pass
        if not data:
            self.reset()
            return
        for frame in self.decoder.feed(data):
            said = wire.decode(frame, wire.DAEMON)
            HEARD.get(type(said), User.ignore)(self, said)

    def ignore(self, said: Any) -> None:
        pass

    def fault(self, text: str) -> None:
        self.world.faults.append(f"{self.name}: {text}")

    def on_welcome(self, said: wire.Welcome) -> None:
        self.online, self.token, self.told = True, said.token, said.waiting
        for id in list(self.asking):
            self.say(wire.Confirm(id, id))
        self.say(*self.unanswered.values())

    def on_live(self, said: wire.Live) -> None:
        self.above = said.above

    def on_rejected(self, said: wire.Rejected) -> None:
        """All come at once after a death, and not all of them may: they try again."""
        if said.why != wire.Why.FULL:
            self.fault(f"was told {said}")

    def on_waiting(self, said: wire.Waiting) -> None:
        self.told = said.total

    def on_stored(self, said: wire.Stored) -> None:
        for origin in range(said.first, said.last + 1):
            self.unanswered.pop(origin, None)
            self.world.is_stored((self.name, origin))

    def on_refused(self, said: wire.Refused) -> None:
        self.unanswered.pop(said.id, None)
        self.is_refused(said)

    def is_refused(self, said: wire.Refused) -> None:
        """That may be, if it was not in the room when the daemon read the line."""
        sent = self.world.sent[self.name, said.id]
        if sent.is_sure or said.why != Why.UNKNOWN:
            self.fault(f"was told {said}")
        elif sent.room:
            self.world.rooms.all[sent.room].flying.pop((self.name, said.id), None)

    def on_failed(self, said: wire.Failed) -> None:
        self.about.answered(said)

    def on_done(self, said: wire.Done) -> None:
        if said.request != 2:
            self.about.answered(said)
            return
        on = self.holds.pop(0)
        self.run.pop(0, None)
        if self.holding and not on:
            self.live.clear()
        self.holding = bool(on)

    def on_pong(self, said: wire.Pong) -> None:
        self.ponged = said.stamp

    def on_mails(self, said: wire.Mails) -> None:
        for mail in wire.each(said):
            self._mail(mail)

    def recognise(self, mail: wire.Mail) -> Key:
        """The message that came; it is one that was sent to this user."""
        key = mail.sender, mail.origin
        sent = self.world.sent.get(key)
        if sent is None or sent.text != mail.text or (
                self.name not in sent.to and (self.name not in sent.may or key in self.never)):
            self.fault(f"was sent {mail}, which nobody sent")
        elif sent.room and mail.to != (sent.room,):
            self.fault(f"was sent {mail}, which was said in {sent.room}")
        if self.world.ids.setdefault(mail.id, key) != key:
            self.fault(f"was sent {mail}; that id was {self.world.ids[mail.id]}")
        self.world.numbers[key] = mail.id
        if key in self.maybe:
            self.maybe.discard(key)
            self.due[key] = None
        self.shown.add(key)
        return key

    def _mail(self, mail: wire.Mail) -> None:
        key, kind = self.recognise(mail), mail.flags & CHECK
        if key in self.confirmed and key not in self.elsewhere:
            self.fault(f"was sent {mail} again, after CONFIRMED")
        if mail.id <= self.last[kind]:
            self.fault(f"was sent {mail} behind {self.last[kind]}")
        self.last[kind] = mail.id
        if kind:
            self._begun().came[key] = None
        else:
            self.live.add(key)
            if self.holding:
                self.fault(f"holds, and was sent {mail}")
        if kind not in self.run:
            self.runs.append(self.run.setdefault(kind, []))
        self.run[kind].append((mail.id, key))

    def _begun(self) -> Check:
        assert self.check is not None
        if self.check.told < 0:
            self.check.told, self.check.confirmed = self.told, len(self.asking) + sum(
                [len(errand.asking) for errand in self.world.errands if errand.user is self])
        return self.check

    def confirms_elsewhere(self, keys: Collection[Key]) -> None:
        """An errand of this user's confirms these."""
        self.elsewhere.update(keys)
        if self.check:
            self.check.confirmed += len(keys)

    def on_checked(self, said: wire.Checked) -> None:
        check, self.check = self._begun(), None
        self.run.pop(CHECK, None)
        if said.total != len(check.came):
            self.fault(f"was told {said}, and {len(check.came)} came")
        if not check.told - check.confirmed <= said.total <= check.told:
            self.fault(f"was told {check.told}, and {said.total} came, while {check.confirmed} "
                       "were confirmed")
        self.world.checks += 1
        self.checked = check

    def on_confirmed(self, said: wire.Confirmed) -> None:
        for id in [id for id in self.asking if said.first <= id <= said.last]:
            self.is_confirmed(self.asking.pop(id))

    def is_confirmed(self, key: Key) -> None:
        self.confirmed.add(key)
        self.due.pop(key, None)

    # ---- at rest ----

    def is_at_rest(self) -> bool:
        return bool(self.online and not (self.unanswered or self.asking or self.check or self.out
                                         or self.holds or self.about.asked)
                    and self.ponged == self.pinged)

    def waits(self) -> set[Key]:
        """What must wait for a CHECK now, when all rest."""
        return set(self.due) if self.holding else self.due.keys() - self.live


HEARD = {wire.Welcome: User.on_welcome, wire.Rejected: User.on_rejected,
         wire.Waiting: User.on_waiting, wire.Stored: User.on_stored,
         wire.Refused: User.on_refused, wire.Done: User.on_done, wire.Pong: User.on_pong,
         wire.Mails: User.on_mails, wire.MailsTo: User.on_mails, wire.Checked: User.on_checked,
         wire.Confirmed: User.on_confirmed, wire.Failed: User.on_failed, wire.Live: User.on_live,
         wire.Rooms: lambda user, said: user.about.on_rooms(said),
         wire.Past: lambda user, said: user.about.on_past(said),
         wire.Status: lambda user, said: user.about.on_status(said)}


class Check:
    """A CHECK: what it brought; the number that was told before it began; and how many CONFIRMs
    the daemon may have read since."""

    def __init__(self) -> None:
        self.came: dict[Key, None] = {}
        self.told, self.confirmed = -1, 0


class World:
    """The daemon and all users."""

    def __init__(self, seed: int, users: int) -> None:
        self.chance = random.Random(seed)
        self.late = [f"late{number}" for number in range(LATE)]
        self.daemon = DaemonProcess(
            "--socket-mode", "666", "--room-lines", str(KEPT), bare=True, program=(
                HERE + "/tests/torture/small_store.py", f"{SEAL_AT}:60:{','.join(self.late)}"))
        self.sent: dict[Key, Sent] = {}
        self.stored: set[Key] = set()
        self.ids: dict[int, Key] = {}
        self.numbers: dict[Key, int] = {}                   # the same, the other way round
        self.faults: list[str] = []
        self.checks = self.quiet = 0
        self.deaths: dict[str, int] = {}
        self.counts = {"errands": 0, "taken": 0, "resumed": 0}
        self.lives = 1
        self.errands: set[Errand] = set()
        self.ghosts: set[Ghost] = set()
        self.rooms = Rooms(self)
        names = [f"user{number}" for number in range(users)]
        self.users = {name: User(self, name) for name in (*names, *self.late)}
        for name in names:                                  # so that they can be written to
            self.daemon.client(name).close()
        self._mail_the_late()

    def _mail_the_late(self) -> None:
        """Who was not there yet has mail, and is written to like anybody, from now on."""
        first = next(iter(self.users.values()))
        with self.daemon.client(first.name, FEATURES) as client:
            for name in self.late:
                first.counter += 1
                client.say(first.message(first.counter, 0, [name]))
                if client.hear(wire.Outcomes).outcome != Outcome.NEW:
                    first.fault(f"was not told that {name} was never here")
                self.is_stored((first.name, first.counter))

    def close(self) -> None:
        for user in self.users.values():
            user.reset()
        for line in (*self.errands, *self.ghosts):
            if line.sock:
                line.sock.close()
        self.daemon.close()

    def known(self) -> list[str]:
        """All names."""
        return list(self.users)

    def here(self) -> list[str]:
        """The names of those who have come."""
        return [name for name in self.users if name not in self.late]

    def come(self) -> list[User]:
        return [self.users[name] for name in self.here()]

    def is_stored(self, key: Key) -> None:
        if key not in self.stored:
            self.stored.add(key)
            sent = self.sent[key]
            if sent.room:
                self.rooms.is_stored(key, sent)
            for name in sent.to | sent.may:
                user = self.users[name]
                if key in user.confirmed:
                    continue
                if name in sent.to or key in user.shown:
                    user.due[key] = None
                else:
                    user.maybe.add(key)

    # ---- what happens ----

    def round(self) -> None:
        """Everybody does something, many times, and then comes to rest."""
        for _ in range(STEPS):
            for user in self.come():
                self._act(user)
            self._listen(0)
            if self.chance.random() < 0.02:
                self._harm()
        if self.late:
            self.late.pop()
        self.rest()

    def _act(self, user: User) -> None:
        chance = self.chance.random()
        if user.sock is None or chance < 0.003:
            user.connect()
        elif chance < 0.008:
            user.reset()
        elif chance < 0.009:
            user.shut_down()
        elif chance < 0.01 and user.online and not user.half_closed:
            self.counts["taken"] += 1
            user.take()
        elif not user.online or user.half_closed:
            return
        elif chance < 0.02:
            user.deaf = self.chance.randrange(30)
        elif chance < 0.06:
            user.hold()
        elif chance < 0.12:
            user.ask()
        elif chance < 0.35:
            user.send()
        elif chance < 0.7:
            user.confirm()
        elif chance < 0.72:
            user.about.join_or_leave()
        elif chance < 0.7205:
            user.about.change()
        elif chance < 0.7235 and user.name.startswith("user"):   # else it is not the owner
            self.errands.add(Errand(user))
        elif chance < 0.7285 and user.name in self.here()[:AWAY]:
            user.about.away()

    def _harm(self) -> None:
        what = self.chance.choice(("KILL", "TERM", "STOP", "STOP"))
        self.deaths[what] = self.deaths.get(what, 0) + 1
        process = self.daemon.process
        assert process is not None
        if what == "STOP":
            process.send_signal(signal.SIGSTOP)
            self._listen(self.chance.uniform(0, 0.2))
            process.send_signal(signal.SIGCONT)
            return
        self.lives += 1
        self.daemon.end(getattr(signal, f"SIG{what}"))
        for user in self.users.values():
            while user.sock is not None:                    # what it said before it ended
                user.hear()
        for line in (*self.errands, *self.ghosts):
            while line.sock is not None:
                line.hear()
        self.daemon.start()

    def _listen(self, seconds: float) -> None:
        """Take what comes, for so long."""
        deadline = time.monotonic() + seconds
        while True:
            with selectors.DefaultSelector() as selector:
                for user in self.users.values():
                    user.deaf = max(0, user.deaf - 1)
                    user.flush()
                    if user.sock and not user.deaf:
                        selector.register(user.sock, selectors.EVENT_READ, user)
                for line in (*self.errands, *self.ghosts):
                    if line.sock is None and isinstance(line, Errand):
                        line.connect()
                    if line.sock:
                        selector.register(line.sock, selectors.EVENT_READ, line)
                for key, _ in selector.select(max(0.0, deadline - time.monotonic())):
                    key.data.hear()
            if time.monotonic() >= deadline:
                return

    # ---- at rest ----

    def rest(self) -> None:
        """Everybody comes, and everything is answered; then compare."""
        self._settle()
        self.quiet += 1
        users = self.come()
        self.rooms.rest()
        for user in users:
            user.about.rest()
            if not 0 <= user.told - len(user.waits()) <= len(user.maybe):
                user.fault(f"was told {user.told} at rest, and {len(user.waits())} wait, and maybe "
                           f"{len(user.maybe)} more")
        waits = {user: (user.waits(), set(user.maybe), user.told) for user in users}
        for user in users:
            user.ask()
        self.rooms.recall()
        self._settle()
        for user, (expected, maybe, told) in waits.items():
            came = set(user.checked.came)
            if not expected <= came <= expected | maybe or len(came) != told:
                user.fault(f"was told {told} at rest, {len(came)} came by a check, and "
                           f"{len(expected)} were due; {sorted(expected ^ came)[:5]}")
            if user.resumed >= 0:
                self.counts["resumed"] += 1
                if late := [key for key in came if self.numbers[key] > user.resumed]:
                    user.fault(f"came back with {user.resumed}, and {late[:5]} waited for a check")
            user.never |= user.maybe
            user.maybe.clear()

    def _settle(self) -> None:
        deadline = time.monotonic() + REST_SECONDS
        for user in self.users.values():
            user.deaf = 0
        pinged = False
        users = self.come()
        while not pinged or not self._is_at_rest(users):
            if time.monotonic() > deadline:
                restless = [user for user in users if not user.is_at_rest()]
                raise AssertionError(f"no rest: {[vars(user) for user in restless[:1]]}")
            for user in users:
                if user.sock is None:
                    user.connect()
                while sum(map(len, user.runs)) > LEFT_MAX:
                    user.confirm()
            self._listen(0.005)
            if not pinged and self._is_at_rest(users):
                pinged = True
                for user in users:
                    user.ping()
        for user in users:
            user.elsewhere.clear()

    def _is_at_rest(self, users: list[User]) -> bool:
        return not (self.errands or self.ghosts) and all(user.is_at_rest() for user in users)

    def finish(self) -> None:
        """Everybody comes, reads and confirms all."""
        self.late.clear()
        self.rest()
        before, left = 0, -1
        while left and left != before:                      # nothing more comes: it is lost
            before, left = left, sum([len(user.due) for user in self.users.values()])
            for user in self.users.values():
                while user.runs:
                    user.confirm()
            self._settle()
            for user in self.users.values():
                if user.due and not user.runs:
                    user.ask()
            self._settle()
        for key in self.stored:
            for name in self.sent[key].to:
                if key not in self.users[name].shown:
                    self.faults.append(f"lost: {key} for {name}")

    def count(self) -> str:
        deaths = ", ".join(f"{number} {what}" for what, number in sorted(self.deaths.items()))
        others = ", ".join(f"{number} {what}" for what, number in
                           (self.rooms.counts | self.counts).items())
        return (f"{len(self.users)} users, {len(self.stored)} messages, {self.checks} checks, "
                f"{others}, {self.quiet} times at rest; {deaths or 'no deaths'}")


def over_sockets(seed: int, users: int, messages: int) -> tuple[str, list[str]]:
    """A report, and what is wrong."""
    world = World(seed, users)
    try:
        started = time.monotonic()
        while len(world.stored) < messages and not world.faults:
            world.round()
        world.finish()
        return (f"random clients: {world.count()}; {time.monotonic() - started:.0f} s, seed {seed}",
                world.faults)
    finally:
        world.close()


def on_the_rules(seed: int, walks: int, steps: int) -> tuple[str, list[str]]:
    """The same of walks without sockets."""
    total: dict[str, int] = {}
    faults = []
    for number in range(seed, seed + walks):
        try:
            for what, count in walk(number, steps).items():
                total[what] = total.get(what, 0) + count
        except Disagreement as error:
            faults.append(str(error))
    return (f"delivery: {walks} walks of {steps} turns from seed {seed}, {len(faults)} disagree "
            f"with the model; {total}"), faults


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="random_clients")
    parser.add_argument("--users", type=int, default=120)
    parser.add_argument("--messages", type=int, default=40_000)
    parser.add_argument("--walks", type=int, default=110)
    parser.add_argument("--steps", type=int, default=WALK_STEPS)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args(arguments)
    faults = []
    with ProcessPoolExecutor(2) as pool:
        parts = [pool.submit(part, options.seed, *sizes) for part, *sizes in (
            (on_the_rules, options.walks, options.steps),
            (over_sockets, options.users, options.messages))]
        for part in parts:
            report, wrong = part.result()
            print(report, *wrong[:10], sep="\n", flush=True)
            faults += wrong
    print(f"random clients: {len(faults)} faults")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

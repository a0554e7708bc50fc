"""Clients at random on the rules and the mailbox, without sockets, beside the model of delivery.

A House is the daemon's turn over a real Switchboard and a real Mailbox, on a disk that is slow,
full or killed when chance says so.  An Actor is a client that parley-wire(7) would call right: it
confirms only what the page lets it confirm.  What one side says reaches the other some turns later,
so requests and answers cross.  The model hears of everything (delivery_model.py).  What clients do
about rooms is in room_walk.py.
"""
from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import random
import shutil
import struct
import tempfile
from collections import deque
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import wire
from mailbox import Full, Mailbox
from net.values import ERRANDS
from rules import delivery, errands, groups, looking, pages, roster, runs, slices
from rules.claims import Identity
from rules.groups import Groups
from rules.handover import Resumption, chats_saved, client_saved, is_quiet
from rules.hosts import Hosts
from rules.quota import Accounts, Broadcasts, Quotas
from rules.state import Caller, Client, Doubtful, Errand, Now, Refusal
from rules.switchboard import Switchboard
from store.disk import WAIT, Disk
from tests.harness.waiting import singles
from tests.rules import room_walk
from tests.rules.delivery_model import Disagreement, Model, Session
from tests.rules.room_walk import ROOM_NAMES, STAFF
from wire import Feature, SendFlag

NAMES = tuple(f"u{number}" for number in range(7))
LATE = ("w0", "w1")         # logins that get mail before they come
UIDS = {name: 1001 + number for number, name in enumerate((*NAMES, *LATE))}
OPERATOR = UIDS[NAMES[-1]]
ON_ERRANDS = 3              # of them go on errands too, two at once
QUIET_TURNS = 3000          # until all has come to rest; far more than it takes
UNREAD = 12                 # messages that a client leaves unread, and is sent further pages
REVIEW_SECONDS = 2.0        # between two looks at who is in a group: 20 turns
SHM = "/dev/shm"


class ChanceDisk(Disk):
    """A disk that does not sync, takes its time for it, and may be full."""

    def __init__(self) -> None:
        super().__init__()
        self.lag = 0                # turns that a sync takes
        self.full = 0               # so many writes fail
        self._left = 0
        self.descriptors: set[int] = set()

    def create(self, path: str) -> int:
        return self._opened(super().create(path))

    def open(self, path: str) -> int:
        return self._opened(super().open(path))

    def hold(self, path: str) -> int:
        return self._opened(super().hold(path))

    def lock(self, path: str) -> int:
        return self._opened(super().lock(path))

    def _opened(self, fd: int) -> int:
        self.descriptors.add(fd)
        return fd

    def close(self, fd: int) -> None:
        if fd in self.descriptors:              # not what is dead and goes out of memory late
            self.descriptors.discard(fd)
            super().close(fd)

    def die(self) -> None:
        """As the kernel does for a killed process."""
        for fd in self.descriptors:
            super().close(fd)
        self.descriptors.clear()

    def write(self, fd: int, data: bytes | bytearray | memoryview, offset: int) -> int:
        if self.full:
            self.full -= 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(fd, data, offset)

    def datasync(self, fd: int) -> None:
        pass

    def sync(self, fd: int) -> None:
        pass

    def sync_directory(self, path: str) -> None:
        pass

    def forget(self, path: str) -> None:
        pass

    def free(self, path: str) -> int:
        return 0 if self.full else 1 << 40

    def begin_datasync(self, key: int, fd: int) -> bool:
        self._left = self.lag
        return not self.lag

    def datasync_ended(self, wait: bool = False) -> bool:
        self._left -= 1
        return wait or self._left < 0

    def syncing(self, fd: int) -> Iterator[object]:
        yield from itertools.repeat(WAIT, self.lag)

    def syncing_directory(self, path: str) -> Iterator[object]:
        yield from itertools.repeat(WAIT, self.lag)


class Actor:
    """A client program.  `outbox`: what it said and the daemon has not read yet; `inbox`: what the
    daemon said, and it has not."""

    def __init__(self, walk: Walk, name: str, is_errand: bool = False) -> None:
        self.walk, self.chance, self.name = walk, walk.chance, name
        self.is_errand = is_errand
        self.sent: dict[int, wire.Sends] = {}       # everything, by the first id
        self.unanswered: dict[int, wire.Send] = {}
        self.shown: list[int] = []                  # ids of everything that it was shown
        self.token = bytes(16)
        self.above: list[int] = []                  # ids that LIVE told
        self._new_program()
        self.lost()

    def _new_program(self) -> None:
        instances = (ERRANDS, 1 << 32) if self.is_errand else (0, ERRANDS)
        self.counter = self.chance.randrange(*instances) << 32

    def lost(self) -> None:
        """There is no connection."""
        self.client: Client | None = None
        self.session: Session | None = None
        self.online = self.checking = self.exiting = False
        self.inbox: deque[Any] = deque()
        self.outbox: deque[bytes] = deque()
        self.requests = 0
        # ids that one range may cover: of live mail and of a check, from cut to cut
        self.runs: list[list[int]] = []
        self.run: dict[int, list[int]] = {}

    def cut(self, kind: int) -> None:
        self.run.pop(kind, None)

    def say(self, said: wire.Message) -> None:
        self.outbox.append(wire.encode(said))

    # ---- what it hears ----

    def read(self, most: int) -> None:
        for _ in range(min(most, len(self.inbox))):
            said = self.inbox.popleft()
            self.clog()
            match said:
                case wire.Welcome():
                    self.online, self.token = True, said.token
                    self._resume()
                case wire.Live():
                    self.above.append(said.above)
                case wire.Mails() | wire.MailsTo():
                    self._show(wire.each(said))
                case wire.Checked():
                    self.checking = False
                    self.cut(SendFlag.CHECK)
                case wire.Done():
                    self.cut(0)
                case wire.Stored():
                    for origin in range(said.first, said.last + 1):
                        self.unanswered.pop(origin, None)
                case wire.Refused():
                    self.unanswered.pop(said.id, None)

    def clog(self) -> None:
        """One that reads too slowly is sent no further pages."""
        if self.client is not None:
            is_slow = len(self.inbox) > UNREAD and not self.walk.is_resting
            self.client.backlog = pages.PAUSE_AT if is_slow else 0

    def _show(self, mails: list[wire.Mail]) -> None:
        self.walk.model.shown(self.name, mails)
        for mail in mails:
            kind = mail.flags & SendFlag.CHECK
            if kind not in self.run:
                self.runs.append(self.run.setdefault(kind, []))
            self.run[kind].append(mail.id)
            self.shown.append(mail.id)

    # ---- what it says ----

    def _resume(self) -> None:
        """Send again what has no answer; or it is another program, that knows nothing of it."""
        if self.chance.random() < 0.1:
            self._new_program()
            self.unanswered.clear()
        for said in self.unanswered.values():
            self.say(said)

    def send(self) -> None:
        names = (*NAMES, *LATE, *ROOM_NAMES, "nobody") if self.chance.random() < 0.05 else NAMES
        flags = self.chance.choice((0, 0, 0, 0, 0, SendFlag.NOW))
        to: tuple[str, ...] = ()
        number = 1
        if self.chance.random() < 0.15:
            flags |= SendFlag.EVERYONE
        elif self.chance.random() < 0.3:
            to = (self.chance.choice(ROOM_NAMES),)
            number = self.chance.choice((1, 1, 1, 2, 5))
        else:
            to = tuple(self.chance.choices(names, k=self.chance.choice((1, 1, 1, 2, 4))))
            number = self.chance.choice((1, 1, 1, 2, 5, 10))
        for _ in range(self.chance.choice((1, 1, 1, 3))):
            self._send(flags, to, number)

    def _send(self, flags: int, to: tuple[str, ...], number: int) -> None:
        first = self.counter + 1
        self.counter += number
        texts = tuple(self._text(origin) for origin in range(first, first + number))
        for origin, text in enumerate(texts, first):
            self.unanswered[origin] = wire.Send(origin, flags, to, text)
        said = self.sent[first] = wire.Sends(first, flags, to, texts)
        self.say(said)

    def _text(self, origin: int) -> str:
        if self.chance.random() < 0.01:
            return " "
        return f"{self.name} {origin} ".ljust(self.chance.choice((20, 60, 60, 300)), "x")

    def repeat(self) -> None:
        if self.sent:
            said = self.sent[self.chance.choice(list(self.sent)[-4:])]
            at = self.chance.randrange(len(said.texts))
            text = self.chance.choice((said.texts[at], "another", " "))
            self.say(wire.Send(said.first + at, said.flags, said.to, text))

    def request(self) -> int:
        self.requests += 1
        return self.requests

    def check(self) -> None:
        if not self.checking or self.chance.random() < 0.05:
            if not self.checking:
                self.cut(SendFlag.CHECK)
            self.checking = True
            self.say(wire.Check(self.request()))

    def hold(self) -> None:
        self.cut(0)
        self.say(wire.Hold(self.request(), self.chance.getrandbits(1)))

    def ignore(self) -> None:
        self.say(wire.Ignore(self.request(), self.chance.getrandbits(1),
                             self.chance.choice(NAMES)))

    def confirm(self) -> None:
        """A part of a run, in order or not; most often all of it."""
        if not self.runs:
            return
        run = self.chance.choice(self.runs)
        first = self.chance.choice((0, 0, 0, self.chance.randrange(len(run))))
        last = self.chance.choice((len(run), len(run), self.chance.randint(first + 1, len(run))))
        self.say(wire.Confirm(run[first], run[last - 1]))
        del run[first:last]
        if not run:
            self.runs = [other for other in self.runs if other]
            self.run = {kind: other for kind, other in self.run.items() if other}

    def confirm_late(self) -> None:
        """Something that was shown long ago, on another connection, or is confirmed already."""
        if self.shown:
            id = self.chance.choice(self.shown[-200:])
            self.say(wire.Confirm(id, id))

    def exit(self) -> None:
        self.exiting = True
        self.say(wire.Exit())


class Walk:
    """The House, its clients, and one step after the other."""

    def __init__(self, seed: int, window: int, window_bytes: int, quota: int, room_lines: int
                 ) -> None:
        self.chance, self.room_lines = random.Random(seed), room_lines
        self.quotas = Quotas(quota, 0, 0, 0, 0)
        self.directory = tempfile.mkdtemp(prefix="parley-walk-",
                                          dir=SHM if os.path.isdir(SHM) else None)
        self.model = Model(window, window_bytes, quota, errands.CHECK_SECONDS, room_lines, UIDS)
        self.actors = [Actor(self, name) for name in (*NAMES, *LATE)]
        self.errands = [Actor(self, name, True) for name in (*NAMES[:ON_ERRANDS], LATE[0])
                        for _ in range(2)]
        self.now = Now(1, 1.0)
        self.turns = 0
        self._is_receiving = self.is_resting = False
        self.groups = self.model.rooms.groups
        self._start()

    def _start(self) -> None:
        self.disk = ChanceDisk()
        self.mailbox = Mailbox(self.directory + "/store", self.disk, "dbm.dumb", seal_at=6000,
                               small=3000)
        self.board = Switchboard(
            self.mailbox, self._note, house="walk",
            token=lambda: self.chance.randbytes(16), patience=60, accounts=Accounts(self.quotas),
            broadcasts=Broadcasts("everyone", 0), hosts=Hosts(0, 0, 1000), is_silent=True,
            room_lines=self.room_lines, identity=Identity(
                secret=b"x" * 32, logins=UIDS.get, operators=frozenset({OPERATOR}),
                groups=Groups({"staff": STAFF}.get, self._gids), lists_people=lambda: True,
                person_of=lambda name: (name, UIDS[name]) if name in UIDS else None))
        self.sessions: dict[Client, tuple[Session, Actor]] = {}
        self._begun = self._generation()

    def _gids(self, uid: int) -> list[int]:
        return [STAFF] if self.groups.get(uid) else []

    def _note(self, event: str, **fields: Any) -> None:
        """A member that has left a group is put out without having asked for anything."""
        if event == "left-room" and not self._is_receiving:
            self.model.rooms.puts_out(fields["name"], fields["room"], UIDS[fields["name"]])

    def _generation(self) -> int:
        """How many manifests there were: one for each roll, seal, drop and start."""
        return self.mailbox.upkeep.journals.manifest.generation

    def close(self) -> None:
        self._end()
        shutil.rmtree(self.directory)

    def _end(self) -> None:
        self.model.count("manifests", self._generation() - self._begun)
        self.mailbox.upkeep.close()
        self.mailbox._shelf.close()
        self.disk.die()

    def __enter__(self) -> Walk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- the daemon's turn ----

    def turn(self, quiet: bool = False, *, reads: bool = True) -> None:
        self.turns += 1
        self.now = Now(self.now.wall + 1, self.now.monotonic + 0.1)
        self.model.now = self.now.monotonic
        for actor in self.chance.sample(self.everybody, len(self.everybody)) if reads else ():
            if actor.client is None:
                if not quiet and self.chance.random() < (0.02 if actor.name in LATE else 0.15):
                    self._enter(actor, self.chance.random() < 0.7)
            elif quiet or self.chance.random() < 0.6:
                most = len(actor.outbox) if quiet else self.chance.choice((1, 3, 100))
                self._requests(actor, most)
        self._write()
        self.board.push()
        settled = self.mailbox.settled()
        self.board.settle(settled)
        self.board.tick(self.now)
        self._flush()
        if self.mailbox.sync() != settled:
            self.board.settle(self.mailbox.settled())
            self._flush()
        for _ in range(self.chance.choice((1, 1, 5))):
            if self.board.slices.step():
                self.model.count("slices")
                self._flush()
        self._goodbye()
        for _ in range(self.chance.choice((0, 1, 5))):
            self.mailbox.work(0, lambda: self.now.monotonic)
        self.mailbox.notes.clear()
        self._compare()

    def _compare(self, is_quiet: bool = False) -> None:
        self.model.compare({user.name: user.waiting for user in self.mailbox.users}, is_quiet)

    @property
    def everybody(self) -> list[Actor]:
        return [*self.actors, *self.errands]

    def _enter(self, actor: Actor, is_known: bool) -> None:
        if actor.is_errand:
            self._go_on_an_errand(actor)
            return
        features, take = self._features(), 0
        if actor.token == bytes(16) or (actor.name in self.model.here and not is_known):
            actor.token, take = self.chance.randbytes(16), Feature.TAKE
        hello: wire.Hello | wire.Resume = wire.Hello(wire.VERSION, features | take, actor.token,
                                                     actor.name)
        if features & Feature.RESUME and actor.above and self.chance.random() < 0.8:
            hello = wire.Resume(wire.VERSION, features | take, actor.token,
                                self.chance.choice(actor.above[-3:]), actor.name)
        before = self.model.here.get(actor.name)
        if before:
            before.is_moved = bool(take and before.features & Feature.PERSON)
        client = self._come(actor, hello)
        if client is None:
            return                                          # a new name, and the disk is full
        if before:
            self.model.leaves(before)
            self.model.count("taken", int(bool(take)))
        actor.lost()
        actor.client, uid = client, UIDS[actor.name]
        actor.session = (
            self.model.resumes(actor.name, features, uid, hello.above, uid == OPERATOR)
            if isinstance(hello, wire.Resume)
            else self.model.enters(actor.name, features, uid, is_operator=uid == OPERATOR))
        self.sessions[client] = actor.session, actor

    def _features(self) -> int:
        """What a client asks for, by chance."""
        features = Feature.IGNORE
        for feature in (Feature.HOLD, Feature.RECEIPTS, Feature.RESUME, Feature.ADDRESSED,
                        Feature.ROOMS, Feature.STATUS, Feature.LOGINS, Feature.PERSON):
            features |= self.chance.choice((0, feature))
        return features

    def _come(self, actor: Actor, hello: wire.Hello | wire.Resume) -> Client | None:
        """Let it in; None: the disk is full, and the name is new."""
        uid = UIDS[actor.name]
        try:
            client = self.board.door.enter(hello, Caller(f"unix:{uid}", uid), self.now)
        except Refusal:
            if actor.name in self.model.queues:
                raise
            return None
        assert isinstance(client, Client)
        return client

    def _go_on_an_errand(self, actor: Actor) -> None:
        actor._new_program()
        features = (self._features() | Feature.ERRAND) & ~Feature.RESUME
        client = self._come(actor, wire.Hello(wire.VERSION, features, bytes(16), actor.name))
        if client is None:
            return
        assert isinstance(client, Errand)
        actor.lost()
        actor.unanswered.clear()
        actor.sent.clear()
        uid = UIDS[actor.name]
        actor.client, actor.session = client, self.model.enters(
            actor.name, features, uid, True, uid == OPERATOR)
        self.sessions[client] = actor.session, actor

    def take_over(self, actor: Actor) -> None:
        """A second connection of the same program, while the first one stands; or of another
        program of the same user, which takes the session."""
        if actor.client is not None and not actor.exiting:
            self._enter(actor, self.chance.random() < 0.5)

    def _requests(self, actor: Actor, most: int) -> None:
        """The daemon reads these, as Daemon._frames does."""
        client, session = actor.client, actor.session
        assert client is not None and session is not None
        frames = [actor.outbox.popleft() for _ in range(min(most, len(actor.outbox)))]
        frames, at = [frame[4:] for frame in frames], 0
        while at < len(frames) and not client.has_left:
            said = wire.decode(frames[at], wire.CLIENT)
            run = None
            if type(said) is wire.Sends:
                run = runs.run_of_sends(frames, at, 10_000, len(self.mailbox.users))
            taken = run[1] if run else 1
            refusal = bool(self.mailbox.refusal)
            try:
                self._receive(client, run[0] if run else said)
            except Doubtful:                                # look at it again
                actor.outbox.extendleft(FRAME.pack(len(frame)) + frame
                                        for frame in reversed(frames[at:]))
                return
            for frame in frames[at:at + taken]:
                self._model_hears(session, wire.decode(frame, wire.CLIENT), refusal)
            at += taken
            if type(said) is wire.Exit:
                self.model.leaves(session)

    def _receive(self, client: Client, said: Any) -> None:
        self._is_receiving = True
        try:
            if isinstance(said, runs.Run):
                self.board.receive_run(client, said, self.now)
            else:
                self.board.receive(client, said, self.now)
        finally:
            self._is_receiving = False

    def _model_hears(self, session: Session, said: Any, refusal: bool) -> None:
        model = self.model
        match said:
            case wire.Sends():
                model.sends(session, said, refusal)
            case wire.Confirm():
                model.confirms(session, said)
            case wire.Check():
                model.checks(session, said)
            case wire.Hold():
                model.holds(session, said)
            case wire.Ignore():
                model.ignores(session, said, refusal)
            case _:
                room_walk.model_hears(model.rooms, session, said, refusal)

    def _write(self) -> None:
        for _ in range(2):
            try:
                self.mailbox.write()
            except Full as full:
                self.model.refused()
                for client in self.board.refuse(full, self.now):
                    self.board.door.leave(client, "refused", self.now)
                    _, actor = self.sessions.pop(client)
                    actor.lost()
            else:
                break
        self.model.written()
        self.board.written()

    def _flush(self) -> None:
        for client in self.board.speaking():
            frames, client.out = client.out, ()
            if client not in self.sessions:
                continue
            session, actor = self.sessions[client]
            decoder = wire.Decoder()
            decoder.widen(wire.FRAME_MAX)
            for frame in decoder.split(b"".join(frames)):
                said = wire.decode(frame, wire.DAEMON)
                self.model.says(session, said)
                if actor.client is client:
                    actor.inbox.append(said)
                    actor.clog()

    def _goodbye(self) -> None:
        for client in self.board.door.gone():
            if client in self.sessions:
                session, actor = self.sessions.pop(client)
                if session.answers and actor.exiting and actor.client is client:
                    raise Disagreement(f"{session.name} left without {session.answers}")
                if actor.client is client:
                    actor.lost()

    # ---- what happens ----

    def step(self) -> None:
        """Everybody does something, the disk changes its mind, and the daemon turns."""
        for actor in self.everybody:
            if actor.client is not None:
                actor.read(self.chance.choice((0, 1, 3, 100)))
            if actor.online and not actor.exiting:
                (act,) = self.chance.choices(ACTS, ERRAND_WEIGHTS if actor.is_errand else WEIGHTS)
                act(actor)
            if self.chance.random() < 0.005 and not actor.is_errand:
                self.take_over(actor)
            elif actor.client is not None and self.chance.random() < 0.01:
                self._hang_up(actor)
        if self.chance.random() < 0.1:
            self.disk.lag = self.chance.choice((0, 0, 1, 3, 10))
        if self.chance.random() < 0.01:
            self.disk.full = self.chance.choice((1, 1, 2, 5, 20))
        if self.chance.random() < 0.02:
            uid = self.chance.choice(list(UIDS.values()))
            self.groups[uid] = {"staff"} - self.groups.get(uid, set())
        if self.chance.random() < 0.004:
            self.kill()
        elif self.chance.random() < 0.02:
            self.upgrade()
        self.turn()

    def _hang_up(self, actor: Actor) -> None:
        client, session = actor.client, actor.session
        assert client is not None and session is not None
        self.board.door.leave(client, "hung up", self.now)
        self.model.leaves(session)
        actor.lost()

    def kill(self) -> None:
        """Or a stop in good order: what is confirmed and not CONFIRMED may come back, or not."""
        if stops := self.chance.random() < 0.3 and not self.disk.full:
            self.disk.lag = 0
            self.mailbox.close()
        self._end()
        self._start()
        for actor in self.everybody:
            actor.lost()
        users = self.mailbox.users
        self.model.restarts({user.name: [
            (mail.id, (users[mail.sender].name, mail.origin))
            for mail in singles(self.mailbox.unread(user, 0, self.mailbox.last, 1 << 32, 1 << 40))]
            for user in users}, [user.name for user in users if not user.last_seen], not stops)

    def upgrade(self) -> None:
        """Another program goes on with all clients, as server/upgrade.py has it: the model must not
        notice, but that the day's rates and remembered audiences begin anew."""
        for _ in range(QUIET_TURNS):
            self.board.publication.hurry()
            self.turn(reads=False)
            if is_quiet(self.board) and not self.mailbox.upkeep.is_working:
                break
        if self.mailbox.refusal or not is_quiet(self.board):
            return                              # the old one serves on
        try:
            self.mailbox.finish()
        except Full:                            # of READs alone, and of who was here last
            return
        clients = [(client, client.caller, client_saved(self.board, client))
                   for client in self.sessions]
        saved = json.loads(json.dumps([chats_saved(self.board), [each for _, _, each in clients]]))
        before = self.sessions
        self._end()
        self._start()
        resumption = Resumption(self.board)
        for (old, caller, _), each in zip(clients, saved[1], strict=True):
            client = resumption.enter(each, caller, self.now.monotonic)
            assert client is not None
            self.sessions[client] = _, actor = before[old]
            client.backlog = old.backlog
            if actor.client is old:
                actor.client = client
        resumption.end(saved[0])
        self.model.count("upgrades")

    # ---- quiet moments ----

    def rest(self) -> None:
        """Nobody does anything; until all is read, written and answered."""
        self.disk.lag = self.disk.full = 0
        self.is_resting = True
        for actor in self.everybody:
            actor.clog()
        for _ in range(QUIET_TURNS):
            self.turn(quiet=True)
            if not (self.board.owes or self.board.delivery.stirred or self.board.slices
                    or self.board.roster.speaking or self.mailbox.refusal
                    or self.board.errands.checks
                    or any(actor.outbox for actor in self.everybody)
                    or self.mailbox.progress.last >= self.mailbox.progress.base):
                break
        else:
            raise Disagreement("it does not come to rest")
        self.is_resting = False
        self.model.is_quiet()
        self._compare(is_quiet=True)

    def check_all(self) -> None:
        """Each connected user checks, while nothing else happens: what it was told comes."""
        asked: list[tuple[Actor, Session]] = []
        for actor in self.actors:
            if actor.online and not actor.checking and not actor.exiting and actor.session:
                actor.read(1 << 30)
                actor.check()
                if self.chance.random() < 0.5:
                    actor.say(wire.ListRooms(actor.request()))
                    asked.append((actor, actor.session))
                else:
                    room_walk.recall(actor)
        before = self.model.rooms.changes
        self.rest()
        for actor, session in asked:
            if actor.session is session and self.model.rooms.changes == before:
                self.model.rooms.is_listed(session)

    def finish(self) -> None:
        """Everybody comes, and reads and confirms all; the errands are over."""
        for errand in self.errands:
            if errand.client is not None:
                self._hang_up(errand)
        self.errands.clear()
        self.rest()
        for _ in range(int(REVIEW_SECONDS * 20)):
            self.turn(quiet=True)
        self.model.rooms.is_reviewed(UIDS)
        for actor in self.actors:
            while actor.client is None or actor.exiting:
                if actor.client is None:
                    self._enter(actor, True)
                self.rest()
        for _ in range(100_000):
            busy = False
            for actor in self.actors:
                actor.read(1 << 30)
                while actor.runs:
                    actor.confirm()
                    busy = True
                if self.model.queues[actor.name] and not actor.checking:
                    actor.check()
                    busy = True
            self.rest()
            if not busy and not any(self.model.queues.values()):
                return
        raise Disagreement("the queues do not become empty")


FRAME = struct.Struct("!I")
ACTS = (Actor.send, Actor.repeat, Actor.check, Actor.hold, Actor.ignore, Actor.confirm,
        Actor.confirm_late, Actor.exit, lambda actor: None, *room_walk.ACTS)
WEIGHTS = (20, 2, 8, 4, 1, 40, 3, 0.3, 20, *room_walk.WEIGHTS)
ERRAND_WEIGHTS = (10, 2, 20, 1, 1, 40, 3, 4, 20, *room_walk.WEIGHTS)


def walk(seed: int, steps: int) -> dict[str, int]:
    """One walk; what it counted.  Raises Disagreement."""
    chance = random.Random(seed)
    window, window_bytes = chance.choice(((3, 500), (8, 900), (30, 3000),
                                          (delivery.WINDOW, delivery.WINDOW_BYTES)))
    many, quota = chance.choice((slices.MANY, 2, 0)), chance.choice((0, 0, 10, 60))
    lines = chance.choice((100, 8, 1))
    with contextlib.ExitStack() as stack:
        for module, name, value in (
                (delivery, "WINDOW", window), (delivery, "WINDOW_BYTES", window_bytes),
                (delivery, "MANY", many), (roster, "MANY", many), (slices, "STEP", 1),
                (looking, "PAST_MOST", 2), (groups, "REVIEW_SECONDS", REVIEW_SECONDS)):
            stack.enter_context(patch.object(module, name, value))
        going = stack.enter_context(Walk(seed, window, window_bytes, quota, lines))
        try:
            for _ in range(steps):
                going.step()
                if chance.random() < 0.03:
                    going.rest()
                    if chance.random() < 0.5:
                        going.check_all()
            going.finish()
        except AssertionError as error:
            raise Disagreement(f"seed {seed}, turn {going.turns}: {error}") from error
        return going.model.counts

"""A life of a store, for the power cuts: everything that can happen to it, and three logs of it.

`Life` does what the daemon does, through the calls that the daemon makes, on a FullDisk that
records.  There are turns with mail to one, to several and to all, reads in any order, and batches
written while others wait for the disk.  Journals roll; segments are sealed, carried over and
dropped.  The disk is full, and has room again.  The process is killed and the power is cut, again
and again, and each time the client sends again what nobody acknowledged.

What the life tries, what the store acknowledges and what it refuses go as notes among the ops of
the disk.  `Ledger` reads them in order and knows at each moment what a store may hold, and what it
must.
"""

from __future__ import annotations

import errno
import gc
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import repeat
from random import Random
from unittest import mock

from mailbox import EVERYONE, Failed, Full, Mail, Mailbox, User
from net.bodies import body_of
from store import reserve, room
from store.disk import WAIT
from store.headings import heading_of, heading_of_names
from store.journal import Journal
from store.journals import Journals
from store.user import NUMBER
from tests.harness.waiting import singles
from tests.store.faulty_disk import FullDisk, Op
from tests.store.platter import Platter, State, content

EVER = 1 << 63
NAMES = [f"user{n}" for n in range(9)]  # a text to so many is shared in a segment

# "name", "mail", "read" or "setting"; whose; which; the value
Thing = tuple[str, str, int, Mail | bytes | None]


def is_repeat(box: Mailbox, sender: User, origin: int) -> bool:
    """Whether the sender's message with this id was put already."""
    return box.known(sender, origin)[0] == origin


class Killed(BaseException):
    """SIGKILL: nobody catches it."""


class MortalDisk(FullDisk):
    """A disk that kills the process after some op.  While `slow`, a sync takes a few turns."""

    def __init__(self, directory: str) -> None:
        super().__init__(directory)
        self.watch(directory)
        self.left = 0  # so many more ops are done; 0: for ever
        self.locked = -1
        self.slow = 0  # how often an fdatasync is asked for before it has ended
        self.begun, self.lag = "", 0

    def begin_datasync(self, key: int, fd: int) -> bool:
        if not self.slow:
            return super().begin_datasync(key, fd)
        assert not self.begun
        self.begun, self.lag = self.files[fd], self.slow
        self._note(Op("sync_begins", self.begun))
        return False

    def datasync_ended(self, wait: bool = False) -> bool:
        if self.lag and not wait:
            self.lag -= 1
            return False
        self._try("datasync")
        ended, self.begun, self.lag = self.begun, "", 0
        self._note(Op("sync_ends", ended))
        return True

    def syncing(self, fd: int) -> Iterator[object]:
        yield from repeat(WAIT, self.slow)
        self.sync(fd)

    def syncing_directory(self, path: str) -> Iterator[object]:
        yield from repeat(WAIT, self.slow)
        self.sync_directory(path)

    def lock(self, path: str) -> int:
        self.locked = super().lock(path)
        return self.locked

    def _note(self, op: Op) -> None:
        super()._note(op)
        if self.left and op.name != "note":
            self.left -= 1
            if not self.left:
                raise Killed


class Ledger:
    """Outside the store: what was tried, what was acknowledged, what was read."""

    def __init__(self) -> None:
        # mails that may be there: tried, not refused, not gone
        self.mails: dict[tuple[str, int], Mail] = {}
        self.acked: set[tuple[str, int]] = set()
        self.reading: set[tuple[str, int]] = set()
        self.names: set[str] = set()
        self.names_acked: set[str] = set()
        # the last that was acknowledged, and those after it
        self.settings: dict[tuple[str, int], list[bytes]] = {}
        self.highest = 0  # of all ids that were ever given, refused or lost ones too
        self.origins: dict[int, bool] = {}  # (all are of user0): was it acknowledged?
        self.vanished: set[int] = set()  # ids of what a start did not find, and does not know

    def take(self, event: tuple[str, Sequence[Thing]]) -> None:
        what, things = event
        for thing in things:
            getattr(self, f"_{what}")(*thing)

    def _tried(self, kind: str, user: str, id: int, value: Mail | bytes | None) -> None:
        if kind == "name":
            self.names.add(user)
        elif kind == "read":
            self.reading.add((user, id))
        elif isinstance(value, Mail):
            self.mails[user, id] = value
            self.highest = max(self.highest, id)
            self.origins.setdefault(value.origin, False)
        elif value is not None:
            self.settings.setdefault((user, id), [b""]).append(value)

    def _acked(self, kind: str, user: str, id: int, value: Mail | bytes | None) -> None:
        if kind == "name":
            self.names_acked.add(user)
        elif kind == "read":
            self._gone(user, id)
        elif isinstance(value, Mail):
            if (user, id) in self.mails:
                self.acked.add((user, id))
            self.origins[value.origin] = True
        elif value is not None:
            values = self.settings[user, id]
            del values[:values.index(value)]

    def _refused(self, kind: str, user: str, id: int, value: Mail | bytes | None) -> None:
        if kind == "name":
            self.names.discard(user)
        elif isinstance(value, Mail):
            self._gone(user, id)
            self.origins.pop(value.origin, None)
        elif value is not None:
            self.settings[user, id].remove(value)

    def _vanished(self, kind: str, user: str, id: int, value: Mail | bytes | None) -> None:
        self.vanished.add(id)

    def _gone(self, user: str, id: int) -> None:
        """This message never comes back."""
        self.mails.pop((user, id), None)
        self.acked.discard((user, id))
        self.reading.discard((user, id))

    def restarted(self, box: Mailbox,
                  waiting: dict[str, list[Mail]]) -> list[tuple[str, Sequence[Thing]]]:
        """The store serves what its start found.

        The sender of such a message, sending it again, is told that it is stored."""
        there: list[Thing] = [("mail", user, mail.id, mail)
                              for user, mails in waiting.items() for mail in mails]
        keys = {(user, id) for _, user, id, _ in there}
        lost: list[Thing] = [("name", name, 0, None)
                             for name in self.names if box.find(name) is None]
        gone: list[Thing] = [("read", user, id, None)
                             for user, id in self.mails if (user, id) not in keys]
        known: list[Thing] = [("mail", "", 0, Mail(0, 0, 0, 0, origin, 0, 0, b""))
                              for origin in self.origins
                              if is_repeat(box, box.users[0], origin)]
        names: list[Thing] = [("name", user.name, 0, None) for user in box.users]
        found = {key: box.users[NAMES.index(key[0])].settings.get(key[1], b"")
                 for key in self.settings}
        never: list[Thing] = [("setting", *key, value)
                              for key, values in self.settings.items() for value in values
                              if value != found[key]]
        kept: list[Thing] = [("setting", *key, value) for key, value in found.items()]
        vanished: list[Thing] = [("mail", *key, mail) for key, mail in self.mails.items()
                                 if key not in keys
                                 and not is_repeat(box, box.users[0], mail.origin)]
        return [("vanished", vanished), ("refused", lost + never),
                ("acked", [*gone, *names, *there, *known, *kept])]

    def must(self) -> set[tuple[str, int]]:
        return self.acked - self.reading


@contextmanager
def small_rooms() -> Iterator[None]:
    """Journals grow, and reserves are made, by a few hundred bytes: a few writes meet the end."""
    with (mock.patch.object(Journals.begin, "__defaults__", (900,)),
          mock.patch("store.budget.ROOM", 700),
          mock.patch.object(vars(Journal)["creating"].__func__, "__defaults__", (900,)),
          mock.patch.object(reserve, "SIZE", 3000), mock.patch.object(reserve, "LOOK", 9000),
          mock.patch("store.shortage.LAST", 1500), mock.patch.object(room, "BASE", 500),
          mock.patch("store.budget.GAIN", 200)):
        yield


class Life:
    """Call `live` within small_rooms."""

    def __init__(self, home: str, backend: str, dice: Random) -> None:
        self.path, self.backend, self.dice = os.path.join(home, "store"), backend, dice
        self.disk = MortalDisk(self.path)
        self.platter, self.ledger, self.read_ops = Platter(), Ledger(), 0
        self.seen: set[str] = set()  # what happened
        self.promised: list[tuple[int, list[Thing]]] = []
        self.batch: dict[int, list[Thing]] = {}  # by id, until it is written
        self.set: list[Thing] = []  # in this batch too
        # by origin, what the client would send again
        self.unanswered: dict[int, tuple[list[str], int, bytes]] = {}
        self.now, self.counter = 0.0, 0
        self.box = self.open()

    @property
    def ops(self) -> list[Op]:
        return self.disk.ops

    def open(self) -> Mailbox:
        return Mailbox(self.path, self.disk, self.backend, seal_at=2500, journals_max=5, small=0)

    def live(self) -> None:
        self.register(NAMES[:3])
        self.turns(4)
        self.register(NAMES[3:])
        self.turns(5)
        self.kill(self.a_turn)
        self.turns(3)
        self.fill(alone=True)
        self.make_room()
        self.turns(2)
        self.fill(alone=False)
        self.kill(self.a_turn)
        self.turns(2)
        self.make_room()
        self.turns(4)
        self.cut()
        self.turns(4)
        self.quiet()
        self.turns(2)
        self.stop(self.dice.randint(1, 8))
        self.turns(2)
        self.quiet()
        self.kill(self.a_turn)
        self.stop(2000)
        self.turns(1)
        for _ in range(3):
            self.kill(self.sealing, self.dice.randint(1, 40))
        self.turns(2)
        self.fail_sync()
        self.cut()
        self.turns(4)
        self.drain(0.9)
        self.seal()
        self.cut()
        self.drain(1.0)
        self.turns(3)
        self.disk.observe()

    # A turn

    def turns(self, count: int) -> None:
        for _ in range(count):
            for _ in range(self.dice.randint(1, 3)):
                self.put()
            if self.dice.random() < 0.8:
                self.read()
            if self.dice.random() < 0.2:
                self.change_setting()
            if self.dice.random() < 0.2:
                self.settle()  # of earlier turns, while this batch is open
            self.write()
            if self.dice.random() < 0.3:
                self.put()
                self.write()
            self.settle()
            if self.dice.random() < 0.2 and self.box.settle():
                self.seen.add("said")
            self.work(self.dice.randint(0, 8))
            self.now += 1

    def promise(self, things: list[Thing]) -> None:
        self.disk.note(("tried", things))
        self.promised.append((self.box.last, things))

    def register(self, names: Sequence[str]) -> None:
        for name in names:
            self.box.register(name, 1000)
            self.promise([("name", name, 0, None)])
        self.write()
        self.settle()

    def put(self, again: int = 0) -> None:
        """Put messages of user0, new ones or one that was not answered."""
        if self.box.refusal is not None:
            return
        users, dice = self.box.users, self.dice
        if again:
            names, flags, text = self.unanswered[again]
            origin, texts = again, [text]
        else:
            origin, flags = 7 << NUMBER | self.counter + 1, 0
            texts = [b"%d " % (self.counter + n) + dice.randbytes(dice.choice([3, 30, 60, 300]))
                     for n in range(1, 1 + dice.choice([1, 1, 2, 5]))]
            self.counter += len(texts)
            if dice.random() < 0.1:
                names, flags = [user.name for user in users[1:]], EVERYONE
            else:
                names = [user.name for user in dice.sample(users, dice.choice([1, 1, 1, 1, 2, 3]))]
        to: list[User] = [user for user in users if user.name in names]
        self.unanswered.update((origin + n, (names, flags, text)) for n, text in enumerate(texts))
        if flags and origin % 3 == 0 and len(to) > 3:
            del to[1]               # it may be a room
        heading = b"" if flags else heading_of_names([user.name for user in to])
        if not flags and origin % 5 == 0:
            heading = heading_of(["#ops"])  # to a room, of which these are the members
        mail = self.box.put_run(users[0], origin, self.counter, to, flags, body_of(texts), False,
                                heading)
        self.batch[mail.id] = [("mail", user.name, single.id, single) for single in singles([mail])
                               for user in to]
        self.promise(self.batch[mail.id])

    def change_setting(self) -> None:
        if self.box.refusal is None:
            user, kind = self.dice.choice(self.box.users[:3]), self.dice.randint(1, 2)
            value = b"%s is %d" % (user.name.encode(), len(self.ops))
            self.box.set(user, kind, value)
            self.set.append(("setting", user.name, kind, value))
            self.promise(self.set[-1:])

    def read(self) -> None:
        user = self.dice.choice([user for user in self.box.users if user.waiting] or self.box.users)
        mails = self.queue(user)
        if not mails:
            return
        first, last = sorted(self.dice.choices(mails, k=2))
        self._read(user, 0 if self.dice.random() < 0.5 else first.id, last.id)

    def queue(self, user: User, after: int = 0, upto: int = EVER) -> list[Mail]:
        """The waiting messages, each by itself.

        They are asked for in one go or a few at a time, which makes no difference."""
        if self.dice.random() < 0.5:
            return singles(self.box.unread(user, after, upto, 1 << 30, 1 << 40))
        found: list[Mail] = []
        while more := self.box.unread(user, after, upto, self.dice.randint(1, 4),
                                      self.dice.choice([1, 70, 1000])):
            found += singles(more)
            after = more[-1].last
        return found

    def _read(self, user: User, first: int, last: int) -> None:
        found = self.queue(user, max(0, first - 1), last)
        self.disk.note(("tried", [("read", user.name, mail.id, None) for mail in found]))
        newly = singles(self.box.read(user, first, last))
        assert newly == found, (newly, found)
        self.promised.append((self.box.last,
                              [("read", user.name, mail.id, None) for mail in newly]))

    def write(self) -> None:
        try:
            self.box.write()
        except Full as full:
            refused = [thing for mail in full.mails for thing in self.batch[mail.id]]
            refused += [("name", user.name, 0, None) for user in full.users] + self.set
            self.promised = [(n, left) for n, things in self.promised
                             if (left := [thing for thing in things if thing not in refused])]
            self.disk.note(("refused", refused))
            self.seen.add("refused")
        self.batch.clear()
        self.set.clear()

    def settle(self) -> None:
        settled = self.box.sync()
        done = [thing for n, things in self.promised if n <= settled for thing in things]
        self.promised = [(n, things) for n, things in self.promised if n > settled]
        for _, _, _, mail in done:
            if isinstance(mail, Mail):
                self.unanswered.pop(mail.origin, None)
        self.disk.note(("acked", done))

    def work(self, steps: int) -> None:
        box = self.box
        for _ in range(steps):
            before = [row.number for row in box._journals.manifest.segments]
            number = box._journals.current.number
            reserve = box._shortage.reserve.is_there()
            more = box.work(0, lambda: self.now)
            self.disk.observe()
            after = [row.number for row in box._journals.manifest.segments]
            self.seen.add("rolled" if box._journals.current.number != number else "")
            self.seen.add("sealed" if set(after) - set(before) else "")
            if set(before) - set(after):
                self.seen.add("carried" if set(after) - set(before) else "dropped")
            self.seen.add("regained" if box._shortage.reserve.is_there() and not reserve else "")
            if not more:
                return

    def seal(self) -> None:
        self.box.upkeep.must_seal, self.box.upkeep.after = True, 0.0
        self.work_it_off()

    def drain(self, share: float) -> None:
        """Read most of what waits, from the front, so that segments are carried over or dropped."""
        for user in self.box.users:
            mails = self.queue(user)[:int(share * user.waiting)]
            if mails:
                self._read(user, 0, mails[-1].id)
        self.write()
        self.work_it_off()

    def work_it_off(self) -> None:
        for _ in range(1000):
            self.settle()
            self.work(50)
            if self.box.upkeep.task is None and not self.promised:
                for user in self.box.users:
                    assert user.waiting == len(self.queue(user)), user
                return
        raise AssertionError("the work never ends")

    def fill(self, alone: bool) -> None:
        """Put mail until it is refused, because there is too little room to seal, or none at all.

        There is none when another program takes all room.  It has then taken what was left, and the
        reserve is there so that the waiting mail can be read."""
        self.disk.space = self.disk.used() + self.dice.randint(0, 20000)
        while self.box.refusing is None:
            if not alone:
                self.disk.space = min(self.disk.space, self.disk.used() + self.dice.randint(0, 500))
            self.turns(1)
        self.seen.add("short" if self.box._shortage.reserve.is_there() else "")
        # a start takes some
        self.disk.space = min(self.disk.space, self.disk.used() + self.dice.randint(2000, 2500))
        for _ in range(3):
            self.read()
            self.write()
            self.settle()
            self.work(1)

    def quiet(self) -> None:
        """Write nothing for a minute, and for long enough since the last time."""
        self.put()
        before = self.box._journals.current.number
        for _ in range(2):
            self.write()
            self.settle()
            self.work(1)
            self.now += 1e6
        self.work_it_off()
        self.seen.add("rested" if self.box._journals.current.number != before else "")

    def stop(self, steps: int) -> None:
        """Stop in good order, with so much time to come to rest."""
        self.put()
        self.write()
        self.box.rest()
        for _ in range(steps):
            self.settle()
            self.work(1)
        self.seen.add("stopped before it rested" if self.box.upkeep.resting else "stopped")
        self.box.close()
        self.disk.observe()
        self.restart()

    def make_room(self) -> None:
        self.disk.space = 1 << 40

    # What ends a process

    def kill(self, what: Callable[[], None], after: int = 1) -> None:
        """SIGKILL after so many ops: what was not synced is still in memory, for now."""
        self.disk.left = after
        try:
            what()
        except Killed:
            self.seen.add("killed")
        self.disk.left = 0
        self.disk.observe()
        self.leave(self.segments())
        self.restart()

    def a_turn(self) -> None:
        """A turn that writes something (and, killed after one op, does not sync it)."""
        self.put()
        for _ in range(100):
            self.read()
        self.write()

    def sealing(self) -> None:
        self.put()
        self.write()
        self.seal()
        self.seal()

    def fail_sync(self) -> None:
        """Make an fdatasync fail; the caller ends the process."""
        self.put()
        self.write()
        self.disk.fail("datasync", errno.EIO)
        try:
            for _ in range(10):
                self.settle()
        except Failed as error:
            assert "fdatasync" in str(error), error
            self.seen.add("failed")
        self.disk.heal()

    def cut(self) -> None:
        """The power: what is left is drawn."""
        if self.box._journals.failed is None:
            self.put()
            self.write()
        self.disk.observe()
        self.follow()
        states = [state for state in self.platter.states(self.dice, 20) if state]
        state = self.dice.choice(states[2:] or states)
        self.leave({})
        for name in os.listdir(self.path):
            os.unlink(os.path.join(self.path, name))
        for name, found in state.items():
            with open(os.path.join(self.path, name), "wb") as file:
                file.write(found.whole())
        self.disk.segments = {name: found.whole()
                              for name, found in state.items() if name.startswith("segment.")}
        self.ops.append(Op("cut", "", event=state))
        self.seen.add("cut")
        self.restart()

    def leave(self, files: State) -> None:
        """Let go of everything without another write; undo what dbm writes when it closes."""
        box = self.box
        if box.upkeep.writer is not None:
            box.upkeep.writer._database.close()
        box._shelf.close()
        self.disk.close(box._journals.current.fd)
        self.disk.close(box._lock)
        for name in self.segments():
            if name not in files:
                os.unlink(os.path.join(self.path, name))
        for name, found in files.items():
            with open(os.path.join(self.path, name), "wb") as file:
                file.write(found.whole())

    def segments(self) -> State:
        """The files of segments as they are."""
        found = {}
        for name in os.listdir(self.path):
            if name.startswith("segment."):
                with open(os.path.join(self.path, name), "rb") as file:
                    found[name] = content(file.read())
        return found

    def follow(self) -> None:
        """Let platter and ledger know what was done."""
        for op in self.ops[self.read_ops:]:
            if op.name == "note":
                self.ledger.take(op.event)  # type: ignore[arg-type]
            elif op.name == "cut":
                self.platter.put(op.event)  # type: ignore[arg-type]
            else:
                self.platter.apply(op)
        self.read_ops = len(self.ops)

    def restart(self) -> None:
        """Start again; every other time the start is killed once before it is done."""
        self.batch.clear()
        self.set.clear()
        self.promised.clear()
        self.disk.begun, self.disk.lag, self.disk.slow = "", 0, self.dice.choice([0, 0, 1, 4])
        self.disk.left = self.dice.choice([0, self.dice.randint(1, 8)])
        self.disk.locked, opened = -1, False
        try:
            self.box, opened = self.open(), True
        except Killed:
            self.seen.add("killed at the start")
        self.disk.left = 0
        if not opened:
            if self.disk.locked >= 0:
                self.disk.close(self.disk.locked)
            with warnings.catch_warnings():  # that dbm.sqlite3 was not closed
                warnings.simplefilter("ignore", ResourceWarning)
                gc.collect()
            self.box = self.open()
        self.follow()
        waiting = {user.name: self.queue(user) for user in self.box.users}
        for event in self.ledger.restarted(self.box, waiting):
            self.disk.note(event)
        for origin in list(self.unanswered):
            if is_repeat(self.box, self.box.users[0], origin):
                del self.unanswered[origin]
            else:
                self.put(again=origin)
        self.write()
        self.settle()

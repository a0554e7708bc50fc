"""Power cuts at every operation of a store's life, in every way: nothing is lost."""

from __future__ import annotations

import hashlib
import itertools
import os
import tempfile
import unittest
from bisect import bisect_left
from collections.abc import Mapping, Set
from random import Random
from typing import NamedTuple
from unittest import mock

from mailbox import Mail, Mailbox
from store.disk import StoreError
from store.user import BY_END, NUMBER
from tests.harness.process import effort
from tests.harness.waiting import singles
from tests.store.lives import EVER, Ledger, Life, small_rooms
from tests.store.platter import Content, MemoryDisk, Platter, State
from tests.store.test_segment import BACKENDS

STATES = effort(20_500, 3_000)
EACH = effort(8, 2)  # drawn at each operation, and as many from the short list
HAPPENED = {"rolled", "sealed", "carried", "dropped", "refused", "short", "regained", "killed",
            "killed at the start", "cut", "failed", "said", "sync_parent", "sync_begins",
            "sync_ends", "rested", "stopped", "stopped before it rested"}
Queues = dict[str, list[Mail]]
Key = frozenset[tuple[str, Content]]  # a state


class Wrong(Exception):
    pass


def demand(right: object, what: str) -> None:
    if not right:
        raise Wrong(what)


class View(NamedTuple):
    """What a start made of a state of the disk."""

    queues: Queues
    names: list[tuple[str, Mapping[int, bytes]]]  # with settings
    known: frozenset[int]  # origins of user0 that would not be taken again
    last: int
    lost: tuple[tuple[int, int], ...]  # ids of which CONFIRMED is never said


class Recoveries:
    """Starts the real code on states of the disk, and looks at what it makes of them."""

    def __init__(self, directory: str) -> None:
        self.path = directory
        self.disk = MemoryDisk(directory)
        self.views: dict[Key, View] = {}  # by what a start left on the disk
        self.dice = itertools.count(1 << 40)

    def urandom(self, count: int) -> bytes:
        """The same bytes in every start from a state, and never ones that were in the state."""
        return hashlib.sha256(b"%d" % next(self.dice)).digest()[:count]

    def open(self) -> Mailbox:
        self.disk.opened.clear()
        return Mailbox(self.path, self.disk, "dbm.dumb")

    def view(self, state: State) -> View:
        self.disk.lay(state)
        self.dice = itertools.count(1 << 40)
        view = self.start()
        left = frozenset([*self.disk.files.items(), *self.disk.real.items()])
        if left not in self.views:
            again = self.start()
            demand(again.last > view.last, "ids: the second start gives some again")
            demand(again._replace(last=view.last, lost=view.lost) == view,
                   "the second start found other things")
            self.work_on(view)
            self.views[left] = view
        demand(self.views[left] == view, "the second start would find other things")
        return self.views[left]

    def start(self) -> View:
        """Start, look, and be killed."""
        box = self.open()
        try:
            origins = box.users[0].origins if box.users else {}
            known = frozenset(instance << NUMBER | n
                              for instance, runs in origins.items() for first, last in runs
                              for n in range(first, last + 1))
            settings = [(user.name, user.settings) for user in box.users]
            return View(queues(box), settings, known, box.last, box.progress.lost)
        finally:
            box._shelf.close()

    def work_on(self, view: View) -> None:
        """Let the store work on: one message more, one read; now and then a seal."""
        wanted, box = {name: list(mails) for name, mails in view.queues.items()}, self.open()
        try:
            demand(not box.notes, f"the third start says {box.notes}")
            if not box.users:
                box.register("somebody", 1)
                wanted["somebody"] = []
            first, last = box.users[0], box.users[-1]
            wanted[last.name].append(box.put(first, 1 << 60, 1, [last], 0, b"and on"))
            box.write()
            box.sync()
            user = next(user for user in box.users if user.waiting)
            box.read(user, 0, wanted[user.name].pop(0).id)
            box.write()
            box.sync()
            if len(self.views) % 16 == 0:
                box.upkeep.must_seal = True
                while box.work(0, lambda: 0.0):
                    pass
                demand(box._shelf.segments, "nothing was sealed")
            demand(queues(box) == wanted, "the mailbox that works on has other mail")
        finally:
            box._shelf.close()
        demand(self.start().queues == wanted, "after working on: other mail")


def queues(box: Mailbox) -> Queues:
    found = {user.name: singles(box.unread(user, 0, EVER, 1 << 30, 1 << 40)) for user in box.users}
    for user in box.users:
        demand(user.waiting == len(found[user.name]),
               f"{user.waiting} waiting, not {len(found[user.name])}")
    return found


def judge(view: View, ledger: Ledger) -> None:
    """The oracle."""
    rows = {(name, mail.id): mail for name, mails in view.queues.items() for mail in mails}
    names, must = {name for name, _ in view.names}, ledger.must()
    demand(names <= ledger.names, "a name that nobody registered")
    demand(names >= ledger.names_acked, "a name is lost")
    demand(must <= rows.keys(), f"lost: {sorted(must - rows.keys())[:3]}")
    other = [row for row in rows.items() if ledger.mails.get(row[0]) != row[1]]
    demand(not other, f"came back, from nowhere, or not as it was put: {other[:3]}")
    demand(len({(name, mail.origin) for (name, _), mail in rows.items()}) == len(rows),
           "a message is there twice")
    for name, mails in view.queues.items():
        demand(all(a.id < b.id for a, b in itertools.pairwise(mails)),
               f"the order of {name}'s mail")
    demand(view.last >= ledger.highest, "ids are given again")
    settings = dict(view.names)
    for (name, kind), values in ledger.settings.items():
        found = settings.get(name, {}).get(kind, b"")
        demand(found in values, f"setting {kind} of {name} is {found!r}, not in {values}")
    judge_origins(view, {mail.origin for mail in rows.values()}, ledger)
    judge_lost(view, rows.keys() | ledger.acked, ledger)


def judge_lost(view: View, there: Set[tuple[str, int]], ledger: Ledger) -> None:
    """What a reader may be told is deleted for good.

    That is what is there, or was; not what was never on the disk, for that may come again."""
    def is_lost(id: int) -> bool:
        place = bisect_left(view.lost, id, key=BY_END)
        return place < len(view.lost) and view.lost[place][0] <= id

    wrong = [key for key in there if key in ledger.mails and is_lost(key[1])]
    demand(not wrong, f"there, and said to be lost: {wrong[:3]}")
    wrong = [key for key, mail in ledger.mails.items()
             if mail.origin not in view.known and not is_lost(key[1])]
    demand(not wrong, f"would come again, and is not known to be lost: {wrong[:3]}")
    demand(all(map(is_lost, ledger.vanished)), "a later start has forgotten what was lost")


def judge_origins(view: View, there: set[int], ledger: Ledger) -> None:
    """The store would not take again what was acknowledged, and would take what is not there."""
    acked = {origin for origin, acked in ledger.origins.items() if acked}
    demand(view.known >= acked | there,
           f"would be taken twice: {sorted((acked | there) - view.known)[:3]}")
    read = {ledger.mails[key].origin for key in ledger.reading if key in ledger.mails}
    unknown = view.known - acked - there - read
    demand(not unknown, f"known, but not there: {sorted(unknown)[:3]}")


class Replay:
    """One life, cut at every operation."""

    def __init__(self, life: Life, directory: str, dice: Random) -> None:
        self.life, self.dice = life, dice
        self.platter, self.ledger, self.recoveries = Platter(), Ledger(), Recoveries(directory)
        self.seen: dict[Key, View] = {}  # states, and what became of them

    def run(self) -> None:
        for place, op in enumerate(self.life.ops):
            if op.name == "note":
                self.ledger.take(op.event)  # type: ignore[arg-type]
                continue
            self.cut(place)
            if op.name == "cut":
                self.platter.put(op.event)  # type: ignore[arg-type]
            else:
                self.platter.apply(op)
        self.cut(len(self.life.ops))

    def cut(self, place: int) -> None:
        """Judge a state.  A known one is judged anew, for more may have been promised since."""
        judged: set[int] = set()
        for state in self.platter.states(self.dice, EACH):
            key = frozenset(state.items())
            try:
                view = self.seen.get(key)
                if view is None:
                    view = self.seen[key] = self.recoveries.view(state)
                if id(view) not in judged:
                    judge(view, self.ledger)
                    judged.add(id(view))
            except (StoreError, Wrong) as error:
                files = {name: (found.size, len(found.data))
                         for name, found in sorted(state.items())}
                last = [op[:3] for op in self.life.ops[max(0, place - 12):place]
                        if op.name != "note"]
                raise AssertionError(f"{self.life.backend}, cut before op {place}, after {last}: "
                                     f"{error}; the disk had {files}") from error


class TestPower(unittest.TestCase):
    def test_cut_at_every_operation(self) -> None:
        """Lives with one backend after the other, until there were so many states."""
        counts, happened = dict.fromkeys(BACKENDS, 0), set()
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        with small_rooms(), tempfile.TemporaryDirectory(dir=memory) as home:
            for seed, backend in enumerate(itertools.cycle(BACKENDS)):
                if sum(counts.values()) >= STATES and all(counts.values()):
                    break
                path = os.path.join(home, str(seed))
                os.makedirs(os.path.join(path, "cut", "store"))
                life = Life(path, backend, Random(seed))
                life.live()
                happened |= life.seen | {op.name for op in life.ops}
                replay = Replay(life, os.path.join(path, "cut", "store"), Random(seed))
                with mock.patch("os.urandom", replay.recoveries.urandom):
                    replay.run()
                counts[backend] += len(replay.seen)
        print("states after a power cut:",
              ", ".join(f"{n} with {backend}" for backend, n in counts.items()))
        self.assertGreaterEqual(sum(counts.values()), STATES)
        self.assertLessEqual(HAPPENED, happened)


if __name__ == "__main__":
    unittest.main()

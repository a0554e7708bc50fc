"""Power cuts: at every operation of a store's life, in every way in which a disk may be left, nothing is lost."""

from __future__ import annotations

import hashlib
import itertools
import os
import tempfile
import unittest
from random import Random
from unittest import mock

from disk import StoreError
from mailbox import Mail, Mailbox
from tests.lives import EVER, Ledger, Life, small_rooms
from tests.platter import Content, MemoryDisk, Platter, State
from tests.test_segment import BACKENDS
from user import NUMBER

STATES = 20_500
EACH = 14  # drawn at each operation, and as many from the short list
HAPPENED = {"rolled", "sealed", "carried", "dropped", "refused", "regained", "killed", "killed at the start", "cut",
            "failed", "sync_parent", "sync_begins", "sync_ends"}
Queues = dict[str, list[Mail]]


class Wrong(Exception):
    pass


def demand(right: object, what: str) -> None:
    if not right:
        raise Wrong(what)


class Recoveries:
    """Starts the real code on states, and looks at what it makes of them."""

    def __init__(self, directory: str) -> None:
        self.path = directory
        self.disk = MemoryDisk(directory)
        self.results: set[frozenset[tuple[str, Content]]] = set()
        self.dice = itertools.count(1 << 40)

    def urandom(self, count: int) -> bytes:
        """The same in every start from a state, and never what was in the state."""
        return hashlib.sha256(b"%d" % next(self.dice)).digest()[:count]

    def open(self) -> Mailbox:
        return Mailbox(self.path, self.disk, "dbm.dumb")

    def queues(self, box: Mailbox) -> Queues:
        found = {user.name: box.unread(user, 0, EVER, 1 << 30, 1 << 40) for user in box.users}
        for user in box.users:
            demand(user.waiting == len(found[user.name]), f"{user.waiting} waiting, not {len(found[user.name])}")
        return found

    def check(self, state: State, ledger: Ledger, must: set[tuple[str, int]]) -> None:
        self.disk.lay(state)
        self.dice = itertools.count(1 << 40)
        box = self.open()
        try:
            queues = self.queues(box)
            judge(box, queues, ledger, must)
            names, last = [(user.name, user.settings) for user in box.users], box.last
        finally:
            box._shelf.close()
        result = frozenset([*self.disk.files.items(), *self.disk.real.items()])
        if result not in self.results:
            self.results.add(result)
            self.again(names, queues, last)

    def again(self, names: list[tuple[str, object]], queues: Queues, last: int) -> None:
        """A second start finds the same, and the store works on."""
        self.disk.opened.clear()
        box = self.open()
        try:
            demand([(user.name, user.settings) for user in box.users] == names, "names, settings: the second start found others")
            demand(self.queues(box) == queues, "mail: the second start found other")
            demand(box.last > last, "ids: the second start gives some again")
            demand(not box.notes, f"the second start says {box.notes}")
            if not box.users:
                box.register("somebody", 1)
                queues["somebody"] = []
            mail = box.put(box.users[0], 1 << 60, 1, [box.users[-1]], 0, b"and on")
            box.write()
            box.sync()
            queues[box.users[-1].name].append(mail)
            oldest = next(mails for mails in queues.values() if mails)
            name = next(name for name, mails in queues.items() if mails is oldest)
            box.read(box.users[[user.name for user in box.users].index(name)], 0, oldest.pop(0).id)
            box.write()
            box.sync()
            if len(self.results) % 16 == 0:
                box._must_seal = True
                while box.work(0, lambda: 0.0):
                    pass
                demand(box._shelf.segments, "nothing was sealed")
            demand(self.queues(box) == queues, "the mailbox that works on has other mail")
        finally:
            box._shelf.close()
        self.disk.opened.clear()
        box = self.open()
        demand(self.queues(box) == queues, "after working on: other mail")
        box._shelf.close()


def judge(box: Mailbox, queues: Queues, ledger: Ledger, must: set[tuple[str, int]]) -> None:
    """The oracle."""
    rows = {(name, mail.id): mail for name, mails in queues.items() for mail in mails}
    names = {user.name for user in box.users}
    demand(names <= ledger.names, "a name that nobody registered")
    demand(names >= ledger.names_acked, "a name is lost")
    demand(must <= rows.keys(), f"lost: {sorted(must - rows.keys())[:3]}")
    other = [row for row in rows.items() if ledger.mails.get(row[0]) != row[1]]
    demand(not other, f"came back, from nowhere, or not as it was put: {other[:3]}")
    demand(len({(name, mail.origin) for (name, _), mail in rows.items()}) == len(rows), "a message is there twice")
    for name, mails in queues.items():
        demand(all(a.id < b.id for a, b in itertools.pairwise(mails)), f"the order of {name}'s mail")
    demand(box.last >= ledger.highest, "ids are given again")
    for (name, kind), values in ledger.settings.items():
        user = box.find(name)
        found = user.settings.get(kind, b"") if user else b""
        demand(found in values, f"setting {kind} of {name} is {found!r}, not in {values}")
    judge_origins(box, {mail.origin for mail in rows.values()}, ledger)


def judge_origins(box: Mailbox, there: set[int], ledger: Ledger) -> None:
    """What was acknowledged would not be taken again, and what is not there would be."""
    origins = box.users[0].origins if box.users else {}
    known = {instance << NUMBER | n for instance, runs in origins.items() for first, last in runs
             for n in range(first, last + 1)}
    acked = {origin for origin, acked in ledger.origins.items() if acked}
    demand(known >= acked | there, f"would be taken twice: {sorted((acked | there) - known)[:3]}")
    read = {ledger.mails[key].origin for key in ledger.reading if key in ledger.mails}
    demand(known <= acked | there | read, f"known, but not there: {sorted(known - acked - there - read)[:3]}")


class TestPower(unittest.TestCase):
    def test_cut_at_every_operation(self) -> None:
        counts: dict[str, int] = {}
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        with small_rooms(), tempfile.TemporaryDirectory(dir=memory) as home:
            for n, backend in enumerate(BACKENDS):
                wanted = (STATES - sum(counts.values())) // (len(BACKENDS) - n)
                counts[backend] = self.cut_everywhere(os.path.join(home, backend), backend, wanted)
        print("states after a power cut:", ", ".join(f"{n} with {backend}" for backend, n in counts.items()))
        self.assertGreaterEqual(sum(counts.values()), 20_000)

    def cut_everywhere(self, home: str, backend: str, wanted: int) -> int:
        """Lives, until there are so many states; how many different ones they were."""
        seed, states, happened = 0, 0, set()
        while states < wanted:
            os.makedirs(os.path.join(home, str(seed), "cut", "store"))
            life = Life(os.path.join(home, str(seed)), backend, Random(seed))
            life.live()
            happened |= life.seen | {op.name for op in life.ops}
            states += self.replay(life, os.path.join(home, str(seed), "cut", "store"), Random(seed))
            seed += 1
        self.assertLessEqual(HAPPENED, happened)
        return states

    def replay(self, life: Life, directory: str, dice: Random) -> int:
        platter, ledger, recoveries = Platter(), Ledger(), Recoveries(directory)
        seen: set[frozenset[tuple[str, Content]]] = set()
        for place, op in enumerate(life.ops):
            if op.name == "note":
                ledger.take(op.event)  # type: ignore[arg-type]
                continue
            with mock.patch("os.urandom", recoveries.urandom):
                self.cut_here(place, life, platter, ledger, recoveries, seen, dice)
            if op.name == "cut":
                platter.put(op.event)  # type: ignore[arg-type]
            else:
                platter.apply(op)
        return len(seen)

    def cut_here(self, place: int, life: Life, platter: Platter, ledger: Ledger, recoveries: Recoveries,
                 seen: set[frozenset[tuple[str, Content]]], dice: Random) -> None:
        must = ledger.must()
        for state in platter.states(dice, EACH):
            key = frozenset(state.items())
            if key in seen:
                continue
            seen.add(key)
            try:
                recoveries.check(state, ledger, must)
            except (StoreError, Wrong) as error:
                files = {name: (found.size, len(found.data)) for name, found in sorted(state.items())}
                last = [op[:3] for op in life.ops[max(0, place - 12):place] if op.name != "note"]
                self.fail(f"{life.backend}, cut before op {place}, after {last}: {error}; the disk had {files}")


if __name__ == "__main__":
    unittest.main()

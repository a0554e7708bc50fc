"""Salvage against the truth: a store of known content, every byte of it changed, cut, zeroed or
mixed.

Whatever is done to the store, salvage brings out everything but what stood in the batch or value
that was hit.  It names the file.  The exit code is 65 when anything is missing, and 0 when nothing
is.  The exception is what cannot be known: a last batch that is zeroed as a whole looks like one
that was never written.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import unittest
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, NamedTuple

from mailbox import EVERYONE, Mailbox
from store import manifest as manifests
from store import salvage
from store.backends import BEST_FIRST
from store.disk import CannotCreate, Disk
from store.journal import HEADER_SIZE, file_name
from store.library import Library
from store.segment import base_name
from tests.harness.waiting import singles
from tests.store.lives import small_rooms
from tests.store.test_segment import BACKENDS

NAMES = ("ann", "bob", "cy", "dan", "eve", "fay", "gus", "hal", "ivy")
# the backends whose files have bytes that are known: not dbm.ndbm
CARVED = tuple(name for name in BEST_FIRST if name in BACKENDS)
Files = dict[str, bytes]
Truth = set[tuple[str, bytes]]      # reader and text
# Every so many of the bytes of a file are changed; all of them: `make torture`.
STEPS = {"manifest": 1, "journal.": 67, "segment.": 401}
SECTOR = 512


class Quick(Disk):
    """A disk that syncs nothing.

    The libraries are in a process of their own, as in the daemon: some crash over a file."""

    def __init__(self) -> None:
        super().__init__()
        self.library = Library()

    def database(self, backend: str, path: str, flag: str) -> Any:
        broken = flag == "r" and not path.endswith("into/" + base_name(1))
        return self.library.open(backend, path,
                                 flag) if broken else super().database(backend, path, flag)

    def sync(self, fd: int) -> None:
        pass

    datasync = sync

    def sync_directory(self, path: str) -> None:
        pass

    def is_private(self, path: str) -> bool:
        return True


class Unit(NamedTuple):
    """A batch or a value: where it stands, and the texts that are lost with it."""

    file: str
    first: int
    end: int
    texts: frozenset[bytes]


class SalvageCase(unittest.TestCase):
    def setUp(self) -> None:
        where = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.home = self.enterContext(tempfile.TemporaryDirectory(dir=where))
        self.disk = Quick()
        self.addCleanup(self.disk.library.end)

    def make(self, backend: str, place: str = "store") -> None:
        """A segment with values of each kind, a journal of before a start, and a closed journal."""
        self.store = f"{self.home}/{place}-{backend}"
        self.units: list[Unit] = []
        self.said: set[bytes] = set()
        self.ids: dict[bytes, bytes] = {}       # of a text, as a page has it
        with small_rooms():
            box = self.open(backend)
            for name in NAMES:
                box.register(name, 1)
            self.say(box, "sealed")
            box.upkeep.must_seal = True
            while box.work(9):
                pass
            self.say(box, "old")
            self.let_go(box)
            box = self.open(backend)
            self.say(box, "new")
            self.truth = self.queues(box)
            box.close()
        self.files = {name: self.content(name) for name in os.listdir(self.store)
                      if not name.endswith(("-shm", "-wal"))}
        self.listed = manifests.decode(self.files["manifest"], "")
        self.find_values(backend)
        self.assertEqual(self.salvaged(self.files), (self.truth, set(), 0, []))

    def open(self, backend: str) -> Mailbox:
        return Mailbox(self.store, self.disk, backend, small=0)

    def let_go(self, box: Mailbox) -> None:
        """Close everything as a kill does."""
        box._shelf.close()
        box._journals.current.close()
        self.disk.close(box._lock)

    def say(self, box: Mailbox, where: str) -> None:
        for n in range(4):
            number, first = box._journals.current.number, box._journals.current.offset
            texts = {b"%s %d to one" % (where.encode(), n), b"%s %d to all" % (where.encode(), n)}
            box.put(box.users[n], 7 << 32 | box.last, n, [box.users[8 - n]], 0,
                    min(texts, key=len).ljust(60, b"."))
            box.put(box.users[3], 0, n, [user for user in box.users if user.number != 3], EVERYONE,
                    max(texts, key=lambda text: text[-3:]).ljust(90, b","))
            put = {text for mail, _ in box._batch.puts for text in mail.texts}
            self.ids.update((text, mail.id.to_bytes(8, "big"))
                            for mail, _ in box._batch.puts for text in mail.texts)
            box.write()
            box.sync(wait=True)
            self.said |= put
            if where != "sealed":
                self.units.append(Unit(file_name(number), first, box._journals.current.offset,
                                       frozenset(put)))

    def find_values(self, backend: str) -> None:
        database = self.disk.database(backend, f"{self.store}/{base_name(1)}", "r")
        values = {key: database[key] for key in database.keys()}        # noqa: SIM118
        database.close()
        for key, value in values.items():
            texts = frozenset(text for text in self.said
                              if text in value
                              or (key.startswith(b"mail") and self.ids[text] in value))
            for name, data in self.files.items():
                at = data.find(value)
                if name.startswith("segment.") and at >= 0:
                    at -= len(key) if data[:at].endswith(key) else 0
                    self.units.append(Unit(name, at, at + len(key) + len(value), texts))

    def content(self, name: str) -> bytes:
        with open(f"{self.store}/{name}", "rb") as file:
            return file.read()

    @staticmethod
    def queues(box: Mailbox) -> Truth:
        names = {f"lost-{number}": name for number, name in enumerate(NAMES)}
        return {(names.get(user.name, user.name), text) for user in box.users
                for mail in singles(box.unread(user, 0, box.last, 1 << 30, 1 << 30))
                for text in mail.texts}

    def salvaged(self, files: Files) -> tuple[Truth, set[str], int, list[str]]:
        """What was brought out, the names that were lost, the exit code, and the other lines."""
        broken, into = f"{self.home}/broken", f"{self.home}/into"
        for path in broken, into:
            shutil.rmtree(path, ignore_errors=True)
        os.mkdir(broken, 0o700)
        for name, data in files.items():
            with open(f"{broken}/{name}", "wb") as file:
                file.write(data)
        lines: list[str] = []
        code = 0
        try:
            lines.extend(salvage.salvage(broken, into, self.disk, "dbm.dumb"))
        except salvage.Incomplete as error:
            code = error.code
        except CannotCreate as error:
            return set(), set(NAMES), error.code, [str(error)]
        lines = [line for line in lines if " copied, in " not in line]
        box = Mailbox(into, self.disk, "dbm.dumb")
        found = self.queues(box), set(NAMES) - {user.name for user in box.users}, code, lines
        self.let_go(box)
        return found

    def judge(self, files: Files, hit: Callable[[Unit], bool], named: str, where: str) -> int:
        """Everything is there but what stood in what was hit.  The exit code."""
        found, names, code, lines = self.salvaged(files)
        gone = {text for unit in self.units if hit(unit) for text in unit.texts}
        missing = self.truth - found
        self.assertLessEqual({text for _, text in missing}, gone, f"{where}: {lines}")
        self.assertLessEqual(found, self.truth, where)
        if missing or names:
            self.assertEqual(code, os.EX_DATAERR, f"{where}: {missing} {names} {lines}")
        if code:
            self.assertTrue(any(named in line for line in lines), f"{where}: {lines}")
        return code


class EveryFlip(SalvageCase):
    def test_every_byte(self) -> None:
        for backend in CARVED:
            with self.subTest(backend=backend):
                self.make(backend)
                self.flip_all(Random(5))

    def flip_all(self, dice: Random) -> None:
        codes: dict[str, set[int]] = {}
        for name, data in self.files.items():
            if name in ("lock", "reserve", "reserve.seal", "journal.spare", "secret"):
                continue
            step = STEPS[name[:8]]
            for place in range(dice.randrange(step), len(data), step):
                # nearly all of the bytes that nothing was written to
                if not data[place] and place % 97:
                    continue
                changed = bytearray(data)
                changed[place] ^= dice.choice((1, 2, 16, 128, dice.randint(1, 255)))
                code = self.judge({**self.files, name: bytes(changed)},
                                  self.hit(name, place, place + 1), name[:16],
                                  f"{name}, byte {place} was {data[place]:#x}, is "
                                  f"{changed[place]:#x}")
                codes.setdefault(name[:8], set()).add(code)
        self.assertEqual(codes, {"manifest": {0}, "journal.": {0, 65}, "segment.": {0, 65}})

    def hit(self, name: str, first: int, end: int) -> Callable[[Unit], bool]:
        """Units of this file that overlap these bytes; of SQLite's file, with values in pieces, a
        whole page."""
        if self.listed.segments[0].backend == "dbm.sqlite3" and name.startswith("segment."):
            return lambda unit: unit.file == name or unit.file not in self.files
        return lambda unit: unit.file == name and unit.first < end and first < unit.end


class WholeFiles(SalvageCase):
    """Whole files cut, zeroed, gone or swapped, and two damages at once."""

    def setUp(self) -> None:
        super().setUp()
        self.backend = CARVED[0] if CARVED[0] != "dbm.sqlite3" else CARVED[1]
        self.make(self.backend)

    def data_files(self) -> Iterator[str]:
        yield from (name for name in self.files if name.startswith(("journal.0", "segment.")))

    def test_a_file_that_is_gone(self) -> None:
        for name in self.data_files():
            files = {other: data for other, data in self.files.items() if other != name}
            code = self.judge(files, lambda unit, name=name: unit.file == name, name[:16],
                              f"{name} is gone")
            lost = any(unit.file == name and unit.texts for unit in self.units)
            self.assertEqual(code, 65 if lost else code)
        code = self.judge({name: data for name, data in self.files.items() if name != "manifest"},
                          lambda unit: False, "manifest", "no manifest")
        self.assertEqual(code, 0)

    def test_a_file_that_was_cut(self) -> None:
        for name in self.data_files():
            units = [unit for unit in self.units if unit.file == name]
            for unit in units:
                cut = (unit.first + unit.end) // 2
                code = self.judge({**self.files, name: self.files[name][:cut]},
                                  lambda unit, name=name, cut=cut:
                                  unit.file == name and unit.end > cut,
                                  name[:16], f"{name} cut at {cut}")
                if any(other.texts for other in units if other.end > cut):
                    self.assertEqual(code, 65, f"{name} cut at {cut}")

    def test_sectors_of_zeros(self) -> None:
        for name in self.data_files():
            data = self.files[name]
            for at in range(0, len(data), SECTOR):
                if not any(data[at:at + SECTOR]):
                    continue
                files = {**self.files, name: data[:at] + bytes(SECTOR) + data[at + SECTOR:]}
                self.judge(files, lambda unit, name=name, at=at:
                           unit.file == name and unit.first < at + SECTOR and at < unit.end,
                           name[:16], f"{name}, zeros at {at}")

    def test_files_that_changed_places(self) -> None:
        first, second = sorted(name for name in self.files if name.startswith("journal.0"))
        code = self.judge({**self.files, first: self.files[second], second: self.files[first]},
                          lambda unit: False, first, "two journals swapped")
        self.assertEqual(code, 0)
        code = self.judge({**self.files, first: self.files[second]},
                          lambda unit: unit.file == first, first, "one journal twice")
        self.assertEqual(code, 65)

    def test_a_journal_of_another_store(self) -> None:
        first, _ = sorted(name for name in self.files if name.startswith("journal.0"))
        ours, units, truth, said = self.files, self.units, self.truth, self.said
        self.make(self.backend, "other")
        theirs = self.files[first]
        self.files, self.units, self.truth, self.said = ours, units, truth, said
        code = self.judge({**ours, first: theirs}, lambda unit: unit.file == first, first,
                          "a journal of another store")
        self.assertEqual(code, 65)

    def test_two_damages_at_once(self) -> None:
        """The manifest and another file; two of the other files."""
        dice = Random(9)
        places = [(name, place) for name in [*self.data_files(), "manifest"]
                  for place in dice.sample(range(min(len(self.files[name]), 8000)), 12)]
        places += [(name, place) for name in self.data_files() if name.startswith("journal.")
                   for place in (3, 12, 30, HEADER_SIZE - 1)]
        places += [("manifest",
                    self.files["manifest"].find(self.listed.store.hex().encode()) + 5)] * 6
        for _ in range(250):
            (one, at), (other, there) = dice.sample(places, 2)
            files = dict(self.files)
            for name, place in (one, at), (other, there):
                changed = bytearray(files[name])
                changed[place] ^= dice.randint(1, 255)
                files[name] = bytes(changed)
            self.judge(files, lambda unit, hits=((one, at), (other, there)):
                       any(unit.file == name and unit.first <= place < unit.end
                           for name, place in hits), "",
                       f"{one} {at}, {other} {there}")

    def test_the_store_s_number_is_not_needed(self) -> None:
        """Neither the manifest nor a header has it any more: the segment's values tell it."""
        files = dict(self.files)
        for name in [name for name in files if name.startswith("journal.0")]:
            files[name] = b"\0" * 20 + files[name][20:]
        place = files["manifest"].find(self.listed.store.hex().encode())
        digit = files["manifest"][place] ^ 1
        files["manifest"] = (files["manifest"][:place] + bytes([digit])
                             + files["manifest"][place + 1:])
        found, names, code, lines = self.salvaged(files)
        self.assertEqual((found, names, code), (self.truth, set(), 0), lines)

    def test_where_there_is_no_store(self) -> None:
        self.assertEqual(self.salvaged({"lock": b""})[2], os.EX_CANTCREAT)


if __name__ == "__main__":
    unittest.main()

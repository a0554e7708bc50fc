"""Damage: what is not as it was written is found out or has no effect, and is never served.

What is whole is brought out.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from random import Random
from unittest import mock

from mailbox import EVERYONE, Mailbox
from store import backends, salvage, segment
from store import manifest as manifests
from store.check import _counted, check
from store.disk import Damaged, StoreError
from store.journal import file_name
from store.recovery import Recovery
from tests.harness.process import effort
from tests.harness.waiting import texts
from tests.store.faulty_disk import RecordingDisk
from tests.store.lives import is_repeat, small_rooms
from tests.store.platter import MemoryDisk, State, content
from tests.store.test_mailbox import EVER
from tests.store.test_recovery import Queues, RecoveryCase, queues
from tests.store.test_segment import BACKENDS
from tests.store.test_syncer import SlowDisk

LAST = 16 << 10  # bytes of a journal that are cut off one after the other
CUT_STEP = effort(1, 17)  # bytes from one cut to the next
# bytes from one that is changed to the next, in all files but the manifest
FLIP_STEP = effort(1, 17)


def said(lines: Iterator[str]) -> list[str]:
    """What salvage prints; the last line is an error if anything may be missing."""
    found: list[str] = []
    try:
        found.extend(lines)
    except salvage.Incomplete as error:
        found.append(str(error))
    return found


class DamageCase(RecoveryCase):
    def files(self) -> State:
        """The store's files, with their bytes."""
        found = {}
        for name in os.listdir(self.path):
            if not name.endswith(("-wal", "-shm")):
                with open(os.path.join(self.path, name), "rb") as file:
                    found[name] = content(file.read())
        return found

    def memory(self) -> MemoryDisk:
        path = tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK)
                                           else None)
        self.addCleanup(path.cleanup)
        return MemoryDisk(path.name)

    @staticmethod
    def look(disk: MemoryDisk) -> tuple[object, list[str]]:
        """What a start would find, and what it prints; this changes nothing."""
        manifest = manifests.load(disk, disk.directory)
        assert manifest
        found = Recovery(disk, disk.directory, manifest, repair=False)
        try:
            users = [(user.name, user.first_seen, user.last_seen, user.origins, user.settings)
                     for user in found.users]
            return (users, queues(found.users, found.shelf), found.last), found.notes
        finally:
            found.shelf.close()


class TestCuts(DamageCase):
    def long(self) -> tuple[Mailbox, list[int]]:
        """A journal of many synced batches, one message in each; and where each of them ends."""
        box, dice = self.open(), Random(5)
        ann, = self.names(box, "ann")
        ends = [box._journals.current.offset]
        while box._journals.current.offset < LAST + 2000:
            box.put(ann, 7 << 32 | len(ends), len(ends), [ann], 0,
                    dice.randbytes(dice.randint(1, 600)))
            self.keep(box)
            ends.append(box._journals.current.offset)
        return box, ends

    def test_the_last_journal_at_each_of_its_last_bytes(self) -> None:
        """Everything before the cut is there.

        A batch that was cut in two is reported, and nothing of it is served."""
        box, ends = self.long()
        whole = self.texts(box, box.users[0])
        self.let_go(box)
        disk, files, name = self.memory(), self.files(), file_name(1)
        for cut in range(ends[-1] - LAST // CUT_STEP * CUT_STEP, ends[-1] + 1, CUT_STEP):
            kept = sum(end <= cut for end in ends) - 1
            disk.lay(files | {name: files[name].cut(cut)})
            (_, found, _), notes = self.look(disk)  # type: ignore[misc]
            self.assertEqual(texts(found["ann"]), whole[:kept])
            self.assertEqual([f"offset {ends[kept]}" in note for note in notes],
                             [True] * (cut - ends[kept] >= 8))
        self.assertEqual(kept, len(whole))

    def test_an_earlier_journal_at_each_of_its_last_bytes(self) -> None:
        box, ends = self.long()
        box = self.reopen(box)
        self.let_go(box)
        disk, files, name = self.memory(), self.files(), file_name(1)
        self.assertEqual(files[name].size, ends[-1])
        for cut in range(ends[-1] - LAST, ends[-1], CUT_STEP):
            disk.lay(files | {name: files[name].cut(cut)})
            with self.assertRaises(Damaged) as caught:
                self.look(disk)
            self.assertEqual((os.path.basename(caught.exception.file), caught.exception.offset),
                             (name, cut))


class TestFlips(DamageCase):
    def test_every_byte_of_a_store(self) -> None:
        for backend in BACKENDS:
            self.path, self.disk = os.path.join(self.home.name, backend), RecordingDisk()
            with small_rooms():
                box = self.small(backend)
                box.close()
                box.__dict__["gone"] = True
            with warnings.catch_warnings():  # dbm.sqlite3 does not close what it fails to open
                warnings.simplefilter("ignore", ResourceWarning)
                self.flip_all(backend)

    def small(self, backend: str) -> Mailbox:
        """A segment, a journal of before a start, and one that was closed; something of everything
        in each."""
        box = self.open(backend=backend, small=0)
        users = self.names(box, *(f"u{n}" for n in range(9)))
        for n in range(3):
            for k in range(2):
                box.put(users[k], 7 << 32 | n * 2 + k + 1, n, [users[8 - k]], 0,
                        b"text %d of %d" % (k, n))
            box.put(users[3], 0, 1, [user for user in users if user is not users[3]], EVERYONE,
                    b"to all %d" % n)
            box.set(users[n], 1, b"setting %d" % n)
            box.seen(users[n], 10**6)
            mails = box.unread(users[8], 0, EVER, 99, 9999)
            box.read(users[8], mails[-1].id, mails[-1].id)
            self.keep(box)
            if n == 0:
                self.seal(box)
            elif n == 1:
                box = self.reopen(box, backend=backend, small=0)
                users = box.users
        return box

    def test_every_byte_of_every_acknowledged_batch(self) -> None:
        """Many batches were written while one sync was under way, and nothing after them.

        A moment later all of them are safe."""
        box = self.open(disk=SlowDisk(), small=0)
        ann = box.register("ann", 1)
        ends = [box._journals.current.offset]
        for n in range(40):
            box.put(ann, 7 << 32 | n + 1, n, [ann], 0, b"message %d" % n)
            box.write()
            box.sync()
            ends.append(box._journals.current.offset)
        self.assertFalse(box.settle())                  # not while the disk has the word
        while box.sync() < box.last:
            box.disk.done = True  # type: ignore[attr-defined]
        self.assertTrue(box.settle())
        box.sync(wait=True)
        size, wanted = box._journals.current.offset, self.texts(box, ann)
        self.assertTrue(box.settle())                   # and there is no more to be said
        box.sync(wait=True)
        self.assertEqual(box._journals.current.offset, size)
        self.let_go(box)
        disk, files, name = self.memory(), self.files(), file_name(1)
        data = files[name].whole()
        for place in range(ends[0], size):
            changed = bytearray(data)
            changed[place] ^= 0x10
            self.lay(disk, files, name, bytes(changed))
            if place < ends[-1]:
                with self.assertRaises(Damaged) as caught:
                    self.look(disk)
                self.assertEqual(caught.exception.offset, max(end for end in ends if end <= place))
            else:
                (_, found, _), _ = self.look(disk)  # type: ignore[misc]
                self.assertEqual(texts(found["ann"]), wanted)

    def flip_all(self, backend: str) -> None:
        disk, files, dice = self.memory(), self.files(), Random(11)
        disk.lay(files)
        wanted, _ = self.look(disk)
        found: dict[str, list[int]] = {}  # by kind of file: bytes, detected
        for name, whole in files.items():
            if name in ("lock", "reserve", "reserve.seal", "journal.spare"):
                continue
            data, row = whole.whole(), found.setdefault(name[:7], [0, 0])
            step = 1 if name == "manifest" else FLIP_STEP
            for place in range(dice.randrange(step), len(data), step):
                changed = bytearray(data)
                changed[place] ^= dice.randint(1, 255)
                self.lay(disk, files, name, bytes(changed))
                row[0] += 1
                row[1] += self.is_found_out(disk, name, wanted, f"{backend}: {name}, byte {place}")
        self.assertEqual(found["manifes"], [files["manifest"].size] * 2)
        self.assertEqual({name: row[1] > effort(50, 20) for name, row in found.items()},
                         dict.fromkeys(found, True))
        self.assertEqual(set(found), {"manifes", "journal", "segment"})

    @staticmethod
    def lay(disk: MemoryDisk, files: State, name: str, data: bytes) -> None:
        disk.lay(files | {name: content(data)})

    def is_found_out(self, disk: MemoryDisk, name: str, wanted: object, where: str) -> bool:
        try:
            found, _ = self.look(disk)
        except Damaged as error:
            self.assertIn(name[:16], error.file, where)
            self.assertIn("offset", str(error), where)
            return True
        self.assertEqual(found, wanted, where)
        return False


class TestSalvage(DamageCase):
    def lines(self, directory: str, into: str) -> str:
        return "\n".join(said(salvage.salvage(directory, into, RecordingDisk(), "dbm.dumb")))

    def test_check_reads_everything_and_changes_nothing(self) -> None:
        for backend in BACKENDS:
            self.path = os.path.join(self.home.name, backend)
            box = self.lively(backend)
            waiting = sum(user.waiting for user in box.users)
            self.assertRaises(StoreError, list, check(self.path, RecordingDisk()))
            box.close()
            before = {name: os.path.getsize(os.path.join(self.path, name))
                      for name in os.listdir(self.path)}
            report = list(check(self.path, RecordingDisk()))
            self.assertIn(f"3 names, {waiting} messages waiting", report[-1])
            after = {name: os.path.getsize(os.path.join(self.path, name)) for name in before}
            self.assertEqual(before, after)
        self.assertRaises(StoreError, list, check(os.path.join(self.home.name, "nothing")))

    def test_check_counts_rooms_apart(self) -> None:
        """As parleyd status does: the lines of a room wait for nobody."""
        users = [mock.Mock(waiting=2), mock.Mock(waiting=3), mock.Mock(waiting=0)]
        for user, name in zip(users, ("ann", "#ops", "bob"), strict=True):
            user.name = name
        self.assertEqual(_counted(users), "2 names, 2 messages waiting, 1 room with 3 lines")

    def test_all_of_a_good_store(self) -> None:
        for backend in BACKENDS:
            self.path = os.path.join(self.home.name, backend)
            box = self.lively(backend)
            wanted, last = self.queues(box), box.last
            box.close()
            self.lines(self.path, self.path + "-new")
            again = Mailbox(self.path + "-new", disk=RecordingDisk())
            self.assertEqual(self.queues(again), wanted)
            self.assertGreater(again.last, last)
            self.assertTrue(is_repeat(again, again.users[0], 5 << 32 | 25))
            self.let_go(again)

    def test_every_batch_but_the_damaged_one(self) -> None:
        """Of two journals, and their headers too.

        A message that was read in the damaged batch comes back, unless a later one says it
        again."""
        box = self.open()
        ann, bob = self.names(box, "ann", "bob")
        # number, offset: put, read
        batches: dict[tuple[int, int], tuple[set[bytes], set[bytes]]] = {}
        gone: set[bytes] = set()
        for n in range(8):
            at = box._journals.current.number, box._journals.current.offset
            said = {b"%d/%d" % (n, k) * 9 for k in range(3)}
            for text in said:
                box.put(ann, 0, n, [bob], 0, text)
            read = box.read(bob, 0, bob.tail[2].id) if n in (3, 6) else []
            self.keep(box)
            batches[at] = said, set(texts(read)) if n == 6 else set()
            gone |= set(texts(read))
            if n == 4:
                box = self.reopen(box)
                ann, bob = box.users
        self.let_go(box)
        everything = set().union(*(put for put, _ in batches.values()))
        for number, offset in [(1, 20), (2, 20), *batches]:
            put, back = batches.get((number, offset), (set(), set()))
            path = os.path.join(self.copy(), file_name(number))
            self.flip(path, offset + 25)  # 20 is the header: its mark
            found = self.salvaged(os.path.dirname(path))
            self.assertEqual(set(texts(found["bob"])), everything - put - (gone - back),
                             (number, offset))

    def test_every_value_but_the_damaged_one(self) -> None:
        for backend in BACKENDS:
            with mock.patch("store.writer.ROOM", 500):  # many small values
                self.path, self.disk = os.path.join(self.home.name, backend), RecordingDisk()
                box = self.open(backend=backend)
                users = self.names(box, *(f"u{n}" for n in range(9)))
                for n in range(12):
                    box.put(users[0], 0, n, [users[n % 2]], 0, b"text %d " % n * 12)
                    box.put(users[0], 0, n, users, 0, b"to all %d " % n * 5)
                self.keep(box)
                wanted = self.queues(box)
                self.seal(box)
                number, listed = next((s.number, s.listed) for s in box._shelf.segments.values())
                box.close()
            values = self.values(backend, number)
            self.assertEqual({key.split()[0] for key in values},
                             {b"head", b"index", b"users", b"mail", b"shared"})
            for key, value in values.items():
                path = self.damage(listed.files, value)
                with self.subTest(backend=backend, key=key):
                    self.check_all_but(key, value, wanted, self.salvaged(path))

    def values(self, backend: str, number: int) -> dict[bytes, bytes]:
        database = backends.module(backend).open(os.path.join(self.path, segment.base_name(number)),
                                                 "r")
        try:
            return {bytes(key): bytes(database[key]) for key in database.keys()}  # noqa: SIM118
        finally:
            database.close()

    def damage(self, files: dict[str, int], value: bytes) -> str:
        """A copy of the store in which this value has a wrong byte."""
        path = self.copy()
        for name in files:
            with open(os.path.join(path, name), "rb") as file:
                at = file.read().find(value)
            if at >= 0:
                self.flip(os.path.join(path, name), at + len(value) // 2)
                return path
        raise AssertionError("the value is in none of its files")

    def check_all_but(self, key: bytes, value: bytes, wanted: Queues, found: Queues) -> None:
        kind = key.split()[0]
        if kind == b"users":
            self.assertEqual(sum(name.startswith("lost-") for name in found) > 0, True)
            self.assertEqual(sorted(found.values()), sorted(wanted.values()))
        elif kind in (b"head", b"index"):
            self.assertEqual(found, wanted)
        else:
            gone = [mail
                    for name, mails in wanted.items() for mail in mails if mail not in found[name]]
            self.assertTrue(gone)
            if kind == b"shared":  # the texts in it, and no other
                self.assertEqual({mail.body for mail in gone},
                                 {mail.body for mails in wanted.values() for mail in mails
                                  if mail.recipients == 9 and mail.body in value})
            else:
                self.assertLess(len(gone), 12)
                self.assertTrue(all(mail.body in value or mail.recipients == 9 for mail in gone))
            self.assertTrue(all(mail in wanted[name]
                                for name, mails in found.items() for mail in mails))

    def test_whatever_is_damaged_nothing_is_invented(self) -> None:
        """A byte here and there in each file.

        Salvage never fails, and brings out only what was put, under its name."""
        for backend in BACKENDS:
            self.path, self.disk = os.path.join(self.home.name, backend), RecordingDisk()
            box = self.lively(backend)
            known = self.queues(box)
            put = {text for mails in known.values()
                   for text in texts(mails)} | {b"%d/%d" % (n, k) for n in range(3)
                                                for k in range(6)}
            box.close()
            box.__dict__["gone"] = True
            dice = Random(3)
            for name in os.listdir(self.path):
                if not name.startswith(("journal.0", "segment.",
                                        "manifest")) or name.endswith(("-wal", "-shm")):
                    continue
                with open(os.path.join(self.path, name), "rb") as file:
                    length = len(file.read().rstrip(b"\0"))
                for place in sorted(dice.sample(range(length), min(length, effort(40, 15)))):
                    path = os.path.join(self.copy(), name)
                    self.flip(path, place)
                    with self.subTest(backend=backend, name=name, place=place):
                        found = self.salvaged(os.path.dirname(path))
                        self.assertLessEqual({text for mails in found.values()
                                              for text in texts(mails)}, put)
                        if name == "manifest":
                            self.assertEqual(found, known)

    @staticmethod
    def flip(path: str, place: int) -> None:
        with open(path, "r+b") as file:
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes([byte ^ 0x41]))

    def salvaged(self, directory: str) -> Queues:
        into = os.path.join(self.home.name, "salvaged")
        shutil.rmtree(into, ignore_errors=True)
        self.assertIn("copied", self.lines(directory, into))
        box = Mailbox(into, disk=RecordingDisk(), backend="dbm.dumb")
        try:
            return self.queues(box)
        finally:
            self.let_go(box)

    def test_what_another_version_wrote_is_left_out(self) -> None:
        """Its layouts are not these, so salvage reads nothing in it.

        And nobody is told to salvage it."""
        box = self.open(backend="dbm.dumb")
        ann, bob = self.names(box, "ann", "bob")
        box.put(ann, 0, 1, [bob], 0, b"sealed")
        self.keep(box)
        self.seal(box)
        box.put(ann, 0, 1, [bob], 0, b"in the journal")
        self.keep(box)
        self.let_go(box)
        for what, known, now in (("segment.VERSIONS", (4,), 3), ("journal.VERSION", 3, 2)):
            with mock.patch(f"store.{what}", known):
                with self.assertRaises(Damaged) as caught:
                    Mailbox(self.path)
                self.assertNotIn("--salvage", str(caught.exception))
                copied = salvage.salvage(self.path, f"{self.path}-{what}", backend="dbm.dumb")
                lines = "\n".join(said(copied))
            self.assertIn(f"version {now} is not one that this program reads", lines)
            self.assertIn("1 waiting messages copied", lines)

    def test_into_a_place_that_is_not_empty(self) -> None:
        box = self.lively("dbm.dumb")
        box.close()
        self.assertRaises(StoreError, self.lines, self.path, self.home.name)
        os.mkdir(os.path.join(self.home.name, "full"), 0o700)
        open(os.path.join(self.home.name, "full", "x"), "w").close()
        self.assertRaises(StoreError, self.lines, self.path, os.path.join(self.home.name, "full"))



"""Segments: what was written comes back, from every backend, and a changed byte is never served."""

import os
import struct
import sys
import tempfile
import types
import unittest
from collections.abc import Sequence
from unittest import mock
from zlib import crc32

from net.bodies import ONE, body_of
from store.backends import BEST_FIRST, LARGEST, choose, module
from store.disk import Damaged, Disk, Failed, NoBackend, StoreError
from store.mail import SHARED_AT, Mail
from store.segment import (
    ENTRY,
    ENTRY_MAX,
    PAGE,
    ROOM,
    VERSION,
    Segment,
    base_name,
    files_of,
)
from store.shelf import OPEN_SEGMENTS, Shelf
from store.writer import Writer
from tests.harness.waiting import singles
from tests.store.faulty_disk import RecordingDisk


def backends() -> list[str]:
    """Those that this Python has, and that keep what they are given."""
    found = []
    for name in ("dbm.sqlite3", "dbm.gnu", "dbm.ndbm", "dbm.dumb"):
        try:
            found.append(choose(name))
        except StoreError:
            continue
    return found


STORE = bytes(range(16))
TEXT_MAX = ENTRY_MAX - ONE.size
BACKENDS = backends()


def mail(id: int, text: bytes = b"text", count: int = 1) -> Mail:
    return Mail(id, id, id ^ 7, 3, id & 0xFFFF << 32, 1, count, body_of([text]))


class SegmentCase(unittest.TestCase):
    def setUp(self) -> None:
        self.home = tempfile.TemporaryDirectory()
        self.addCleanup(self.home.cleanup)
        self.disk: Disk = Disk()

    def write(self, backend: str, mails: dict[int, list[Mail]], users: Sequence[bytes] = (),
              number: int = 1) -> Writer:
        writer = Writer(self.disk, self.home.name, STORE, number, backend)
        for user, run in mails.items():
            for _ in writer.add(user, run):
                pass
        for part in users:
            for _ in writer.record(part):
                pass
        for _ in writer.finish():
            pass
        return writer

    def segment(self, writer: Writer) -> Segment:
        found = Segment(self.disk, self.home.name, STORE, writer.listed)
        found.open()
        self.addCleanup(found.close)
        return found

    def mails(self, writer: Writer) -> dict[int, list[Mail]]:
        shelf = Shelf()
        found: dict[int, list[Mail]] = {}
        shelf.add(self.segment(writer))
        for user, page in shelf.segments[writer.number].index():
            found.setdefault(user, []).extend(shelf.mails(page))
        return found


class TestBackends(SegmentCase):
    def test_mail_comes_back(self) -> None:
        wanted = {0: [mail(1)], 1: [mail(n, os.urandom(n)) for n in range(2, 700)],
                  4000000000: [mail(2**64 - 1)],
                  7: [mail(5, bytes(TEXT_MAX)), mail(6, bytes(TEXT_MAX - 1)), mail(7, b"")]}
        for backend in BACKENDS:
            with self.subTest(backend=backend):
                writer = self.write(backend, wanted, [b"record" * n for n in range(1, 300)])
                self.assertEqual(self.mails(writer), wanted)
                found = self.segment(writer)
                self.assertEqual(b"".join(found.values("users")),
                                 b"".join(b"record" * n for n in range(1, 300)))
                self.assertEqual((found.messages, found.bytes), (writer.messages, writer.bytes))
                for kind in found.counts:
                    self.assertTrue(all(len(body) <= ROOM for body in found.values(kind)))
                self.assertEqual({page.segment for _, page in found.index()}, {1})
                for name in files_of(self.disk, self.home.name, 1):
                    self.assertEqual(os.stat(os.path.join(self.home.name, name)).st_mode & 0o777,
                                     0o600)

    def test_an_empty_segment(self) -> None:
        for backend in BACKENDS:
            self.assertEqual(self.mails(self.write(backend, {})), {})

    def test_pages_end_where_a_value_is_full(self) -> None:
        fits = (ROOM - PAGE.size) // (ENTRY.size + ONE.size + 100)
        for count, pages in ((fits - 1, 1), (fits, 1), (fits + 1, 2), (2 * fits, 2),
                             (2 * fits + 1, 3)):
            writer = self.write("dbm.dumb", {1: [mail(n + 1, bytes(100)) for n in range(count)]})
            self.assertEqual([page.messages for page in writer.pages[1]][:-1], [fits] * (pages - 1))
            self.assertEqual(len(self.mails(writer)[1]), count)

    def test_a_text_to_many_is_stored_once(self) -> None:
        for count, once in ((SHARED_AT - 1, False), (SHARED_AT, True), (SHARED_AT + 1, True)):
            text = os.urandom(10000)
            wanted = {user: [mail(9, text, count), mail(10, b"own")] for user in range(count)}
            writer = self.write("dbm.dumb", wanted)
            self.assertEqual(self.mails(writer), wanted)
            self.assertEqual(writer.bytes < 2 * len(text), once)

    def test_parts_of_a_run_to_many(self) -> None:
        """Who has read a part of it waits for another body than the others do."""
        run = Mail(7, 10, 1, 3, 1 << 32 | 5, 0, SHARED_AT,
                   body_of([b"a" * 500, b"b", b"", b"d" * 900]))
        wanted = {user: [run.part(first, last), mail(11, b"own")]
                  for user, (first, last) in enumerate([(7, 10), (7, 8), (8, 10), (7, 10), (9, 9)])}
        self.assertEqual(wanted[1][0].texts, [b"a" * 500, b"b"])
        self.assertEqual(wanted[2][0].origin, run.origin + 1)
        for backend in BACKENDS:
            writer = self.write(backend, wanted)
            self.assertEqual({user: singles(mails) for user, mails in self.mails(writer).items()},
                             {user: singles(mails) for user, mails in wanted.items()})
            self.assertEqual([page.messages for pages in writer.pages.values() for page in pages],
                             [5, 3, 4, 5, 2])
            self.assertLess(writer.bytes, 2 * run.amount[1] + 1600)

    def test_a_backend_that_changes_a_value_is_found_out(self) -> None:
        class Store(dict[bytes, bytes]):
            def close(self) -> None:
                self[b"mail 1"] = b"\0" + self[b"mail 1"][1:]

        store = Store()
        with mock.patch.object(self.disk, "database", lambda *_: store), self.assertRaises(OSError):
            self.write("fake", {1: [mail(1)]})

    def test_a_backend_that_loses_a_key_is_found_out(self) -> None:
        class Store(dict[bytes, bytes]):
            def close(self) -> None:
                self.pop(b"mail 1", None)

        store = Store()
        with mock.patch.object(self.disk, "database", lambda *_: store), self.assertRaises(OSError):
            self.write("fake", {1: [mail(1)]})

    def test_every_file_and_the_directory_are_synced_once_it_is_closed(self) -> None:
        for backend in BACKENDS:
            disk = self.disk = RecordingDisk()
            writer = self.write(backend, {1: [mail(1)]})
            names = [op.file for op in disk.ops if op.name == "sync"]
            self.assertEqual(sorted(set(names)), sorted(writer.listed.files))
            self.assertEqual(disk.ops[-1].name, "sync_directory")

    def test_a_large_one_is_synced_while_it_grows(self) -> None:
        disk = self.disk = RecordingDisk()
        self.write("dbm.dumb", {1: [mail(n, bytes(30000)) for n in range(1, 150)]})
        self.assertGreaterEqual(len([op for op in disk.ops if op.name == "sync"]), 10)

    def test_a_failed_fsync_is_final(self) -> None:
        disk = self.disk = RecordingDisk()
        disk.fail("sync_held", 5)
        with self.assertRaises(Failed):
            self.write("dbm.dumb", {1: [mail(1)]})

    def test_abandoned_it_leaves_nothing(self) -> None:
        for backend in BACKENDS:
            writer = Writer(self.disk, self.home.name, STORE, 1, backend)
            for _ in writer.add(1, [mail(n, bytes(5000)) for n in range(1, 50)]):
                pass
            writer.abandon()
            self.assertEqual(os.listdir(self.home.name), [])


class TestChoice(unittest.TestCase):
    def test_the_best_is_chosen(self) -> None:
        self.assertEqual(choose(), next(name for name in BEST_FIRST if name in BACKENDS))
        self.assertEqual(choose("dbm.dumb"), "dbm.dumb")

    def test_a_missing_one_says_what_to_install(self) -> None:
        with mock.patch.dict(sys.modules,
                             {"dbm.gnu": None}), self.assertRaises(NoBackend) as caught:
            module("dbm.gnu")
        self.assertEqual(caught.exception.code, 69)
        self.assertEqual(str(caught.exception),
                         "this store needs Python's dbm.gnu: install python3-gdbm, "
                         "or run the Python that wrote it")
        with mock.patch.dict(sys.modules, {"dbm.sqlite3": None, "dbm.gnu": None}):
            self.assertEqual(choose(), "dbm.dumb")

    def test_ndbm_is_probed_and_never_taken_on_macos(self) -> None:
        class Store(dict[bytes, bytes]):
            def close(self) -> None:
                pass

        good, lossy = Store(), Store()
        lossy.__class__ = type("Lossy", (Store,),
                               {"__setitem__": lambda s, k, v: dict.__setitem__(s, k, v[:1024])})
        for store, platform, taken in ((good, "linux", True), (good, "darwin", False),
                                       (lossy, "linux", False)):
            fake = types.SimpleNamespace(open=lambda path, flag, mode=0, store=store: store)
            store.clear()
            with mock.patch.dict(sys.modules,
                                 {"dbm.ndbm": fake}), mock.patch.object(sys, "platform", platform):
                if taken:
                    self.assertEqual(choose("dbm.ndbm"), "dbm.ndbm")
                else:
                    self.assertRaises(NoBackend, choose, "dbm.ndbm")


class TestDamage(SegmentCase):
    def test_every_byte_flipped(self) -> None:
        """Detected, or without effect: of all the pages read, none is other than what was
        written."""
        wanted = {1: [mail(1, b"first text"), mail(2, b"shared text", 8)],
                  2: [mail(2, b"shared text", 8)]}
        for backend in BACKENDS:
            writer = self.write(backend, wanted, [b"records"])
            detected = 0
            for name in writer.listed.files:
                path = os.path.join(self.home.name, name)
                with open(path, "rb") as file:
                    data = file.read()
                step = 1 if len(data) < 4096 else 3
                for place in [n for n in range(len(data)) if data[n] or n % 64 < step]:
                    with open(path, "r+b") as file:
                        file.seek(place)
                        file.write(bytes([data[place] ^ 0x5A]))
                    with self.subTest(backend=backend, file=name, place=place):
                        detected += self.harmless_or_detected(writer, wanted)
                    with open(path, "r+b") as file:
                        file.seek(place)
                        file.write(data[place:place + 1])
            self.assertGreater(detected, 150)

    def harmless_or_detected(self, writer: Writer, wanted: dict[int, list[Mail]]) -> bool:
        found = Segment(self.disk, self.home.name, STORE, writer.listed)
        shelf = Shelf()
        shelf.add(found)
        try:
            found.open()
            mails: dict[int, list[Mail]] = {}
            for user, page in found.index():
                mails.setdefault(user, []).extend(shelf.mails(page))
            self.assertEqual((mails, list(found.values("users"))), (wanted, [b"records"]))
        except Damaged as error:
            self.assertIn(base_name(1), error.file)
            return True
        finally:
            found.close()
        return False

    def test_values_do_not_fit_other_keys_segments_or_stores(self) -> None:
        writer = self.write("dbm.dumb", {1: [mail(1)]})
        other = Segment(self.disk, self.home.name, bytes(16), writer.listed)
        self.addCleanup(other.close)
        self.assertRaises(Damaged, other.open)

    def test_a_missing_or_resized_file(self) -> None:
        for backend in BACKENDS:
            writer = self.write(backend, {1: [mail(1)]})
            path = os.path.join(self.home.name, next(iter(writer.listed.files)))
            with open(path, "ab") as file:
                file.write(b"\0")
            self.assertRaises(Damaged, self.segment, writer)
            os.unlink(path)
            with self.assertRaises(Damaged) as caught:
                self.segment(writer)
            self.assertIn("missing", str(caught.exception))

    def test_an_index_that_points_nowhere(self) -> None:
        writer = self.write("dbm.dumb", {1: [mail(1)]})
        shelf = Shelf()
        shelf.add(self.segment(writer))
        page = writer.pages[1][0]
        for field, value in (("block", 2), ("offset", 1 << 20), ("entries", 2), ("messages", 2)):
            before = getattr(page, field)
            setattr(page, field, value)
            self.assertRaises(Damaged, shelf.mails, page)
            setattr(page, field, before)

    def test_the_head_of_a_later_version(self) -> None:
        writer = self.write("dbm.dumb", {})
        database = module("dbm.dumb").open(os.path.join(self.home.name, base_name(1)), "w")
        body = struct.pack("!H", VERSION + 1) + database[b"head"][6:]
        database[b"head"] = struct.pack("!I", crc32(body, crc32(b"%s 1 head" % STORE, 1))) + body
        database.close()
        with self.assertRaises(Damaged) as caught:
            self.segment(writer)
        self.assertIn("version", str(caught.exception))


class TestShelf(SegmentCase):
    def test_what_another_process_wrote_is_read_from_the_disk_and_once(self) -> None:
        writer = self.write("dbm.dumb", {1: [mail(1)]})
        paths = [os.path.join(self.home.name, name) for name in writer.listed.files]
        for is_on_disk, first in ((True, []), (False, paths)):
            found = Segment(self.disk, self.home.name, STORE, writer.listed, is_on_disk=is_on_disk)
            for wanted in first, []:
                with mock.patch.object(self.disk, "forget") as forget:
                    found.open()
                    found.close()
                self.assertEqual([call.args[0] for call in forget.call_args_list], wanted)

    def test_few_files_are_open_and_few_pages_held(self) -> None:
        shelf, pages = Shelf(), []
        for number in range(1, OPEN_SEGMENTS + 4):
            writer = self.write("dbm.dumb", {1: [mail(number)], 2: [mail(number)]}, number=number)
            shelf.add(Segment(self.disk, self.home.name, STORE, writer.listed))
            pages += [page for run in writer.pages.values() for page in run]
        for _ in range(2):
            self.assertEqual([shelf.mails(page)[0].id for page in pages],
                             [page.first for page in pages])
            self.assertLessEqual(sum(s.is_open() for s in shelf.segments.values()), OPEN_SEGMENTS)
        with mock.patch("store.shelf.CACHED_PAGES", 2), mock.patch("store.shelf.CACHED_VALUES", 2):
            self.assertEqual([shelf.mails(page)[0].id for page in pages],
                             [page.first for page in pages])
        shelf.remove(1)
        self.assertRaises(KeyError, shelf.mails, pages[0])
        shelf.close()
        self.assertFalse(any(s.is_open() for s in shelf.segments.values()))
        self.assertEqual(LARGEST, 65536)


if __name__ == "__main__":
    unittest.main()

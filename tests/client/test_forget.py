"""Forgetting: what is old goes, what copies are known by stays, and no moment of it loses mail."""
import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from client import archive, forget, history, letters
from client.archive import Archive
from client.forget import Forgotten
from client.history import Chat, Sent, Shown
from tests.client.linked import STORE
from tests.client.test_archive import hostile, record
from wire import Mail

FILE = f"alice.{STORE.hex()}.txt"
BEFORE = record(50).time            # of 100 messages the first half is older
STATES = 40


class Killed(BaseException):
    """What a SIGKILL leaves behind: nothing more is done."""


class Base(unittest.TestCase):
    def setUp(self) -> None:
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.directory = Path(place.name)
        self.every = [record(n, hostile(n) or "x") for n in range(100)]

    def opened(self) -> Archive:
        found = Archive(self.directory, fsync=lambda fd: None)
        self.addCleanup(found.close)
        found.open(STORE, "alice")
        return found

    def filled(self) -> Archive:
        """A hundred messages, each with one of the user's own and a line of a chat."""
        found = self.opened()
        for each in self.every:
            found.keep([each])
            found.note([Sent(each.time, each.id, 0, ("bob",), "stored", "", "secret"),
                        Shown(each.time, each.id, each.id, ("bob",)),
                        Chat(each.time, ("bob",), "bob", "whispered")])
        return found

    def forget(self) -> Forgotten:
        return forget.forget(str(self.directory), FILE, BEFORE)

    def path(self) -> Path:
        return self.directory / FILE


class Forgetting(Base):
    def test_what_goes_and_what_stays(self) -> None:
        self.filled().close()
        self.assertEqual(self.forget(), Forgotten(50, 50, 50))
        self.assertEqual(list(archive.read(self.path())), self.every[50:])
        told = self.opened().last(999)
        self.assertEqual(len(told), 150)
        self.assertTrue(all(each.time >= BEFORE for each in told))
        left = self.path().read_bytes().split(b"\n")
        self.assertEqual(left[0], history.VERSION.strip())
        self.assertEqual(sum(line.startswith(b"forgotten") for line in left), 50)
        self.assertEqual(sum(b"secret" in line for line in left), 50)
        self.assertEqual(os.stat(self.path()).st_mode & 0o777, 0o600)
        self.assertEqual(self.forget(), Forgotten())

    def test_a_copy_of_what_was_forgotten_is_known_and_another_text_is_not(self) -> None:
        self.filled().close()
        self.forget()
        for _ in range(2):
            found = self.opened()
            for each in self.every:
                self.assertTrue(found.has(each))
                self.assertFalse(found.has(each._replace(text=each.text + "!")))
                self.assertFalse(found.has(each._replace(sender="carol")))
            (self.directory / archive.index_of(FILE)).unlink(missing_ok=True)

    def test_what_the_daemon_may_still_send_is_confirmed_again(self) -> None:
        found = self.filled()
        numbers = {key: number for key, number in found.unconfirmed.items() if number}
        self.assertEqual(len(numbers), 99)
        found.close()
        self.forget()
        self.assertEqual(self.opened().unconfirmed, numbers)

    def test_marks_stay_where_they_mean_something(self) -> None:
        found = self.opened()
        for each in self.every:
            found.keep([each])
            found.settle([(each.sender, each.origin)])
            found._mark()
        found.close()
        self.forget()
        self.assertEqual(self.opened().unconfirmed, {})

    def test_damaged_lines_go_with_their_neighbours(self) -> None:
        self.filled().close()
        lines = self.path().read_bytes().split(b"\n")
        at = next(n for n, line in enumerate(lines) if line.startswith(letters.stamp(
            BEFORE).encode()))
        lines[at:at] = [b"\xff damaged and old"]
        lines[-1:] = [b"damaged and new", b"torn"]
        self.path().write_bytes(b"\n".join(lines))
        self.forget()
        left = self.path().read_bytes()
        self.assertEqual((b"old" in left, b"and new\n" in left, b"torn" in left),
                         (False, True, False))

    def test_beside_a_running_client(self) -> None:
        """It goes on in the new file, also if it was waiting for the lock."""
        running = self.filled()
        self.forget()
        running.note([Chat(BEFORE, ("bob",), "bob", "after")])
        running.keep([record(200)])
        self.assertEqual([r.id for r in archive.read(self.path())], [*range(50, 100), 200])
        self.assertTrue(running.has(record(200)) and running.has(self.every[3]))
        locked = archive.locked

        def late(fd: int) -> object:
            with mock.patch("client.archive.locked", locked):
                forget.forget(str(self.directory), FILE, record(90).time)
            return locked(fd)

        with mock.patch("client.archive.locked", side_effect=[late, None]) as patched:
            patched.side_effect = lambda fd: late(fd) if patched.call_count == 1 else locked(fd)
            running.keep([record(201)])
        self.assertEqual([r.id for r in archive.read(self.path())], [*range(90, 100), 200, 201])

    def test_what_is_appended_meanwhile_is_copied(self) -> None:
        running = self.filled()
        sync, added = forget.sync, [record(300)]

        def busy(fd: int) -> None:
            if added:
                running.keep([added.pop()])
            sync(fd)

        with mock.patch("client.forget.sync", busy):
            self.forget()
        self.assertEqual([r.id for r in archive.read(self.path())], [*range(50, 100), 300])

    def test_killed_or_out_of_room_at_any_call(self) -> None:
        """The old file or the new one, whole; the next call ends it."""
        self.filled().close()
        old = self.path().read_bytes()
        for error in (Killed(), OSError(28, "No space left on device")):
            for call in ("os.write", "client.forget.sync", "os.rename", "client.forget.sync_name"):
                self.path().write_bytes(old)
                with mock.patch(call, side_effect=error), self.assertRaises(type(error)):
                    self.forget()
                (self.directory / f"{FILE}.4999999").write_bytes(b"left by a kill")
                self.assertTrue(all(map(self.opened().has, self.every)), call)
                self.assertIn(len(list(archive.read(self.path()))), (50, 100))
                self.forget()
                self.assertEqual(list(archive.read(self.path())), self.every[50:])
                names = sorted(path.name for path in self.directory.iterdir())
                self.assertLessEqual(set(names), {FILE, archive.index_of(FILE)}, call)

    def test_it_is_synced_before_it_has_the_name(self) -> None:
        self.filled().close()
        done: list[str] = []
        rename = os.rename
        with mock.patch("client.forget.sync", side_effect=lambda fd: done.append("sync")), \
                mock.patch("os.rename", side_effect=lambda *a, **k: (done.append("rename"),
                                                                     rename(*a, **k))):
            self.forget()
        self.assertEqual([each for each in done if each == "sync" or "rename" in done][:3],
                         ["sync", "sync", "rename"])
        self.assertEqual(done.count("sync"), 3, "twice the file, once the directory")

    def test_the_check_tells_other_texts(self) -> None:
        """Few pass for the same, and nothing more is kept of a text."""
        kept = Mail(1, 1, 1, 0, 1, "bob", "the text")
        gone = history.gone(kept)
        same = sum(gone.is_of(kept._replace(text=str(n))) for n in range(100_000))
        self.assertLess(same, 20)
        self.assertTrue(gone.is_of(kept))


if __name__ == "__main__":
    unittest.main()

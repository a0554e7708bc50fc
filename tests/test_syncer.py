"""The sync in the background: what may leave while it is under way, what may not, and the child that makes it."""

import errno
import os
import signal
import socket
import tempfile
import unittest
from collections.abc import Iterator
from unittest import mock

import manifest as manifests
import wire
from disk import WAIT, Disk
from mailbox import ID_JUMP, UNSYNCED_MAX, Failed, Mailbox
from syncer import ALL, BackgroundDisk
from tests.service import Service
from tests.terminals import until
from tests.waiting import texts


class SlowDisk(Disk):
    """Begins a sync, and ends it when the test says so."""

    def __init__(self) -> None:
        self.under_way = 0
        self.done = False
        self.begun: list[int] = []
        self.waited = 0

    def begin_datasync(self, key: int, fd: int) -> bool:
        assert not self.under_way, "one at a time"
        self.under_way, self.done = fd, False
        self.begun.append(key)
        return False

    def datasync_ended(self, wait: bool = False) -> bool:
        assert self.under_way, "none was begun"
        if not self.done and not wait:
            return False
        self.waited += not self.done
        self.datasync(self.under_way)
        self.under_way = 0
        return True


def slow(service: Service) -> SlowDisk:
    """From now on its syncs end when the test says so."""
    disk = SlowDisk()
    service.mailbox.disk = service.mailbox._journal.disk = disk
    return disk


class Store(unittest.TestCase):
    def setUp(self) -> None:
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.disk = SlowDisk()
        self.path = home.name + "/store"
        self.box = Mailbox(self.path, self.disk, small=0)
        self.ann = self.box.register("ann", 1)
        self.box.write()
        self.box.sync(wait=True)
        self.closed = False
        self.addCleanup(self.close)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.box.close()

    def put(self) -> int:
        return self.box.put(self.ann, 0, 1, [self.ann], 0, b"x").id

    def write(self) -> int:
        """One message, written; its id."""
        number = self.put()
        self.box.write()
        return number

    def end(self) -> int:
        """The sync that is under way ends, and the next begins if there is one."""
        self.box.sync()
        self.disk.done = True
        return self.box.sync()

    def test_nothing_is_settled_while_the_sync_is_under_way(self) -> None:
        first = self.write()
        self.assertLess(self.box.sync(), first)
        second = self.write()
        self.assertLess(self.box.sync(), first)
        self.assertEqual(self.end(), first)             # and the next has begun, for what came meanwhile
        self.assertTrue(self.disk.under_way)
        self.assertLess(self.box.sync(), second)
        self.assertEqual(self.end(), second)
        self.assertFalse(self.disk.under_way)

    def test_a_disk_that_falls_too_far_behind_is_waited_for(self) -> None:
        self.write()
        self.box.sync()
        for _ in range(UNSYNCED_MAX):
            self.put()
        self.box.write()
        self.assertEqual(self.box.sync(), self.box.last)
        self.assertGreater(self.disk.waited, 0)

    def test_the_journal_is_rolled_between_two_syncs(self) -> None:
        """And nothing written to it is forgotten meanwhile."""
        self.write()
        self.box.sync()
        self.box.upkeep.must_seal = True
        self.assertFalse(self.box.work(9))              # the disk alone can help
        self.write()
        self.end()                                      # and the next is begun
        self.assertFalse(self.box.work(9))
        later = self.write()
        self.assertLess(self.end(), later)              # now no other is begun
        self.assertFalse(self.disk.under_way)
        self.work()
        self.assertGreaterEqual(self.box.sync(), later)     # finishing the old journal has synced it all
        self.assertGreater(self.put(), ID_JUMP)     # what the new one begins with was not reached
        self.assertEqual(sum(page.left for page in self.ann.pages), 3)

    def test_a_segment_is_listed_when_what_it_tells_of_is_on_disk(self) -> None:
        self.write()
        self.end()
        self.box.upkeep.must_seal = True
        until(lambda: self.box.work(0) and self.box.upkeep.seal)
        origin = 1 << 32 | 7
        self.box.put(self.ann, origin, 1, [self.ann], 0, b"x")      # the segment will know that it was put
        self.box.write()
        self.box.sync()
        for _ in range(10_000):
            if not self.box.work(0):
                break
        self.assertEqual(self.box._manifest.segments, ())
        self.end()
        self.work()
        self.assertEqual(len(self.box._manifest.segments), 1)

    def test_closing_waits_for_the_disk(self) -> None:
        self.write()
        self.box.sync()
        last = self.write()
        self.box._rolling = True                        # in the middle of a roll
        self.close()
        again = Mailbox(self.path)
        self.assertEqual([mail.id for mail in again.unread(again.users[0], 0, last, 9, 99)][-1:], [last])
        again.close()

    def work(self) -> None:
        for _ in range(10_000):
            self.disk.done = True
            if not self.box.work(1):
                break


class TheTurn(unittest.TestCase):
    def test_live_messages_and_answers_do_not_wait_and_promises_do(self) -> None:
        with Service() as service:
            ann, bob = service.users("ann", "bob")
            disk = slow(service)
            number = ann.send("bob", "hi")
            bob.hears(wire.Mail, text="hi")
            ann.say(wire.Ping(7))
            ann.hears(wire.Pong, stamp=7)
            ann.say(wire.Send(number, 0, ("bob",), "hi"))           # a copy is promised no earlier
            self.assertEqual(ann.hears_all(wire.Stored), [])
            bob.say(wire.Confirm(1, 2**40))
            self.assertEqual(bob.hears_all(wire.Confirmed), [])
            for _ in range(2):
                disk.done = True
                service.run()
            self.assertEqual([said.first for said in ann.hears_all(wire.Stored)], [number, number])
            bob.hears(wire.Confirmed)
            disk.done = True

    def test_who_leaves_is_answered_before_the_line_is_closed(self) -> None:
        """EXIT, or a violation, after a SEND whose sync is slow: STORED, then the close."""
        for last in wire.encode(wire.Exit()), b"\0\0\0\1\xff":
            with self.subTest(last), Service() as service:
                ann, bob = service.users("ann", "bob")
                disk = slow(service)
                number = ann.id()
                ann.say_bytes(wire.encode(wire.Send(number, 0, ("bob",), "hi")) + last)
                ann.listen()
                self.assertFalse(ann.closed)
                bob.hears(wire.Mail, text="hi")
                while disk.under_way:
                    disk.done = True
                    service.run()
                self.assertEqual([said.first for said in ann.hears_all(wire.Stored)], [number])
                self.assertTrue(ann.is_disconnected())

    def test_a_name_is_welcome_when_it_is_on_disk(self) -> None:
        with Service() as service:
            disk = slow(service)
            eve = service.connect()
            eve.say(wire.Hello(wire.VERSION, 0, bytes(16), "eve"))
            self.assertEqual(eve.hears_all(wire.Welcome), [])
            disk.done = True
            service.run()
            eve.hears(wire.Welcome)


class Waits(Disk):
    """A task waits for each directory, and the rest is done at once."""

    def syncing_directory(self, path: str) -> Iterator[object]:
        yield WAIT
        self.sync_directory(path)


class AtTheEnd(unittest.TestCase):
    def test_a_segment_that_the_manifest_may_list_already_stays(self) -> None:
        """Closing in each moment of a seal, also when the manifest has its name and the loop waits to hear of it."""
        listed = 0
        for steps in range(60):
            with tempfile.TemporaryDirectory() as home:
                box = Mailbox(home + "/store", Waits(), seal_at=1)
                ann = box.register("ann", 1)
                box.put(ann, 1, 1, [ann], 0, b"hi")
                box.write()
                box.sync()
                for _ in range(steps):
                    box.work(0)
                    box.sync()
                found = manifests.load(box.disk, box.directory)
                assert found
                listed += len(found.segments) > len(box._manifest.segments)
                box.close()
                again = Mailbox(home + "/store")
                self.assertEqual(texts(again.unread(again.users[0], 0, 1 << 62, 9, 999)), [b"hi"])
                again.close()
        self.assertGreater(listed, 0)


class TheChild(unittest.TestCase):
    def setUp(self) -> None:
        self.disk = BackgroundDisk()
        self.file = self.enterContext(tempfile.NamedTemporaryFile())
        self.addCleanup(self.disk.end)

    def ended(self) -> bool:
        return self.disk.datasync_ended(wait=True)

    def test_it_syncs_one_file_after_the_other(self) -> None:
        with tempfile.TemporaryFile() as other:
            for key, file in (1, self.file), (1, self.file), (2, other), (2, other):
                self.assertFalse(self.disk.begin_datasync(key, file.fileno()))
                self.assertTrue(self.ended())

    def test_an_error_comes_out_as_it_was(self) -> None:
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.addCleanup(os.close, writing)
        self.disk.begin_datasync(1, writing)            # a pipe can't be synced
        with self.assertRaises(OSError) as caught:
            self.ended()
        self.assertEqual(caught.exception.errno, errno.EINVAL)

    def test_a_descriptor_that_could_not_be_sent_is_sent_again(self) -> None:
        """The kernel may have too many on their way; a task is then tried again later."""
        with mock.patch.object(socket, "send_fds", side_effect=OSError(errno.ETOOMANYREFS, "too many")):
            for _ in range(2):
                self.assertRaises(OSError, next, iter(self.disk.syncing(self.file.fileno())))
        self.assertIsNone(self.disk.at_once(self.disk.syncing(self.file.fileno())))
        with mock.patch.object(socket, "send_fds", side_effect=OSError(errno.ETOOMANYREFS, "too many")):
            self.assertRaises(OSError, next, iter(self.disk.syncing(self.file.fileno())))       # the child must end

    def test_a_task_goes_on_when_its_file_is_synced(self) -> None:
        """A file, and a directory; an error comes out of the task."""
        with tempfile.TemporaryDirectory() as home:
            for steps in (lambda: self.disk.syncing(self.file.fileno()),
                          lambda: self.disk.syncing_directory(home)):
                task = steps()
                for _ in range(5):
                    self.assertIs(next(task), WAIT)
                self.disk._tasks.take()
                self.assertEqual(list(task), [])
                self.assertIsNone(self.disk.at_once(steps()))
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.addCleanup(os.close, writing)
        with self.assertRaises(OSError) as caught:
            self.disk.at_once(self.disk.syncing(writing))
        self.assertEqual(caught.exception.errno, errno.EINVAL)

    def test_sealing_waits_for_no_sync_but_the_end_of_the_journal(self) -> None:
        """Of all that a seal syncs, only the old journal and the manifest of the roll are synced in the loop."""
        disk = BackgroundDisk()
        with tempfile.TemporaryDirectory() as home, mock.patch.object(os, "fsync", wraps=os.fsync) as fsync:
            box = Mailbox(home + "/store", disk, seal_at=1)
            ann, bob = box.register("ann", 1), box.register("bob", 1)
            box.put(ann, 1, 1, [bob], 0, b"hi")
            box.write()
            box.sync(wait=True)
            fsync.reset_mock()
            with mock.patch.object(disk, "at_once", wraps=disk.at_once) as at_once:
                until(lambda: not box.work(0) and (not box.working or disk._tasks.take()))
            self.assertEqual([page.segment for page in bob.pages], [1])
            self.assertEqual((fsync.call_count, at_once.call_count), (1, 1))    # the journal, the manifest
            box.close()

    def test_without_the_child_nothing_is_believed(self) -> None:
        self.disk.begin_datasync(1, self.file.fileno())
        self.assertTrue(self.ended())
        os.kill(self.disk._journal.pid, signal.SIGKILL)
        with self.assertRaisesRegex(Failed, "is gone"):
            for _ in range(1000):                       # it may do a last one
                self.disk.begin_datasync(1, self.file.fileno())
                self.ended()

    def test_a_child_that_is_gone_is_no_answer(self) -> None:
        """Whatever is asked or taken then; also of one that had not read what was asked before."""
        for child, (_, take) in zip((self.disk._journal, self.disk._tasks), self.disk.ready, strict=True):
            with self.subTest(child=child.pid):
                os.kill(child.pid, signal.SIGSTOP)
                child.ask(ALL, self.file.fileno())
                os.kill(child.pid, signal.SIGKILL)
                os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
                for said in take, take, lambda child=child: child.ask(ALL, None), lambda child=child: child.ask(ALL, 0):
                    self.assertRaisesRegex(Failed, "is gone", said)

    def test_the_store_fails_for_good(self) -> None:
        with tempfile.TemporaryDirectory() as home:
            box = Mailbox(home + "/store", self.disk)
            box.register("ann", 1)
            box.write()
            os.kill(self.disk._journal.pid, signal.SIGKILL)
            for _ in range(2):
                with self.assertRaisesRegex(Failed, "is gone"):
                    box.sync(wait=True)
            for close in box._journal.close, lambda: os.close(box._lock), box._shelf.close:
                close()

    def test_signals_that_mean_the_daemon_are_not_for_it(self) -> None:
        for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
            self.disk.begin_datasync(1, self.file.fileno())
            self.assertTrue(self.ended())               # it has come as far as its loop
            os.kill(self.disk._journal.pid, number)
        self.disk.begin_datasync(1, self.file.fileno())
        self.assertTrue(self.ended())

    @unittest.skipUnless(os.path.isdir("/proc/self/fd"), "needs /proc")
    def test_it_holds_nothing_open_but_its_line_and_the_file(self) -> None:
        self.disk.begin_datasync(1, self.file.fileno())
        self.assertTrue(self.ended())
        held = os.listdir(f"/proc/{self.disk._journal.pid}/fd")
        self.assertEqual(len(held), 5, held)            # 0, 1, 2: the null device

    def test_it_goes_when_the_daemon_goes(self) -> None:
        lonely = BackgroundDisk()
        lonely._journal.line.close()
        until(lambda: os.waitpid(lonely._journal.pid, os.WNOHANG)[0], what="the child has ended")


if __name__ == "__main__":
    unittest.main()

"""The sync in the background: what may leave meanwhile, what may not, and the child that makes
it."""

import errno
import os
import signal
import socket
import tempfile
import unittest
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from unittest import mock

import wire
from mailbox import TOO_SLOW, Failed, Full, Mailbox
from rules import promises as promising
from server.chores import QUIET_SECONDS, WORK_SECONDS
from server.unfinished import HOLD_SECONDS
from store import manifest as manifests
from store.disk import WAIT, Disk
from store.journal import BATCH, batches, read_header
from store.progress import ID_JUMP, UNSYNCED_MAX
from store.syncer import ALL, BackgroundDisk
from tests.harness.service import Service
from tests.harness.terminals import until
from tests.harness.waiting import texts


class SlowDisk(Disk):
    """A disk on which a sync ends when the test says so."""

    def __init__(self) -> None:
        super().__init__()
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


def use(mailbox: Mailbox, disk: Disk) -> None:
    """From now on it works on this disk."""
    mailbox.disk = mailbox._journals.disk = mailbox._journals.current.disk = disk
    mailbox.upkeep.disk = mailbox.upkeep.budget.disk = disk


def slow(service: Service) -> SlowDisk:
    """Make the syncs of this service end when the test says so."""
    disk = SlowDisk()
    use(service.mailbox, disk)
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
        """Write one message; its id."""
        number = self.put()
        self.box.write()
        return number

    def end(self) -> int:
        """End the sync that is under way; the next begins if there is one."""
        self.box.sync()
        self.disk.done = True
        return self.box.sync()

    def test_nothing_is_settled_while_the_sync_is_under_way(self) -> None:
        first = self.write()
        self.assertLess(self.box.sync(), first)
        second = self.write()
        self.assertLess(self.box.sync(), first)
        # and the next has begun, for what came meanwhile
        self.assertEqual(self.end(), first)
        self.assertTrue(self.disk.under_way)
        self.assertLess(self.box.sync(), second)
        self.assertEqual(self.end(), second)
        self.assertFalse(self.disk.under_way)

    def test_from_a_disk_that_falls_too_far_behind_nothing_is_asked(self) -> None:
        """No mail, no name, no setting; reading goes on, and nobody waits."""
        waited = self.disk.waited
        self.write()
        self.box.sync()
        for _ in range(UNSYNCED_MAX):
            self.put()
        self.refuses()
        self.box.write()
        self.box.sync()
        self.refuses()
        self.assertEqual(self.box.read(self.ann, 0, 1 << 62)[-1].id, self.box.last - 1)
        self.box.write()
        self.end()
        # what was written before that sync began was little
        self.refuses()
        self.end()
        self.assertFalse(self.box.progress.is_behind)
        self.assertGreater(self.write(), UNSYNCED_MAX)
        self.assertEqual(self.disk.waited, waited)

    def refuses(self) -> None:
        self.assertEqual((self.box.progress.is_behind, self.box.refusal), (True, TOO_SLOW))
        for ask in self.put, lambda: self.box.register("eve", 1), lambda: self.box.set(self.ann, 1,
                                                                                       b"x"):
            self.assertRaisesRegex(Full, TOO_SLOW, ask)

    def test_so_many_bytes_may_be_unsynced(self) -> None:
        with mock.patch("store.progress.UNSYNCED_BYTES", 1000):
            while not self.box.progress.is_behind:
                self.write()
                self.box.sync()
            self.assertLess(self.box._journals.current.offset, 1200)
            self.end()
            self.end()
            self.assertFalse(self.box.progress.is_behind)

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
        # finishing the old journal has synced it all
        self.assertGreaterEqual(self.box.sync(), later)
        self.assertGreater(self.put(), ID_JUMP)     # what the new one begins with was not reached
        self.assertEqual(sum(page.unread for page in self.ann.pages), 3)

    def test_a_segment_is_listed_when_what_it_tells_of_is_on_disk(self) -> None:
        self.write()
        self.end()
        self.box.upkeep.must_seal = True
        until(lambda: self.box.work(0) and self.box.upkeep.seal)
        origin = 1 << 32 | 7
        # the segment will know that it was put
        self.box.put(self.ann, origin, 1, [self.ann], 0, b"x")
        self.box.write()
        self.box.sync()
        for _ in range(10_000):
            if not self.box.work(0):
                break
        self.assertEqual(self.box._journals.manifest.segments, ())
        self.end()
        self.work()
        self.assertEqual(len(self.box._journals.manifest.segments), 1)

    def test_closing_waits_for_the_disk(self) -> None:
        self.write()
        self.box.sync()
        last = self.write()
        self.box._journals.is_rolling = True                        # in the middle of a roll
        self.close()
        again = Mailbox(self.path)
        self.assertEqual([mail.id for mail in again.unread(again.users[0], 0, last, 9, 99)][-1:],
                         [last])
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

    def test_when_it_is_quiet_the_journal_says_that_all_is_on_the_disk(self) -> None:
        """Once for a burst, a moment after it; then the daemon writes nothing more."""
        with Service() as service:
            ann, bob = service.users("ann", "bob")
            journal, ends = service.mailbox._journals.current, []
            for wait in 0, QUIET_SECONDS / 2, QUIET_SECONDS / 2, 0:
                service.forward(wait)
                ann.send("bob", "hi")
                bob.hears(wire.Mail)
                ends.append(journal.offset)
            one = ends[1] - ends[0]
            self.assertEqual(ends[-1], ends[0] + 3 * one)
            for wait in (QUIET_SECONDS, *[1.0] * 60):
                service.forward(wait)
                self.assertEqual(journal.offset, ends[-1] + BATCH.size)
            scan = list(batches(Path(journal.path).read_bytes(),
                                read_header(Path(journal.path).read_bytes(), "")))
            self.assertEqual((scan[-1].seqs, scan[-1].settled), (0, service.mailbox.last))

    def test_a_name_is_welcome_when_it_is_on_disk(self) -> None:
        with Service() as service:
            disk = slow(service)
            eve = service.connect()
            eve.say(wire.Hello(wire.VERSION, 0, bytes(16), "eve"))
            self.assertEqual(eve.hears_all(wire.Welcome), [])
            disk.done = True
            service.run()
            eve.hears(wire.Welcome)


class FarBehind(unittest.TestCase):
    """When the disk is too far behind, senders wait for a while and are then refused.

    All others go on."""

    def setUp(self) -> None:
        self.enterContext(mock.patch("store.progress.UNSYNCED_MAX", 20))
        self.service = self.enterContext(Service())
        self.ann, self.bob, self.cy = self.service.users("ann", "bob", "cy")
        for number, client in enumerate((self.ann, self.bob, self.cy)):
            client.number = number
        self.cy.say(wire.Invite(1, ("bob",)))
        self.bob.say(wire.Answer(self.bob.hears(wire.Invitation).invitation, 1))
        self.chat = self.bob.hears(wire.Started).chat
        self.cy.listen()
        self.cy.heard.clear()
        self.disk = slow(self.service)

    def all_else_goes_on(self) -> None:
        """A chat, a ping, a list, a confirmation that waits for the disk."""
        self.cy.say(wire.Say(0, self.chat, "still there?"), wire.Ping(7), wire.List(9),
                    wire.Confirm(1, 2))
        self.bob.listen()
        self.assertEqual([said.text for said in self.bob.hears_all(wire.Line)], ["still there?"])
        self.assertEqual([said.stamp for said in self.cy.hears_all(wire.Pong)], [7])
        self.assertEqual({said.request for said in self.cy.hears_all(wire.Roster)}, {9})
        self.assertEqual(self.cy.hears_all(wire.Confirmed), [])

    def nobody_was_disconnected(self) -> None:
        for client in self.ann, self.bob, self.cy:
            client.listen()
            self.assertFalse(client.closed)

    def the_disk_goes_on(self) -> None:
        for _ in range(5):
            self.disk.done = True
            self.service.run()

    def test_who_sends_is_held_and_then_goes_on(self) -> None:
        numbers = [self.ann.send("bob", str(n)) for n in range(40)]
        self.assertEqual(len(self.bob.hears_all(wire.Mail)), 21)
        self.all_else_goes_on()
        self.the_disk_goes_on()
        self.assertEqual(self.ann.hears_all(wire.Refused), [])
        self.assertEqual([said.text for said in self.bob.hears_all(wire.Mail)],
                         [str(n) for n in range(21, 40)])
        self.the_disk_goes_on()
        said = self.ann.hears_all(wire.Stored)
        self.assertEqual((said[0].first, said[-1].last), (numbers[0], numbers[-1]))
        self.assertEqual(len(self.cy.hears_all(wire.Confirmed)), 1)
        self.nobody_was_disconnected()

    def test_who_was_held_for_long_is_refused_with_words(self) -> None:
        numbers = [self.ann.send("bob", str(n)) for n in range(40)]
        for _ in range(61):                             # a minute
            self.service.forward(1)
            self.all_else_goes_on()
        refused = self.ann.hears_all(wire.Refused)
        self.assertEqual([said.id for said in refused], numbers[21:])
        self.assertEqual({said.reason for said in refused}, {TOO_SLOW})
        self.the_disk_goes_on()
        self.assertEqual([said.last for said in self.ann.hears_all(wire.Stored)][-1], numbers[20])
        last = self.ann.send("bob", "at last")
        self.the_disk_goes_on()
        self.ann.hears(wire.Stored, first=last)
        self.nobody_was_disconnected()

    def test_a_held_newcomer_makes_no_room_for_others(self) -> None:
        """It has said HELLO: it waits for the disk in its place, whoever is silent."""
        self.service.daemon.strangers.silent.each = 2
        for n in range(40):
            self.ann.send("bob", str(n))
        late = self.service.connect()
        held = [self.service.client("dan"), late]
        late.say(wire.Hello(wire.VERSION, 0, bytes(16), "eve"))
        silent = [self.service.connect() for _ in range(5)]
        self.assertEqual([client.is_disconnected() for client in silent],
                         [True, True, True, False, False])
        self.the_disk_goes_on()
        for client in held:
            client.hears(wire.Welcome)

    def test_what_one_client_is_owed_has_a_bound(self) -> None:
        """It confirms messages that do not exist, which have no seq, or sends known ones again."""
        for client in self.cy, self.ann:
            number = self.ann.send("bob", "it waits for the disk")
            frame = wire.encode(wire.Confirm(5, 5)) * 10
            if client is self.ann:
                frame = wire.encode(wire.Send(number, 0, ("bob",), "it waits for the disk"))
            with mock.patch.object(promising, "LATE",
                                   4), mock.patch.object(promising, "OWED_MAX", 50):
                promises = self.service.daemon.board.promises
                sent = 0
                for _ in range(400):
                    with suppress(BlockingIOError):     # it is not read any more
                        sent += client.sock.send(frame) // len(frame)
                    self.service.daemon.turn(0)
                clients = self.service.daemon.board.roster.clients
                self.assertTrue(promises.is_owed_much(clients[client.number]))
                self.assertLess(len(promises._unsettled), 80)
                self.assertFalse(promises.is_owed_much(clients[self.bob.number]))
                self.bob.say(wire.Ping(7))
                self.assertEqual(len(self.bob.hears_all(wire.Pong)), 1)
                for _ in range(40):
                    self.disk.done = True
                    self.service.forward(1)
                self.assertGreater(sent, 60)
                if client is self.cy:
                    self.assertEqual(len(self.cy.hears_all(wire.Confirmed)), 10 * sent)
        self.nobody_was_disconnected()

    def test_a_newcomer(self) -> None:
        """A known user waits for WELCOME; a new name waits, and is then refused."""
        for n in range(40):
            self.ann.send("bob", str(n))
        self.bob.hang_up()
        bob, eve = self.service.client("bob"), self.service.client("eve")
        for client in bob, eve:
            client.hears_nothing()
        self.service.forward(HOLD_SECONDS)
        self.service.forward(HOLD_SECONDS / 4)
        self.assertIn(TOO_SLOW, eve.hears(wire.Rejected).reason)
        bob.hears_nothing()
        self.the_disk_goes_on()
        bob.hears(wire.Welcome)
        eve = self.service.client("eve")
        self.the_disk_goes_on()
        eve.hears(wire.Welcome)

    def test_settings_wait_and_are_refused(self) -> None:
        for n in range(40):
            self.ann.send("bob", str(n))
        self.cy.say(wire.Ignore(3, 1, "ann"))
        self.cy.hears_nothing()
        self.service.forward(HOLD_SECONDS)
        self.service.forward(HOLD_SECONDS / 4)
        self.assertEqual(self.cy.hears(wire.Failed, request=3).reason, TOO_SLOW)

    def test_the_end_of_a_roll(self) -> None:
        """Whatever the roll waits for, the loop goes on."""
        stalls = Stalls()
        use(self.service.mailbox, stalls)
        number = self.ann.send("bob", "before")
        self.bob.hears(wire.Mail)
        self.ann.hears(wire.Stored, first=number)
        self.service.mailbox.upkeep.must_seal = True
        held = 0
        for _ in range(40):
            self.service.forward(WORK_SECONDS)
            self.all_goes_on_in_a_roll()
            held += self.service.mailbox.progress.is_ending
            number = self.ann.send("bob", "meanwhile")
            stalls.steps += 1
            self.service.forward(WORK_SECONDS)
        stalls.steps = 1 << 30
        self.service.forward(1)
        self.assertGreater(held, 2)
        self.assertEqual(self.ann.hears_all(wire.Refused), [])
        self.assertEqual(self.ann.hears_all(wire.Stored)[-1].last, number)
        self.assertEqual(len(self.bob.hears_all(wire.Mail)), 40)
        self.assertTrue(self.service.mailbox._journals.manifest.segments)
        self.service.restart()
        self.assertEqual(self.service.mailbox.users[1].waiting, 41)

    def all_goes_on_in_a_roll(self) -> None:
        self.cy.say(wire.Say(0, self.chat, "still there?"), wire.Ping(7))
        self.bob.listen()
        self.assertEqual(len(self.bob.hears_all(wire.Line)), 1)
        self.assertEqual(len(self.cy.hears_all(wire.Pong)), 1)

    def test_it_is_read_in_the_end_of_a_roll(self) -> None:
        """The message is confirmed when that is in the next journal, and on the disk."""
        stalls = Stalls()
        use(self.service.mailbox, stalls)
        self.ann.send("bob", "before")
        mail = self.bob.hears(wire.Mail)
        self.service.mailbox.upkeep.must_seal = True
        while not self.service.mailbox.progress.is_ending:
            stalls.steps += 1
            self.service.forward(WORK_SECONDS)
        self.bob.confirm(mail)
        while self.service.mailbox.progress.is_ending:
            self.bob.hears_nothing()
            stalls.steps += 1
            self.service.forward(WORK_SECONDS)
        self.bob.hears(wire.Confirmed)
        self.service.restart()
        self.assertEqual(self.service.mailbox.users[1].waiting, 0)


class Waits(Disk):
    """A disk on which a task waits for each directory, and for nothing else."""

    def syncing_directory(self, path: str) -> Iterator[object]:
        yield WAIT
        self.sync_directory(path)


class Stalls(Disk):
    """A disk on which so many syncs of tasks have ended, and the next one waits."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = self.done = 0

    def _stalled(self) -> Iterator[object]:
        while self.done >= self.steps:
            yield WAIT
        self.done += 1

    def syncing(self, fd: int) -> Iterator[object]:
        yield from self._stalled()
        self.sync(fd)

    def syncing_path(self, path: str) -> Iterator[object]:
        yield from self._stalled()
        self.sync_path(path)

    def syncing_directory(self, path: str) -> Iterator[object]:
        yield from self._stalled()
        self.sync_directory(path)

    def wait(self) -> None:
        self.steps += 1


class AtTheEnd(unittest.TestCase):
    def test_in_each_moment_of_a_roll(self) -> None:
        """Closing waits for the end of the roll: only then it is known which journal is written."""
        ending = 0
        for steps in range(12):
            with tempfile.TemporaryDirectory() as home:
                disk = Stalls()
                disk.steps = 99
                box = Mailbox(home + "/store", disk, seal_at=1)
                ann = box.register("ann", 1)
                box.put(ann, 1, 1, [ann], 0, b"hi")
                box.write()
                box.sync()
                disk.steps = disk.done + steps
                box.work(1)
                if box.progress.is_ending:
                    box.read(ann, 0, 1 << 62)
                    box.write()
                ending += box.progress.is_ending
                waiting = ann.waiting
                box.close()
                again = Mailbox(home + "/store")
                self.assertEqual(again.users[0].waiting, waiting)
                again.close()
        self.assertGreater(ending, 2)

    def test_a_stop_in_each_moment_of_a_roll(self) -> None:
        """Nothing is written into a journal that is finished, not even that somebody left."""
        ending = 0
        for steps in range(12):
            with self.subTest(steps=steps), tempfile.TemporaryDirectory() as home:
                disk = Stalls()
                disk.steps = 99
                box = Mailbox(home + "/store", disk, seal_at=1)
                ann = box.register("ann", 1)
                box.put(ann, 1, 1, [ann], 0, b"hi")
                box.write()
                box.sync()
                disk.steps = disk.done + steps
                box.work(1)
                ending += box.progress.is_ending
                box.seen(ann, 99)
                box.rest()                              # and then there is no time to rest
                box.close()
                again = Mailbox(home + "/store")
                self.assertEqual((again.users[0].waiting, again.users[0].last_seen), (1, 99))
                again.close()
        self.assertGreater(ending, 2)

    def test_a_segment_that_the_manifest_may_list_already_stays(self) -> None:
        """Closing in each moment of a seal.

        Also when the manifest has the segment's name and the loop waits to hear of it."""
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
                listed += len(found.segments) > len(box._journals.manifest.segments)
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
        """The kernel may have too many of them in flight; the task is then tried again later."""
        with mock.patch.object(socket, "send_fds",
                               side_effect=OSError(errno.ETOOMANYREFS, "too many")):
            for _ in range(2):
                self.assertRaises(OSError, next, iter(self.disk.syncing(self.file.fileno())))
        self.assertIsNone(self.disk.at_once(self.disk.syncing(self.file.fileno())))
        with mock.patch.object(socket, "send_fds",
                               side_effect=OSError(errno.ETOOMANYREFS, "too many")):
            # the child must end
            self.assertRaises(OSError, next, iter(self.disk.syncing(self.file.fileno())))

    def test_a_task_goes_on_when_its_file_is_synced(self) -> None:
        """A file, and a directory; the task raises an error of the sync."""
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

    def test_sealing_waits_for_no_sync(self) -> None:
        """The loop makes none of the syncs of a seal."""
        disk = BackgroundDisk()
        with tempfile.TemporaryDirectory() as home, mock.patch.object(os, "fsync",
                                                                      wraps=os.fsync) as fsync:
            box = Mailbox(home + "/store", disk, seal_at=1)
            ann, bob = box.register("ann", 1), box.register("bob", 1)
            box.put(ann, 1, 1, [bob], 0, b"hi")
            box.write()
            box.sync(wait=True)
            fsync.reset_mock()
            with mock.patch.object(disk, "at_once", wraps=disk.at_once) as at_once:
                until(lambda: not box.work(0) and (not box.upkeep.is_working or disk._tasks.take()))
            self.assertEqual([page.segment for page in bob.pages], [1])
            self.assertEqual((fsync.call_count, at_once.call_count), (0, 0))
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
        """Whatever is asked of it or taken from it; also if it had not read the last request."""
        for child, (_, take) in zip((self.disk._journal, self.disk._tasks), self.disk.ready,
                                    strict=True):
            with self.subTest(child=child.pid):
                os.kill(child.pid, signal.SIGSTOP)
                child.ask(ALL, self.file.fileno())
                os.kill(child.pid, signal.SIGKILL)
                os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
                for said in (take, take, lambda child=child: child.ask(ALL, None),
                             lambda child=child: child.ask(ALL, 0)):
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
            for close in box._journals.current.close, lambda: os.close(box._lock), box._shelf.close:
                close()

    def test_signals_that_mean_the_daemon_are_not_for_it(self) -> None:
        for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1:
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

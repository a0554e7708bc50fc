"""A page that the disk does not give back: one user's loss, for a while; named, never taken for
read, never dropped."""
import os
import unittest
from unittest import mock

import wire
from mailbox import Mailbox, User
from store.disk import Damaged
from store.segment import Segment
from tests.harness.service import Service
from tests.harness.waiting import texts
from tests.store.test_mailbox import EVER, StoreCase

MAILS = 8


class Broken:
    """From now on these values of segments cannot be read."""

    def __init__(self, case: unittest.TestCase, *values: tuple[int, str, int]) -> None:
        whole = Segment.value

        def value(segment: Segment, kind: str, number: int) -> bytes:
            if (segment.number, kind, number) in values:
                raise Damaged(segment.path, 0, f"value '{kind} {number}': Input/output error")
            return whole(segment, kind, number)

        self.patch = mock.patch.object(Segment, "value", value)
        self.patch.start()
        case.addCleanup(mock.patch.stopall)

    def heal(self) -> None:
        self.patch.stop()


class Store(StoreCase):
    def setUp(self) -> None:
        super().setUp()
        mock.patch("store.writer.ROOM", 700).start()         # some pages for each
        self.addCleanup(mock.patch.stopall)
        self.box = self.open(backend="dbm.dumb", small=0)
        self.ann, self.bob, self.cy = self.names(self.box, "ann", "bob", "cy")
        for number in range(MAILS):
            for user in self.bob, self.cy:
                self.box.put(self.ann, 0, 1, [user], 0, self.text(user, number))
        self.keep(self.box)

    @staticmethod
    def text(user: User, number: int) -> bytes:
        return f"{user.name} {number}".encode().ljust(150, b".")

    def seal(self, box: Mailbox) -> None:
        box.upkeep.must_seal = True
        self.work(box)

    def all_of(self, user: User) -> list[bytes]:
        return [self.text(user, number) for number in range(MAILS)]

    def unread(self, box: Mailbox, number: int) -> list[bytes]:
        return texts(box.unread(box.users[number], 0, EVER, 99, 1 << 20))

    def broken(self) -> tuple[Broken, list[bytes], int]:
        """Bob's second page cannot be read; what he has besides, and how many that is not."""
        page = self.bob.pages[1]
        self.box._shelf._pages.clear()
        self.box._shelf._values.clear()
        broken = Broken(self, (page.segment, "mail", page.block))
        before = sum(each.messages for each in self.bob.pages[:1])
        rest = self.all_of(self.bob)
        del rest[before:before + page.messages]
        return broken, rest, page.messages

    def restart(self) -> Mailbox:
        self.box = self.reopen(self.box, backend="dbm.dumb", small=0)
        self.ann, self.bob, self.cy = self.box.users
        return self.box

    def test_the_rest_is_brought_and_the_loss_is_named_once(self) -> None:
        self.seal(self.box)
        _, rest, lacking = self.broken()
        self.assertEqual(self.box.unreadable(self.bob), 0)
        for _ in range(2):
            self.assertEqual(self.unread(self.box, 1), rest)
            self.assertEqual(self.unread(self.box, 2), self.all_of(self.cy))
        self.assertEqual((self.box.unreadable(self.bob), self.box.unreadable(self.cy)),
                         (lacking, 0))
        self.assertEqual(self.bob.waiting, MAILS)
        self.assertEqual(len(self.box.notes), 1)
        self.assertIn(f"segment.00000001: {lacking} messages for bob, ids ", self.box.notes[0])

    def test_what_is_confirmed_around_it_does_not_take_it_along(self) -> None:
        self.seal(self.box)
        broken, rest, lacking = self.broken()
        mails = self.box.unread(self.bob, 0, EVER, 99, 1 << 20)
        newly = self.box.read(self.bob, mails[0].id, mails[-1].last)
        self.assertEqual(texts(newly), rest)
        self.assertEqual(self.box.read(self.bob, 0, EVER), [])
        self.assertEqual(self.bob.waiting, lacking)
        self.keep(self.box)
        self.work(self.box)                             # nothing is dropped
        broken.heal()
        # what was skipped may not come within this run
        self.assertEqual(self.unread(self.box, 1), [])
        self.restart()
        self.assertEqual(len(self.unread(self.box, 1)), lacking)
        self.assertLessEqual(set(self.unread(self.box, 1)), set(self.all_of(self.bob)) - set(rest))

    def test_it_is_found_out_by_the_confirmation(self) -> None:
        """What was shown came from memory; now the page is gone from there, and the disk does not
        have it."""
        self.seal(self.box)
        broken, rest, lacking = self.broken()
        newly = self.box.read(self.bob, 0, EVER)
        self.assertEqual(texts(newly), rest)
        self.assertEqual((self.bob.waiting, self.box.unreadable(self.bob)), (lacking, lacking))
        self.keep(self.box)
        broken.heal()
        self.restart()
        self.assertEqual(len(self.unread(self.box, 1)), lacking)

    def test_a_segment_that_would_be_carried_stays(self) -> None:
        self.seal(self.box)
        broken, _, lacking = self.broken()
        self.box.read(self.cy, 0, EVER)
        mails = self.box.unread(self.bob, 0, EVER, 99, 1 << 20)
        self.box.read(self.bob, mails[0].id, mails[-2].last)        # less than a quarter is left
        self.box._shelf.damaged.clear()                             # as after a start
        self.box.put(self.ann, 0, 1, [self.bob], 0, b"later")
        self.keep(self.box)
        for self.now in 0.0, 10.0, 20.0:
            self.seal(self.box)
        self.assertEqual(sorted(self.box._shelf.segments), [1, 2])
        self.assertEqual(self.box._journals.old, [])
        self.assertEqual(texts(self.box.unread(self.bob, 0, EVER, 99, 1 << 20))[-1], b"later")
        broken.heal()
        self.restart()
        self.assertEqual(len(self.unread(self.box, 1)), lacking + 2)

    def test_a_start_counts_a_page_whole_of_which_a_part_was_read(self) -> None:
        self.seal(self.box)
        page = self.bob.pages[1]
        self.box.read(self.bob, page.first, page.first)
        self.keep(self.box)
        broken, rest, lacking = self.broken()
        self.restart()
        self.assertEqual(self.bob.waiting, MAILS)
        self.assertEqual(self.box.unreadable(self.bob), lacking)
        self.assertIn("bob", self.box.notes[0])
        self.assertEqual(self.unread(self.box, 1), rest)
        self.assertEqual(self.unread(self.box, 2), self.all_of(self.cy))
        broken.heal()
        self.restart()
        self.assertEqual(self.bob.waiting, MAILS - 1)

    def test_what_is_left_of_a_page_is_not_passed_over(self) -> None:
        """A part of it was read; what comes behind it is confirmed while it cannot be read."""
        self.seal(self.box)
        page = self.bob.pages[1]
        # of that page alone, less what is read now
        wanted = self.unread(self.box, 1)[page.messages:2 * page.messages]
        self.box.read(self.bob, 0, page.first)
        self.keep(self.box)
        broken = Broken(self, (page.segment, "mail", page.block))
        self.restart()
        self.box.read(self.bob, 0, EVER)
        self.keep(self.box)
        broken.heal()
        self.restart()
        self.assertEqual(self.unread(self.box, 1), wanted[1:])

    def test_a_new_page_that_cannot_be_read_when_it_is_counted(self) -> None:
        """A part of it was read while it was sealed."""
        self.box.upkeep.must_seal = True
        while not self.box.upkeep.writer or self.box.upkeep.writer.messages < 2 * MAILS:
            self.box.work(0, lambda: self.now)
        broken = Broken(self, (1, "mail", 1))
        self.box.read(self.bob, 0, self.bob.tail[0].id)
        self.work(self.box)
        self.keep(self.box)
        self.assertEqual(self.bob.waiting, MAILS - 1)
        self.assertTrue(self.bob.pages[0].damaged)
        broken.heal()
        self.restart()
        self.assertEqual(self.unread(self.box, 1), self.all_of(self.bob)[1:])


class AtTheDaemon(unittest.TestCase):
    def test_the_user_is_told_and_nobody_else(self) -> None:
        with mock.patch("store.writer.ROOM", 120), Service(backend="dbm.dumb") as service:
            ann, bob, cy = service.users("ann", "bob", "cy")
            for client in bob, cy:
                client.say(wire.Hold(1, 1))
            for number in range(3):
                ann.send("bob", f"{number}")
                ann.send("cy", f"{number}")
                if number == 1:
                    service.mailbox.upkeep.must_seal = True
                    service.forward(10)
            user = service.mailbox.find("bob")
            service.mailbox._shelf._values.clear()
            service.mailbox._shelf._pages.clear()
            pages = ({page.block for page in user.pages}
                     - {page.block for page in service.mailbox.find("cy").pages})
            self.assertTrue(pages)
            Broken(self, *((1, "mail", block) for block in pages))
            for client in bob, cy:
                client.heard.clear()
                client.say(wire.Check(2))
            bob.listen()
            self.assertEqual([said.text for said in bob.heard if isinstance(said, wire.Mail)],
                             ["2"])
            notices = [said.text for said in bob.heard if isinstance(said, wire.Notice)]
            self.assertEqual([text.split(" from ")[0] for text in notices],
                             ["2 of your messages cannot be read"])
            cy.listen()
            self.assertEqual([said.text for said in cy.heard
                              if isinstance(said, wire.Mail | wire.Notice)],
                             ["0", "1", "2"])
            self.assertIn("cannot be read", str(service.notes.events("store")))
            self.assertEqual(service.mailbox.find("bob").waiting, 3)
            ann.send("bob", "the daemon lives")
            self.assertTrue(os.path.isdir(service.store))


if __name__ == "__main__":
    unittest.main()

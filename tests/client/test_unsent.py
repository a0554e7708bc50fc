"""What a session leaves that has ended before the daemon answered, and what the next one makes of
it."""
import os
import tempfile
from pathlib import Path
from unittest import mock

import wire
from client import unsent
from client.archive import Archive
from client.events import Left, Unnoted
from client.history import STORED, UNANSWERED, Sent
from client.link import Link
from client.private import lock
from client.unsent import Draft, Unsent
from tests.client.linked import FIRST, INSTANCE, STORE, Linked, welcome

NEXT = INSTANCE + 1
OTHER_STORE = b"o" * 16


class Files(Linked):
    """Links whose sessions end, one after the other."""

    def setUp(self) -> None:
        self.directory = self.enterContext(tempfile.TemporaryDirectory())
        super().setUp()

    def make(self, archive: Archive | None = None, name: str = "alice", instance: int = INSTANCE,
             features: int | None = None) -> Link:
        with mock.patch("tests.client.linked.Link", self._linked):
            return super().make(archive or Archive(self.directory, fsync=lambda fd: None), name,
                                instance, features)

    def _linked(self, *args: object, **also: object) -> Link:
        kept = Unsent(self.directory, int(str(also["instance"])))
        return Link(*args, **also, unsent=kept)  # type: ignore[arg-type]

    def files(self) -> list[Path]:
        return sorted(Path(self.directory).glob("*.unsent*"))

    def die(self) -> None:
        """As by kill -9: nothing is said, and the kernel closes what was open."""
        fd = self.link.unsent._fd
        if fd >= 0:
            os.close(fd)
        self.link.unsent._fd = -1
        self.link.unsent.keeps = False
        self.link.unsent.sends.clear()
        self.house.end.close()

    def follow(self, instance: int = NEXT, name: str = "alice", store: bytes = STORE) -> list[Left]:
        """The next session: what it is told of."""
        self.link = self.make(instance=instance, name=name)
        events = self.login(welcome(name, store))
        return [event for event in events if isinstance(event, Left)]

    def kept(self) -> list[Sent]:
        return [record for record in self.link.archive.last(9) if isinstance(record, Sent)]


class Messages(Files):
    def test_mostly_there_is_no_file(self) -> None:
        self.login()
        self.assertEqual(self.files(), [])
        self.link.send(["bob"], "hi")
        (file,) = self.files()
        self.assertEqual(file.stat().st_mode & 0o777, 0o600)
        self.given(wire.Stored(FIRST, FIRST))
        self.assertEqual(file.read_bytes(), unsent.VERSION + b"store=" + STORE.hex().encode()
                         + b"\n")
        self.link.close()
        self.assertEqual(self.files(), [])

    def test_killed_before_the_answer(self) -> None:
        self.login()
        self.link.send(["bob"], "one")
        self.link.send(["bob", "carol"], 'two "and"\na half')
        self.link.send([], "three", wire.SendFlag.EVERYONE)
        self.given(wire.Stored(FIRST, FIRST))
        self.die()
        (left,) = self.follow()
        self.assertEqual([(send.id, send.to, send.text) for send in left.sends],
                         [(FIRST + 1, ("bob", "carol"), 'two "and"\na half'),
                          (FIRST + 2, (), "three")])
        self.assertEqual((self.house.hear(), len(self.files())), ([], 1))
        self.link.left.again()
        self.assertEqual([(said.id, said.to) for said in self.house.hear()],
                         [(FIRST + 1, ("bob", "carol")), (FIRST + 2, ())])
        self.link.send(["bob"], "four")
        self.house.hear()
        self.given(wire.Stored(FIRST + 1, FIRST + 2), wire.Stored(NEXT << 32 | 1, NEXT << 32 | 1))
        self.assertEqual((dict(self.link.pending), self.link.unsent.sends), ({}, {}))
        self.assertEqual([(sent.text, sent.became) for sent in self.kept()],
                         [("one", STORED), ('two "and"\na half', STORED), ("three", STORED),
                          ("four", STORED)])
        self.link.close()
        self.assertEqual(self.files(), [])

    def test_sent_while_offline_before_any_login(self) -> None:
        self.link.send(["bob"], "hi")
        self.die()
        (left,) = self.follow()
        self.assertEqual([send.text for send in left.sends], ["hi"])

    def test_left_with_messages_that_have_no_answer(self) -> None:
        """The archive is not told that they had none before the user has decided."""
        self.login()
        self.link.send(["bob"], "hi")
        self.link.close()
        self.assertEqual(len(self.follow()), 1)
        self.assertEqual(self.kept(), [])
        self.link.left.drop()
        self.assertEqual([(sent.id, sent.became) for sent in self.kept()], [(FIRST, UNANSWERED)])
        self.link.close()
        self.assertEqual(self.files(), [])

    def test_without_a_word_of_the_user_s_they_are_offered_again(self) -> None:
        self.login()
        self.link.send(["bob"], "hi")
        self.die()
        for instance in range(NEXT, NEXT + 3):
            (left,) = self.follow(instance)
            self.assertEqual([send.id for send in left.sends], [FIRST])
            self.link.close()
            self.assertEqual(len(self.files()), 1)

    def test_killed_while_the_next_session_takes_over(self) -> None:
        self.login()
        self.link.send(["bob"], "hi")
        self.die()
        with mock.patch("os.unlink"):
            self.follow()
        self.assertEqual(len(self.files()), 2)
        self.die()
        (left,) = self.follow(NEXT + 1)
        self.assertEqual([send.id for send in left.sends], [FIRST])
        self.assertEqual(len(self.files()), 1)

    def test_what_is_for_another_store_or_name_waits_for_that(self) -> None:
        self.login()
        self.link.send(["bob"], "hi")
        self.die()
        self.assertEqual(self.follow(store=OTHER_STORE), [])
        self.link.close()
        self.assertEqual(self.follow(name="alice2"), [])
        self.link.close()
        self.assertEqual(len(self.follow(NEXT + 1)), 1)

    def test_a_refused_message_is_not_offered(self) -> None:
        self.login()
        self.link.send(["bob"], "one")
        self.link.send(["bob"], "two")
        self.given(wire.Refused(FIRST, wire.Why.FULL, "full"))
        self.die()
        (left,) = self.follow()
        self.assertEqual([send.text for send in left.sends], ["two"])

    def test_another_name_takes_nothing_along(self) -> None:
        self.link.send(["bob"], "hi")
        self.link.rename("ann")
        self.assertEqual(self.files(), [])
        self.link.send(["bob"], "hi")
        self.assertTrue(self.files()[0].name.startswith("ann."))

    def test_a_long_file_is_written_anew(self) -> None:
        self.login()
        with mock.patch.object(unsent, "REWRITE", 2000):
            self.link.unsent._renew_at = 2000
            for number in range(40):
                self.link.send(["bob"], f"{number} {'x' * 50}")
                self.given(wire.Stored(FIRST + number, FIRST + number)) if number % 9 else None
        self.assertLess(self.files()[0].stat().st_size, 3000)
        self.die()
        (left,) = self.follow()
        self.assertEqual([send.text.split()[0] for send in left.sends],
                         ["0", "9", "18", "27", "36"])


class Drafts(Files):
    def test_the_next_session_has_them_and_then_the_one_behind_it(self) -> None:
        drafts = [Draft("bob", 'half "a\nword'), Draft("", "@carol,dave and")]
        self.login()
        self.link.unsent.draft(drafts)
        self.link.close()
        (left,) = self.follow()
        self.assertEqual(left.drafts, drafts)
        self.die()
        (left,) = self.follow(NEXT + 1)
        self.assertEqual(left.drafts, drafts)
        self.link.unsent.draft([])
        self.link.close()
        self.assertEqual(self.files(), [])

    def test_a_session_that_is_still_ending_is_waited_for(self) -> None:
        self.login()
        self.link.send(["bob"], "hi")
        older = self.link.unsent
        self.assertEqual(self.follow(), [])
        self.assertLess(self.link.timeout() or 99, 1)
        older.draft([Draft("bob", "half")])
        older.close()
        (left,) = [event for event in self.wait(1) if isinstance(event, Left)]
        self.assertEqual((left.drafts, len(left.sends)), ([Draft("bob", "half")], 1))
        self.assertGreater(self.link.timeout() or 0, 10)

    def test_one_that_lives_on_is_looked_at_a_few_times(self) -> None:
        self.login()
        self.link.send(["bob"], "hi")
        older = self.link.unsent
        self.follow()
        looks = 0
        while (self.link.timeout() or 99) < 10:
            self.wait(self.link.timeout() or 0)
            looks += 1
        self.assertEqual(looks, 5)
        older.close()


class Faults(Files):
    def test_a_directory_that_cannot_be_written(self) -> None:
        self.login()
        with mock.patch.object(unsent, "private_directory", side_effect=OSError(30, "read-only")):
            self.link.send(["bob"], "one")
        self.link.send(["bob"], "two")
        told = [event.text for event in self.pump() if isinstance(event, Unnoted)]
        self.assertEqual(len(told), 1, told)
        self.assertIn("read-only", told[0])
        self.assertEqual([said.text for said in self.house.hear()], ["one", "two"])

    def test_a_disk_that_is_full_at_the_login(self) -> None:
        self.link.send(["bob"], "one")
        with mock.patch("os.write", side_effect=OSError(28, "No space left on device")):
            events = self.login()
        (told,) = [event.text for event in events if isinstance(event, Unnoted)]
        self.assertIn("No space left", told)
        self.assertFalse(self.link.unsent.keeps)
        self.assertEqual([said.text for said in self.house.hear()], ["one"])

    def test_a_file_of_what_has_no_answer_is_not_written_anew_for_each(self) -> None:
        self.login()
        with (mock.patch.object(unsent, "REWRITE", 1000),
              mock.patch.object(unsent, "sync") as synced):
            self.link.unsent._renew_at = 1000
            for number in range(100):
                self.link.send(["bob"], f"{number}")
        self.assertLess(synced.call_count, 6)
        self.die()
        self.assertEqual(len(self.follow()[0].sends), 100)

    def test_a_name_that_another_process_has_locked(self) -> None:
        self.login()
        name = os.path.join(self.directory, f"alice.{INSTANCE:08x}.unsent")
        with open(name, "wb") as other:
            self.assertTrue(lock(other.fileno()))
            self.link.send(["bob"], "one")
        (told,) = [event.text for event in self.pump() if isinstance(event, Unnoted)]
        self.assertIn("another session has", told)

    def test_damaged_lines_are_passed_over(self) -> None:
        self.login()
        self.link.send(["bob"], "one")
        (file,) = self.files()
        data = file.read_bytes()
        self.die()
        file.write_bytes(data + b"answered=x\n\xff\xfe\ndraft to=bob text=\"\\q\"\n"
                         + data.splitlines()[-1].replace(b"one", b"two")[:-3])
        (left,) = self.follow()
        self.assertEqual(([send.text for send in left.sends], left.drafts), (["one"], []))

    def test_a_file_that_cannot_be_read_is_told_and_the_others_are_taken(self) -> None:
        self.login()
        self.link.send(["bob"], "one")
        self.die()
        os.symlink("/etc/passwd", os.path.join(self.directory, "alice.00000000.unsent"))
        self.link = self.make(instance=NEXT)
        events = self.login()
        (told,) = [event.text for event in events if isinstance(event, Unnoted)]
        self.assertRegex(told, r"^alice\.00000000\.unsent can't be read: .*; what an earlier")
        self.assertEqual([send.text for send in self.link.left.sends], ["one"])
        self.link.send(["bob"], "two")
        self.assertEqual(len(self.link.unsent.sends), 2)

    def test_what_another_session_left_is_on_the_disk_before_its_file_goes(self) -> None:
        self.login()
        self.link.send(["bob"], "one")
        self.die()
        done: list[str] = []
        with mock.patch.object(unsent, "sync", lambda fd: done.append("sync")), \
                mock.patch("os.unlink", lambda path, **_: done.append("unlink")):
            self.follow()
        self.assertEqual(done[:2], ["sync", "unlink"])

    def test_with_drafts_of_before_a_send_makes_no_new_file(self) -> None:
        self.login()
        self.link.unsent.draft([Draft("bob", "half")])
        self.link.close()
        self.follow()
        (file,) = self.files()
        inode = file.stat().st_ino
        for number in range(1, 4):
            self.link.send(["bob"], "x")
            self.given(wire.Stored(NEXT << 32 | number, NEXT << 32 | number))
        self.assertEqual((file.stat().st_ino, self.link.unsent.sends), (inode, {}))
        self.die()
        (left,) = self.follow(NEXT + 1)
        self.assertEqual((left.sends, left.drafts), ([], [Draft("bob", "half")]))

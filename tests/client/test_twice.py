"""Shown once: at most once by one client with one archive, whatever is cut and killed, and at least
once if STORED."""
import os
import random
import tempfile
import unittest
from collections import Counter
from pathlib import Path
from unittest import mock

import wire
from client import archive
from client.archive import ArchiveError
from client.forget import forget
from store import user
from tests.client.correspondence import House, Person
from tests.harness.process import effort

WALKS = effort(40, 6)
STEPS = 60


class Scene(unittest.TestCase):
    """Ann writes, Bob reads, Carol is somebody else; all are registered."""

    def setUp(self) -> None:
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.place = Path(place.name)
        self.house = House(1)
        self.addCleanup(self.house.__exit__)
        self.ann, self.bob, self.carol = (Person(self.house, name, self.place / name)
                                          for name in ("ann", "bob", "carol"))
        for person in self.house.people:
            self.addCleanup(lambda person=person: person.link.close())
            person.come()
        self.house.settle()

    def once(self, *texts: str) -> None:
        self.assertEqual(Counter(self.bob.kept()), Counter(texts))
        self.assertEqual(self.bob.screen, Counter(texts))


class PowerCut(Scene):
    """Pushed before its sync, and then the power is cut."""

    def shown_and_lost(self) -> None:
        self.house.slow()
        number = self.ann.send("bob", "live")
        self.house.settle()
        self.assertEqual(self.bob.kept(), ["live"])
        self.assertNotIn(number, self.ann.stored)
        self.ann.deaf()
        self.bob.deaf()
        self.house.cut_power(robbed=True)

    def test_the_reader_comes_back_first(self) -> None:
        self.shown_and_lost()
        self.bob.come()
        self.house.settle()
        self.ann.come()
        self.house.settle()
        self.once("live")
        self.assertEqual(len(self.ann.stored), 1)

    def test_the_sender_comes_back_first(self) -> None:
        self.shown_and_lost()
        self.ann.come()
        self.house.settle()
        self.bob.come()
        self.house.settle()
        self.bob.check()
        self.once("live")

    def test_the_reader_is_another_process(self) -> None:
        self.shown_and_lost()
        self.bob.die()
        self.bob.come()
        self.house.settle()
        self.bob.die()
        self.bob.come()
        self.ann.come()
        self.house.settle()
        self.once("live")

    def test_the_daemon_is_started_once_more_before_the_sender_comes(self) -> None:
        self.shown_and_lost()
        for _ in range(3):
            self.bob.come()
            self.house.settle()
            self.bob.deaf()
            self.house.kill()
        self.bob.come()
        self.ann.come()
        self.house.settle()
        self.once("live")


class Forgotten(Scene):
    """By kill -9 alone: the daemon can't remember everything that it stored."""

    def stored_and_not_heard(self, count: int) -> list[str]:
        """Ann writes to Bob and to nobody by turns, and her line is lost before she hears of it."""
        texts = [f"text {n}" for n in range(count)]
        for text in texts:
            self.ann.send("bob", text)
            self.ann.send("nobody", text)
        self.house.run()
        self.ann.deaf()
        self.house.settle()
        self.assertEqual(self.bob.kept(), texts)
        return texts

    def test_more_ranges_than_are_remembered(self) -> None:
        texts = self.stored_and_not_heard(user.RUNS_MAX + 20)
        self.house.kill()
        for person in (self.bob, self.ann):
            person.come()
        self.house.settle()
        self.once(*texts)
        self.assertEqual(self.house.notes.events("message"), [], "stored twice")
        unknown = [number for number, reason in self.ann.refused.items() if "not known" in reason]
        self.assertEqual((len(unknown), len(self.ann.stored)), (2 * 20 + 1, user.RUNS_MAX - 1))
        self.assertEqual(len(self.ann.link.pending), 0)

    def robots(self, count: int) -> list[str]:
        """So many other programs write to Bob under Ann's name; their texts."""
        texts = [f"of program {n}" for n in range(count)]
        for text in texts:
            robot = Person(self.house, "ann")
            robot.come()
            robot.send("bob", text)
            self.house.settle()
            robot.end()
        return texts

    def test_more_programs_than_are_remembered(self) -> None:
        (text,) = self.stored_and_not_heard(1)
        others = self.robots(user.INSTANCES + 1)
        self.ann.come()
        self.house.settle()
        self.once(text, *others)
        self.assertEqual(len(self.ann.link.pending), 0)

    def test_also_after_the_reader_was_another_process(self) -> None:
        (text,) = self.stored_and_not_heard(1)
        self.bob.die()
        self.bob.come()
        others = self.robots(user.INSTANCES + 1)
        self.ann.come()
        self.house.settle()
        self.once(text, *others)


class Confirmed(unittest.TestCase):
    """CONFIRMED is said only for what the daemon had on disk: a client of parley 0.1 forgets by
    it."""

    def test_of_what_a_power_cut_took_it_is_not_said(self) -> None:
        house = House(1)
        self.addCleanup(house.__exit__)
        ann, bob = house.users("ann", "bob")
        ann.send("bob", "on the disk")
        kept = bob.hears(wire.Mail)
        ann.hears(wire.Stored)
        house.slow()
        ann.send("bob", "not on the disk")
        lost = bob.hears(wire.Mail)
        house.cut_power(robbed=True)
        for _ in range(3):
            bob = house.user("bob")
            bob.say(wire.Confirm(lost.id, lost.id), wire.Confirm(lost.id, lost.id + 5))
            bob.hears_nothing()
            bob.say(wire.Confirm(kept.id, lost.id))             # the first time it is there
            bob.hears(wire.Confirmed, first=kept.id, last=kept.id)
            bob.say(wire.Confirm(9, 5))
            bob.hears(wire.Confirmed, first=9, last=5)
            house.kill()
        carol, bob = house.users("carol", "bob")
        carol.send("bob", "later")
        later = bob.hears(wire.Mail)
        bob.say(wire.Confirm(later.id, later.id))
        bob.hears(wire.Confirmed, first=later.id, last=later.id)


class Sisters(Scene):
    """What else may come twice, and the exceptions that the manual names."""

    def test_painted_and_not_kept(self) -> None:
        """Killed between the two: it is painted again, and kept once."""
        self.bob.shows = False
        self.ann.send("bob", "hi")
        self.house.settle()
        self.bob.die()
        self.bob.shows = True
        self.bob.come()
        self.bob.check()
        self.assertEqual((self.bob.kept(), self.bob.screen["hi"]), (["hi"], 2))

    def test_a_torn_record_is_painted_again(self) -> None:
        """Its record was torn by the cut: it was not confirmed."""
        self.bob.shows = False
        self.ann.send("bob", "hi")
        self.house.settle()
        self.bob.die()
        (path,) = (self.place / "bob").glob("*.txt")
        with path.open("a") as file:
            file.write("2026-11-21T14:02:03.000017Z id=17 origin=42949")
        self.bob.shows = True
        self.bob.come()
        self.bob.check()
        self.assertEqual((self.bob.kept(), self.bob.screen["hi"]), (["hi"], 2))

    def test_an_archive_that_cant_be_written(self) -> None:
        """Painted once, by one process; kept as soon as that is possible."""
        with mock.patch("os.write", side_effect=OSError(28, "No space left on device")), \
                self.assertRaisesRegex(ArchiveError, "they stay in the mailbox"):
            self.ann.send("bob", "hi")
            self.house.settle()
        self.bob.deaf()
        self.bob.come()
        self.bob.check()
        self.bob.link.shown([])
        self.house.settle()
        self.once("hi")

    def test_without_an_archive(self) -> None:
        """At most once by one process."""
        self.bob.link.close()
        self.bob.archive = None
        self.bob.die()
        self.bob.come()
        self.house.slow()
        self.ann.send("bob", "live")
        self.house.settle()
        for person in (self.ann, self.bob):
            person.deaf()
        self.house.cut_power(robbed=True)
        for person in (self.bob, self.ann):
            person.come()
            self.house.settle()
        self.bob.check()
        self.assertEqual(self.bob.screen, {"live": 1})

    def test_two_programs_with_one_archive(self) -> None:
        """One stands offline while the other reads: what that one kept, this one knows when it
        comes back."""
        self.bob.deaf()
        other = Person(self.house, "bob", self.bob.archive)
        other.come()
        self.ann.send("bob", "to the other")
        self.house.run()
        other.pump()
        other.deaf()            # its CONFIRM was not said, or not heard
        self.house.slow()
        self.bob.come()
        self.bob.check()
        self.assertEqual((self.bob.kept(), sum(self.bob.screen.values()),
                          sum(other.screen.values())),
                         (["to the other"], 0, 1))
        other.end()

    def test_two_archives_are_two_readers(self) -> None:
        """On two hosts: each may show it, if the first could not confirm."""
        other = Person(self.house, "bob", self.place / "elsewhere")
        self.bob.deaf()
        self.ann.send("bob", "hi")
        self.house.settle()
        for reader in (other, self.bob):
            reader.come()
            with mock.patch.object(reader.link, "_confirm"):
                reader.check()
            reader.deaf()
        self.assertEqual((other.kept(), self.bob.kept()), (["hi"], ["hi"]))
        self.bob.come()
        self.bob.check()
        self.assertEqual(self.bob.kept(), ["hi"])
        other.end()

    def test_live_and_checked_at_the_same_time(self) -> None:
        self.bob.shows = False
        self.ann.send("bob", "hi")
        self.house.settle()
        self.bob.check()
        self.bob.deaf()
        self.bob.come()
        self.bob.check()
        self.bob.shows = True
        self.bob.keep()
        self.house.settle()
        self.bob.check()
        self.once("hi")

    def test_taken_over_in_the_middle_of_a_check(self) -> None:
        """Its line is dead and the daemon does not know: the token takes the name over."""
        self.bob.deaf()
        texts = [f"text {n}" for n in range(3000)]      # three windows
        for text in texts:
            self.ann.send("bob", text)
        self.house.settle()
        self.bob.come()
        self.bob.link.ask.check()
        self.house.run()
        # the first window is shown; CONFIRM has left
        self.bob.pump()
        dead = self.bob.link.sock
        assert dead is not None
        self.addCleanup(dead.dup().close)               # so that the daemon does not see it end
        self.bob.link._lost("cut by the test")
        self.bob.come()
        self.bob.check()
        self.once(*texts)


class Walk:
    """Everything by chance; the oracle is what the archives hold."""

    def __init__(self, seed: int, place: Path) -> None:
        self.chance = random.Random(seed)
        self.house = House(seed)
        self.ann, self.bob, self.carol = (Person(self.house, name, place / name)
                                          for name in ("ann", "bob", "carol"))
        self.texts: dict[int, tuple[str, str]] = {}     # of each id: to, text
        self.due: set[str] = set()                      # told STORED, for Bob
        self.forgotten: Counter[str] = Counter()        # texts that Bob kept and forgot
        self.happened: Counter[str] = Counter()
        for person in self.house.people:
            person.come()
        self.house.settle()

    def run(self) -> None:
        acts = [self.send] * 6 + [self.house.settle] * 3 + [
            self.slow, self.slow, self.quick, self.power, self.power, self.kill, self.deafen,
            self.deafen, self.die, self.check, self.robots, self.forget]
        for _ in range(STEPS):
            act = self.chance.choice(acts)
            self.happened[act.__name__] += 1
            act()
            self.told()
        self.house.quick()
        self.come()
        self.house.settle()
        self.bob.check()
        self.bob.check()
        self.told()

    def told(self) -> None:
        self.due |= {text for number in self.ann.stored
                     for to, text in [self.texts[number]] if to == "bob"}

    def send(self) -> None:
        for _ in range(self.chance.choice((1, 1, 3, 100))):
            to = self.chance.choice(("bob", "bob", "carol", "nobody"))
            text = f"{len(self.texts)} to {to}"
            self.texts[self.ann.send(to, text)] = to, text
        if self.chance.random() < 0.5:
            self.house.run()

    def slow(self) -> None:
        self.house.slow()

    def quick(self) -> None:
        self.house.quick()

    def power(self) -> None:
        self.end()
        self.house.cut_power()
        self.come()

    def kill(self) -> None:
        self.end()
        self.house.kill()
        self.come()

    def end(self) -> None:
        """Some are told first, some hear nothing of it, some are killed too."""
        for person in self.house.people:
            how = self.chance.randrange(3)
            if how == 0:
                person.pump()
            person.die() if how == 1 and person is not self.ann else person.deaf()

    def come(self) -> None:
        """In any order, and some only later."""
        people = list(self.house.people)
        self.chance.shuffle(people)
        for person in people:
            person.come()
            if self.chance.random() < 0.7:
                self.house.settle()

    def deafen(self) -> None:
        person = self.chance.choice(self.house.people)
        person.deaf()
        if self.chance.random() < 0.5:
            self.robots()
        person.come()

    def die(self) -> None:
        person = self.chance.choice((self.bob, self.carol))
        person.die()
        person.come()

    def check(self) -> None:
        self.bob.link.ask.check()
        self.house.settle()

    def robots(self) -> None:
        """Other programs under Ann's name, while she is away: they make the daemon forget."""
        self.ann.deaf()
        for n in range(self.chance.choice((1, user.INSTANCES + 1))):
            robot = Person(self.house, "ann")
            robot.come()
            text = f"{len(self.texts)} to bob by robot {n}"
            self.texts[robot.send("bob", text)] = "bob", text
            robot.pump()
            robot.end()
        self.ann.come()

    def forget(self) -> None:
        """Bob forgets what is older than some message, beside his client."""
        assert self.bob.archive is not None
        for path in self.bob.archive.glob("*.txt"):
            kept = [*archive.read(path)]
            before = self.chance.choice(kept).time + 1 if kept else 1
            with mock.patch("client.forget.sync", lambda fd: None):
                done = forget(str(self.bob.archive), path.name, before)
            left = Counter(record.text for record in archive.read(path))
            gone = Counter(record.text for record in kept) - left
            assert done.received == gone.total(), (done, gone)
            self.forgotten += gone

    def faults(self) -> list[str]:
        kept = Counter(self.bob.kept()) + self.forgotten
        twice = [f"shown twice: {text}" for text, count in kept.items() if count > 1]
        painted = [f"painted twice: {text}" for text, count in self.bob.screen.items() if count > 1]
        return [*twice, *painted, *(f"lost: {text}" for text in self.due - kept.keys())]

    def close(self) -> None:
        for person in self.house.people:
            person.link.close()
        self.house.__exit__()


class Walks(unittest.TestCase):
    def test_walks(self) -> None:
        happened, faults, wrong = Counter[str](), [], 0
        count = int(os.environ.get("PARLEY_WALKS", WALKS))
        for seed in range(count):
            with tempfile.TemporaryDirectory() as place:
                walk = Walk(seed, Path(place))
                walk.run()
                found = walk.faults()
                wrong += bool(found)
                faults += [f"walk {seed}: {fault}" for fault in found]
                happened += walk.happened
                walk.close()
        print(f"shown once: {count} walks, {wrong} with faults; {dict(happened)}")
        self.assertEqual(faults[:5], [])
        self.assertEqual(min(happened[act] for act in ("power", "kill", "deafen", "die", "robots",
                                                    "forget"))
                         > 0, True)


if __name__ == "__main__":
    unittest.main()

"""What a user says of being away: kept by the daemon, and told once to who writes."""
import errno
import os
import unittest
from random import Random
from unittest import mock

import wire
from rules.state import Caller
from tests.harness.process import effort
from tests.harness.service import Client, Service
from wire import Feature, Outcome, Why

KNOWS = Feature.STATUS | Feature.RECEIPTS


class Statuses(unittest.TestCase):
    def setUp(self) -> None:
        self.service = self.enterContext(Service())
        self.ann, self.bob = self.user("ann"), self.user("bob")
        self.old = self.service.user("old")

    def user(self, name: str) -> Client:
        return self.service.user(name, features=KNOWS)

    def says(self, client: Client, text: str) -> None:
        client.say(wire.SetStatus(7, text))
        client.hears_all(wire.Status)
        client.hears(wire.Done, request=7)

    def test_who_is_here_is_told_at_once(self) -> None:
        self.says(self.bob, "on a train")
        self.ann.hears(wire.Status, name="bob", text="on a train")
        self.old.hears_nothing()
        self.says(self.bob, "on a train")
        self.ann.hears_nothing()
        late = self.user("late")
        late.hears(wire.Status, name="bob", text="on a train")
        self.says(self.bob, "")
        self.ann.hears(wire.Status, name="bob", text="")
        self.assertEqual(self.user("later").hears_all(wire.Status), [])

    def test_it_stays_while_the_user_is_not_connected_and_over_a_restart(self) -> None:
        self.says(self.bob, "until Monday")
        self.bob.hang_up()
        self.service.restart()
        ann = self.user("ann")
        self.assertEqual(ann.hears_all(wire.Status), [], "nobody has written yet")
        bob = self.user("bob")
        bob.hears(wire.Status, name="bob", text="until Monday")
        ann.hears(wire.Status, name="bob", text="until Monday")

    def test_a_sender_is_told_once_for_each_text(self) -> None:
        self.says(self.bob, "until Monday")
        self.ann.hears(wire.Status)
        self.bob.hang_up()
        self.ann.send("bob", "one")
        self.ann.hears(wire.Status, name="bob", text="until Monday")
        self.ann.hears(wire.Stored)
        self.ann.hears(wire.Outcomes, outcome=Outcome.AWAY)
        self.service.user("somebody")                       # audiences are found anew
        self.ann.send("bob", "two")
        self.assertEqual(self.ann.hears_all(wire.Status), [])
        bob = self.user("bob")
        self.says(bob, "until Tuesday")
        bob.hang_up()
        self.ann.hears_all(wire.Status)
        self.ann.send("bob,old", "three")
        self.assertEqual([said.text for said in self.ann.hears_all(wire.Status)],
                         ["until Tuesday"])
        self.old.send("bob", "hm")
        self.assertEqual(self.old.hears_all(wire.Status), [])

    def test_what_is_none(self) -> None:
        for text in ("two\nlines", "x" * (wire.STATUS_MAX + 1), " ", "\x07"):
            self.bob.say(wire.SetStatus(8, text))
            self.bob.hears(wire.Failed, request=8)
        self.says(self.bob, "x" * wire.STATUS_MAX)

    def test_a_full_disk(self) -> None:
        self.says(self.bob, "before")
        self.ann.hears(wire.Status, text="before")
        with mock.patch.object(self.service.mailbox._journals, "append",
                               side_effect=OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))):
            self.bob.say(wire.SetStatus(9, "after"))
            self.bob.hears_all(wire.Status)
            self.bob.hears(wire.Failed, request=9, why=Why.FULL)
        self.assertEqual([said.text for said in self.ann.hears_all(wire.Status)][-1], "before")

    def test_an_errand_tells_nobody(self) -> None:
        """It is no news for the others that bob's programs come and go."""
        self.says(self.bob, "on a train")
        self.ann.hears(wire.Status, name="bob")
        caller = Caller("test:1", 1001)
        self.bob.hang_up()
        self.service.user("bob", features=KNOWS, caller=caller)
        self.ann.hears_all(wire.Status)
        errand = self.service.user("bob", features=KNOWS | Feature.ERRAND | Feature.PERSON,
                                   caller=caller)
        self.assertTrue(errand.welcome.features & Feature.ERRAND)
        errand.hears(wire.Status, name="bob", text="on a train")
        self.ann.hears_nothing()

    def test_by_chance(self) -> None:
        """Who comes, goes, and says or clears a text: each client was told of each user here what
        is true, and of the others nothing but what was true; in pages of three."""
        random, told = Random(7), dict[Client, dict[str, str]]()
        texts, here = dict[str, str](), dict[str, Client]()
        names = [f"user{number}" for number in range(7)]
        with mock.patch("rules.statuses.PAGE", 3):
            for step in range(effort(2000, 200)):
                name = random.choice(names)
                client = here.get(name)
                if client is None:
                    here[name] = client = self.service.user(name, features=KNOWS)
                    told[client] = {}
                elif random.random() < 0.4:
                    del here[name], told[client]
                    client.hang_up()
                else:
                    texts[name] = random.choice(("", f"text {step}"))
                    client.say(wire.SetStatus(7, texts[name]))
                if random.random() < 0.5:
                    continue                    # more happens before anybody listens
                for each, known in told.items():
                    known |= {said.name: said.text for said in each.hears_all(wire.Status)}
                    self.assertEqual({other: known.get(other, "") for other in here},
                                     {other: texts.get(other, "") for other in here}, step)
        self.assertLess(len(self.service.daemon.board.statuses._news), 50)

    def test_in_the_operator_s_table(self) -> None:
        self.says(self.bob, "on a train")
        rows, _ = self.service.daemon.board.table.rows(9)
        self.assertEqual({row.name: row.state for row in rows}["bob"],
                         "available, away: on a train")

    def test_who_was_told_is_forgotten(self) -> None:
        self.says(self.bob, "until Monday")
        self.bob.hang_up()
        for number in range(20):
            client = self.user(f"user{number}")
            client.send("bob", "hi")
            client.hears(wire.Status)
            client.hang_up()
        self.service.run()
        told = self.service.daemon.board.statuses._told
        self.assertLess(len(told), 5)


if __name__ == "__main__":
    unittest.main()

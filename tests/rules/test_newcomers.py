"""Mail to logins of this host that never came: their queue begins with the message."""
import unittest
from unittest import mock

import wire
from net import logins
from net.logins import Logins, is_person
from rules.hosts import Hosts
from rules.rooms import ADMITTED_MAX
from tests.rules.test_identity import ANN, BOB, IDENTITY, House, tcp, unix
from wire import Admission, Feature, Outcome, SendFlag, Why

PEOPLE = {"ann": ("ann", ANN), "bob": ("bob", BOB), "dave": ("Dave", 1004),
          "admin": ("admin", 1005)}     # a reserved name, and a login of many hosts
WHOLE = IDENTITY._replace(logins={"ann": ANN, "bob": BOB, "Dave": 1004, "daemon": 1}.get,
                          person_of=lambda name: PEOPLE.get(name.lower()),
                          lists_people=lambda: True)
LOGINS = Feature.PROVE | Feature.ROSTER | Feature.LOGINS


class Never(unittest.TestCase):
    def setUp(self) -> None:
        self.house = House(WHOLE)
        self.enterContext(self.house)
        self.ann = self.house.enters("ann", unix(ANN), features=LOGINS)

    def says(self, *to, flags=0, client=None):
        """What the daemon says of a message to these."""
        client = client or self.ann
        client.say(wire.Send(client.id(), flags, to, "hi"))
        return [said for kind in (wire.Stored, wire.Outcomes, wire.Refused)
                for said in client.hears_all(kind)]

    def test_it_waits_until_they_come(self) -> None:
        stored, told = self.says("DAVE")
        self.assertIsInstance(stored, wire.Stored)
        self.assertEqual((told.outcome, told.to), (Outcome.NEW, ("Dave",)))
        self.assertEqual(self.ann.state("Dave"), "not connected")
        self.assertEqual(self.ann.roster["Dave"].since, 0)
        self.house.restart()
        self.assertIn("another login", self.house.refused("dave", unix(BOB)))
        dave = self.house.enters("dave", unix(1004), features=Feature.PROVE)
        self.assertEqual((dave.welcome.waiting, dave.welcome.name), (1, "Dave"))
        self.house.away(dave)
        self.ann = self.house.enters("ann", unix(ANN), features=LOGINS)
        self.ann._ids += 10
        _, told = self.says("dave")
        self.assertEqual(told.outcome, Outcome.AWAY)

    def test_an_errand_is_a_visit(self) -> None:
        self.says("dave")
        errand = Feature.PROVE | Feature.PERSON | Feature.ERRAND
        self.house.away(self.house.enters("dave", unix(1004), features=errand))
        self.assertTrue(self.house.mailbox.find("dave").last_seen)

    def test_what_is_no_person_is_no_name(self) -> None:
        for name in "nobody-knows", "daemon", "a b", "Admin":
            (told,) = self.says("dave", name)
            self.assertEqual(told.why, Why.UNKNOWN)
            self.assertIn("no login of this host", told.reason)
        self.assertIsNone(self.house.mailbox.find("dave"))      # nor is one beside it registered

    def test_beside_a_room_or_a_name_that_was_retired(self) -> None:
        """Nobody gets such a message, so nobody is registered for it."""
        self.ann.say(wire.Join(7, "#ops"))
        self.house.enters("bob", unix(BOB))
        bob, board = self.house.mailbox.find("bob"), self.house.daemon.board
        board.retirement.set(bob, True, self.house.clock())
        for other, why in ("#ops", Why.OTHER), ("bob", Why.UNKNOWN), ("#none", Why.UNKNOWN):
            (told,) = self.says("dave", other)
            self.assertEqual(told.why, why)
        self.assertIsNone(self.house.mailbox.find("dave"))

    def test_now_or_never_registers_nobody(self) -> None:
        (told,) = self.says("dave", flags=SendFlag.NOW)
        self.assertEqual(told.why, Why.UNKNOWN)
        self.assertIsNone(self.house.mailbox.find("dave"))

    def test_who_may(self) -> None:
        """A client at the Unix socket that asked for it, where the host lists its logins."""
        self.assertTrue(self.ann.welcome.features & Feature.LOGINS)
        old = self.house.enters("bob", unix(BOB))
        (told,) = self.says("dave", client=old)
        self.assertEqual(told.reason, "no user named dave is in the log")
        self.says("dave")
        old._ids += 10
        self.assertEqual(self.says("dave", client=old)[1].outcome, Outcome.AWAY)
        far = self.house.enters("far", tcp(), features=LOGINS)
        self.assertFalse(far.welcome.features & Feature.LOGINS)
        with House(WHOLE._replace(lists_people=lambda: False)) as house:
            bob = house.enters("bob", unix(BOB), features=LOGINS)
            self.assertFalse(bob.welcome.features & Feature.LOGINS)

    def test_they_count_as_new_names_of_the_sender_s_host(self) -> None:
        self.house.daemon.board.post.newcomers.hosts = Hosts(0, 1, 1000)
        with mock.patch.dict(PEOPLE, eve=("eve", 1005)):
            self.assertEqual(len(self.says("dave")), 2)
            (told,) = self.says("eve")
        self.assertEqual(told.why, Why.FULL)
        self.assertIn("too many new names", told.reason)
        self.assertIsNone(self.house.mailbox.find("eve"))

    def test_a_room_may_be_for_them(self) -> None:
        """They are registered as by a message; and nobody is for what is refused."""
        def admit(kind, *to, client=self.ann):
            client.say(wire.Admit(8, kind, "#ops", to))
            return [said for each in (wire.Done, wire.Failed) for said in client.hears_all(each)]

        self.ann.say(wire.Join(7, "#ops"))
        self.house.enters("bob", unix(BOB))
        self.ann.hears_all(wire.Done)
        for kind, *to in ((Admission.ADD, "dave"), (Admission.NAMES, "dave", "nobody-knows"),
                          (Admission.NAMES, "dave", "#ops"), (Admission.GROUP, "dave"),
                          (Admission.NAMES, *["dave"] * (ADMITTED_MAX + 1))):
            (told,) = admit(kind, *to)
            self.assertIsInstance(told, wire.Failed, to)
            self.assertIsNone(self.house.mailbox.find("dave"), to)
        self.assertEqual(admit(Admission.NAMES, "bob"), [wire.Done(8)])
        self.assertEqual(admit(Admission.ADD, "DAVE"), [wire.Done(8)])
        self.house.restart()
        dave = self.house.enters("dave", unix(1004), features=LOGINS | Feature.ROOMS)
        dave.say(wire.Join(9, "#ops"))
        self.assertEqual(dave.hears_all(wire.Done), [wire.Done(9)])


class People(unittest.TestCase):
    """Which logins are people's."""

    def logins(self, *entries, whole=True, definitions="UID_MIN 500\n", shells="/bin/sh\n# x\n"):
        made = [mock.Mock(pw_name=name, pw_uid=uid, pw_shell=shell)
                for name, uid, shell in (("root", 0, "/bin/sh"), ("nobody", 65534, "/nologin"),
                                         *entries)]

        def opened(path, **more):
            text = {logins.DEFINITIONS: definitions, logins.SHELLS: shells}.get(path)
            if text is None:
                raise FileNotFoundError
            return mock.mock_open(read_data=text)()
        found = Logins(lists_all=lambda: whole)
        with mock.patch("pwd.getpwall", lambda: made), mock.patch("builtins.open", opened):
            found.list_all()
        return found

    def test_a_uid_of_people_and_a_shell(self) -> None:
        found = self.logins(("ann", 500, "/bin/sh"), ("Bob", 501, ""), ("ftp", 502, "/nologin"),
                            ("daemon", 499, "/bin/sh"))
        with mock.patch.object(found, "_look_at", float("inf")):
            self.assertEqual([found.person(name) for name in (
                "ANN", "bob", "ftp", "daemon", "root", "nobody", "eve")],
                [("ann", 500), ("Bob", 501), None, None, None, None, None])
            self.assertTrue(found.are_listed)

    def test_without_the_files(self) -> None:
        found = self.logins(("ann", 999, "/bin/sh"), ("bob", 1000, "/bin/sh"),
                            ("eve", 1001, "/bin/zsh"), definitions=None, shells=None)
        with mock.patch.object(found, "_look_at", float("inf")):
            self.assertEqual([bool(found.person(name)) for name in ("ann", "bob", "eve")],
                             [False, True, False])

    def test_a_list_that_is_not_whole_has_nobody(self) -> None:
        found = self.logins(("ann", 1000, "/bin/sh"), whole=False)
        with mock.patch.object(found, "_look_at", float("inf")):
            self.assertEqual((found.person("ann"), found.are_listed), (None, False))

    def test_as_a_client_sees_it(self) -> None:
        people = {"ann": mock.Mock(pw_uid=1001, pw_shell=""), "www": mock.Mock(pw_uid=33,
                                                                               pw_shell="")}
        with mock.patch("pwd.getpwnam", people.__getitem__):
            self.assertEqual([is_person(name) for name in ("ann", "ANN", "www", "eve")],
                             [True, True, False, False])
        with mock.patch("pwd.getpwnam", side_effect=OSError):
            self.assertFalse(is_person("ann"))


if __name__ == "__main__":
    unittest.main()

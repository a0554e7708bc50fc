"""chats: every state of a user, every event, the outcome; who can be invited; sessions; the end of
an invitation."""
import unittest

import wire
from rules import invitations
from rules.chats import RULES, Event, State
from rules.invitations import INVITATIONS_MAX, INVITING_BURST, INVITING_SECONDS
from rules.sessions import LINES_MAX
from tests.harness.service import Service
from tests.rules.specification import Scene, is_sound

A, N, P, B = State.AVAILABLE, State.INVITING, State.PLEDGED, State.BUSY
PEOPLE = ("ann", "bob", "cat", "dan", "eve")

# How ann comes into each state.  In the first two eve's invitation waits for her; in the others it
# was called off.
WAYS = {
    A: ("eve: invite ann",),
    N: ("eve: invite ann", "ann: invite bob"),
    P: ("eve: invite ann", "dan: invite ann,bob", "ann: accept dan"),
    B: ("eve: invite ann", "dan: invite ann", "ann: accept dan"),
}
BEFORE = {A: {"eve": N}, N: {"eve": N, "ann": N}, P: {"dan": N, "ann": P}, B: {"dan": B, "ann": B}}

# What ann does; then what everybody hears, and the states of those who are not simply available.
OUTCOMES = {
    (A, "invite cat"): ({"ann": ["INVITING ann,cat"], "cat": ["INVITATION ann"]},
                        {"ann": N, "eve": N}),
    (N, "invite cat"): ({"ann": ["FAILED busy"]}, BEFORE[N]),
    (P, "invite cat"): ({"ann": ["FAILED busy"]}, BEFORE[P]),
    (B, "invite cat"): ({"ann": ["FAILED busy"]}, BEFORE[B]),

    (A, "accept eve"): ({"ann": ["STARTED eve,ann"], "eve": ["STARTED eve,ann"]},
                        {"ann": B, "eve": B}),
    (N, "accept eve"): ({"ann": ["CALLED_OFF withdrawn ann", "STARTED eve,ann"],
                         "bob": ["CALLED_OFF withdrawn ann"],
                         "eve": ["STARTED eve,ann"]}, {"ann": B, "eve": B}),
    (P, "accept eve"): ({"ann": ["CALLED_OFF unknown ann"]}, BEFORE[P]),
    (P, "accept dan"): ({"ann": ["CALLED_OFF unknown ann"]}, BEFORE[P]),
    (B, "accept eve"): ({"ann": ["CALLED_OFF unknown ann"]}, BEFORE[B]),
    (B, "accept dan"): ({"ann": ["CALLED_OFF unknown ann"]}, BEFORE[B]),

    (A, "deny eve"): ({"ann": ["CALLED_OFF denied ann"], "eve": ["CALLED_OFF denied ann"]}, {}),
    (N, "deny eve"): ({"ann": ["CALLED_OFF denied ann"], "eve": ["CALLED_OFF denied ann"]},
                      {"ann": N}),
    (P, "deny eve"): ({"ann": ["CALLED_OFF unknown ann"]}, BEFORE[P]),
    (P, "deny dan"): ({"ann": ["CALLED_OFF unknown ann"]}, BEFORE[P]),
    (B, "deny eve"): ({"ann": ["CALLED_OFF unknown ann"]}, BEFORE[B]),
    (B, "deny dan"): ({"ann": ["CALLED_OFF unknown ann"]}, BEFORE[B]),

    (A, "withdraw eve"): ({"ann": ["CALLED_OFF unknown ann"]}, BEFORE[A]),
    (N, "withdraw eve"): ({"ann": ["CALLED_OFF unknown ann"]}, BEFORE[N]),
    (N, "withdraw"): ({"ann": ["CALLED_OFF withdrawn ann"], "bob": ["CALLED_OFF withdrawn ann"]},
                      {"eve": N}),
    (P, "withdraw eve"): ({"ann": ["CALLED_OFF unknown ann"]}, BEFORE[P]),
    (P, "withdraw dan"): ({who: ["CALLED_OFF withdrawn ann"] for who in ("ann", "bob", "dan")}, {}),
    (B, "withdraw eve"): ({"ann": ["CALLED_OFF unknown ann"]}, BEFORE[B]),
    (B, "withdraw dan"): ({"ann": ["CALLED_OFF unknown ann"]}, BEFORE[B]),

    (A, "say hi"): ({"ann": ["FAILED unknown"]}, BEFORE[A]),
    (N, "say hi"): ({"ann": ["FAILED unknown"]}, BEFORE[N]),
    (P, "say hi"): ({"ann": ["FAILED unknown"]}, BEFORE[P]),
    (B, "say hi"): ({"dan": ["ann: hi"]}, BEFORE[B]),

    (A, "say quit"): ({"ann": ["FAILED unknown"]}, BEFORE[A]),
    (N, "say quit"): ({"ann": ["FAILED unknown"]}, BEFORE[N]),
    (P, "say quit"): ({"ann": ["FAILED unknown"]}, BEFORE[P]),
    (B, "say quit"): ({"ann": ["ENDED quit ann"], "dan": ["ENDED quit ann"]}, {}),

    # what happens to her without being asked for
    (A, "vanish"): ({"eve": ["CALLED_OFF gone ann"]}, {"ann": None}),
    (N, "vanish"): ({"eve": ["CALLED_OFF gone ann"], "bob": ["CALLED_OFF gone ann"]},
                    {"ann": None}),
    (P, "vanish"): ({"dan": ["CALLED_OFF gone ann"], "bob": ["CALLED_OFF gone ann"]},
                    {"ann": None}),
    (B, "vanish"): ({"dan": ["ENDED gone ann"]}, {"ann": None}),

    (A, "wait 60"): ({"ann": ["CALLED_OFF expired ann"], "eve": ["CALLED_OFF expired ann"]}, {}),
    (N, "wait 60"): ({"ann": ["CALLED_OFF expired ann", "CALLED_OFF expired bob"],
                      "eve": ["CALLED_OFF expired ann"], "bob": ["CALLED_OFF expired bob"]}, {}),
    (P, "wait 60"): ({who: ["CALLED_OFF expired bob"] for who in ("ann", "bob", "dan")}, {}),
    (B, "wait 60"): ({}, BEFORE[B]),
}
# What others do to her.
UNASKED = {
    (A, "eve: withdraw"): ({"ann": ["CALLED_OFF withdrawn eve"],
                            "eve": ["CALLED_OFF withdrawn eve"]}, {}),
    (A, "eve: vanish"): ({"ann": ["CALLED_OFF gone eve"]}, {"eve": None}),
    (A, "cat: invite ann"): ({"ann": ["INVITATION cat"], "cat": ["INVITING cat,ann"]},
                             {"cat": N, "eve": N}),
    (N, "eve: withdraw"): ({"ann": ["CALLED_OFF withdrawn eve"],
                            "eve": ["CALLED_OFF withdrawn eve"]}, {"ann": N}),
    (N, "eve: vanish"): ({"ann": ["CALLED_OFF gone eve"]}, {"ann": N, "eve": None}),
    (N, "cat: invite ann"): ({"ann": ["INVITATION cat"], "cat": ["INVITING cat,ann"]},
                             {"ann": N, "cat": N, "eve": N}),
    (N, "bob: accept ann"): ({"ann": ["CALLED_OFF busy ann", "STARTED ann,bob"],
                              "bob": ["STARTED ann,bob"],
                              "eve": ["CALLED_OFF busy ann"]}, {"ann": B, "bob": B}),
    (N, "bob: deny ann"): ({"ann": ["CALLED_OFF denied bob"], "bob": ["CALLED_OFF denied bob"]},
                           {"eve": N}),
    (N, "bob: vanish"): ({"ann": ["CALLED_OFF gone bob"]}, {"eve": N, "bob": None}),
    (P, "dan: withdraw"): ({who: ["CALLED_OFF withdrawn dan"] for who in ("ann", "bob", "dan")},
                           {}),
    (P, "dan: vanish"): ({who: ["CALLED_OFF gone dan"] for who in ("ann", "bob")}, {"dan": None}),
    (P, "bob: deny dan"): ({who: ["CALLED_OFF denied bob"] for who in ("ann", "bob", "dan")}, {}),
    (P, "bob: vanish"): ({who: ["CALLED_OFF gone bob"] for who in ("ann", "dan")}, {"bob": None}),
    (P, "bob: accept dan"): ({who: ["STARTED dan,ann,bob"] for who in ("ann", "bob", "dan")},
                             {"ann": B, "bob": B, "dan": B}),
    (P, "bob: invite cat"): ({"bob": ["INVITING bob,cat"], "cat": ["INVITATION bob"]},
                             {"bob": N} | BEFORE[P]),
    (P, "cat: invite ann"): ({"cat": ["FAILED busy"]}, BEFORE[P]),
    (B, "cat: invite ann"): ({"cat": ["FAILED busy"]}, BEFORE[B]),
    (B, "dan: say hi"): ({"ann": ["dan: hi"]}, BEFORE[B]),
    (B, "dan: say QUIT"): ({"ann": ["ENDED quit dan"], "dan": ["ENDED quit dan"]}, {}),
    (B, "dan: vanish"): ({"ann": ["ENDED gone dan"]}, {"dan": None}),
}


class StateAndEvent(unittest.TestCase):
    def assert_outcome(self, state, line, heard, states):
        with self.subTest(state=state.name, line=line), Scene(*PEOPLE) as scene:
            scene.play(*WAYS[state])
            self.assertEqual(scene.states(), BEFORE[state])
            scene.forget()
            scene.play(line)
            if line == "ann: vanish":
                del scene.people["ann"].heard[:]
            self.assertEqual(scene.all_heard(), heard)
            self.assertEqual(scene.states(), states)
            self.assertTrue(is_sound(scene.daemon.board))

    def test_what_a_user_does(self):
        for (state, what), (heard, states) in OUTCOMES.items():
            self.assert_outcome(state, f"ann: {what}", heard, states)

    def test_what_others_do(self):
        for (state, line), (heard, states) in UNASKED.items():
            self.assert_outcome(state, line, heard, states)

    def test_no_pair_is_left_out(self):
        """Each cell of RULES, and each event that is not asked for, is in the tables above."""
        verbs = {"invite": Event.INVITE, "accept": Event.ACCEPT, "deny": Event.DENY,
                 "withdraw": Event.WITHDRAW, "say": Event.SAY}
        tested = {(state, verbs[what.split()[0]])
                  for state, what in OUTCOMES if what.split()[0] in verbs}
        self.assertEqual(tested, {(state, event) for state in State for event in Event})
        for event in ("vanish", "wait 60"):
            self.assertEqual({state for state, what in OUTCOMES if what == event}, set(State))

    def test_the_rules_agree(self):
        """Where RULES says no, the request is refused and nobody else hears of it."""
        for event, row in RULES.items():
            for state, refusal in zip(State, row, strict=True):
                if refusal is None:
                    continue
                for (tested, what), (heard, states) in OUTCOMES.items():
                    if tested is state and what.split()[0].upper() == event.name:
                        self.assertEqual((set(heard), states), ({"ann"}, BEFORE[state]), what)

    def test_a_number_that_never_was(self):
        for state in State:
            with self.subTest(state), Scene(*PEOPLE) as scene:
                scene.play(*WAYS[state])
                scene.forget()
                scene.invitations["nobody"] = 4_000_000_000
                scene.play("ann: accept nobody", "ann: deny nobody", "ann: withdraw nobody")
                self.assertEqual(scene.all_heard(), {"ann": ["CALLED_OFF unknown ann"] * 3})
                self.assertEqual(scene.states(), BEFORE[state])

    def test_an_invitation_of_others(self):
        """Neither answered nor withdrawn by one who is not in it."""
        with Scene(*PEOPLE) as scene:
            scene.play("ann: invite bob")
            scene.forget()
            scene.play("eve: accept ann", "eve: deny ann", "eve: withdraw ann", "ann: accept ann",
                       "ann: deny ann")
            self.assertEqual(scene.all_heard(), {"eve": ["CALLED_OFF unknown eve"] * 3,
                                                 "ann": ["CALLED_OFF unknown ann"] * 2})
            self.assertEqual(scene.states(), {"ann": N})


class WhoCanBeInvited(unittest.TestCase):
    def refused(self, scene, names, why):
        scene.forget()
        before = scene.states()
        scene.play(f"ann: invite {names}")
        self.assertEqual(scene.all_heard(), {"ann": [f"FAILED {why}"]}, names)
        self.assertEqual(scene.states(), before)

    def test_nobody(self):
        with Scene(*PEOPLE) as scene:
            self.refused(scene, "", "empty")

    def test_unknown_absent_or_oneself(self):
        with Scene(*PEOPLE) as scene:
            scene.play("eve: exit")
            scene.people.pop("eve")
            for names in ("nobody", "eve", "ann", "bob,nobody", "bob,eve", "bob,ann"):
                self.refused(scene, names, "unknown")

    def test_the_busy_and_the_pledged(self):
        with Scene(*PEOPLE, "fay", "gus", "hal") as scene:
            scene.chat("bob", "cat")
            scene.play("dan: invite eve,fay", "eve: accept dan")
            for name in ("bob", "cat", "eve"):
                self.refused(scene, name, "busy")
                self.refused(scene, f"gus,{name}", "busy")

    def test_one_who_invites_may_be_invited(self):
        with Scene(*PEOPLE) as scene:
            scene.play("bob: invite cat", "ann: invite bob", "bob: accept ann")
            self.assertEqual(scene.states(), {"ann": B, "bob": B})
            self.assertEqual(scene.heard("cat"), ["INVITATION bob", "CALLED_OFF withdrawn bob"])

    def test_case_and_repetition(self):
        with Scene("Ann", "Bob", "cat") as scene:
            scene.play("Ann: invite BOB,bob,CAT")
            self.assertEqual(scene.heard("Ann"), ["INVITING Ann,Bob,cat"])

    def test_invitations_to_answer(self):
        """INVITATIONS_MAX - 1, INVITATIONS_MAX, and one more."""
        others = [f"u{number}" for number in range(INVITATIONS_MAX)]
        with Scene("ann", "bob", *others) as scene:
            for other in others:
                scene.play(f"{other}: invite bob")
                self.assertEqual(scene.heard(other), [f"INVITING {other},bob"])
            self.refused(scene, "bob", "busy")
            scene.play(f"bob: deny {others[1]}")
            scene.forget()
            scene.play("ann: invite bob")
            self.assertEqual(scene.heard("ann"), ["INVITING ann,bob"])

    def test_the_first_accepted_calls_off_the_others(self):
        with Scene(*PEOPLE) as scene:
            scene.play("ann: invite eve", "bob: invite eve", "cat: invite eve,dan",
                       "eve: accept bob")
            self.assertEqual(scene.heard("ann")[1:], ["CALLED_OFF busy eve"])
            self.assertEqual(scene.heard("cat")[1:], ["CALLED_OFF busy eve"])
            self.assertEqual(scene.heard("dan"), ["INVITATION cat", "CALLED_OFF busy eve"])
            self.assertEqual(scene.states(), {"bob": B, "eve": B})

    def test_each_invites_the_other(self):
        """Two who ask each other at once: the first to accept starts the one chat."""
        with Scene("ann", "bob") as scene:
            scene.play("ann: invite bob", "bob: invite ann")
            scene.forget()
            scene.play("ann: accept bob")
            self.assertEqual(scene.all_heard(), {
                "ann": ["CALLED_OFF withdrawn ann", "STARTED bob,ann"],
                "bob": ["CALLED_OFF withdrawn ann", "STARTED bob,ann"]})
            scene.play("bob: accept ann")
            self.assertEqual(scene.all_heard(), {"bob": ["CALLED_OFF unknown bob"]})
            self.assertEqual(len(scene.daemon.board.sessions.active), 1)

    def test_as_many_as_may_be(self):
        """INVITED_MAX - 1, INVITED_MAX, and one more (with a smaller number than the real one)."""
        names = [f"u{number}" for number in range(6)]
        limit, invitations.INVITED_MAX = invitations.INVITED_MAX, 5
        self.addCleanup(setattr, invitations, "INVITED_MAX", limit)
        for count, heard in ((4, "INVITING"), (5, "INVITING"), (6, "FAILED empty")):
            with Scene("ann", *names) as scene:
                scene.play(f"ann: invite {','.join(names[:count])}")
                self.assertTrue(scene.heard("ann")[0].startswith(heard), count)

    def test_one_name_many_times_leaves_nobody_out(self):
        """More names than may be invited, but few users: all of them are invited, or nobody is."""
        with Scene("ann", "bob", "cat") as scene:
            scene.people["ann"].say(wire.Invite(1, ("bob",) * (invitations.INVITED_MAX + 1)
                                                + ("cat",)))
            self.assertIn(scene.heard("ann"), (["INVITING ann,bob,cat"], ["FAILED empty"]))

    def test_a_thousand_invited_fit_a_frame(self):
        names = tuple(f"{number:032}" for number in range(invitations.INVITED_MAX + 1))
        for said in (wire.Invitation(1, 60, names[0], names), wire.Inviting(1, 1, 60, names),
                     wire.Started(1, 1, names)):
            self.assertLess(len(wire.encode(said)), wire.FRAME_MAX)


class HowOften(unittest.TestCase):
    """A rate for each inviter."""

    def invite(self, scene, who="ann", to="bob"):
        """Invite and take it back; why not, or ""."""
        client = scene.people[who]
        client.say(wire.Invite(1, (to,)))
        client.listen()
        (said,) = client.hears_all(wire.Inviting) or client.hears_all(wire.Failed)
        if isinstance(said, wire.Failed):
            self.assertEqual(said.why, wire.Why.BUSY)
            return said.reason
        client.say(wire.Withdraw(said.invitation))
        return ""

    def test_a_burst(self):
        """n, not n + 1; one more after the time, not before; others have their own."""
        with Scene("ann", "bob", "cat") as scene:
            said = [self.invite(scene) for _ in range(INVITING_BURST + 1)]
            self.assertEqual(said, [""] * INVITING_BURST
                             + [f"too many invitations: wait {INVITING_SECONDS} s"])
            self.assertEqual(len(scene.people["bob"].hears_all(wire.Invitation)), INVITING_BURST)
            self.assertEqual(self.invite(scene, "cat"), "")
            scene.forward(INVITING_SECONDS - 0.5)
            self.assertEqual(self.invite(scene), "too many invitations: wait 1 s")
            scene.forward(0.5)
            self.assertEqual([bool(self.invite(scene)) for _ in range(2)], [False, True])
            scene.forward(INVITING_BURST * INVITING_SECONDS)
            self.assertEqual([bool(self.invite(scene)) for _ in range(INVITING_BURST + 1)],
                             [False] * INVITING_BURST + [True])

    def test_whoever_it_is(self):
        """Another victim, another connection, an operator: it is one bucket for each name."""
        with Scene("ann", "bob", "cat") as scene:
            for _ in range(INVITING_BURST):
                self.invite(scene)
            self.assertRegex(self.invite(scene, to="cat"), "too many")
            scene.play("ann: vanish")
            scene.enter("ann")
            scene.inside("ann").is_operator = True
            self.assertRegex(self.invite(scene), "too many")

    def test_what_was_not_possible_is_not_counted(self):
        with Scene("ann", "bob") as scene:
            for _ in range(INVITING_BURST + 5):
                scene.play("ann: invite nobody", "ann: invite ann")
            scene.forget()
            self.assertEqual(self.invite(scene), "")

    def test_a_flood_is_cut(self):
        """As many in a time as the rate says, however fast they come."""
        with Scene("ann", "bob") as scene:
            for _ in range(300):
                self.invite(scene)
                scene.forward(0.1)
            came = len(scene.people["bob"].hears_all(wire.Invitation))
            self.assertAlmostEqual(came, INVITING_BURST + 300 // 10 // INVITING_SECONDS, delta=1)


class Sessions(unittest.TestCase):
    def test_lines_go_to_the_others(self):
        with Scene(*PEOPLE) as scene:
            scene.chat("ann", "bob", "cat")
            scene.play("ann: say hi", "bob: say hello")
            self.assertEqual(scene.all_heard(), {"ann": ["bob: hello"], "bob": ["ann: hi"],
                                                 "cat": ["ann: hi", "bob: hello"]})

    def test_quit_is_a_word_alone_in_any_case(self):
        for text, ends in (("Quit", True), ("quit", True), ("QUIT", True), ("  qUiT\n", True),
                           ("quit now", False), ("quit.", False), ("qui t", False)):
            with self.subTest(text), Scene("ann", "bob") as scene:
                scene.chat("ann", "bob")
                scene.play(f"ann: say {text}")
                self.assertEqual(scene.heard("bob"),
                                 ["ENDED quit ann"] if ends else [f"ann: {text}"])
                self.assertEqual(scene.states(), {} if ends else {"ann": B, "bob": B})

    def test_bad_texts(self):
        for text, why in (("", "empty"), (" \n", "empty"), ("a\x1b[m", "bad_text"),
                          ("x" * 16385, "bad_text")):
            with Scene("ann", "bob") as scene:
                scene.chat("ann", "bob")
                scene.play(f"ann: say {text}")
                self.assertEqual(scene.all_heard(), {"ann": [f"FAILED {why}"]})
                self.assertEqual(scene.states(), {"ann": B, "bob": B})

    def test_another_chat(self):
        with Scene(*PEOPLE) as scene:
            scene.chat("ann", "bob")
            scene.chat("cat", "dan")
            scene.people["ann"].say(wire.Say(9, scene.inside("cat").chats.session.number, "hi"))
            self.assertEqual(scene.all_heard(), {"ann": ["FAILED unknown"]})

    def test_a_group_goes_on_while_two_remain(self):
        for way, why in (("say quit", "quit"), ("vanish", "gone"), ("exit", "gone")):
            with self.subTest(way), Scene(*PEOPLE) as scene:
                scene.chat("ann", "bob", "cat")
                scene.play(f"bob: {way}")
                self.assertEqual(scene.heard("ann"), [f"LEFT {why} bob"])
                self.assertEqual(scene.heard("cat"), [f"LEFT {why} bob"])
                scene.play("ann: say still here")
                self.assertEqual(scene.heard("cat"), ["ann: still here"])
                scene.play("cat: say quit")
                self.assertEqual(scene.heard("ann"), ["ENDED quit cat"])
                self.assertEqual(scene.daemon.board.sessions.active, {})

    def test_who_leaves_a_group_hears_its_end(self):
        with Scene(*PEOPLE) as scene:
            scene.chat("ann", "bob", "cat")
            scene.play("bob: say quit")
            self.assertEqual(scene.heard("bob"), ["ENDED quit bob"])
            self.assertEqual(scene.states(), {"ann": B, "cat": B})
            scene.play("bob: invite dan")
            self.assertEqual(scene.heard("bob"), ["INVITING bob,dan"])

    def test_side_by_side(self):
        with Scene(*(f"u{number}" for number in range(12))) as scene:
            for number in range(0, 12, 2):
                scene.chat(f"u{number}", f"u{number + 1}")
            scene.play(*(f"u{number}: say {number}" for number in range(12)))
            self.assertEqual(scene.all_heard(), {f"u{number}": [f"u{number ^ 1}: {number ^ 1}"]
                                                 for number in range(12)})

    def test_taken_over_ends_it(self):
        """The owner of a dead session comes back: the chat of the dead one is over."""
        with Scene("ann", "bob") as scene:
            scene.chat("ann", "bob")
            old = scene.people["ann"]
            scene.enter("ann", token=old.welcome.token)
            self.assertEqual(scene.heard("bob"), ["ENDED gone ann"])
            self.assertEqual(scene.states(), {})

    def test_a_member_who_does_not_read_is_put_out(self):
        """Above LINES_MAX unread; the others are told, he too when he reads again, and stays
        connected."""
        with Scene("ann", "bob", "cat") as scene:
            scene.chat("ann", "bob", "cat")
            line = wire.encode(wire.Say(1, scene.inside("ann").chats.session.number, "x" * 16000))
            for _ in range(LINES_MAX // 16000 * 4):
                scene.people["ann"].say_bytes(line)
                if scene.state("bob") is not B:
                    break
                scene.people["cat"].listen()
            self.assertEqual(scene.heard("cat")[-1], "LEFT slow bob")
            self.assertEqual(scene.heard("ann"), ["LEFT slow bob"])
            self.assertEqual(scene.heard("bob")[-1], "ENDED slow bob")
            self.assertEqual(scene.states(), {"ann": B, "cat": B})


class Expiry(unittest.TestCase):
    def test_at_its_time_and_not_before(self):
        with Scene("ann", "bob") as scene:
            scene.play("ann: invite bob")
            self.assertEqual(scene.people["bob"].hears(wire.Invitation).seconds, 60)
            scene.play("ann: wait 59.999")
            self.assertEqual(scene.states(), {"ann": N})
            scene.play("ann: wait 0.002")
            self.assertEqual(scene.heard("bob"), ["CALLED_OFF expired bob"])
            self.assertEqual(scene.states(), {})

    def test_the_daemon_wakes_for_it(self):
        """The loop waits no longer than until the next invitation expires."""
        with Scene("ann", "bob") as scene:
            scene.play("ann: invite bob")
            scene.clock.forward(59.5)
            scene.run()
            self.assertLessEqual(scene.daemon._timeout(None), 0.5)

    def test_of_a_group_names_one_who_was_silent(self):
        with Scene(*PEOPLE) as scene:
            scene.play("ann: invite bob,cat,dan", "bob: accept ann", "dan: accept ann")
            scene.forget()
            scene.play("ann: wait 60")
            told = {who: ["CALLED_OFF expired cat"] for who in ("ann", "bob", "cat", "dan")}
            self.assertEqual(scene.all_heard(), told)

    def test_one_after_the_other(self):
        with Scene(*PEOPLE) as scene:
            scene.play("ann: invite bob", "ann: wait 30", "cat: invite dan", "ann: wait 30")
            self.assertEqual(scene.states(), {"cat": N})
            scene.play("ann: wait 30")
            self.assertEqual(scene.states(), {})

    def test_a_wall_clock_that_jumps_changes_nothing(self):
        with Scene("ann", "bob") as scene:
            scene.play("ann: invite bob")
            for years in (-40, 80):
                scene.clock.wall += years * 31_536_000_000_000
                scene.run()
            self.assertEqual(scene.states(), {"ann": N})


class Numbers(unittest.TestCase):
    def test_they_only_grow_and_are_never_0(self):
        with Service() as service:
            numbers = service.daemon.board.sessions
            numbers._numbers = 2**32 - 2
            self.assertEqual([numbers.new_number() for _ in range(3)], [2**32 - 1, 1, 2])


if __name__ == "__main__":
    unittest.main()

"""Long random walks over the whole service, against a model made of dictionaries.

Users connect, vanish, are taken over, send, hold, check, confirm, invite, answer, chat; invitations
expire; the daemon is killed and started again.  After each step the daemon must agree with the
model:

    per message and recipient: sent = confirmed + waiting, and nothing comes after it was confirmed
    each stream (live, a check) in the order of ids; WAITING and CHECKED count exactly
    the sender told one outcome for each recipient; receipts name what was confirmed and nothing
    else who is in no chat of the model is available; no invitation outlives its time the roster of
    each client, when it has settled, is the model
"""
import random
import unittest

import wire
from daemon import Daemon
from mailbox import Mailbox
from rules import delivery, invitations
from rules.chats import State, state_of
from rules.invitations import INVITATIONS_MAX
from rules.state import NO_INVITATIONS
from store.disk import Disk
from store.user import NO_MAIL, NO_ORIGINS, NO_PAGES, NO_RANGES
from tests.harness.service import Notes, Service
from tests.rules.specification import is_sound
from wire import Outcome, SendFlag

NAMES = tuple(f"u{number}" for number in range(8))
PATIENCE = 60


class Unsynced(Disk):
    """A disk that does not wait: in these tests nothing but the process dies."""

    def datasync(self, fd):
        pass

    def sync(self, fd):
        pass

    def sync_directory(self, path):
        pass


class Sealing(Service):
    """A daemon whose mailbox seals every few thousand bytes."""

    def start(self):
        self.notes = Notes()
        self.mailbox = Mailbox(self.store, Unsynced(), seal_at=6000, small=3000)
        self.daemon = Daemon(self.mailbox, self.notes, self.limits, house="test", clock=self.clock)


class Post:
    """The model of messages.  A message is named by its sender and the sender's own id."""

    def __init__(self):
        self.texts = {}
        self.recipients = {}                                # of each message: names
        self.waiting = {name: {} for name in NAMES}         # not confirmed: message -> None
        # of these, what a CHECK would bring while not holding
        self.checkable = {name: set() for name in NAMES}
        self.confirmed = {name: set() for name in NAMES}

    def put(self, key, text, names):
        self.texts[key], self.recipients[key] = text, set(names)
        for name in names:
            self.waiting[name][key] = None

    def confirm(self, name, keys):
        """Those of them that are confirmed only now."""
        fresh = [key for key in keys if self.waiting[name].pop(key, self) is None]
        self.checkable[name].difference_update(fresh)
        self.confirmed[name].update(fresh)
        return fresh


class Rooms:
    """The model of invitations and chats."""

    def __init__(self):
        self.invitations = {}       # number -> (inviter, invited, accepted, the time it ends)
        self.chats = {}             # number -> members

    def chat_of(self, name):
        return next((number for number, members in self.chats.items() if name in members), None)

    def sent_by(self, name):
        return next((number for number, row in self.invitations.items() if row[0] == name), None)

    def pledged(self, name):
        return next((number for number, row in self.invitations.items() if name in row[2]), None)

    def to_answer(self, name):
        return [number for number, row in self.invitations.items() if name in row[1] - row[2]]

    def state(self, name):
        if self.chat_of(name):
            return State.BUSY
        if self.pledged(name):
            return State.PLEDGED
        return State.INVITING if self.sent_by(name) else State.AVAILABLE

    def is_invitable(self, name):
        free = self.state(name) in (State.AVAILABLE, State.INVITING)
        return free and len(self.to_answer(name)) < INVITATIONS_MAX

    def accept(self, name, number):
        """The members if this was the last answer that was missing."""
        inviter, invited, accepted, _ = self.invitations[number]
        self.clear(name, number)
        accepted.add(name)
        if accepted != invited:
            return None
        self.clear(inviter, number)
        del self.invitations[number]
        return {inviter, *invited}

    def clear(self, name, but):
        for number in (self.sent_by(name), *self.to_answer(name)):
            if number != but:
                self.invitations.pop(number, None)

    def leave_chat(self, name):
        number = self.chat_of(name)
        self.chats[number].discard(name)
        if len(self.chats[number]) < 2:
            del self.chats[number]

    def leave(self, name):
        if self.chat_of(name):
            self.leave_chat(name)
        for number, row in list(self.invitations.items()):
            if name == row[0] or name in row[1]:
                del self.invitations[number]

    def expire(self, now):
        for number, row in list(self.invitations.items()):
            if row[3] <= now:
                del self.invitations[number]


class Walk:
    """A walk: `step` does one thing that is possible now, and compares."""

    def __init__(self, service, seed, **weights):
        self.service = service
        self.source = random.Random(seed)
        self.post, self.rooms = Post(), Rooms()
        self.here = {}                                      # connected: name -> client
        self.news = {}                                      # what each client was told in this step
        self.ids = dict.fromkeys(NAMES, 1 << 32)            # the last id each used
        # runs of mail shown and not confirmed: [(id, message)]
        self.ranges = {name: [] for name in NAMES}
        self.shown = {name: {} for name in NAMES}           # everything ever shown: id -> message
        # messages that each sent: may be repeated
        self.past = {name: [] for name in NAMES}
        # the last of each that found nobody: it may be sent again
        self.absent = {}
        # due in this step: (sender, reader) -> origins
        self.receipts = {}
        self.steps = [(getattr(self, name), weight) for name, weight in (WEIGHTS | weights).items()]

    def step(self):
        (act,) = self.source.choices([act for act, _ in self.steps],
                                     [weight for _, weight in self.steps])
        self.news, self.receipts = {name: [] for name in NAMES}, {}
        act()
        self.hear()
        self.compare()
        return act.__name__

    def one(self, names):
        names = sorted(names)
        return self.source.choice(names) if names else None

    # ---- hearing ----

    def hear(self):
        for name, client in list(self.here.items()):
            client.listen()
            assert not client.closed, f"{name} was disconnected"
            heard, client.heard = client.heard, []
            for said in heard:
                self.take(name, client, said)

    def take(self, name, client, said):
        if isinstance(said, wire.Mail):
            self.take_mail(name, client, said)
        elif isinstance(said, wire.Delivered):
            self.take_receipt(name, said)
        elif isinstance(said, wire.Ping):
            client.say(wire.Pong(said.stamp))
        elif isinstance(said, wire.Checked):
            assert said.total == client.checked, (said, client.checked)
            client.checked = None
        else:
            self.news[name].append(said)

    def take_mail(self, name, client, said):
        key = said.sender, said.origin
        assert key in self.post.waiting[name], f"{name} got {key} again"
        assert said.text == self.post.texts[key]
        check = bool(said.flags & SendFlag.CHECK)
        assert said.id > client.at[check], f"{name} got {said.id} after {client.at[check]}"
        client.at[check] = said.id
        if check:
            if client.asked is None:            # it brings what waits when it begins
                waiting = self.post.waiting if client.holding else self.post.checkable
                client.asked = set(waiting[name])
            assert key in client.asked, f"{name} got {key}, which was not waiting, by a check"
            client.checked += 1
        run = client.runs[check]
        if not run:
            self.ranges[name].append(run)
        run.append(said.id)
        self.shown[name][said.id] = key

    def take_receipt(self, sender, said):
        """Every message of the range to this reader was confirmed; those that were due are
        named."""
        for key in self.past[sender]:
            if said.first <= key[1] <= said.last and said.by in self.post.recipients[key]:
                assert key in self.post.confirmed[said.by], f"{said} names {key}"
        due = self.receipts.get((sender, said.by), set())
        due.difference_update({origin for origin in due if said.first <= origin <= said.last})

    # ---- comparing ----

    def compare(self):
        assert not any(self.receipts.values()), f"no receipt for {self.receipts}"
        board = self.service.daemon.board
        is_sound(board)
        assert {client.name for client in board.roster.clients.values()} == set(self.here)
        for user in self.service.mailbox.users:
            assert user.waiting == len(self.post.waiting[user.name]), user
        for client in board.roster.clients.values():
            assert state_of(client) is self.rooms.state(client.name), client.name
        assert set(board.invitations.pending) == set(self.rooms.invitations)
        assert {number: {member.name for member in chat.members}
                for number, chat in board.sessions.active.items()} \
            == self.rooms.chats
        for name, client in self.here.items():
            expected = len(self.post.waiting[name] if client.holding else self.post.checkable[name])
            assert client.waiting == expected, f"{name} was told {client.waiting}, not {expected}"

    def settle(self):
        """Let changes of the roster arrive, and compare each client's copy."""
        self.service.forward(0.5)
        self.rooms.expire(self.service.clock.monotonic)
        self.hear()
        for name, client in self.here.items():
            assert set(client.roster) == {user.name for user in self.service.mailbox.users}, name
            for entry in client.roster.values():
                assert self.is_so(entry), f"{name} sees {entry}"

    def is_so(self, entry):
        reader = self.here.get(entry.name)
        if reader is None:
            return (entry.state, entry.holding, entry.chat) == (wire.Presence.AWAY, 0, 0)
        chat = self.rooms.chat_of(entry.name)
        state = wire.Presence.BUSY if chat else wire.Presence.AVAILABLE
        return (entry.state, entry.holding, entry.chat) == (state, reader.holding, chat or 0)

    # ---- coming and going ----

    def enter(self, name, **more):
        hold = self.source.random() < 0.2
        features = wire.Feature.ROSTER | wire.Feature.RECEIPTS | (wire.Feature.HOLD if hold else 0)
        client = self.service.user(name, features=features, **more)
        client.holding, client.checked, client.waiting = hold, None, client.welcome.waiting
        client.at, client.runs = {True: 0, False: 0}, {True: [], False: []}
        if self.source.random() < 0.5:
            self.ids[name] = (self.ids[name] >> 32) + 1 << 32       # another client program
        self.here[name] = client
        self.post.checkable[name] = set(self.post.waiting[name])

    def connect(self):
        name = self.one(set(NAMES) - set(self.here))
        if name:
            self.enter(name)

    def drop(self, name):
        self.rooms.leave(name)
        return self.here.pop(name)

    def hang_up(self):
        name = self.one(self.here)
        if name:
            self.drop(name).hang_up()

    def exit(self):
        name = self.one(self.here)
        if name:
            client = self.drop(name)
            client.say(wire.Exit())
            assert client.is_disconnected()

    def take_over(self):
        name = self.one(self.here)
        if name:
            old = self.drop(name)
            self.enter(name, token=old.welcome.token)
            assert old.is_disconnected()

    def intrude(self):
        name = self.one(self.here)
        if name:
            # alive: else it is asked, and put out without an answer
            self.here[name].say(wire.Pong(0))
            assert self.service.client(name.upper()).hears(wire.Rejected).why == wire.Why.TAKEN

    def crash(self):
        self.service.restart()
        self.rooms = Rooms()
        self.here.clear()

    def wait(self):
        self.service.forward(self.source.choice((0.1, 5, 25, 61)))
        self.rooms.expire(self.service.clock.monotonic)

    # ---- messages ----

    def send(self):
        name = self.one(self.here)
        if name is None:
            return
        known = {user.name for user in self.service.mailbox.users}
        flags = self.source.choice((0, 0, 0, SendFlag.NOW))
        if self.source.random() < 0.2 and len(known) > 1:
            self.put(name, (), known - {name}, flags | SendFlag.EVERYONE)
        else:
            names = self.source.sample(sorted(known), self.source.randint(1, min(4, len(known))))
            self.put(name, names, set(names), flags)

    def put(self, name, to, names, flags):
        """A message, or several in one frame."""
        first = self.ids[name] + self.source.choice((1, 1, 1, 5))
        self.ids[name] = last = first + (0 if flags & SendFlag.EVERYONE
                                         else self.source.choice((0, 0, 1, 4)))
        texts = []
        stored = {other for other in names
                  if other in self.here} if flags & SendFlag.NOW else set(names)
        for number in range(first, last + 1):
            key = name, number
            texts.append("x" * self.source.choice((1, 50, 400)) + str(key))
            if stored:
                self.post.put(key, texts[-1], stored)
                self.past[name].append(key)
            else:
                self.absent[name] = key
            for other in stored:
                if other not in self.here:
                    self.post.checkable[other].add(key)
        self.here[name].say(wire.Sends(first, flags, tuple(to), tuple(texts)))
        self.hear()
        self.judge(name, first, last, names, stored)

    def judge(self, name, first, last, names, stored):
        """The sender is told what became of them, once for each recipient who is not reading."""
        told = {}
        for said in self.news[name]:
            if isinstance(said, wire.Outcomes):
                assert (said.first, said.last) == (first, last) and not told.keys() & set(said.to)
                told.update(dict.fromkeys(said.to, Outcome(said.outcome)))
        expected = {}
        for other in names:
            if other not in self.here:
                expected[other] = Outcome.AWAY if other in stored else Outcome.ABSENT
            elif self.here[other].holding:
                expected[other] = Outcome.HOLDING
        assert told == expected, (told, expected)
        assert (wire.Stored(first, last) in self.news[name]) == bool(stored)

    def repeat(self):
        """The same again, as after a cut line: it is stored, and nobody gets anything."""
        name = self.one(name for name in self.here if self.past[name])
        if name:
            key = self.source.choice(self.past[name][-5:])
            self.here[name].say(wire.Send(key[1], 0, ("u0", name), "again"))
            self.hear()
            assert self.news[name] == [wire.Stored(key[1], key[1])], self.news[name]

    def send_again(self):
        """What was not delivered is no repetition when it comes again, whatever was sent since."""
        name = self.one(name for name in self.here if name in self.absent)
        if name and self.absent[name][1] >> 32 == self.ids[name] >> 32:
            key, to = self.absent.pop(name), tuple(user.name for user in self.service.mailbox.users)
            self.post.put(key, "at last", to)
            for other in set(to) - set(self.here):
                self.post.checkable[other].add(key)
            self.past[name].append(key)
            self.here[name].say(wire.Send(key[1], 0, to, "at last"))
            self.hear()
            assert wire.Stored(key[1], key[1]) in self.news[name], self.news[name]

    def refuse(self):
        name = self.one(self.here)
        if name:
            client = self.here[name]
            client.say(wire.Send(9 << 32, 0, ("nobody",), "hi"), wire.Send(9 << 32, 0, (name,), ""))
            self.hear()
            assert [said.why for said in self.news[name]] == [wire.Why.UNKNOWN, wire.Why.EMPTY]

    def hold(self):
        name = self.one(self.here)
        if name:
            client = self.here[name]
            if client.holding:
                self.post.checkable[name] = set(self.post.waiting[name])
            client.holding = not client.holding
            client.runs[False] = []                 # what waits between two live runs was not shown
            client.say(wire.Hold(1, client.holding))

    def check(self):
        name = self.one(name for name in self.here if self.here[name].checked is None)
        if name:
            self.ask(name, self.here[name])

    def ask(self, name, client):
        client.at[True], client.runs[True], client.checked = 0, [], 0
        client.asked = None
        client.say(wire.Check(1))

    def confirm(self):
        """A part of a run, in order or not."""
        name = self.one(name for name in self.here if self.ranges[name])
        if name is None:
            return
        run = self.source.choice(self.ranges[name])
        first = self.source.choice((0, 0, self.source.randrange(len(run))))
        last = self.source.choice((len(run), self.source.randint(first + 1, len(run))))
        self.confirmed(name, run[first], run[last - 1])
        del run[first:last]
        if not run:
            self.ranges[name].remove(run)
            self.here[name].runs = {kind: [] if old is run else old
                                    for kind, old in self.here[name].runs.items()}

    def confirm_late(self):
        """Something shown long ago, on another connection or already confirmed."""
        name = self.one(name for name in self.here if self.shown[name])
        if name:
            number = self.source.choice(list(self.shown[name]))
            self.confirmed(name, number, number)

    def confirmed(self, name, first, last):
        keys = [key for number, key in self.shown[name].items() if first <= number <= last]
        for key in self.post.confirm(name, keys):
            if key[0] in self.here:
                self.receipts.setdefault((key[0], name), set()).add(key[1])
        self.here[name].say(wire.Confirm(first, last))
        self.hear()
        # a start passes ids over
        parts = [said for said in self.news[name] if isinstance(said, wire.Confirmed)]
        for number in self.shown[name]:
            if first <= number <= last:
                assert any(part.first <= number <= part.last for part in parts), (number, parts)

    # ---- chats ----

    def invite(self):
        name = self.one(self.here)
        if name is None:
            return
        free = [other for other in NAMES if other in self.here and self.rooms.is_invitable(other)
                and other != name]
        some = free if free and self.source.random() < 0.8 else NAMES
        others = self.source.sample(some, min(len(some), self.source.choice((1, 1, 2, 3))))
        good = all(other in self.here and other != name and self.rooms.is_invitable(other)
                   for other in others)
        good = good and self.rooms.state(name) is State.AVAILABLE
        self.here[name].say(wire.Invite(1, tuple(others)))
        self.hear()
        (said,) = self.news[name]
        assert isinstance(said, wire.Inviting) == good, (said, good)
        if good:
            until = self.service.daemon.now.monotonic + PATIENCE
            self.rooms.invitations[said.invitation] = name, set(others), set(), until
            for other in others:
                assert [i.invitation for i in self.news[other]] == [said.invitation]

    def answer(self):
        name = self.one(name for name in self.here if self.rooms.to_answer(name))
        if name is None:
            return
        number = self.source.choice(self.rooms.to_answer(name))
        accept = self.source.random() < 0.8
        self.here[name].say(wire.Answer(number, accept))
        if not accept:
            del self.rooms.invitations[number]
            return
        members = self.rooms.accept(name, number)
        self.hear()
        for member in members or ():
            (said,) = [said for said in self.news[member] if isinstance(said, wire.Started)]
            assert (said.invitation, set(said.members)) == (number, members)
            self.rooms.chats[said.chat] = members

    def answer_wrongly(self):
        """An invitation that is over, or somebody else's."""
        name = self.one(self.here)
        if name:
            number = self.source.randrange(1, 500)
            if number not in self.rooms.to_answer(name):
                self.here[name].say(wire.Answer(number, self.source.random() < 0.5))
                self.hear()
                assert [said.why for said in self.news[name]] == [wire.Why.UNKNOWN]

    def withdraw(self):
        name = self.one(name for name in self.here if self.rooms.sent_by(name)
                        or self.rooms.pledged(name))
        if name:
            number = self.rooms.sent_by(name) or self.rooms.pledged(name)
            del self.rooms.invitations[number]
            self.here[name].say(wire.Withdraw(number))
            self.hear()
            assert wire.CalledOff(number, wire.Why.WITHDRAWN, name) in self.news[name]

    def talk(self):
        name = self.one(name for name in self.here if self.rooms.chat_of(name))
        if name:
            number = self.rooms.chat_of(name)
            self.here[name].say(wire.Say(1, number, "hi"))
            self.hear()
            for other in self.here:
                lines = [(said.sender, said.chat) for said in self.news[other]]
                assert lines == ([(name, number)] if other != name
                                 and other in self.rooms.chats[number] else [])

    def quit(self):
        name = self.one(name for name in self.here if self.rooms.chat_of(name))
        if name:
            self.here[name].say(wire.Say(1, self.rooms.chat_of(name), "Quit"))
            self.rooms.leave_chat(name)

    # ---- the end ----

    def finish(self):
        """Everybody comes and reads everything: what was sent has been shown and confirmed, each
        message once."""
        self.service.forward(PATIENCE + 1)
        self.rooms.expire(self.service.clock.monotonic)
        assert not self.rooms.invitations and not self.service.daemon.board.invitations.pending
        for name in set(NAMES) - set(self.here):
            self.enter(name)
        self.hear()
        for name, client in self.here.items():
            self.empty(name, client)
            assert not self.post.waiting[name] and client.waiting == 0
        # they are everybody's
        assert not (NO_INVITATIONS or NO_RANGES or NO_ORIGINS or NO_MAIL or NO_PAGES)
        for key, names in self.post.recipients.items():
            assert all(key in self.post.confirmed[name] for name in names)

    def empty(self, name, client):
        for _ in range(10_000):
            if client.checked is None and not self.post.waiting[name]:
                return
            if client.checked is None:
                self.ask(name, client)
                self.hear()
            for number in [number for number, key in self.shown[name].items()
                           if key in self.post.waiting[name]]:
                self.receipts = {}
                self.confirmed(name, number, number)
        raise AssertionError(f"{name} can't empty the queue: {len(self.post.waiting[name])} wait")


WEIGHTS = {"connect": 12, "hang_up": 3, "exit": 1, "take_over": 2, "intrude": 1, "crash": 1,
           "wait": 4, "send": 30, "repeat": 3, "send_again": 0, "refuse": 1, "hold": 4, "check": 8,
           "confirm": 25,
           "confirm_late": 4, "invite": 14, "answer": 30, "answer_wrongly": 2, "withdraw": 2,
           "talk": 8, "quit": 4}


class RandomWalks(unittest.TestCase):
    def setUp(self):
        """The model knows of no rate for invitations."""
        seconds, invitations.INVITING_SECONDS = invitations.INVITING_SECONDS, 1e-6
        self.addCleanup(setattr, invitations, "INVITING_SECONDS", seconds)

    def walk(self, seed, steps, service, **weights):
        with service:
            walk = Walk(service, seed, **weights)
            taken = []
            try:
                for number in range(steps):
                    taken.append(walk.step())
                    if number % 40 == 0:
                        walk.settle()
                walk.finish()
            except AssertionError as error:
                raise AssertionError(
                    f"seed {seed}, step {len(taken)}, after {taken[-8:]}: {error}") from error

    def test_walks(self):
        for seed in range(3):
            self.walk(seed, 900, Sealing())

    def test_with_a_narrow_window(self):
        """Pushes wait for confirmations all the time."""
        window, delivery.WINDOW = delivery.WINDOW, 3
        self.addCleanup(setattr, delivery, "WINDOW", window)
        for seed in range(10, 12):
            self.walk(seed, 700, Sealing())

    def test_what_was_not_delivered_comes_again(self):
        """So that ids of one sender arrive out of their order."""
        for seed in (22, 41):
            self.walk(seed, 500, Sealing(), send_again=12)


if __name__ == "__main__":
    unittest.main()

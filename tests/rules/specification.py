"""What the scenarios of the specifications share: a daemon told what users do, in lines such as
"ann: invite bob".

    with Scene("ann", "bob") as scene:
        scene.play("ann: invite bob", "bob: deny ann")
        scene.heard("ann")  ->  ["INVITING ann,bob", "CALLED_OFF denied bob"]

Below it stand the sentences that several of the texts repeat, word for word, as mixins: each is
tested under the name of every specification that says it.
"""
import wire
from rules.chats import State, state_of
from rules.state import NO_CHATS
from server.frames import status_lines
from server.log import note_line
from tests.harness.service import Client, Service
from wire import Outcome, SendFlag, Why

NOW, EVERYONE = SendFlag.NOW, SendFlag.EVERYONE


def short(said):
    """A message to a client, as a scenario writes it."""
    if isinstance(said, wire.Mail):
        return f"MAIL {said.sender}: {said.text}"
    name = wire.name_of(said)
    match said:
        case wire.CalledOff() | wire.Left() | wire.Ended():
            return f"{name} {Why(said.why).name.lower()} {said.by}"
        case wire.Started() | wire.Inviting():
            return f"{name} {','.join(said.members)}"
        case wire.Invitation():
            return f"{name} {said.sender}"
        case wire.Answered():
            return f"{name} {said.by}"
        case wire.Line():
            return f"{said.sender}: {said.text}"
        case wire.Failed() | wire.Refused() | wire.Rejected():
            return f"{name} {Why(said.why).name.lower()}"
        case wire.Outcomes():
            return f"{Outcome(said.outcome).name} {','.join(said.to)}"
    return name


class Scene(Service):
    """A daemon and users who do what a script says."""

    def __init__(self, *names, **more):
        super().__init__(**more)
        self.people = {}
        self.invitations = {}           # the number of the last that each user sent
        self.enter(*names)

    def enter(self, *names, **more):
        for name in names:
            self.people[name] = self.user(name, **more)

    def play(self, *lines):
        """Do what these lines say: "ann: invite bob,eve"."""
        for line in lines:
            who, _, what = line.partition(": ")
            verb, _, more = what.partition(" ")
            getattr(self, f"_{verb}")(self.people[who], more)

    def heard(self, who):
        """What a user has been told since it was asked last."""
        client = self.people[who]
        client.listen()
        heard, client.heard = client.heard, []
        return [short(said) for said in heard]

    def all_heard(self):
        """The same of all who heard something."""
        heard = {who: self.heard(who) for who in self.people}
        return {who: said for who, said in heard.items() if said}

    def forget(self):
        """What was said so far does not matter."""
        self.all_heard()

    def inside(self, who):
        """The daemon's side of a user."""
        return self.daemon.board.roster.clients.get(self.mailbox.find(who).number)

    def state(self, who):
        client = self.inside(who)
        return None if client is None else state_of(client)

    def states(self):
        """Of those who are not simply available."""
        return {who: self.state(who)
                for who in self.people if self.state(who) is not State.AVAILABLE}

    # ---- what users do ----

    def _invite(self, client, names):
        client.say(wire.Invite(1, tuple(name for name in names.split(",") if name)))
        inside = self.inside(client.name)
        if inside.chats.inviting:
            self.invitations[client.name] = inside.chats.inviting.number

    def _accept(self, client, inviter):
        client.say(wire.Answer(self.invitations[inviter], 1))

    def _deny(self, client, inviter):
        client.say(wire.Answer(self.invitations[inviter], 0))

    def _withdraw(self, client, inviter):
        client.say(wire.Withdraw(self.invitations[inviter or client.name]))

    def _say(self, client, text):
        chat = self.inside(client.name).chats.session
        client.say(wire.Say(1, chat.number if chat else 1, text))

    def _exit(self, client, _):
        client.say(wire.Exit())

    def _vanish(self, client, _):
        client.hang_up()

    def _wait(self, client, seconds):
        self.forward(float(seconds))

    def chat(self, *names):
        """A chat session of these."""
        self.play(f"{names[0]}: invite {','.join(names[1:])}",
                  *(f"{name}: accept {names[0]}" for name in names[1:]))
        self.forget()


def is_sound(board):
    """Whether invitations, chats and users agree about each other: nothing is held that nothing
    will end."""
    pending, clients = board.invitations.pending, set(board.roster.clients.values())
    assert NO_CHATS.session is None and not NO_CHATS.open
    for client in clients:
        has = client.chats
        if has.session is not None:
            assert client in has.session.members and not has.open, client.name
        for held in (has.inviting, has.pledged, *has.invitations.values()):
            assert held is None or pending.get(held.number) is held, client.name
        assert has.inviting is None or has.pledged is None, client.name
    for invitation in pending.values():
        assert (set(invitation.members) <= clients
                and invitation.inviter.chats.inviting is invitation)
        for other in invitation.invited:
            waits = other.chats.pledged is invitation if other in invitation.accepted else \
                other.chats.invitations.get(invitation.number) is invitation
            assert waits, other.name
    for chat in board.sessions.active.values():
        assert len(chat.members) >= 2 and all(member.chats.session is chat
                                              for member in chat.members)
        assert set(chat.members) <= clients
    return True


# ---- the sentences that several texts repeat ----

def seen(mails):
    """Mail as its reader sees it."""
    return [(mail.sender, mail.text) for mail in mails]


class Specification:
    """What each test of a specification begins with."""

    def scene(self, *names):
        scene = Scene(*names)
        self.addCleanup(scene.__exit__)
        return scene

    def table(self, scene):
        """What the daemon shows of each name: name -> state."""
        rows, more = scene.daemon.board.table.rows(100)
        self.assertEqual(more, 0)
        lines = status_lines(rows, more, 200, scene.clock.wall)[1:]
        self.assertEqual([line.split()[0] for line in lines], [row.name for row in rows])
        return {row.name: row.state for row in rows}

    def printed(self, scene, event):
        """The lines of one kind that the daemon has printed."""
        return [note_line(event, fields, True) for fields in scene.notes.events(event)]


class Introduction(Specification):
    """The first paragraphs of chat-app and persistent-messaging."""

    def test_three_clients(self):
        """Each client process will connect to the server over a socket.  The server should be able
        to handle all three clients concurrently."""
        scene = self.scene("ann", "bob", "cat")
        for who in scene.people:
            scene.people[who].send(",".join(scene.people), f"from {who}")
        for client in scene.people.values():
            self.assertEqual(seen(client.hears_all(wire.Mail)),
                             [(who, f"from {who}") for who in scene.people])

    def test_displayed_in_real_time(self):
        """When a client connects to the server, its username should be displayed by the server in
        real time."""
        scene = self.scene()
        for count, name in enumerate(("ann", "bob", "cat"), 1):
            scene.enter(name)
            self.assertEqual(self.table(scene)[name], "available")
            self.assertEqual(len(self.table(scene)), count)

    def test_never_two_of_one_name(self):
        """Two or more clients may not use the same username simultaneously."""
        scene = self.scene("ann")
        for spelled in ("ann", "Ann", "ANN"):
            scene.client(spelled).hears(wire.Rejected)
        self.assertEqual(len(scene.daemon.board.roster.clients), 1)

    def test_conflict(self):
        """Should the server detect a concurrent conflict in username, the client's connection
        should be rejected"""
        scene = self.scene("ann")
        second = scene.client("ann")
        self.assertIn("already in use", second.hears(wire.Rejected, why=Why.TAKEN).reason)
        self.assertTrue(second.is_disconnected())
        scene.people["ann"].hears_nothing()

    def test_cumulative_log(self):
        """The server will keep a cumulative log of previously used usernames and display those
        names on its GUI."""
        scene = self.scene("ann", "bob")
        scene.play("ann: exit", "bob: exit")
        scene.enter("cat")
        self.assertEqual(set(self.table(scene)), {"ann", "bob", "cat"})
        scene.restart()
        self.assertEqual(set(self.table(scene)), {"ann", "bob", "cat"})

    def test_connected_and_not(self):
        """The server should indicate which of those usernames represent clients presently connected
        to the server and which are not connected."""
        scene = self.scene("ann", "bob", "cat")
        scene.play("ann: vanish")
        self.assertEqual(self.table(scene),
                         {"ann": "not connected", "bob": "available", "cat": "available"})

    def test_reuse(self):
        """Clients may reuse usernames and a client reusing an extant username should not be treated
        as a duplicate in the log."""
        scene = self.scene("ann", "bob")
        for spelled in ("bob", "BOB", "bob"):
            scene.play("bob: exit")
            scene.enter("bob")
            self.assertEqual(scene.client(spelled).hears(wire.Rejected).why, Why.TAKEN)
        scene.forward(1)
        scene.people["ann"].listen()
        self.assertEqual(sorted(self.table(scene)), ["ann", "bob"])
        self.assertEqual(sorted(scene.people["ann"].roster), ["ann", "bob"])


class StartupOfAClient(Specification):
    """"Client: Startup", the same in four texts; what is seen of it at the server."""

    def test_register(self):
        """2. Connect to the server over a socket and register the username."""
        scene = self.scene("ann")
        self.assertIn("name=ann", self.printed(scene, "connected")[0])

    def test_notified(self):
        """a. When the client is connected, the user should be notified of the active connection."""
        scene = self.scene()
        scene.client("ann").hears(wire.Welcome, name="ann", house="test", waiting=0)

    def test_in_use(self):
        """b. If the provided username is already in use, the client should disconnect and prompt
        the user to input another username."""
        scene = self.scene("ann")
        scene.client("ann").hears(wire.Rejected)
        self.assertEqual(scene.user("ann2").welcome.name, "ann2")

    def test_upload(self):
        """5. The client will upload the text message to the server."""
        scene = self.scene("ann", "bob")
        number = scene.people["ann"].send("bob", "hi")
        scene.people["ann"].hears(wire.Stored, first=number, last=number)

    def test_again(self):
        """6. Return to Sending Messages: Step 1 until manually disconnected by the user."""
        scene = self.scene("ann", "bob")
        for number in range(20):
            scene.people["ann"].send("bob", str(number))
            scene.people["bob"].hears(wire.Mail, text=str(number))
        self.assertFalse(scene.people["ann"].is_disconnected())


class TheServer(Specification):
    """"Server", the same in four texts."""

    def test_three(self):
        """The server should support three concurrently connected clients."""
        scene = self.scene("ann", "bob", "cat")
        self.assertEqual(list(self.table(scene).values()), ["available"] * 3)

    def test_log_on_the_gui(self):
        """A cumulative log of all previously used usernames should be maintained by the server and
        presented on the server's GUI."""
        scene = self.scene()
        for number in range(10):
            scene.enter(f"u{number}")
            scene.play(f"u{number}: exit")
        self.assertEqual(set(self.table(scene)), {f"u{number}" for number in range(10)})

    def test_which_are_connected(self):
        """The server should indicate which of those usernames (if any) represent currently
        connected clients."""
        scene = self.scene("ann", "bob")
        scene.play("bob: exit")
        self.assertEqual(self.table(scene), {"ann": "available", "bob": "not connected"})
        scene.play("ann: exit")
        self.assertEqual(set(self.table(scene).values()), {"not connected"})

    def test_listen(self):
        """1. Startup and listen for incoming connections."""
        scene = self.scene()
        self.assertEqual(self.table(scene), {})
        scene.enter("ann")

    def test_print_and_log(self):
        """2. Print that a client has connected, log the client's username"""
        scene = self.scene("ann")
        self.assertEqual(self.printed(scene, "connected"),
                         ["connected name=ann address=test:1 waiting=0"])
        self.assertEqual(scene.mailbox.find("ann").name, "ann")

    def test_available(self):
        """a. If the client username is available (e.g., not currently being used by another
        client), fork a thread to handle that client.  (One thread serves them all; none waits for
        another.)"""
        scene = self.scene("ann")
        scene.enter("bob")
        scene.people["ann"].say_bytes(wire.encode(wire.Ping(1))[:7])        # half a request
        scene.people["bob"].say(wire.Ping(2))
        scene.people["bob"].hears(wire.Pong, stamp=2)

    def test_in_use_rejected(self):
        """b. If the username is in use, reject the connection from that client."""
        scene = self.scene("ann")
        second = scene.client("ann")
        second.hears(wire.Rejected, why=Why.TAKEN)
        self.assertTrue(second.is_disconnected())
        self.assertEqual(len(self.printed(scene, "rejected")), 1)

    def test_until_killed(self):
        """5. Begin at step 2 until the process is killed by the user."""
        scene = self.scene("ann")
        for _ in range(5):
            scene.play("ann: vanish")
            scene.enter("ann")
        scene.stop()
        scene.people["ann"].hears(wire.Notice)
        scene.start()
        scene.enter("ann")


class LogToEachClient(Specification):
    """The log that a client is given when it comes, in chat-app and message-service."""

    def test_provided(self):
        """3. When a client connection is accepted, the server should provide the log of usernames
        to the client."""
        scene = self.scene("ann", "bob")
        scene.play("ann: exit")
        cat = scene.user("cat")
        cat.listen()
        self.assertEqual({name: entry.state for name, entry in cat.roster.items()},
                         {"ann": wire.Presence.AWAY, "bob": wire.Presence.AVAILABLE,
                          "cat": wire.Presence.AVAILABLE})


class ThreeOptions(Specification):
    """The three kinds of sending."""

    def sent(self, to, flags, expected):
        scene = self.scene("ann", "bob", "cat", "dan")
        scene.people["ann"].send(to, "hi", flags)
        got = {who for who, client in scene.people.items() if client.hears_all(wire.Mail)}
        self.assertEqual(got, expected)

    def test_one(self):
        """1. Send message to specific username (1-to-1)"""
        self.sent("bob", 0, {"bob"})

    def test_subset(self):
        """2. Send message to a subset of usernames (1-to-n)"""
        self.sent("bob,dan", 0, {"bob", "dan"})

    def test_all(self):
        """3. Send a message to all usernames (1-to-all)"""
        self.sent("", EVERYONE, {"bob", "cat", "dan"})

    def test_not_in_the_list(self):
        """it does not match an entry in the list received from the server

        (the server refuses it too)"""
        scene = self.scene("ann", "bob")
        scene.people["ann"].send("bobby", "hi")
        scene.people["ann"].hears(wire.Refused, why=Why.UNKNOWN)


class Receiving(Specification):
    """"Receiving Messages", in chat-app and message-service."""

    def test_listen(self):
        """1. When connected to the server, the client will listen for incoming text messages."""
        scene = self.scene("ann", "bob")
        scene.people["ann"].send("bob", "one")
        scene.people["ann"].send("bob", "two")
        self.assertEqual(seen(scene.people["bob"].hears_all(wire.Mail)),
                         [("ann", "one"), ("ann", "two")])

    def test_from_whom(self):
        """The text message should indicate from which username the message was received."""
        scene = self.scene("ann", "bob")
        scene.people["ann"].send("bob", "hi")
        scene.people["bob"].hears(wire.Mail, sender="ann", text="hi")


class Forwarding(Specification):
    """Step 4 of the server, in chat-app and message-service: now or never."""

    def test_connected(self):
        """a. Forward that message to the intended recipients, if those recipients are connected."""
        scene = self.scene("ann", "bob", "cat")
        scene.people["ann"].send("bob,cat", "hi", NOW)
        for who in ("bob", "cat"):
            scene.people[who].hears(wire.Mail, sender="ann", text="hi")
        self.assertEqual(scene.heard("ann"), ["STORED"])

    def test_not_connected(self):
        """b. Indicate the present recipients are not presently connected to the server."""
        scene = self.scene("ann", "bob", "cat")
        scene.play("bob: exit")
        scene.people["ann"].send("bob", "hi", NOW)
        self.assertEqual(scene.heard("ann"), ["ABSENT bob"])
        scene.people["ann"].send("bob,cat", "hi", NOW)
        self.assertEqual(scene.heard("ann"), ["STORED", "ABSENT bob"])
        scene.enter("bob")
        scene.play("bob: exit")
        self.assertEqual(scene.people["bob"].welcome.waiting, 0)


class Queues(Specification):
    """Steps 3 and 4 of the server and "Checking Messages", in persistent-messaging and
    asynchronous-server."""

    def checked(self, scene, name):
        """Log in, check for messages, confirm them, leave."""
        scene.enter(name)
        client = scene.people[name]
        client.say(wire.Check(1))
        mails = client.hears_all(wire.Mail)
        client.hears(wire.Checked, total=len(mails))
        client.confirm(*mails)
        client.hears_all(wire.Confirmed)
        scene.play(f"{name}: exit")
        return mails

    def test_new_queue(self):
        """3. If a client name has not been encountered in the past, a new message queue for that
        client should be instantiated."""
        scene = self.scene("ann")
        self.assertIsNone(scene.mailbox.find("bob"))
        scene.enter("bob")
        self.assertEqual(scene.mailbox.find("bob").waiting, 0)
        self.assertEqual([line.partition(" address=")[0]
                          for line in self.printed(scene, "new-name")],
                         ["new-name name=ann", "new-name name=bob"])

    def test_log_for_sending(self):
        """i. The server should provide the log of usernames to the client;"""
        scene = self.scene("ann", "bob")
        scene.play("bob: exit")
        ann = scene.people["ann"]
        ann.say(wire.List(4))
        said = ann.hears(wire.Roster, request=4, last=1)
        self.assertEqual([entry.name for entry in said.entries], ["ann", "bob"])

    def test_placed_in_the_queues(self):
        """ii. The server should accept messages from the client and place those messages in the
        intended client(s) message queue;"""
        scene = self.scene("ann", "bob", "cat")
        scene.play("bob: exit", "cat: exit")
        scene.people["ann"].send("bob,cat", "hi")
        self.assertEqual(scene.heard("ann"), ["STORED", "AWAY bob,cat"])
        self.assertEqual([scene.mailbox.find(name).waiting for name in ("ann", "bob", "cat")],
                         [0, 1, 1])
        self.assertEqual(seen(self.checked(scene, "bob")), [("ann", "hi")])
        self.assertEqual([scene.mailbox.find(name).waiting for name in ("ann", "bob", "cat")],
                         [0, 0, 1])

    def test_timestamp(self):
        """iii. Received messages should be marked with a timestamp."""
        scene = self.scene("ann", "bob")
        scene.play("bob: exit")
        before = scene.clock.wall
        scene.people["ann"].send("bob", "hi")
        after = scene.clock.wall
        scene.forward(86_400)
        (mail,) = self.checked(scene, "bob")
        self.assertTrue(before < mail.time <= after)

    def test_check(self):
        """i. The server should send any available messages to the client;"""
        scene = self.scene("ann", "bob", "cat")
        scene.play("bob: exit")
        for number in range(5):
            scene.people[("ann", "cat")[number % 2]].send("bob", str(number))
        self.assertEqual([text for _, text in seen(self.checked(scene, "bob"))], list("01234"))

    def test_none(self):
        """ii. Indicate that no messages are available."""
        scene = self.scene("bob")
        scene.people["bob"].say(wire.Check(1))
        scene.people["bob"].hears(wire.Checked, request=1, total=0)

    def test_removed(self):
        """iii. Any messages delivered to the client should be removed from the persistent message
        queue."""
        scene = self.scene("ann", "bob")
        scene.play("bob: exit")
        scene.people["ann"].send("bob", "hi")
        self.assertEqual(len(self.checked(scene, "bob")), 1)
        self.assertEqual(self.checked(scene, "bob"), [])
        scene.restart()
        self.assertEqual(self.checked(scene, "bob"), [])

    def test_retrieve(self):
        """1. When connected to the server, the client will indicate it wants to retrieve messages
        from its message queue.  2. If the clients message queue is not empty: a. The client will
        retrieve all text messages addressed to it"""
        scene = self.scene("ann", "bob", "cat")
        scene.play("bob: exit", "cat: exit")
        for to in ("bob", "cat", "bob,cat"):
            scene.people["ann"].send(to, f"to {to}")
        scene.enter("bob")
        scene.people["bob"].hears_nothing()                     # not before it was asked for
        scene.play("bob: exit")
        self.assertEqual([text for _, text in seen(self.checked(scene, "bob"))],
                         ["to bob", "to bob,cat"])

    def test_sender_and_time(self):
        """c. The text message should indicate from which username the message was received and a
        timestamp of when that message was received by the server."""
        scene = self.scene("ann", "bob")
        scene.play("bob: exit")
        times = []
        for text in ("first", "second"):
            scene.people["ann"].send("bob", text)
            times.append(scene.daemon.now.wall)
            scene.forward(3600)
        mails = self.checked(scene, "bob")
        self.assertEqual(seen(mails), [("ann", "first"), ("ann", "second")])
        self.assertTrue(all(0 <= said - mail.time < 1e6
                            for said, mail in zip(times, mails, strict=True)))


__all__ = ["EVERYONE", "NOW", "Client", "Forwarding", "Introduction", "LogToEachClient", "Queues",
           "Receiving", "Scene",
           "Specification", "StartupOfAClient", "TheServer", "ThreeOptions", "is_sound", "short"]

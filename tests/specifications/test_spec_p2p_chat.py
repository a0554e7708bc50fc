"""The specification "p2p_multithreaded_chat_app", sentence by sentence: invitations, chat sessions,
group chat.

The client's part (the menu and its numbers, "No other client.", "No clients to chat", the list
again after a wrong name, the question, the welcome and its words, "Sender: message", the numbered
groups) is tested in test_menu.py; here is what the server tells it to do so.
"""
import socket
import unittest

import wire
from net.address import parse
from rules.chats import State
from server.doors import open_listener
from tests.rules.specification import Specification, short

BUSY = State.BUSY


class Login(Specification, unittest.TestCase):
    def test_tcp(self):
        """Use TCP for the transport layer."""
        scene = self.scene()
        listener = open_listener(parse("127.0.0.1:0"))
        scene.daemon.doors.listen(listener, "127.0.0.1:0")
        with socket.create_connection(listener.getsockname()) as sock:
            sock.sendall(wire.encode(wire.Hello(wire.VERSION, 0, bytes(16), "ann")))
            scene.run()
            self.assertEqual(sock.recv(5)[4], wire.CODECS[wire.Welcome].kind)
        scene.run()
        scene.daemon.doors.close()

    def test_taken(self):
        """If the username has already been taken, the server prompts the user to enter another
        username."""
        scene = self.scene("A")
        self.assertIn("choose another name", scene.client("A").hears(wire.Rejected).reason)
        scene.user("B")

    def test_stored(self):
        """If the username has NOT been taken, the server then stores the client's information
        including username, client socket descriptor, and IP address."""
        scene = self.scene("A")
        inside = scene.inside("A")
        self.assertEqual((inside.name, inside.address), ("A", "test:1"))
        connection = scene.daemon.connection_of[inside]
        self.assertIs(scene.daemon.connections[connection.sock.fileno()], connection)
        self.assertEqual([(row.name, row.address) for row in scene.daemon.board.table.rows(9)[0]],
                         [("A", "test:1")])

    def test_one_shell(self):
        """A client is identified with a particular username.  Each client can open only one shell
        to chat with other clients."""
        scene = self.scene("A", "B")
        scene.chat("A", "B")
        scene.client("A").hears(wire.Rejected)
        self.assertEqual(scene.states(), {"A": BUSY, "B": BUSY})


class Listing(Specification, unittest.TestCase):
    def listed(self, scene, who):
        """The list as a client may show it."""
        client = scene.people[who]
        client.say(wire.List(3))
        entries = client.hears(wire.Roster, request=3, last=1).entries
        client.roster = {entry.name: entry for entry in entries}
        return {entry.name: client.state(entry.name) for entry in entries
                if entry.state != wire.Presence.AWAY and entry.name != who}

    def test_who_is_available(self):
        """The list should also demonstrate whether each client is available to chat.  For example,
        assume users A, B and C have already registered their usernames at the server, and A and B
        are currently chatting."""
        scene = self.scene("A", "B", "C")
        scene.chat("A", "B")
        scene.enter("D")
        self.assertEqual(self.listed(scene, "D"),
                         {"A": "chatting with B", "B": "chatting with A", "C": "available"})

    def test_alone(self):
        """If there are no other client has registered at the server, you may display a message "No
        other client.\""""
        scene = self.scene("A")
        self.assertEqual(self.listed(scene, "A"), {})

    def test_exit_removes(self):
        """Once the client enters choice 3 (Exit), she/he will be removed from the server's list and
        terminates its program."""
        scene = self.scene("A", "B")
        scene.play("A: exit")
        self.assertTrue(scene.people["A"].is_disconnected())
        self.assertEqual(self.listed(scene, "B"), {})

    def test_exit_is_told(self):
        """the client program should inform the server to remove this client from the list of
        users"""
        scene = self.scene("A", "B")
        scene.play("A: exit")
        self.assertEqual(self.table(scene), {"A": "not connected", "B": "available"})
        self.assertEqual(scene.people["B"].state("A"), "not connected")


class Chat(Specification, unittest.TestCase):
    def test_busy_not_displayed(self):
        """Suppose there are four clients A, B, C and D.  D requests to chat.  If A and B are busy
        chatting together, they should not be displayed for D as available users."""
        scene = self.scene("A", "B", "C", "D")
        scene.chat("A", "B")
        self.assertEqual({name: scene.people["D"].state(name) for name in "ABC"},
                         {"A": "chatting with B", "B": "chatting with A", "C": "available"})
        scene.play("D: invite A")
        self.assertEqual(scene.heard("D"), ["FAILED busy"])

    def test_nobody_to_chat_with(self):
        """If no other clients are available for chat, the message "No clients to chat" should be
        displayed"""
        scene = self.scene("A", "B", "D")
        scene.chat("A", "B")
        self.assertNotIn("available", [scene.people["D"].state(name) for name in "AB"])

    def test_anything_else(self):
        """If the client enters anything other than C, the program will display the list of
        available users again"""
        scene = self.scene("A", "B", "C", "D")
        scene.chat("A", "B")
        scene.play("D: invite A", "D: invite X", "D: invite D", "D: invite ")
        self.assertEqual(scene.all_heard(),
                         {"D": ["FAILED busy", "FAILED unknown", "FAILED unknown", "FAILED empty"]})

    def test_invitation(self):
        """If client D enters C, the request is sent to the server.  The server informs client C
        that client D has requested to chat with it."""
        scene = self.scene("C", "D")
        scene.play("D: invite C")
        self.assertEqual(scene.all_heard(), {"C": ["INVITATION D"], "D": ["INVITING D,C"]})

    def test_denied(self):
        """If client C denied the invitation, prompt proper messages to C and D followed by the
        menu."""
        scene = self.scene("C", "D")
        scene.play("D: invite C")
        scene.forget()
        scene.play("C: deny D")
        self.assertEqual(scene.all_heard(),
                         {"C": ["CALLED_OFF denied C"], "D": ["CALLED_OFF denied C"]})
        self.assertEqual(scene.states(), {})

    def test_accepted(self):
        """If Client C accepted the invitation, a chat session is established by the server."""
        scene = self.scene("C", "D")
        scene.play("D: invite C")
        scene.forget()
        scene.play("C: accept D")
        self.assertEqual(scene.all_heard(), {"C": ["STARTED D,C"], "D": ["STARTED D,C"]})

    def test_record(self):
        """the server stores a record for this session as an active session and changes the status
        of both parties to "busy\"."""
        scene = self.scene("C", "D")
        scene.chat("D", "C")
        (session,) = scene.daemon.board.sessions.active.values()
        self.assertEqual({member.name for member in session.members}, {"C", "D"})
        self.assertEqual(scene.states(), {"C": BUSY, "D": BUSY})
        self.assertEqual(self.table(scene), {"C": "chatting with D", "D": "chatting with C"})

    def test_not_available_any_more(self):
        """They will not be shown as available for chat anymore."""
        scene = self.scene("A", "C", "D")
        scene.chat("D", "C")
        self.assertEqual(scene.people["A"].state("C"), "chatting with D")
        self.assertEqual(scene.people["A"].state("D"), "chatting with C")

    def test_messages(self):
        """Now C and D exchange messages through the server in this chat session."""
        scene = self.scene("C", "D")
        scene.chat("D", "C")
        scene.play("C: say hello", "D: say hello yourself")
        self.assertEqual(scene.all_heard(), {"C": ["D: hello yourself"], "D": ["C: hello"]})

    def test_welcome(self):
        """Prompt a welcome message for both clients and inform them that they can terminate the
        chat session if they enter the special message "Quit".  (STARTED is the word for it)"""
        scene = self.scene("C", "D")
        scene.play("D: invite C", "C: accept D")
        for who in "CD":
            scene.people[who].listen()
            self.assertEqual(short(scene.people[who].heard[-1]), "STARTED D,C")
        self.assertIn("Quit", wire.Started.__doc__)

    def test_quit(self):
        """If one client entered "Quit", they both get a message "Chat session ended" followed by
        the menu."""
        for who in ("C", "D"):
            scene = self.scene("C", "D")
            scene.chat("D", "C")
            scene.play(f"{who}: say Quit")
            self.assertEqual(scene.all_heard(),
                             {"C": [f"ENDED quit {who}"], "D": [f"ENDED quit {who}"]})
            self.assertEqual(scene.states(), {})
            self.assertEqual(scene.daemon.board.sessions.active, {})

    def test_again_after_quit(self):
        """followed by the menu  (where both may chat again)"""
        scene = self.scene("A", "C", "D")
        for one, other in (("D", "C"), ("C", "A"), ("A", "D"), ("D", "C")):
            scene.chat(one, other)
            self.assertEqual(scene.states(), {one: BUSY, other: BUSY})
            scene.play(f"{one}: say Quit")
            scene.forget()

    def test_parallel(self):
        """If clients A and B are chatting, clients C and D should be able to chat in parallel."""
        scene = self.scene("A", "B", "C", "D")
        scene.chat("A", "B")
        scene.chat("C", "D")
        scene.play("A: say 1", "C: say 2", "B: say 3", "D: say 4")
        self.assertEqual(scene.all_heard(),
                         {"A": ["B: 3"], "B": ["A: 1"], "C": ["D: 4"], "D": ["C: 2"]})
        scene.play("A: say Quit")
        self.assertEqual(scene.states(), {"C": BUSY, "D": BUSY})

    def test_format(self):
        """The format of messages is as following.  Sender: message."""
        scene = self.scene("C", "D")
        scene.chat("D", "C")
        scene.play("C: say hi")
        scene.people["D"].hears(wire.Line, sender="C", text="hi")

    def test_partner_vanishes(self):
        """A partner who is gone ends the session, too."""
        scene = self.scene("C", "D")
        scene.chat("D", "C")
        scene.play("C: vanish")
        self.assertEqual(scene.heard("D"), ["ENDED gone C"])
        self.assertEqual(scene.states(), {"C": None})


class OnTheServer(Specification, unittest.TestCase):
    def test_messages(self):
        """Display all the exchanged messages on the server."""
        scene = self.scene("C", "D")
        scene.chat("D", "C")
        scene.play("C: say hello", "D: say good day")
        number = scene.inside("C").chats.session.number
        self.assertEqual(self.printed(scene, "line"), [f"line chat={number} sender=C text=hello",
                                                       f'line chat={number} sender=D text="good '
                                                       'day"'])
        scene.people["C"].send("D", "by mail")
        self.assertIn('text="by mail"', self.printed(scene, "message")[0])

    def test_requests(self):
        """for each request arrives at the server ... prompt a proper message on the server
        terminal."""
        scene = self.scene("C", "D")
        scene.play("D: invite C", "C: accept D", "C: say Quit")
        scene.people["C"].say(wire.List(1), wire.Check(2), wire.Hold(3, 1), wire.Withdraw(9))
        scene.play("C: exit")
        requests = [fields["request"].split()[0] for fields in scene.notes.events("request")]
        self.assertEqual(requests, ["INVITE", "ANSWER", "LIST", "CHECK", "HOLD", "WITHDRAW",
                                    "EXIT"])

    def test_actions(self):
        """each action the server takes (e.g. when the server changes the status of clients from
        available to busy or establishes a chat session), prompt a proper message on the server
        terminal."""
        scene = self.scene("C", "D")
        scene.play("D: invite C", "C: accept D")
        self.assertEqual(self.printed(scene, "status"),
                         ["status name=D status=busy", "status name=C status=busy"])
        self.assertEqual(len(self.printed(scene, "chat-started")), 1)
        scene.play("C: say Quit")
        self.assertEqual(self.printed(scene, "status")[2:],
                         ["status name=C status=available", "status name=D status=available"])
        self.assertEqual(len(self.printed(scene, "chat-ended")), 1)

    def test_denial_is_printed(self):
        """each action the server takes"""
        scene = self.scene("C", "D")
        scene.play("D: invite C", "C: deny D")
        self.assertTrue(self.printed(scene, "called-off")[0].endswith("why=denied by=C"))


class GroupChat(Specification, unittest.TestCase):
    def test_more_than_one(self):
        """For group chat, more than one client must be available to chat."""
        scene = self.scene("A", "B", "C", "D")
        scene.chat("A", "B")
        scene.play("D: invite A,C")
        self.assertEqual(scene.heard("D"), ["FAILED busy"])
        scene.play("A: say Quit")
        scene.forget()
        scene.play("D: invite A,C")
        self.assertEqual(scene.heard("D"), ["INVITING D,A,C"])

    def test_informed(self):
        """Then A and B will be informed that client D would like to start a group chat with
        them."""
        scene = self.scene("A", "B", "C", "D")
        scene.play("D: invite A,B")
        for who in "AB":
            scene.people[who].hears(wire.Invitation, sender="D", members=("D", "A", "B"))
        self.assertEqual(scene.heard("C"), [])

    def test_every_group(self):
        """Then client D can select one of the 4 groups."""
        for group in ("A,B", "A,C", "B,C", "A,B,C"):
            scene = self.scene("A", "B", "C", "D")
            scene.chat("D", *group.split(","))
            self.assertEqual(set(scene.states()), {"D", *group.split(",")})

    def test_all_accepted(self):
        """If both A and B accepted the invitation, a group chat session will be established through
        the server between these three clients."""
        scene = self.scene("A", "B", "C", "D")
        scene.play("D: invite A,B", "A: accept D")
        self.assertEqual(scene.states(), {"D": State.INVITING, "A": State.PLEDGED})
        self.assertEqual(scene.heard("D")[1:], ["ANSWERED A"])
        scene.play("B: accept D")
        self.assertEqual(scene.states(), {"A": BUSY, "B": BUSY, "D": BUSY})
        scene.forget()
        scene.play("A: say hi")
        self.assertEqual(scene.all_heard(), {"B": ["A: hi"], "D": ["A: hi"]})

    def test_one_denied(self):
        """If any of A or D denied the invitation, the group chat will not be established.  Prompt
        proper messages for all involved clients followed by the menu."""
        for first, second in (("A: accept D", "B: deny D"), ("B: accept D", "A: deny D")):
            scene = self.scene("A", "B", "C", "D")
            scene.play("D: invite A,B", first)
            scene.forget()
            scene.play(second)
            told = [f"CALLED_OFF denied {second[0]}"]
            self.assertEqual(scene.all_heard(), {"A": told, "B": told, "D": told})
            self.assertEqual(scene.states(), {})

    def test_denied_before_the_other_answers(self):
        """the group chat will not be established"""
        scene = self.scene("A", "B", "D")
        scene.play("D: invite A,B", "A: deny D")
        scene.forget()
        scene.play("B: accept D")
        self.assertEqual(scene.all_heard(), {"B": ["CALLED_OFF unknown B"]})
        self.assertEqual(scene.states(), {})

    def test_inviter_withdraws(self):
        """If any of A or D denied the invitation  (D, who sent it, withdraws)"""
        scene = self.scene("A", "B", "D")
        scene.play("D: invite A,B", "A: accept D")
        scene.forget()
        scene.play("D: withdraw")
        told = ["CALLED_OFF withdrawn D"]
        self.assertEqual(scene.all_heard(), {"A": told, "B": told, "D": told})
        self.assertEqual(scene.states(), {})

    def test_shown_by_the_server(self):
        """a group chat session will be established through the server between these three
        clients"""
        scene = self.scene("A", "B", "D")
        scene.chat("D", "A", "B")
        self.assertEqual(self.table(scene), {"A": "chatting with D, B", "B": "chatting with D, A",
                                             "D": "chatting with A, B"})


if __name__ == "__main__":
    unittest.main()

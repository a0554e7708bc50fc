"""The specification "chat-app", sentence by sentence: live messages among three clients.

Its delivery is parley's "now or never": a message reaches those who are connected, and the sender
hears who is not. What it shares with the other texts is in specification.py.  The client's part
(prompting for a username and for another one, the list and the three options, rejecting a typed
string that is not in the list, printing) is tested in test_menu.py.
"""
import unittest

import wire
from tests.rules.specification import (
    EVERYONE,
    NOW,
    Forwarding,
    Introduction,
    LogToEachClient,
    Receiving,
    Specification,
    StartupOfAClient,
    TheServer,
    ThreeOptions,
)


class ChatAppIntroduction(Introduction, unittest.TestCase):
    pass


class ChatAppClient(StartupOfAClient, Receiving, unittest.TestCase):
    pass


class ChatAppOptions(ThreeOptions, unittest.TestCase):
    pass


class ChatAppServer(TheServer, LogToEachClient, unittest.TestCase):
    pass


class ChatAppForwarding(Forwarding, unittest.TestCase):
    pass


class ChatApp(Specification, unittest.TestCase):
    def test_log_at_connect(self):
        """When a client connects to the server, the server should provide the log of usernames to
        the client."""
        scene = self.scene("ann", "bob")
        scene.people["bob"].listen()
        self.assertEqual(set(scene.people["bob"].roster), {"ann", "bob"})

    def test_checked_against_the_connected(self):
        """When the server receives the message from the client, it should check the intended
        recipient(s) against the list of presently connected clients."""
        scene = self.scene("ann", "bob", "cat")
        scene.play("cat: vanish")
        scene.people["ann"].send("", "anyone?", EVERYONE | NOW)
        self.assertEqual(scene.all_heard(),
                         {"ann": ["STORED", "ABSENT cat"], "bob": ["MAIL ann: anyone?"]})

    def test_present(self):
        """If the targeted client is present, the message should be sent to that targeted client and
        presented on the client's GUI."""
        scene = self.scene("ann", "bob", "cat")
        scene.people["ann"].send("bob", "hi", NOW)
        self.assertEqual(scene.all_heard(), {"ann": ["STORED"], "bob": ["MAIL ann: hi"]})

    def test_originator(self):
        """The originating client should be noted on the message."""
        scene = self.scene("ann", "bob", "cat")
        for who in ("ann", "cat"):
            scene.people[who].send("bob", "hi", NOW)
        self.assertEqual(scene.heard("bob"), ["MAIL ann: hi", "MAIL cat: hi"])

    def test_not_present(self):
        """If the targeted client is not present, the originating client should be notified, and the
        user should be informed via the client's GUI."""
        scene = self.scene("ann", "bob")
        scene.play("bob: exit")
        scene.people["ann"].send("bob", "hi", NOW)
        self.assertEqual(scene.heard("ann"), ["ABSENT bob"])
        self.assertEqual(len(self.printed(scene, "not-delivered")), 1)

    def test_not_present_and_kept(self):
        """If the targeted client is not present, the originating client should be notified

        (also where parley keeps the message, as later texts want it)"""
        scene = self.scene("ann", "bob")
        scene.play("bob: exit")
        scene.people["ann"].send("bob", "hi")
        self.assertEqual(scene.heard("ann"), ["STORED", "AWAY bob"])

    def test_remains_connected(self):
        """The client should remain connected to the server until manually disconnected by the
        user."""
        scene = self.scene("ann", "bob")
        for _ in range(24):
            scene.forward(3600)
            for client in scene.people.values():
                for ping in client.hears_all(wire.Ping):
                    client.say(wire.Pong(ping.stamp))
        self.assertEqual(set(self.table(scene).values()), {"available"})
        scene.play("ann: exit")
        self.assertEqual(self.table(scene), {"ann": "not connected", "bob": "available"})


if __name__ == "__main__":
    unittest.main()

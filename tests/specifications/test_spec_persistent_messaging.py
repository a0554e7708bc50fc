"""The specification "persistent-messaging", sentence by sentence: a queue for each name, which
survives the process.

What it shares with the other texts is in specification.py.  The client's part (the two options
"Send message" and "Check for messages", the list and the three options, rejecting a typed string,
the words for "no messages", printing name and time) is tested in test_menu.py.
"""
import unittest

import wire
from tests.rules.specification import (
    Introduction,
    Queues,
    Specification,
    StartupOfAClient,
    TheServer,
    ThreeOptions,
    seen,
)


class PersistentMessagingIntroduction(Introduction, unittest.TestCase):
    pass


class PersistentMessagingClient(StartupOfAClient, unittest.TestCase):
    pass


class PersistentMessagingOptions(ThreeOptions, unittest.TestCase):
    pass


class PersistentMessagingServer(TheServer, unittest.TestCase):
    pass


class PersistentMessaging(Queues, Specification, unittest.TestCase):
    def test_unique_queue(self):
        """When the server encounters a new username, a unique message queue should be created for
        that username."""
        scene = self.scene("ann", "bob")
        scene.play("bob: exit")
        self.assertIsNot(scene.mailbox.find("ann"), scene.mailbox.find("bob"))
        scene.people["ann"].send("bob", "hi")
        self.assertEqual((scene.mailbox.find("ann").waiting, scene.mailbox.find("bob").waiting),
                         (0, 1))

    def test_independent_queues(self):
        """an independent queue should exist for each name."""
        scene = self.scene("ann", "bob", "cat")
        scene.play("bob: exit", "cat: exit")
        scene.people["ann"].send("bob,cat", "both")
        scene.people["ann"].send("cat", "one")
        self.assertEqual(seen(self.checked(scene, "bob")), [("ann", "both")])
        self.assertEqual(seen(self.checked(scene, "cat")), [("ann", "both"), ("ann", "one")])

    def test_arbitrary_number(self):
        """This queue must be able to contain an arbitrary number of messages."""
        scene = self.scene("ann", "bob")
        scene.play("bob: exit")
        ann = scene.people["ann"]
        for part in range(0, 20_000, 5000):
            ann.say(*(wire.Send(ann.id(), 0, ("bob",), str(part + number))
                      for number in range(5000)))
        scene.restart()
        scene.enter("bob")
        bob = scene.people["bob"]
        self.assertEqual(bob.welcome.waiting, 20_000)
        bob.say(wire.Check(1))
        got = []
        while mails := bob.hears_all(wire.Mail):
            got += [mail.text for mail in mails]
            bob.say(wire.Confirm(mails[0].id, mails[-1].id))
        self.assertEqual(got, [str(number) for number in range(20_000)])

    def test_placed_and_marked(self):
        """When a message is received by the server, the server should place the message in the
        corresponding queue for that intended recipient and mark that message with the time of its
        reception."""
        scene = self.scene("ann", "bob")
        scene.play("bob: exit")
        scene.people["ann"].send("bob", "hi")
        received = scene.daemon.now.wall
        scene.forward(7200)
        scene.restart()
        (mail,) = self.checked(scene, "bob")
        self.assertTrue(0 <= received - mail.time < 1_000_000)

    def test_placed_before_the_sender_is_told(self):
        """place the message in the corresponding queue

        (what was answered with STORED survives a kill)"""
        scene = self.scene("ann", "bob")
        scene.play("bob: exit")
        for number in range(3):
            scene.people["ann"].send("bob", str(number))
            self.assertEqual(scene.heard("ann")[0], "STORED")
            scene.restart()
            scene.enter("ann")
            scene.people["ann"]._ids += number + 1
        self.assertEqual([text for _, text in seen(self.checked(scene, "bob"))], ["0", "1", "2"])

    def test_persistent(self):
        """Queues should be persistent (e.g., the contents should survive the server process
        restarting)"""
        scene = self.scene("ann", "bob")
        scene.play("bob: exit")
        scene.people["ann"].send("bob", "before")
        scene.stop()
        scene.start()
        self.assertEqual(seen(self.checked(scene, "bob")), [("ann", "before")])

    def test_persistent_while_empty(self):
        """even if there are no messages in that queue when the server process is killed."""
        scene = self.scene("ann", "bob")
        scene.play("bob: exit")
        scene.restart()
        self.assertEqual(scene.mailbox.find("bob").waiting, 0)
        scene.enter("ann")
        scene.people["ann"].send("bob", "after")
        self.assertEqual(scene.heard("ann"), ["STORED", "AWAY bob"])
        self.assertEqual(self.printed(scene, "new-name"), [])

    def test_two_options(self):
        """When a client connects to the server, the user should be prompted to select one of two
        options: Send message; or, Check for messages.  (he is told how many messages wait)"""
        scene = self.scene("ann", "bob")
        scene.play("bob: exit")
        scene.people["ann"].send("bob", "hi")
        scene.people["ann"].send("bob", "hello")
        scene.enter("bob")
        self.assertEqual(scene.people["bob"].welcome.waiting, 2)

    def test_log_when_sending(self):
        """If the user selects "Send message", the server should provide the log of usernames to the
        client."""
        scene = self.scene("ann")
        scene.enter("bob")
        scene.forward(1)
        scene.people["ann"].listen()
        self.assertEqual(set(scene.people["ann"].roster), {"ann", "bob"})

    def test_deliver_the_queue(self):
        """If the user selects "Check for messages", the server should deliver the contents of the
        message queue that corresponds to that client's present username."""
        scene = self.scene("ann", "bob")
        scene.play("bob: exit")
        scene.people["ann"].send("bob", "for bob")
        self.assertEqual(self.checked(scene, "cat"), [])
        self.assertEqual(seen(self.checked(scene, "BOB")), [("ann", "for bob")])

    def test_no_messages(self):
        """If the queue is currently empty, the user should be notified that no messages are
        available."""
        scene = self.scene()
        self.assertEqual(self.checked(scene, "bob"), [])

    def test_deleted(self):
        """Once messages are retrieved by the client, the server should delete them from the
        queue."""
        scene = self.scene("ann", "bob")
        scene.play("bob: exit")
        scene.people["ann"].send("bob", "hi")
        scene.enter("bob")
        bob = scene.people["bob"]
        bob.say(wire.Check(1))
        mail = bob.hears(wire.Mail)
        self.assertEqual(scene.mailbox.find("bob").waiting, 1)          # not before it was shown
        bob.confirm(mail)
        self.assertEqual(scene.mailbox.find("bob").waiting, 0)
        scene.restart()
        self.assertEqual(self.checked(scene, "bob"), [])

    def test_remains_connected(self):
        """The client should remain connected to the server until manually disconnected by the
        user."""
        scene = self.scene("bob")
        bob = scene.people["bob"]
        for number in range(5):
            bob.say(wire.Check(number))
            bob.hears(wire.Checked)
        self.assertFalse(bob.is_disconnected())


if __name__ == "__main__":
    unittest.main()

"""The specification "Message-Service", sentence by sentence: the live service of chat-app, in its
short form.

Every sentence of it that speaks of the wire or of the server's table stands in another text too:
see specification.py. The client's part (prompting for a username, presenting the list, the three
options, printing) is tested in test_menu.py.
"""
import unittest

import wire
from tests.rules.specification import (
    NOW,
    Forwarding,
    LogToEachClient,
    Receiving,
    Specification,
    StartupOfAClient,
    TheServer,
    ThreeOptions,
)


class MessageServiceClient(StartupOfAClient, Receiving, unittest.TestCase):
    pass


class MessageServiceOptions(ThreeOptions, unittest.TestCase):
    pass


class MessageServiceServer(TheServer, LogToEachClient, unittest.TestCase):
    pass


class MessageServiceForwarding(Forwarding, unittest.TestCase):
    pass


class MessageService(Specification, unittest.TestCase):
    def test_send_and_receive_until_killed(self):
        """3. Proceed to send and receive messages until manually killed by the user."""
        scene = self.scene("ann", "bob")
        ann, bob = scene.people["ann"], scene.people["bob"]
        for number in range(5):
            ann.send("bob", f"ping {number}", NOW)
            bob.hears(wire.Mail, text=f"ping {number}")
            bob.send("ann", f"pong {number}", NOW)
            self.assertIn(f"MAIL bob: pong {number}", scene.heard("ann"))
            scene.forget()
        scene.play("bob: vanish")
        ann.send("bob", "still there?", NOW)
        self.assertEqual(scene.heard("ann"), ["ABSENT bob"])

    def test_upload_one_message(self):
        """4. When a text message is received from a client, the server should:  (act on it once,
        and print it)"""
        scene = self.scene("ann", "bob")
        scene.people["ann"].send("bob", "hi", NOW)
        self.assertEqual(len(self.printed(scene, "message")), 1)


if __name__ == "__main__":
    unittest.main()

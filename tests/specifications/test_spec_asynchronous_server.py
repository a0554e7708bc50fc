"""The specification "Asynchronous-message-server", sentence by sentence: queues that are checked.

Nearly every sentence of it stands in persistent-messaging too: see specification.py.  The client's
part (prompting for a username, presenting the list, the three options, printing) is tested in
test_menu.py.
"""
import unittest

import wire
from tests.rules.specification import Queues, StartupOfAClient, TheServer, ThreeOptions, seen


class AsynchronousServerClient(StartupOfAClient, unittest.TestCase):
    pass


class AsynchronousServerOptions(ThreeOptions, unittest.TestCase):
    pass


class AsynchronousServer(TheServer, unittest.TestCase):
    pass


class AsynchronousServerQueues(Queues, unittest.TestCase):
    def test_send_and_check_until_killed(self):
        """3. Proceed to send and check for messages until manually killed by the user."""
        scene = self.scene("ann", "bob")
        for who in ("ann", "bob"):
            scene.people[who].say(wire.Hold(1, 1))
        for number in range(4):
            one, other = (("ann", "bob"), ("bob", "ann"))[number % 2]
            scene.people[one].send(other, str(number))
            scene.forget()
            scene.people[other].say(wire.Check(1))
            mails = scene.people[other].hears_all(wire.Mail)
            self.assertEqual(seen(mails), [(one, str(number))])
            scene.people[other].confirm(*mails)
            scene.forget()

    def test_send_or_check(self):
        """4. The server will proceed according to whether the client wants to send or check for
        messages."""
        scene = self.scene("ann")
        ann = scene.people["ann"]
        ann.say(wire.Hold(1, 1))
        ann.send("ann", "a note")
        ann.say(wire.Check(2))
        self.assertEqual(scene.heard("ann"),
                         ["DONE", "STORED", "HOLDING ann", "MAIL ann: a note", "CHECKED"])

    def test_asynchronous(self):
        """Sender and reader are never connected at the same time."""
        scene = self.scene("ann", "bob")
        scene.play("bob: exit")
        scene.people["ann"].send("bob", "hi")
        scene.play("ann: exit")
        scene.restart()
        self.assertEqual(seen(self.checked(scene, "bob")), [("ann", "hi")])


if __name__ == "__main__":
    unittest.main()

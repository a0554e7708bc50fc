"""The processes that sync, killed and stopped under the real daemon, in each of their states."""

import os
import select
import signal
import sys
import threading
import time
import unittest
from pathlib import Path

import wire
from tests.harness.process import HERE, DaemonProcess, Speaker, say_figures
from tests.harness.terminals import until

CHILDREN = ("of the journal", "of the tasks")       # in the order in which they are made
SECONDS = 120.0             # for anything to happen, on a busy machine
SEAL_AT = 20_000            # bytes
ORIGIN = 3 << 32
# bytes: 65,536 short messages in their queue, and what is read of some connections
MEMORY = 64 << 20


def state_of(pid: int) -> str:
    """The letter of ps(1)."""
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0]


@unittest.skipUnless(os.path.exists("/proc/self/task"), "needs /proc")
class ChildCase(unittest.TestCase):
    def setUp(self) -> None:
        self.origin = ORIGIN

    def start(self, bare: bool = True) -> None:
        """Start a daemon; `bare` means that nobody else asks for anything."""
        self.daemon = DaemonProcess(program=(HERE + "/tests/torture/small_store.py", str(SEAL_AT)),
                                    bare=bare)
        self.addCleanup(self.daemon.close)
        assert self.daemon.process
        self.pid = self.daemon.process.pid
        with open(f"/proc/{self.pid}/task/{self.pid}/children") as children:
            # one more opens dbm files
            self.children = [int(pid) for pid in children.read().split()][:len(CHILDREN)]

    def enter(self, name: str) -> Speaker:
        client = self.daemon.client(name)
        self.addCleanup(client.close)
        return client

    def send(self, client: Speaker, to: str, text: str = "hi") -> int:
        self.origin += 1
        client.say(wire.Send(self.origin, 0, (to,), text))
        return self.origin

    def stop(self, child: int) -> None:
        pid = self.children[child]
        os.kill(pid, signal.SIGSTOP)
        until(lambda: state_of(pid) == "T", SECONDS, "it is stopped")

    def answers(self, client: Speaker) -> None:
        """A client that waits for no disk is answered at once."""
        self.origin += 1
        client.say(wire.Ping(self.origin))
        self.assertEqual(client.hear(wire.Pong).stamp, self.origin)


class Names(ChildCase):
    def test_an_operator_can_tell_them_apart(self) -> None:
        """As ps(1) shows them; else all are python3, and one might kill the wrong one."""
        self.start()
        self.enter("ann")
        for pid, name in zip((self.pid, *self.children),
                             ("parleyd", "parleyd-sync", "parleyd-sync"), strict=True):
            until(lambda pid=pid, name=name:        # type: ignore[misc]
                  Path(f"/proc/{pid}/comm").read_text().strip() == name, SECONDS, name)


class Killed(ChildCase):
    """What the disk told the last call went with the process, and is not told twice.

    So the daemon ends."""

    def ends(self, child: int) -> None:
        assert self.daemon.process
        os.kill(self.children[child], signal.SIGKILL)
        self.assertEqual(self.daemon.process.wait(SECONDS), os.EX_SOFTWARE, self.daemon.output())
        line, = self.daemon.output().splitlines()
        self.assertIn(f"the process that syncs (pid {self.children[child]}) is gone", line)

    def test_when_nothing_is_asked(self) -> None:
        for child, what in enumerate(CHILDREN):
            with self.subTest(what):
                self.start()
                self.enter("ann")
                self.ends(child)

    def test_while_it_syncs(self) -> None:
        self.start()
        ann = self.enter("ann")
        self.stop(0)
        self.send(ann, "ann")
        # written, and pushed; the sync was asked for
        self.assertEqual(ann.hear(wire.Mail).text, "hi")
        self.answers(ann)
        self.ends(0)

    def test_while_it_is_asked_for_more(self) -> None:
        """Under load the daemon may find out by an answer that ends, or by a request that fails."""
        for child, what in enumerate(CHILDREN):
            with self.subTest(what):
                self.start(bare=False)
                ann = self.enter("ann")
                for _ in range(300):
                    self.send(ann, "ann", "x" * 500)
                self.ends(child)

    def test_while_it_seals(self) -> None:
        self.start()
        ann = self.enter("ann")
        self.stop(1)
        for _ in range(SEAL_AT // 1000 + 1):
            self.send(ann, "ann", "x" * 1000)
        self.answers(ann)
        self.ends(1)


class Flooder(threading.Thread):
    """A client that sends as fast as the daemon reads, until it is refused.

    Then, when the disk goes on, it sends until one more message is stored."""

    def __init__(self, client: Speaker) -> None:
        super().__init__(daemon=True)
        self.client, self.origin = client, ORIGIN
        self.refused = self.stored = False
        self.disk_goes_on = threading.Event()

    def send(self, count: int) -> None:
        self.origin += count
        self.client.say(wire.Sends(self.origin, 0, ("bob",), ("x" * 20,) * count))

    def run(self) -> None:
        heard = self.client.messages()
        while not self.refused:
            self.send(wire.COPIES_MAX)
            while select.select([self.client.sock], [], [], 0)[0] and not self.refused:
                self.refused = isinstance(next(heard), wire.Refused)
        self.disk_goes_on.wait(SECONDS)
        self.origin += wire.COPIES_MAX
        self.send(1)
        for said in heard:
            if isinstance(said, wire.Stored) and said.last == self.origin:
                self.stored = True
                return
            if isinstance(said, wire.Refused) and said.id == self.origin:
                self.send(1)


class Stopped(ChildCase):
    """A disk that takes its time makes late what must be on it, and nothing else."""

    def test_live_messages_and_answers_go_on_and_promises_wait(self) -> None:
        self.start()
        ann, bob = self.enter("ann"), self.enter("bob")
        self.stop(0)
        sent = [self.send(ann, "bob") for _ in range(20)]
        self.assertEqual(bob.hear(wire.Mail).text, "hi")
        heard = []
        ann.say(wire.Ping(1))
        for said in ann.messages():
            heard.append(type(said))
            if type(said) is wire.Pong:
                break
        self.assertNotIn(wire.Stored, heard)
        os.kill(self.children[0], signal.SIGCONT)
        self.assertEqual(ann.hear(wire.Stored).first, sent[0])

    def test_a_disk_that_does_nothing_while_some_flood_it(self) -> None:
        """Both processes are stopped.

        A client that floods is held, and then refused; the others chat; nobody is disconnected, and
        what the daemon holds has a bound."""
        self.start()
        ann, bob = self.enter("ann"), self.enter("bob")
        flooders = [Flooder(self.enter(f"flooder{n}")) for n in range(4)]
        ann.say(wire.Invite(1, ("bob",)))
        bob.say(wire.Answer(bob.hear(wire.Invitation).invitation, 1))
        chat = bob.hear(wire.Started).chat
        for child in 0, 1:
            self.stop(child)
        before, answered = self.daemon.rss(), 0
        for flooder in flooders:
            flooder.start()
        while not all(flooder.refused for flooder in flooders):
            answered += 1
            ann.say(wire.Say(0, chat, "still there?"), wire.List(answered))
            self.assertEqual(bob.hear(wire.Line).text, "still there?")
            self.assertEqual(ann.hear(wire.Roster).request, answered)
            self.answers(bob)
            time.sleep(0.02)
        held = self.daemon.rss() - before
        say_figures(f"a stopped disk: {answered} lines meanwhile, {held >> 20} MiB more")
        self.assertLess(held, MEMORY)
        for pid in self.children:
            os.kill(pid, signal.SIGCONT)
        for flooder in flooders:
            flooder.disk_goes_on.set()
            flooder.join(SECONDS)
        self.assertEqual([flooder.stored for flooder in flooders], [True] * 4)
        self.answers(ann)

    def test_sealing_waits_and_all_else_goes_on(self) -> None:
        self.start()
        ann = self.enter("ann")
        self.stop(1)
        for _ in range(2 * SEAL_AT // 1000):
            self.send(ann, "ann", "x" * 1000)
        while ann.hear(wire.Stored).last != self.origin:
            pass
        self.answers(ann)
        os.kill(self.children[1], signal.SIGCONT)
        until(lambda: any(name.startswith("segment.") for name in os.listdir(self.daemon.store)),
              SECONDS, "it seals")
        self.answers(ann)


if __name__ == "__main__":
    sys.exit(unittest.main())

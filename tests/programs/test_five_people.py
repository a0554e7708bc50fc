"""Five people at five terminals, in a real tmux, with the real daemon in a sixth: a morning's work,
told in order.

Everything that a person would see is waited for on the screen; nothing is asked of the programs'
insides.  The house is lived in, 5,000 names, mail and archives, but its other people are away: the
five say who is here, one by one.
"""
import os
import signal
import sys
import tempfile
import unittest
from pathlib import Path

from tests.harness import lived_in
from tests.harness.process import HERE
from tests.harness.terminals import Tmux, environment, needs, until

PEOPLE = ("ann", "bob", "carol", "dave", "erin")
PATIENCE = 60.0             # seconds, for anything to appear, on a busy machine


@needs("tmux")
class FivePeople(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory(prefix="parley-five-")
        self.addCleanup(directory.cleanup)
        self.home = directory.name
        store = Path(self.home, "parley/store")
        store.parent.mkdir(0o700)
        lived_in.furnish(store)
        lived_in.keep_a_year(self.home, store, *PEOPLE)
        self.env = environment("tmux-256color", XDG_RUNTIME_DIR=self.home, XDG_STATE_HOME=self.home)
        self.addCleanup(self.daemon_is_gone)
        self.tmux = Tmux()
        self.addCleanup(self.tmux.close)

    def daemon_is_gone(self) -> None:
        """It puts what waits to rest when its terminal is gone; only then may the directory be
        removed."""
        lock = Path(self.home, "parley/store/lock")
        process = Path("/proc", lock.read_text().strip() if lock.exists() else "none")
        until(lambda: not process.exists(), PATIENCE, "the daemon to be gone")

    # ---- what people do ----

    def daemon(self) -> None:
        self.tmux.new([sys.executable, HERE + "/daemon.py", "--listen",
                       f"unix:{self.home}/parley/parley.sock",
                       "--patience", "600"], name="daemon", env=self.env)
        until(lambda: Path(self.home, "parley/parley.sock").exists(), PATIENCE,
              "the daemon's socket")

    def kill_daemon(self, number: int = signal.SIGKILL) -> None:
        """By its own pid."""
        os.kill(int(Path(self.home, "parley/store/lock").read_text()), number)
        until(lambda: self.tmux.exit_code(name="daemon") is not None, PATIENCE,
              "the daemon to be gone")
        self.tmux.kill(name="daemon")

    def come(self, name: str, shown: str | None = None) -> None:
        """A person starts the client."""
        self.tmux.new([sys.executable, HERE + "/curses_client.py", "--name", name],
                      name=shown or name, env=self.env)

    def arrive(self, name: str) -> None:
        self.come(name)
        self.sees(name, f"as {name}:")

    def types(self, name: str, *lines: str) -> None:
        """Line by line: Enter when the line is on the screen, the next line when Enter has changed
        something; what comes sooner is a paste."""
        for line in lines:
            self.tmux.type(line, name=name)
            shown = self.tmux.until(lambda screen, line=line: self.is_typed(screen, line), PATIENCE,
                                    name=name)
            self.tmux.send("Enter", name=name)
            self.tmux.until(lambda screen, shown=shown: screen != shown, PATIENCE, name=name)

    @staticmethod
    def is_typed(screen: str, line: str) -> bool:
        """Whether it stands behind the prompt, a digit perhaps as the item that it selects."""
        row = screen.rstrip().rpartition("\n")[2]
        return row.endswith(line) or (line.isdigit() and f"> {line}. " in row)

    def sees(self, name: str, *texts: str) -> None:
        for text in texts:
            self.tmux.until(text, PATIENCE, name=name)

    def sees_new(self, name: str, text: str, after: str) -> None:
        """A text below the last place where another stands."""
        self.tmux.until(lambda screen: text in screen.rpartition(after)[2], PATIENCE, name=name)

    def table_says(self, name: str, state: str) -> None:
        """The daemon's live table."""
        self.tmux.until(lambda screen: any(row.startswith(name) and state in row
                                           for row in screen.split("\n")),
                        PATIENCE, name="daemon")

    def leaves(self, *names: str) -> None:
        for name in names:
            self.types(name, "/exit")
            self.assertEqual(self.tmux.exit_code(PATIENCE, name=name), 0)
            self.tmux.kill(name=name)
            self.table_says(name, "not connected")

    # ---- the morning ----

    def test_a_morning(self) -> None:
        self.daemon()
        self.alone()
        self.a_taken_name()
        self.messages()
        self.the_daemon_is_killed()
        self.chats()
        self.a_partner_vanishes()
        self.groups()
        self.leaves(*PEOPLE)
        self.kill_daemon(signal.SIGTERM)

    def alone(self) -> None:
        self.arrive("ann")
        self.types("ann", "1")
        self.sees("ann", "No other client.")
        self.types("ann", "4")
        self.sees("ann", "No clients to chat")
        self.types("ann", "3")
        self.sees("ann", "o messages")
        self.table_says("ann", "available")

    def a_taken_name(self) -> None:
        self.come("ann", shown="bob")
        self.sees("bob", "ann is in use, by you", "username> ann")
        self.tmux.send("C-u", name="bob")
        self.types("bob", "bob")
        self.sees("bob", "as bob:")
        for name in ("carol", "dave", "erin"):
            self.arrive(name)
            self.table_says(name, "available")

    def messages(self) -> None:
        self.types("ann", "2", "1", "bob", "to one by the menu")        # one user
        self.sees("bob", "ann > you", "to one by the menu")
        self.types("ann", "/send bob,carol to two of you")
        for name in ("bob", "carol"):
            self.sees(name, "to two of you")
        self.types("ann", "2", "3", "to everyone by the menu")          # all users
        for name in PEOPLE[1:]:
            self.sees(name, "ann > all", "to everyone by the menu")
        self.types("erin", "@nobody-here hello")
        self.sees("erin", "nobody-here")
        self.tmux.send("C-u", name="erin")
        self.leaves("erin")
        self.types("ann", "@erin for when you are back")
        self.sees("ann", "erin is not connected: kept in the mailbox")
        self.types("ann", "/now erin now or never")
        self.sees_new("ann", "not delivered", after="now or never")
        self.types("dave", "/hold on")
        self.sees("dave", "hold")
        self.types("ann", "@dave while you hold")
        self.sees("dave", "1 waiting")
        self.types("dave", "3")
        self.sees("dave", "while you hold")
        self.types("dave", "3")
        self.sees_new("dave", "o messages", after="while you hold")
        self.types("dave", "/hold off")

    def the_daemon_is_killed(self) -> None:
        self.types("dave", "/hold on")
        self.sees("bob", "= 4 online")
        self.types("ann", "@dave before the crash")
        self.sees("dave", "1 waiting")
        self.kill_daemon()
        self.sees("bob", "offline")
        self.types("ann", "@bob while it was down")
        self.daemon()
        for name in ("ann", "bob", "carol", "dave"):
            self.sees_new(name, "4 online", after="offline")
        self.types("bob", "3")                  # he may have come back after her message did
        self.sees("bob", "while it was down")
        self.arrive("erin")                     # nothing but what waited for her
        self.sees("erin", "1 message waiting")
        self.types("erin", "3")
        self.sees("erin", "for when you are back")
        self.sees_new("ann", "=", after="while you hold")
        self.types("dave", "/hold off", "3")
        self.sees("dave", "before the crash")
        self.types("carol", "3")
        self.sees("carol", "o messages")        # an empty queue is an empty queue

    def chats(self) -> None:
        self.types("ann", "4", "carol")
        self.sees("carol", "ann invites you to a chat")
        self.types("carol", "8")
        self.sees("ann", "carol denied")
        self.types("ann", "/chat carol")
        self.types("bob", "/chat dave")
        self.tmux.until("/accept", PATIENCE, name="carol")
        self.tmux.until("/accept", PATIENCE, name="dave")
        self.types("carol", "7")
        self.types("dave", "7")
        self.table_says("ann", "chatting with carol")
        self.table_says("dave", "chatting with bob")
        self.types("ann", "side by side")
        self.types("bob", "in parallel")
        self.sees("carol", "ann: side by side")
        self.sees("dave", "bob: in parallel")
        self.types("erin", "1")
        self.sees("erin", "Chatting with carol", "Chatting with bob", "Available (you)")
        self.types("erin", "4")
        self.sees("erin", "No clients to chat")
        self.types("erin", "@ann,dave mail for the busy")
        self.sees("ann", "mail for the busy")
        self.sees("dave", "mail for the busy")
        self.types("carol", "QUIT")
        for name in ("ann", "carol"):
            self.sees(name, "Chat session ended")
            self.table_says(name, "available")

    def a_partner_vanishes(self) -> None:
        self.table_says("bob", "chatting with dave")
        self.tmux.kill(name="dave")
        self.sees("bob", "Chat session ended")
        self.table_says("dave", "not connected")
        self.table_says("bob", "available")
        self.arrive("dave")

    def groups(self) -> None:
        self.types("ann", "/group bob,carol")
        self.tmux.until("/accept", PATIENCE, name="bob")
        self.tmux.until("/accept", PATIENCE, name="carol")
        self.types("bob", "7")
        self.types("carol", "7")
        self.sees("ann", "group chat with bob, carol")
        self.types("ann", "hello to the group")
        self.sees("bob", "ann: hello to the group")
        self.sees("carol", "ann: hello to the group")
        self.types("dave", "/group erin,ann")
        self.sees("dave", "not available")
        self.types("bob", "Quit")
        self.sees("carol", "bob left the chat")
        self.table_says("ann", "chatting with carol")
        self.types("carol", "Quit")
        self.table_says("ann", "available")
        self.types("ann", "5")
        self.sees("ann", "group>")
        self.tmux.send("Escape", name="ann")
        self.sees("ann", "menu>")               # Escape and a key at once would be Alt and that key
        self.types("ann", "/group bob,carol,dave")
        for name in ("bob", "carol", "dave"):
            self.tmux.until("/accept", PATIENCE, name=name)
        self.types("bob", "7")
        self.types("dave", "8")
        for name in ("ann", "bob", "carol"):
            self.sees(name, "dave denied")
            self.table_says(name, "available")


if __name__ == "__main__":
    unittest.main()

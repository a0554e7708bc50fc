"""A session that ends in the middle of something, and the next one, by the real programs."""
import contextlib
import os
import signal
import unittest
from collections.abc import Iterator

import wire
from tests.harness.process import effort
from tests.harness.terminals import Terminal
from tests.programs.test_client import OnScreen

SILENT_SECONDS = 15.0


class SessionEnds(OnScreen):
    @contextlib.contextmanager
    def standing_still(self) -> Iterator[None]:
        """The daemon runs, and does nothing."""
        assert self.daemon.process
        os.kill(self.daemon.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.daemon.process.pid, signal.SIGCONT)

    def ann(self, *options: str, rows: int, cols: int) -> Terminal:
        ann = self.terminal("--name", "ann", *options, rows=rows, cols=cols)
        self.sees(ann, "= menu = ", "menu>")
        return ann

    def received(self, name: str) -> list[str]:
        with self.daemon.client(name) as reader:
            reader.say(wire.Check(1))
            texts = []
            for said in reader.messages():
                if isinstance(said, wire.Mail):
                    texts.append(said.text)
                    reader.say(wire.Confirm(said.id, said.id))
                if isinstance(said, wire.Checked):
                    return texts
        return []

    def test_killed_before_the_answer_and_moved_with_half_a_text(self) -> None:
        ann = self.ann(rows=24, cols=80)
        with self.standing_still():
            ann.type("@bob only once\r")
            self.sees(ann, "you > bob         . only once")
            if effort(1, 0):
                ann.until("no answer from the daemon for", SILENT_SECONDS)
            ann.signal(signal.SIGKILL)
            ann.wait()
        again = self.ann(rows=10, cols=40)
        self.sees(again, "1 message of yours was not")
        again.type("/send-again\r")
        self.sees(again, "you > bob = only once")
        again.type("/with bob\r")
        self.sees(again, "to bob>")
        again.type("half a te")
        self.sees(again, "to bob> half a te")
        moved = self.ann("--take", rows=10, cols=40)
        again.wait()
        self.sees(moved, "here again: to bob")
        moved.type("/with bob\r")
        self.sees(moved, "to bob> half a te")
        for seen in ("to bob>", "Ctrl-C again"):
            moved.type("\x03")
            self.sees(moved, seen)
        moved.type("\x03")
        moved.wait()
        self.assertEqual(self.received("bob"), ["only once"])
        kept = os.listdir(self.daemon.directory + "/state/parley")
        self.assertFalse([name for name in kept if "unsent" in name], kept)


if __name__ == "__main__":
    unittest.main()

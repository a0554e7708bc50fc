"""Rooms, by the real programs in a house where people live: two users at terminals, and scripts."""
import subprocess
import unittest
from typing import Any

from tests.harness.terminals import Terminal
from tests.programs.test_client import OnScreen

ROOM = "#room.of-a-test"        # the daemon is shared with other tests


class OnTerminals(OnScreen):
    def at(self, name: str, rows: int, cols: int) -> Terminal:
        return Terminal([*self.command("--name", name)], self.environment(), rows=rows, cols=cols)

    def run_once(self, *options: str) -> Any:
        return subprocess.run(self.command(*options), env=self.environment(), text=True,
                              capture_output=True, timeout=60, check=False)

    def test_two_terminals_and_a_script(self) -> None:
        for rows, cols in ((24, 80), (10, 40)):
            room = f"{ROOM}.{cols}"
            with self.subTest(cols=cols), self.at(f"rita.{cols}", rows, cols) as rita:
                rita.until("menu>")
                rita.type(f"/join {room}\r")
                rita.until(f"you are in {room}"[:cols - 10])
                rita.type(f"@{room} which drawer?\r")
                rita.until("to #room")
                script = self.run_once("--name", f"sam.{cols}", "--send", room, "hi")
                self.assertEqual(script.returncode, 67, script.stderr)
                with self.at(f"sam.{cols}", rows, cols) as sam:
                    sam.until("menu>")
                    sam.type(f"/join {room}\r")
                    sam.until("which drawer?")
                    rita.type("the second\r")
                    sam.until("the second")
                    sam.type("/exit\r")
                    sam.wait()
                rita.type("kept for sam\r")
                rita.until("kept for sam")
                script = self.run_once("--name", f"sam.{cols}", "--send", room, "by a script")
                self.assertEqual((script.returncode, script.stderr), (0, ""))
                rita.until("by a script")
                found = self.run_once("--name", f"sam.{cols}", "--check")
                self.assertRegex(found.stdout, f"rita.{cols} > {room}: kept for sam")
                who = self.run_once("--name", f"sam.{cols}", "--who", room)
                self.assertEqual([line.split()[:2] for line in who.stdout.splitlines()],
                                 [[f"rita.{cols}", "Available"], [f"sam.{cols}", "not"]])
                rita.type("\x1b/exit\r")


if __name__ == "__main__":
    unittest.main()

"""A second of torture_doors.py: connections held open at their proof, and logins beside them."""
import unittest

from tests.harness.process import DaemonProcess, effort, reserved_port, say_figures
from tests.torture.torture_doors import GET_IN, claim, held

HELD = effort((8, 32, 500), (8,))
SECONDS = effort(5.0, 0.6)


class Proofs(unittest.TestCase):
    def test_owners_get_in_beside_connections_that_are_held_open(self) -> None:
        port = reserved_port()
        with DaemonProcess("--listen", f"127.0.0.1:{port}", bare=True) as daemon:
            for name in "held", "sam":
                claim(port, name)
            for count in HELD:
                logins, made = held(port, count, SECONDS)
                say_figures(f"{count} held, {made:.0f} dialled a second: {logins}")
                self.assertGreater(logins.tried, 3)
                self.assertGreaterEqual(logins.got_in, GET_IN * logins.tried)
            self.assertEqual(daemon.output(), "")


if __name__ == "__main__":
    unittest.main()

"""The wheel, told from the arrow keys by time."""
import unittest

from terminal.keys import GAP, Paste
from terminal.wheel import FIRST, RESTS, TURNS, Wheel

UP, DOWN = b"\x1b[A", b"\x1bOB"


class Telling(unittest.TestCase):
    def setUp(self) -> None:
        self.wheel = Wheel()

    def told(self, *steps: bytes | float) -> list[object]:
        """Bytes that are read, and seconds of silence."""
        keys: list[object] = []
        for step in steps:
            if isinstance(step, bytes):
                keys += self.wheel.feed(step)
                continue
            while (wait := self.wheel.timeout()) is not None and wait <= step:
                keys += self.wheel.expire()
                step -= wait
        return keys

    def test_a_notch_is_several_at_once(self) -> None:
        for data, key in ((UP, "<WheelUp>"), (DOWN, "<WheelDown>")):
            self.assertEqual(self.told(data * 3), [key] * 3)
            self.assertEqual(self.told(RESTS), [])

    def test_a_touchpad_sends_one_after_the_other(self) -> None:
        self.assertEqual(self.told(UP, 0.016, UP, 0.016, UP, 0.05, UP, 0.05, DOWN),
                         ["<WheelUp>"] * 4 + ["<WheelDown>"])

    def test_presses_and_a_key_held_down(self) -> None:
        for gaps in ((0.08, 0.09, 0.08), (0.3, 0.033, 0.01, 0.0, 0.033), (0.2, 0.016, 0.016)):
            steps = [step for gap in gaps for step in (UP, gap)]
            self.assertEqual(self.told(*steps), ["<Up>"] * len(gaps), gaps)
            self.assertEqual(self.told(2 * RESTS), [])

    def test_a_press_is_there_after_a_moment_or_with_the_next_key(self) -> None:
        self.assertEqual(self.told(UP), [])
        self.assertEqual(self.wheel.timeout(), FIRST)
        self.assertEqual(self.told(FIRST), ["<Up>"])
        self.assertEqual(self.told(RESTS), [])
        self.assertEqual(self.told(UP, b"x"), ["<Up>", "x"])
        self.assertEqual(self.told(UP + DOWN), ["<Up>", "<Down>"])

    def test_after_a_pause_the_wheel_may_be_a_key(self) -> None:
        self.assertEqual(self.told(UP * 2, TURNS, UP, FIRST), ["<WheelUp>"] * 2 + ["<Up>"])
        self.assertEqual(self.told(RESTS, UP * 2), ["<WheelUp>"] * 2)

    def test_what_the_decoder_waits_for_is_decided_too(self) -> None:
        self.assertEqual(self.told(UP, b"\x1b", 1.0), ["<Up>", "<Esc>"])
        self.assertEqual(self.told(UP * 2 + b"\x1b", 1.0), ["<WheelUp>"] * 2 + ["<Esc>"])
        self.assertEqual(self.told(UP, b"\r", GAP), ["<Up>", "<Enter>"])
        self.assertEqual(self.told(UP * 2, b"a\rb\r", 1.0), ["<WheelUp>"] * 2 + [Paste("a\nb\n")])
        self.assertIsNone(self.wheel.timeout())


if __name__ == "__main__":
    unittest.main()

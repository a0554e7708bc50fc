"""Bodies: the texts of several messages in one string of bytes."""
import struct
import unittest
from random import Random

from net.bodies import body_of, count_of, is_whole, joined, lengths_of, part_of, size_of, texts_of


def some(chance: Random, most: int) -> list[bytes]:
    return [chance.randbytes(chance.choice((0, 1, 7, 300))) for _ in range(chance.randint(1, most))]


class Bodies(unittest.TestCase):
    def test_layout(self) -> None:
        self.assertEqual(body_of([b"hi"]), b"\0\1\0\2hi")
        self.assertEqual(body_of([b"hi", b"", b"x" * 258]), b"\0\3\0\2\0\0\1\2hi" + b"x" * 258)

    def test_there_and_back(self) -> None:
        chance = Random(7)
        for _ in range(300):
            texts = some(chance, 40)
            body = body_of(texts)
            self.assertEqual(texts_of(body), texts)
            self.assertEqual((count_of(body), size_of(body)), (len(texts), sum(map(len, texts))))
            self.assertEqual(lengths_of(body), tuple(map(len, texts)))
            self.assertTrue(is_whole(body))

    def test_parts(self) -> None:
        texts = some(Random(8), 30)
        body = body_of(texts)
        for start in range(len(texts)):
            for stop in range(start + 1, len(texts) + 1):
                part = part_of(body, start, stop)
                self.assertEqual(part, body_of(texts[start:stop]))
                if start:
                    self.assertEqual(joined([part_of(body, 0, start), part]),
                                     part_of(body, 0, stop))

    def test_joined(self) -> None:
        chance = Random(9)
        for _ in range(100):
            several = [some(chance, 5) for _ in range(chance.randint(1, 6))]
            together = body_of([text for texts in several for text in texts])
            self.assertEqual(joined(list(map(body_of, several))), together)

    def test_what_is_none(self) -> None:
        body = body_of([b"hi", b"ho", b"x" * 300])
        for wrong in (b"", b"\0", b"\0\0", b"\0\1", b"\0\1\0", b"\xff\xff", body + b"x", body[:-1],
                      body[:9], body[:3],
                      struct.pack("!H", 2) + body[2:], struct.pack("!H", 4) + body[2:],
                      b"\0\0" + body[2:]):
            self.assertFalse(is_whole(wrong), wrong[:20])


if __name__ == "__main__":
    unittest.main()

"""wire: every message both ways, however the stream is cut, at every limit, and what is no message
at all."""
import random
import re
import struct
import unittest

import wire
from net.bodies import BODY_MAX, body_of, texts_of
from net.fields import KEYS
from rules import runs
from rules.window import NAMED
from store.headings import heading_of
from store.mail import Mail
from wire import (
    CLIENT,
    DAEMON,
    FRAME_MAX,
    HELLO_MAX,
    NAME_MAX,
    TEXT_MAX,
    Decoder,
    Entry,
    ProtocolError,
    RoomEntry,
)

LOWEST = {"B": 0, "H": 0, "I": 0, "Q": 0, "16s": bytes(16), "32s": bytes(32), "word": "",
          "words": (), "text": "", "texts": ("",), "entries": (), "rooms": ()}
USUAL = {"B": 1, "H": 300, "I": 70_000, "Q": 7 << 32 | 9, "16s": bytes(range(16)),
         "32s": bytes(range(32)), "word": "bob", "words": ("bob", "erin-2", "Ωμ"),
         "text": "the \"torque\" wrench?\n\tÄ漢\U0001f527", "texts": ("hi", "", "Ä漢\U0001f527"),
         "entries": (Entry("bob", 1, 0, 1 << 50, 0), Entry("erin", 2, 1, 5, 9)),
         "rooms": (RoomEntry("#ops", 0, 1, 3, 1, "bay 3"), RoomEntry("#Ω", 2, 3, 1, 0, ""))}
HIGHEST = {"B": 2**8 - 1, "H": 2**16 - 1, "I": 2**32 - 1, "Q": 2**64 - 1, "16s": b"\xff" * 16,
           "32s": b"\xff" * 32, "word": "x" * 255,
           "words": ("n" * NAME_MAX,) * 1000, "text": "t" * TEXT_MAX,
           "texts": ("t" * TEXT_MAX, "u" * 900),
           "entries": (Entry("n" * NAME_MAX, 255, 255, 2**64 - 1, 2**32 - 1),) * 1000,
           "rooms": (RoomEntry("#" * 255, 255, 255, 2**32 - 1, 2**32 - 1, "t" * 255),) * 100}
FOREIGN = "\x1b[31m\r\n\x00\x9b\u202e\u2028\ud7ff\"=,"


def of(codec, values):
    """A message of this row of the table, its fields taken from a table of values."""
    return codec.cls(*(values[how] for _, how in codec.fields))


SAMPLES = [of(codec, values) for codec in wire.MESSAGES.values()
           for values in (LOWEST, USUAL, HIGHEST)]


def speaker_of(said):
    """A side that may say this."""
    return CLIENT if wire.CODECS[type(said)].direction & CLIENT else DAEMON


def decoded(frames, speaker):
    return [wire.decode(frame, speaker) for frame in frames]


def frame_of(length):
    """A frame with this length in its head."""
    return struct.pack("!I", length) + bytes((wire.CODECS[wire.Notice].kind,)) + b"x" * (length - 1)


def body(said):
    """A message's frame without its length."""
    return wire.encode(said)[4:]


class EveryMessage(unittest.TestCase):
    def test_both_ways(self):
        for said in SAMPLES:
            with self.subTest(wire.name_of(said)):
                (frame,) = Decoder(FRAME_MAX).feed(wire.encode(said))
                again = wire.decode(frame, speaker_of(said))
                self.assertEqual((type(again), again), (type(said), said))

    def test_layout(self):
        """The frame of the manual, byte by byte."""
        self.assertEqual(wire.encode(wire.Send(0x0102030405060708, 1, ("bob", "é"), "hi")),
                         b"\0\0\0\x19" b"\x02" b"\1\2\3\4\5\6\7\x08" b"\1" b"\0\2" b"\3bob"
                         b"\2\xc3\xa9" b"\0\1"
                         b"\0\2" b"hi")
        self.assertEqual(wire.encode(wire.Roster(0, 1, (Entry("a", 2, 1, 3, 4),))),
                         b"\0\0\0\x18" b"\x2a" b"\0\0\0\0" b"\1" b"\0\1" b"\1a" b"\2\1"
                         b"\0\0\0\0\0\0\0\3" b"\0\0\0\4")

    def test_of_the_wrong_side(self):
        for said in SAMPLES:
            direction = wire.CODECS[type(said)].direction
            for speaker in (CLIENT, DAEMON):
                if not direction & speaker:
                    with self.subTest(wire.name_of(said)), self.assertRaisesRegex(ProtocolError,
                                                                                  "no message of "
                                                                                  "kind"):
                        wire.decode(body(said), speaker)

    def test_of_no_kind(self):
        for kind in set(range(256)) - set(wire.MESSAGES):
            for speaker in (CLIENT, DAEMON):
                with self.assertRaisesRegex(ProtocolError, f"kind {kind} "):
                    wire.decode(bytes((kind,)) + bytes(40), speaker)

    def test_cut_short(self):
        """No beginning of a message passes for the message, unless it ends in a text, which is what
        is there."""
        for said in SAMPLES:
            whole = body(said)
            codec = wire.CODECS[type(said)]
            text = len(said[-1].encode()) if codec.rest and codec.rest[-1] == "text" else 0
            ends = len(whole) - text
            for end in range(max(1, ends - 60), ends):
                with self.subTest(wire.name_of(said), end=end), \
                        self.assertRaisesRegex(ProtocolError, "cut short|runs past|not as long"):
                    wire.decode(whole[:end], speaker_of(said))

    def test_trailing_bytes(self):
        for said in SAMPLES:
            if "text" in wire.CODECS[type(said)].rest:
                continue
            for more in (1, 7):
                with self.subTest(wire.name_of(said)), \
                        self.assertRaisesRegex(ProtocolError, f"{more} bytes too many|not as long"):
                    wire.decode(body(said) + bytes(more), speaker_of(said))

    def test_not_utf8(self):
        for raw in (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf5\x80\x80\x80"):
            for frame in (body(wire.Say(1, 2, "")) + raw,
                          body(wire.Hello(1, 0, bytes(16), ""))[:-1] + _word(raw),
                          body(wire.Invite(1, ()))[:-1] + b"\1" + _word(raw)):
                with self.subTest(frame=frame), self.assertRaisesRegex(ProtocolError, "not UTF-8"):
                    wire.decode(frame, CLIENT)

    def test_a_reason_is_one_line(self):
        for frame in (b"\xff", body(wire.Check(1)) + b"\n\n", body(wire.Say(1, 2, "")) + b"\xff\n"):
            with self.assertRaises(ProtocolError) as caught:
                wire.decode(frame, CLIENT)
            self.assertTrue(str(caught.exception).isprintable())


def _word(raw):
    return bytes((len(raw),)) + raw


class Stream(unittest.TestCase):
    """A stream of bytes, however cut, gives the same messages."""

    def pieces(self, *pieces, speaker=DAEMON):
        decoder = Decoder(FRAME_MAX)
        frames = [bytes(frame) for piece in pieces for frame in decoder.feed(piece)]
        self.assertEqual(decoder.held, 0)
        return decoded(frames, speaker)

    def test_byte_by_byte(self):
        for codec in wire.MESSAGES.values():
            said = of(codec, USUAL)
            data = wire.encode(said)
            pieces = [data[at:at + 1] for at in range(len(data))]
            self.assertEqual(self.pieces(*pieces, speaker=speaker_of(said)), [said])

    def test_every_split_in_two(self):
        for codec in wire.MESSAGES.values():
            said = of(codec, USUAL)
            data = wire.encode(said)
            for at in range(len(data) + 1):
                self.assertEqual(self.pieces(data[:at], data[at:], speaker=speaker_of(said)),
                                 [said])

    def test_every_split_with_the_next_frame_glued_on(self):
        """Two messages and a third, cut in two anywhere: the second piece begins in any of them."""
        for codec in wire.MESSAGES.values():
            said = of(codec, USUAL)
            pong = wire.Pong(5)
            data = wire.encode(pong) + wire.encode(said) + wire.encode(pong)
            for at in range(len(data) + 1):
                heard = self.pieces(data[:at], data[at:], speaker=speaker_of(said))
                self.assertEqual(heard, [pong, said, pong])

    def test_every_split_in_three(self):
        data = wire.encode(wire.Pong(1)) + wire.encode(wire.Notice("")) + wire.encode(wire.Pong(2))
        for first in range(len(data) + 1):
            for second in range(first, len(data) + 1):
                heard = self.pieces(data[:first], data[first:second], data[second:])
                self.assertEqual(heard, [wire.Pong(1), wire.Notice(""), wire.Pong(2)])

    def test_many_at_once(self):
        """All samples in one stream, in pieces of every size from 1 to a frame."""
        said = [sample for sample in SAMPLES if wire.CODECS[type(sample)].direction & DAEMON]
        data = b"".join(map(wire.encode, said))
        for size in (3, 4, 5, 1000, 65535, 65536, 65541, len(data)):
            heard = self.pieces(*(data[at:at + size] for at in range(0, len(data), size)))
            self.assertEqual(heard, said)

    def test_nothing_held_by_a_declared_length(self):
        """A length of 64 KiB and no more: what is held is what arrived."""
        decoder = Decoder(FRAME_MAX)
        self.assertEqual(list(decoder.feed(struct.pack("!I", FRAME_MAX) + b"\x35ab")), [])
        self.assertEqual(decoder.held, 7)


class FrameLimits(unittest.TestCase):
    def test_lengths(self):
        for limit in (HELLO_MAX, FRAME_MAX):
            for length in (1, limit - 1, limit):
                self.assertEqual([len(frame) for frame in Decoder(limit).feed(frame_of(length))],
                                 [length])
            for length in (0, limit + 1, 2**31, 2**32 - 1):
                with self.subTest(limit=limit,
                                  length=length), self.assertRaisesRegex(ProtocolError,
                                                                         f"{length} bytes"):
                    list(Decoder(limit).feed(struct.pack("!I", length)))

    def test_a_stranger_is_held_to_the_short_one(self):
        self.assertEqual((Decoder().limit, HELLO_MAX, FRAME_MAX), (1024, 1024, 65536))

    def test_refused_before_its_bytes_arrive(self):
        """Cut inside the length: refused with its fourth byte."""
        head = struct.pack("!I", HELLO_MAX + 1)
        decoder = Decoder()
        self.assertEqual(list(decoder.feed(head[:3])), [])
        with self.assertRaises(ProtocolError):
            list(decoder.feed(head[3:]))

    def test_frames_before_it_were_yielded(self):
        frames = Decoder().feed(wire.encode(wire.Ping(1)) + struct.pack("!I", 0))
        self.assertEqual(wire.decode(next(frames), CLIENT), wire.Ping(1))
        with self.assertRaises(ProtocolError):
            next(frames)

    def test_raised_between_two_frames(self):
        """HELLO and a long message in one piece, as after a login."""
        for cut in range(HELLO_MAX + 15):
            data = frame_of(10) + frame_of(HELLO_MAX + 1)
            decoder = Decoder()
            frames = decoder.split(data[:cut])
            decoder.widen(FRAME_MAX)
            frames += decoder.split(b"") + decoder.split(data[cut:])
            self.assertEqual([len(frame) for frame in frames], [10, HELLO_MAX + 1])
        decoder = Decoder()
        self.assertEqual(len(decoder.split(data)), 1)
        self.assertIn("1 to 1024", decoder.fault)
        decoder.widen(FRAME_MAX)
        self.assertEqual([len(frame) for frame in decoder.split(b"")], [HELLO_MAX + 1])

    def test_raised_by_one_who_is_fed(self):
        """The first frame of a piece raises the limit, as WELCOME does: it holds for those behind
        it in the piece."""
        data = b"".join(map(frame_of, (10, FRAME_MAX, 7, HELLO_MAX + 1, 1)))
        for pieces in ([data], [data[:14], data[14:]],
                       *([data[:cut], data[cut:]] for cut in range(0, len(data), 97)),
                       [data[at:at + 1] for at in range(len(data))]):
            decoder, lengths = Decoder(), []
            for piece in pieces:
                for frame in decoder.feed(piece):
                    lengths.append(len(frame))
                    decoder.widen(FRAME_MAX)
            self.assertEqual((lengths, decoder.held), ([10, FRAME_MAX, 7, HELLO_MAX + 1, 1], 0))

    def test_raised_and_broken_again(self):
        decoder, lengths = Decoder(), []
        with self.assertRaisesRegex(ProtocolError, f"{FRAME_MAX + 1} bytes; 1 to {FRAME_MAX} "):
            for frame in decoder.feed(b"".join(map(frame_of, (10, HELLO_MAX + 1, FRAME_MAX + 1)))):
                lengths.append(len(frame))
                decoder.widen(FRAME_MAX)
        self.assertEqual(lengths, [10, HELLO_MAX + 1])

    def test_what_is_encoded_fits(self):
        """NOTICE has a text alone: a frame of FRAME_MAX with its kind, not one byte more."""
        for size in (FRAME_MAX - 2, FRAME_MAX - 1):
            self.assertEqual(len(wire.encode(wire.Notice("x" * size))), size + 5)
        with self.assertRaisesRegex(ValueError, "longer than a frame"):
            wire.encode(wire.Notice("x" * FRAME_MAX))

    def test_words(self):
        for size in (254, 255):
            said = wire.Hello(1, 0, bytes(16), "x" * size)
            self.assertEqual(wire.decode(body(said), CLIENT), said)
        with self.assertRaises(ValueError):
            wire.encode(wire.Hello(1, 0, bytes(16), "x" * 256))

    def test_a_hello_fits_a_strangers_frame(self):
        self.assertLessEqual(len(body(of(wire.CODECS[wire.Hello], HIGHEST))), HELLO_MAX)

    def test_counts(self):
        """A count of words or entries that is one more than there are is cut short, one less leaves
        some over."""
        for said, at in ((wire.Invite(1, ("a",) * 9), 5),
                         (wire.Roster(1, 1, (Entry("a", 0, 0, 0, 0),) * 9), 6)):
            frame = bytearray(body(said))
            (count,) = struct.unpack_from("!H", frame, at)
            self.assertEqual(count, 9)
            for wrong, reason in ((8, "too many"), (10, "cut short"), (65535, "cut short")):
                struct.pack_into("!H", frame, at, wrong)
                with self.assertRaisesRegex(ProtocolError, reason):
                    wire.decode(bytes(frame), speaker_of(said))

    def test_how_many_texts(self):
        for cls, more in ((wire.Sends, (1, 0, ("bob",))), (wire.Mails, (1, 2, 3, 0, 1, "bob"))):
            side = wire.CODECS[cls].direction
            for count in (1, wire.COPIES_MAX - 1, wire.COPIES_MAX):
                said = cls(*more, ("",) * count)
                self.assertEqual(wire.decode(body(said), side), said)
            for count in (wire.COPIES_MAX + 1, 30_000):
                with self.assertRaisesRegex(ProtocolError, f"{count} texts"):
                    wire.decode(body(cls(*more, ("",) * count)), side)
            with self.assertRaisesRegex(ProtocolError, "as long as"):
                wire.decode(body(cls(*more, ("",)))[:-4] + bytes(2), side)

    def test_the_longest_send(self):
        """NAMES_MAX of the longest names fit beside the longest text."""
        said = wire.Sends(1, 0, ("n" * NAME_MAX,) * wire.NAMES_MAX, ("t" * TEXT_MAX,))
        self.assertLessEqual(len(body(said)), FRAME_MAX)
        self.assertEqual(wire.decode(body(said), CLIENT), said)


class TextLimits(unittest.TestCase):
    def why(self, text):
        fault = wire.flaw(text)
        return fault[0] if fault else None

    def test_size(self):
        for size, why in ((TEXT_MAX - 1, None), (TEXT_MAX, None),
                          (TEXT_MAX + 1, wire.Why.BAD_TEXT)):
            self.assertEqual(self.why("x" * size), why)
            self.assertEqual(self.why("é" * (size // 2) + "x" * (size % 2)), why)

    def test_empty(self):
        for text in ("", " ", "\n", " \t\n ", "\u3000"):
            self.assertEqual(self.why(text), wire.Why.EMPTY)

    def test_control_characters(self):
        for code in (*range(32), *range(127, 160)):
            allowed = chr(code) in "\n\t"
            self.assertEqual(self.why(f"a{chr(code)}b"), None if allowed else wire.Why.BAD_TEXT,
                             code)

    def test_other_foreign_text_passes(self):
        """What has too much meaning for a screen is the receiver's to show harmlessly."""
        for text in ("\u202e", "\u200b", "e\u0301", "漢", "\U0001f527", "a\u2028b"):
            self.assertIsNone(wire.flaw(text))


class Names(unittest.TestCase):
    def test_length(self):
        for size, good in ((0, False), (1, True), (NAME_MAX - 1, True), (NAME_MAX, True),
                           (NAME_MAX + 1, False)):
            self.assertEqual(wire.is_name("n" * size), good, size)

    def test_characters(self):
        for name in ("a", "Z", "0", "a.b", "a_b", "a-b", "9-._", "Erin"):
            self.assertTrue(wire.is_name(name), name)
        for name in (".a", "-a", "_a", "a b", "a\n", "\na", "é", "а", "a,b", "a:b", "a\x00", "a/b"):
            self.assertFalse(wire.is_name(name), name)


class Described(unittest.TestCase):
    def test_every_message_is_one_line(self):
        for said in SAMPLES:
            for with_text in (True, False):
                line = wire.describe(said, with_text)
                self.assertTrue(line.isascii() and line.isprintable(), line)
                self.assertTrue(line.startswith(wire.name_of(said)))

    def test_foreign_text_too(self):
        values = USUAL | {"word": FOREIGN, "words": (FOREIGN,) * 2, "text": FOREIGN,
                          "texts": (FOREIGN,) * 2, "entries": (Entry(FOREIGN, 0, 0, 0, 0),),
                          "rooms": (RoomEntry(FOREIGN, 0, 0, 0, 0, FOREIGN),)}
        for codec in wire.MESSAGES.values():
            line = wire.describe(of(codec, values))
            self.assertTrue(line.isascii() and line.isprintable(), line)
            self.assertEqual(re.findall(r"\b(\w+)=", re.sub(r'"(\\.|[^"\\])*"', "", line)),
                             [name for name, how in codec.fields if how not in KEYS])

    def test_example(self):
        said = wire.Sends(7, 0, ("bob", "erin"), ("hi there", "bob"))
        self.assertEqual(wire.describe(said),
                         'SENDS first=7 flags=0 to=bob,erin texts="hi there",bob')
        self.assertEqual(wire.describe(said, with_text=False),
                         "SENDS first=7 flags=0 to=bob,erin texts=2")
        self.assertEqual(wire.describe(wire.Say(7, 3, "hi there")),
                         'SAY request=7 chat=3 text="hi there"')
        self.assertEqual(wire.describe(wire.Say(7, 3, "hi there"), with_text=False),
                         "SAY request=7 chat=3 text=8b")

    def test_a_token_is_never_shown(self):
        for codec in wire.MESSAGES.values():
            line = wire.describe(of(codec, USUAL | {"16s": b"secretsecretsecr",
                                                    "32s": b"secret" * 5 + b"se"}))
            self.assertNotIn("secret", line)
            self.assertNotIn("73656372", line)


class Table(unittest.TestCase):
    """The table of messages agrees with itself and with the page at the head of the module."""

    def test_the_page_names_every_message(self):
        labels = {wire.label(codec) for codec in wire.MESSAGES.values()}
        self.assertEqual(labels - set(re.findall(r"\w+", wire.__doc__)), set())

    def test_the_page_names_no_other(self):
        """Each word in capitals at the start of an exchange is in the table."""
        labels = {wire.label(codec) for codec in wire.MESSAGES.values()}
        diagram = wire.__doc__.partition("client  ")[2].partition("\nIds.")[0]
        words = set(re.findall(r"(?<![\w\"])([A-Z]+(?:_[A-Z]+)*)(?![\w\"])", diagram))
        self.assertLessEqual(words, labels)

    def test_answers_are_messages(self):
        labels = {wire.label(codec): codec for codec in wire.MESSAGES.values()}
        for codec in wire.MESSAGES.values():
            if codec.answer:
                self.assertTrue(labels[codec.answer].direction & DAEMON)

    def test_every_message_says_what_it_is(self):
        for codec in wire.MESSAGES.values():
            self.assertTrue(codec.cls.__doc__
                            and not codec.cls.__doc__.startswith(codec.cls.__name__ + "("))

    def test_a_text_is_the_last_field(self):
        for codec in wire.MESSAGES.values():
            self.assertNotIn("text", codec.rest[:-1])


class Fuzz(unittest.TestCase):
    """Whatever arrives is messages or one ProtocolError; what is a message has one form only."""
    ROUNDS = 4000

    def feed(self, data, speaker):
        decoder = Decoder(FRAME_MAX)
        try:
            for frame in decoder.feed(data):
                said = wire.decode(frame, speaker)
                self.assertEqual(body(said), frame)
                self.assertTrue(wire.describe(said).isprintable())
        except ProtocolError as error:
            self.assertTrue(str(error).isprintable())
        self.assertLessEqual(decoder.held, len(data))

    def test_noise(self):
        source = random.Random(1)
        for _ in range(self.ROUNDS):
            kind = source.choice(list(wire.MESSAGES))
            data = source.randbytes(source.randrange(60))
            self.feed(struct.pack("!I", len(data) + 1) + bytes((kind,)) + data,
                      wire.MESSAGES[kind].direction)

    def test_changed_messages(self):
        """A message with a few bytes changed, doubled or left out."""
        source = random.Random(2)
        samples = [of(codec, values) for codec in wire.MESSAGES.values()
                   for values in (LOWEST, USUAL)]
        for _ in range(self.ROUNDS):
            said = source.choice(samples)
            data = bytearray(wire.encode(said) * source.choice((1, 2)))
            for _ in range(source.choice((1, 1, 3))):
                at = source.randrange(len(data))
                new = source.randbytes(source.choice((0, 1, 1, 2)))
                data[at:at + source.choice((0, 1, 1, 2))] = new
                data = data or bytearray(1)
            self.feed(bytes(data), speaker_of(said))


class HotPath(unittest.TestCase):
    """The layouts that are written by hand agree with the table."""

    def test_mails_are_framed_as_by_the_table(self):
        mails = [wire.Mails(2**63 + n, 2, 7 << 32 | 3, 5, 2**31, ("ann", "bob")[n // 3], texts)
                 for n, texts in enumerate((("",), ("hi", "ho"), ("сосед",),
                                            ("x" * wire.TEXT_MAX,)))]
        kept = [Mail(said.first, said.first + len(said.texts) - 1, said.time,
                     ("ann", "bob").index(said.sender), said.origin, 1, said.copies,
                     body_of([text.encode() for text in said.texts]))
                for said in mails]
        longer = [kept[0], kept[1]._replace(source=body_of([b"before", b"hi", b"ho", b"after"]),
                                            skip=1), *kept[2:]]
        for each in kept, longer:
            frames = runs.mail_frames(each, 4, lambda number: (b"ann", b"bob")[number])
            self.assertEqual(frames, [wire.encode(mail) for mail in mails])

    def test_mails_that_say_to_whom_they_went(self):
        to = ("ann", "bob", "cy-2")
        whole = Mail(5, 7, 2, 1, 7 << 32 | 3, 1, 3, body_of([b"hi", b"ho", b"hu"])).headed(
            heading_of(to))
        for kept, first, texts in ((whole, 0, ("hi", "ho", "hu")), (whole.part(6, 6), 1, ("ho",))):
            said = wire.MailsTo(5 + first, 2, (7 << 32 | 3) + first, 5, 3, "bob", to, texts)
            for flags, asked in ((4 | NAMED, said), (4, wire.Mails(*said[:6], texts))):
                self.assertEqual(runs.mail_frames([kept], flags, lambda number: b"bob"),
                                 [wire.encode(asked)])
        self.assertEqual(wire.each(said), [wire.Mail(6, 2, 7 << 32 | 4, 5, 3, "bob", "ho", to)])
        self.assertEqual(decoded([wire.encode(wire.each(said)[0])[4:]], DAEMON), [said])

    def run_of(self, frames, start, most, users=9):
        """The SENDS of a run, as the table would have read it, and in how many frames it was; None
        for none."""
        found = runs.run_of_sends(frames, start, most, users)
        if found is None:
            return None
        run, taken = found
        texts = tuple(text.decode() for text in texts_of(run.body))
        self.assertEqual(run.messages, len(texts))
        return wire.Sends(run.first, run.flags, run.to, texts), taken

    def test_a_run_of_sends_is_read_as_by_the_table(self):
        for to in (("bob",), (), ("bob", "cy")):
            for texts in (("hi", "сосед", "ho"), ("a", "b", "c")):
                sends = [wire.Send((7 << 32 | 3) + n, 1, to, text) for n, text in enumerate(texts)]
                frames = [wire.encode(said)[4:] for said in sends]
                for start, most in ((0, 9), (1, 9), (0, 1), (2, 1)):
                    count = min(3 - start, max(1, most // max(1, len(to))))
                    self.assertEqual(self.run_of(frames, start, most), (
                        wire.Sends((7 << 32 | 3) + start, 1, to, texts[start:start + count]),
                        count))

    def test_frames_of_several_are_joined(self):
        frames = [wire.encode(wire.Sends(first, 0, ("bob",), tuple(texts)))[4:]
                  for first, texts in ((9, "ab"), (11, "c"), (12, "def"))]
        for most, texts, taken in ((9, "abcdef", 3), (6, "abcdef", 3), (5, "abc", 2), (2, "ab", 1),
                                   (1, "ab", 1)):
            self.assertEqual(self.run_of(frames, 0, most),
                             (wire.Sends(9, 0, ("bob",), tuple(texts)), taken))

    def test_spaces_do_not_keep_texts_from_being_a_run(self):
        """But a text of spaces alone does, however long, and so does one that begins with one
        beside a short text."""
        for texts in (("a b", "c"), ("a  b", "c d"), ("x" + " " * 99, "y" * 99), (" x", "yy"),
                      (" " * 99 + "x", "y" * 101)):
            frame = wire.encode(wire.Sends(9, 0, ("bob",), texts))[4:]
            is_run = not texts[0].startswith(" ") or len(texts[0]) == 2
            self.assertEqual(self.run_of([frame], 0, 9) is not None, is_run, texts)
        for spaces in 1, 2, 7, 8, 9, 99:
            for texts in ((" " * spaces, "y" * 99), ("y" * 99, " " * spaces),
                          ("y", " " * spaces, "y")):
                self.assertIsNone(self.run_of([wire.encode(wire.Sends(9, 0, ("bob",), texts))[4:]],
                                              0, 9), texts)

    def test_a_run_to_everyone_is_as_many_copies_as_there_are_users(self):
        frames = [wire.encode(wire.Send(9 + n, wire.SendFlag.EVERYONE, (), "x"))[4:]
                  for n in range(8)]
        for most, users, taken in ((100, 10, 8), (70, 10, 7), (9, 10, 1), (10, 10, 1), (20, 10, 2)):
            self.assertEqual(self.run_of(frames, 0, most, users)[1], taken)

    def test_a_run_is_of_one_instance_and_not_too_long(self):
        frames = [wire.encode(wire.Send((7 << 32) - 2 + n, 0, ("bob",), "x"))[4:] for n in range(4)]
        self.assertEqual([self.run_of(frames, start, 9)[1] for start in range(4)], [2, 1, 2, 1])
        frames = [wire.encode(wire.Send(1 + n, 0, ("bob",), "x" * 16000))[4:] for n in range(9)]
        self.assertEqual(self.run_of(frames, 0, 9)[1], BODY_MAX // 16004)

    def test_a_run_of_sends_stops_at_whatever_else_there_is(self):
        """Other recipients, flags or ids, another message, a text that is not plainly printable,
        and all that breaks the protocol: that is for another run or for decode() to say."""
        first, second = wire.Send(7 << 32 | 3, 1, ("bob",),
                                  "hi"), wire.Send(7 << 32 | 4, 1, ("bob",), "hi")
        good, next_ = wire.encode(first)[4:], wire.encode(second)[4:]
        self.assertEqual(self.run_of([good, next_], 0, 9)[0].texts, ("hi", "hi"))
        changed = (second._replace(to=("bob", "cy")), second._replace(to=("cyd",)),
                   second._replace(flags=0), second._replace(id=7 << 32 | 5), first)
        for other in changed:
            with self.subTest(other=other):
                self.assertEqual(self.run_of([good, wire.encode(other)[4:], next_], 0, 9)[0].texts,
                                 ("hi",))
        texts = ("", " \u3000", "a\nb", "a\x1bb", "x" * (wire.TEXT_MAX + 1))
        several = [("a", text) for text in texts] + [(text, "a") for text in texts] + [
            ("hi", " "), (" ", "hi"), ("сосед", "x"), ("x",) * (wire.COPIES_MAX + 1),
            ("x",) * 20_000, ("x" * 16000,) * 4]
        others = [wire.Ping(0), wire.Ping(2**63), *(second._replace(text=text) for text in texts),
                  *(wire.Sends(second.id, 1, ("bob",), texts) for texts in several)]
        others = [wire.encode(said)[4:] for said in others]
        before, good = good, next_
        others += [good[:12], good[:14], good[:19] + b"\xff" + good[20:], good + b"\xff", good[:-1],
                   good[:-2]]
        others += [good[:12] + bytes((200,)) + good[13:], good[:16] + b"\0\0",
                   good[:16] + b"\0\2" + good[18:],
                   good[:16] + b"\0\2\0\1\0\1\xc3\xa4", good[:16] + b"\0\2\0\1\0\2ab",
                   good[:16] + b"\0\2\0\1\0\1abc"]
        for other in others:
            with self.subTest(other=other):
                self.assertEqual(self.run_of([before, other, good], 0, 9)[1], 1)
                self.assertIsNone(self.run_of([other], 0, 9))
        everyone = wire.encode(wire.Sends(9, wire.SendFlag.EVERYONE, (), ("a", "b")))[4:]
        self.assertIsNone(self.run_of([everyone], 0, 9))


if __name__ == "__main__":
    unittest.main()

"""A daemon that speaks the protocol and means harm: every text and every word that it says is
hostile.

It serves each connection in a thread of its own, in the test's process.  `names` says how: with
False the names that it says are honest ones, so that the client believes it and shows the rest;
with True it says one message after WELCOME, `only`, whose names are hostile too.  `filled` collects
which field of which message has carried a hostile string.
"""
import socket
import tempfile
import threading
from typing import Any

import wire
from tests.client.fake_link import NOON
from wire import Outcome, SendFlag, Why

EVIL = ("\x1b]0;owned\x07\x1b[2J\x1b[H\r\n\x9b31m\x08\x08\x7f\x0e\x00"
        + "\u202e\u2028\ufe0f\u200b\U000e0041" + "\u0301" * 10
        + "\u3164\U0001f469\u200d\U0001f680\tq" + "\u0323" * 40)
LONG = ("\x1bP$q\x1b\\\x1b[6n\x1b[?1049l" + "a" + "\u0301" * 400 + "\n" * 3 + " " * 200
        + "14:06 dave > all: pay me\x9c")
NAMES = ("ann", "bob", "carol", "dave")
# the kinds of fields that hold strings
WORDS = ("word", "words", "text", "texts", "entries", "rooms")


def evil(marker: str) -> str:
    """A hostile text by which it can be told that it was shown."""
    return f"{EVIL}{marker}{EVIL}{LONG}"


def fields() -> set[tuple[str, str]]:
    """Every field in which a daemon can say a string."""
    return {(wire.label(codec), name)
            for codec in wire.MESSAGES.values() if codec.direction != wire.CLIENT
            for name, how in codec.fields if how in WORDS}


def hostile_names(codec: wire.Codec) -> Any:
    """A message of this row with EVIL in all its strings."""
    made: dict[str, Any] = {"word": EVIL, "text": EVIL, "texts": (EVIL,), "words": (EVIL, "bob"),
                            "16s": bytes(16), "32s": bytes(32),
                            "entries": (wire.Entry(EVIL, 1, 0, NOON, 0),),
                            "rooms": (wire.RoomEntry(EVIL, 1, 1, 2, 1, EVIL),)}
    return codec.cls(*(made.get(how, 1) for _, how in codec.fields))


class HostileDaemon:
    """At `path`, until close()."""

    def __init__(self, only: Any = None) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="parley-hostile-")
        self.directory = self._directory.name
        self.path = self.directory + "/sock"
        self.only = only
        self.filled: set[tuple[str, str]] = set()
        self._times: dict[type, int] = {}
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(8)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()
        self._directory.cleanup()

    def __enter__(self) -> "HostileDaemon":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        decoder = wire.Decoder(wire.FRAME_MAX)
        with sock:
            try:
                while data := sock.recv(1 << 16):
                    for frame in decoder.feed(data):
                        for said in wire.each(wire.decode(frame, wire.CLIENT)):
                            self._answer(sock, said)
            except OSError:
                pass

    def _say(self, sock: socket.socket, *said: Any) -> None:
        for each in said:
            codec = wire.CODECS[type(each)]
            self.filled |= {(wire.name_of(each), name) for name, how in codec.fields
                            if how in WORDS and "owned" in repr(getattr(each, name))}
            sock.sendall(wire.encode(each))

    def _answer(self, sock: socket.socket, said: Any) -> None:
        how = ANSWERS.get(type(said))
        if how:
            self._times[type(said)] = self._times.get(type(said), 0) + 1
            self._say(sock, *how(said, self._times[type(said)]))
        if isinstance(said, wire.Hello | wire.Resume):
            self._greet(sock, said)
        if isinstance(said, wire.Exit):
            sock.shutdown(socket.SHUT_RDWR)

    def _greet(self, sock: socket.socket, hello: wire.Hello | wire.Resume) -> None:
        entries = tuple(wire.Entry(name, 1, 0, NOON, 0) for name in {*NAMES, hello.name})
        early = type(self.only) in (wire.Rejected, wire.Binding, wire.Challenge, wire.Verified,
                                    wire.Welcome)
        if not early:
            self._say(sock, wire.Welcome(wire.VERSION, hello.features, bytes(16), bytes(15) + b"7",
                                         NOON, 3, hello.name, EVIL), wire.Roster(0, 1, entries))
        if self.only is not None:
            self._say(sock, self.only)
        else:
            self._say(sock, wire.Notice(evil("in-notice")), _mails(101, "in-live", 0),
                      wire.MailsTo(111, NOON, 8 << 32, 0, 3, "bob", ("carol", hello.name),
                                   (evil("in-named"),)),
                      wire.Invitation(9, 60, "bob", ("bob", hello.name)))


def _mails(first: int, marker: str, flags: int) -> wire.Mails:
    return wire.Mails(first, NOON, (7 << 32) + first, flags, 1, "bob", (evil(marker), LONG, EVIL))


def _sent(said: wire.Send, time: int) -> list[Any]:
    number = said.id
    if time % 3 == 1:
        return [wire.Refused(number, Why.FULL, evil("in-refused"))]
    if time % 3 == 2:
        return [wire.Stored(number, number), wire.Outcomes(number, number, Outcome.AWAY, ("bob",))]
    return [wire.Stored(number, number), wire.Delivered(number, number, "bob")]


def _checked(said: wire.Check, time: int) -> list[Any]:
    return [_mails(1 + 10 * time, "in-checked", SendFlag.CHECK), wire.Checked(said.request, 3)]


def _failed(marker: str) -> Any:
    return lambda said, time: [wire.Failed(said.request, Why.OTHER, evil(marker))]


def _roster(said: wire.List, time: int) -> list[Any]:
    return [wire.Roster(said.request, 1, tuple(wire.Entry(name, 1, 0, NOON, 0) for name in NAMES))]


def _started(said: wire.Answer, time: int) -> list[Any]:
    return [wire.Started(5, said.invitation, ("bob", "ann")),
            wire.Line(5, NOON, "bob", evil("in-line"))]


def _line(said: wire.Say, time: int) -> list[Any]:
    if said.text == "Quit":
        return [wire.Ended(5, Why.QUIT, "bob")]
    return [wire.Failed(said.request, Why.OTHER, evil("in-say"))]


ANSWERS: dict[type, Any] = {
    wire.Send: _sent, wire.Check: _checked, wire.Hold: _failed("in-hold"),
    wire.Ignore: _failed("in-ignore"),
    wire.ListIgnored: _failed("in-ignored"), wire.Claim: _failed("in-claim"),
    wire.Unclaim: _failed("in-unclaim"),
    wire.Invite: _failed("in-invite"), wire.List: _roster, wire.Answer: _started, wire.Say: _line,
    wire.Confirm: lambda said, time: [wire.Confirmed(said.first, said.last)],
}
SHOWN = ("in-notice", "in-live", "in-refused", "in-checked", "in-hold", "in-ignore", "in-ignored",
         "in-invite", "in-line", "in-unclaim")

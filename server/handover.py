"""handover: what a daemon leaves to the program that takes its place (upgrade.py).

The descriptors of listeners and connections stay open over exec(2).  What belongs to them is a JSON
document in memory, behind one more descriptor, whose number is in the environment:

    VARIABLE=FORMAT:DESCRIPTOR:PID

    listeners       each with its address, and the file that the daemon made for it
    connections     each with its peer, the bytes that were not worked off and not sent yet, and its
                    client, or what a stranger was asked; or, of one that ends, what it is still
                    told
    chats           chats and invitations (rules/handover.py)

Times are of the monotonic clock, which goes on.  A program that reads another FORMAT says so before
anything is handed over, and the old one serves on.  TLS can't be handed over: Python's ssl does not
give its keys away.

Whoever adds something to a Connection or to a Client that a peer would miss adds it here, or in
rules/handover.py, and raises FORMAT if an older document would not do:
tests/server/test_handover.py asks for each field.
"""
from __future__ import annotations

import json
import os
import socket
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple

import wire
from net.frames import HEAD
from net.scram import Binding, Verifier
from rules.claims import Question
from rules.handover import client_saved, read_client
from rules.state import Caller
from rules.switchboard import Switchboard
from server.answers import TOLD
from server.connection import Connection
from server.sockets import File

FORMAT = 1
VARIABLE = "PARLEY_HANDOVER"
TRIED = "0"             # in place of a PID: for a program that is tried, whatever its PID will be
ASKED = "asked"         # the stranger that asked for the upgrade: it is told the end of it


class BadHandover(Exception):
    """It can't be read: one line."""


class Inherited(NamedTuple):
    """A listener of the program before."""
    sock: socket.socket
    name: str           # its address
    is_own: bool        # the daemon made its file, and removes it; not a service manager
    file: File | None   # that it made for a Unix socket; another may be in its place now


# ---- to leave ----

def caller_saved(caller: Caller) -> dict[str, Any]:
    return caller._asdict() | {"binding": [caller.binding.name, caller.binding.data.hex()]}


def caller_of(saved: Mapping[str, Any]) -> Caller:
    """The caller that was saved."""
    name, data = saved["binding"]
    return Caller(**{**saved, "binding": Binding(name, bytes.fromhex(data))})


def connection_saved(connection: Connection, board: Switchboard) -> dict[str, Any]:
    """A connection, with its client.  One that ends has none any more."""
    client, question, closing = connection.client, connection.question, connection.closing
    if closing or (client and client.has_left):
        closing = TOLD if client else closing
        client = question = None
    frames = connection.frames[connection.next:]
    unread = b"".join([HEAD.pack(len(frame)) + frame for frame in frames]) + connection.decoder.rest
    return {"fd": connection.sock.fileno(), "place": connection.place,
            "caller": caller_saved(connection.caller), "opened": connection.opened,
            "heard": connection.heard, "pinged": connection.pinged, "ended": connection.ended,
            "unread": _text(unread), "unsent": _text(connection.unsent),
            "client": client and client_saved(board, client),
            "question": question and question_saved(question), "closing": closing}


def question_saved(question: Question) -> dict[str, Any]:
    """What a stranger has to prove."""
    return {"hello": _text(wire.encode(question.hello)), "kept": _text(question.kept.pack()),
            "nonce": question.nonce.hex(), "at": question.at}


def question_of(saved: Mapping[str, Any], caller: Caller) -> Question:
    """The question that was saved, to this caller."""
    hello = wire.decode(bytes_of(saved["hello"])[HEAD.size:], wire.CLIENT)
    return Question(hello, Verifier.unpack(bytes_of(saved["kept"])), bytes.fromhex(saved["nonce"]),
                    caller.binding, saved["at"])


def _text(data: bytes) -> str:
    return b64encode(data).decode()


def bytes_of(text: str) -> bytes:
    """The bytes that stand in the document as this text."""
    return b64decode(text)


def written(document: Mapping[str, Any]) -> int:
    """A descriptor behind which the document can be read, by another program, too."""
    fd = os.memfd_create("parley-handover")
    with open(fd, "wb", closefd=False) as file:
        file.write(json.dumps(document).encode())
    os.lseek(fd, 0, os.SEEK_SET)
    os.set_inheritable(fd, True)
    return fd


def named(fd: int, whose: str) -> str:
    """The value of VARIABLE: behind this descriptor, for this PID, or TRIED."""
    return f"{FORMAT}:{fd}:{whose}"


# ---- to take ----

class Handover:
    """What the program before has left."""

    def __init__(self, document: Mapping[str, Any], read: Callable[[Mapping[str, Any]], object]
                 ) -> None:
        """Raises BadHandover if this is no whole document; `read` reads one connection of it."""
        try:
            self.release: str = document["release"]
            self.state: str = document["state"]         # the directory of the store
            self.is_terminal: bool = document["is_terminal"]    # standard output
            self.began: float = document["began"]       # when clients were read last, monotonic
            self.children: list[int] = document["children"]     # of the program before
            self.draining: str = document["draining"]
            self.drained_at: float = document["drained_at"]
            self.chats: Mapping[str, Any] = document["chats"]
            self.told: int = document["told"]           # clients that have to come again
            self.connections: list[Mapping[str, Any]] = document["connections"]
            self._listeners: list[tuple[int, str, bool, File | None]] = [
                (int(each["fd"]), str(each["name"]), bool(each["is_own"]), _file(each["file"]))
                for each in document["listeners"]]
            for each in self.connections:
                read(each)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise BadHandover(f"the program before says what this one does not understand: "
                              f"{type(error).__name__} {error}") from None

    def listeners(self) -> list[Inherited]:
        """Its listeners, now of this process alone."""
        return [Inherited(taken(fd), name, is_own, file)
                for fd, name, is_own, file in self._listeners]

    def bury(self) -> None:
        """Its children have ended with it: let them go."""
        for pid in self.children:
            try:
                os.waitpid(pid, 0)
            except OSError:             # somebody else's, or gone
                continue


def _file(saved: Sequence[int] | None) -> File | None:
    return None if saved is None else (saved[0], saved[1])


def taken(fd: int) -> socket.socket:
    """The socket of this descriptor, which no further program inherits."""
    os.set_inheritable(fd, False)
    return socket.socket(fileno=fd)


def take(environ: MutableMapping[str, str], whose: str) -> Handover | None:
    """What was left for this process, if anything was; `whose`: its PID, or TRIED.  Raises
    BadHandover."""
    value = environ.pop(VARIABLE, "")
    form, _, rest = value.partition(":")
    fd, _, named_for = rest.partition(":")
    if not fd.isdigit() or named_for != whose:
        return None
    if form != str(FORMAT):
        raise BadHandover(f"the program before hands over in format {form}, and this one takes "
                          f"{FORMAT}")
    try:
        with open(int(fd), "rb") as file:
            document = json.loads(file.read())
    except (OSError, ValueError) as error:
        raise BadHandover(f"what the program before left can't be read: {error}") from None
    # a trial looks at a few of them; after it, nobody can go back, and to look takes time
    return Handover(document, read_connection if whose == TRIED else _unread)


def _unread(_: Mapping[str, Any]) -> None:
    """It is read when it is taken over."""


def read_connection(saved: Mapping[str, Any]) -> None:
    """Read one connection, to see whether it can be read."""
    for each in ("fd", "place", "opened", "heard", "pinged", "ended", "closing", ASKED):
        saved[each]
    for each in ("unread", "unsent"):
        bytes_of(saved[each])
    caller = caller_of(saved["caller"])
    if saved["question"]:
        question_of(saved["question"], caller)
    if saved["client"]:
        read_client(saved["client"])

"""orders: what an operator's program says to the running daemon, and what it hears.

One connection to its Unix socket for each order (operations.py): OPERATE, then the REPORT.
"""
from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import struct
from typing import Any

import wire
from net import address, places
from net.address import Address
from net.logins import peer_uid
from server.options import PROGRAM
from terminal import printer

ANSWER_SECONDS = 30     # for the daemon to answer: a purge of a large mailbox takes some
SILENT_SECONDS = 3      # then the user is told that it does not answer yet


class Refused(Exception):
    """The daemon did not do it."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def ask(options: argparse.Namespace, order: str, *arguments: str, seconds: int = ANSWER_SECONDS,
        quiet: bool = False) -> dict[str, Any]:
    """What the daemon reports, within so long; if that is long, stderr says so, unless `quiet`.
    `options.connect`: an address, or "".  Raises Refused."""
    with _connected(options.connect) as sock:
        sock.settimeout(seconds)
        try:
            return _told(sock, wire.Operate((order, *arguments)), 0 if quiet else seconds)
        except (OSError, wire.ProtocolError) as error:
            late = isinstance(error, TimeoutError)
            why = f"not within {seconds} s" if late else f"{error}; a daemon of 0.1 can't"
            raise Refused(os.EX_UNAVAILABLE, f"the daemon did not answer: {why}") from None


def _connected(wanted: str) -> socket.socket:
    try:
        choices = [address.parse(wanted)] if wanted else places.for_client()
    except ValueError as error:
        raise Refused(os.EX_USAGE, str(error)) from None
    for where in choices:
        if not where.path:
            raise Refused(os.EX_USAGE, f"{where} is no Unix socket: the daemon knows its operator "
                                       "only there")
        if sock := _dial(where):
            return sock
    raise Refused(os.EX_UNAVAILABLE, "no daemon listens at "
                                     f"{' or '.join(str(where) for where in choices)}")


def _dial(where: Address) -> socket.socket | None:
    """A connection to the daemon there, if one listens that can be believed."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(ANSWER_SECONDS)
    try:
        sock.connect(where.path)
    except PermissionError:
        sock.close()
        raise Refused(os.EX_NOPERM, places.closed(where.path)) from None
    except OSError:
        sock.close()
        return None
    if where.default and peer_uid(sock) not in places.believed():
        sock.close()
        return None
    return sock


def _wait(sock: socket.socket, seconds: int) -> None:
    """Until the daemon answers, or the user has been told that it does not yet."""
    sock.settimeout(min(SILENT_SECONDS, seconds))
    with contextlib.suppress(TimeoutError):
        sock.recv(1, socket.MSG_PEEK)
        sock.settimeout(seconds)
        return
    printer.complain(PROGRAM, f"the daemon does not answer yet: it has {seconds} s")
    sock.settimeout(max(seconds - SILENT_SECONDS, SILENT_SECONDS))


def _told(sock: socket.socket, said: wire.Operate, seconds: int) -> dict[str, Any]:
    """`seconds`: for the first word; 0: as the socket has it.  Raises Refused, OSError,
    ProtocolError."""
    try:
        frame = wire.encode(said)
    except (ValueError, struct.error):
        frame = bytes(wire.HELLO_MAX + 1)
    if len(frame) > wire.HELLO_MAX:
        raise Refused(os.EX_USAGE, "that is too long: the daemon takes some 900 bytes")
    sock.sendall(frame)
    if seconds:
        _wait(sock, seconds)
    decoder, text = wire.Decoder(wire.FRAME_MAX), ""
    while data := sock.recv(1 << 16):
        for frame in decoder.feed(data):
            part = wire.decode(frame, wire.DAEMON)
            if isinstance(part, wire.Rejected):
                raise Refused(os.EX_UNAVAILABLE, part.reason)
            if not isinstance(part, wire.Report):
                continue
            text += part.text
            if part.last and part.code:
                raise Refused(part.code, text)
            if part.last:
                report: dict[str, Any] = json.loads(text)
                return report
    raise wire.ProtocolError("the line was closed")

"""lookup: the name of a host becomes addresses in numbers, in a process of its own.

getaddrinfo(3) waits for the name server, for as long as resolv.conf(5) says: with one that is
silent, 20 seconds.  Nothing can wait in the client's loop, and there is no getaddrinfo that does
not wait; so a child asks, writes what it heard into a pipe, and ends.  A Lookup stands in the place
of the socket that is to come: the loop waits until its pipe can be read.  A number or a Unix socket
needs no name server, and no child.

The child is a fork without exec: it has a name to look up and nothing of ours to do.  It runs none
of our handlers and no exit of Python's; it lets go of the terminal, and of every descriptor that
somebody could wait for the end of.  C-c, which the terminal sends to both, is the client's: where
that goes on, so does the child, and where it ends, it ends the child.

Where no process can be made, the client itself waits.
"""
from __future__ import annotations

import contextlib
import os
import signal
import socket

from net.address import Address

ANSWER_MAX = 16 * 1024      # bytes of an answer: 300 addresses of the longest
FAULT = "!"                 # the answer is a reason, and no addresses
ENDING = {signal.SIGTERM, signal.SIGHUP}        # the child ends with the client
ENDED = "the process that looked it up ended without an answer"


class Unknown(OSError):
    """The host can't be looked up: why, in words."""


def is_named(address: Address) -> bool:
    """Whether this is the name of a host, which takes a name server."""
    if address.path or address.known_as:
        return False
    try:
        socket.getaddrinfo(address.host, None, flags=socket.AI_NUMERICHOST)
    except (OSError, ValueError):
        return True
    return False


def resolve(address: Address) -> list[Address]:
    """The addresses of a named host, in numbers.  It waits.  Raises Unknown."""
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as fault:
        raise Unknown(None, getattr(fault, "strerror", None) or str(fault)) from None
    return _placed(address, [str(place[0]) for *_, place in found])


def _placed(address: Address, hosts: list[str]) -> list[Address]:
    return [address._replace(host=host, known_as=str(address)) for host in hosts]


class Lookup:
    """One host being looked up.  It has as much of a socket as the loop needs."""

    def __init__(self, address: Address) -> None:
        """Raises OSError: no process can be made."""
        self.address = address
        self._answer = b""
        self._child = 0
        self._fd, writer = os.pipe()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self._child = os.fork()         # no signal runs a handler of ours in the child
            if not self._child:
                _child(address, writer)
        except OSError:
            os.close(self._fd)
            raise
        finally:
            os.close(writer)
            self._unblock(before)

    def _unblock(self, before: set[int]) -> None:
        """A C-c of meanwhile comes now, and may end the client: then the child, too."""
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        except BaseException:
            self.close()
            raise

    def fileno(self) -> int:
        return self._fd

    def close(self) -> None:
        """End the child, if it still asks."""
        if self._child:
            os.close(self._fd)
            self._fd = -1                   # as a closed socket has it
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):    # SIGCHLD may be ignored
                os.waitpid(self._child, 0)
            self._child = 0

    def result(self) -> list[Address] | None:
        """The pipe can be read: the addresses, or None while more is to come.  Raises Unknown."""
        data = os.read(self._fd, ANSWER_MAX)
        self._answer += data
        if data and len(self._answer) <= ANSWER_MAX:
            return None
        if data:
            raise Unknown(None, "too many addresses")
        words = self._answer.decode()
        if not words or words[0] == FAULT:
            raise Unknown(None, words[1:] or ENDED)
        return _placed(self.address, words.split())


def _child(address: Address, writer: int) -> None:
    """The child: it never returns."""
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for number in ENDING:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals() - ENDING)
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.closerange(3, writer)
        os.closerange(writer + 1, os.sysconf("SC_OPEN_MAX"))
        try:
            answer = "\n".join(place.host for place in resolve(address))
        except Unknown as fault:
            answer = f"{FAULT}{fault.strerror}"
        os.write(writer, answer.encode()[:2 * ANSWER_MAX])
    finally:
        os._exit(os.EX_OK)

"""supervisor: what a service manager such as systemd is told, and the sockets that it hands over.

sd_notify(3) is a datagram to $NOTIFY_SOCKET: the daemon is ready, reloads, stops, how it is, and,
at least twice in each $WATCHDOG_USEC, that its loop still turns.  sd_listen_fds(3) are listening
sockets from descriptor 3 on, $LISTEN_FDS of them: callers then wait in the kernel while the daemon
is started anew.  Without these variables nobody is told anything.

Both are for this process alone: take() removes them, so that no child speaks in its name.
"""
from __future__ import annotations

import contextlib
import os
import socket
import stat
import time
from collections.abc import MutableMapping

FIRST = 3               # descriptor of the first socket that is handed over
STATUS_SECONDS = 10.0   # between two lines of status, at the least
LEAST_SECONDS = 2.0     # of a watchdog: the loop looks once a second


class Supervisor:
    """The service manager, if there is one."""

    def __init__(self, address: str = "", watchdog: float = 0.0) -> None:
        """`watchdog`: seconds after which it ends a daemon from which it hears nothing; 0: never"""
        self.watchdog = watchdog
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._status = ""
        self._status_at = self._alive_at = 0.0  # when the next is due, on the monotonic clock

    @classmethod
    def take(cls, environ: MutableMapping[str, str]) -> Supervisor:
        """The one that these variables name."""
        address, pid = environ.pop("NOTIFY_SOCKET", ""), environ.pop("WATCHDOG_PID", "")
        microseconds = environ.pop("WATCHDOG_USEC", "")
        is_ours = pid in ("", str(os.getpid())) and microseconds.isdigit()
        return cls(address, int(microseconds) / 1e6 if is_ours else 0.0)

    def environment(self) -> dict[str, str]:
        """The variables that name it, for a program that takes the place of this one."""
        found = {"NOTIFY_SOCKET": self._address.replace("\0", "@", 1)} if self._address else {}
        if self.watchdog:
            found |= {"WATCHDOG_USEC": str(round(self.watchdog * 1e6)),
                      "WATCHDOG_PID": str(os.getpid())}
        return found

    def tell(self, *lines: str) -> None:
        """Tell it this, if it listens now."""
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto("\n".join(lines).encode(), self._address)

    def ready(self) -> None:
        """The daemon serves, for the first time or after a reload."""
        self.tell("READY=1")

    def reloading(self) -> None:
        self.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def look(self, monotonic: float, status: str) -> None:
        """The loop turns; and this is how the daemon is."""
        if not self._address:
            return
        if self.watchdog and monotonic >= self._alive_at:
            self._alive_at = monotonic + max(0.0, self.watchdog / 2 - LEAST_SECONDS)
            self.tell("WATCHDOG=1")
        if status != self._status and monotonic >= self._status_at:
            self._status, self._status_at = status, monotonic + STATUS_SECONDS
            self.tell(f"STATUS={status}")


def handed_over(environ: MutableMapping[str, str]) -> list[socket.socket]:
    """The listening sockets that this process was started with.  Raises ValueError with a line for
    the operator."""
    number, pid = environ.pop("LISTEN_FDS", ""), environ.pop("LISTEN_PID", "")
    environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not number.isdigit():
        return []
    return [_listener(descriptor) for descriptor in range(FIRST, FIRST + int(number))]


def _listener(descriptor: int) -> socket.socket:
    try:
        is_socket = stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:
        is_socket = False
    if not is_socket:
        raise ValueError(f"LISTEN_FDS: descriptor {descriptor} is no socket")
    os.set_inheritable(descriptor, False)
    sock = socket.socket(fileno=descriptor)
    if not (sock.type == socket.SOCK_STREAM
            and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)):
        raise ValueError(f"LISTEN_FDS: descriptor {descriptor} does not listen for connections: "
                         "ListenStream= and Accept=no make one that does")
    return sock


def address_of(listener: socket.socket) -> str:
    """Where a listening socket listens, as addresses are written."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{name if isinstance(name, str) else '@' + name[1:].decode(errors='replace')}"
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"

"""dial: from an address to a socket on its way there, and who answers.

Nothing waits here: the names of hosts were looked up before (lookup.py).  Over TLS the socket is a
Secured (net/tls.py), which still has its handshake to make when it is connected.

At a Unix socket the kernel says whose process listens there, and believe() looks at that on every
dial, before a byte is said.  At a default place, which the user did not name, the listener must be
one that net/places.py believes.  At a socket that the user named any listener is believed: a
colleague's daemon is a fair thing to name.  But the first listener there that let the client in
must be the listener at every dial after that.
"""
from __future__ import annotations

import errno
import socket
from typing import TypeAlias

from net import places, tls
from net.address import Address
from net.logins import peer_uid

Socket: TypeAlias = socket.socket | tls.Secured


class Stranger(Exception):
    """The listener at this place is not believed: one line that says who it is and what to do."""


def dial(address: Address) -> Socket:
    """A socket on its way: connected as soon as it is writable.  Raises OSError, Stranger."""
    if whose := places.foreign(address):
        raise Stranger(f"{whose}, not to you: passed over; root can remove it")
    host_family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    family = socket.AF_UNIX if address.path else host_family
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        if not address.path:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect(address.path or (address.host, address.port))
    except BlockingIOError as error:
        if error.errno != errno.EINPROGRESS:        # a Unix socket whose daemon accepts nobody
            sock.close()
            raise
    except PermissionError as error:
        sock.close()
        reason = places.closed(address.path) if address.path else error.strerror
        raise PermissionError(error.errno, reason) from None
    except BaseException:
        sock.close()
        raise
    return tls.Secured(sock, tls.client_context()) if address.tls else sock


def believe(address: Address, sock: Socket, before: int | None) -> int | None:
    """The uid that listens at the other end of a Unix socket, if it is believed.  Raises Stranger.

    `before`: the uid of the daemon that let us in there last time."""
    if not address.path or not isinstance(sock, socket.socket):
        return None
    uid = peer_uid(sock)
    uid = places.file_owner(address.path) if uid is None else uid
    who = "somebody whom the kernel does not name"
    if uid is not None:
        who = f"the user {places.login(uid)}"
    if address.default and uid not in places.believed():
        raise Stranger(f"{who} listens at {address}, and is neither you, nor root, nor the owner "
                       f"of /run/parley: not believed; --connect {address} if that is the daemon "
                       "you mean")
    if before is not None and uid != before:
        raise Stranger(f"{who} listens at {address} now, before it was {places.login(before)}: not "
                       "believed; start parley again if that is right")
    return uid

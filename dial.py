"""dial: from an address to a socket on its way there, without waiting, but for the names of hosts.

Over TLS it is a Secured (secure.py), which has a handshake before it when the socket is connected."""
from __future__ import annotations

import errno
import socket
from typing import TypeAlias

import secure
from address import Address

Socket: TypeAlias = socket.socket | secure.Secured


def dial(address: Address) -> Socket:
    """A socket on its way to an address: connected as soon as it is writable.  Raises OSError."""
    family = socket.AF_UNIX if address.path else socket.AF_INET6 if ":" in address.host else socket.AF_INET
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
    except BaseException:
        sock.close()
        raise
    return secure.Secured(sock, secure.client_context()) if address.tls else sock


def numeric(address: Address) -> list[Address]:
    """A TCP address by its numbers; what can't be looked up stays as it is, to fail in its turn."""
    if address.path:
        return [address]
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, ValueError):
        return [address]
    hosts = [str(place[0]) for *_, place in found]
    return [address._replace(host=host, known_as="" if host == address.host else str(address)) for host in hosts]

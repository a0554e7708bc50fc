"""address: where the daemon listens, and where both programs keep their files.

An address is written `unix:PATH`, `HOST:PORT`, `[IPV6]:PORT`, either of these after `tls:`, or as a bare path with a
slash in it.  Without options the daemon listens at default_socket() and at 127.0.0.1 port 6464; a client looks there,
and between the two at SYSTEM_SOCKET, where the daemon of a whole host listens.  The places
follow the XDG base directory specification: sockets under $XDG_RUNTIME_DIR, what must survive under $XDG_STATE_HOME.
This module opens nothing; it only knows the names of places.
"""
import os
from pathlib import Path
from typing import NamedTuple

PORT = 6464
SYSTEM_SOCKET = "/run/parley/parley.sock"
SOCKET_PATH_MAX = 107       # bytes: sockaddr_un of Linux (unix(7)) less the final NUL


class Address(NamedTuple):
    """A place to listen or to connect: a Unix socket when `path` is set, else TCP."""
    path: str
    host: str
    port: int
    tls: bool = False
    known_as: str = ""      # how it was written, when `host` was looked up

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'tls:' * self.tls}{host}:{self.port}"


def parse(text: str) -> Address:
    """The address that a text names.  Raises ValueError with a line that says how to write one."""
    if text.startswith("unix:") or "/" in text:
        path = text.removeprefix("unix:")
        if not path:
            raise ValueError(f"{text!r} names no socket: write unix:/path/of/the.sock")
        if len(os.fsencode(path)) > SOCKET_PATH_MAX:
            raise ValueError(f"{text!r} is longer than the {SOCKET_PATH_MAX} bytes a socket's path may have")
        return Address(path, "", 0)
    tls, text = text.startswith("tls:"), text.removeprefix("tls:")
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not _is_host(host) or not port.isascii() or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise ValueError(f"{text!r} is no address: write unix:PATH, HOST:PORT or tls:HOST:PORT, "
                         f"such as 127.0.0.1:{PORT}")
    return Address("", host, int(port), tls)


def _is_host(host: str) -> bool:
    """Whether this can be asked for: its labels are short enough, and its letters such as a name of a host may have."""
    try:
        return bool(host.encode("idna"))
    except UnicodeError:
        return False


def default_socket() -> Address:
    """The Unix socket of this user's own daemon."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    directory = Path(runtime, "parley") if runtime else Path(f"/tmp/parley-{os.getuid()}")
    return Address(str(directory / "parley.sock"), "", 0)


def default_port() -> Address:
    """The TCP port of this host's daemon."""
    return Address("", "127.0.0.1", PORT)


def default_addresses() -> list[Address]:
    """Where a client looks for the daemon, in this order, when it was not told."""
    return [default_socket(), Address(SYSTEM_SOCKET, "", 0), default_port()]


def state_directory() -> Path:
    """Where the daemon's store and a client's archives live."""
    home = os.environ.get("XDG_STATE_HOME")
    return Path(home) / "parley" if home else Path("~/.local/state/parley").expanduser()

"""address: where the daemon listens, and where both programs keep their files.

An address is written `unix:PATH`, `HOST:PORT`, `[IPV6]:PORT`, one of the last two after `tls:`, or
as a bare path with a slash in it.  places.py says where a daemon listens, and where a client looks,
without options.  What must survive lies under $XDG_STATE_HOME, as the XDG base directory
specification has it.  This module opens nothing; it only knows the names of places.

state_directory() is the one place that looks for the user's home.  A variable that holds no
absolute path counts as not set.  If the home is missing, or a place lies in another user's
directory, the function raises an error that says what to set: root with HOME=/home/alice would
leave files there that alice can neither read nor remove.
"""
import errno
import os
import pwd
from typing import NamedTuple

PORT = 6464
SOCKET_PATH_MAX = 107       # bytes: sockaddr_un of Linux (unix(7)) less the final NUL


class Address(NamedTuple):
    """A place to listen at or to connect to: a Unix socket if `path` is set, else TCP."""
    path: str
    host: str
    port: int
    tls: bool = False
    known_as: str = ""      # how it was written, if `host` was looked up
    # A default place, which the user did not name: places.py says whether to believe its listener.
    default: bool = False

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
            raise ValueError(f"{text!r} is longer than the {SOCKET_PATH_MAX} bytes a socket's path "
                             "may have")
        return Address(path, "", 0)
    tls, text = text.startswith("tls:"), text.removeprefix("tls:")
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if (not _is_host(host) or not port.isascii() or not port.isdigit()
            or not 0 <= int(port) <= 65535):
        raise ValueError(f"{text!r} is not an address: write unix:PATH, HOST:PORT or "
                         f"tls:HOST:PORT, such as 127.0.0.1:{PORT}")
    return Address("", host, int(port), tls)


def _is_host(host: str) -> bool:
    """Whether this can be the name of a host: short labels, and no letters but allowed ones."""
    try:
        return bool(host.encode("idna"))
    except UnicodeError:
        return False


def state_directory() -> str:
    """Where the daemon's store and a client's archives live.

    Raises OSError with one line that says what to set."""
    given = os.environ.get("XDG_STATE_HOME", "")
    state = given if os.path.isabs(given) else os.path.join(_home(), ".local", "state")
    directory = os.path.join(state, "parley")
    nearest = next(path for path in (directory, *parents(directory)) if os.path.exists(path))
    if os.stat(nearest).st_uid not in (0, os.geteuid()):
        raise _no_place(errno.EPERM, f"{nearest} belongs to another user")
    return directory


def parents(path: str) -> list[str]:
    """The directories above a path, the nearest first, by the words of the path.  (pathlib has
    them too, but would be 2 ms of each start.)"""
    place, found = path if os.path.isabs(path) else os.path.join(os.getcwd(), path), []
    while (parent := os.path.dirname(place)) != place:
        found.append(parent)
        place = parent
    return found


def _home() -> str:
    """The home directory of this user.  Raises OSError."""
    home = os.environ.get("HOME", "")
    if not os.path.isabs(home):
        try:
            home = pwd.getpwuid(os.geteuid()).pw_dir
        except KeyError:
            raise _no_place(errno.ENOENT, "this user has no home directory") from None
    if not os.path.isdir(home):
        raise _no_place(errno.ENOTDIR, f"there is no home directory {home} for this user")
    return home


def _no_place(number: int, why: str) -> OSError:
    return OSError(number, f"{why}: set HOME or XDG_STATE_HOME to a directory of your own")

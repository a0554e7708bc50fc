"""backends: the dbm modules that segments are written with, and which of them may be trusted.

Best first: dbm.sqlite3, dbm.gnu, dbm.dumb.  The manifest records which one wrote a segment.  The
store takes dbm.ndbm only when asked for it, after a probe (Berkeley DB does well, others lose
values above 1 KiB), and never on macOS.
Fails with NoBackend when a module is missing; it says what to install.
"""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import closing
from typing import Any

from store.disk import NoBackend

BEST_FIRST = ("dbm.sqlite3", "dbm.gnu", "dbm.dumb")
PACKAGES = {"dbm.gnu": "install python3-gdbm", "dbm.ndbm": "install a Python that has it",
            "dbm.sqlite3": "use Python 3.13 or newer"}
LARGEST = 64 << 10  # bytes of one value at most: what every backend was measured to keep


def module(backend: str) -> Any:
    """The module of a backend.  Raises NoBackend."""
    try:
        return importlib.import_module(backend)
    except ImportError:
        raise NoBackend(f"this store needs Python's {backend}: "
                        f"{PACKAGES.get(backend, 'it is missing')}, "
                        "or run the Python that wrote it") from None


def choose(backend: str | None = None) -> str:
    """The backend for new segments: the one asked for, else the best that this Python has."""
    if backend is None:
        return next(name for name in BEST_FIRST if is_there(name))
    if backend not in (*BEST_FIRST, "dbm.ndbm"):
        raise NoBackend(f"{backend} is no module for segments: "
                        f"take one of {', '.join(BEST_FIRST)}, dbm.ndbm")
    module(backend)
    if backend == "dbm.ndbm" and not _keeps_large_values(backend):
        raise NoBackend("this Python's dbm.ndbm does not keep empty and large values; "
                        "leave the choice to the program")
    return backend


def is_there(backend: str) -> bool:
    try:
        importlib.import_module(backend)
    except ImportError:
        return False
    return True


def _keeps_large_values(backend: str) -> bool:
    """The probe.  Berkeley DB 5.3, which is Debian's dbm.ndbm, loses an empty value when a large
    one follows it."""
    import tempfile  # here, for it would be 4 % of each start, and few ask for this backend
    if sys.platform == "darwin":
        return False
    values = {b"empty": b"", b"large": os.urandom(LARGEST)}
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "probe")
        try:
            with closing(module(backend).open(path, "n", 0o600)) as database:
                for key, value in values.items():
                    database[key] = value
            with closing(module(backend).open(path, "r")) as database:
                return all(database[key] == value for key, value in values.items())
        except Exception:  # backends raise whatever they like
            return False


def words(error: Exception) -> str:
    """What a backend's exception says."""
    return error.strerror if isinstance(error, OSError) and error.strerror else repr(error)

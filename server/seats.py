"""seats: where a user sits, as the kernel knows it, and never as the client says it.

At a Unix socket it is the terminal of the program that connected; over TCP the host.  "" where
neither can be told: the program has no terminal, it is another login's, or there is no /proc.  The
kernel may give the number of a program that has ended to another one; then another terminal of the
same login is named, and nothing but words depends on it.
"""
from __future__ import annotations

import os

from rules.state import Caller

PTS, PTS_LAST, TTY = 136, 143, 4        # majors of terminals (devices.txt of Linux)
CONSOLES = 64                           # minors of TTY below this are consoles, the others serial


def seat_of(caller: Caller) -> str:
    """`pts/3`, `tty1`, `192.0.2.1`, or ""."""
    if caller.uid is None:
        return caller.address.rpartition(":")[0].removeprefix("unix")
    return _terminal(caller.pid, caller.uid) if caller.pid else ""


def _terminal(pid: int, uid: int) -> str:
    """The controlling terminal of a program, if it belongs to this uid."""
    try:
        if os.stat(f"/proc/{pid}").st_uid != uid:
            return ""
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()    # proc(5): behind the name
        return terminal(int(fields[4]))
    except (OSError, ValueError, IndexError):
        return ""


def terminal(number: int) -> str:
    """The name of the terminal with this device number, as in /dev; "" for other devices."""
    major, minor = os.major(number), os.minor(number)
    if PTS <= major <= PTS_LAST:
        return f"pts/{(major - PTS) * 256 + minor}"
    if major == TTY:
        return f"tty{minor}" if minor < CONSOLES else f"ttyS{minor - CONSOLES}"
    return ""

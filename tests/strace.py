"""Faults by strace: a daemon whose n-th system call of a kind kills it, fails, is slow, or lies.

    under(log, inject("fdatasync", 3, "signal=SIGKILL"))        the command that a daemon is run under

The n-th call does not run when it is a signal or an error that is injected.  strace counts each kind of call apart, and
each thread and process apart.  It is made a grandchild (-D), so that the process started is the daemon itself: its pid,
its exit status.  Use a real interpreter: a shim that forks counts otherwise.
"""
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

CHANGING = ("write", "pwrite64", "fdatasync", "fsync", "msync", "openat", "mkdir", "rename", "unlink", "ftruncate",
            "fallocate", "flock", "sendto")
"""The calls by which the daemon changes a disk, or tells somebody."""

CALL = re.compile(r"(\d+) +(?:<\.\.\. )?(\w+)(?:\(| resumed)(.*)")


def inject(call: str, when: object, what: str) -> str:
    """`when`: "3", "3+" (and all after it), "3+7" (and each seventh after it)."""
    return f"{call}:{what}:when={when}"


def under(log: str, *injections: str, trace: Sequence[str] = CHANGING) -> tuple[str, ...]:
    expressions = ["trace=" + ",".join(trace), *(f"inject={injection}" for injection in injections)]
    return ("strace", "-D", "-qq", "-f", "-y", "-o", log, *(part for each in expressions for part in ("-e", each)))


class Call(NamedTuple):
    """A call, the n-th of its kind in its process."""
    pid: int
    name: str
    number: int
    text: str           # its arguments, descriptors with their paths, and its result


def calls(log: str) -> Iterator[Call]:
    """The calls of a log, in order; one that was interrupted by another process's is there once, where it began."""
    counts: dict[tuple[str, str], int] = {}
    with open(log, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            found = CALL.match(line)
            if found and " resumed" not in line:
                pid, name, text = found.groups()
                counts[pid, name] = counts.get((pid, name), 0) + 1
                yield Call(int(pid), name, counts[pid, name], text)

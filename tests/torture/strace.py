"""Faults by strace: a daemon whose n-th system call of a kind kills it, fails, is slow, or lies.

    under(log, inject("fdatasync", 3, "signal=SIGKILL"))    the command that a daemon is run under
    calls(log)                                              what it did, in the order it was done

The n-th call does not run when it is a signal, an error or a result that is injected.  strace
counts each kind of call apart, and each thread and process apart.  It is made a grandchild (-D), so
that the process started is the daemon itself: its pid, its exit status.  Use a real interpreter: a
shim that forks counts otherwise.
"""
import ast
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import wire

CHANGING = ("write", "pwrite64", "fdatasync", "fsync", "msync", "openat", "mkdir", "rename",
            "unlink", "ftruncate", "fallocate", "flock", "sendto")
"""The calls by which the daemon changes a disk, or tells somebody."""

SHOWN = 4096                # bytes of what is written or sent: the log must not fill a disk

CALL = re.compile(r"(\d+) +([\d.]+) (\w+)\((.*)")
UNFINISHED = " <unfinished ...>"
RESUMED = re.compile(r"(\d+) +([\d.]+) <\.\.\. (\w+) resumed>(.*)")
END = re.compile(r"(\d+) +([\d.]+) \+\+\+ (.*) \+\+\+")
STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')


def inject(call: str, when: object, what: str) -> str:
    """`when`: "3", "3+" (and all after it), "3+7" (and each seventh after it)."""
    return f"{call}:{what}:when={when}"


def under(log: str, *injections: str, trace: Sequence[str] = CHANGING) -> tuple[str, ...]:
    expressions = ["trace=" + ",".join(trace), *(f"inject={injection}" for injection in injections)]
    return ("strace", "-D", "-q", "-f", "-y", "-ttt", "-s", str(SHOWN), "-o", log,
            *(part for each in expressions for part in ("-e", each)))


class Call(NamedTuple):
    """A call, the n-th of its name in its process; a process's end is one too, by the name
    "end"."""
    pid: int
    name: str
    number: int
    begun: float        # seconds since 1970
    text: str           # its arguments, descriptors with their paths, and its result

    def __str__(self) -> str:
        return f"{self.name} {self.number}"

    @property
    def injected(self) -> bool:
        return self.text.endswith("(INJECTED)") or "(INJECTED: args" in self.text

    def said(self) -> list[Any]:
        """The messages in what a sendto sends or a recvfrom takes, as far as the log shows it.

        None in what is no message: the daemon has a line to the process that syncs, too."""
        found = STRING.search(self.text)
        data = ast.literal_eval(f'b"{found[1]}"') if found else b""
        speaker = wire.DAEMON if self.name == "sendto" else wire.CLIENT
        try:
            return [said for frame in wire.Decoder(wire.FRAME_MAX).feed(data)
                    for said in wire.each(wire.decode(frame, speaker))]
        except wire.ProtocolError:
            return []


def calls(log: str) -> list[Call]:
    """All calls, in the order in which they came back."""
    counts: dict[tuple[str, str], int] = {}
    begun: dict[str, Call] = {}
    done: list[Call] = []
    with open(log, encoding="utf-8", errors="replace") as file:
        lines = file.read().splitlines()
    for line in lines:
        if found := CALL.match(line):
            pid, time, name, text = found.groups()
            counts[pid, name] = counts.get((pid, name), 0) + 1
            call = Call(int(pid), name, counts[pid, name], float(time),
                        text.removesuffix(UNFINISHED))
            if text.endswith(UNFINISHED):
                begun[pid] = call
            else:
                done.append(call)
        elif (found := RESUMED.match(line)) and found[1] in begun:
            call = begun.pop(found[1])
            done.append(call._replace(text=call.text + found[4]))
        elif found := END.match(line):
            if found[1] in begun:
                done.append(begun.pop(found[1]))        # it never came back
            done.append(Call(int(found[1]), "end", 1, float(found[2]), found[3]))
    return done

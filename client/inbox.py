"""inbox: messages, from their arrival to the daemon's CONFIRMED.

A message that arrives waits to be shown; what was shown is kept in the archive, and what is kept may be confirmed, so
that the daemon forgets it.  A copy of one that is kept is Repeated, a copy of one that waits to be shown is nothing.
An Inbox says nothing to the daemon: it gives out the ranges that may stand in CONFIRM, and is told which came back.

Confirming is the one thing in a client that can destroy mail: what may stand under one range is decided in arrivals.py.
What had no CONFIRMED when the line was cut, or the program ended, is given out once more after the next WELCOME, id by
id; ids are never used again, not even after a crash (mailbox.py).  That is for the reader's comfort: unless it is
confirmed, all of it comes again as Repeated.  CONFIRMED does not make anything forgotten: after a power cut the daemon
may hear CONFIRM for what it never had on disk, and its sender may send it again.  What was shown the archive knows.

Failure: what the archive can't keep is not confirmed, and is tried again with what is shown next (ArchiveError).
"""
from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import TypeAlias

import wire
from client.archive import Archive, ArchiveError, Memory
from client.arrivals import CHECK, LIVE, Arrival, Arrivals
from client.events import Repeated
from client.index import Key
from client.letters import Record
from wire import ProtocolError

UNSHOWN_MAX = 10_000                # messages given to the client and not shown: ten windows of the daemon's
CONFIRMS_MAX = 10_000               # ranges at login, 210 KB; what is left over is confirmed when it comes again

Range: TypeAlias = tuple[int, int]
Kept: TypeAlias = list[tuple[Key, Arrival]]


class Inbox:
    """What has arrived and is not known to be forgotten by the daemon."""

    def __init__(self, archive: Archive | None) -> None:
        """Without an archive it is remembered as long as the program runs."""
        self._archive = Memory() if archive is None else archive
        self._unshown = Arrivals()
        self._texts: dict[Key, int] = {}                # the hashes of the texts of those
        self._unkept: dict[Key, wire.Mail] = {}         # shown, but the archive did not take it
        self._repeated: Kept = []                       # copies that came since repeated()
        self._confirming: dict[Range, list[Key]] = {}   # ranges without CONFIRMED
        self._again: list[Range] = []                   # those of them that were shown before this line

    def forget(self) -> None:
        """Another name or store: ids mean something else there."""
        self._unshown.clear()
        self._texts.clear()
        self._unkept.clear()

    def open(self, store: bytes, name: str) -> None:
        """Logged in: what the daemon had to say on the line before is not to be expected any more."""
        self._repeated.clear()
        self._confirming.clear()
        self._again.clear()
        self.cut(LIVE)
        self.cut(CHECK)
        with contextlib.suppress(ArchiveError):         # shown() will say so, when there is something to be kept
            self._archive.open(store, name)

    def cut(self, kind: int) -> None:
        """A stream of mail, LIVE or CHECK, ends, and another begins."""
        self._unshown.cut(kind)

    def close(self) -> None:
        """Let go of the archive; harmless at any time."""
        self._archive.close()

    def last(self, n: int) -> list[Record]:
        """The last n messages that were shown, in this run or before, oldest first.  Raises ArchiveError."""
        return self._archive.last(n)

    # ---- from the daemon to the user ----

    def take(self, mail: wire.Mail) -> list[wire.Mail | Repeated]:
        """A message has arrived: what that is to the user.  Raises ProtocolError."""
        key, arrival = _key(mail), self._unshown.place(mail)
        if self._archive.has(mail):
            self._archive.unconfirmed[key] = mail.id
            self._repeated.append((key, arrival))
            return [Repeated(mail)]
        is_new = key not in self._unshown
        if self._texts.setdefault(key, hash(mail.text)) != hash(mail.text):
            return []       # of another program with the same instance: not shown, so not confirmed; it comes again
        self._unshown[key] = arrival
        if len(self._unshown) > UNSHOWN_MAX:
            raise ProtocolError(f"more than {UNSHOWN_MAX} messages that were not shown yet")
        return [mail] if is_new else []

    # ---- from the user to the daemon ----

    def shown(self, mails: Sequence[wire.Mail]) -> Kept:
        """The user saw these: keep them, and those that could not be kept before.  What may be confirmed now.

        Raises ArchiveError.  What did not arrive, or was shown before, is passed over."""
        self._unkept.update({_key(mail): mail for mail in mails if _key(mail) in self._unshown})
        if not self._unkept:
            return []
        self._archive.keep(list(self._unkept.values()))
        keys, self._unkept = list(self._unkept), {}
        for key in keys:
            self._texts.pop(key, None)
        return [(key, self._unshown.pop(key)) for key in keys]

    def repeated(self) -> Kept:
        """The copies that have come since the last look: they may be confirmed at once."""
        repeated, self._repeated = self._repeated, []
        return repeated

    def confirm(self, kept: Kept) -> Iterator[Range]:
        """The ranges to confirm for these; each is expected to be said, and CONFIRMED to come."""
        for first, last, keys in self._unshown.runs(kept):
            self._confirming[first, last] = keys
            yield first, last

    def confirm_again(self) -> Iterator[Range]:
        """The same for all that is not known to be forgotten; a range here is ids without a gap, each one shown."""
        runs: list[tuple[int, int, list[Key]]] = []
        for key, number in sorted(self._archive.unconfirmed.items(), key=itemgetter(1)):
            if runs and runs[-1][1] + 1 == number:
                runs[-1] = runs[-1][0], number, [*runs[-1][2], key]
            else:
                runs.append((number, number, [key]))
        for first, last, keys in runs[:CONFIRMS_MAX]:
            self._confirming[first, last] = keys
            self._again.append((first, last))
            yield first, last

    def confirmed(self, first: int, last: int) -> None:
        """The daemon has forgotten what was confirmed between these; ranges may come back joined.

        It answers in order: when the first range of this line is answered, what was asked again before it and was not
        will never be.  A power cut took it."""
        exact = (first, last)
        covered = [exact] if exact in self._confirming else [
            run for run in self._confirming if first <= run[0] and run[1] <= last]
        if self._again and not set(covered).issubset(self._again):
            covered += [run for run in self._again if run in self._confirming and run not in covered]
            self._again.clear()
        for run in covered:
            self._archive.settle(self._confirming.pop(run))


def _key(mail: wire.Mail) -> Key:
    return mail.sender, mail.origin


__all__ = ["CHECK", "LIVE", "Inbox"]

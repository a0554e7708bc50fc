"""inbox: messages, from their arrival to the daemon's CONFIRMED.

A message that arrives waits to be shown.  What was shown is kept in the archive, and what is kept
may be confirmed, so that the daemon forgets it.  A copy of a message that is kept is Repeated; a
copy of one that waits to be shown is nothing.  An Inbox says nothing to the daemon: it returns the
ranges that may stand in CONFIRM, and learns from the link which of them came back.

Confirming is the one thing in a client that can destroy mail; arrivals.py decides which messages
may stand under one range.  What had no CONFIRMED when the connection was lost, or the program
ended, is confirmed once more after the next WELCOME, id by id; ids are never used again, not even
after a crash (mailbox.py).  That is for the reader's comfort: unless it is confirmed, all of it
comes again as Repeated.  CONFIRMED is no reason to forget anything: after a power cut the daemon
may hear CONFIRM for what it never had on disk, and its sender may send it again.  The archive knows
what was shown.

Failure: what the archive can't keep is not confirmed (ArchiveError), and is tried again with what
is shown next.
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
from wire import ProtocolError

UNSHOWN_MAX = 10_000                # messages that arrived and were not shown: ten of the daemon's
                                    # windows
CONFIRMS_MAX = 10_000               # ranges at login, 210 KB; the others when they come again

Range: TypeAlias = tuple[int, int]
Kept: TypeAlias = list[tuple[Key, Arrival]]


class Inbox:
    """What has arrived, until we know that the daemon has forgotten it."""

    def __init__(self, archive: Archive | None) -> None:
        """Without an archive, messages are remembered as long as the program runs."""
        self._archive = Memory() if archive is None else archive
        self._unshown = Arrivals()
        self._texts: dict[Key, int] = {}                # the hashes of their texts
        self._unkept: dict[Key, wire.Mail] = {}         # shown, but the archive did not take it
        self._repeated: Kept = []                       # copies that came since repeated()
        self._confirming: dict[Range, list[Key]] = {}   # ranges without CONFIRMED
        self._again: list[Range] = []                   # those of them that are confirmed again

    def forget(self) -> None:
        """Another name or store: ids mean something else there."""
        self._unshown.clear()
        self._texts.clear()
        self._unkept.clear()

    def open(self, store: bytes, name: str) -> None:
        """Logged in: no answer to what was said on the connection before will come any more."""
        self._repeated.clear()
        self._confirming.clear()
        self._again.clear()
        self.cut(LIVE)
        self.cut(CHECK)
        with contextlib.suppress(ArchiveError):     # shown() will say so, if there is mail to keep
            self._archive.open(store, name)

    def cut(self, kind: int) -> None:
        """A stream of mail, LIVE or CHECK, ends, and another begins."""
        self._unshown.cut(kind)

    def close(self) -> None:
        """Let go of the archive; harmless at any time."""
        self._archive.close()

    def last(self, n: int) -> list[wire.Mail]:
        """The last n messages that were shown, also before this run, oldest first.

        Raises ArchiveError."""
        return self._archive.last(n)

    # ---- from the daemon to the user ----

    def take(self, mail: wire.Mail) -> list[wire.Mail | Repeated]:
        """A message has arrived: the events for the client.  Raises ProtocolError."""
        key, arrival = _key(mail), self._unshown.place(mail)
        if self._archive.has(mail):
            self._archive.unconfirmed[key] = mail.id
            self._repeated.append((key, arrival))
            return [Repeated(mail)]
        is_new = key not in self._unshown
        if self._texts.setdefault(key, hash(mail.text)) != hash(mail.text):
            # Another program's with the same instance: not shown nor confirmed, so it comes again.
            return []
        self._unshown[key] = arrival
        if len(self._unshown) > UNSHOWN_MAX:
            raise ProtocolError(f"more than {UNSHOWN_MAX} messages that were not shown yet")
        return [mail] if is_new else []

    # ---- from the user to the daemon ----

    def shown(self, mails: Sequence[wire.Mail]) -> Kept:
        """The user saw these: keep them, and those that could not be kept before.

        Returns what may be confirmed now.  A message that did not arrive, or was shown before, is
        passed over.  Raises ArchiveError."""
        self._unkept.update({_key(mail): mail for mail in mails if _key(mail) in self._unshown})
        if not self._unkept:
            return []
        self._archive.keep(list(self._unkept.values()))
        keys, self._unkept = list(self._unkept), {}
        for key in keys:
            self._texts.pop(key, None)
        return [(key, self._unshown.pop(key)) for key in keys]

    def repeated(self) -> Kept:
        """The copies that have come since the last call: they may be confirmed at once."""
        repeated, self._repeated = self._repeated, []
        return repeated

    def confirm(self, kept: Kept) -> Iterator[Range]:
        """The ranges to confirm for these; the caller sends each, and CONFIRMED will come."""
        for first, last, keys in self._unshown.runs(kept):
            self._confirming[first, last] = keys
            yield first, last

    def confirm_again(self) -> Iterator[Range]:
        """The same for all that the daemon may still hold.  A range here is ids without a gap, each
        of a message that was shown."""
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

        It answers in order: once it answers the first new range of this connection, it will never
        answer those that were confirmed again before.  A power cut took them."""
        exact = (first, last)
        covered = [exact] if exact in self._confirming else [
            run for run in self._confirming if first <= run[0] and run[1] <= last]
        if self._again and not set(covered).issubset(self._again):
            covered += [run for run in self._again
                        if run in self._confirming and run not in covered]
            self._again.clear()
        for run in covered:
            self._archive.settle(self._confirming.pop(run))


def _key(mail: wire.Mail) -> Key:
    return mail.sender, mail.origin


__all__ = ["CHECK", "LIVE", "Inbox"]

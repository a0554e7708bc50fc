"""inbox: messages, from their arrival to the daemon's CONFIRMED.

A message arrives and waits to be shown.  Once the user has seen it, the inbox keeps it in the
archive; only then may the link confirm it, and the daemon forgets it.  If a copy of a kept message
arrives, the client hears Repeated; the inbox drops a copy of a message that waits to be shown.  An
Inbox says nothing to the daemon: it returns the ranges that the link may CONFIRM, and hears from
the link which CONFIRMED came back.

Confirming is the one thing in a client that can destroy mail; arrivals.py decides which messages
one range may cover.  A message may have no CONFIRMED when the connection is lost, or when the
program ends.  Then the link confirms it once more after the next WELCOME, id by id; the daemon
gives no id twice, not even after a crash (mailbox.py).  This is for the reader's comfort: without
it, the message would come again, as Repeated.  The archive forgets nothing when CONFIRMED comes:
after a power cut the daemon may hear CONFIRM for a message that it never had on disk, and the
sender may send that message again.  The archive knows that it was shown.

Failure: if the archive can't keep messages (ArchiveError), they are not confirmed, and the inbox
tries again with the messages that are shown next.
"""
from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import TypeAlias

import wire
from client.archive import ArchiveError, Memory
from client.arrivals import CHECK, LIVE, Arrival, Arrivals
from client.events import Repeated
from client.index import Key
from wire import ProtocolError

UNSHOWN_MAX = 10_000                # messages that arrived and are not kept yet: ten of the
                                    # daemon's windows (rules/window.py)
UNSHOWN_BYTES = 1 << 20             # of their texts: five of its windows
NAMED_BYTES = UNSHOWN_BYTES // 2    # with the names of their recipients; beyond that the client
                                    # forgets the names, and the number of them must do
NAME_SIZE = 50                      # bytes of a name besides its letters
CONFIRMS_MAX = 10_000               # ranges confirmed again at login, 210 KB; the client confirms
                                    # the others when their messages come again
CONFIRMING_MAX = 10_000             # messages without CONFIRMED: ten windows, too.  Of more, the
                                    # client forgets the oldest, and what it repeats at login

Range: TypeAlias = tuple[int, int]
Kept: TypeAlias = list[tuple[Key, Arrival]]


class Inbox:
    """The messages that have arrived, until the daemon says that it has forgotten them."""

    def __init__(self, archive: Memory) -> None:
        """Memory alone remembers messages as long as the program runs."""
        self._archive = archive
        self._unshown = Arrivals()
        self._text_hashes: dict[Key, int] = {}          # of the unshown messages
        self._sizes: dict[Key, int] = {}                # and the bytes of their texts
        self._size = 0                                  # of all of them
        self._unkept: dict[Key, wire.Mail] = {}         # shown, but the archive failed to keep it
        self._repeated: Kept = []                       # copies that came since repeated()
        self._confirming: dict[Range, list[Key]] = {}   # ranges without CONFIRMED
        self._awaited = 0                               # the messages in them
        self._reconfirming: list[Range] = []            # those of them from confirm_again()
        self.above: int | None = None                   # mail with higher ids is live: RESUME says

    def forget(self) -> None:
        """Drop the unshown messages: with another name, or at another store, ids mean something
        else."""
        self._unshown.clear()
        self._text_hashes.clear()
        self._unkept.clear()
        self._sizes.clear()
        self._size = 0
        self.end_live()

    def open(self, store: bytes, name: str) -> None:
        """Logged in.  The daemon will not answer CONFIRMs of the connection before any more."""
        self._repeated.clear()
        self._confirming.clear()
        self._awaited = 0
        self._reconfirming.clear()
        self.cut(LIVE)
        self.cut(CHECK)
        with contextlib.suppress(ArchiveError):     # shown() will say so, if there is mail to keep
            self._archive.open(store, name)

    def cut(self, kind: int) -> None:
        """A stream of mail, LIVE or CHECK, ends, and another begins."""
        self._unshown.cut(kind)

    def end_live(self) -> None:
        """What comes from now on is not live, also if the connection is lost."""
        self.above = None
        self.cut(LIVE)

    def close(self) -> None:
        """Let go of the archive; harmless at any time."""
        self._archive.close()

    # ---- from the daemon to the user ----

    def take(self, mail: wire.Mail) -> list[wire.Mail | Repeated]:
        """A message has arrived.  Returns the events for the client.  Raises ProtocolError if more
        than UNSHOWN_MAX messages wait, or UNSHOWN_BYTES."""
        key, arrival = _key(mail), self._unshown.place(mail)
        if self._archive.has(mail):
            self._archive.unconfirmed[key] = mail.id
            self._repeated.append((key, arrival))
            return [Repeated(mail)]
        is_new = key not in self._unshown
        if self._text_hashes.setdefault(key, hash(mail.text)) != hash(mail.text):
            # Another program has the same instance number.  Its message is neither shown nor
            # confirmed, so it comes again.
            return []
        self._unshown[key] = arrival
        if is_new:
            size = len(mail.text.encode())
            named = size + sum([NAME_SIZE + len(name) for name in mail.to])
            if self._size + named > NAMED_BYTES:
                mail, named = mail._replace(to=()), size
            self._sizes[key] = named
            self._size += named
        if len(self._unshown) > UNSHOWN_MAX or self._size > UNSHOWN_BYTES:
            raise ProtocolError(f"{len(self._unshown)} messages, {self._size} bytes, that were not "
                                "shown yet")
        return [mail] if is_new else []

    # ---- from the user to the daemon ----

    def shown(self, mails: Sequence[wire.Mail]) -> Kept:
        """The user saw these: keep them, and those that could not be kept before.

        Returns the messages that may be confirmed now.  Skips a message that did not arrive, or was
        shown before.  Raises ArchiveError."""
        self._unkept.update({_key(mail): mail for mail in mails if _key(mail) in self._unshown})
        if not self._unkept:
            return []
        self._archive.keep(list(self._unkept.values()))
        keys, self._unkept = list(self._unkept), {}
        for key in keys:
            self._text_hashes.pop(key, None)
            self._size -= self._sizes.pop(key, 0)
        return [(key, self._unshown.pop(key)) for key in keys]

    def repeated(self) -> Kept:
        """The copies that have come since the last call: they may be confirmed at once."""
        repeated, self._repeated = self._repeated, []
        return repeated

    def confirm(self, kept: Kept) -> Iterator[Range]:
        """The ranges to confirm for these messages; the caller sends a CONFIRM for each."""
        for first, last, keys in self._unshown.runs(kept):
            self._await((first, last), keys)
            yield first, last

    def _await(self, run: Range, keys: list[Key]) -> None:
        """The daemon is to say CONFIRMED for these."""
        self._done(run)
        self._confirming[run] = keys
        self._awaited += len(keys)
        while self._awaited > CONFIRMING_MAX:
            self._done(next(iter(self._confirming)))

    def _done(self, run: Range) -> list[Key]:
        """The messages of a range that is no longer waited for."""
        keys = self._confirming.pop(run, [])
        self._awaited -= len(keys)
        return keys

    def confirm_again(self) -> Iterator[Range]:
        """The ranges to confirm once more: all shown messages that the daemon may still hold.  Each
        range is ids without a gap, and each id that of a message that was shown."""
        runs: list[tuple[int, int, list[Key]]] = []
        for key, number in sorted(self._archive.unconfirmed.items(), key=itemgetter(1)):
            if runs and runs[-1][1] + 1 == number:
                runs[-1] = runs[-1][0], number, [*runs[-1][2], key]
            else:
                runs.append((number, number, [key]))
        for first, last, keys in runs[:CONFIRMS_MAX]:
            self._await((first, last), keys)
            self._reconfirming.append((first, last))
            yield first, last

    def confirmed(self, first: int, last: int) -> None:
        """The daemon has forgotten the messages confirmed from `first` to `last`.  It may have
        joined several ranges into this one.

        The daemon answers in order.  So once it answers a range of this connection that is not from
        confirm_again(), it will never answer those that are: a power cut took their messages."""
        exact = (first, last)
        covered = [exact] if exact in self._confirming else [
            run for run in self._confirming if first <= run[0] and run[1] <= last]
        if self._reconfirming and not set(covered).issubset(self._reconfirming):
            done = set(covered)
            covered += [run for run in self._reconfirming
                        if run in self._confirming and run not in done]
            self._reconfirming.clear()
        for run in covered:
            self._archive.settle(self._done(run))


def _key(mail: wire.Mail) -> Key:
    return mail.sender, mail.origin


__all__ = ["CHECK", "LIVE", "Inbox"]

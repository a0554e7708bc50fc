"""known: the log of names, as far as the daemon has told it.

The log comes in pages after login; then the daemon sends each name that changes.  Of a name that is
not connected Known keeps the name and a time, of a connected one the whole entry.  A log may have a
million names and change at any time, so no method that is called often looks at all of it.

Bounds.  The daemon may be hostile, and a log may be larger than a client wants to hold.  Known
keeps names up to NAMES_BYTES and PRESENT_MAX, passes over the others, and says so: `is_cut`.  A log
whose pages do not end breaks the protocol.
"""
from __future__ import annotations

from bisect import bisect_left

import wire
from wire import Presence, ProtocolError

# Bytes of the log: 140,000 of the longest names, or 165,000 of ten characters.  Larger houses can
# do without a list of all: the client lists the names that it keeps, and sends to all.
NAMES_BYTES = 22 << 20
NAME_COST = 130             # bytes of a name besides its characters: its objects and its places in
                            # dictionary and list; measured
SPELLED_COST = 80           # and of its spelling, if that has capitals
PRESENT_MAX = 16_000        # connected users, 4 MB: more than any daemon has descriptors for
PAGED_MAX = 2 * wire.LOG_MAX        # rows before the last page: names change while pages come


class Known:
    """The log.  `is_whole`: the last page has come; `is_cut`: names were passed over."""

    def __init__(self) -> None:
        self.present: dict[str, wire.Entry] = {}        # connected users, by name in lower case
        self._since: dict[str, int] = {}                # of each name, in lower case: the time
        self._spelled: dict[str, str] = {}              # the names with upper case in them
        self._order: list[str] = []                     # the names, sorted, without the new ones
        self._new: list[str] = []                       # names that `order` will sort in
        self.forget()

    def forget(self) -> None:
        """Another store has another log."""
        self.present.clear()
        self._since.clear()
        self._spelled.clear()
        self._order.clear()
        self._new.clear()
        self.is_whole = self.is_cut = False
        self._size = self._paged = 0

    def hear(self, said: wire.Roster) -> None:
        """A page or a change.  Raises ProtocolError for a log that does not end."""
        self._paged = 0 if said.last else self._paged + len(said.entries) + 1
        if self._paged > PAGED_MAX:
            raise ProtocolError(f"a log of more than {wire.LOG_MAX} names")
        present, since = self.present, self._since
        for entry in said.entries:
            name = entry.name.lower()
            if name in since:
                since[name] = entry.since
            elif self._size < NAMES_BYTES:
                self._add(name, entry)
            else:
                self.is_cut = True
            if entry.state == Presence.AWAY:
                present.pop(name, None)
            elif name in present or len(present) < PRESENT_MAX:
                present[name] = entry
            else:
                self.is_cut = True
        if said.last and not said.request:
            self.is_whole = True

    def _add(self, name: str, entry: wire.Entry) -> None:
        self._size += NAME_COST + len(name)
        if name != entry.name:
            self._spelled[name] = entry.name
            self._size += SPELLED_COST + len(name)
        self._since[name] = entry.since
        self._new.append(name)

    # ---- asking ----

    def __len__(self) -> int:
        """How many names are kept."""
        return len(self._since)

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._since

    def spelled(self, name: str) -> str:
        """The name as it was first registered; "" if it is not kept."""
        name = name.lower()
        if entry := self.present.get(name):
            return entry.name
        return self._spelled.get(name, name) if name in self._since else ""

    def entry(self, name: str) -> wire.Entry:
        """The entry of a name.  Raises KeyError."""
        name = name.lower()
        return self.present.get(name) or wire.Entry(
            self._spelled.get(name, name), Presence.AWAY, 0, self._since[name], 0)

    @property
    def order(self) -> list[str]:
        """All names in lower case, sorted."""
        if self._new:
            self._order += self._new
            self._order.sort()                          # quick if only a few are new
            self._new.clear()
        return self._order

    def beginning(self, text: str, most: int) -> list[str]:
        """The names that begin with a text, in any case, sorted.

        Of more than `most`: the first ones and the last one, which have the same beginning in
        common as all of them."""
        order, text = self.order, text.lower()
        start, end = bisect_left(order, text), bisect_left(order, text + "\U0010ffff")
        some = order[start:min(end, start + most)]
        if end - start > most:
            some[-1] = order[end - 1]
        return [self.spelled(name) for name in some]

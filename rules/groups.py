"""groups: rooms for the logins of a Unix group.

The kernel says who calls, and the host which groups that login is in.  Over TCP nobody is in a
group.  A member that has left the group is put out within REVIEW_SECONDS, by the login that owns
its name, and at its next login.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf
from typing import NamedTuple

from rules.owners import Owners
from rules.room import Room
from rules.roster import Roster
from rules.store import Store
from store.user import User
from wire import Admission

REVIEW_SECONDS = 300.0  # between two looks at who is still in a group: as long as logins.py
                        # remembers an answer


class Groups(NamedTuple):
    """The host's groups.  Both raise OSError if that can't be told."""
    gid: Callable[[str], int | None] = lambda group: None   # the number of a group
    gids: Callable[[int], Sequence[int]] = lambda uid: ()   # the groups of a login, by its uid


NO_GROUPS = Groups()


class InGroups:
    """Who is in the groups that rooms are for.  `rooms`: those that are open, by number."""

    def __init__(self, host: Groups, mailbox: Store, roster: Roster, rooms: Mapping[int, Room]
                 ) -> None:
        self.host = host
        self.mailbox = mailbox
        self.roster = roster
        self.rooms = rooms
        self.review_at = inf                    # when members are looked at, on the monotonic clock
        self._is_reviewing = False

    def is_in(self, room: Room, uid: int | None) -> bool:
        """Whether the host says that this login is in the group of a room."""
        if room.admission != Admission.GROUP or uid is None:
            return False
        try:
            return room.gid in self.host.gids(uid)
        except OSError:
            return False

    def is_out(self, room: Room, uid: int) -> bool:
        """Whether the host says that this login is not in the group of a room."""
        if room.admission != Admission.GROUP:
            return False
        try:
            return room.gid not in self.host.gids(uid)
        except OSError:
            return False

    def begin(self) -> None:
        """Look at the members, at the end of this turn, if there is a room for a group."""
        self.review_at = 0.0 if self._groups() else inf

    def review(self, now: float, put_out: Callable[[User, Room], None]) -> None:
        """From time to time look who is not in a group any more; a look-up in a step, for the
        host's list may be slow.  `now`: the monotonic clock."""
        if now >= self.review_at and not self._is_reviewing:
            self.review_at = now + REVIEW_SECONDS if self._groups() else inf
            self._is_reviewing = True
            self.roster.slices.begin(self._review(put_out))

    def _groups(self) -> list[Room]:
        return [room for room in self.rooms.values() if room.admission == Admission.GROUP]

    def _review(self, put_out: Callable[[User, Room], None]) -> Iterator[None]:
        for room in self._groups():
            for number in list(room.members):
                uid = Owners.of(self.mailbox.users[number])
                is_member = number in room.members and self.rooms.get(room.user.number) is room
                if (is_member and number != room.keeper and uid is not None
                        and not self.mailbox.refusal and self.is_out(room, uid)):
                    put_out(self.mailbox.users[number], room)
                yield
        self._is_reviewing = False

"""publication: the log of names, as clients see it.

Every subscriber (Feature.ROSTER) has a copy of the log of names, which is kept current.

Changes collapse into the latest state.  For each row it is known when it last changed, as a point
on a scale that only grows, and for each copy to which point it is current.  So a copy costs two
numbers, however much it lacks: it lacks the rows that changed after its point, in their latest
state.  Copies that are current to the same point get the same bytes.  With many subscribers changes
are published less often, so that a thousand logins at once cost each subscriber a few frames and
not a thousand.

A room has a number in the log, like a name, and no row (looking.py).

Subscribers and LISTs are sent pages, as they read them (pages.py).
"""
from __future__ import annotations

from collections.abc import Sequence
from math import inf

import wire
from rules.pages import Pages
from rules.roster import Roster
from rules.slices import STEP
from rules.state import Client, LogCopy, Now
from rules.store import is_room
from store.user import User

PAGE = 1000         # rows in a frame: 1,000 of the longest names are 47 KB, under the frame limit
ROWS_MAX = PAGE     # rows made in a step of a slice, up to the end of a page: 1.5 ms
# Seconds between two publications, for each subscriber: they take some 20 % of the time at most.
PUBLISH_COST = 50e-6


class Publication:
    """The copies of the log of names that clients have."""

    def __init__(self, users: Sequence[User], roster: Roster) -> None:
        self.users = users                              # the whole log, by number
        self.roster = roster
        self._subscribers: dict[Client, None] = {}      # welcomed, with Feature.ROSTER
        # Clients that are to be sent pages: the log, rows that changed, or a LIST.
        self._behind = Pages(roster.slices, self._send_page)
        self._changed: dict[int, int] = {}              # rows, by number: when each last changed,
        self._point = 0                                 # as points that grow, the last one last
        self._shared: dict[tuple[int, int], tuple[bytes, int, int]] = {}    # see _changes
        self._shared_at = 0, 0                          # the version and the point that it is for
        self._publish_at = 0.0                          # on the monotonic clock

    def welcomed(self, client: Client) -> None:
        """The client may be sent the log from now on."""
        if client.features & wire.Feature.ROSTER:
            self._subscribers[client] = None
            client.own_copy()
            self._behind.put(client)

    def leave(self, client: Client) -> None:
        self._subscribers.pop(client, None)
        self._behind.drop(client)

    def saved(self, client: Client) -> list[int]:
        """What a client has of the log, for resume(): up to which number, and of a LIST under way
        the request and the number.  A copy that lacks changes is sent anew."""
        copy = client.log_copy
        upto = copy.sent_upto if copy.point == self._point and not self.roster.changes else 0
        return [upto, copy.list_request, copy.listed_upto]

    def resume(self, client: Client, saved: Sequence[int]) -> None:
        """This client has so much of the log (handover.py)."""
        if not any(saved) and not client.features & wire.Feature.ROSTER:
            return
        copy = client.own_copy()
        copy.sent_upto, copy.list_request, copy.listed_upto = saved
        copy.point = self._point
        if client.features & wire.Feature.ROSTER:
            self._subscribers[client] = None
        if copy.list_request or (client in self._subscribers and not self._is_whole(copy)):
            self._behind.put(client)

    @property
    def is_publishing(self) -> bool:
        """Whether a client that reads is to be sent rows that changed."""
        return any(client.log_copy.sent_upto and client.log_copy.point < self._point
                   for client in self._behind.waiting)

    def hurry(self) -> None:
        """Publish what changed at the end of this turn."""
        self._publish_at = 0.0

    def on_list(self, client: Client, said: wire.List, now: Now) -> None:
        """Answer a LIST: the whole log, page by page as the client reads them."""
        copy = client.own_copy()
        if copy.list_request or not said.request:
            reason = "a list is already under way"
            self.roster.tell(client, wire.Failed(said.request, wire.Why.BUSY, reason))
            return
        copy.list_request, copy.listed_upto = said.request, 0
        self._behind.put(client)

    def row(self, user: User) -> wire.Entry:
        """One name, as it is now."""
        client = self.roster.clients.get(user.number)
        if client is None:
            return wire.Entry(user.name, wire.Presence.AWAY, 0, user.last_seen, 0)
        session = client.chats.session
        if session is None:
            return wire.Entry(user.name, wire.Presence.AVAILABLE, client.holding, client.since, 0)
        return wire.Entry(user.name, wire.Presence.BUSY, client.holding, client.since,
                          session.number)

    # ---- the turn ----

    def publish(self, monotonic: float) -> None:
        """Begin to send what changed."""
        changes = self.roster.changes
        if changes and monotonic >= self._publish_at:
            self._publish_at = monotonic + PUBLISH_COST * len(self._subscribers)
            for number in changes if self._subscribers else ():     # nobody has a copy
                if number < len(self.users):    # a name that the disk refused is in the log no more
                    self._point += 1
                    self._changed.pop(number, None)
                    self._changed[number] = self._point
            changes.clear()
            self._behind.add(self._subscribers)

    def next_publish(self) -> float:
        """When publish() has something to do, on the monotonic clock; inf: never."""
        return self._publish_at if self.roster.changes else inf

    def _send_page(self, client: Client) -> int:
        """Send one page: of a LIST, else of rows that changed, else of the log from where it
        stopped.  Returns how much work that was."""
        copy, rows = client.log_copy, 0
        if copy.list_request:
            rows = self._send_list(client, copy)
        elif copy.sent_upto and copy.point < self._point:
            rows = self._send_changes(client, copy)
        elif client in self._subscribers:
            rows = self._send_log(client, copy)
        if copy.list_request or (client in self._subscribers and not self._is_whole(copy)):
            self._behind.put(client)
        return 1 + rows * STEP // ROWS_MAX

    def _send_list(self, client: Client, copy: LogCopy) -> int:
        numbers = self._next(copy.listed_upto)
        request, copy.listed_upto = copy.list_request, numbers.stop
        is_last = copy.listed_upto == len(self.users)
        copy.list_request = 0 if is_last else request
        self.roster.tell(client, self._page(request, numbers, is_last))
        return len(numbers)

    def _send_log(self, client: Client, copy: LogCopy) -> int:
        numbers = self._next(copy.sent_upto)
        if not copy.sent_upto:
            copy.point = self._point            # nothing that it has can have changed
        copy.sent_upto = numbers.stop
        self.roster.tell(client, self._page(0, numbers, self._is_whole(copy)))
        return len(numbers)

    def _next(self, first: int) -> range:
        return range(first, min(first + PAGE, len(self.users)))

    def _send_changes(self, client: Client, copy: LogCopy) -> int:
        """Send a page of the rows that changed since this copy was current.  Returns how many rows
        had to be made for it: none if another copy was current to the same point."""
        now, before = (self.roster.version, self._point), (copy.point, copy.sent_upto)
        if self._shared_at != now:
            self._shared_at = now
            self._shared.clear()
        shared, made = self._shared.get(before), 0
        if shared is None:
            numbers = self._changes(copy)
            made = len(numbers)
            frame = wire.encode(self._page(0, numbers, self._is_whole(copy))) if numbers else b""
            shared = self._shared[before] = frame, copy.point, copy.sent_upto
        frame, copy.point, copy.sent_upto = shared
        if frame:
            self.roster.hand(client, frame)
        return made

    def _changes(self, copy: LogCopy) -> list[int]:
        """The next rows, a page at most, that changed since this copy was current; it is current to
        the last of them then.  Rows that the copy does not have yet come with the log."""
        since: list[tuple[int, int]] = []
        for number, point in reversed(self._changed.items()):
            if point <= copy.point:
                break
            since.append((number, point))
        numbers: list[int] = []
        while since and len(numbers) < PAGE:
            number, copy.point = since.pop()
            copy.sent_upto += number == copy.sent_upto      # a new name
            if number < copy.sent_upto:
                numbers.append(number)
        return numbers

    def _is_whole(self, copy: LogCopy) -> bool:
        """Whether a copy has the whole log, as it was published last."""
        return copy.point == self._point and copy.sent_upto >= len(self.users)

    def _page(self, request: int, numbers: Sequence[int], is_last: bool) -> wire.Roster:
        users = [self.users[number] for number in numbers]
        rows = tuple([self.row(user) for user in users if not is_room(user)])
        return wire.Roster(request, is_last, rows)

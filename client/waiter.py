"""waiter: waits until a link, or another descriptor, has something to do.

Every program that drives a Link (the curses client, --plain, the one-shot commands) has a loop,
and each loop waits here, and takes the link's events from here.  A Link may change its socket and
its mask in any call, so wait() looks at both before it waits.

It uses poll(2): epoll(7) refuses regular files, and stdin may be one.
"""
from __future__ import annotations

import selectors
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from client.link import Link

ANSWER_SECONDS = 20.0       # a script waits so long for an answer: the daemon's disk may be slow
HEAR_SECONDS = 0.02         # of a turn for what the daemon said: the user's keys wait no longer
LEAVE_SECONDS = 3.0         # at the end, the daemon has so long to hang up


class Waiter:
    """One link, and the descriptors that its program reads."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._selector = selectors.PollSelector()
        self._untold: deque[Any] = deque()          # events of the link that events() did not give
        self._watched: Any = None                   # the link's socket and mask, as registered

    def listen(self, fd: int) -> None:
        """From now on, wait for input on this descriptor too."""
        self._selector.register(fd, selectors.EVENT_READ)

    def ignore(self, fd: int) -> None:
        """Stop waiting for input on this descriptor."""
        self._selector.unregister(fd)

    def wait(self, seconds: float | None) -> list[int]:
        """Wait at most so long; None: for ever.  The descriptors that have input.

        What the link has told meanwhile comes from events().  While some of that is left over, the
        link has no turn, and nobody waits."""
        self._watch()
        is_behind = bool(self._untold)
        due = [at for at in (seconds, self.link.timeout()) if at is not None]
        readable: list[int] = []
        for key, mask in self._selector.select(0.0 if is_behind else min(due) if due else None):
            if key.data is None:
                readable.append(key.fd)
            elif not is_behind:
                self._untold += self.link.ready(mask)
        if not is_behind:
            self._untold += self.link.tick()
        return readable

    def events(self) -> Iterator[Any]:
        """The events of the link, in order, for HEAR_SECONDS: so a flood does not keep the program
        from its user.  The others come after the next wait()."""
        until = time.monotonic() + HEAR_SECONDS
        while self._untold:
            yield self._untold.popleft()
            if time.monotonic() >= until:
                return

    def close(self) -> None:
        """Let go of the selector; harmless at any time."""
        self._selector.close()

    def _watch(self) -> None:
        """Register the link's socket and mask as they are now."""
        wanted = (self.link.sock, self.link.mask) if self.link.sock and self.link.mask else None
        if wanted != self._watched:
            if self._watched:
                self._selector.unregister(self._watched[0])
            if wanted:
                self._selector.register(*wanted, "link")
            self._watched = wanted

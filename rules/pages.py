"""pages: long answers, sent a page at a time, as their readers take them.

A client with PAUSE_AT bytes unsent is sent no further page until it has read.  Pages leave in
slices (slices.py): one for each, and then it is the turn of the others.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator

from rules.slices import Crowd, Slices
from rules.state import Client

PAUSE_AT = 65536    # bytes that a client may have unsent before it is sent no more pages


class Pages(Crowd[Client]):
    """The clients that are to be sent pages.  `page` sends one, and returns how many units of work
    that was; it puts the client in again if there are more."""

    def __init__(self, slices: Slices, page: Callable[[Client], int]) -> None:
        super().__init__(slices, self._serve)
        self.page = page
        self._deaf: dict[Client, None] = {}     # those that do not read now

    def drop(self, one: Client) -> bool:
        self._deaf.pop(one, None)
        return super().drop(one)

    def _work(self) -> Iterator[None]:
        self.slices.paging += 1
        yield from super()._work()
        self.slices.paging -= 1

    def _serve(self, client: Client) -> int:
        if client.backlog < PAUSE_AT:
            return self.page(client)
        self._deaf[client] = self.slices.deaf[self] = None
        return 1

    def is_due(self) -> bool:
        """Whether one of those that did not read reads again."""
        return any(client.backlog < PAUSE_AT for client in self._deaf)

    def wake(self) -> None:
        """Go on with those that read again."""
        reading = [client for client in self._deaf if client.backlog < PAUSE_AT]
        for client in reading:
            del self._deaf[client]
        if not self._deaf:
            del self.slices.deaf[self]
        self.add(reading)

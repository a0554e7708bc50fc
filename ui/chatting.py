"""chatting: the chat session that the user is in.

There is at most one.  Lines are not stored: when the connection is lost, a line that the user said
after the daemon was last heard may be lost with it, and the pane says so.  Pure.
"""
from __future__ import annotations

import wire
from client.events import Offline, OtherStore
from client.link import Link
from terminal.display import display
from ui.entries import REFUSED, Settled, Spoken
from ui.feed import Feed, Hears
from ui.names import NAMED, listed
from ui.people import People
from ui.requests import REFUSALS
from ui.words import LOST, left_behind, parting

LINES_MAX = 10_000      # own lines that may still fail: as many as the pane holds


class Chat:
    """A chat session."""

    def __init__(self, number: int, others: list[str]) -> None:
        self.number = number
        self.others = others


class Chatting:
    """The user in a chat, or in none."""

    def __init__(self, link: Link, people: People, feed: Feed) -> None:
        self.link, self.people, self.feed = link, people, feed
        self.chat: Chat | None = None
        self.heard_at = 0                       # when the daemon last said anything
        self._lines: dict[int, Spoken] = {}     # the user's own, by request
        self.hears: Hears = {
            wire.Started: self.on_started, wire.Line: self.on_line, wire.Left: self.on_left,
            wire.Ended: self.on_ended, wire.Failed: self.on_failed,
            Offline: self.on_lost, OtherStore: self.on_lost,
        }

    def say(self, text: str) -> str:
        """Say a line in the chat; Quit leaves it.  A fault, or ""."""
        flaw = wire.flaw(text)
        if flaw or not self.chat:
            return flaw[1] if flaw else "you are not in a chat"
        try:
            request = self.link.ask.say(self.chat.number, text)
        except REFUSALS as fault:
            return str(fault)
        if text.strip().casefold() != "quit":
            line = self._lines[request] = Spoken(self.feed.now, text, self.link.name)
            self.feed.add_own(line)
            if len(self._lines) > LINES_MAX:
                del self._lines[next(iter(self._lines))]
        return ""

    def on_failed(self, event: wire.Failed) -> None:
        """A line did not reach the others."""
        line = self._lines.pop(event.request, None)
        if line:
            self._doubt(line, display(event.reason))

    def _doubt(self, line: Spoken, reason: str) -> None:
        line.reason = reason
        self.feed.settle(Settled(line, REFUSED, reason))

    def _is_here(self, chat: int) -> bool:
        return self.chat is not None and self.chat.number == chat

    def on_started(self, event: wire.Started) -> None:
        others = self.people.others(event.members)
        self.chat = Chat(event.chat, others)
        what, you, ends = (("chat", "you both", "ends") if len(others) == 1
                           else ("group chat", "you all", "leaves"))
        self.feed.note(f"{what} with {listed(others, NAMED)}: others now see {you} as busy; "
                       f"Quit {ends} it")

    def on_line(self, event: wire.Line) -> None:
        if self._is_here(event.chat):
            self.feed.add(Spoken(event.time, event.text, event.sender))
            self.people.hear(event.sender)

    def on_left(self, event: wire.Left) -> None:
        if self.chat and self._is_here(event.chat):
            self.chat.others = [name for name in self.chat.others
                                if name.lower() != event.by.lower()]
            self.feed.note(left_behind(self.people.called(event.by), event.why))

    def on_ended(self, event: wire.Ended) -> None:
        if self._is_here(event.chat):
            self.chat = None
            by = self.people.called(event.by)
            self.feed.note(f"Chat session ended: {by} {parting(event.why)}")

    def on_lost(self, _: Offline | OtherStore) -> None:
        """With the connection, the daemon forgets the chat."""
        if self.chat:
            self.chat = None
            self.feed.note(f"Chat session ended: {LOST}")
            for line in self._lines.values():
                if line.time >= self.heard_at:
                    self._doubt(line, f"may not have arrived: {LOST}")

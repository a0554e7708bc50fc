"""away: what users say of being away, and the user among them.

The daemon keeps the texts and tells them (parley-wire(7), Away).  The user hears one when they
write to somebody, once for each text, and sees it in /who and in the lists of names; their own
stands in the bar.  Pure; nothing raises.
"""
from __future__ import annotations

import wire
from client.events import Online
from client.link import Link
from terminal.display import display
from ui.feed import Feed, Hears
from ui.people import People
from ui.requests import Requests
from ui.words import Asked, Request

TEXTS_MAX = 5000        # texts that are remembered: 2 MB
CAN_NOT = "this daemon does not support /away"


class Away:
    """The texts, and which of them the user has heard."""

    def __init__(self, link: Link, people: People, feed: Feed, requests: Requests) -> None:
        self.link, self.people, self.feed, self.requests = link, people, feed, requests
        self.own = ""                           # the user's own
        self._written: set[str] = set()         # names that the user wrote to, in small letters
        self._heard: dict[str, str] = {}        # the text that the user heard last, by name
        self.hears: Hears = {wire.Status: self.on_status, Online: self.on_online}

    def say(self, text: str) -> str:
        """Tell this to who writes to the user; "": nothing any more.  A fault, or ""."""
        if len(text.encode(errors="replace")) > wire.STATUS_MAX or "\n" in text:
            return f"/away takes one line of at most {wire.STATUS_MAX} bytes"
        if text and (flaw := wire.flaw(text)):
            return flaw[1]
        if self.link.online and not self.link.ask.granted & wire.Feature.STATUS:
            return CAN_NOT
        asked = Asked(Request.AWAY if text else Request.HERE)
        return self.requests.ask(asked, lambda: self.link.ask.away(text))

    def wrote(self, names: list[str]) -> None:
        """The user has written to these."""
        for name in names:
            if len(self._written) < TEXTS_MAX:
                self._written.add(name.lower())
            self._tell(name)

    def on_online(self, _: Online) -> None:
        """The daemon tells all texts anew."""
        self.people.away.clear()
        self.own = ""

    def on_status(self, event: wire.Status) -> None:
        texts, key = self.people.away, event.name.lower()
        if self.people.is_me(event.name):
            self._own(event.text)
            return
        texts.pop(key, None)
        if 0 < len(event.text) <= wire.STATUS_MAX and len(texts) < TEXTS_MAX:
            texts[key] = display(event.text)
        if key in self._written:
            self._tell(event.name)

    def _own(self, text: str) -> None:
        if text and text != self.own:
            self.feed.note(f"you are away: {display(text)}; /away alone ends that")
        self.own = text

    def _tell(self, name: str) -> None:
        """Say what this user says, if the user has not heard that yet."""
        key = name.lower()
        text = self.people.away.get(key, "")
        if text and text != self._heard.get(key):
            self.feed.note(f"{self.people.called(name)} is away: {text}")
        if text or key in self._heard:
            self._heard[key] = text

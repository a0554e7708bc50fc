"""links: the web addresses that were written in the pane, and what the user does with them.

Number 1 is the newest.  An address that comes while the user reads the list must not change what a
number means, so for LISTED_TIME the numbers are those of the list.  Pure.
"""
from __future__ import annotations

from terminal import urls
from terminal.display import display
from ui.entries import Said, Spoken, clock
from ui.feed import Feed
from ui.wishes import Bare, Copy, Open

LINKS_MAX = 50          # addresses that are listed, the newest ones
LISTED_TIME = 120_000_000       # microseconds: a list of 50 rows is read by then
SCANNED_MAX = 1 << 20   # characters of the newest texts: 10 ms
NONE = "no web address has been written here"


class Links:
    """The addresses, by number."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.can_open = False           # the user has named a program for it
        self._listed: list[str] = []
        self._listed_at = 0

    def list(self) -> str:
        """Show them all; a fault, or ""."""
        found = self._find()
        if not found:
            return NONE
        self._listed, self._listed_at = [*found], self.feed.now
        items = [(str(number), f"{url}  ({said})") for number, (url, said)
                 in enumerate(found.items(), 1)]
        self.feed.show("web addresses, the newest first; /url 1 copies it:", items, beside=False)
        return ""

    def use(self, number: int, how: str, to_read: bool) -> str:
        """Copy, open or show an address; a fault, or "".  `to_read`: there is no clipboard."""
        is_read = self.feed.now - self._listed_at < LISTED_TIME
        links = self._listed if self._listed and is_read else [*self._find()]
        if not links:
            return NONE
        if not 1 <= number <= len(links):
            return f"/url {number}: there are {len(links)}; /url lists them"
        url = links[number - 1]
        if how == "open":
            if not self.can_open:
                return "no program opens it: --open or $PARLEY_OPEN names one; /url N show"
            self.feed.wishes.append(Open(url))
        elif how == "show" or to_read:
            self.feed.wishes.append(Bare(url))
        else:
            self.feed.wishes.append(Copy(url))
            self.feed.note(f"to the clipboard, if the terminal takes it from programs (OSC 52); "
                           f"else /url {number} show: {url}")
        return ""

    def _find(self) -> dict[str, str]:
        """Who wrote each address, and when: the newest first."""
        found: dict[str, str] = {}
        scanned = 0
        for entry in reversed(self.feed.pane.entries):
            if isinstance(entry, Said | Spoken):
                scanned += len(entry.text)
                for url in reversed(urls.find(entry.text)):
                    found.setdefault(url, f"{display(entry.sender)}, {clock(entry.time)}")
            if len(found) >= LINKS_MAX or scanned > SCANNED_MAX:
                break
        return dict([*found.items()][:LINKS_MAX])

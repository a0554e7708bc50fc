"""past: what was said before, from the archive, in the pane.

At the first login the last entries of the archive come into the pane, above a rule, so that the
user finds the screen as it was left.  /history and /find go over the whole archive, both sides.
Pure; nothing raises.
"""
from __future__ import annotations

from collections.abc import Callable

from client import history
from client.archive import ArchiveError
from client.events import Online
from client.history import Chat, Record, Sent
from client.link import Link
from client.past import Steps
from terminal.display import UNICODE, display
from ui.dates import Span
from ui.entries import DELIVERED, REFUSED, SENT, STORED, Said, clock, name_style
from ui.feed import Feed, Hears
from ui.names import addressed
from ui.people import People
from wire import Mail, SendFlag

AT_ONCE = 32            # steps of a task that are done at once, 2 MiB of the archive: 30 ms
OLDER = 100             # entries that come from the archive when the user scrolls up to them
CONTEXT = 60            # cells of a neighbour of what was found
AGAIN = 100             # entries that a screen shows again at the first login: a high one
WRITTEN_TO = 5          # of the recipients of one message, those that count as spoken to
MARKS = {history.UNANSWERED: SENT, history.STORED: STORED, history.DELIVERED: DELIVERED,
         history.REFUSED: REFUSED}


def said(record: Record, me: str) -> Said:
    """The entry that shows a record."""
    def called(name: str) -> str:
        return "you" if name.lower() == me.lower() else display(name) or "somebody"

    if isinstance(record, Sent):
        to = "all" if not record.to else addressed([called(name) for name in record.to])
        style = name_style(record.to[0]) if len(record.to) == 1 else ""
        return Said(record.time, record.text, "you", to, MARKS[record.became], record.reason, style,
                    record.to)
    sender, style = called(record.sender), name_style(record.sender)
    if isinstance(record, Chat):
        others = [called(name) for name in record.others if name.lower() != record.sender.lower()]
        to = addressed(others) if sender == "you" else addressed(["you", *others])
        return Said(record.time, record.text, sender, f"{to} (chat)", style=style,
                    others=record.others)
    return Said(record.time, record.text, sender, _readers(record, called), style=style,
                others=_others(record, me))


def _others(record: Mail, me: str) -> tuple[str, ...]:
    """Who else has part in a message of another user; or the room that it was written in."""
    if record.to[:1] and record.to[0].startswith("#"):
        return record.to
    return tuple(dict.fromkeys([record.sender, *[name for name in record.to
                                                 if name.lower() != me.lower()]]))


def _readers(record: Mail, called: Callable[[str], str]) -> str:
    """The recipients of a message of another user, this one first."""
    if record.flags & SendFlag.EVERYONE:
        return "all"
    if record.to:
        return addressed(sorted(map(called, record.to), key=lambda name: name != "you"))
    return "you" if record.copies < 2 else f"you +{record.copies - 1}"


class Past:
    """The archive, as the user reads it."""

    def __init__(self, link: Link, people: People, feed: Feed, again: int) -> None:
        """`again`: entries that are shown again at the first login."""
        self.link, self.people, self.feed, self.again = link, people, feed, again
        self._above: int | None = None      # what stands above this place is not in the pane
        self._alone: int | None = None      # the same of the conversation that is shown alone
        self._floor: int | None = None      # what is above this in the pane is of that alone
        self._task: Steps[str] | None = None        # a search, or a page, that is not over
        self.hears: Hears = {Online: self.on_online}

    def on_online(self, event: Online) -> None:
        """Show the end of the archive again, above a rule."""
        if event.again or not self.again:
            return
        try:
            self._above, records = self.link.archive.tail(self.again)
        except ArchiveError:
            return                          # link.shown() will say so, if there is mail to keep
        for record in records:
            entry = said(record, self.link.name)
            self.feed.pane.add(entry)
            whom = record.to[:WRITTEN_TO] if isinstance(record, Sent) else (record.sender,)
            for name in whom:
                self.people.hear(name)
        if records:
            self.feed.pane.begin_session()

    def show(self, number: int, name: str = "", days: Span | None = None, when: str = "") -> str:
        """Show the last messages, with this user or with anybody, of these days or of any time; a
        fault, if it is known by then, or ""."""
        return self._begin(self._showing(number, name, days, when))

    # ---- what may take a while ----

    @property
    def is_searching(self) -> bool:
        """Whether work() has something to do."""
        return self._task is not None

    def stop(self) -> bool:
        """Leave what is not over; whether there was anything."""
        task, self._task = self._task, None
        if task is not None:
            task.close()
        return task is not None

    def _begin(self, task: Steps[str]) -> str:
        """Do the first steps at once, mostly all, and leave the others to work().  The fault, if it
        is known by then."""
        self.stop()
        self._task, fault = task, ""
        for _ in range(AT_ONCE):
            fault = fault or self.work()
        return fault

    def work(self) -> str:
        """Do a step of what is not over, some milliseconds.  The fault with which it ended, or
        ""."""
        try:
            if self._task is not None:
                next(self._task)
        except StopIteration as done:
            self._task = None
            return str(done.value)
        except ArchiveError as fault:
            self._task = None
            return str(fault)
        return ""

    def _showing(self, number: int, name: str, days: Span | None, when: str) -> Steps[str]:
        archive = self.link.archive
        if days:
            records = yield from archive.between(*days, number, name)
        else:
            _, records = yield from archive.tailing(number, name)
        whom = (f" with {display(name)}" if name else "") + (f" of {when}" if when else "")
        if not records:
            return f"there are no messages{whom} in your archive"
        what = "message" if len(records) == 1 else f"{len(records)} messages"
        self.feed.show(f"the last {what}{whom}:", self._items(records), beside=False)
        return ""

    def find(self, text: str, above: int | None, then: Callable[[int | None], str]) -> str:
        """Show the last message of the archive with this text, above a place in it or above what
        the pane holds.  `then` is given its place, None if there is none, and returns the fault."""
        if above is None and self.feed.pane.is_whole:
            above = self._above
        return self._begin(self._finding(text, above, then))

    def _finding(self, text: str, above: int | None, then: Callable[[int | None], str]
                 ) -> Steps[str]:
        found = yield from self.link.archive.finding(text, above)
        if found is None:
            return then(None)
        self.feed.show(f"found, {clock(found.record.time, '%a %-d %b %Y')}:",
                       self._items(found.around, found.record), beside=False)
        return then(found.place)

    def older(self) -> str:
        """Bring what stands above the pane into it, from the archive; a fault, or ""."""
        pane, alone = self.feed.pane, self.feed.place
        end = self._alone if alone and self._alone is not None else self._above
        if end is None or self.is_searching:
            return ""
        if pane.is_full or not pane.is_whole:
            return "the screen keeps no more: /history, /find and parley log go further back"
        return self._begin(self._loading(alone, end))

    def _loading(self, alone: str, end: int) -> Steps[str]:
        pane = self.feed.pane
        above, records = yield from self.link.archive.tailing(OLDER, alone, end)
        if not records:
            return "this is the beginning of your archive"
        if alone:
            self._floor = pane.first if self._floor is None else self._floor
            self._alone = above
        else:
            self._above = above
        pane.add_above([said(record, self.link.name) for record in records])
        return ""

    def leave_alone(self) -> None:
        """A conversation is no longer shown alone: its older entries would stand there without the
        others."""
        self.stop()
        if self._floor is not None:
            self.feed.pane.drop_above(self._floor)
        self._alone = self._floor = None

    def _items(self, records: list[Record], found: Record | None = None) -> list[tuple[str, str]]:
        """The rows of a table; the record that was found has an arrow, and its neighbours have a
        row."""
        items = []
        for record in records:
            entry = said(record, self.link.name)
            mark = f" {entry.mark}" if entry.mark else ""
            arrow = "" if found is None else "> " if _is_same(record, found) else "  "
            text = entry.text if arrow != "  " else _cut(entry.text)
            items.append((f"{arrow}{clock(entry.time, '%-d %b %H:%M')} {entry.sender} > "
                          f"{entry.to}{mark}", text))
        return items


def _cut(text: str) -> str:
    """As much of a text as says what it is about."""
    return UNICODE.shorten(display(" ".join(text.split())), CONTEXT)


def _is_same(record: Record, other: Record) -> bool:
    return (type(record), record.time, record.text) == (type(other), other.time, other.text)

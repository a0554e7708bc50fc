"""sending: parley send and --send: a text to some users, and what became of it.

Without a requirement the end is STORED: the message is on the daemon's disk.  Recipients who are
not reading are printed, and those who do not get it are a failure.

With one, --require, the command has its time: a lost connection is dialled again, as long as that
lasts, and the same messages are sent again under their ids.  `stored` is then what it is without,
and `delivered` is that each recipient was shown each part.  Receipts that a lost connection took
along are asked for (TRACE).  A recipient may have had no room while the answer was lost: whoever
nobody can vouch for counts as one who did not get it.  That holds for messages to several, for one
to a single recipient is refused, and so not stored, if there is no room.
"""
from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

import wire
from client.events import Offline, Online
from client.link import Link
from client.waiter import ANSWER_SECONDS, Waiter
from terminal.display import display
from ui.errand import hear_statuses, leave, log_in, turns
from ui.failures import NOT_DELIVERED, Failure, code_of
from ui.names import ONE_WORD, Here, listed, log_of, only_names, unknown
from ui.output import complain, print_line
from ui.words import TOO_LONG, outcome_of
from wire import Outcome, SendFlag, Why

PIPE = 1 << 16          # bytes read from standard input at once
STORED, DELIVERED = "stored", "delivered"       # what can be required
NAMED = 20              # names in a line


class Requirement(NamedTuple):
    """What has to become of a message, and within how many seconds; "": STORED, at once."""
    what: str = ""
    seconds: float = ANSWER_SECONDS

    def check(self, names: Sequence[str]) -> None:
        """Raise Failure if nobody could tell that."""
        if self.what == DELIVERED and (wire.is_room(names[0]) or names[0].lower() == "all"):
            raise Failure(os.EX_USAGE, "--require delivered needs names: who has read a message to "
                                       f"{display(names[0])} is not told")


def names_of(words: Sequence[str], asked: str = "--send") -> list[str]:
    """The recipients of `parley send` or --send: the first of its words.  Raises Failure.

    At a prompt `bob, zed` is a text for bob, because the prompt says so before Enter.  A shell says
    nothing, so here a comma at the blank is refused."""
    names, fault = only_names(words[0])
    if words[0].endswith(","):
        fault = f'"{display(words[0])}" ends with a comma; {ONE_WORD}'
    elif len(words) > 1 and words[1].startswith(","):
        fault = f"the text begins with a comma; {ONE_WORD}; put -- before such a text"
    if fault:
        raise Failure(os.EX_USAGE, f"{asked}: {fault}")
    return names


def message(words: Sequence[str]) -> str:
    """The text of --send: the words after the names, or else stdin.  Raises Failure."""
    raw = b"" if words else read_text(0, wire.TEXT_MAX + 3)
    if len(raw.rstrip(b"\r\n")) > wire.TEXT_MAX:
        raise Failure(os.EX_DATAERR, TOO_LONG)
    try:
        text = _joined(words) or raw.decode()
    except UnicodeDecodeError:
        raise Failure(os.EX_DATAERR, "the text on stdin is not UTF-8") from None
    text = text.replace("\r\n", "\n").rstrip("\n")
    flaw = wire.flaw(text)
    if flaw:
        raise Failure(os.EX_DATAERR, flaw[1])
    return text


def read_text(fd: int, most: int) -> bytes:
    """At most so many bytes, up to the end of the input; the descriptor may be non-blocking.

    Raises Failure."""
    data, readable = b"", select.poll()
    readable.register(fd, select.POLLIN)
    try:
        while len(data) < most:
            readable.poll()
            with contextlib.suppress(BlockingIOError):
                part = os.read(fd, min(most - len(data), PIPE))
                if not part:
                    break
                data += part
    except OSError as fault:
        raise Failure(os.EX_IOERR, f"stdin can't be read: {fault.strerror}") from None
    return data


def _joined(words: Sequence[str]) -> str:
    """The words of the command line as one text.

    In a locale without letters for them Python leaves them undecoded; then they are read as UTF-8,
    as stdin is."""
    text = " ".join(words)
    try:
        text.encode()
    except UnicodeEncodeError:
        with contextlib.suppress(UnicodeDecodeError):
            text = os.fsencode(text).decode()
    return text


class Sending:
    """Texts on their way."""

    def __init__(self, waiter: Waiter, required: Requirement, quiet: bool) -> None:
        """`quiet`: do not say what waits for whom."""
        self.waiter, self.link = waiter, waiter.link
        self.required, self.quiet = required, quiet
        self._until = time.monotonic() + required.seconds if required.what else None
        self._unstored: set[int] = set()
        self._to: dict[str, str] = {}               # the recipients, by name in lower case
        self._unseen: dict[int, set[str]] = {}      # who has not been shown each, in lower case
        self._missed: set[str] = set()              # who does not get it
        self._kept: set[str] = set()                # for whom it surely is kept, or was shown
        self._told: set[tuple[Any, ...]] = set()    # outcomes that were said of another part
        self._request = 0                           # the TRACE that is not answered; 0: none
        self._in_doubt = False                      # an answer was lost: some may have had no room
        self._was_lost = False                      # and so may receipts be

    def send(self, typed: Sequence[str], texts: Sequence[str], flags: int = 0) -> int:
        """The exit code.  `flags`: SendFlag.NOW or none.  Raises Failure."""
        everyone = [name.lower() for name in typed] == ["all"]
        here = log_in(self.waiter, self._until)
        to = () if everyone else _recipients(here, typed, self.link)
        flags |= SendFlag.EVERYONE if everyone else 0
        self._to = {name.lower(): name for name in to}
        for number in [each for text in texts for each in self.link.send(to, text, flags)]:
            self._unstored.add(number)
            self._unseen[number] = {name.lower() for name in self.link.pending[number].to}
        self._wait(here)
        leave(self.waiter, self._tell_outcome)
        for name in () if self.quiet else to:
            if text := here.away.get(name.lower()):
                print_line(f"{display(name)} is away: {display(text)}")
        return self._result()

    def _wait(self, here: Here) -> None:
        """Until it is done, or its time is over.  Raises Failure."""
        try:
            for heard in turns(self.waiter, self._until):
                hear_statuses(heard, here.away)
                for event in heard:
                    self._hear(event)
                if self._is_done():
                    return
        except Failure as fault:
            if fault.code != os.EX_UNAVAILABLE or self._until is None:
                raise
            if self._unstored:
                raise Failure(fault.code, f"not known to be stored: {fault}") from None
        if self._unstored:
            raise Failure(os.EX_TEMPFAIL, "not known to be stored: the daemon did not answer "
                                          f"within {self.required.seconds:g} s")

    def _is_done(self) -> bool:
        """Whether nothing more is to be waited for."""
        if self._unstored or self._request:
            return False
        if self.required.what != DELIVERED or self._missed:
            return True
        return not any(self._unseen.values())

    # ---- what the daemon says ----

    def _hear(self, event: Any) -> None:
        """Raises Failure."""
        if isinstance(event, wire.Refused):
            code = os.EX_NOUSER if event.why == Why.UNKNOWN else code_of(event)
            raise Failure(code, display(event.reason))
        self._tell_outcome(event)
        if isinstance(event, wire.Delivered):
            self._see(range(event.first, event.last + 1), {event.by.lower()})
        elif isinstance(event, Offline):
            self._request, self._was_lost = 0, True
            self._in_doubt |= bool(self._unstored) and len(self._to) != 1
        elif isinstance(event, wire.Traced | wire.Failed) and event.request == self._request:
            self._request = 0
            if isinstance(event, wire.Traced):
                self._trace({name.lower() for name in event.to})
        was_unstored, self._unstored = self._unstored, self._unstored - _settled(
            event, self._unstored)
        if self._was_lost and not self._unstored and (was_unstored or isinstance(event, Online)):
            self._ask()

    def _ask(self) -> None:
        """After a lost connection: for whom do they wait?"""
        names = [self._to[name] for name in dict.fromkeys(
            name for names in self._unseen.values() for name in sorted(names))]
        if names and (self._in_doubt or self.required.what == DELIVERED):
            with contextlib.suppress(ValueError):       # a daemon that is too old, or no errand
                self._request = self.link.ask.trace(min(self._unseen), max(self._unseen), names)

    def _trace(self, waiting: set[str]) -> None:
        """They wait for these, and only for these."""
        self._kept |= waiting
        if not self._in_doubt:
            self._see(self._unseen, {*self._to} - waiting)

    def _see(self, ids: Iterable[int], names: set[str]) -> None:
        """These recipients were shown these messages."""
        for number in ids:
            self._unseen.get(number, set()).difference_update(names)
        self._kept |= names

    def _tell_outcome(self, event: Any) -> None:
        """Print what became of a message for recipients who are not reading now: the sender, too,
        if the message is for themselves, because an errand does not read.  For recipients who do
        not get the message the line goes to stderr."""
        if not isinstance(event, wire.Outcomes) or event.outcome not in set(Outcome):
            return
        is_missed, is_told = event.outcome in NOT_DELIVERED, event[2:] in self._told
        self._told.add(event[2:])
        (self._missed if is_missed else self._kept).update(map(str.lower, event.to))
        if is_told or (self.quiet and not is_missed):
            return
        if is_missed:
            complain(outcome_of(event.to, event.outcome))
            return
        me = self.link.name.lower()
        others = [name for name in event.to if name.lower() != me]
        if others:
            print_line(outcome_of(others, event.outcome))
        if len(others) < len(event.to):
            print_line("kept in your own mailbox until checked")

    # ---- the end ----

    def _result(self) -> int:
        """The exit code.  Raises Failure: who has not got it."""
        if self._missed:
            return os.EX_TEMPFAIL
        lost = "; the connection was lost meanwhile" if self._was_lost else ""
        if self.required.what == DELIVERED:
            if unseen := {name for names in self._unseen.values() for name in names}:
                raise Failure(os.EX_TEMPFAIL, f"stored, but not known to be delivered to "
                              f"{self._named(unseen)} within {self.required.seconds:g} s{lost}")
            if not self.quiet:
                print_line(f"delivered to {self._named({*self._to})}")
        elif self._in_doubt and (not self._to or {*self._to} - self._kept):
            unknown = self._named({*self._to} - self._kept) or "all"
            raise Failure(os.EX_TEMPFAIL, f"not known to be stored for {unknown}{lost}")
        return os.EX_OK

    def _named(self, names: AbstractSet[str]) -> str:
        return listed([name for lower, name in self._to.items() if lower in names], NAMED)


def _settled(event: Any, unstored: set[int]) -> set[int]:
    """Those of these messages that an event settles; one that is now or never may be stored for
    nobody."""
    if not isinstance(event, wire.Stored | wire.Outcomes):
        return set()
    if isinstance(event, wire.Outcomes) and event.outcome not in NOT_DELIVERED:
        return set()
    return {number for number in unstored if event.first <= number <= event.last}


def _recipients(here: Here, typed: Sequence[str], link: Link) -> tuple[str, ...]:
    """The names as the log spells them.  Raises Failure."""
    if not typed:
        raise Failure(os.EX_NOUSER, "a message needs names: bob,erin TEXT")
    if wire.is_room(typed[0]) and len(typed) == 1:
        return tuple(typed)             # the daemon knows whether the user is in it
    missing = [display(name) for name in typed
               if not here.spelled(name) and not here.knows(name)
               and not (link.roster.is_cut and wire.is_name(name))]
    if missing:
        others = [name for name in here.names if name != link.name]
        raise Failure(os.EX_NOUSER, unknown(missing, others, log_of(link.hides_host)))
    return tuple(here.spelled(name) or name for name in typed)

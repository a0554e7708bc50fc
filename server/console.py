"""console: what the operator sees.

Two things come out of here: a live table of all names above the event log, when the output is a
terminal; or the event log alone, one line per event, when it is a pipe, a file or a journal.  A log
file (`--log`) can stand beside either.  log.py has the events and the lines.

Nothing here waits (painter.py).  `--no-text` leaves the bodies of
messages and lines out; a log file never has them.

A login that causes too many lines has them counted instead (gathering.py).  What was refused to
whom is counted in any case (refusals.py), and so are the clients that were put out (cuts.py).
"""
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping
from math import inf

from rules.hosts import host_of
from rules.table import Row
from server.browser import Browser
from server.cuts import GOING, Cuts
from server.frames import counts_of, frame, status_lines, table_rows
from server.gathering import Gathering
from server.keyboard import Keyboard
from server.log import (
    FORMS,
    LogStream,
    Outlet,
    form_of,
    open_log,
    stamped,
)
from server.painter import Painter
from server.refusals import REFUSALS, Refusals
from terminal.keys import Key

FRAME_SECONDS = 0.2         # at most 5 frames a second
CAUSES = ("name", "sender", "by", "members")    # fields with the user that caused the event
COUNTED = REFUSALS | GOING
LINES_KEPT = 200            # of the event log, for the table: more rows than any terminal shows


# ---- the console ----

class Console:
    """The operator's view.  `mode` is table, log or none; a log file may stand beside any of them.
    `wall` tells the time, in microseconds since 1970.  `rate`: bytes of log a second for each
    login; 0: no limit.  `form`: text or json; `journal`: $JOURNAL_STREAM."""

    def __init__(self, mode: str, fd: int, wall: Callable[[], int], *, with_text: bool = True,
                 log: str = "", rate: int = 0, form: str = "text", journal: str = "") -> None:
        self.mode = mode
        self.with_text = with_text
        self.wall = wall
        self.log_path = log
        self.gathering = Gathering(rate)
        self.refusals = Refusals()
        self.cuts = Cuts()
        # the address of a connected user, by name; "": nobody of this name is connected
        self.address_of: Callable[[str], str] = lambda name: ""
        self.browser: Browser | None = None     # what an operator with a keyboard looks at
        self.keyboard: Keyboard | None = None
        self._lines: deque[str] = deque(maxlen=LINES_KEPT)      # below the table
        self._outlet = outlet = Outlet(fd) if mode != "none" else None
        self._form = FORMS[form]                # of a log file
        self._stream = LogStream(outlet, with_text, form_of(form, fd, journal)
                                 ) if outlet and mode == "log" else None
        self._file: LogStream | None = None
        self._painter = Painter(outlet) if outlet and mode == "table" else None
        self._draw_at = 0.0
        self.changed = True                     # the table may show something else than the screen
        self._times: tuple[int, str] = (0, "")  # the last second, and its stamp
        self._now = 0.0                         # the monotonic clock at the end of the last turn
        self.reopen()

    def reopen(self) -> None:
        """Open the log file (again): after it was moved aside.  Raises OSError."""
        if self.log_path:
            opened = open_log(self.log_path, self._form)
            if self._file:
                self._file.flush()
                os.close(self._file.outlet.fd)
            self._file = opened

    def reload(self) -> None:
        """Open the log file again, or note why that failed and go on with the old one."""
        try:
            self.reopen()
        except OSError as error:
            self.note("store", says=f"the log could not be opened again: {error}")

    def hung_up(self) -> bool:
        """Whether this was shown on a terminal, and the terminal is gone."""
        return self._outlet is not None and self._outlet.hung_up()

    @property
    def is_silent(self) -> bool:
        """Neither a reader nor a file is told anything."""
        return self.mode == "none" and not self._file

    def note(self, event: str, **fields: object) -> None:
        """Something happened: one of NOTES."""
        self.changed = True
        if event in COUNTED:
            self.count(event, fields)
        if self.is_silent:
            return
        login = self._login(fields) if self.gathering.rate else ""
        if self.gathering.admits(login, event, self._now):
            self.gathering.wrote(login, self._log(event, **fields), self._now)

    def count(self, event: str, fields: Mapping[str, object]) -> None:
        """One of COUNTED happened."""
        if event in REFUSALS:
            self.refusals.count(self._login(fields), event, fields)
        else:
            self.cuts.gone(self.wall(), self._login(fields), fields)

    def _login(self, fields: Mapping[str, object]) -> str:
        """The host or login that caused an event, as the log names it: unix:ann, 192.0.2.7."""
        where = str(fields.get("address", ""))
        if not where:
            name = next((str(fields[key]) for key in CAUSES if key in fields), "")
            where = self.address_of(name.partition(",")[0])
        return where.partition("/")[0] if where.startswith("unix") else host_of(where)

    def _log(self, event: str, **fields: object) -> int:
        """A line for all who read.  Returns its length."""
        stamp, size = self._stamp(), 0
        if self._stream:
            size = self._stream.add(stamp, event, fields)
        elif self.mode == "table":              # with the hour alone
            self._lines.append(stamped(stamp[11:19], event, fields, self.with_text))
            size = len(self._lines[-1])
        if self._file:
            size = max(size, self._file.add(stamp, event, fields))
        return size

    def on_signal(self, number: int) -> None:
        """WINCH: the terminal has another size.  USR1: write what was refused to whom."""
        self.changed = True
        if number == signal.SIGUSR1:
            self._tell_refusals()

    def _tell_refusals(self) -> None:
        for login, event, reason, times in self.refusals.rows():
            self._log("refusals", login=login, what=event, reason=reason, times=times)

    def _tell_gathered(self, now: float) -> None:
        for login, event, lines in self.gathering.due(now):
            self._log("gathered", login=login, what=event, lines=lines)

    def _stamp(self) -> str:
        second = self.wall() // 1_000_000
        if second != self._times[0]:
            here = time.localtime(second)
            stamp, zone = time.strftime("%Y-%m-%d %H:%M:%S %z", here).rsplit(" ", 1)
            self._times = second, f"{stamp}{zone[:3]}:{zone[3:5]}"
        return self._times[1]

    # ---- the end of a turn ----

    def draw(self, monotonic: float, title: Callable[[], str],
             rows: Callable[[int], tuple[list[Row], int]]) -> None:
        """Write what is due: log lines at once, a frame at most five times a second."""
        self._now = monotonic
        if self.gathering.held:
            self._tell_gathered(monotonic)
        if self._file:
            self._file.flush()
        if self._stream:
            self._stream.flush()
            self._draw_at = monotonic + FRAME_SECONDS
        if self.mode == "table" and self._is_stale and monotonic >= self._draw_at:
            self._draw_at = monotonic + FRAME_SECONDS
            if self.browser and self.keyboard:
                self.keyboard.look()
                self.browser.look()
            self._paint(title, rows)

    @property
    def _is_stale(self) -> bool:
        """Whether the table on the screen is not the latest."""
        return bool(self.changed or (self._painter and self._painter.unsent)
                    or (self.browser and self.browser.is_news)
                    or (self.keyboard and self.keyboard.is_undecided))

    def press(self, key: Key) -> None:
        """A key of the operator's: it shows at the next frame."""
        if self.browser:
            self.browser.press(key)
            self.changed = True

    def next_draw(self) -> float:
        """When draw() has something to do, on the monotonic clock; inf: never."""
        gathered = self.gathering.until() if self.gathering.held else inf
        is_stale = self.mode == "table" and self._is_stale
        if is_stale or (self._stream and self._stream.waits):
            return min(self._draw_at, gathered)
        return gathered

    def _paint(self, title: Callable[[], str],
               rows: Callable[[int], tuple[list[Row], int]]) -> None:
        painter = self._painter
        if painter is None or not painter.begin():
            return
        self.changed = False
        size = painter.size
        if self.browser:
            title, table = self.browser.title, self.browser.lines(size, self.wall())
        else:
            table = status_lines(*rows(table_rows(size[1])), size[0], self.wall())
        counts = counts_of(self.refusals.total, self.cuts.total)
        painter.paint(frame(title() + counts, table, self._lines, size))

    def close(self) -> None:
        """Leave the terminal as it was found, for good."""
        self.suspend()
        if self.keyboard:
            self.keyboard.close()
            self.keyboard = None

    def suspend(self) -> None:
        """Leave the terminal as it was found, until resume()."""
        self._tell_gathered(inf)
        if self.keyboard:
            self.keyboard.leave()
        if self._painter:
            self._painter.close()
        for stream in (self._stream, self._file):
            if stream:
                stream.flush()

    def resume(self) -> None:
        """Take the terminal again."""
        if self._painter:
            self._painter.open()
            self.changed = True

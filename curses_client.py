#!/usr/bin/env python3
"""curses_client: keys and painted text.

os.read and keys.py read the terminal; curses paints it: one window, one picture of it by
screen.frame, one doupdate in a turn of the loop.  The loop waits for keys, the link and signals.
It paints at once what a key did, and at most 30 times a second what others sent.  A message is
confirmed after it was painted.

Whatever way the program ends (exit, Ctrl-C, a signal, the terminal gone, a fault of ours), the
terminal is as it was before: Terminal.leave() does each of its steps on its own and may be called
twice.  Ctrl-Z gives the terminal back in the same way.  While curses is on, stderr goes into a
pipe; what the pipe holds is shown afterwards.

The place that the program runs in may be poor: a home that cannot be used, signals that are ignored
or blocked, non-blocking or few descriptors, a full disk.  prepare() puts right what it can; for the
rest the program prints one line.

Without a terminal, with --plain, or where no entry of terminfo fits, plain.py takes over.  Errors
are one line that says what to do, with an exit code of sysexits(3); a signal gives 128 and its
number.
"""
from __future__ import annotations

import gc
import os
import sys

# The rooms are found however Python was started.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

# The imports leave no garbage, and looking for it would be a fifth of a start and an exit.
gc.disable()

import argparse
import contextlib
import locale
import math
import signal
import socket
import termios
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import wire
from client.archive import ArchiveError
from client.link import Link
from client.waiter import LEAVE_SECONDS, Waiter
from terminal import osc, printer
from terminal.display import Ruler, display, unicode_cells
from terminal.stderr import Stderr
from terminal.usage import PIPE_CLOSED, die, die_of_lack, open_standard
from terminal.wheel import Wheel
from ui import drafts, once, options, plain
from ui.entries import NAME_COLOURS
from ui.failures import PROGRAM, Failure
from ui.granting import Granting
from ui.menu import Menu
from ui.names import counted
from ui.output import complain
from ui.past import AGAIN
from ui.plain import now
from ui.screen import Frame, frame
from ui.shell import SUBCOMMANDS

if TYPE_CHECKING:
    import curses  # paint() does, for that takes 2 ms which no script needs

gc.freeze()
gc.enable()

READ_SIZE = 4096            # bytes of keys in one read
FRAME_SECONDS = 1 / 30      # between two pictures that no key asked for
WORK_SECONDS = 0.01         # of a turn for a search in the archive
TERMS = ("xterm-256color", "screen", "xterm", "vt100")      # tried in turn if TERM is not known
# Bracketed paste, focus, and arrow keys for the wheel (1007), which wheel.py tells from keys.  The
# last is restored to what it was; a terminal that cannot do so has it on by default.
MODES_ON = b"\x1b[?2004h\x1b[?1004h\x1b[?1007s\x1b[?1007h"
MODES_OFF = b"\x1b[?1007r\x1b[?1004l\x1b[?2004l"
SIGNALS = (signal.SIGWINCH, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGTSTP,
           signal.SIGCONT)
# Of 256 colours those that have a contrast of 4 to 1 on black and on white, and what they are in a
# terminal that takes a colour by its red, green and blue (xterm-direct).
PALETTE = {161: 0xD7005F, 28: 0x008700, 130: 0xAF5F00, 27: 0x005FFF, 133: 0xAF5FAF, 30: 0x008787}
# Of 8 colours only these are legible on both, so they are bold or not; -1: the terminal's own.
BASIC = (1, 5, -1)          # red, magenta
assert len(PALETTE) == 2 * len(BASIC) == NAME_COLOURS
DIRECT = 1 << 24            # colours, where a colour is its red, green and blue

STYLES = {                  # attributes where they are enough; colour is only for names
    "time": "A_DIM", "notice": "A_NORMAL", "alert": "A_BOLD", "mark": "A_BOLD", "rule": "A_DIM",
    "new": "A_BOLD", "bar": "A_REVERSE", "menu": "A_NORMAL", "chosen": "A_REVERSE",
    "hint": "A_DIM", "question": "A_BOLD", "prompt": "A_BOLD", "gutter": "A_DIM", "": "A_NORMAL",
}


# ---- the terminal ----

class NoScreen(Exception):
    """This terminal can't be painted."""


def use_utf8() -> None:
    """Find a locale that can hold UTF-8, as LC_ALL=C can't: ncurses paints blanks for characters
    outside the locale."""
    with contextlib.suppress(locale.Error):
        locale.setlocale(locale.LC_CTYPE, "")
    for name in ("C.UTF-8", "en_US.UTF-8", "UTF-8"):
        if locale.nl_langinfo(locale.CODESET).upper().replace("-", "") == "UTF8":
            return
        with contextlib.suppress(locale.Error):
            locale.setlocale(locale.LC_CTYPE, name)


def use_known_term() -> None:
    """Set TERM to one that terminfo knows and that can place the cursor.  Raises NoScreen."""
    for term in dict.fromkeys((os.environ.get("TERM", ""), *TERMS)):
        try:
            curses.setupterm(term, 1)
        except curses.error:
            continue
        if not curses.tigetstr("cup"):
            raise NoScreen(f"a {term} terminal has no way to place the cursor")
        os.environ["TERM"] = term
        return
    raise NoScreen("terminfo knows none of the usual terminals")


def name_styles() -> dict[str, int]:
    """The styles of names, if the terminal has colours."""
    styles: dict[str, int] = {}
    if not curses.has_colors():
        return styles
    with contextlib.suppress(curses.error):
        curses.start_color()
        ground, own = curses.COLOR_BLACK, curses.COLOR_WHITE
        with contextlib.suppress(curses.error):
            curses.use_default_colors()
            ground = own = -1
        for number, (colour, bold) in enumerate(_colours(curses.COLORS)):
            curses.init_pair(number + 1, own if colour < 0 else colour, ground)
            styles[f"name{number}"] = curses.color_pair(number + 1) | bold
    return styles


def _colours(number: int) -> list[tuple[int, int]]:
    """A colour and an attribute for each style of a name, where there are so many colours."""
    if number >= DIRECT and curses.has_extended_color_support():
        return [(colour, 0) for colour in PALETTE.values()]
    if 256 <= number < DIRECT:
        return [(colour, 0) for colour in PALETTE]
    return [(colour, bold) for bold in (0, curses.A_BOLD) for colour in BASIC]


def titles_work() -> bool:
    """Whether the terminal has a title that OSC 2 sets: the others would print it."""
    status = curses.tigetstr("tsl") or b""
    return curses.tigetflag("XT") > 0 or status.startswith(b"\x1b]") or (
        os.environ["TERM"].startswith(("screen", "tmux", "foot", "alacritty")))


class Terminal:
    """The terminal, taken and given back."""

    def __init__(self, colour: bool) -> None:
        self._colour = colour and not os.environ.get("NO_COLOR")
        self._saved = termios.tcgetattr(0)
        self._blocking = [os.get_blocking(fd) for fd in (0, 1)]
        self._stderr = Stderr()
        self._on = False
        self._window: Any = None
        self._styles: dict[str, int] = {}
        self.away = False                           # a web address is shown, and not the picture
        self._has_titles = False
        self._title = ""
        use_utf8()
        use_known_term()
        for name in ("LINES", "COLUMNS"):           # they would override the real size
            os.environ.pop(name, None)

    def enter(self) -> None:
        """Take the terminal; also again after leave()."""
        self._on = True
        self._stderr.catch()
        for fd in (0, 1):               # without waiting, curses loses what the terminal can't take
            os.set_blocking(fd, True)
        if self._window is None:
            self._window = curses.initscr()
            self._styles = {style: getattr(curses, kind) for style, kind in STYLES.items()}
            self._styles |= name_styles() if self._colour else {}
        curses.noecho()
        curses.cbreak()                             # Ctrl-Z stays a signal
        curses.nonl()
        mode = termios.tcgetattr(0)
        mode[0] &= ~termios.IXON                    # Ctrl-S must not stop everything
        mode[3] &= ~termios.IEXTEN                  # Ctrl-V, and Ctrl-Y on some systems
        mode[6][termios.VINTR] = bytes((os.fpathconf(0, "PC_VDISABLE") & 255,))   # Ctrl-C is a key
        termios.tcsetattr(0, termios.TCSADRAIN, mode)
        curses.def_prog_mode()
        self.away = False
        self.resize()
        self._window.clearok(True)
        self._has_titles, self._title = titles_work(), ""
        os.write(1, MODES_ON + (osc.KEEP_TITLE if self._has_titles else b""))

    def leave(self) -> None:
        """Give the terminal back: each step, even if others fail.  May be called twice."""
        if self._on:
            self._on = False
            modes = (osc.OLD_TITLE if self._has_titles else b"") + MODES_OFF
            for step in (lambda: os.write(1, modes), curses.endwin,
                         lambda: termios.tcsetattr(0, termios.TCSADRAIN, self._saved),
                         self._restore_blocking, self._stderr.release):
                with contextlib.suppress(OSError, curses.error, termios.error):
                    step()

    def _restore_blocking(self) -> None:
        """O_NONBLOCK as it was found: it belongs to the open file, which others go on using."""
        for fd, blocking in enumerate(self._blocking):
            os.set_blocking(fd, blocking)

    def resize(self) -> None:
        """Fit the picture to the terminal; one that says 0x0 does not know its size."""
        with contextlib.suppress(OSError, curses.error):
            if self.away:
                return
            cols, rows = os.get_terminal_size(1)
            if rows and cols:
                curses.resizeterm(rows, cols)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, cols = self._window.getmaxyx()
        return rows, cols

    def paint(self, picture: Frame, ruler: Ruler) -> None:
        """Show a picture."""
        window = self._window
        window.erase()
        for at, row in enumerate(picture.rows):
            column = 0
            for foreign, style in row:
                text = display(foreign)         # the last step: nothing gets past it
                # curses writes the lower right cell and then reports an error.
                with contextlib.suppress(curses.error):
                    window.addstr(at, column, text, self._styles.get(style, curses.A_BOLD))
                column += ruler.width(text)
        with contextlib.suppress(curses.error):
            window.move(*picture.cursor)
        window.noutrefresh()
        curses.doupdate()

    @property
    def is_there(self) -> bool:
        """Whether what was painted has gone to the terminal.  curses waits while that takes
        nothing, and says no word when the line is lost meanwhile."""
        with contextlib.suppress(termios.error):
            termios.tcgetattr(1)
            return True
        return False

    def repaint(self) -> None:
        """Next time paint everything: another program may have written on the screen."""
        self._window.clearok(True)

    def title(self, text: str) -> None:
        """Give the window this title."""
        if self._has_titles and text != self._title:
            self._title = text
            self.send(osc.title(text))

    def send(self, sequence: bytes) -> None:
        """Send a sequence that osc.py has made."""
        if self._on:
            with contextlib.suppress(OSError):
                os.write(1, sequence)

    def bell(self) -> None:
        if self._on:
            curses.beep()

    def bare(self, url: str) -> None:
        """Show a web address as a shell would, so that the terminal can select it whole."""
        self.leave()
        self.away = True
        with contextlib.suppress(OSError):
            printer.bare(url)
            printer.line("Enter goes back to parley", end="")

    def ruler(self) -> Ruler:
        """The widths of characters: as ncurses has them, or else as Unicode has them."""
        pad = curses.newpad(1, 16)

        @lru_cache(8192)
        def measure(char: str) -> int:
            try:
                pad.erase()
                pad.addstr(0, 0, char)
            except (curses.error, ValueError, UnicodeError):
                return unicode_cells(char)
            return int(pad.getyx()[1])
        return Ruler(measure)


# ---- the loop ----

class Loop:
    """The loop: keys, the link, signals, and the painter."""

    def __init__(self, link: Link, menu: Menu, terminal: Terminal, granting: Granting) -> None:
        self.link = link
        self.menu = menu
        self.terminal = terminal
        self.granting = granting
        self.code: int | None = None            # the exit code, once the loop is to end
        self._keys = Wheel()
        self._keys_at = math.inf                # when to decide what an unfinished key is
        self._paint_at = 0.0                    # when to paint; inf while the picture is up to date
        self._painted = -math.inf               # when it was painted last
        self._leave_at = math.inf               # when to end without the daemon's goodbye
        self._fault = ""                        # the last fault of the archive that was shown
        self._caught: set[signal.Signals] = set()
        self._wake, self._waker = socket.socketpair()
        for end in (self._wake, self._waker):
            end.setblocking(False)
        self._waiter = Waiter(link)
        self._reads = {0: self._read, self._wake.fileno(): self._woken}
        for fd in self._reads:
            self._waiter.listen(fd)

    def catch_signals(self) -> None:
        """To be called before initscr: ncurses takes the signals that have no handler, and its own
        handlers leave modes on."""
        for number in SIGNALS:
            signal.signal(number, lambda number, _: self._caught.add(signal.Signals(number)))
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def close(self) -> None:
        """Let go of what wakes the loop; harmless at any time."""
        signal.set_wakeup_fd(-1)
        for end in (self._wake, self._waker, self._waiter):
            end.close()

    def run(self) -> int:
        """Until the end; the exit code."""
        if self.menu.link.name:
            self.link.connect()
        else:
            self.link.look()
        while self.code is None:
            self.turn()
        self.link.exit()                        # after a signal there is time for this word alone
        return self.code

    def turn(self) -> None:
        """Wait, take in what came, paint."""
        for fd in self._waiter.wait(self._patience()):
            self._reads[fd]()
        self._obey_signals()
        if time.monotonic() >= self._keys_at:
            self._press(self._keys.expire())
        if self._paint_at > 0.0:            # else a key was pressed: its picture comes first
            self._hear()
            self._work()
        self.granting.grant(time.monotonic())
        self._end_if_over()
        if self.code is None and time.monotonic() >= self._paint_at:
            self._paint()

    def _patience(self) -> float | None:
        """Seconds until the loop itself has something to do; None: never."""
        if self.menu.talk.past.is_searching:
            return 0.0
        due = min(self._paint_at, self._keys_at, self._leave_at, self.granting.due())
        return None if due == math.inf else max(0.0, due - time.monotonic())

    # ---- what comes ----

    def _read(self) -> None:
        try:
            data = os.read(0, READ_SIZE)
        except OSError:                         # EIO: the terminal is gone
            data = b""
        if self.terminal.away:
            if b"\n" in data or not data:       # Enter, or C-d
                self._resume()
            return
        if not data:
            self.code = 128 + signal.SIGHUP
            return
        self._press(self._keys.feed(data))

    def _press(self, keys: Sequence[Any]) -> None:
        for key in keys:
            if key == "<C-l>":
                self.terminal.repaint()
            self.menu.press(key, now())
            if self.menu.desk.interrupted:
                self.code = 128 + signal.SIGINT
        wait = self._keys.timeout()
        self._keys_at = math.inf if wait is None else time.monotonic() + wait
        if keys:
            self._paint_at = 0.0

    def _hear(self) -> None:
        """Take in what the link told."""
        for event in self._waiter.events():
            self.menu.hear(event, now())
            if self._paint_at > self._painted + FRAME_SECONDS:
                self._paint_at = max(time.monotonic(), self._painted + FRAME_SECONDS)

    def _work(self) -> None:
        """Go on with a search in the archive, between two looks at the keys."""
        if self.menu.talk.past.is_searching:
            until = time.monotonic() + WORK_SECONDS
            while is_searching := self.menu.work():
                if time.monotonic() >= until:
                    break
            self._paint_at = self._paint_at if is_searching else 0.0

    def _end_if_over(self) -> None:
        if self.menu.talk.contact.over:
            if not self.menu.desk.leaving:
                raise Failure(os.EX_UNAVAILABLE, self.menu.talk.contact.over)
            self.code = 0
        elif self.menu.desk.leaving and self._leave_at == math.inf:
            self._leave_at = time.monotonic() + LEAVE_SECONDS
        elif time.monotonic() >= self._leave_at:
            self.code = 0

    # ---- what goes ----

    def _paint(self) -> None:
        """Show how things are, and confirm the messages that were painted."""
        if self.terminal.away:
            self._paint_at = math.inf
            return
        retry = self.link.retry_at
        seconds = 0 if retry is None else max(0, math.ceil(retry - time.monotonic()))
        silent = self.link.silence.seconds if self.link.online else 0
        self.menu.waits(seconds, silent)
        mails = self.menu.take_unshown()
        ruler = self.menu.pane.ruler
        self.terminal.paint(frame(self.menu, *self.terminal.size, ruler), ruler)
        self._painted = time.monotonic()
        self._paint_at = retry - seconds + 1 if retry and seconds > 1 else math.inf
        if silent:
            self._paint_at = self._painted + 1.0
        self.terminal.title(self.menu.title)
        if mails and self.terminal.is_there:
            self._confirm(mails)

    def _confirm(self, mails: list[wire.Mail]) -> None:
        try:
            self.link.shown(mails)
            self._fault = ""
        except ArchiveError as fault:
            if str(fault) != self._fault:       # once, not for every message
                self._fault = str(fault)
                self.menu.note(
                    f"{fault}; messages stay in the mailbox until that is mended", "alert")
                self._paint_at = 0.0

    # ---- signals ----

    def _woken(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake.recv(4096)

    def _obey_signals(self) -> None:
        """First the signals that end the program: a terminal that goes away sends SIGHUP and
        SIGCONT together."""
        caught, self._caught = self._caught, set()
        if self.terminal.away and signal.SIGINT in caught:      # C-c goes back, too
            caught = caught - {signal.SIGINT} | {signal.SIGCONT}
        ends = caught - ACTIONS.keys()
        if ends:
            self.code = 128 + min(ends)
        for number in sorted(caught) if self.code is None else ():
            try:
                ACTIONS[number](self)
            except (OSError, curses.error, termios.error):
                self.code = 128 + signal.SIGHUP     # the terminal is gone
            self._paint_at = 0.0

    def _stop(self) -> None:
        """Ctrl-Z: give the terminal back, stop, and take it again."""
        self.terminal.leave()
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, handler)
        self._resume()

    def _resume(self) -> None:
        """Another program may have used the terminal meanwhile."""
        self._caught.discard(signal.SIGCONT)
        self.terminal.leave()
        self.terminal.enter()
        self._paint_at = 0.0


ACTIONS = {                 # the signals that do not end the program
    signal.SIGWINCH: lambda loop: loop.terminal.resize(),
    signal.SIGTSTP: Loop._stop,
    signal.SIGCONT: Loop._resume,
}


# ---- the program ----

def paint(chosen: argparse.Namespace) -> int:
    """The client on a screen.  The exit code.  Raises Failure, NoScreen."""
    global curses
    import curses
    link = options.make_link(chosen, wire.Feature.ROSTER | wire.Feature.RECEIPTS
                             | wire.Feature.STATUS, keeps=True)
    terminal = Terminal(not chosen.no_color)
    offered, fault = options.login_name()
    menu = Menu(link, name=chosen.name, offered=offered, again=AGAIN,
                opening=chosen.opening)
    if fault and not chosen.name:
        menu.note(f"{fault}: choose another name", "alert", now())
    loop = Loop(link, menu, terminal, Granting(menu, terminal, chosen))
    loop.catch_signals()
    try:
        terminal.enter()
        menu.pane.measure(terminal.ruler())
        code = loop.run()
    finally:
        terminal.leave()
        drafts.leave(menu.desk)
        link.close()
        loop.close()
    if link.pending and code in (0, 128 + signal.SIGINT):
        unanswered = counted(len(link.pending), "message")
        kept = "; the next session offers to send again" if link.unsent.keeps else ""
        raise Failure(os.EX_TEMPFAIL, f"{unanswered} had no answer from the daemon{kept}")
    return code


def run(chosen: argparse.Namespace) -> int:
    """Do what the options ask.  The exit code.  Raises Failure, ArchiveError."""
    if chosen.run and (code := chosen.run(chosen)) is not None:
        return int(code)
    if chosen.text and not chosen.send:
        raise Failure(os.EX_USAGE, options.no_subcommand(chosen.text[0], SUBCOMMANDS))
    if chosen.send or chosen.check or chosen.who:
        if chosen.take:
            raise Failure(os.EX_USAGE, "--take moves a session; --send, --check and --who are none")
        return once.run(chosen)
    interactive = os.isatty(0)
    if not chosen.plain and interactive and os.isatty(1):
        try:
            return paint(chosen)
        except NoScreen as fault:
            complain(f"{fault}: plain lines instead")
    elif not chosen.plain:
        complain("no terminal: plain lines (over ssh, -t gives the screen)")
    return plain.converse(chosen, interactive)


def prepare() -> None:
    """Undo what a parent may have left: files are made for this user alone, and the signals that
    end a program end this one.

    A SIGINT that is ignored stays ignored for a script in the background; at a terminal C-c leaves,
    as the manual says."""
    os.umask(0o077)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    if os.isatty(0) and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code; whatever goes wrong is one line."""
    open_standard(PROGRAM, needs_output=True)
    prepare()
    try:
        return run(options.parse(argv, SUBCOMMANDS))
    except Failure as fault:
        if fault.code == PIPE_CLOSED:
            return fault.code
        die(PROGRAM, fault.code, str(fault))
    except ArchiveError as fault:
        die(PROGRAM, os.EX_IOERR, f"{fault}; --no-archive keeps no copies")
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except OSError as fault:
        die_of_lack(PROGRAM, fault)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""curses_client: keys and painted text.

The terminal is read by os.read and keys.py, and painted by curses: one window, one picture of it by screen.frame, one
doupdate in a turn of the loop.  The loop waits for keys, the link and signals; what a key did is painted at once, what
others sent at most 30 times a second.  A message is confirmed after it was painted.

Whatever way the program ends (exit, Ctrl-C, a signal, the terminal gone, a fault of ours) the terminal is as it was
before: leave() does each of its steps on its own and may be called twice.  Ctrl-Z gives the terminal back in the same
way.  While curses is on, stderr goes into a pipe; what it holds is shown after.

The place it runs in may be poor: a home that cannot be used, signals that are ignored or blocked, descriptors that do
not wait, few of them, a full disk.  prepare() puts right what can be; for the rest there is one line.

Without a terminal, with --plain, or where no entry of terminfo fits, plain.py takes over.  Errors are one line that
says what to do, with an exit code of sysexits(3); a signal gives 128 and its number.
"""
from __future__ import annotations

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # the rooms are found, however Python was started

import argparse
import contextlib
import curses
import getpass
import locale
import math
import random
import selectors
import signal
import socket
import termios
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import wire
from client.archive import Archive
from client.keyring import Keyring
from client.link import BAD_NAME, ArchiveError, Link
from net import address, places
from net.tls import Secured
from terminal import printer
from terminal.display import Ruler, display, unicode_cells
from terminal.keys import Reads
from terminal.usage import RELEASE, Parser, die, die_of_lack, open_standard
from ui import plain
from ui.menu import Menu
from ui.names import counted
from ui.pane import NAME_COLOURS
from ui.plain import PROGRAM, Failure, now
from ui.screen import Frame, frame

READ_SIZE = 4096            # bytes of keys in one read
STDERR_MAX = 65536          # bytes shown of what was written to stderr while curses was on
FRAME_SECONDS = 1 / 30      # between two pictures that no key asked for
BELL_SECONDS = 1.0          # between two bells
LEAVE_SECONDS = 3.0         # for the daemon to take leave
TERMS = ("xterm-256color", "screen", "xterm", "vt100")      # tried in turn where TERM is not known
# Bracketed paste and focus; and the wheel must not send arrow keys (1007), which it does by default in most terminals
# that know the mode: they get it back.
MODES_ON = b"\x1b[?2004h\x1b[?1004h\x1b[?1007l"
MODES_OFF = b"\x1b[?1007h\x1b[?1004l\x1b[?2004l"
SIGNALS = (signal.SIGWINCH, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGTSTP, signal.SIGCONT)
PALETTE = (167, 71, 136, 68, 133, 37)       # of 256 colours: to be read on black and on white
BASIC = (curses.COLOR_RED, curses.COLOR_GREEN, curses.COLOR_YELLOW, curses.COLOR_BLUE, curses.COLOR_MAGENTA,
         curses.COLOR_CYAN)
assert len(PALETTE) == len(BASIC) == NAME_COLOURS

STYLES = {                  # attributes say what they can; colour is only for names
    "time": curses.A_DIM, "notice": 0, "alert": curses.A_BOLD, "mark": curses.A_BOLD, "rule": curses.A_DIM,
    "new": curses.A_BOLD, "bar": curses.A_REVERSE, "menu": 0, "chosen": curses.A_REVERSE, "hint": curses.A_DIM,
    "question": curses.A_BOLD, "prompt": curses.A_BOLD, "gutter": curses.A_DIM,
}


# ---- the terminal ----

class NoScreen(Exception):
    """This terminal can't be painted."""


def use_utf8() -> None:
    """ncurses paints what is not ASCII as blanks unless the locale can hold it; LC_ALL=C can't."""
    with contextlib.suppress(locale.Error):
        locale.setlocale(locale.LC_CTYPE, "")
    for name in ("C.UTF-8", "en_US.UTF-8", "UTF-8"):
        if locale.nl_langinfo(locale.CODESET).upper().replace("-", "") == "UTF8":
            return
        with contextlib.suppress(locale.Error):
            locale.setlocale(locale.LC_CTYPE, name)


def known_term() -> None:
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


class Terminal:
    """The terminal, taken and given back."""

    def __init__(self, colour: bool) -> None:
        self._colour = colour and not os.environ.get("NO_COLOR")
        self._saved = termios.tcgetattr(0)
        self._on = False
        self._window: Any = None
        self._styles: dict[str, int] = {}
        self._stderr = -1                           # where fd 2 is read while curses is on
        self._real_stderr = -1
        self._waits = [os.get_blocking(fd) for fd in (0, 1)]
        self._bell_at = 0.0
        use_utf8()
        known_term()
        for name in ("LINES", "COLUMNS"):           # they would override the real size
            os.environ.pop(name, None)

    def enter(self) -> None:
        """Take the terminal; again after leave()."""
        self._on = True
        self._catch_stderr()
        for fd in (0, 1):                           # curses loses what a terminal that does not wait has no room for
            os.set_blocking(fd, True)
        if self._window is None:
            self._window = curses.initscr()
            self._styles = self._colours() if self._colour else {}
        curses.noecho()
        curses.cbreak()                             # signals stay: Ctrl-C and Ctrl-Z are the terminal's
        curses.nonl()
        mode = termios.tcgetattr(0)
        mode[0] &= ~termios.IXON                    # Ctrl-S must not stop everything
        mode[3] &= ~termios.IEXTEN                  # Ctrl-V, and Ctrl-Y on some systems
        termios.tcsetattr(0, termios.TCSADRAIN, mode)
        curses.def_prog_mode()
        self.resize()
        self._window.clearok(True)
        os.write(1, MODES_ON)

    def leave(self) -> None:
        """Give it back, each step whatever became of the others; harmless when it was given back."""
        if self._on:
            self._on = False
            for step in (lambda: os.write(1, MODES_OFF), curses.endwin,
                         lambda: termios.tcsetattr(0, termios.TCSADRAIN, self._saved), self._let_go,
                         self._show_stderr):
                with contextlib.suppress(OSError, curses.error, termios.error):
                    step()

    def resize(self) -> None:
        """Fit the picture to the terminal; one that says 0x0 does not know."""
        with contextlib.suppress(OSError, curses.error):
            cols, rows = os.get_terminal_size(1)
            if rows and cols:
                curses.resizeterm(rows, cols)

    @property
    def size(self) -> tuple[int, int]:
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
                # The lower right cell is written and then reported as an error.
                with contextlib.suppress(curses.error):
                    window.addstr(at, column, text, self._styles.get(style, STYLES.get(style, curses.A_BOLD if style
                                                                                       else 0)))
                column += ruler.width(text)
        with contextlib.suppress(curses.error):
            window.move(*picture.cursor)
        window.noutrefresh()
        curses.doupdate()

    def repaint(self) -> None:
        """Believe nothing about what is on the screen."""
        self._window.clearok(True)

    def bell(self, monotonic: float) -> None:
        if monotonic - self._bell_at >= BELL_SECONDS:
            self._bell_at = monotonic
            curses.beep()

    def ruler(self) -> Ruler:
        """Widths as ncurses has them; as Unicode has them where it has none."""
        pad = curses.newpad(1, 16)

        @lru_cache(4096)
        def measure(char: str) -> int:
            try:
                pad.erase()
                pad.addstr(0, 0, char)
            except (curses.error, ValueError, UnicodeError):
                return unicode_cells(char)
            return int(pad.getyx()[1])
        return Ruler(measure)

    def _colours(self) -> dict[str, int]:
        """The styles of names, where there are colours."""
        styles: dict[str, int] = {}
        if not curses.has_colors():
            return styles
        with contextlib.suppress(curses.error):
            curses.start_color()
            ground = curses.COLOR_BLACK
            with contextlib.suppress(curses.error):
                curses.use_default_colors()
                ground = -1
            for number, colour in enumerate(PALETTE if curses.COLORS >= 256 else BASIC):
                curses.init_pair(number + 1, colour, ground)
                styles[f"name{number}"] = curses.color_pair(number + 1)
        return styles

    def _let_go(self) -> None:
        """O_NONBLOCK as it was found: it belongs to the open file, so to whoever has the terminal after us too."""
        for fd, waits in enumerate(self._waits):
            os.set_blocking(fd, waits)

    def _catch_stderr(self) -> None:
        """A pipe needs no disk.  What it has no room for is lost."""
        self._real_stderr = os.dup(2)
        self._stderr, end = os.pipe()
        for fd in (self._stderr, end):
            os.set_blocking(fd, False)
        os.dup2(end, 2)
        os.close(end)

    def _show_stderr(self) -> None:
        """Only this program holds the pipe: what is in it has come, and then it ends."""
        os.dup2(self._real_stderr, 2)
        os.close(self._real_stderr)
        caught = os.read(self._stderr, STDERR_MAX).decode(errors="replace").rstrip("\n")
        os.close(self._stderr)
        if caught:
            printer.line(caught, 2)


# ---- the loop ----

class Client:
    """The loop: keys, the link, signals, and the painter."""

    def __init__(self, link: Link, menu: Menu, terminal: Terminal) -> None:
        self.link = link
        self.menu = menu
        self.terminal = terminal
        self.code: int | None = None            # how to end
        self._keys = Reads()
        self._keys_at = math.inf                # when an unfinished key is decided
        self._ruler = menu.pane.ruler
        self._selector = selectors.DefaultSelector()
        self._watched: tuple[socket.socket | Secured, int] | None = None
        self._paint_at = 0.0                    # when to paint; infinite while the picture is true
        self._painted = -math.inf
        self._leave_at = math.inf               # the daemon had time enough to take leave
        self._fault = ""                        # the last of the archive that was told
        self._caught: set[signal.Signals] = set()
        self._wake, self._waker = socket.socketpair()
        for end in (self._wake, self._waker):
            end.setblocking(False)
        self._selector.register(0, selectors.EVENT_READ, self._read)
        self._selector.register(self._wake, selectors.EVENT_READ, self._woken)

    def catch_signals(self) -> None:
        """Before initscr: ncurses takes only those that nobody has, and its own handlers leave modes on."""
        for number in SIGNALS:
            signal.signal(number, lambda number, _: self._caught.add(signal.Signals(number)))
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def close(self) -> None:
        """Let go of what wakes the loop; harmless at any time."""
        signal.set_wakeup_fd(-1)
        for end in (self._wake, self._waker, self._selector):
            end.close()

    def measure(self, ruler: Ruler) -> None:
        """From here on, widths are the terminal's."""
        self._ruler = self.menu.pane.ruler = ruler

    def run(self) -> int:
        """Until the end; the exit code."""
        if self.menu.link.name:
            self.link.connect()
        while self.code is None:
            self.turn()
        self.link.exit()                        # after a signal there is no time for more than the word
        return self.code

    def turn(self) -> None:
        """Wait, take in what came, paint."""
        self._watch()
        events: list[Any] = []
        for key, mask in self._selector.select(self._timeout()):
            if key.fileobj is self.link.sock:
                events += self.link.ready(mask)
            elif key.data is not None:
                key.data()
        self._obey_signals()
        if time.monotonic() >= self._keys_at:
            self._press(self._keys.expire())
        self._hear(events + self.link.tick())
        self._end_if_over()
        if self.code is None and time.monotonic() >= self._paint_at:
            self._paint()

    def _timeout(self) -> float | None:
        due = min(self._paint_at, self._keys_at, self._leave_at) - time.monotonic()
        link = self.link.timeout()
        wait = min(due, math.inf if link is None else link)
        return None if wait == math.inf else max(0.0, wait)

    def _watch(self) -> None:
        """The link's socket and what to wait for may be others after any call."""
        sock = self.link.sock
        wanted = (sock, self.link.mask) if sock and self.link.mask else None
        if wanted != self._watched:
            if self._watched:
                with contextlib.suppress(KeyError, ValueError, OSError):
                    self._selector.unregister(self._watched[0])
            if wanted:
                self._selector.register(*wanted)
            self._watched = wanted

    # ---- what comes ----

    def _read(self) -> None:
        try:
            data = os.read(0, READ_SIZE)
        except OSError:                         # EIO: the terminal is gone
            data = b""
        if not data:
            self.code = 128 + signal.SIGHUP
            return
        self._press(self._keys.feed(data))

    def _press(self, keys: Sequence[Any]) -> None:
        for key in keys:
            if key == "<C-l>":
                self.terminal.repaint()
            self.menu.press(key, now())
        wait = self._keys.timeout()
        self._keys_at = math.inf if wait is None else time.monotonic() + wait
        if keys:
            self._paint_at = 0.0

    def _hear(self, events: Sequence[Any]) -> None:
        for event in events:
            self.menu.hear(event, now())
        if events and self._paint_at == math.inf:
            self._paint_at = max(time.monotonic(), self._painted + FRAME_SECONDS)

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
        """Show how things are; what was painted is confirmed."""
        retry = self.link.retry_at
        self.menu.retries_in(0 if retry is None else max(0, math.ceil(retry - time.monotonic())))
        mails = self.menu.take_unshown()
        self.terminal.paint(frame(self.menu, *self.terminal.size, self._ruler), self._ruler)
        self._painted, self._paint_at = time.monotonic(), math.inf
        if self.menu.take_ring():
            self.terminal.bell(self._painted)
        if mails:
            self._confirm(mails)

    def _confirm(self, mails: list[wire.Mail]) -> None:
        try:
            self.link.shown(mails)
            self._fault = ""
        except ArchiveError as fault:
            if str(fault) != self._fault:       # once, not for every message
                self._fault = str(fault)
                self.menu.talk.feed.note(f"{fault}; messages stay in the mailbox until that is mended", "alert")
                self._paint_at = 0.0

    # ---- signals ----

    def _woken(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake.recv(4096)

    def _obey_signals(self) -> None:
        """A terminal that goes sends HUP and CONT together: what ends us comes first."""
        caught, self._caught = self._caught, set()
        ends = caught - CALLS.keys()
        if ends:
            self.code = 128 + min(ends)
        for number in sorted(caught) if self.code is None else ():
            try:
                CALLS[number](self)
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
        """Somebody may have used the terminal meanwhile."""
        self._caught.discard(signal.SIGCONT)
        self.terminal.leave()
        self.terminal.enter()
        self._paint_at = 0.0


CALLS = {                   # the signals that do not end us
    signal.SIGWINCH: lambda client: client.terminal.resize(),
    signal.SIGTSTP: Client._stop,
    signal.SIGCONT: Client._resume,
}


# ---- the program ----

def parser() -> argparse.ArgumentParser:
    """The options."""
    made = Parser(prog=PROGRAM, description="Chat and mail with the users of one host.",
                  epilog="Exit codes: 0 done, 64 wrong use, 65 text or name refused, 67 recipient not in the log, "
                         "69 no daemon, 71 too few descriptors, 74 input or output broke, 75 try later, "
                         "77 a passphrase is needed.")
    add = made.add_argument
    add("--connect", metavar="ADDRESS", default=os.environ.get("PARLEY_SERVER") or None,
        help="unix:PATH, HOST:PORT or tls:HOST:PORT ($PARLEY_SERVER); without it, the socket of your own daemon, then "
             "that of the host's")
    add("--name", metavar="NAME", default=os.environ.get("PARLEY_NAME", ""),
        help="your username ($PARLEY_NAME); without it you are asked")
    add("--plain", action="store_true", help="line in, line out: for screen readers, pipes and dumb terminals")
    add("--no-archive", action="store_true", help="keep no copy of the messages that were shown")
    add("--no-color", action="store_true", help="no colours ($NO_COLOR)")
    once = made.add_mutually_exclusive_group()
    once.add_argument("--send", nargs="+", metavar=("NAMES", "TEXT"),
                      help="send to these (bob,erin or all) and leave; the text is read from stdin if none is given; "
                           "put -- before one that may begin with a dash")
    once.add_argument("--check", action="store_true", help="print the messages that wait, and leave")
    once.add_argument("--who", action="store_true", help="print who is connected, and leave")
    add("-V", "--version", action="version", version=f"{PROGRAM} {RELEASE}")
    add("text", nargs="*", metavar="-- TEXT", help="of --send")
    return made


def where_to(given: str | None) -> list[address.Address]:
    """Where to look for the daemon.  Raises Failure."""
    if given:
        try:
            return [address.parse(given)]
        except ValueError as fault:
            raise Failure(os.EX_USAGE, str(fault)) from None
    return places.for_client()


def login_name() -> str:
    """The name offered to who gives none."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        return ""
    return name if wire.is_name(name) and name != "root" else ""


def state_directory() -> Path | OSError:
    """Where archive and keys are, or why nowhere.  One can come in all the same, and mail stays in the mailbox."""
    try:
        return address.state_directory()
    except OSError as fault:
        return fault


def make_link(options: argparse.Namespace, features: int) -> Link:
    """The client's end of the wire.  Raises Failure."""
    if options.name and not wire.is_name(options.name):
        raise Failure(os.EX_USAGE, f"--name {options.name!r}: {BAD_NAME}")
    state = state_directory()
    archive = None if options.no_archive else Archive(state)
    return Link(where_to(options.connect), options.name, archive, features=features | wire.Feature.PROVE,
                monotonic=time.monotonic, instance=int.from_bytes(os.urandom(4), "big"), jitter=random.random,
                ring=Keyring(state), token=os.urandom(16))


def once(options: argparse.Namespace) -> int:
    """The one-shot commands.  Raises Failure, ArchiveError."""
    if not options.name:
        raise Failure(os.EX_USAGE, "--send, --check and --who need --name NAME or $PARLEY_NAME")
    text = plain.message([*options.send[1:], *options.text]) if options.send else ""
    link = make_link(options, wire.Feature.ROSTER | wire.Feature.HOLD)
    try:
        if options.send:
            return plain.send(link, options.send[0], text)
        return plain.check(link) if options.check else plain.who(link)
    finally:
        link.close()


def converse(options: argparse.Namespace, interactive: bool) -> int:
    """--plain.  Raises Failure."""
    link = make_link(options, wire.Feature.ROSTER | wire.Feature.RECEIPTS)
    menu = Menu(link, name=options.name, strict=True)
    try:
        return plain.Plain(link, menu, interactive=interactive).run()
    finally:
        link.close()


def paint(options: argparse.Namespace) -> int:
    """The client on a screen.  Raises Failure, NoScreen."""
    link = make_link(options, wire.Feature.ROSTER | wire.Feature.RECEIPTS)
    terminal = Terminal(not options.no_color)
    menu = Menu(link, name=options.name, offered=login_name())
    client = Client(link, menu, terminal)
    client.catch_signals()
    try:
        terminal.enter()
        client.measure(terminal.ruler())
        code = client.run()
    finally:
        terminal.leave()
        link.close()
        client.close()
    if link.pending and code in (0, 128 + signal.SIGINT):
        raise Failure(os.EX_TEMPFAIL, f"{counted(len(link.pending), 'message')} had no answer from the daemon")
    return code


def choose(options: argparse.Namespace) -> int:
    """Do what the options ask."""
    if options.text and not options.send:
        raise Failure(os.EX_USAGE, f"{options.text[0]!r} is no option: --send NAMES TEXT sends; --help lists them")
    if options.send or options.check or options.who:
        return once(options)
    interactive = os.isatty(0)
    if not options.plain and interactive and os.isatty(1):
        try:
            return paint(options)
        except NoScreen as fault:
            printer.complain(PROGRAM, f"{fault}: plain lines instead")
    elif not options.plain:
        printer.complain(PROGRAM, "no terminal: plain lines (over ssh, -t gives the screen)")
    return converse(options, interactive)


def prepare() -> None:
    """Undo what a parent may have left: files are made for this user alone, and what ends a program ends this one.

    An ignored SIGINT stays ignored for a script in the background; at a terminal C-c leaves, as the manual says."""
    os.umask(0o077)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    if os.isatty(0) and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code; whatever goes wrong is one line."""
    open_standard(PROGRAM, needs_output=True)
    prepare()
    options = parser().parse_args(argv)
    try:
        return choose(options)
    except Failure as fault:
        die(PROGRAM, fault.code, str(fault))
    except ArchiveError as fault:
        die(PROGRAM, os.EX_IOERR, f"{fault}; --no-archive keeps no copies")
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except OSError as fault:
        die_of_lack(PROGRAM, fault)


if __name__ == "__main__":
    sys.exit(main())

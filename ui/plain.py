"""plain: the client without a screen: line in, line out.

For screen readers, dumb terminals and pipes.  The menu is the same as on the screen, and reads
whole lines: each line is what the user would type before Enter.  An empty line is Esc; in a chat it
is nothing, at the menu it prints the items, and tries to connect if nobody is there.  Everything
that the pane would show is printed once, as it comes, and a message is confirmed after it was
printed.  Nothing is said again that the user has heard: the items when the mode changes, a list of
names when it is opened, and after a wrong name what is like it.

Without a terminal at stdin the input is a script:

    - There are no prompts.
    - In a conversation every line is a message, also a digit; an empty line is nothing.
    - A line waits until the requests and the invitations before it are answered.  Messages do not
      wait for each other: they go out in their order, and the answers come while later lines are
      done.
    - The end of the input ends the program, once everything that was sent is stored.
    - A refused name ends the program, wherever the name came from: the line below it must not be
      taken for another name.
    - Whatever cannot be done goes to stderr, the next line is done, and the exit code tells in the
      end (failures.py).  That holds for a line that is no command or no text, for a refusal, for a
      step that the end of the input left unfinished, and for lines that no daemon was there for.

At a terminal, lines that come within GAP seconds of each other are a paste, which several.py asks
about.  In a pipe each line is a line.  What was typed ahead of a question at the login is dropped:
it was not meant for a name, nor for a passphrase.
"""
from __future__ import annotations

import argparse
import contextlib
import math
import os
import select
import termios
import time
from collections.abc import Iterator
from typing import Any

import wire
from client.archive import ArchiveError
from client.events import Locked, NameRefused, Offline, OtherStore
from client.link import Link
from client.waiter import ANSWER_SECONDS, LEAVE_SECONDS, Waiter
from terminal.display import UNICODE, display
from terminal.keys import GAP, PASTE_MAX
from ui import drafts
from ui.completed import completed
from ui.desk import Mode
from ui.entries import REFUSED, Note, Settled, Spoken, clock
from ui.failures import Failure, fault_of, login_failure
from ui.granting import Granting
from ui.interrupts import Interrupts
from ui.menu import Menu
from ui.names import counted
from ui.options import login_name, make_link
from ui.output import Output, complain
from ui.picker import Picker
from ui.several import Several
from ui.telling import Telling

READ_SIZE = 65536           # bytes of input in one read
TOLD = 30                   # cells of a message that say which one has a new mark
CHOICES_SHOWN = 20          # rows of a list of names: listeners hear them all before the prompt

# These modes want more input.
UNFINISHED = frozenset({Mode.HOW, Mode.PICK, Mode.WRITE, Mode.CLAIM, Mode.AGAIN})
WORDS = {"=": "stored", "+": "delivered"}       # what a mark means, in words


def now() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000


def converse(options: argparse.Namespace, interactive: bool) -> int:
    """--plain.  The exit code.  Raises Failure."""
    link = make_link(options, wire.Feature.ROSTER | wire.Feature.RECEIPTS | wire.Feature.STATUS,
                     keeps=interactive)
    offered, fault = login_name() if interactive else ("", "")
    menu = Menu(link, name=options.name, offered=offered, strict=True, stays=interactive,
                opening=options.opening)
    if fault and not options.name:
        menu.note(f"{fault}: choose another name", "alert", now())
    try:
        return Plain(link, menu, options, interactive=interactive).run()
    finally:
        drafts.leave(menu.desk)
        link.close()


class Input:
    """The lines of a descriptor, and the echo of its terminal."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.lines: list[bytes] = []        # read and not yet done; a paste is one of them
        self.ended = False
        self.fault = ""                     # why it can't be read
        self.at_terminal = os.isatty(fd)
        self.echoes = True                  # the terminal shows what is typed
        self._rest = b""                    # the beginning of the next line

    def read(self) -> bool:
        """Read what there is; whether a line was completed."""
        data = self._read()
        while (self.at_terminal and data and data.endswith(b"\n") and len(data) < PASTE_MAX
               and self._follows()):
            more = self._read()
            if not more:
                break                   # end-of-file: select says it again
            data += more
        if data is None:
            return False
        if not data:
            self.ended = True
            data = b"\n" if self._rest else b""
        *lines, self._rest = (self._rest + data).split(b"\n")
        self.lines += [b"\n".join(lines)] if self.at_terminal and lines else lines
        return bool(lines)

    def _read(self) -> bytes | None:
        """What was read; b"" at the end of the input, None if there is nothing yet."""
        if self.at_terminal and not self._follows(0):       # drop() may have been quicker
            return None
        try:
            return os.read(self.fd, READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as fault:
            self.fault = fault.strerror or str(fault)
            return b""

    def _follows(self, seconds: float = GAP) -> bool:
        """Whether more input comes so soon after a line that nobody has typed it."""
        return bool(select.select([self.fd], [], [], seconds)[0])

    def drop(self) -> bool:
        """Forget what was typed so far; whether that is known to be something."""
        had, self.lines, self._rest = bool(self.lines or self._rest), [], b""
        if self.at_terminal:
            with contextlib.suppress(termios.error):
                termios.tcflush(self.fd, termios.TCIFLUSH)
        return had

    def echo(self, on: bool) -> None:
        """Let the terminal show what is typed, or not."""
        if on == self.echoes or not self.at_terminal:
            return
        self.echoes = on
        with contextlib.suppress(termios.error):
            modes = termios.tcgetattr(self.fd)
            modes[3] = modes[3] | termios.ECHO if on else modes[3] & ~termios.ECHO
            termios.tcsetattr(self.fd, termios.TCSANOW, modes)


# ---- the conversation ----

class Plain:
    """The menu, by lines."""

    def __init__(self, link: Link, menu: Menu, options: argparse.Namespace, *, fd: int = 0,
                 interactive: bool = True) -> None:
        self.link = link
        self.menu, self.desk = menu, menu.desk
        self.interactive = interactive
        self._waiter = Waiter(link)
        self._input = Input(fd)
        self._output = Output()
        self._granting = Granting(menu, self, options)
        self._several = Several(menu, self._output.line)
        self._until: float | None = None    # after the end of the input: when to stop waiting
        self._printed = 0                   # the serial number of the next entry to print
        self._has_printed = False           # entries, since the last prompt
        self._mode: object = None           # the mode last shown
        self._question: tuple[str, ...] = ()        # the question last shown
        self._owes_prompt = False           # a line was done; it may wait for an answer
        self._telling = Telling(menu)
        self._interrupts = Interrupts() if interactive and self._input.at_terminal else None
        self._meant = ""                    # the line that an empty one stands for
        self._is_again = False              # a list is shown once more, for a wrong name
        self._code = os.EX_OK               # how the program will end

    def run(self) -> int:
        """Until the end; the exit code.  Raises Failure."""
        try:
            return self._run()
        finally:
            if not self._input.echoes:
                self._output.end_row()
            self._input.echo(True)
            if self._interrupts:
                self._interrupts.close()

    def _run(self) -> int:
        self._waiter.listen(self._input.fd)
        if self._interrupts:
            self._waiter.listen(self._interrupts.fd)
        if not self.desk.is_at_login:
            self.link.connect()
        elif self.interactive:
            self.link.look()
        self._show()
        while not self._is_over():
            readable = self._waiter.wait(self._patience())
            for event in self._waiter.events():
                self._hear(event)
                self._show_entries()
            self.menu.work()
            if self._interrupts and self._interrupts.take():
                self._interrupt()
            if self._input.fd in readable and not self._input.ended:
                self._read()
            self._show()
            while self._input.lines and self._is_free() and not self.desk.leaving:
                self._obey(self._input.lines.pop(0))
                self._until = None          # the next line has its own time
                self._show()
        return self._code if not self.link.pending else os.EX_TEMPFAIL

    # ---- the end ----

    def _is_over(self) -> bool:
        """Whether everything is done.  Raises Failure."""
        if self.menu.talk.contact.over:
            if not self.desk.leaving:
                raise Failure(os.EX_UNAVAILABLE, self.menu.talk.contact.over)
            return True
        if self._input.ended and not self.desk.leaving:
            if self.menu.talk.invitations.awaited:
                self._until = None          # other users are asked; the daemon limits their time
                return False
            self._until = self._until or time.monotonic() + ANSWER_SECONDS
            if self._is_settled() and not self._input.lines:
                self._check_finished()
                self.menu.leave()
            elif time.monotonic() >= self._until:
                undone = counted(len(self._input.lines), "line")
                also = f"; nothing was done for the last {undone}" if self._input.lines else ""
                raise Failure(os.EX_TEMPFAIL, f"the daemon did not answer in time{also}")
        return False

    def _check_finished(self) -> None:
        """Complain if the input of a script has ended in the middle of something."""
        if self.desk.is_at_login and not self.interactive:
            raise Failure(os.EX_USAGE, "the input ended before a username: --name NAME gives one")
        if self.desk.mode in UNFINISHED or self._several.is_begun:
            self._complain(f"the input ended at \"{self._several.prompt or self.menu.prompt}\": "
                           "what was begun there is not done", os.EX_DATAERR)

    def _is_settled(self) -> bool:
        """Whether no answer is awaited."""
        if self.desk.is_at_login:
            return not self.menu.is_joining
        return (self.link.online and self.link.roster.is_whole
                and not (self.desk.opening or self.menu.talk.is_busy or self.link.pending))

    def _patience(self) -> float | None:
        """For how many seconds to wait; None: for ever."""
        if self.desk.leaving:
            return LEAVE_SECONDS
        if self.menu.talk.past.is_searching:
            return 0.0
        due = min(math.inf if self._until is None else self._until, self._granting.due())
        return None if due == math.inf else max(0.0, due - time.monotonic())

    # ---- what comes ----

    def _hear(self, event: Any) -> None:
        """An event of the link."""
        if not self.interactive and not self.desk.leaving:
            self._check(event)
        self.menu.hear(event, now())
        if self.interactive and not self.desk.leaving:
            self._tell(event)

    def _tell(self, event: Any) -> None:
        """What the screen says beside the pane.  And a question at the login is not answered by
        what was typed before it."""
        self._telling.hear(event)
        if isinstance(event, NameRefused | Locked | OtherStore) and self._input.drop():
            self._complain("what you typed ahead of this is dropped")

    def _check(self, event: Any) -> None:
        """In a script: complain if this event is a failure, or raise Failure if it ends all."""
        if isinstance(event, Offline) and not self.menu.pane.entries:
            raise Failure(os.EX_UNAVAILABLE, display(event.reason))
        if isinstance(event, OtherStore):
            raise Failure(os.EX_UNAVAILABLE, f"{display(event.reason)}: nothing was sent to it")
        if failure := login_failure(self.link.name, event):
            raise failure
        if fault := fault_of(event):
            self._complain(*fault)

    def _read(self) -> None:
        """Take in what was typed."""
        if self._input.read():
            self._output.entered(self._input.echoes)
        if self._input.ended:
            self._waiter.ignore(self._input.fd)
        if self._input.fault and not self.interactive:
            self._complain(f"stdin can't be read: {self._input.fault}", os.EX_IOERR)

    def _is_free(self) -> bool:
        """Whether the next line may be done: a line of a script waits for earlier answers."""
        if self.desk.is_at_login:
            return not self.menu.is_joining
        if self.interactive:
            return True
        return (self.link.online and self.link.roster.is_whole
                and not (self.desk.opening or self.menu.talk.is_busy))

    def _obey(self, raw: bytes) -> None:
        """Do what a line asks."""
        try:
            line = raw.decode().rstrip("\r")
        except UnicodeDecodeError:
            self._complain("a line that is not UTF-8 is dropped", os.EX_DATAERR)
            return
        fault, self._owes_prompt = "", self.interactive
        self._telling.typed()
        line, self._meant = line if line.strip() else self._meant, ""
        if self._several.wants(line):
            fault = self._several.take(line, now())
        elif line.strip():
            self.menu.enter(line, now())
        else:
            self._enter_nothing()
        if fault := fault or self.menu.take_error():
            self._show_entries()
            self._is_again = self.interactive and self.desk.picker is not None
            if self.desk.is_at_login and not self.interactive:
                raise Failure(os.EX_DATAERR, fault)
            self._complain(fault, os.EX_DATAERR)
            self._offer(line)

    def _offer(self, line: str) -> None:
        """The names that were refused may be the beginnings of others: then an empty line takes
        those."""
        self._meant = completed(self.desk, line) if self.interactive else ""
        if self._meant:
            self._complain(f"an empty line is {self._meant}")

    def _interrupt(self) -> None:
        """Ctrl-C: drop what was begun, else ask, and then leave.  Raises KeyboardInterrupt."""
        self._input.drop()
        self._output.end_row()
        self._meant, self._owes_prompt = "", True
        if self._several.drop():
            self._complain("the text was dropped")
            return
        self.desk.clear()                   # a line that was refused, which nobody sees
        self.menu.press("<C-c>", now())
        if self.desk.leaving:
            raise KeyboardInterrupt

    @property
    def _offered(self) -> str:
        """The name that an empty line takes: the login's, or the one that was refused."""
        return self.desk.text if self.interactive and self.desk.mode is Mode.LOGIN else ""

    def _enter_nothing(self) -> None:
        """An empty line: Esc where that goes somewhere."""
        mode = self.desk.mode
        if self.desk.is_at_login:
            self.menu.enter(self._offered, now())
        elif mode is Mode.MENU and not self.link.online:
            self.link.connect()
        elif mode is not Mode.CHAT and (self.interactive or mode is not Mode.TALK):
            self.menu.press("<Esc>", now())
            if self.interactive and self.desk.mode is mode:
                self._mode = None               # the items once more

    # ---- what is shown ----

    def send(self, sequence: bytes) -> None:
        """Lines are all that is printed here: no clipboard, no notification."""

    def bell(self) -> None:
        """None: a screen reader tells of each line as it comes."""

    def bare(self, url: str) -> None:
        self._output.bare(url)
        self._has_printed = True

    def _complain(self, what: str, code: int = os.EX_OK) -> None:
        """To a user, among the other lines; of a script on stderr, and the first complaint's code
        is the exit code."""
        if self.interactive:
            self._output.line(f"? {display(what)}")
        else:
            complain(what)
            self._code = self._code or code

    def _show(self) -> None:
        """Print what is new, and confirm the messages among it."""
        self._input.echo(not self.desk.is_secret)
        self._show_entries()
        self._granting.grant(time.monotonic())
        printed, self._has_printed = self._has_printed, False
        if error := self.menu.take_error():
            self._complain(error)
            printed = True
        self._confirm()
        is_in = self.link.online and self.link.roster.is_whole      # "connected" was printed
        is_busy = self.interactive and self.menu.talk.requests.are_open
        if ((self.desk.mode is not self._mode or self._is_again) and not self.desk.leaving
                and (is_in or self.desk.is_at_login) and not self.menu.is_joining):
            self._mode = self.desk.mode
            self._show_mode()
        elif (not printed and self.menu.question == self._question
              and (is_busy or not self._owes_prompt)):
            return                              # with a prompt to come behind the answer
        if self.menu.question and self.menu.question != self._question:
            self._output.line(self.menu.question[0])
        self._question = self.menu.question
        self._owes_prompt = is_busy
        if self.interactive and not self.desk.leaving and not self.menu.is_joining and not is_busy:
            self._output.prompt(f"{self._several.prompt or self.menu.prompt_of('')} ")

    def _confirm(self) -> None:
        """Confirm the messages that were printed."""
        mails = self.menu.take_unshown()
        if mails:
            try:
                self.link.shown(mails)
            except ArchiveError as fault:
                self._complain(str(fault), os.EX_IOERR)

    def _show_entries(self) -> None:
        """Print the new entries of the pane and the marks that changed."""
        entries, self._printed = self.menu.pane.after(self._printed)
        settled = self.menu.take_settled()
        for entry in entries:
            if entry.day:
                self._output.line(f"-- {entry.day} --")
            for line in entry.lines():
                self._output.line(line)
        for change in settled:
            if change.entry not in entries:
                self._output.line(told(change))
        self._has_printed |= bool(entries or settled)

    def _show_mode(self) -> None:
        """Print what the user can choose now; after a wrong name what is like it, or of a short
        list all."""
        picker, is_again, self._is_again = self.desk.picker, self._is_again, False
        if picker:
            for line in _choices(picker, is_again):
                self._output.line(line)
        elif self._offered:
            self._output.line(f"your username; an empty line is {self._offered}")
        elif self.desk.is_at_items:
            self._output.line(" ".join(item.label for item in self.menu.items))
        elif self.desk.mode is Mode.TALK:
            back = "; an empty line goes back to the menu" * self.interactive
            self._output.line(f"with {display(self.menu.talk.conversations.open)}: each line is a "
                              f"message{back}")


def _choices(picker: Picker, is_again: bool) -> Iterator[str]:
    """The lines of a list of names; `is_again`: those like the name that was wrong."""
    choices = picker.shown if is_again else picker.all
    if not choices and len(picker.all) <= CHOICES_SHOWN:
        choices = picker.all
    yield (f"{picker.pick.title}:" if choices else
           f"{picker.pick.title}: {picker.total}; type a name, or how it begins")
    for choice in choices[:CHOICES_SHOWN]:
        yield f"  {choice.label}  {choice.note}".rstrip()
    if (more := len(choices) - CHOICES_SHOWN) > 0:
        plus = "" if picker.total.isdigit() else "+"
        yield f"  and {more}{plus} more: type a name, or how it begins"


def told(change: Settled) -> str:
    """`14:02 + you > bob: delivered: bay 3, second drawer`, with the first words of the message; of
    a line of a chat `14:09 ! ann: the connection was lost: which`."""
    entry, mark, reason = change
    if isinstance(entry, Note):
        return f"{clock(entry.time)} * {reason}"
    words = UNICODE.shorten(display(" ".join(entry.text.split())), TOLD)
    if isinstance(entry, Spoken):
        return f"{clock(entry.time)} {mark} {entry.sender}: {reason}: {words}"
    what = f"refused: {reason}" if mark == REFUSED else WORDS[mark]
    return f"{clock(entry.time)} {mark} you > {entry.to}: {what}: {words}"

"""plain: the client without a screen: line in, line out.

For screen readers, dumb terminals and pipes.  The same menu as on the screen reads whole lines: each is what would be
typed before Enter; an empty line is Esc, in a chat it is nothing.  Everything that the pane would show is printed once,
as it comes; a message that is shown is confirmed after it was written.  Prompts are for people: without a terminal at
stdin there are none, lines wait until the answers to those before them are here, and the end of the input is the end of
the program, once what was sent is stored.  There too, a name that is refused ends the program, by whatever way it was
given: what stands below it must not be taken for another name.  What can't be done is said on stderr, goes on with the
next line, and is the exit code in the end: a line that is no command or no text, an answer that is a refusal, a step
that the end of the input left unfinished, lines that no daemon was there for.

At a terminal, lines that come within GAP seconds of each other are a paste.  None of them is obeyed: the user is asked
whether they are one text.  In a pipe each line is a line.

The one-shot commands connect, do one thing and leave; they never take live messages, only --check reads the mailbox:

    --send NAMES [TEXT...]      send; without TEXT it is read from stdin
    --check                     print the messages that wait
    --who                       print the users who are connected

Exit codes (sysexits): 0 done: stored, printed; 64 wrong use; 65 the text can't be sent, or the name is none; 67 a
recipient is not in the log; 69 no daemon answers, or it turns us away; 74 stdin or stdout broke; 75 later may be
better: the name is in use, the mailbox is full, no answer in time; 77 the name takes a passphrase.  Every failure is
one line on stderr.
"""
from __future__ import annotations

import contextlib
import os
import select
import selectors
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import wire
from client.link import ArchiveError, Link, Locked, NameRefused, Offline, OtherStore, Over, Remark
from terminal import printer
from terminal.display import display, width
from terminal.keys import GAP, PASTE_MAX
from ui.desk import Mode
from ui.menu import Menu
from ui.names import Here, counted, only_names, unknown
from ui.pane import REFUSED, Said, clock
from ui.words import TOO_LONG, outcome_of
from wire import Outcome, SendFlag, Why

PROGRAM = "parley"
READ_SIZE = 65536
ANSWER_SECONDS = 20.0       # for the answers that a script waits for; the daemon's disk may be slow
CHOICES_SHOWN = 20          # rows of a list to choose from: a reader hears all of them before the prompt
LEAVE_SECONDS = 3.0         # for the daemon to take leave

NOT_DELIVERED = frozenset({Outcome.ABSENT, Outcome.FULL})
LATER = frozenset({Why.FULL, Why.BUSY, Why.GONE, Why.SLOW, Why.TAKEN})      # what time may heal
UNFINISHED = frozenset({Mode.HOW, Mode.PICK, Mode.WRITE, Mode.CLAIM, Mode.AGAIN})   # more input is needed

WORDS = {"=": "stored", "+": "delivered"}       # what a mark means, for a reader of lines


class Failure(Exception):
    """The end: one line and an exit code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def now() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000


def refusal(event: NameRefused) -> Failure:
    """The failure that a refused name is."""
    return Failure(os.EX_TEMPFAIL if event.why == Why.TAKEN else os.EX_DATAERR, display(event.reason))


def code_of(event: wire.Refused | wire.Failed) -> int:
    """The exit code for what the daemon did not take."""
    return os.EX_TEMPFAIL if event.why in LATER else os.EX_DATAERR


def fault_of(event: Any) -> tuple[str, int] | None:
    """What a script's line could not do, if this event says so, and the exit code for it."""
    if isinstance(event, wire.Refused | wire.Failed):
        return display(event.reason), code_of(event)
    if isinstance(event, wire.Outcomes) and event.outcome in NOT_DELIVERED:
        return outcome_of(event.to, event.outcome), os.EX_TEMPFAIL
    return None


def locked(link: Link, event: Locked) -> Failure:
    """The failure that a passphrase is, where nobody can be asked for it."""
    what = display(event.reason)
    advice = f"; {display(event.advice)}" if event.advice else ""
    return Failure(os.EX_NOPERM, f"{what}: give its passphrase once in `parley --name {link.name}` on a terminal here; "
                                 f"the key is kept, and scripts use it then{advice}")


class Waiter:
    """Waits for a link and, perhaps, for stdin."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._selector = selectors.PollSelector()       # epoll does not take files
        self._watched: Any = None

    def listen(self, fd: int) -> None:
        """Wait for this descriptor too."""
        self._selector.register(fd, selectors.EVENT_READ)

    def ignore(self, fd: int) -> None:
        self._selector.unregister(fd)

    def wait(self, seconds: float | None) -> tuple[list[Any], bool]:
        """The link's events, and whether the descriptor is ready."""
        self._watch()
        due = [at for at in (seconds, self.link.timeout()) if at is not None]
        events: list[Any] = []
        typed = False
        for key, mask in self._selector.select(min(due) if due else None):
            if key.fileobj is self.link.sock:
                events += self.link.ready(mask)
            else:
                typed = typed or key.data is None
        return events + self.link.tick(), typed

    def _watch(self) -> None:
        wanted = (self.link.sock, self.link.mask) if self.link.sock and self.link.mask else None
        if wanted != self._watched:
            if self._watched:
                self._selector.unregister(self._watched[0])
            if wanted:
                self._selector.register(wanted[0], wanted[1], "link")
            self._watched = wanted


def write(text: str, end: str = "\n", used: int = 0) -> None:
    """A line to stdout, at once.  Raises Failure."""
    try:
        printer.line(text, 1, end, used)
    except OSError as fault:
        raise Failure(os.EX_IOERR, f"stdout can't be written: {fault.strerror}") from None


# ---- the conversation ----

class Plain:
    """The menu, by lines."""

    def __init__(self, link: Link, menu: Menu, *, fd: int = 0, interactive: bool = True) -> None:
        self.link = link
        self.menu, self.desk = menu, menu.desk
        self.interactive = interactive
        self._fd = fd
        self._waiter = Waiter(link)
        self._lines: list[bytes] = []       # read and not yet obeyed; a paste is one
        self._rest = b""
        self._at_terminal = os.isatty(fd)   # and there lines that come at once are a paste
        self._pasted = ""                   # one that is asked about
        self._ended = False                 # the input is
        self._echoing = True                # the terminal shows what is typed
        self._until: float | None = None    # when to stop waiting after its end
        self._printed = 0                   # the serial of the next entry to print
        self._mode: object = None           # the mode last shown
        self._question: tuple[str, ...] = ()        # the one last shown
        self._prompted = False              # the cursor stands behind a prompt
        self._used = 0                      # cells of it, if the user's Enter came before it and not behind it
        self._code = os.EX_OK               # of the end

    def run(self) -> int:
        """Until the end; the exit code.  Raises Failure."""
        try:
            return self._run()
        finally:
            self._echo(True)

    def _run(self) -> int:
        self._waiter.listen(self._fd)
        if not self.desk.is_at_login:
            self.link.connect()
        self._show()
        while not self._over():
            events, typed = self._waiter.wait(self._patience())
            for event in events:
                self._hear(event)
            if typed and not self._ended:
                self._read()
            self._show()
            while self._lines and self._is_free() and not self.desk.leaving:
                self._obey(self._lines.pop(0))
                self._until = None          # the next one has its own time
                self._show()
        return self._code if not self.link.pending else os.EX_TEMPFAIL

    def _over(self) -> bool:
        """Whether everything is done."""
        if self.menu.talk.contact.over:
            if not self.desk.leaving:
                raise Failure(os.EX_UNAVAILABLE, self.menu.talk.contact.over)
            return True
        if self._ended and not self.desk.leaving:
            if self.menu.talk.invitations.pledge:
                self._until = None              # people are asked, and have the daemon's patience
                return False
            self._until = self._until or time.monotonic() + ANSWER_SECONDS
            if self._is_settled() and not self._lines:
                self._check_finished()
                self._leave()
            elif time.monotonic() >= self._until:
                left = f"; nothing was done for the last {counted(len(self._lines), 'line')}" if self._lines else ""
                raise Failure(os.EX_TEMPFAIL, f"the daemon did not answer in time{left}")
        return False

    def _check_finished(self) -> None:
        """The input of a script has ended: not in the middle of something."""
        if self.desk.is_at_login and not self.interactive:
            raise Failure(os.EX_USAGE, "the input ended before a username: --name NAME gives one")
        if self.desk.mode in UNFINISHED:
            self._complain(f"the input ended at \"{self.menu.prompt}\": what was begun there is not done",
                           os.EX_DATAERR)

    def _is_settled(self) -> bool:
        """Whether nothing is on its way."""
        if self.desk.is_at_login:
            return not self.menu.is_joining
        return self.link.online and self.link.roster_whole and not (self.menu.talk.is_busy or self.link.pending)

    def _leave(self) -> None:
        self.desk.leave()

    def _patience(self) -> float | None:
        if self.desk.leaving:
            return LEAVE_SECONDS
        return None if self._until is None else max(0.0, self._until - time.monotonic())

    def _hear(self, event: Any) -> None:
        if not self.interactive and not self.desk.leaving:
            if isinstance(event, Offline) and self._printed == 0:
                raise Failure(os.EX_UNAVAILABLE, display(event.reason))
            if isinstance(event, OtherStore):
                raise Failure(os.EX_UNAVAILABLE, f"{display(event.reason)}: nothing was sent to it")
            if isinstance(event, NameRefused):
                raise refusal(event)
            if isinstance(event, Locked):
                raise locked(self.link, event)
            if fault := fault_of(event):
                self._complain(*fault)
        self.menu.hear(event, now())

    def _read(self) -> None:
        data = self._input()
        while self._at_terminal and data and data.endswith(b"\n") and len(data) < PASTE_MAX and self._follows():
            more = self._input()
            if not more:
                break                   # end-of-file: select says it again
            data += more
        if data is None:
            return
        if not data:
            self._ended = True
            self._waiter.ignore(self._fd)
            data = b"\n" if self._rest else b""
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._prompted = self._prompted and not lines
        self._lines += [b"\n".join(lines)] if self._at_terminal and lines else lines

    def _input(self) -> bytes | None:
        """What was read; b"" at the end, None for nothing yet."""
        try:
            return os.read(self._fd, READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as fault:
            if not self.interactive:
                self._complain(f"stdin can't be read: {fault.strerror}", os.EX_IOERR)
            return b""

    def _follows(self) -> bool:
        """Whether a line comes so soon behind another that nobody has typed it."""
        return bool(select.select([self._fd], [], [], GAP)[0])

    def _is_free(self) -> bool:
        """Whether the next line may be obeyed: a script's lines wait for the answers to those before them."""
        if self.desk.is_at_login:
            return not self.menu.is_joining
        if self.interactive:
            return True
        return self.link.online and self.link.roster_whole and not self.menu.talk.is_busy

    def _obey(self, raw: bytes) -> None:
        try:
            line = raw.decode().rstrip("\r")
        except UnicodeDecodeError:
            self._complain("a line that is not UTF-8 is left out", os.EX_DATAERR)
            return
        mode, fault = self.desk.mode, ""
        if self._pasted or "\n" in line.strip():
            fault = self._paste(line)
        elif line.strip():
            self.menu.enter(line, now())
        elif self.desk.mode is not Mode.CHAT:
            self.menu.enter("", now()) if self.desk.is_at_login else self.menu.press("<Esc>", now())
        self._mode = None if self.interactive or self.desk.mode is not mode else self._mode
        if fault := fault or self.menu.take_error():
            self._show_entries()
            if self.desk.is_at_login and not self.interactive:
                raise Failure(os.EX_DATAERR, fault)
            self._complain(fault, os.EX_DATAERR)

    def _paste(self, line: str) -> str:
        """Lines that came at once: ask whether they are one text; a fault, or "".  A line that is no answer is one of
        them: the terminal gives the last line of a paste only when the user ends it."""
        text, self._pasted = self._pasted, ""
        answer = line.strip().lower() if text else ""
        if self.desk.is_secret:
            return "a passphrase is one line: nothing was taken"
        if text and answer in ("", "n", "no"):
            return "left out"
        if answer in ("y", "yes"):
            self.menu.enter(text, now())
            fault = self.menu.take_error()
            self._pasted = text if fault else ""
            return fault
        self._pasted = f"{text}\n{line}" if text else line
        self._write(f"? {self._pasted.count(chr(10)) + 1} lines came at once: y gives them as one text to "
                    f"`{self.menu.prompt_of(self._pasted)}`, n leaves them out")
        return ""

    # ---- output ----

    def _complain(self, what: str, code: int = os.EX_OK) -> None:
        """To people among the rest; of a script on stderr, and it ends with this code, if with none before."""
        if self.interactive:
            self._write(f"? {display(what)}")
        else:
            printer.complain(PROGRAM, what)
            self._code = self._code or code

    def _show(self) -> None:
        """Print what is new, and confirm what was printed."""
        self._echo(not self.desk.is_secret)
        printed = self._show_entries()
        if error := self.menu.take_error():
            self._complain(error)
        mails = self.menu.take_unshown()
        if mails:
            try:
                self.link.shown(mails)
            except ArchiveError as fault:
                self._complain(f"{fault}; the messages stay in the mailbox", os.EX_IOERR)
        if self.desk.mode is not self._mode and not self.desk.leaving and (self.link.online or self.desk.is_at_login):
            self._mode = self.desk.mode
            self._show_mode()
        elif not printed and self.menu.question == self._question:
            return
        if self.menu.question and self.menu.question != self._question:
            self._write(self.menu.question[0])
        self._question = self.menu.question
        if self.interactive and not self.desk.leaving:
            prompt = "y or n> " if self._pasted else f"{self.menu.prompt} "
            write(prompt, "")
            self._prompted, self._used = True, width(prompt)

    def _write(self, line: str) -> None:
        """A line by itself, also when somebody is typing one."""
        if self._prompted:
            write("")
            self._prompted, self._used = False, 0
        write(line, used=self._used)
        self._used = 0

    def _echo(self, on: bool) -> None:
        """Let the terminal show what is typed, or not."""
        if on == self._echoing or not os.isatty(self._fd):
            return
        self._echoing = on
        with contextlib.suppress(termios.error):
            modes = termios.tcgetattr(self._fd)
            modes[3] = modes[3] | termios.ECHO if on else modes[3] & ~termios.ECHO
            termios.tcsetattr(self._fd, termios.TCSANOW, modes)
        if on:
            write("")                   # Enter was not shown either

    def _show_entries(self) -> bool:
        entries, self._printed = self.menu.pane.after(self._printed)
        settled = self.menu.take_settled()
        for entry in entries:
            if entry.day:
                self._write(f"-- {entry.day} --")
            for line in entry.lines():
                self._write(line)
        for said in settled:
            if said not in entries:
                self._write(self._settled(said))
        return bool(entries or settled)

    def _settled(self, said: Said) -> str:
        what = f"refused: {said.reason}" if said.mark == REFUSED else WORDS.get(said.mark, "sent")
        return f"{clock(said.time)} {said.mark} you > {said.to}: {what}"

    def _show_mode(self) -> None:
        """What can be done now."""
        picker = self.desk.picker
        if picker:
            self._write(f"{picker.pick.title}:")
            for choice in picker.all[:CHOICES_SHOWN]:
                self._write(f"  {choice.label}  {choice.note}".rstrip())
            if (more := len(picker.all) - CHOICES_SHOWN) > 0:
                self._write(f"  and {more}{'+' * (not picker.total.isdigit())} more: type a name")
        elif self.desk.is_at_items:
            self._write(" ".join(item.label for item in self.menu.items))


# ---- one-shot ----

def turns(link: Link) -> Iterator[list[Any]]:
    """The link's events, as they come, until nobody asks any more.  Raises Failure when the daemon can't be had."""
    waiter, until = Waiter(link), time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < until:
        heard, _ = waiter.wait(until - time.monotonic())
        for event in heard:
            if isinstance(event, NameRefused):
                raise refusal(event)
            if isinstance(event, Locked):
                raise locked(link, event)
            if isinstance(event, Remark):
                printer.complain(PROGRAM, event.text)
            if isinstance(event, Offline | Over):
                raise Failure(os.EX_UNAVAILABLE, display(event.reason))
        if heard:
            until = time.monotonic() + ANSWER_SECONDS
            yield heard
    raise Failure(os.EX_TEMPFAIL, "the daemon did not answer in time")


def log_in(link: Link) -> Here:
    """Connect; who is there."""
    link.connect()
    for heard in turns(link):
        if any(isinstance(event, wire.Roster) and event.last and not event.request for event in heard):
            break
    return Here(link.roster.values(), link.name)


def leave(link: Link, hear: Callable[[Any], object] = lambda event: None) -> None:
    """Take leave, hearing what still comes."""
    link.exit()
    waiter, until = Waiter(link), time.monotonic() + LEAVE_SECONDS
    while time.monotonic() < until:
        for event in waiter.wait(until - time.monotonic())[0]:
            if isinstance(event, Over):
                return
            hear(event)


def read_text(fd: int, most: int) -> bytes:
    """So many bytes, or all up to the end, also of a descriptor that does not wait.  Raises Failure."""
    data, came = b"", select.poll()
    came.register(fd, select.POLLIN)
    try:
        while len(data) < most:
            came.poll()
            with contextlib.suppress(BlockingIOError):
                part = os.read(fd, most - len(data))
                if not part:
                    break
                data += part
    except OSError as fault:
        raise Failure(os.EX_IOERR, f"stdin can't be read: {fault.strerror}") from None
    return data


def spoken(words: Sequence[str]) -> str:
    """The words of the command line; in a locale that has no letters for them they are UTF-8, as stdin is."""
    text = " ".join(words)
    try:
        text.encode()
    except UnicodeEncodeError:
        with contextlib.suppress(UnicodeDecodeError):
            text = os.fsencode(text).decode()
    return text


def message(words: Sequence[str]) -> str:
    """The text of --send: its words, or stdin.  Raises Failure."""
    raw = b"" if words else read_text(0, wire.TEXT_MAX + 3)
    if len(raw.rstrip(b"\r\n")) > wire.TEXT_MAX:
        raise Failure(os.EX_DATAERR, TOO_LONG)
    try:
        text = spoken(words) or raw.decode()
    except UnicodeDecodeError:
        raise Failure(os.EX_DATAERR, "the text on stdin is not UTF-8") from None
    text = text.replace("\r\n", "\n").rstrip("\n")
    flaw = wire.flaw(text)
    if flaw:
        raise Failure(os.EX_DATAERR, flaw[1])
    return text


def send(link: Link, names: str, text: str) -> int:
    """--send.  Raises Failure."""
    typed, fault = only_names(names)
    if fault:
        raise Failure(os.EX_USAGE, f"--send: {fault}")
    here = log_in(link)
    everyone = [name.lower() for name in typed] == ["all"]
    missing = [] if everyone else [name for name in typed if not here.spelled(name)]
    if missing or not typed:
        raise Failure(os.EX_NOUSER, unknown([display(name) for name in missing], here.names, "in the log")
                      if typed else "--send needs names: --send bob,erin TEXT")
    to = () if everyone else tuple(map(here.spelled, typed))
    unstored = set(link.send(to, text, SendFlag.EVERYONE if everyone else 0))
    missed = False
    for heard in turns(link):
        for event in heard:
            if isinstance(event, wire.Refused):
                raise Failure(code_of(event), display(event.reason))
            if isinstance(event, wire.Stored):
                unstored = {number for number in unstored if not event.first <= number <= event.last}
            missed |= _outcome(event, link.name)
        if not unstored:
            break
    leave(link, lambda event: _outcome(event, link.name))
    return os.EX_TEMPFAIL if missed else os.EX_OK


def _outcome(event: Any, me: str) -> bool:
    """Say what became of it for those who are not reading; that includes whoever sends to himself by --send.

    Those who do not get it are said on stderr: True."""
    if not isinstance(event, wire.Outcomes) or event.outcome not in set(Outcome):
        return False
    if event.outcome in NOT_DELIVERED:
        printer.complain(PROGRAM, outcome_of(event.to, event.outcome))
        return True
    others = [name for name in event.to if name.lower() != me.lower()]
    if others:
        write(outcome_of(others, event.outcome))
    if len(others) < len(event.to):
        write("kept in your own mailbox until checked")
    return False


def check(link: Link) -> int:
    """--check: what arrives together is printed, kept, and then confirmed.  Raises Failure, ArchiveError."""
    log_in(link)
    request = link.check()
    for heard in turns(link):
        mails = [event for event in heard if isinstance(event, wire.Mail)]
        for mail in mails:
            to = "all" if mail.flags & SendFlag.EVERYONE else "you"
            for line in Said(mail.time, mail.text, mail.sender, to).lines():
                write(f"{clock(mail.time, '%Y-%m-%d')} {line}")
        if mails:
            link.shown(mails)
        if _checked(heard, request):
            break
    leave(link)
    return 0


def _checked(heard: list[Any], request: int) -> bool:
    """Whether the answer to a check ends here.  Raises Failure."""
    for event in heard:
        if isinstance(event, wire.Failed) and event.request == request:
            raise Failure(os.EX_TEMPFAIL, display(event.reason))
        if isinstance(event, wire.Checked):
            if not event.total:
                write("No messages available")
            return True
    return False


def who(link: Link) -> int:
    """--who.  Raises Failure."""
    here = log_in(link)
    others = [entry for entry in here.current if entry.name.lower() != here.me]
    for entry in others:
        write(f"{entry.name:8} {here.status(entry)}")
    if not others:
        write("No other client.")
    leave(link)
    return 0


__all__ = ["Failure", "Plain", "check", "message", "now", "refusal", "send", "who"]

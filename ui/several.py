"""several: a text of several lines, in --plain, where Enter ends a line.

There are two ways to one.  `/lines` begins it: the lines that follow, up to a dot alone, are one
text for whatever the prompt names, or for the recipients that stand behind the command.  And on a
terminal, lines that come within GAP seconds of each other are a paste (plain.py): the user is asked
whether they are one text.  A line that is not an answer is one more line of the text: the terminal
holds the last line of a paste back until the user presses Enter.

take() gives back a fault, one line for the user, or "".
"""
from __future__ import annotations

from collections.abc import Callable

from ui.commands import LINES, addressed, is_command
from ui.desk import Mode
from ui.menu import Menu

END, DOT, DROP = ".", "..", "/drop"     # .. stands for a line with a dot alone
WHERE = "/lines @bob: the lines that follow, up to a . alone, are one text for bob"
ADDRESSED = (Mode.WRITE, Mode.TALK, Mode.CHAT)      # their prompt names recipients
KEPT = "; the text is kept: . tries again, /drop drops it"


class Several:
    """The text that is being gathered, or asked about."""

    def __init__(self, menu: Menu, say: Callable[[str], None]) -> None:
        """`say`: prints a line for the user."""
        self._menu, self._say = menu, say
        self._pasted = ""                           # the paste that is asked about
        self._lines: list[str] | None = None        # since /lines; None: not begun

    @property
    def prompt(self) -> str:
        """What Enter does; "" if nothing is gathered."""
        return "y or n>" if self._pasted else "" if self._lines is None else "and>"

    @property
    def is_begun(self) -> bool:
        """Whether /lines waits for its dot."""
        return self._lines is not None

    def drop(self) -> bool:
        """Forget what was gathered, or pasted; whether there was anything."""
        had, self._lines, self._pasted = bool(self.prompt), None, ""
        return had

    def wants(self, line: str) -> bool:
        """Whether a line belongs here, and not to the menu."""
        return bool(self.prompt or "\n" in line.strip() or _rest(line) is not None)

    def take(self, line: str, now: int) -> str:
        """A line that belongs here."""
        if self._menu.desk.is_secret:
            self._pasted = ""
            return "a passphrase is one line: the paste was dropped"
        if not self._pasted and (self.is_begun or _rest(line) is not None):
            faults = [self._gather(each, now) for each in line.split("\n")]
            return next(filter(None, faults), "")
        return self._answer(line, now)

    # ---- /lines ----

    def _gather(self, line: str, now: int) -> str:
        if self._lines is None:
            return self._begin(line, now)
        word = line.strip()
        if word == DROP:
            self._lines = None
            return "the text was dropped"
        if word != END:
            self._lines.append(END if word == DOT else line)
            return ""
        self._menu.enter("\n".join(self._lines), now)
        if fault := self._menu.take_error():
            return f"{fault}{KEPT}"
        self._lines = None
        return ""

    def _begin(self, line: str, now: int) -> str:
        rest = _rest(line)
        if rest is None:                            # behind the dot, in a paste
            self._menu.enter(line, now)
            return self._menu.take_error()
        is_addressed = is_command(rest) and (rest.startswith("/") or bool(addressed(f"{rest} x")))
        has_addressee = not rest and self._menu.desk.mode in ADDRESSED
        if not (is_addressed or has_addressee):
            return WHERE
        self._lines = [rest] if rest else []
        self._say(f"one text up to a line with a dot alone; {DROP} drops it")
        return ""

    # ---- a paste ----

    def _answer(self, line: str, now: int) -> str:
        """Ask whether a paste is one text, or hear the answer."""
        text, self._pasted = self._pasted, ""
        answer = line.strip().lower() if text else ""
        if text and answer in ("", "n", "no"):
            return "the paste was dropped"
        if answer in ("y", "yes"):
            self._menu.enter(text, now)
            fault = self._menu.take_error()
            self._pasted = text if fault else ""
            return fault
        self._pasted = f"{text}\n{line}" if text else line
        prompt = self._menu.prompt_of(self._pasted)
        self._say(f"? {self._pasted.count(chr(10)) + 1} lines came at once: y gives them as one "
                  f"text to `{prompt}`, n drops them")
        return ""


def _rest(line: str) -> str | None:
    """What stands behind /lines; None: the line is no such command."""
    word, _, rest = line.strip().partition("\n")[0].partition(" ")
    return rest.strip() if word.lower() == f"/{LINES}" else None

"""A small VT screen for tests: bytes in, cells out, and anything it does not know is an error.

Promises: `Screen.feed` takes the bytes that a program wrote to its terminal, cut anywhere, and
keeps what a person would see: text, attributes, cursor, title, bells, modes, the primary screen
under the alternate one.  It understands what ncurses 6.4 sends for xterm-256color, screen-256color,
tmux-256color, linux and vt100, plus titles and the modes of paste, focus and mouse.  It never
answers the program.

Fails by raising `UnknownSequence`: for a control, escape, mode or parameter outside the tables at
the end, for bytes that are not UTF-8, and for characters that no sanitised text holds (C1, bidi and
zero-width formats, private use, unassigned).  So an escape that leaks out of a message is caught
here; one that ncurses uses too (a colour, say) is not, the text has to be looked at for that.

Width is unicodedata's (marks 0, W and F 2).  Rows and columns count from 0.  Erasing keeps the
background colour, as xterm, linux and tmux do.  Bad at: speed (about 1 MB/s), reflow on resize,
scrollback, left and right margins, tab stops other than every eighth column.
"""

import codecs
import re
import unicodedata
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

Colour: TypeAlias = int | tuple[int, int, int] | None
"""A palette index, (red, green, blue), or None for the terminal's own."""

# characters of one unfinished sequence: ncurses sends under 40, titles are short
PENDING_LIMIT = 1024

_TOKEN = re.compile(
    r"(?P<text>[^\x00-\x1f\x7f-\x9f]+)"
    r"|(?P<csi>\x1b\[[0-?]*[ -/]*[@-~])"
    r"|(?P<osc>\x1b\](?:R|P[0-9a-fA-F]{7}|[0-9]+(?:;[^\x00-\x1f\x7f]*)?(?:\x07|\x1b\\)))"
    r"|(?P<escape>\x1b(?:[ -/]+[0-~]|[0-Z\\^-~]))"
    r"|(?P<control>[\x00-\x1a\x1c-\x1f\x7f-\x9f])"
)
_UNFINISHED = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*|\](?:P[0-9a-fA-F]{0,6}|[0-9]*|[0-9]+(?:;[^\x00-\x1f\x7f]*)?\x1b?)"
    r"|[ -/]*)"
)
_CSI = re.compile(r"\x1b\[([<=>?]?)([0-?]*)([ -/]*)([@-~])")


class UnknownSequence(Exception):
    """The program sent something that a terminal of these five names is never sent by ncurses."""


class Style(NamedTuple):
    """How one cell is painted (ECMA-48 SGR)."""

    bold: bool = False
    dim: bool = False
    italic: bool = False
    underline: bool = False
    blink: bool = False
    reverse: bool = False
    hidden: bool = False
    strike: bool = False
    foreground: Colour = None
    background: Colour = None


class Cell(NamedTuple):
    """A base character with its marks; "" in the second column of a wide one."""

    text: str = " "
    style: Style = Style()


class _Cursor(NamedTuple):
    row: int = 0
    col: int = 0
    style: Style = Style()


_Grid = list[list[Cell]]


@lru_cache(maxsize=4096)
def _width(char: str) -> int:
    category = unicodedata.category(char)
    if category in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
        raise UnknownSequence(f"U+{ord(char):04X} ({category}) is no printable character")
    if category in ("Mn", "Me") or "\u1160" <= char <= "\u11ff":
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1


class Screen:
    """The screen of a terminal of `rows` by `cols` cells."""

    def __init__(self, rows: int, cols: int) -> None:
        self.rows = rows
        self.cols = cols
        self.title = ""
        self.bells = 0
        self.permits: set[int] = set()
        """Further OSC that a test expects: 52, the clipboard, and 9 and 777, notifications."""
        self.said: list[tuple[int, str]] = []
        """What these brought."""
        self.modes = {7, 25}
        """DECSET modes that are on (66 stands for ESC =): autowrap and the cursor at the start."""
        self._style = Style()
        self._grid = self._blank(rows)
        self._primary: _Grid | None = None
        self._row = self._col = 0
        self._wrap = False  # the last column is written: the next character wraps first
        self._saved = self._saved_primary = _Cursor()
        self._top, self._bottom = 0, rows - 1
        self._insert = False
        self._charsets = ["B", "B"]
        self._shifted = 0
        self._last = " "
        self._base: tuple[int, int] | None = None
        self._titles: list[str] = []
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._pending = ""

    # What is on it

    @property
    def cursor(self) -> tuple[int, int]:
        """(row, col); still the last column after that was written."""
        return self._row, self._col

    @property
    def pending(self) -> str:
        """A sequence not finished yet: "" whenever the program has written whole ones."""
        return self._pending

    def text(self) -> str:
        """All rows, joined by newlines, without the blanks at their ends."""
        return "\n".join(self.row(number) for number in range(self.rows))

    def row(self, number: int) -> str:
        return "".join(cell.text for cell in self._grid[number]).rstrip(" ")

    def cell(self, row: int, col: int) -> Cell:
        return self._grid[row][col]

    def style(self, row: int, col: int) -> Style:
        return self._grid[row][col].style

    # What changes it

    def feed(self, data: bytes) -> None:
        """Take bytes as the program wrote them, cut anywhere.  Raises UnknownSequence."""
        text, self._pending = self._pending, ""
        try:
            text += self._decoder.decode(data)
        except UnicodeDecodeError as fault:
            self._decoder.reset()
            around = fault.object[max(0, fault.start - 20) : fault.end + 20]
            raise UnknownSequence(f"not UTF-8: {around!r}") from fault
        position = 0
        while found := _TOKEN.match(text, position):
            position = found.end()
            self._apply(str(found.lastgroup), found.group())
        self._keep(text[position:])

    def resize(self, rows: int, cols: int) -> None:
        """As xterm and tmux do without reflow: rows go below the cursor first, then at the top."""
        above = max(0, self._row - rows + 1)
        self.rows, self.cols = rows, cols
        self._grid = self._fitted(self._grid[above:])
        self._primary = self._primary and self._fitted(self._primary)
        self._top, self._bottom = 0, rows - 1
        self._go(self._row - above, self._col)

    def _keep(self, rest: str) -> None:
        if rest and (len(rest) > PENDING_LIMIT or not _UNFINISHED.fullmatch(rest)):
            raise UnknownSequence(repr(rest[:80]))
        self._pending = rest

    def _apply(self, kind: str, token: str) -> None:
        if kind != "text":
            self._base = None
        try:
            _KINDS[kind](self, token)
        except (LookupError, TypeError, ValueError) as fault:
            # not in a table, too many parameters, not a number
            raise UnknownSequence(f"{kind} {token!r}") from fault

    def _on_text(self, token: str) -> None:
        for char in token:
            self._put(char)

    def _on_csi(self, token: str) -> None:
        private, params, middle, final = _CSI.findall(token)[0]
        numbers = [int(number or 0) for number in params.split(";")] if params else []
        name = private + middle + final
        if name in _COUNTED:
            (count,) = numbers or [1]
            _COUNTED[name](self, count or 1)
        else:
            _SEQUENCES[name](self, *numbers)

    def _on_osc(self, token: str) -> None:
        if token[2] in "PR":  # the linux console's palette, which has no terminator
            return
        number, _, payload = token[2:].removesuffix("\a").removesuffix("\x1b\\").partition(";")
        for char in payload:
            _width(char)
        if int(number) in self.permits:
            self.said.append((int(number), payload))
            return
        self.title = payload if _COMMANDS[int(number)] else self.title

    # Printing

    def _put(self, char: str) -> None:
        if self._charsets[self._shifted] == "0":
            char = _GRAPHICS.get(char, char)
        width = _width(char)
        if width == 0:
            self._join(char)
        elif width <= self.cols:
            self._make_room(width)
            self._write(char, width)
            self._last = char

    def _join(self, mark: str) -> None:
        if self._base is not None:
            row, col = self._base
            cell = self._grid[row][col]
            self._grid[row][col] = cell._replace(text=cell.text + mark)

    def _make_room(self, width: int) -> None:
        if self._wrap or self._col + width > self.cols:
            if 7 in self.modes:
                self._line_feed()
                self._col = 0
            else:
                self._col = self.cols - width
        if self._insert:
            self._insert_cells(width)

    def _write(self, char: str, width: int) -> None:
        row, end = self._grid[self._row], self._col + width
        self._split(row, self._col)
        self._split(row, end)
        row[self._col : end] = [Cell(char, self._style), Cell("", self._style)][:width]
        self._base = self._row, self._col
        self._wrap = end == self.cols and 7 in self.modes
        self._col = min(end, self.cols - 1)

    # Moving

    def _go(self, row: int, col: int) -> None:
        self._row = max(0, min(row, self.rows - 1))
        self._col = max(0, min(col, self.cols - 1))
        self._wrap = False

    def _position(self, row: int = 1, col: int = 1) -> None:
        self._go(max(row, 1) - 1, max(col, 1) - 1)

    def _up(self, count: int) -> None:
        self._go(max(self._top if self._row >= self._top else 0, self._row - count), self._col)

    def _down(self, count: int) -> None:
        self._go(min(self._bottom if self._row <= self._bottom else self.rows, self._row + count),
                 self._col)

    def _save(self) -> None:
        self._saved = _Cursor(self._row, self._col, self._style)

    def _restore(self) -> None:
        self._style = self._saved.style
        self._go(self._saved.row, self._saved.col)

    # Scrolling, inserting, deleting

    def _margins(self, top: int = 1, bottom: int = 0) -> None:
        top, bottom = (top or 1) - 1, min(bottom or self.rows, self.rows) - 1
        if top < bottom:
            self._top, self._bottom = top, bottom
            self._go(0, 0)

    def _scroll(self, top: int, count: int) -> None:
        """Move the rows from `top` to the lower margin up by `count`, down if that is negative."""
        area = self._grid[top : self._bottom + 1]
        fresh = self._blank(min(abs(count), len(area)))
        kept = len(area) - len(fresh)
        self._grid[top : self._bottom
                   + 1] = area[len(fresh) :] + fresh if count > 0 else fresh + area[:kept]

    def _line_feed(self) -> None:
        if self._row == self._bottom:
            self._scroll(self._top, 1)
        self._go(self._row + (self._row != self._bottom), self._col)

    def _reverse_feed(self) -> None:
        if self._row == self._top:
            self._scroll(self._top, -1)
        self._go(self._row - (self._row != self._top), self._col)

    def _delete_lines(self, count: int) -> None:
        if self._top <= self._row <= self._bottom:
            self._scroll(self._row, count)

    def _insert_cells(self, count: int) -> None:
        row, count = self._grid[self._row], min(count, self.cols - self._col)
        self._split(row, self._col)
        self._split(row, self.cols - count)
        row[self._col :] = [self._empty()] * count + row[self._col : self.cols - count]
        self._wrap = False

    def _delete_cells(self, count: int) -> None:
        row, count = self._grid[self._row], min(count, self.cols - self._col)
        self._split(row, self._col)
        self._split(row, self._col + count)
        row[self._col :] = row[self._col + count :] + [self._empty()] * count
        self._wrap = False

    # Erasing

    def _empty(self) -> Cell:
        return Cell(" ", Style(background=self._style.background))

    def _blank(self, rows: int) -> _Grid:
        return [[self._empty()] * self.cols for _ in range(rows)]

    def _fitted(self, grid: _Grid) -> _Grid:
        for row in grid:
            self._split(row, self.cols)
            row[self.cols :] = [Cell()] * (self.cols - len(row))
        return grid[: self.rows] + [[Cell()] * self.cols for _ in range(self.rows - len(grid))]

    def _split(self, row: list[Cell], col: int) -> None:
        """Blank a wide character that lies across the left edge of `col`: half of it is going."""
        if 0 < col < len(row) and row[col].text == "":
            row[col - 1 : col + 1] = [cell._replace(text=" ") for cell in row[col - 1 : col + 1]]

    def _erase(self, number: int, start: int, end: int) -> None:
        row, end = self._grid[number], min(end, self.cols)
        self._split(row, start)
        self._split(row, end)
        row[start:end] = [self._empty()] * (end - start)

    def _erase_line(self, part: int = 0) -> None:
        start, end = [(self._col, self.cols), (0, self._col + 1), (0, self.cols)][part]
        self._erase(self._row, start, end)

    def _erase_display(self, part: int = 0) -> None:
        start, end = [(self._row + 1, self.rows), (0, self._row), (0, self.rows), (0, 0)][part]
        if part < 2:
            self._erase_line(part)
        self._grid[start:end] = self._blank(end - start)

    # Attributes, modes, titles

    def _attributes(self, *params: int) -> None:
        codes, style = deque(params or (0,)), self._style
        while codes:
            code = codes.popleft()
            change = {_EXTENDED[code]: _colour(codes)} if code in _EXTENDED else _ATTRIBUTES[code]
            style = style._replace(**change)
        self._style = style

    def _set_modes(self, *modes: int) -> None:
        for mode in modes:
            if _MODES[mode] and mode not in self.modes:
                self._enter_alternate()
            self.modes.add(mode)

    def _reset_modes(self, *modes: int) -> None:
        for mode in modes:
            if _MODES[mode] and mode in self.modes:
                self._leave_alternate()
            self.modes.discard(mode)

    def _enter_alternate(self) -> None:
        self._save()
        self._saved_primary, self._primary = self._saved, self._grid
        self._grid = self._blank(self.rows)

    def _leave_alternate(self) -> None:
        self._grid, self._primary = self._primary or self._grid, None
        self._saved = self._saved_primary
        self._restore()

    def _set_insert(self, mode: int, on: bool = True) -> None:
        self._insert = on if _ANSI_MODES[mode] else self._insert

    def _pop_title(self) -> None:
        self.title = self._titles.pop() if self._titles else self.title

    def _designate(self, slot: int, charset: str) -> None:
        self._charsets[slot] = charset

    def _ring(self) -> None:
        self.bells += 1

    def _ignore(self, *_params: int) -> None:
        """Known, and of no effect on the cells."""


def _colour(codes: deque[int]) -> Colour:
    """The rest of 38;5;N or 38;2;R;G;B."""
    if {5: True, 2: False}[codes.popleft()]:
        return codes.popleft()
    return codes.popleft(), codes.popleft(), codes.popleft()


_KINDS: dict[str, Callable[[Screen, str], None]] = {
    "text": Screen._on_text,
    "control": lambda screen, token: _CONTROLS[token](screen),
    "escape": lambda screen, token: _ESCAPES[token[1:]](screen),
    "csi": Screen._on_csi,
    "osc": Screen._on_osc,
}

_CONTROLS: dict[str, Callable[[Screen], None]] = {
    "\0": Screen._ignore,  # padding
    "\a": Screen._ring,
    "\b": lambda screen: screen._go(screen._row, screen._col - 1),
    "\t": lambda screen: screen._go(screen._row, screen._col // 8 * 8 + 8),
    "\n": Screen._line_feed,
    "\r": lambda screen: screen._go(screen._row, 0),
    "\x0e": lambda screen: setattr(screen, "_shifted", 1),
    "\x0f": lambda screen: setattr(screen, "_shifted", 0),
}

_ESCAPES: dict[str, Callable[[Screen], None]] = {
    "7": Screen._save,
    "8": Screen._restore,
    "=": lambda screen: screen.modes.add(66),
    ">": lambda screen: screen.modes.discard(66),
    "M": Screen._reverse_feed,
    "g": Screen._ignore,  # the visible bell of screen and tmux
    "(B": lambda screen: screen._designate(0, "B"),
    "(0": lambda screen: screen._designate(0, "0"),
    ")B": lambda screen: screen._designate(1, "B"),
    ")0": lambda screen: screen._designate(1, "0"),
}

# Sequences of one number, which is 1 where it is left out or 0 ...
_COUNTED: dict[str, Callable[[Screen, int], None]] = {
    "@": Screen._insert_cells,
    "A": Screen._up,
    "B": Screen._down,
    "C": lambda screen, count: screen._go(screen._row, screen._col + count),
    "D": lambda screen, count: screen._go(screen._row, screen._col - count),
    "G": lambda screen, col: screen._go(screen._row, col - 1),
    "L": lambda screen, count: screen._delete_lines(-count),
    "M": Screen._delete_lines,
    "P": Screen._delete_cells,
    "S": lambda screen, count: screen._scroll(screen._top, count),
    "T": lambda screen, count: screen._scroll(screen._top, -count),
    "X": lambda screen, count: screen._erase(screen._row, screen._col, screen._col + count),
    "Z": lambda screen, count: screen._go(screen._row, (screen._col + 7) // 8 * 8 - 8 * count),
    "b": lambda screen, count: screen._on_text(screen._last * count),
    "d": lambda screen, row: screen._go(row - 1, screen._col),
}

# ... and those of several, or of a choice that starts at 0.
_SEQUENCES: dict[str, Callable[..., None]] = {
    "H": Screen._position,
    "J": Screen._erase_display,
    "K": Screen._erase_line,
    "h": Screen._set_insert,
    "l": lambda screen, mode: screen._set_insert(mode, False),
    "m": Screen._attributes,
    "r": Screen._margins,
    "t": lambda screen, *operation: _WINDOW[operation](screen),
    "?c": Screen._ignore,  # the linux console's cursor shape
    "?h": Screen._set_modes,
    "?l": Screen._reset_modes,
    "?s": lambda screen, *modes: [_MODES[mode] for mode in modes],  # kept, and restored by r
    "?r": lambda screen, *modes: screen._reset_modes(*modes),
}

_WINDOW: dict[tuple[int, ...], Callable[[Screen], None]] = {
    (22, 0, 0): lambda screen: screen._titles.append(screen.title),
    (22, 2): lambda screen: screen._titles.append(screen.title),
    (23, 0, 0): Screen._pop_title,
    (23, 2): Screen._pop_title,
}

# Cursor keys, flash, autowrap, cursor blink and show, mouse, focus, wheel, meta, alternate screen,
# paste.
_MODES = dict.fromkeys((1, 5, 7, 12, 25, 1000, 1002, 1003, 1004, 1006, 1007, 1034, 1049, 2004),
                       False) | {1049: True}
_ANSI_MODES = {4: True, 34: False}  # insert; the cursor of screen and tmux

# Titles (True), and the palette and cursor colours that curses resets.  Never 52, the clipboard.
_COMMANDS = {0: True, 1: False, 2: True, 4: False, 12: False, 104: False, 112: False}

_EXTENDED = {38: "foreground", 48: "background"}
# the attributes 1 to 9
_FLAGS = ("bold", "dim", "italic", "underline", "blink", "", "reverse", "hidden", "strike")
_ATTRIBUTES: dict[int, dict[str, Any]] = {number: {name: True}
                                          for number, name in enumerate(_FLAGS, 1) if name}
_ATTRIBUTES |= {number + 20: {name: False} for number, name in enumerate(_FLAGS, 1) if name}
# 10: the primary font
_ATTRIBUTES |= {0: Style()._asdict(), 10: {}, 22: {"bold": False, "dim": False}}
_ATTRIBUTES |= {39: {"foreground": None}, 49: {"background": None}}
del _ATTRIBUTES[21]  # double underline
for _first, _name in ((30, "foreground"), (40, "background")):
    _ATTRIBUTES |= {_first + number: {_name: number} for number in range(8)}
    _ATTRIBUTES |= {_first + 60 + number: {_name: number + 8} for number in range(8)}

_GRAPHICS = dict(zip("+,-.0`afghijklmnopqrstuvwxyz{|}~", "→←↑↓█◆▒°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·",
                     strict=True))

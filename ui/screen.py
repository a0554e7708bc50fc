"""screen: what the terminal shows, as a function of the menu and a size.

frame(menu, rows, cols) gives exactly `rows` rows of (text, style) runs, none wider than `cols`, and
the place of the cursor.  From the bottom: the input line; the hint, or instead of it an error or an
open invitation; the numbered items; the bar; above it the pane, and over its lower part the list of
names, if one is open.

If there is little room, one row is the input line, the second shows messages, the third the items,
the fourth the bar; the hint comes last.  Any size from 1x1 is fine; nothing raises.  Frame
characters are ASCII.  A style never says what the text does not.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from terminal.display import UNICODE, Ruler, display
from ui.entries import Row, Run, fitted, rule
from ui.names import counted
from ui.picker import Choice, Picker

if TYPE_CHECKING:
    from ui.menu import Menu

HINT_ROWS = 8           # with fewer rows there is no hint; errors and invitations show from 5 on
MENU_ROWS = 12          # with fewer rows the items take one row at most, and none beside a list of
                        # names or while the user reads back
ERROR_ROWS = 3          # of an error that one row can't hold, where there is room for a hint
LIST_KEEPS = 3          # rows of messages beside a list of names, if there are as many
NAME_COLUMN = 8         # cells for a name in a list, if none is longer
BELOW_MAX = 99          # rows below the view that are counted: to count a row, it must be wrapped
LIST_NAME_MAX = 40      # and at most: the names of a group are shortened


class Frame(NamedTuple):
    """A picture of the screen."""
    rows: list[Row]
    cursor: tuple[int, int]         # row and column, both inside


def frame(menu: Menu, rows: int, cols: int, ruler: Ruler = UNICODE) -> Frame:
    """The picture of a menu on a screen of this size."""
    rows, cols = max(1, rows), max(1, cols)
    entry, column = _input(menu, cols, ruler)
    foot = _foot(menu, rows, cols, ruler)
    height = rows - 1 - len(foot)
    tight = rows < 3 and _is_urgent(menu)
    above = _message(menu, cols, ruler) if tight else _above(menu, height, cols, ruler)
    blank: list[Row] = [()] * (height - len(above))
    return Frame([*blank, *above[:height], *foot, entry], (rows - 1, min(column, cols - 1)))


# ---- the input line ----

def _input(menu: Menu, cols: int, ruler: Ruler) -> tuple[Row, int]:
    """The prompt and what is typed, and the column of the cursor."""
    prompt = menu.prompt
    if ruler.width(prompt) + 1 > cols // 2:
        prompt = ruler.shorten(prompt[:-1], max(0, cols // 2 - 3)) + ">" if cols >= 8 else ""
    head: list[Run] = [(prompt, "prompt"), (" ", "")] if prompt else []
    used = sum(ruler.width(text) for text, _ in head)
    hidden = menu.desk.is_secret
    shown, column = ("", 0) if hidden else menu.desk.line.view(cols - used, ruler)
    return fitted((*head, (shown, "")), cols, ruler), used + column


# ---- between the messages and the input ----

def _foot(menu: Menu, rows: int, cols: int, ruler: Ruler) -> list[Row]:
    """The bar, the items and the hint: as many of them as there is room for."""
    is_reading = rows < MENU_ROWS and not menu.pane.at_end
    no_items = is_reading or (rows < MENU_ROWS and menu.desk.picker)
    items = [] if no_items else _items(menu, cols, 2 if rows >= MENU_ROWS else 1, ruler)
    message = _message(menu, cols, ruler, ERROR_ROWS if rows >= HINT_ROWS else 1)
    if rows < 3:
        return []
    if rows < 5:
        bar = [_bar(menu, cols, ruler)] if rows == 4 else []
        return [*bar, *(message if _is_urgent(menu) else items[:1])]
    if (rows < HINT_ROWS or is_reading) and not _is_urgent(menu):
        message = []
    return [_bar(menu, cols, ruler), *items, *message]


def _is_urgent(menu: Menu) -> bool:
    """Whether there is an error or an invitation: they need their row even on a small screen."""
    return bool(menu.error or menu.question)


def _message(menu: Menu, cols: int, ruler: Ruler, most: int = 1) -> list[Row]:
    """The row above the input: an error, which may take `most` rows, an invitation, or the hint."""
    if menu.error:
        text = _clauses(display(menu.error), cols, ruler)
        wrapped = ruler.wrap(text, cols, cols)[:most]
        return [((row, "alert"),) for row in ([ruler.clip(text, cols)] if most == 1 else wrapped)]
    forms = menu.question
    if forms:
        text = next((form for form in forms if ruler.width(form) <= cols), forms[-1])
        return [((ruler.clip(text, cols), "question"),)]
    return [((ruler.clip(_clauses(menu.hint, cols, ruler), cols), "hint"),)]


def _clauses(text: str, cols: int, ruler: Ruler) -> str:
    """As many clauses of a text as fit; semicolons separate them."""
    while ruler.width(text) > cols and "; " in text:
        text = text[:text.rindex("; ")]
    return text


def _items(menu: Menu, cols: int, most: int, ruler: Ruler) -> list[Row]:
    """The numbered items: in one row, in two, shorter, shortest, or not at all."""
    items = menu.items
    full = [(item.label, item.number) for item in items]
    half = (len(full) + 1) // 2
    short = [(f"{item.number} {item.short}", item.number) for item in items]
    dense = [(f"{item.number}{item.short}", item.number) for item in items]
    tiny = [(f"{item.number}{item.letter}", item.number) for item in items]
    for form in ([full], [full[:half], full[half:]], [short], [dense], [tiny]):
        if len(form) <= most and all(_width(row) <= cols for row in form):
            return [_row_of(row, menu.desk.selected) for row in form]
    return []


def _width(items: Sequence[tuple[str, int]]) -> int:
    """Cells of a row of items, with blanks between them."""
    return sum(len(text) + 1 for text, _ in items) - 1


def _row_of(items: Sequence[tuple[str, int]], selected: int) -> Row:
    """A row of items; the one with the number `selected` stands out."""
    runs: list[Run] = []
    for text, number in items:
        runs += [(text, "chosen" if number == selected else "menu"), (" ", "")]
    return tuple(runs[:-1])


def _bar(menu: Menu, cols: int, ruler: Ruler) -> Row:
    """`= alice@lab = menu = 4 online, 1 busy = 2 waiting ===`

    What does not fit is left out, the count of users first."""
    name, where = display(menu.link.name), menu.where
    house = f"{name}@{display(menu.link.house)}" if name and menu.link.house else name
    house += " (your own)" if menu.link.hides_host else ""
    online, waiting = "", ""
    if menu.link.online:
        online = menu.talk.people.here.summary
        waiting = f"{menu.link.waiting} waiting" if menu.link.waiting else ""
        if menu.link.ask.holding:
            waiting = f"holding, {waiting}" if waiting else "holding"
        if menu.talk.away.own:
            waiting = f"away, {waiting}" if waiting else "away"
    news = menu.talk.conversations.summary
    forms = [(house, where, news, online, waiting), (house, where, news, waiting),
             (name, where, news, waiting), (where, news, waiting), (where, news), (where,)]
    texts = ["= " + " = ".join(part for part in form if part) + " =" for form in forms]
    text = next((text for text in texts if ruler.width(text) <= cols), texts[-1])
    text = ruler.clip(text, cols)
    return ((text + "=" * (cols - ruler.width(text)), "bar"),)


# ---- the messages, and the lists ----

def _above(menu: Menu, height: int, cols: int, ruler: Ruler) -> list[Row]:
    """The pane, and a list of names over its lower part, if one is open."""
    if height < 1:
        return []
    picker = menu.desk.picker
    listing = _list(picker, height, cols, ruler) if picker else []
    return _pane(menu, height - len(listing), cols, ruler) + listing


def _pane(menu: Menu, height: int, cols: int, ruler: Ruler) -> list[Row]:
    """The messages, and a rule that says how many rows are below."""
    pane = menu.pane
    if pane.at_end or height < 2:
        return pane.view(cols, height)
    rows = pane.view(cols, height - 1)
    if pane.at_end:                                 # it was the last page
        return pane.view(cols, height)
    below = pane.below(BELOW_MAX + 1)
    number = f"{BELOW_MAX}+ more rows" if below > BELOW_MAX else counted(below, "more row")
    return [*rows, rule(f"{number} below", cols, "new", ruler)]


def _list(picker: Picker, height: int, cols: int, ruler: Ruler) -> list[Row]:
    """The title, and as many choices around the cursor as fit."""
    most = max(1, height - (LIST_KEEPS if height > 3 * LIST_KEEPS else 0) - 1)
    names = [choice.name for choice in picker.shown]
    at = names.index(picker.cursor) if picker.cursor else 0
    start = max(0, min(at - most // 2, len(names) - most))
    seen = picker.shown[start:start + most]
    widest = max((ruler.width(choice.label) for choice in picker.shown[:1000]), default=0)
    column = min(max(NAME_COLUMN, widest), LIST_NAME_MAX, max(1, cols // 2))
    rows = [_choice(picker, choice, column, cols, ruler) for choice in seen]
    if not rows:
        rows = [fitted((("  no such name", "hint"),), cols, ruler)]
    return ([_title(picker, cols, ruler), *rows] if height > 1 else rows)[:height]


def _title(picker: Picker, cols: int, ruler: Ruler) -> Row:
    """`= send to several: mark who gets it ==== 2 of 6 marked =`"""
    if picker.pick.several:
        number = f"{len(picker.marked)} of {picker.total} marked"
    elif picker.total.isdigit():
        number = counted(len(picker.all), "choice")
    else:
        number = f"{picker.total} choices"
    left, right = f"= {picker.pick.title} =", f" {number} ="
    if len(left) + len(right) > cols:
        right = ""
    left = ruler.clip(left, cols)
    return ((left + "=" * (cols - len(left) - len(right)) + right, "bar"),)


def _choice(picker: Picker, choice: Choice, column: int, cols: int, ruler: Ruler) -> Row:
    """`> [x] erin     available`"""
    is_here = choice.name == picker.cursor
    mark = ""
    if picker.pick.several:
        mark = "[x] " if choice.name in picker.marked else "[ ] "
    label, note = choice.label, ""
    if choice.note:
        label, note = ruler.pad(ruler.shorten(label, column), column), " " + choice.note
    return fitted((("> " if is_here else "  ", "prompt"), (mark, ""),
                   (label, "chosen" if is_here else ""), (note, "")), cols, ruler)

"""keymap: what a key does, beyond editing the line.

action() looks a key up in the tables: first what it does while the line is empty, or among the
numbered items, then in a list of names while one is open, then everywhere.  No state is kept here.
"""
from __future__ import annotations

from terminal.keys import Key, Paste
from ui import commands, items
from ui.desk import Action, Desk, Mode
from ui.modes import ADDRESSING, MODES
from ui.words import TOO_LONG


def enter(desk: Desk) -> str:
    return MODES[desk.mode].enter(desk)


def complete(desk: Desk) -> str:
    """Complete the word before the cursor."""
    if desk.is_secret:
        return ""
    desk.deselect()
    if desk.mode is Mode.MENU and not desk.line.text:
        desk.line.insert("@")               # offers the name that was heard last
    desk.line.complete(commands.offers(desk))
    return ""


def newline(desk: Desk) -> str:
    """Begin another row of a text."""
    if desk.mode not in ADDRESSING or desk.selected:
        return ""
    return "" if desk.line.insert("\n") else TOO_LONG


def show_help(desk: Desk) -> str:
    desk.deselect()
    return commands.show_help(desk)


def toggle(desk: Desk) -> str:
    """Mark a name in the list, or unmark it."""
    if desk.picker and desk.picker.pick.several:
        desk.picker.toggle()
        desk.line.set("")
    return ""


def up(desk: Desk) -> str:
    return _move(desk, -1)


def down(desk: Desk) -> str:
    return _move(desk, 1)


def _move(desk: Desk, rows: int) -> str:
    if desk.picker:
        desk.picker.move(rows)
    return ""


def row_up(desk: Desk) -> str:
    fault = desk.talk.past.older() if desk.pane.at_start else ""
    desk.pane.scroll(-1)
    return fault


def row_down(desk: Desk) -> str:
    desk.pane.scroll(1)
    return ""


def page_up(desk: Desk) -> str:
    fault = desk.talk.past.older() if desk.pane.at_start else ""
    desk.pane.page(-1)
    return fault


def page_down(desk: Desk) -> str:
    desk.pane.page(1)
    return ""


def to_oldest(desk: Desk) -> str:
    desk.pane.to_start()
    return ""


def to_newest(desk: Desk) -> str:
    desk.pane.to_end()
    return ""


ARROWS = {"<Left>": -1, "<Up>": -1, "<Right>": 1, "<Down>": 1}      # steps among the items
OLDER = {"<Up>", "<C-p>"}                           # an older line, while no item is selected
SAME_KEYS = {"<C-p>": "<Up>", "<C-n>": "<Down>"}    # in the history
EMPTY_KEYS: dict[str, Action] = {"<Home>": to_oldest, "<End>": to_newest}     # in an empty line
ITEM_KEYS: dict[str, Action] = {"?": show_help}     # where no text can begin
PICK_KEYS: dict[str, Action] = {
    "<Up>": up, "<Down>": down, "<C-p>": up, "<C-n>": down, "<WheelUp>": up, "<WheelDown>": down,
    " ": toggle,
}
KEYS: dict[str, Action] = {
    "<Enter>": enter, "<Esc>": Desk.back, "<Tab>": complete,
    "<PageUp>": page_up, "<PageDown>": page_down, "<M-<>": to_oldest, "<M->>": to_newest,
    "<WheelUp>": row_up, "<WheelDown>": row_down, "<M-Enter>": newline,
    "<F1>": commands.show_help, "<C-c>": Desk.interrupt,
    "<M-a>": commands.next_news, "<M-r>": commands.reply_all,
    "<M-7>": commands.accept, "<M-8>": commands.deny, "<M-9>": commands.withdraw,
}


def selects(desk: Desk, key: str) -> bool:
    """Select an item with this key, or make another use of the one that is selected; whether the
    key is done with then."""
    if desk.mode is Mode.TALK:
        return _selects_in_talk(desk, key)
    if not desk.is_at_items or desk.text:
        return False
    if _select(desk, key):
        return True
    if len(key) == 1 or key == "<Backspace>":       # typing replaces the echo
        desk.deselect()
    return False


def _selects_in_talk(desk: Desk, key: str) -> bool:
    """A digit in an empty line selects an item; another character behind it makes a text of it."""
    number = desk.selected
    if not desk.line.text:
        return len(key) == 1 and _select(desk, key)
    if number and (len(key) == 1 or key == "<Backspace>"):
        desk.deselect()
        if key == "<Backspace>":
            return True
        desk.line.set(str(number))
    return False


def _select(desk: Desk, key: str) -> bool:
    """A digit or an arrow selects an item, and the line echoes it; whether the key did."""
    numbers = [item.number for item in items.choices(desk)]
    if key in ARROWS:
        step = ARROWS[key]
        if desk.selected not in numbers and key in OLDER:
            return False
        at = numbers.index(desk.selected) if desk.selected in numbers else -1 if step > 0 else 0
        number = numbers[(at + step) % len(numbers)]
    elif len(key) == 1 and key in "0123456789" and int(key) in numbers:
        number = int(key)
    else:
        return False
    if item := items.choice(desk, number):
        desk.select(number, item.label)
    return True


def begins_anew(key: Key) -> bool:
    """Whether a key begins another line in place of one that was refused.  A blank goes on with
    it: `/find` was only too short."""
    return isinstance(key, Paste) or (len(key) == 1 and key != " ")


def action(desk: Desk, key: str) -> Action | None:
    """What a key does here, unless it edits the line."""
    if not desk.line.text and key in EMPTY_KEYS:
        return EMPTY_KEYS[key]
    if desk.is_at_items and not desk.text and key in ITEM_KEYS:
        return ITEM_KEYS[key]
    return (PICK_KEYS.get(key) if desk.mode is Mode.PICK else None) or KEYS.get(key)

"""completed: the line that a user of --plain meant, who typed the beginning of a name.

Only whole names count (the specifications want others rejected), and a listener cannot see a list
that filters.  So after a refusal the whole line is offered, with the one name that begins so, and
an empty line takes it.  Pure.
"""
from __future__ import annotations

from ui.commands import is_all
from ui.desk import Desk
from ui.names import addressees, split_names
from wire import ROOM_SIGN


def completed(desk: Desk, line: str) -> str:
    """The same line with each name in full; "" if one of them is of nobody, or of several."""
    if desk.picker:
        names = split_names(line)
        whole = [_in_full(desk, name) for name in names]
        return ",".join(whole) if names and all(whole) else ""
    if not line.startswith("@"):
        return ""
    names, rest = addressees(line[1:])
    whole = [_in_full(desk, name) for name in names]
    if rest is None or not names or is_all(names) or not all(whole):
        return ""
    return f"@{','.join(whole)} {rest}"


def _in_full(desk: Desk, name: str) -> str:
    """The name that begins so, if it is one: of the list that is open, or of the log."""
    here = desk.talk.people.here
    if desk.picker:
        known = [choice.name for choice in desk.picker.all]
        found = [other for other in known if other.lower().startswith(name.lower())]
        exact = [other for other in found if other.lower() == name.lower()]
        return (exact or (found if len(found) == 1 else [""]))[0]
    if here.spelled(name) or name.startswith(ROOM_SIGN):
        return here.spelled(name)
    found = desk.talk.people.others(here.beginning(name.lower(), 3))
    return here.spelled(found[0]) if len(found) == 1 else ""

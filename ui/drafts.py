"""drafts: the texts that the user has begun, when the session ends: the next one has them again.

A session ends by Exit, by a signal, with its terminal, or because it moved elsewhere (/take).  A
passphrase and a name at the login are no drafts, nor is a command.  Pure, but for leave().
"""
from __future__ import annotations

import contextlib

from client.archive import ArchiveError
from client.unsent import Draft
from ui.desk import Desk, Mode


def drafts(desk: Desk) -> list[Draft]:
    """The texts, and for whom each of them is, the one in the line first."""
    chat = desk.talk.chatting.chat
    whom = {
        Mode.MENU: "", Mode.TALK: desk.talk.conversations.open,
        Mode.WRITE: "all" if desk.draft.is_to_all else ",".join(desk.draft.to),
        Mode.CHAT: ",".join(chat.others) if chat else ""}
    found = [Draft("", desk.paste)]
    if desk.typing_in in whom and _is_text(desk):
        found.append(Draft(whom[desk.typing_in], desk.text))
    found += [Draft(whom[mode], text) for mode, text in desk.kept.items()]
    found += [Draft(to, text) for to, text in desk.talk.conversations.drafts.items()]
    return [draft for draft in found if draft.text.strip()]


def _is_text(desk: Desk) -> bool:
    """Whether the line is to be sent: no command, and at the menu no item."""
    text = desk.text.strip()
    return not text.startswith("/") and (desk.typing_in is not Mode.MENU or " " in text)


def leave(desk: Desk) -> None:
    """Keep them; what cannot be kept is lost, as it always was."""
    with contextlib.suppress(ArchiveError):
        desk.link.unsent.draft(drafts(desk))

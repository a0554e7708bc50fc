"""earlier: what the user's earlier sessions left: messages without an answer, unfinished texts.

Messages are offered once the user is in and the log of names is here: /send-again sends them, with
the ids that they had, and /drop does not.  A text that was begun for one user or room is there
again in that conversation; the others go into the history of the line.  Pure; nothing raises.
"""
from __future__ import annotations

from client.events import Left, Online
from client.history import Sent
from client.link import Link
from client.unsent import Draft
from terminal.display import UNICODE, display
from ui.conversations import Conversations
from ui.entries import clock
from ui.feed import Feed, Hears
from ui.messages import Messages
from ui.names import addressees, counted, listed
from ui.people import People
from ui.requests import REFUSALS
from wire import Roster, is_name, is_room

SHOWN = 20              # messages that are shown; more are counted
NAMED = 3               # conversations with an unfinished text that are named
WORDS = 40              # cells of a text that say which one it is


class Earlier:
    """What is left, until the user has decided."""

    def __init__(self, link: Link, people: People, feed: Feed, messages: Messages,
                 conversations: Conversations) -> None:
        self.link, self.people, self.feed = link, people, feed
        self.messages, self.conversations = messages, conversations
        self._is_in = False                     # the user, and the log of names is here
        self._untold: list[Left] = []           # until then
        self._texts: list[str] = []             # for the history of the line
        self.hears: Hears = {Online: self.on_online, Left: self.on_left, Roster: self.on_roster}

    def on_online(self, _: Online) -> None:
        self._is_in = False

    def on_left(self, event: Left) -> None:
        self._untold.append(event)
        if self._is_in:
            self._tell()

    def on_roster(self, event: Roster) -> None:
        if event.last and not event.request and not self._is_in:
            self._is_in = True
            self._tell()

    def take_texts(self) -> list[str]:
        """The unfinished texts that belong to no conversation."""
        texts, self._texts = self._texts, []
        return texts

    # ---- what there is ----

    def _tell(self) -> None:
        untold, self._untold = self._untold, []
        if drafts := [draft for left in untold for draft in left.drafts]:
            self._tell_drafts(drafts)
        if any(left.sends for left in untold):
            self._offer(self.link.left.sends)

    def _tell_drafts(self, drafts: list[Draft]) -> None:
        places, readers = [], dict[str, None]()
        for draft in drafts:
            if is_name(draft.to) or is_room(draft.to):
                self.conversations.begun(draft.to, draft.text)
                places.append(draft.to)
                readers.update(dict.fromkeys(_readers(draft)))
            else:
                self._texts.append(draft.text)
        for_whom = (f" to {listed([*readers], NAMED)} (/with {display(places[0])})" if places
                    else "")
        up = f"{' and' if places else ''} {counted(len(self._texts), 'text')} (Up)"
        self.feed.note("what you had begun to type is here again:" + for_whom
                       + up * bool(self._texts))

    def _offer(self, sends: list[Sent]) -> None:
        rows = [(f"{clock(send.time, '%-d %b %H:%M')} to {self._whom(send)}",
                 UNICODE.shorten(display(" ".join(send.text.split())), WORDS))
                for send in sends[:SHOWN]]
        if len(sends) == 1:
            self.feed.note(f"1 message of yours was not acknowledged, of {': '.join(rows[0])}; "
                           "/send-again sends it, /drop does not", "alert")
            return
        more = f", of which these are the first {SHOWN}" if len(sends) > SHOWN else ""
        self.feed.show(f"{len(sends)} messages of yours were not acknowledged{more}; /send-again "
                       "sends them, /drop does not:", rows, beside=False)

    def _whom(self, send: Sent) -> str:
        return self.people.beside(send.to) if send.to else "all"

    # ---- what becomes of it ----

    def again(self) -> str:
        """Send the messages; a fault, or ""."""
        if not self.link.left.sends:
            return "no message of an earlier session waits to be sent"
        try:
            sends = self.link.left.again()
        except REFUSALS as fault:
            return str(fault)
        for send in sends:
            self.messages.on_the_way(send)
        return ""

    def drop(self) -> str:
        """Do not send them."""
        if not self.link.left.sends:
            return "no message of an earlier session waits to be sent"
        dropped = counted(len(self.link.left.drop()), "message")
        self.feed.note(f"{dropped} dropped; /history has what was not sent, with a .")
        return ""


def _readers(draft: Draft) -> list[str]:
    """To whom a text goes that was begun in a conversation: `@carol hi` to carol."""
    text = draft.text
    names = addressees(text[1:])[0] if text.startswith("@") and text[1:2] != "@" else []
    return names or [draft.to]

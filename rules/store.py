"""store: what the rules know of the mailbox, on one page.

The rules are given a `Store`, and know nothing else of what is behind it.  mailbox.Mailbox is one:
mypy holds it to this page.  tests/rules/test_store.py has another, which keeps all in memory.

A name is a `store.user.User`.  The rules read `number` (its place in `users`), `name`, `last_seen`,
`settings`, `waiting` (unread messages), `newest` (no id above this one waits; 0: none does),
`is_vague()` and, for the quotas, `sealed` and `tail`; they change none of it.  A run of messages is
a `store.mail.Mail`.

Ids are numbers above 0 that only grow, of messages and of everything else that is stored.  Origins
are a sender's own ids: its instance << 32 | a counter.  Times are microseconds since 1970.  Sizes
are bytes of text, in UTF-8.

What changes the store is durable when the seq that was `last` after it is settled.  Until then the
disk can refuse it: then the daemon tells the rules what the batch held, as a `RefusedBatch`.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from net.texts import ROOM_SIGN
from store.census import Census
from store.fanout import Fanout
from store.mail import Mail
from store.user import Range, User


class Setting:
    """What the rules keep about a user, by kind (Store.set).  Numbers are never used again;
    parley-store(5) has the layouts."""
    OWNER = 1       # the uid that first used the name at a Unix socket, or that of its login
    CLAIM = 2       # what a passphrase is verified with
    IGNORED = 3     # the users that this one does not want to hear
    STATUS = 24     # what the user says of being away
    RETIRED = 16    # when the operator retired the name
    # of rooms, which are kept like names (rooms.py)
    ROOM = 17       # of a room: who may join, who keeps it, the topic; without it, it is closed
    ADMITTED = 18   # of a room: the users who may join
    ROOMS = 19      # of a user: the rooms of which it is a member


def is_room(user: User) -> bool:
    """Whether this is a room (rooms.py), which the store keeps like a name."""
    return user.name[0] == ROOM_SIGN


class Store(Protocol):
    """Names, and the messages that wait for each."""

    @property
    def store(self) -> bytes:
        """16 bytes that no other store has."""

    census: Census
    """Whose messages wait, and how many bytes of one login's may."""

    @property
    def users(self) -> Sequence[User]:
        """The log of names, by number.  A new name is added at its end; a name that the disk
        refused is taken from there."""

    @property
    def last(self) -> int:
        """The highest id that was given."""

    @property
    def refusal(self) -> str | None:
        """Why no message, name or setting is taken now, in words for users; None: all are taken.
        While it is set, `register`, `set` and `put_run` raise mailbox.Full: ask first."""

    @property
    def fanout(self) -> Fanout:
        """The message that is on its way into very many queues."""

    def find(self, name: str) -> User | None:
        """The user of this name, whatever its case."""

    def register(self, name: str, now: int) -> User:
        """A new user."""

    def seen(self, user: User, now: int) -> None:
        """The user was here."""

    def set(self, user: User, kind: int, value: bytes) -> None:
        """Keep this setting; an empty value removes it."""

    def known(self, sender: User, origin: int) -> Range:
        """The first range of the sender's origins, at or after this one, that were put already;
        beyond the instance if there is none."""

    def put_run(self, sender: User, first: int, now: int, recipients: Sequence[User], flags: int,
                body: bytes, spread: bool = False, heading: bytes = b"") -> Mail:
        """Queue messages with consecutive origins for each recipient.  `body` holds their texts
        (net/bodies.py), `heading` says to whom they were addressed (store/headings.py).
        With `spread` the recipients must be in the order of their numbers, and
        their queues have it when `fanout.step` has been called until it was False; until then no
        other may be put so, and `fanout.reach` comes before a look at a user's own fields.
        wire.SendFlag.EVERYONE does not say that the recipients are all, but they are in the order
        of their numbers."""

    def unread(self, user: User, after: int, upto: int, most: int, size: int, /) -> list[Mail]:
        """The next unread messages with after < id <= upto: `most` messages and `size` bytes at
        most, but one message whatever its size."""

    def unreadable(self, user: User) -> int:
        """How many of the waiting messages the disk does not give back."""

    def read(self, user: User, first: int, last: int) -> list[Mail]:
        """Take all messages with first <= id <= last out of the user's queue.  Returns those that
        were in it, in the order of their ids."""

    def kept(self, first: int, last: int) -> Sequence[Range]:
        """The parts of this range of ids that no power cut has taken: whatever had one of these
        ids was on the disk."""


class RefusedBatch(Protocol):
    """What the disk refused of one turn.  It is taken back already; reads are not among it."""

    @property
    def reason(self) -> str: ...

    @property
    def mails(self) -> Sequence[Mail]: ...

    @property
    def users(self) -> Sequence[User]: ...

    @property
    def settings(self) -> Sequence[tuple[User, int]]: ...

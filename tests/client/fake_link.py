"""A link that does what a test says: no socket, no daemon; what was asked of it is written down."""
from collections.abc import Callable, Sequence
from typing import Any

import wire
from client.archive import ArchiveError
from client.events import NameRefused, Offline, Online, OtherStore, Over
from client.history import Sent
from client.known import Known
from client.past import Found, Steps, is_with
from client.rooms import AskingRooms, Rooms
from client.unsent import Unsent
from terminal.display import fold
from ui.desk import Mode
from ui.menu import Menu

NOON = 1_795_262_400_000_000        # 21 November 2026 12:00 UTC, a Saturday
AWAY, FREE, BUSY = wire.Presence


class FakeRooms(Rooms, AskingRooms):
    """What a Link knows of rooms, and what it asks about them."""

    def __init__(self, ask: Callable[..., int]) -> None:
        Rooms.__init__(self)
        AskingRooms.__init__(self, ask, lambda feature: None)


class FakeLink:
    """Has a Link's face."""

    def __init__(self, name: str = "alice") -> None:
        self.name, self.house = name, ""
        self.online = self.holding = self.hides_host = False
        self.roster = Known()
        self.rooms = FakeRooms(self._ask)
        self.ask = self         # its requests are here as well
        self.archive = self
        self.unsent = Unsent("", 0)
        self.left: Any = self
        self.recalled: list[wire.Mail] = []     # lines of rooms that the archive was given
        self.sends: list[Sent] = []         # left by an earlier session
        self.waiting = 0
        self.granted = wire.Feature.IGNORE | wire.Feature.ROOMS
        self.logins: set[str] = set()           # that the daemon takes mail for
        self.pending: dict[int, object] = {}
        self.retry_at: float | None = None
        self.sock: Any = None
        self.asked: list[tuple[Any, ...]] = []
        self._numbers = 0
        self.pauses = 0             # of a search
        self.above: list[Any] = []  # what stands above what was shown before
        self.read: Sequence[Any] | None = ()    # what was shown before; None: it can't be read
        self.top: int | None = None     # the place of the first that is shown at the start

    def _ask(self, *what: Any) -> int:
        self._numbers += 1
        self.asked.append(what)
        return self._numbers

    def tail(self, n: int, name: str = "") -> tuple[int | None, list[Any]]:
        if self.read is None:
            raise ArchiveError("can't keep messages")
        return self.top, [record for record in self.read if not name or is_with(record, name)][-n:]

    def last(self, n: int, name: str = "") -> list[Any]:
        return self.tail(n, name)[1]

    def between(self, begin: int, end: int, n: int, name: str = "") -> Steps[list[Any]]:
        for _ in range(self.pauses):
            yield None
        return [record for record in self.last(n, name) if begin <= record.time < end]

    def find(self, text: str, above: int | None = None) -> Found | None:
        """Its places are numbers of messages."""
        for place, record in reversed([*enumerate(self.read or ())][:above]):
            if text.casefold() in record.text.casefold():
                return Found(place, record, [record])
        return None

    def finding(self, text: str, above: int | None = None) -> Steps[Found | None]:
        for _ in range(self.pauses):
            yield None
        return self.find(text, above)

    def tailing(self, n: int, name: str, end: int | None = None
                ) -> Steps[tuple[int | None, list[Any]]]:
        for _ in range(self.pauses):
            yield None
        if end is None:
            return self.tail(n, name)
        records = [record for record in self.above[:end] if not name or is_with(record, name)][-n:]
        return (self.above.index(records[0]) if records else 0), records

    def accept(self) -> None:
        self.asked.append(("accept",))

    def knows(self, name: str) -> bool:
        return name in self.logins

    def connect(self, take: bool = False) -> None:
        self.asked.append(("connect", *["take"] * take))

    def rename(self, name: str) -> None:
        self.name = name

    def send(self, to: Any, text: str, flags: int = 0) -> list[int]:
        number = self._ask("send", tuple(to), text, int(flags))
        self.pending[number] = text
        return [number]

    def again(self) -> list[Sent]:
        taken, self.sends = self.sends, []
        self.pending.update((send.id, send.text) for send in taken)
        return taken

    def recall(self, mails: Sequence[wire.Mail]) -> None:
        self.recalled = list(mails)

    def drop(self) -> list[Sent]:
        taken, self.sends = self.sends, []
        return taken

    def check(self) -> int:
        return self._ask("check")

    def hold(self, on: bool) -> int:
        return self._ask("hold", on)

    def list(self) -> int:
        return self._ask("list")

    def away(self, text: str) -> int:
        return self._ask("away", text)

    def ignore(self, name: str, on: bool) -> int:
        return self._ask("ignore", name, on)

    def list_ignored(self) -> int:
        return self._ask("list_ignored")

    def invite(self, to: Any) -> int:
        return self._ask("invite", tuple(to))

    def say(self, chat: int, text: str) -> int:
        return self._ask("say", chat, text)

    def answer(self, invitation: int, accept: bool) -> None:
        self.asked.append(("answer", invitation, accept))

    def withdraw(self, invitation: int) -> None:
        self.asked.append(("withdraw", invitation))

    def exit(self) -> None:
        self.asked.append(("exit",))


class Play:
    """A menu on a fake link: keys in, events in, words out."""

    def __init__(self, name: str = "alice", offered: str = "") -> None:
        self.link = FakeLink(name)
        self.menu = Menu(self.link, name=name, offered=offered)      # type: ignore[arg-type]
        self.now = NOON

    def online(self, *names: str, away: tuple[str, ...] = (), waiting: int = 0,
               again: bool = False) -> "Play":
        """Welcomed, and the log is here."""
        self.link.online, self.link.house, self.link.waiting = True, "lab", waiting
        welcome = wire.Welcome(1, int(wire.Feature.ROSTER), bytes(16), bytes(16), 0, waiting,
                               self.link.name, "lab")
        self.hear(Online(welcome, again))
        self.roster(**dict.fromkeys((self.link.name, *names), FREE), **dict.fromkeys(away, AWAY))
        return self

    def roster(self, **states: int | tuple[int, int]) -> None:
        """Changes of the log: name=state, or name=(state, chat)."""
        entries = []
        for name, given in states.items():
            state, chat = (given, 0) if isinstance(given, int) else given
            entries.append(wire.Entry(name.replace("_", "."), state, 0, NOON, chat))
        said = wire.Roster(0, 1, tuple(entries))
        self.link.roster.hear(said)
        self.hear(said)

    def listed(self, request: int) -> None:
        """The answer to LIST."""
        log = self.link.roster
        self.hear(wire.Roster(request, 1, tuple(map(log.entry, log.order))))

    def hear(self, *events: Any) -> None:
        for event in events:
            self.menu.hear(event, self.now)

    def press(self, *keys: Any) -> None:
        for key in keys:
            self.menu.press(key, self.now)

    def type(self, text: str, *keys: str) -> None:
        self.press(*text, *keys)

    def enter(self, text: str) -> None:
        self.type(text, "<Enter>")

    def own_rooms(self, *rooms: wire.RoomEntry, request: int = 0) -> None:
        """What the daemon tells of rooms."""
        said = wire.Rooms(request, 1, rooms)
        self.link.rooms.hear(said)
        self.hear(said)

    def mail(self, number: int, sender: str, text: str, flags: int = 0,
             copies: int = 1) -> wire.Mail:
        mail = wire.Mail(number, self.now, number, flags, copies, sender, text)
        self.hear(mail)
        return mail

    @property
    def prompt(self) -> str:
        return self.menu.prompt

    @property
    def text(self) -> str:
        """What stands in the line."""
        return self.menu.desk.line.text

    @property
    def mode(self) -> Mode:
        return self.menu.desk.mode

    @property
    def error(self) -> str:
        return self.menu.error

    @property
    def lines(self) -> list[str]:
        """What the pane says, without times."""
        return ["\n".join(row for line in entry.lines() for row in fold(line)).split(" ", 1)[1]
                for entry in self.menu.pane.entries]

    @property
    def last(self) -> str:
        return self.lines[-1]

    @property
    def asked(self) -> list[tuple[Any, ...]]:
        """What was asked of the link since the last look."""
        asked, self.link.asked = self.link.asked, []
        return asked


__all__ = ["AWAY", "BUSY", "FREE", "NOON", "FakeLink", "NameRefused", "Offline", "Online",
           "OtherStore", "Over", "Play"]

"""A whole daemon in the test's own process: real sockets, real store, no loop of its own and no
real time.

    with Service() as service:
        ann, bob = service.client("ann"), service.client("bob")
        ann.say(wire.Send(ann.id(), 0, ("bob",), "hi"))
        bob.hears(wire.Mail, sender="ann", text="hi")

Each `say` and `hears` turns the daemon's loop by hand until nothing is ready, so a test never
waits: what has not come then never comes.
"""
import json
import os
import shutil
import socket
import tempfile
from typing import Any, TypeVar
from unittest import mock

import daemon as daemon_module
import wire
from daemon import Daemon
from mailbox import Mailbox
from rules.claims import TRUSTING, Identity
from rules.state import Caller, Now
from server.console import Console
from server.cuts import GOING
from server.fairness import TICK
from server.handover import Handover, read_connection
from server.log import NOTES
from server.options import Limits
from server.takeover import take_over
from store.disk import Disk

M = TypeVar("M")
TURNS_MAX = 10_000          # more without coming to rest is a loop that spins
BACKGROUND = (wire.Roster, wire.Waiting)        # come whenever something changes


class Clock:
    """Time that passes only when a test says so."""

    def __init__(self) -> None:
        self.wall = 1_800_000_000_000_000
        self.monotonic = 1000.0

    def __call__(self) -> Now:
        self.wall += 1
        return Now(self.wall, self.monotonic)

    def forward(self, seconds: float) -> None:
        self.wall += int(seconds * 1e6)
        self.monotonic += seconds


class Notes(Console):
    """A console that remembers what it was told, and holds the caller to the table of notes."""

    def __init__(self) -> None:
        super().__init__("none", -1, lambda: 0)
        self.told: list[tuple[str, dict[str, object]]] = []

    is_silent = False

    def note(self, event: str, **fields: object) -> None:
        assert set(fields) == set(NOTES[event][0].split()), \
            f"{event} has other fields in the table: {sorted(fields)}"
        self.told.append((event, fields))
        if event in GOING:          # who was put out, as the operator is told
            self.count(event, fields)

    def events(self, event: str) -> list[dict[str, object]]:
        return [fields for told, fields in self.told if told == event]


class Service:
    """A daemon on a store in a directory that goes with it."""

    def __init__(self, limits: Limits | None = None, backend: str | None = None,
                 identity: Identity = TRUSTING, disk: Disk | None = None) -> None:
        self.directory = tempfile.mkdtemp(prefix="parley-test-")
        self.store = self.directory + "/store"
        self.limits = limits or Limits(1000, strangers=1000, strangers_each=1000,
                                       everyone_seconds=0, new_names=0)
        self.backend, self.disk = backend, disk
        self.identity = identity
        self.clock = Clock()
        self.clients: list[Client] = []
        self.start()

    def start(self) -> None:
        self.notes = Notes()
        self.mailbox = Mailbox(self.store, self.disk, backend=self.backend)
        self.daemon = Daemon(self.mailbox, self.notes, self.limits, house="test", clock=self.clock,
                             identity=self.identity)

    def stop(self) -> None:
        """As on SIGTERM."""
        self.daemon.stop()

    def crash(self) -> None:
        """As after kill -9: nothing is written or said any more."""
        for connection in list(self.daemon.connections.values()):
            connection.sock.close()
        self.mailbox._journals.current.close()
        self.mailbox._shelf.close()
        self.mailbox.disk.close(self.mailbox._lock)

    def restart(self) -> None:
        self.crash()
        self.start()

    def upgrade(self) -> None:
        """As on USR2, but for exec(2): another daemon goes on with the descriptors and with what
        this one says of them."""
        self.run()
        before, documents = self.daemon, list[Any]()
        upgrade = before.operations.upgrade
        with mock.patch.object(upgrade, "become", documents.append), \
                mock.patch("server.upgrade.LOOK_SECONDS", 0.0):
            upgrade.go()
        handed = json.loads(json.dumps(documents[0]))
        for connection in handed["connections"]:
            connection["fd"] = os.dup(connection["fd"])
        told = self.notes.told
        self.crash()
        before.selector.close()
        self.start()
        self.notes.told = told                  # one log
        handover = Handover(handed, read_connection)
        self.daemon.operations.upgrade.ended(handover, take_over(self.daemon, handover))

    def __enter__(self) -> "Service":
        return self

    def __exit__(self, *_: object) -> None:
        for client in self.clients:
            client.sock.close()
        self.crash()
        self.daemon.doors.close()
        self.daemon.selector.close()
        shutil.rmtree(self.directory)

    def run(self) -> None:
        """Turn the loop until there is nothing to do.  For those who have had their share of it,
        time passes."""
        for _ in range(TURNS_MAX):
            self.daemon.turn(0)
            if not self.daemon.selector.select(0) and self.daemon._timeout(None):
                if self.daemon.fairness.rate or not self.daemon.unfinished.resting:
                    return
                self.clock.forward(TICK)
        raise AssertionError("the loop does not come to rest")

    def forward(self, seconds: float) -> None:
        """Let time pass, and the daemon notice."""
        self.clock.forward(seconds)
        self.run()

    def connect(self, caller: Caller = Caller("test:1")) -> "Client":       # noqa: B008
        """A connection that has said nothing yet."""
        ours, theirs = socket.socketpair()
        client = Client(self, ours)
        self.clients.append(client)
        self.daemon.adopt(theirs, "test", caller)
        return client

    def client(self, name: str, features: int = wire.Feature.ROSTER | wire.Feature.RECEIPTS,
               token: bytes = bytes(16),
               caller: Caller = Caller("test:1")) -> "Client":      # noqa: B008
        """A client that has said HELLO; what it was answered is still to be heard."""
        client = self.connect(caller)
        client.name = name
        client.say(wire.Hello(wire.VERSION, features, token, name))
        return client

    def user(self, name: str, **more: Any) -> "Client":
        """A client that was welcomed."""
        client = self.client(name, **more)
        client.welcome = client.hears(wire.Welcome)
        return client

    def users(self, *names: str) -> "list[Client]":
        return [self.user(name) for name in names]


class Client:
    """The other end of a connection, saying what the test says."""

    def __init__(self, service: Service, sock: socket.socket) -> None:
        self.service = service
        self.sock = sock
        self.name = ""
        self.welcome: Any = None
        self.heard: list[Any] = []              # and not yet asked for
        self.roster: dict[str, wire.Entry] = {}
        self.waiting: int | None = None         # as last told
        self.closed = False
        self._decoder = wire.Decoder(wire.FRAME_MAX)
        self._ids = 7 << 32
        sock.setblocking(False)

    # ---- saying ----

    def id(self) -> int:
        """The next id for a SEND."""
        self._ids += 1
        return self._ids

    def say(self, *messages: wire.Message) -> None:
        self.say_bytes(b"".join(map(wire.encode, messages)))

    def say_bytes(self, data: bytes) -> None:
        """Bytes as they are, in pieces if the socket's buffer is small."""
        while data:
            try:
                data = data[self.sock.send(data):]
            except BlockingIOError:
                self.service.run()
        self.service.run()

    def send(self, to: str, text: str, flags: int = 0) -> int:
        """A SEND to names with commas; its id."""
        number = self.id()
        self.say(wire.Send(number, flags, tuple(name for name in to.split(",") if name), text))
        return number

    def hang_up(self) -> None:
        """As when the process is killed."""
        self.sock.close()
        self.closed = True
        self.service.run()

    # ---- hearing ----

    def listen(self) -> None:
        """Take in everything that has come."""
        while not self.closed:
            self.service.run()
            try:
                data = self.sock.recv(1 << 20)
            except BlockingIOError:
                return
            except ConnectionResetError:
                data = b""
            self.closed = not data
            for frame in self._decoder.feed(data):
                for said in wire.each(wire.decode(frame, wire.DAEMON)):
                    self._take(said)

    def _take(self, said: Any) -> None:
        if isinstance(said, wire.Roster):
            self.roster.update((entry.name, entry) for entry in said.entries)
        if isinstance(said, wire.Waiting):
            self.waiting = said.total
        if not isinstance(said, BACKGROUND) or getattr(said, "request", 0):
            self.heard.append(said)

    def hears(self, kind: type[M], **fields: Any) -> M:
        """The next message, which must be this one with these fields."""
        self.listen()
        assert self.heard, f"{self.name} heard nothing, not {kind.__name__}"
        said = self.heard.pop(0)
        wrong = [name for name, value in fields.items() if getattr(said, name, None) != value]
        wanted = f"{kind.__name__} {fields}"
        assert type(said) is kind and not wrong, f"{self.name} heard {said}, not {wanted}"
        return said

    def hears_all(self, kind: type[M]) -> list[M]:
        """All messages of one kind that have come, leaving the others."""
        self.listen()
        found = [said for said in self.heard if type(said) is kind]
        self.heard = [said for said in self.heard if type(said) is not kind]
        return found

    def hears_nothing(self) -> None:
        self.listen()
        assert not self.heard, f"{self.name} heard {self.heard}"

    def is_disconnected(self) -> bool:
        self.listen()
        return self.closed

    def state(self, name: str) -> str:
        """How this client's roster shows a name: "available", "chatting with bob", "not
        connected"."""
        # changes are gathered for a moment when there are many to tell
        self.service.forward(0.1)
        self.listen()
        entry = self.roster[name]
        if entry.state == wire.Presence.BUSY:
            return "chatting with " + ", ".join(sorted(other.name for other in self.roster.values()
                                                       if other.chat == entry.chat
                                                       and other.name != name))
        return "available" if entry.state == wire.Presence.AVAILABLE else "not connected"

    def confirm(self, *mails: Any) -> None:
        """Shown: each of these on its own."""
        self.say(*(wire.Confirm(mail.id, mail.id) for mail in mails))


__all__ = ["Client", "Clock", "Notes", "Service", "daemon_module"]

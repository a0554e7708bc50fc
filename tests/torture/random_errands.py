"""What the users of random_clients.py do beside their sessions: errands, and sessions that were
moved."""
from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import wire
from net.values import ERRANDS
from wire import Feature, SendFlag

if TYPE_CHECKING:
    from tests.torture.random_clients import User

READ_SIZE = 1 << 16
Key = tuple[str, int]


class Line:
    """A connection, and how it is read."""

    def __init__(self, user: User, sock: socket.socket | None, decoder: wire.Decoder) -> None:
        self.user, self.sock, self.decoder = user, sock, decoder

    def hear(self) -> None:
        data = b""
        try:
            if self.sock:
                data = self.sock.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            pass
        if not data:
            self.ended()
            return
        for frame in self.decoder.feed(data):
            self.hears(wire.decode(frame, wire.DAEMON))

    def hears(self, said: Any) -> None:
        raise NotImplementedError

    def ended(self) -> None:
        if self.sock:
            self.sock.close()
        self.sock = None


class Ghost(Line):
    """A session that its user has taken to another client: it is told so, if the daemon lives."""

    def __init__(self, user: User, sock: socket.socket, decoder: wire.Decoder) -> None:
        super().__init__(user, sock, decoder)
        self.lives, self.is_moved = user.world.lives, False

    def hears(self, said: Any) -> None:
        if isinstance(said, wire.Moved):
            self.is_moved = True

    def ended(self) -> None:
        super().ended()
        self.user.world.ghosts.discard(self)
        if not self.is_moved and self.lives == self.user.world.lives:
            self.user.fault("took its session, and the other client was not told")


class Errand(Line):
    """An errand: it sends a message, checks, and confirms what came.  If the line is lost, it comes
    again, and it is over when all has its answer."""

    def __init__(self, user: User) -> None:
        super().__init__(user, None, wire.Decoder(wire.FRAME_MAX))
        counter = user.chance.randrange(ERRANDS, 1 << 32) << 32 | user.chance.randrange(1, 1 << 31)
        self.unanswered = {counter: user.message(counter)}
        self.came: dict[int, Key] = {}
        self.asking: dict[int, Key] = {}
        self.is_checked = False

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.decoder = wire.Decoder(wire.FRAME_MAX)
        try:
            self.sock.connect(self.user.world.daemon.path)
        except OSError:
            super().ended()
            return
        features = Feature.ERRAND | Feature.HOLD | Feature.ADDRESSED | Feature.LOGINS
        self.say(wire.Hello(wire.VERSION, features, bytes(16), self.user.name))

    def say(self, *said: wire.Message) -> None:
        """It says little, so the socket has room."""
        try:
            if self.sock:
                self.sock.setblocking(True)
                self.sock.sendall(b"".join(map(wire.encode, said)))
                self.sock.setblocking(False)
        except OSError:
            pass

    def hears(self, said: Any) -> None:
        match said:
            case wire.Welcome():
                if not said.features & Feature.ERRAND:
                    self.user.fault("was refused an errand")
                confirms = [wire.Confirm(id, id) for id in self.asking]
                self.say(*self.unanswered.values(), *confirms, wire.Check(1))
                self.is_checked, self.came = False, {}
            case wire.Mails() | wire.MailsTo():
                for mail in wire.each(said):
                    if not mail.flags & SendFlag.CHECK:
                        self.user.fault(f"was sent {mail} on an errand")
                    self.came[mail.id] = self.user.recognise(mail)
            case wire.Checked():
                if said.total != len(self.came):
                    self.user.fault(f"was told {said} on an errand, and {len(self.came)} came")
                self.is_checked = True
                self.asking.update(self.came)
                self.user.confirms_elsewhere(self.came.values())
                self.say(*[wire.Confirm(id, id) for id in self.came])
                self.user.world.counts["errands"] += 1
            case wire.Confirmed():
                for id in [id for id in self.asking if said.first <= id <= said.last]:
                    self.user.is_confirmed(self.asking.pop(id))
            case wire.Stored():
                for origin in range(said.first, said.last + 1):
                    self.unanswered.pop(origin, None)
                    self.user.world.is_stored((self.user.name, origin))
            case wire.Refused():
                self.unanswered.pop(said.id, None)
                self.user.is_refused(said)
        if self.is_checked and not self.unanswered and not self.asking:
            self.ended()
            self.user.world.errands.discard(self)

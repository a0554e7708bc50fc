"""The lived-in house: the world in which tests run the real programs.

A house of three names hides what three names cannot show: 41 names in the log once kept every real
client out, and all tests were green.  So the world of a test is one that people have lived in.  On
disk (furnish):

    NAMES names in the log, of every length and spelling, seen last in the course of a year; most
    have an owner, some a passphrase, some ignore others
    mail that waits for some: one message, a tail, a long one, texts of every kind; messages to
    all, which wait for everybody; more mail that was read, with gaps between read and unread
    several segments, and several journals of earlier starts; ids that begin far above 0

PEOPLE are the names that tests use for themselves; this log does not have them.  Each of them has
an archive of a year (keep_a_year).  At run time, around one daemon (Residents): CONNECTED scripted
clients, some that follow the log, some that hold, pairs and groups in chats, invitations that
nobody answers, and a hum of lines and mail among them.

A store is made once in a run for each backend and number of names, and then copied: for 5,000
names it takes 0.4 s to make, and 3 ms to copy.  A house with something else in it, or with
nothing, is the exception; a test that wants one says so (`bare=True`), and why.
"""
import atexit
import contextlib
import fcntl
import functools
import os
import random
import selectors
import shutil
import socket
import struct
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import wire
from client import archive, history, letters
from mailbox import EVERYONE, Mailbox, User
from net import scram
from net.bodies import body_of
from rules.owners import UID
from rules.store import Setting
from store import manifest
from store.headings import heading_of_names
from tests.harness import HOUSES

NAMES = 5000                # in the log
CONNECTED = 200             # of them at run time
FOLLOWERS = 10              # of those are told the log and each change of it
PAIRS, GROUPS, OPEN = 20, 3, 5      # chats of two, chats of three, invitations without an answer
YEAR = 365 * 86400 * 1_000_000      # microseconds
SINCE = 1_700_000_000_000_000       # when the house was opened
HUM_SECONDS = 0.1           # between two of the residents' own messages
PATIENCE = 30.0             # for the residents to be there; far more than it takes
PEOPLE = ("ann", "bob", "carol", "dave", "erin")    # whom tests bring; none of them lives here
KEPT = 3000                 # entries in the archive of a year
TEXTS = ("the torque wrench?", "in the second drawer, under the gloves", "日本語のテキスト",
         "e\u0301 and \U0001f527", "two\nlines\n\tand a tab", "x" * 400,
         "https://example.org/" + "path/" * 20, "ok", "1", "Quit it, will you")


def name_of(number: int) -> str:
    """The name with this number: `v-0`, `Vera.17`, and now and then one of the longest."""
    forms = "v-{}", "Vera.{}", "walt{}", "XENIA_{}", "yuri.of.the.north-{}", "z{}"
    base = forms[number % 6].format(number)
    return base.ljust(wire.NAME_MAX, "y") if number % 50 == 49 else base


# ---- on disk ----

class Founder:
    """Fills a store, as the daemon would have: batch by batch, with a sync for each."""

    def __init__(self, directory: str, backend: str | None, names: int) -> None:
        self.directory, self.backend, self.names = directory, backend, names
        self.chance = random.Random(17)
        self.origin = 3 << 40
        self.time = SINCE

    def fill(self) -> None:
        """Lives that are sealed, and two whose journals are left."""
        with self.life(seal_at=1 if self.names == NAMES else 1 << 30) as box:
            self.settle_in(box)
        sealed = (1, 1) if self.names == NAMES else ()      # to seal a million names takes 5 s
        for seal_at in (*sealed, 1 << 30, 1 << 30):
            with self.life(seal_at=seal_at) as box:
                self.write_letters(box, 400)
                self.read_some(box)

    @contextlib.contextmanager
    def life(self, seal_at: int) -> Iterator[Mailbox]:
        """The store, open; at the end what is due is sealed."""
        box = Mailbox(self.directory, backend=self.backend, seal_at=seal_at, journals_max=100,
                      small=1)
        try:
            yield box
            self.save(box)
            while box.work(1.0):
                pass
        finally:
            box.close()

    def save(self, box: Mailbox) -> None:
        box.write()
        box.sync(wait=True)

    def settle_in(self, box: Mailbox) -> None:
        """Names, with who they are and whom they do not want to hear."""
        step = YEAR // self.names
        for number in range(self.names):
            box.register(name_of(number), SINCE + number * step)
            if number % 2000 == 1999:
                self.save(box)
        for user in box.users[:NAMES]:
            if user.number % 4:
                box.set(user, Setting.OWNER, UID.pack(20_000 + user.number))
            if user.number % 50 == 1:
                box.set(user, Setting.CLAIM,
                        scram.Verifier(4096, bytes(16), bytes(32), bytes(32)).pack())
            if user.number % 20 == 2:
                ignored = self.chance.sample(range(NAMES), self.chance.randrange(1, 40))
                box.set(user, Setting.IGNORED, struct.pack(f"!{len(ignored)}I", *ignored))

    def write_letters(self, box: Mailbox, letters: int) -> None:
        """To one, to several, many at once, and one to all."""
        everybody = box.users
        for number in range(letters):
            sender = everybody[self.chance.randrange(NAMES)]
            recipients = self.chance.choice((1, 1, 1, 3, 30))
            others = [everybody[n] for n in self.chance.sample(range(NAMES), recipients)]
            length = 200 if number % 100 == 0 else self.chance.choice((1, 1, 1, 5))
            texts = self.chance.choices(TEXTS, k=length)
            self.put(box, sender, [user for user in others if user is not sender], 0, texts)
        sender = everybody[self.chance.randrange(NAMES)]
        if self.names == NAMES:
            self.put(box, sender, [user for user in everybody if user is not sender], EVERYONE,
                     TEXTS[:1])
        self.save(box)

    def put(self, box: Mailbox, sender: User, to: Sequence[User], flags: int,
            texts: Sequence[str]) -> None:
        if to:
            self.time += 1_000_000
            body = body_of([text.encode() for text in texts])
            heading = b"" if flags else heading_of_names([user.name for user in to])
            box.put_run(sender, self.origin + 1, self.time, to, flags, body, False, heading)
            self.origin += len(texts)

    def read_some(self, box: Mailbox) -> None:
        """Some have read all, some a part, some a part in the middle."""
        for user in box.users[:NAMES]:
            if user.waiting and user.number % 3:
                mails = box.unread(user, 0, box.last, 1 << 20, 1 << 30)
                first = mails[len(mails) // 3 if user.number % 3 == 2 else 0]
                box.read(user, first.id, mails[len(mails) // 2].last)
        self.save(box)


@functools.cache
def founded(names: int, backend: str | None, house: int) -> Path:
    """The store that is copied; nobody opens it.  All processes under one runner share it."""
    shared = os.environ.get(HOUSES)
    directory = Path(shared or tempfile.mkdtemp(prefix="parley-lived-in-"))
    if not shared:
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
    store = directory / f"{backend}-{names}-{house}"
    with open(f"{store}.lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)        # another process may be making it
        if not store.exists():
            made = Path(tempfile.mkdtemp(dir=directory))
            Founder(str(made / "store"), backend, names).fill()
            (made / "store").rename(store)
    return store


def furnish(store: str | Path, names: int = NAMES, backend: str | None = None,
            house: int = 0) -> None:
    """A store at this place, as if people had lived there.

    All stores of one `house` have the same number."""
    shutil.copytree(founded(names, backend, house), store, copy_function=shutil.copyfile)
    Path(store).chmod(0o700)
    for file in Path(store).iterdir():
        file.chmod(0o600)


@functools.cache
def _year() -> bytes:
    """The lines of an archive: of six entries four were received, one was sent, and one was said in
    a chat."""
    lines = [line.encode() + b"\n" for number in range(KEPT) for line in _entry(number)]
    return b"".join([history.VERSION, *lines, archive.MARK])


def _entry(number: int) -> list[str]:
    """The lines of one entry, and of its delivery."""
    time, origin = SINCE + number * (YEAR // KEPT), (9 << 32) + number
    other, text = name_of(number % 40), TEXTS[number % len(TEXTS)]
    if number % 6 == 4:
        return [history.line(history.Sent(time, origin, 0, (other,), history.STORED, "", text)),
                history.line(history.Shown(time + 1, origin, origin, (other,)))]
    if number % 6 == 5:
        return [history.line(history.Chat(time, (other,), other, text))]
    return [letters.line(wire.Mail(number + 1, time, origin, 0, 1, other, text))]


def keep_a_year(state: str | Path, store: str | Path, *names: str) -> None:
    """What these read in a year, where their client keeps it: `state` is its $XDG_STATE_HOME."""
    directory = Path(state, "parley")
    directory.mkdir(0o700, parents=True, exist_ok=True)
    number = number_of(store)
    for name in names:
        path = directory / f"{name}.{number.hex()}.txt"
        path.write_bytes(_year())
        path.chmod(0o600)


def number_of(store: str | Path) -> bytes:
    """The store's own number."""
    path = Path(store, manifest.NAME)
    return manifest.decode(path.read_bytes(), str(path)).store


# ---- at run time ----

class Resident:
    """A connected client: it answers PING, confirms its mail, and takes part in its chat."""

    def __init__(self, path: str, number: int) -> None:
        self.name, self.number = name_of(number), number
        self.chat = 0                           # the number of the chat it is in
        self.is_here = self.is_inviting = False
        self._decoder = wire.Decoder(wire.FRAME_MAX)
        self._sent = (50 + number) << 32
        features = wire.Feature.RECEIPTS | (wire.Feature.ROSTER if number < FOLLOWERS else 0)
        features |= wire.Feature.HOLD if number % 3 == 2 else 0
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.sock.setblocking(False)
        self.say(wire.Hello(wire.VERSION, features, bytes(16), self.name))

    def say(self, *said: wire.Message) -> None:
        """What a daemon that stands still does not take is lost: nobody asks after it."""
        with contextlib.suppress(OSError):
            self.sock.send(b"".join(map(wire.encode, said)))

    def hear(self) -> bool:
        """Take what came; False: the line is over."""
        try:
            data = self.sock.recv(1 << 18)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        for frame in self._decoder.feed(data):
            if on := HEARD.get(frame[0]):       # decoding all names would cost more than the rest
                on(self, wire.decode(frame, wire.DAEMON))
        return bool(data)

    def on_welcome(self, said: wire.Welcome) -> None:
        self.is_here = True

    def on_ping(self, said: wire.Ping) -> None:
        self.say(wire.Pong(said.stamp))

    def on_mails(self, said: wire.Mails) -> None:
        self.say(wire.Confirm(said.first, said.first + len(said.texts) - 1))

    def on_invitation(self, said: wire.Invitation) -> None:
        """It accepts what it is meant to; others wait for their answer until they expire."""
        if self.number < CHATTING:
            self.say(wire.Answer(said.invitation, 1))

    def on_inviting(self, said: wire.Inviting) -> None:
        self.is_inviting = True

    def on_started(self, said: wire.Started) -> None:
        self.chat = said.chat

    def hum(self, other: "Resident") -> None:
        """A line to the chat, a letter to another."""
        self._sent += 1
        self.say(wire.Send(self._sent, 0, (other.name,), TEXTS[self._sent % len(TEXTS)]))
        if self.chat:
            self.say(wire.Say(1, self.chat, "mm"))


HEARD: dict[int, Any] = {wire.CODECS[said].kind: on for said, on in (
    (wire.Welcome, Resident.on_welcome), (wire.Ping, Resident.on_ping),
    (wire.Mails, Resident.on_mails),
    (wire.Invitation, Resident.on_invitation), (wire.Inviting, Resident.on_inviting),
    (wire.Started, Resident.on_started))}
CHATTING = 2 * PAIRS + 3 * GROUPS


class Residents:
    """CONNECTED residents at a daemon's Unix socket, in a thread of their own, until close() or
    the daemon's end."""

    def __init__(self, path: str) -> None:
        self._selector = selectors.DefaultSelector()
        self._wake, self._waker = socket.socketpair()
        self._selector.register(self._wake, selectors.EVENT_READ)
        self.all = [Resident(path, number) for number in range(CONNECTED)]
        for resident in self.all:
            self._selector.register(resident.sock, selectors.EVENT_READ, resident)
        self._settled, self._steps = threading.Event(), self._settling()
        next(self._steps)
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def settle(self) -> None:
        """Wait until everybody is here and all chats are under way."""
        if not self._settled.wait(PATIENCE):
            self.close()
            here = sum(each.is_here for each in self.all)
            raise AssertionError(f"not settled in {PATIENCE:g} s: {here} are here, "
                                 f"{sum(each.chat > 0 for each in self.all)} are in chats")

    def close(self) -> None:
        self._waker.close()
        self._thread.join()

    def _live(self) -> None:
        chance = random.Random(5)
        while True:
            ready = self._selector.select(HUM_SECONDS)
            for key, _ in ready:
                if key.data is None:                    # close()
                    self._end()
                    return
                if not key.data.hear():
                    self._selector.unregister(key.fileobj)
            if not self._settled.is_set():
                if next(self._steps):
                    self._settled.set()
            elif not ready:
                chance.choice(self.all).hum(chance.choice(self.all))

    def _settling(self) -> Iterator[bool]:
        """From one step to the next when the one before is done; True at the end."""
        while not all(each.is_here for each in self.all):
            yield False
        groups = [self.all[2 * n:2 * n + 2] for n in range(PAIRS)]
        groups += [self.all[2 * PAIRS + 3 * n:2 * PAIRS + 3 * n + 3] for n in range(GROUPS)]
        unanswered = [self.all[CHATTING + 2 * n:CHATTING + 2 * n + 2] for n in range(OPEN)]
        for first, *others in groups + unanswered:
            first.say(wire.Invite(1, tuple(each.name for each in others)))
        chatting, inviting = self.all[:CHATTING], [first for first, _ in unanswered]
        while not (all(each.chat for each in chatting)
                   and all(each.is_inviting for each in inviting)):
            yield False
        yield True

    def _end(self) -> None:
        for each in self.all:
            each.sock.close()
        self._selector.close()
        self._wake.close()

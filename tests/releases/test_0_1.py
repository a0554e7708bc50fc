"""What release 0.1 left behind: its stores, the requests of its client and the answers of its
daemon.  make_0_1.py made them, by its own programs."""
import contextlib
import importlib
import io
import json
import lzma
import sys
import tarfile
import tempfile
import types
import unittest
from collections import Counter
from pathlib import Path

import wire
from net import scram
from rules.claims import Identity
from rules.state import Caller
from server.options import Limits
from store.backup import backup
from store.check import check
from store.disk import Disk, StoreError
from store.salvage import salvage
from tests.harness.service import Service
from tests.releases.make_0_1 import HERE, NAMES, PASSPHRASE, unpack

CLAIMS = Identity(secret=b"secret" * 6)
RANGES = {"Stored", "Delivered", "Outcomes"}        # of ids that the client gave
# Several messages may stand in one frame, or in two.
MERGED = {("last", "Stored"), ("last", "Delivered"), ("last", "Outcomes"), ("last", "Confirmed"),
          ("first", "Confirmed"), ("first", "Mails")}
# Fields that are another in each run, or words for a user that are said better now.
OTHERS = {"token", "store", "time", "nonce", "salt", "signature", "invitation", "chat", "since",
          "stamp", "house", "reason", "text", "version", "features", "waiting"}
UNTIMED = {"Roster", "Waiting", "Ping", "Pong"}     # come whenever something changes


def old_module(name, source, **beside):
    """A module of 0.1 under another name; `beside`: the modules of 0.1 that it imports."""
    made = sys.modules[f"release_0_1_{name}"] = types.ModuleType(f"release_0_1_{name}")
    ours = {other: sys.modules.get(other) for other in beside}
    sys.modules.update(beside)
    try:
        exec(compile(source, f"0.1/{name}.py", "exec"), vars(made))
    finally:
        for other, module in ours.items():
            if module is None:
                del sys.modules[other]
            else:
                sys.modules[other] = module
    return made


def old_wire():
    """The codec of 0.1."""
    data = lzma.decompress((HERE / "program.tar.xz").read_bytes())
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        sources = {name: archive.extractfile(f"{name}.py").read() for name in ("bodies", "wire")}
    return old_module("wire", sources["wire"], bodies=old_module("bodies", sources["bodies"]))


def prove(challenge, name, passphrase):
    """PROOF, as a client of 0.1 over TCP makes it."""
    nonce = b"\x11" * 16
    key = scram.derive(passphrase, challenge.salt, challenge.iterations)
    talk = scram.conversation(name, nonce.hex(), challenge.nonce.hex(), challenge.salt,
                              challenge.iterations, scram.Binding())
    return wire.Proof(nonce, scram.prove(key, talk))


class Inherited(Service):
    """A daemon of today on a store of 0.1."""
    expected: dict | None = None

    def __init__(self, backend):
        self.path = HERE / f"store-{backend}.tar.xz"
        super().__init__(identity=CLAIMS, backend=f"dbm.{backend}")

    def start(self):
        if self.expected is None:
            unpack(lzma.decompress(self.path.read_bytes()), Path(self.directory))
            self.expected = json.loads(Path(self.directory, "expected.json").read_text())
        super().start()

    def enter(self, name):
        """At the login that used the names then; eve over TCP, with the passphrase of then."""
        caller = Caller("192.0.2.1:1") if name == "eve" else Caller("unix:0", 0)
        client = self.client(name, wire.Feature.PROVE | wire.Feature.HOLD, caller=caller)
        if name == "eve":
            client.say(prove(client.hears(wire.Challenge), name, PASSPHRASE))
            client.hears(wire.Verified)
        client.hears(wire.Welcome)
        return client

    def check(self, client):
        """The messages that a CHECK brings."""
        client.say(wire.Check(1))
        mails = client.hears_all(wire.Mail)
        client.hears(wire.Checked, total=len(mails))
        return mails


def backends():
    """Those of the stores here that this Python can open."""
    for path in sorted(HERE.glob("store-*.tar.xz")):
        backend = path.name.removeprefix("store-").removesuffix(".tar.xz")
        with contextlib.suppress(ImportError):
            importlib.import_module(f"dbm.{backend}")
            yield backend


class Stores(unittest.TestCase):
    def test_every_python_opens_one(self):
        self.assertIn("dumb", list(backends()))

    def test_a_store_of_0_1_is_opened(self):
        """Every message that waits comes, with its text and its time; once."""
        for backend in backends():
            with self.subTest(backend):
                self.open(backend)

    def test_a_store_of_0_1_is_salvaged(self):
        """All that waits is copied; half a batch at its end may be a whole one that was damaged."""
        with tempfile.TemporaryDirectory() as place:
            unpack(lzma.decompress((HERE / "store-dumb.tar.xz").read_bytes()), Path(place))
            expected = json.loads(Path(place, "expected.json").read_text())
            lines = []
            with self.assertRaisesRegex(StoreError, "not all of .* could be copied"):
                lines += salvage(place + "/store", place + "/fresh", Disk(), "dbm.dumb")
            self.assertIn("torn, or damaged", "\n".join(lines))
            waiting = sum(map(len, expected["waiting"].values()))
            *_, last = check(place + "/fresh")
            self.assertIn(f"5 names, {waiting} messages waiting", last)

    def open(self, backend):
        with Inherited(backend) as house:
            waiting = house.expected["waiting"]
            self.assertEqual({user.name for user in house.mailbox.users}, set(NAMES))
            clients = {name: house.enter(name) for name in NAMES if name != "eve" or
                       backend == "dumb"}       # 600,000 iterations
            for name, client in clients.items():
                mails = house.check(client)
                self.assertEqual([[mail.time, mail.sender, mail.origin, mail.copies, mail.text]
                                  for mail in mails], waiting[name])
                client.confirm(*mails)
                client.hears_all(wire.Confirmed)
            copy = house.directory + "/copy"
            *_, last = backup(house.store, copy, Disk())
            self.assertIn("the copy is whole", last)
            self.assertIn("5 names, ", list(check(copy))[-1])
            house.stop()
            house.start()
            for name in clients:
                self.assertEqual(house.check(house.enter(name)), [], "these were confirmed")
            dan, bob = house.mailbox.find("dan"), house.mailbox.find("bob")
            self.assertTrue(house.daemon.board.ignores.holds(dan, bob))


class Replay:
    """The conversation of clients and daemon of 0.1, with a daemon of today in its place.

    What the daemon numbers is another number now: the first chat of a client is its first chat."""

    def __init__(self, house, old):
        self.house, self.old = house, old
        self.clients = {}
        self.names = {}                                 # by connection
        self.expected, self.heard = Counter(), Counter()
        self.numbers = {"then": {}, "now": {}}          # of each connection and field, in order

    def play(self, frames):
        for line, side, frame in frames:
            data = bytes.fromhex(frame)
            if side == "c":
                self.say(line, data)
            else:
                self.note("then", line, data[4:])
        for line in self.clients:
            self.listen(line)

    def listen(self, line):
        """What today's daemon answers, as 0.1 understands it."""
        client = self.clients[line]
        self.house.run()
        while True:
            try:
                data = client.sock.recv(1 << 20)
            except OSError:
                return
            if not data:
                return
            for frame in client._decoder.feed(data):
                said = self.note("now", line, frame)
                if type(said).__name__ == "Challenge":
                    self.challenge = said

    def note(self, when, line, frame):
        """Count what the daemon said, one message or id at a time, and its numbers."""
        said = self.old.decode(frame, self.old.Direction.DAEMON)
        kind, counted = type(said).__name__, self.expected if when == "then" else self.heard
        self.learn(when, line, kind, said)
        if kind == "Notice" or (kind in UNTIMED and not getattr(said, "request", 0)):
            return said
        fields = {field: value for field, value in said._asdict().items()
                  if field not in OTHERS and (field, kind) not in MERGED}
        if kind == "Roster":
            fields["entries"] = sorted((row.name, row.state > 0) for row in said.entries)
        for n, more in enumerate(self.each(when, line, kind, said)):
            if "first" in fields and kind in RANGES:
                more["first"] = said.first + n
            counted[line, kind, repr(fields | more)] += 1
        return said

    def each(self, when, line, kind, said):
        """What is different in the parts of a frame that tells several things."""
        if kind == "Mails":
            return [{"origin": said.origin + n, "texts": text} for n, text in enumerate(said.texts)]
        if kind == "Confirmed":         # other users' messages have ids between these
            return [{} for n in self.numbers[when][line, "mail"] if said.first <= n <= said.last]
        return [{} for _ in range(said.first, said.last + 1)] if kind in RANGES else [{}]

    def learn(self, when, line, kind, said):
        """The numbers that the daemon gave."""
        for field in {"invitation", "chat"} & set(said._fields):
            known = self.numbers[when].setdefault((line, field), [])
            if getattr(said, field) not in known:
                known.append(getattr(said, field))
        if kind == "Mails":
            known = self.numbers[when].setdefault((line, "mail"), [])
            known += [said.first + n for n in range(len(said.texts))]

    def now(self, line, field, number):
        """What this number of then is now."""
        return self.numbers["now"][line, field][self.numbers["then"][line, field].index(number)]

    def say(self, line, data):
        """Today's daemon is told what that of 0.1 was told."""
        said = wire.decode(data[4:], wire.CLIENT)
        old = self.old.decode(data[4:], self.old.Direction.CLIENT)
        assert (type(said).__name__, tuple(said)) == (type(old).__name__, tuple(old))
        assert wire.encode(said) == data, "the same bytes"
        if isinstance(said, wire.Hello):
            self.names[line] = said.name
            self.clients[line] = self.house.connect(Caller(f"192.0.2.1:{line}"))
        client = self.clients[line]
        self.listen(line)
        if isinstance(said, wire.Confirm):
            said = said._replace(first=self.now(line, "mail", said.first),
                                 last=self.now(line, "mail", said.last))
        elif isinstance(said, wire.Answer | wire.Withdraw):
            said = said._replace(invitation=self.now(line, "invitation", said.invitation))
        elif isinstance(said, wire.Say):
            said = said._replace(chat=self.now(line, "chat", said.chat))
        elif isinstance(said, wire.Proof):
            said = prove(self.challenge, self.names[line], PASSPHRASE)
        elif isinstance(said, wire.Pong):
            self.house.forward(3)
        client.say(said)
        self.listen(line)


class Conversation(unittest.TestCase):
    maxDiff = None

    def test_each_request_is_answered_as_0_1_answered_it(self):
        frames = json.loads(lzma.decompress((HERE / "conversation.json.xz").read_bytes()))
        limits = Limits(1000, everyone_seconds=0, new_names=0, silence_seconds=2, patience=3)
        with Service(limits, identity=CLAIMS) as house:
            replay = Replay(house, old_wire())
            replay.play(frames)
            self.assertEqual((replay.heard - replay.expected, replay.expected - replay.heard),
                             (Counter(), Counter()), "said now and not then, then and not now")
            self.assertGreater(len(replay.heard), 60)


if __name__ == "__main__":
    unittest.main()

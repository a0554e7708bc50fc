#!/usr/bin/env python3
"""How tests/releases/0.1/ was made: by the real programs of release 0.1.

    python3 tests/releases/make_0_1.py program              program.tar.xz, from git
    python3 tests/releases/make_0_1.py store BACKEND        store-BACKEND.tar.xz
    python3 tests/releases/make_0_1.py conversation         conversation.json.xz

BACKEND is gnu, dumb or sqlite3; the Python that runs this must have it (sqlite3: 3.13).  There is
none of ndbm: 0.1 takes it on request alone, and refuses Debian's, which loses values.  They are
made once and never again: today's programs could not.

    program.tar.xz      the modules of commit daa38b6, byte for byte
    store-*.tar.xz      `store`, and `expected.json`: what 0.1 itself would give each name, and
                        what its readers had confirmed.  In the store are a segment; behind it
                        journals that were not sealed, the last two from a SIGKILL; at the end half
                        a batch, as a power cut leaves it; a claimed name; an ignored user
    conversation.json.xz    every frame between four clients of 0.1 (link.py) and the daemon of 0.1:
                        [connection, "c" or "d", hex], in the order in which they passed

This file is two programs: the maker, and with `record` as its first word the recorder, which runs
with 0.1's modules in place of ours.  With a sixth word, the path of another daemon.py, the clients
of 0.1 have that conversation with that daemon (test_programs_0_1.py).
"""
from __future__ import annotations

import atexit
import json
import lzma
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from io import BytesIO
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent / "0.1"
COMMIT = "daa38b6de22300a71c93f1e23db1cf19f09970dd"
PASSPHRASE = "correct horse battery"
NAMES = "ann", "bob", "cyd", "dan", "eve"
SECONDS = 30        # for whatever is awaited


# ---- the maker ----

def pack(path: Path, names: list[tuple[str, Path]]) -> None:
    """An archive of these, under these names, that says nothing of this host."""
    def plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.mtime = info.uid = info.gid = 0
        info.uname = info.gname = ""
        return info

    made = BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, source in names:
            archive.add(source, name, filter=plain)
    path.write_bytes(lzma.compress(made.getvalue(), preset=9 | lzma.PRESET_EXTREME))
    print(f"{path}: {path.stat().st_size} bytes")


def unpack(data: bytes, place: Path) -> None:
    """Unpack a tar, with the filter that newer Pythons ask for."""
    with tarfile.open(fileobj=BytesIO(data)) as archive:
        archive.extraction_filter = getattr(tarfile, "tar_filter", lambda member, path: member)
        archive.extractall(place)


def make(what: str, backend: str = "") -> None:
    HERE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        program = Path(place, "program")
        program.mkdir()
        if what == "program":
            data = subprocess.run(["git", "archive", COMMIT], check=True, capture_output=True,
                                  cwd=HERE.parents[2]).stdout
            unpack(data, program)
            pack(HERE / "program.tar.xz", [(path.name, path)
                                           for path in sorted(program.glob("*.py"))])
            return
        unpack(lzma.decompress((HERE / "program.tar.xz").read_bytes()), program)
        subprocess.run([sys.executable, __file__, "record", what, str(program), place, backend],
                       check=True, env={**os.environ, "PYTHONPATH": str(program)})
        if what == "store":
            pack(HERE / f"store-{backend}.tar.xz", [
                (name, Path(place, name)) for name in ("expected.json", "store")])
        else:
            (HERE / "conversation.json.xz").write_bytes(
                lzma.compress(Path(place, "conversation.json").read_bytes()))


# ---- the recorder: 0.1's own modules ----

FRAMES: list[tuple[str, str, str]] = []


class Recorded(socket.socket):
    """A socket whose frames are written down."""
    number = 0

    def begin(self) -> Recorded:
        Recorded.number += 1
        self.name, self.parts = str(Recorded.number), {"c": b"", "d": b""}
        self.setblocking(False)
        return self

    def _keep(self, side: str, data: bytes) -> None:
        got = self.parts[side] + data
        while len(got) >= 4 and len(got) >= 4 + (size := int.from_bytes(got[:4], "big")):
            FRAMES.append((self.name, side, got[:4 + size].hex()))
            got = got[4 + size:]
        self.parts[side] = got

    def send(self, data: Any, *flags: int) -> int:
        taken = super().send(data, *flags)
        self._keep("c", bytes(data[:taken]))
        return taken

    def recv(self, *size: int) -> bytes:
        data = super().recv(*size)
        self._keep("d", data)
        return data


class House:
    """The daemon of 0.1, and its clients."""

    def __init__(self, program: str, place: str, *options: str, daemon: str = "") -> None:
        self.program, self.place, self.options = daemon or program + "/daemon.py", place, options
        self.path, self.store = place + "/sock", place + "/store"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.links: dict[str, Any] = {}
        self.mails: dict[str, list[Any]] = {}
        self.heard: list[tuple[str, Any]] = []
        self.start()

    def start(self) -> None:
        self.daemon = subprocess.Popen([
            sys.executable, self.program, "--listen", "unix:" + self.path,
            "--listen", f"127.0.0.1:{self.port}", "--state", self.store, "--console", "none",
            "--name", "old", *self.options], stdin=subprocess.DEVNULL)
        atexit.register(self.daemon.kill)
        end = time.monotonic() + SECONDS
        while socket.socket(socket.AF_UNIX).connect_ex(self.path):
            assert time.monotonic() < end and self.daemon.poll() is None
            time.sleep(0.01)

    def end(self, number: int) -> None:
        self.daemon.send_signal(number)
        self.daemon.wait()

    def enter(self, name: str, passphrase: str = "", until: type | None = None,
              key: str = "") -> Any:
        """A client under this name; with `until`, one that hears this and not that it is in."""
        from address import parse
        from dial import dial
        from keyring import Keyring
        from link import Link, Locked, Online

        import wire
        where = f"127.0.0.1:{self.port}" if passphrase else "unix:" + self.path
        link = Link([parse(where)], name, None, monotonic=time.monotonic,
                    features=wire.Feature.ROSTER | wire.Feature.RECEIPTS
                    | wire.Feature.PROVE,
                    instance=int.from_bytes(name.encode()[:3].rjust(4, b"\1"), "big")
                    + 65536 * len(self.heard), jitter=lambda: 0.5, ring=Keyring(None),
                    dial=lambda where: Recorded(fileno=dial(where).detach()).begin())
        self.links[key or name] = link          # of two, both go on hearing
        self.mails[name] = []
        link.connect()
        if passphrase:
            self.wait(name, Locked)
            link.unlock(passphrase)
            link.connect()
        self.wait(name, until or Online)
        return link

    def turn(self) -> None:
        """Let the links hear what has come."""
        for link in self.links.values():
            if link.sock is not None and link.mask:
                wanted = [link.sock] if link.mask & 1 else []
                out = [link.sock] if link.mask & 2 else []
                got, may, _ = select.select(wanted, out, [], 0)
                if got or may:
                    self._take(link, link.ready(bool(got) | 2 * bool(may)))
            self._take(link, link.tick())

    def _take(self, link: Any, events: list[Any]) -> None:
        import wire
        for event in events:
            self.heard.append((link.name, event))
            if isinstance(event, wire.Mail):
                self.mails[link.name].append(event)

    def wait(self, name: str, kind: type, **fields: Any) -> Any:
        """The next event of this kind that this user hears; those before it are passed over."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            for at, (who, event) in enumerate(self.heard):
                if who == name and type(event) is kind and all(
                        getattr(event, field) == value for field, value in fields.items()):
                    del self.heard[at]
                    return event
            self.turn()
            time.sleep(0.002)
        raise AssertionError(f"{name} hears no {kind.__name__} {fields}: {self.heard}")

    def send(self, name: str, to: str, *texts: str, flags: int = 0) -> None:
        """Stored, all of them."""
        import wire
        ids = [number for text in texts
               for number in self.links[name].send(to.split(",") if to else [], text, flags)]
        while ids:
            said = self.wait(name, wire.Stored)
            ids = [number for number in ids if not said.first <= number <= said.last]

    def confirm(self, name: str, count: int) -> list[Any]:
        """The first so many messages of those that came are shown, and forgotten by the daemon."""
        import wire
        while len(self.mails[name]) < count:
            self.turn()
        shown, self.mails[name] = self.mails[name][:count], self.mails[name][count:]
        self.links[name].shown(shown)
        ids = [mail.id for mail in shown]
        while ids:
            said = self.wait(name, wire.Confirmed)
            ids = [number for number in ids if not said.first <= number <= said.last]
        return shown

    def leave(self, *names: str) -> None:
        from link import Over
        for name in names or tuple(self.links):
            self.links[name].exit()
            self.wait(name, Over)
            del self.links[name]

    def check(self, name: str) -> list[Any]:
        """What a CHECK brings; nothing is confirmed."""
        import wire
        self.mails[name].clear()
        self.links[name].check()
        told = self.wait(name, wire.Checked)
        assert told.total == len(self.mails[name]), (told, self.mails[name])
        return self.mails[name]


def journal(store: str) -> Path:
    return sorted(Path(store).glob("journal.0*"))[-1]


def record_store(program: str, place: str, backend: str) -> None:
    """Two lives of a house, and a power cut."""
    import wire
    house = House(program, place, "--backend", f"dbm.{backend}")
    confirmed: dict[str, list[str]] = {name: [] for name in NAMES}
    for name in NAMES:
        house.enter(name)
    house.links["eve"].claim(PASSPHRASE)
    house.wait("eve", wire.Done)
    house.links["dan"].ignore("bob", True)
    house.wait("dan", wire.Done)
    for name in ("bob", "cyd", "dan", "eve"):
        house.links[name].hold(True)
        house.wait(name, wire.Done)
    house.send("ann", "bob,cyd", "the first, to two")
    house.send("ann", "bob", *[f"number {n}" for n in range(40)])
    house.send("ann", "cyd", "two lines\nof text", "Grüße, 世界 \N{GRINNING FACE}", "x" * 16_000)
    house.send("bob", "eve,dan", "dan ignores this")
    house.send("ann", "", "to everybody", flags=wire.SendFlag.EVERYONE)
    house.check("cyd")
    confirmed["cyd"] += [mail.text for mail in house.confirm("cyd", 3)]
    house.leave()
    for n in range(20):                         # 0.1 seals when there are 16 journals
        house.end(signal.SIGTERM)
        house.start()
        house.enter("dan")
        house.send("dan", "cyd", f"of journal {n}")
        house.leave()
    time.sleep(1)
    assert list(Path(house.store).glob("segment.*"))

    for name in ("ann", "bob", "dan"):
        house.enter(name)
    house.enter("eve", PASSPHRASE)
    house.check("bob")
    confirmed["bob"] += [mail.text for mail in house.confirm("bob", 10)]
    house.links["eve"].hold(True)
    house.wait("eve", wire.Done)
    house.send("bob", "cyd,eve", *[f"of the second life, {n}" for n in range(5)])
    house.send("dan", "ann", "seen at once")
    confirmed["ann"] += [mail.text for mail in house.confirm("ann", 1)]
    time.sleep(1)                               # the last batch is settled
    house.end(signal.SIGKILL)                   # nothing is
    shutil.copytree(house.store, place + "/kept")
    house.links.clear()

    # what 0.1 makes of it, from a copy
    house.start()
    waiting = {}
    for name in NAMES:
        house.enter(name, PASSPHRASE if name == "eve" else "")
        waiting[name] = [[mail.time, mail.sender, mail.origin, mail.copies, mail.text]
                         for mail in house.check(name)]
    house.links.clear()
    house.end(signal.SIGKILL)

    # and once more, for half a batch: the next message, cut before it was on the disk
    shutil.rmtree(house.store)
    shutil.copytree(place + "/kept", house.store)
    house.start()
    house.enter("ann")
    old = journal(house.store).read_bytes().rstrip(b"\0")
    house.send("ann", "bob", "torn " * 40)
    house.end(signal.SIGKILL)
    new = journal(house.store).read_bytes()
    assert new.startswith(old)
    length = int.from_bytes(new[len(old) + 8:len(old) + 12], "big")
    cut = len(old) + 36 + length // 2
    journal(house.store).write_bytes(new[:cut] + bytes(len(new) - cut))
    shutil.rmtree(place + "/kept")
    Path(place, "expected.json").write_text(json.dumps(
        {"waiting": waiting, "confirmed": confirmed, "passphrase": PASSPHRASE,
         "ignores": {"dan": ["bob"]}}))


def record_conversation(program: str, place: str, _: str, daemon: str = "") -> None:
    """Each request of a client of 0.1, and each answer of the daemon of 0.1."""
    from link import NameRefused

    import wire
    house = House(program, place, "--silence-seconds", "2", "--patience", "600" if daemon else "3",
                  "--mailbox-messages", "30", daemon=daemon)
    ann, bob, cyd = (house.enter(name) for name in ("ann", "bob", "cyd"))
    house.send("ann", "bob", "hello", "and again")
    house.confirm("bob", 2)
    house.wait("ann", wire.Delivered)
    ann.send(["nobody"], "to nobody")
    house.wait("ann", wire.Refused)
    house.send("ann", "", "to all", flags=wire.SendFlag.EVERYONE)
    house.confirm("bob", 1)
    house.confirm("cyd", 1)
    cyd.hold(True)
    house.wait("cyd", wire.Done)
    house.send("ann", "cyd,bob", "kept for cyd")
    house.wait("ann", wire.Outcomes)
    house.send("ann", "bob", "now", flags=wire.SendFlag.NOW)
    house.wait("cyd", wire.Waiting)
    house.check("cyd")
    house.confirm("cyd", 1)
    cyd.hold(False)
    house.wait("cyd", wire.Done)
    ann.list()
    house.wait("ann", wire.Roster, last=1)
    bob.ignore("cyd", True)
    house.wait("bob", wire.Done)
    bob.list_ignored()
    house.wait("bob", wire.Ignored)
    bob.ignore("cyd", False)
    house.wait("bob", wire.Done)

    ann.invite(["bob"])                                     # a chat
    house.wait("ann", wire.Inviting)
    bob.answer(house.wait("bob", wire.Invitation).invitation, True)
    chat = house.wait("ann", wire.Started).chat
    house.wait("bob", wire.Started)
    ann.say(chat, "a line")
    house.wait("bob", wire.Line)
    bob.say(chat, "and one back")
    house.wait("ann", wire.Line)
    cyd.invite(["ann"])                                     # ann is busy
    house.wait("cyd", wire.Failed)
    bob.say(chat, "Quit")
    house.wait("ann", wire.Ended)
    house.wait("bob", wire.Ended)
    ann.invite(["bob", "cyd"])                              # a group
    house.wait("ann", wire.Inviting)
    for link in (bob, cyd):
        link.answer(house.wait(link.name, wire.Invitation).invitation, True)
    chat = house.wait("cyd", wire.Started).chat
    house.wait("ann", wire.Answered)
    house.wait("ann", wire.Started)
    cyd.say(chat, "to both")
    house.wait("ann", wire.Line)
    cyd.say(chat, "Quit")
    house.wait("ann", wire.Left)
    ann.say(chat, "Quit")
    house.wait("bob", wire.Ended)
    ann.invite(["bob"])                                     # denied, withdrawn, never answered
    bob.answer(house.wait("bob", wire.Invitation).invitation, False)
    house.wait("ann", wire.CalledOff)
    ann.invite(["bob"])
    house.wait("bob", wire.Invitation)
    ann.withdraw(house.wait("ann", wire.Inviting).invitation)
    house.wait("bob", wire.CalledOff)
    ann.invite(["nobody"])
    house.wait("ann", wire.Failed)

    ann.claim(PASSPHRASE)
    house.wait("ann", wire.Done)
    house.leave("ann")
    house.send("bob", "ann", *[f"while she was away, {n}" for n in range(3)])
    ann = house.enter("ann", PASSPHRASE)
    house.check("ann")
    house.confirm("ann", 3)
    ann.unclaim()
    house.wait("ann", wire.Done)
    house.enter("bob", until=NameRefused, key="second").close()
    del house.links["second"]
    end = time.monotonic() + SECONDS
    while not any(side == "c" and frame[8:10] == "0d" for _, side, frame in FRAMES):  # PONG
        assert time.monotonic() < end
        house.turn()
        time.sleep(0.01)
    house.leave("cyd")
    house.daemon.send_signal(signal.SIGTERM)
    house.wait("bob", wire.Notice)
    house.daemon.wait()
    told = {int(frame[8:10], 16) for _, _, frame in FRAMES}
    assert told == set(wire.MESSAGES), {wire.MESSAGES[each] for each in set(wire.MESSAGES) - told}
    Path(place, "conversation.json").write_text(json.dumps(FRAMES))


def main() -> None:
    if sys.argv[1:2] == ["record"]:
        what, program = sys.argv[2:4]
        sys.path[0] = program
        {"store": record_store, "conversation": record_conversation}[what](*sys.argv[3:])
    else:
        make(*sys.argv[1:])


if __name__ == "__main__":
    main()

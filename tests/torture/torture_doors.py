"""The doors: what connections that are not let in yet cost those that are, and those that want to
be.  Part of `make torture`.

    python3 -m tests.torture.torture_doors [proofs] [handshakes] [uids]

    proofs      one address holds connections open at their proof, and owners log in from there: how
                many get in
    handshakes  clients say hello in TLS and go away, as fast as they can: what 50 users at the Unix
                socket wait meanwhile, against the rounds without; with a key of P-256 and of
                RSA-4096
    uids        one login dials under many of its subordinate uids: how many clients and new names
                it gets, against a host whose /etc/subuid is empty; needs root

Prints a line for each figure; exits 1 when one is missed.
"""
import contextlib
import functools
import os
import selectors
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import wire
from net import scram
from net.tls import client_context
from tests.harness.process import DaemonProcess, reserved_port
from tests.net.certificates import ONE
from tests.torture.overload import Crowd, Process
from tests.torture.torture_overload import behind, judged, pairs, started

HELD = 8, 32, 500               # connections at their proof, all the time
HOLD_SECONDS = 10.0
GET_IN = 0.95                   # of the logins of others at that address
PASSPHRASE, SALT = "a passphrase", b"s" * 16
FLOOD_SOCKETS = 16              # TLS handshakes that one flooder has under way
MEMORY = 32 << 20               # bytes that a flood may cost
SUBUIDS, UIDS, DIALS = 500_000, 20, 10
CHILDREN: list[int] = []


@functools.cache
def key_of(salt: bytes, iterations: int) -> bytes:
    """As a client keeps it: the slow part, once."""
    return scram.derive(PASSPHRASE, salt, iterations)


class Caller:
    """A connection over TCP that says one thing and hears another."""

    def __init__(self, port: int, name: str) -> None:
        self.name, self._decoder = name, wire.Decoder(wire.FRAME_MAX)
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.say(wire.Hello(wire.VERSION, wire.Feature.PROVE, bytes(16), name))

    def say(self, said: wire.Message) -> None:
        self.sock.sendall(wire.encode(said))

    def hear(self, kind: type) -> Any:
        """The next message of this kind, or REJECTED, or None at the end."""
        with contextlib.suppress(OSError):
            while data := self.sock.recv(1 << 16):
                for frame in self._decoder.feed(data):
                    for said in wire.each(wire.decode(frame, wire.DAEMON)):
                        if type(said) in (kind, wire.Rejected):
                            return said
        return None

    def log_in(self) -> bool:
        """Whether it got in, with the passphrase if it is asked for one."""
        said = self.hear(wire.Challenge)
        if not isinstance(said, wire.Challenge):
            return False
        key = key_of(said.salt, said.iterations)
        nonce = b"\x11" * 16
        talk = scram.conversation(self.name, nonce.hex(), said.nonce.hex(), said.salt,
                                  said.iterations, scram.Binding())
        with contextlib.suppress(OSError):
            self.say(wire.Proof(nonce, scram.prove(key, talk)))
        return isinstance(self.hear(wire.Welcome), wire.Welcome)

    def close(self) -> None:
        self.sock.close()


def claim(port: int, name: str) -> None:
    """A name that needs a passphrase from now on."""
    verifier = scram.verifier(key_of(SALT, scram.ITERATIONS), SALT, scram.ITERATIONS)
    caller = Caller(port, name)
    assert isinstance(caller.hear(wire.Welcome), wire.Welcome)
    caller.say(wire.Claim(1, *verifier))
    assert isinstance(caller.hear(wire.Done), wire.Done)
    caller.close()


def holding(pipe: Any, port: int, name: str, count: int) -> None:
    """Keep so many connections at their proof; each that is closed is dialled again."""
    behind()
    hello = wire.encode(wire.Hello(wire.VERSION, wire.Feature.PROVE, bytes(16), name))
    made = 0
    with selectors.DefaultSelector() as selector:
        while not pipe.poll():
            while len(selector.get_map()) < count:
                sock = socket.create_connection(("127.0.0.1", port))
                sock.setblocking(False)
                with contextlib.suppress(OSError):
                    sock.send(hello)
                selector.register(sock, selectors.EVENT_READ)
                made += 1
            for key, _ in selector.select(0.01):
                sock = key.fileobj      # type: ignore[assignment]
                try:
                    is_open = bool(sock.recv(4096))
                except OSError:
                    is_open = False
                if not is_open:
                    selector.unregister(sock)
                    sock.close()
        for key in list(selector.get_map().values()):
            key.fileobj.close()         # type: ignore[union-attr]
    pipe.send(made)


class Logins(NamedTuple):
    """How often somebody logged in, with a passphrase, one time after the other."""
    tried: int
    got_in: int
    slowest: float          # seconds


def log_in(port: int, name: str, seconds: float) -> Logins:
    """As many logins as there are in so many seconds."""
    tried, got_in, slowest, began = 0, 0, 0.0, time.monotonic()
    while (asked := time.monotonic()) - began < seconds:
        caller = Caller(port, name)
        tried += 1
        got_in += caller.log_in()
        caller.close()
        slowest = max(slowest, time.monotonic() - asked)
        time.sleep(0.05)
    return Logins(tried, got_in, slowest)


def held(port: int, count: int, seconds: float) -> tuple[Logins, float]:
    """Logins while so many connections are held; and how many the holder dialled a second."""
    holder, began = Process(holding, port, "held", count), time.monotonic()
    time.sleep(min(0.5, seconds))
    logins = log_in(port, "sam", seconds)
    holder.order("stop")
    made = holder.pipe.recv() / (time.monotonic() - began)
    holder.close()
    return logins, made


def proofs() -> bool:
    """Connections that hold a proof open, owners who log in from the same address, and 50 users at
    the Unix socket."""
    port, fine = reserved_port(), True
    with started("--listen", f"127.0.0.1:{port}") as daemon, \
            Crowd(daemon.path, "u", 50, pause=0.1) as crowd:
        for name in "held", "sam":
            claim(port, name)
        crowd.send(True)
        for count in HELD:
            memory, without = daemon.rss(), [crowd.watch(HOLD_SECONDS / 2)]
            crowd.order("watch", HOLD_SECONDS)
            busy = daemon.processor_seconds()
            logins, made = held(port, count, HOLD_SECONDS)
            busy = (daemon.processor_seconds() - busy) / HOLD_SECONDS
            under, grown = crowd.pipe.recv(), daemon.rss() - memory
            without.append(crowd.watch(HOLD_SECONDS / 2))
            good = logins.got_in >= GET_IN * logins.tried and grown <= MEMORY
            fine &= good
            print(f"  {count} held at one address, {made:.0f} dialled a second: {logins.got_in} of "
                  f"{logins.tried} logins got in, the slowest in {logins.slowest * 1000:.0f} ms; "
                  f"memory {grown / 2**20:+.1f} MiB, the daemon computed for {busy:.0%} of the time"
                  f"{'' if good else '  MISSED'}", flush=True)
            fine &= judged(f"{count} held", without, [under])
    return fine


def greeting() -> bytes:
    """The first bytes of a client in TLS."""
    out = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        client_context().wrap_bio(ssl.MemoryBIO(), out).do_handshake()
    return out.read()


def greeting_flood(pipe: Any, port: int) -> None:
    """Say hello in TLS, wait for the answer, go; as fast as it is answered."""
    behind()
    hello, made, answered = greeting(), 0, 0
    with selectors.DefaultSelector() as selector:
        while not pipe.poll():
            while len(selector.get_map()) < FLOOD_SOCKETS:
                sock = socket.create_connection(("127.0.0.1", port))
                sock.setblocking(False)
                sock.send(hello)
                selector.register(sock, selectors.EVENT_READ)
                made += 1
            for key, _ in selector.select(0.01):
                sock = key.fileobj      # type: ignore[assignment]
                with contextlib.suppress(OSError):
                    answered += bool(sock.recv(65536))
                selector.unregister(sock)
                sock.close()
    pipe.send((made, answered))


def key_files(directory: Path) -> dict[str, Path]:
    """A certificate with its key in one file, for each kind of key that this host can make."""
    found = {"P-256": directory / "p256.pem"}
    found["P-256"].write_text(ONE)
    if shutil.which("openssl"):
        for bits in (2048, 4096):
            path = directory / f"rsa{bits}.pem"
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", f"rsa:{bits}", "-nodes", "-days", "30",
                 "-subj", "/CN=lab", "-keyout", f"{path}.key", "-out", f"{path}.cert"],
                check=True, capture_output=True)
            path.write_text(Path(f"{path}.cert").read_text() + Path(f"{path}.key").read_text())
            found[f"RSA-{bits}"] = path
    return found


def handshakes() -> bool:
    """A flood of TLS handshakes, and 50 users at the Unix socket."""
    fine = True
    with tempfile.TemporaryDirectory(prefix="parley-keys-") as directory:
        for kind, path in key_files(Path(directory)).items():
            fine &= _handshakes(kind, path)
    return fine


def _handshakes(kind: str, certificate: Path) -> bool:
    port = reserved_port()
    with started("--listen", f"127.0.0.1:{port}", "--tls-cert", str(certificate)) as daemon, \
            Crowd(daemon.path, "u", 50, pause=0.1) as crowd:
        rates: list[float] = []
        busy: list[float] = []
        memory = daemon.rss()

        def begin() -> tuple[Process, float]:
            busy.append(-daemon.processor_seconds())
            return Process(greeting_flood, port), time.monotonic()

        def end(running: tuple[Process, float]) -> None:
            flooder, since = running
            flooder.order("stop")
            seconds = time.monotonic() - since
            rates.append(flooder.pipe.recv()[1] / seconds)
            busy[-1] = (busy[-1] + daemon.processor_seconds()) / seconds
            flooder.close()
        crowd.send(True)
        crowd.watch(1.0)
        without, under = pairs(crowd, begin, end)
        fine = judged(f"{kind}: handshakes beside 50 users", without, under)
        print(f"  {kind}: {mean(rates):.0f} handshakes a second meanwhile; the daemon computed for "
              f"{mean(busy):.0%} of the time; memory {(daemon.rss() - memory) / 2**20:+.1f} MiB",
              flush=True)
        return _a_login(daemon, port) and fine


def _a_login(daemon: DaemonProcess, port: int) -> bool:
    """How long others wait for their handshake, at the same address as the flood."""
    flooder = Process(greeting_flood, port)
    time.sleep(0.5)
    waits, failed = [], 0
    until = time.monotonic() + 20
    while (began := time.monotonic()) < until and len(waits) < 20:
        number = len(waits)
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=20) as sock, \
                    client_context().wrap_socket(sock) as secure:
                secure.sendall(wire.encode(wire.Hello(wire.VERSION, 0, bytes(16), f"t{number}")))
                failed += not secure.recv(4096)
        except OSError:
            failed += 1
        waits.append(time.monotonic() - began)
    flooder.order("stop")
    flooder.pipe.recv()
    flooder.close()
    print(f"  {len(waits)} logins beside it: {len(waits) - failed} got in, after "
          f"{sorted(waits)[len(waits) // 2] * 1000:.0f} ms (median), {max(waits) * 1000:.0f} ms at "
          "most", flush=True)
    return True


def dial_as(uid: int, path: str) -> list[str]:
    """The names under which a uid gets in: DIALS clients that stay for so long, each a new one."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.setresuid(uid, uid, uid)
        socks = []
        for number in range(DIALS):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(path)
            name = f"u{uid}.{number}"
            sock.sendall(wire.encode(wire.Hello(wire.VERSION, 0, bytes(16), name)))
            frames = list(wire.Decoder(wire.FRAME_MAX).feed(sock.recv(4096)))
            if isinstance(wire.decode(frames[0], wire.DAEMON), wire.Welcome):
                os.write(writing, f"{name} ".encode())
            socks.append(sock)
        os.close(writing)
        time.sleep(60)
        os._exit(0)
    os.close(writing)
    CHILDREN.append(child)
    with open(reading) as names:
        return names.read().split()


def uids() -> bool:
    """Many uids of one login, and its limits: 8 clients, 20 new names."""
    got = {}
    for what, row in (("none", ""), ("65536", f"4242:{SUBUIDS}:65536\n")):
        with tempfile.TemporaryDirectory(prefix="parley-subuid-") as directory:
            file = Path(directory) / "subuid"
            file.write_text(row)
            script = f'mount --bind {file} /etc/subuid && exec "$@"'
            with DaemonProcess("--socket-mode", "666", "--clients-each", "8", "--new-names", "20",
                               under=("unshare", "-m", "sh", "-c", script, "sh"),
                               bare=True) as daemon:
                os.chmod(daemon.directory, 0o755)
                got[what] = sum(len(dial_as(SUBUIDS + n, daemon.path)) for n in range(UIDS))
                for child in CHILDREN:
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)
                CHILDREN.clear()
        print(f"  {UIDS} uids, {what} of them a login's by /etc/subuid: {got[what]} clients with "
              "new names", flush=True)
    good = got["65536"] <= 8
    print(f"  so a login had {got['none'] / 8:.0f} times its share{'' if good else '  MISSED'}")
    return good


PARTS = {"proofs": proofs, "handshakes": handshakes, "uids": uids}


def main(names: list[str]) -> int:
    missed = []
    for name in names or PARTS:
        print(f"{name}: {PARTS[name].__doc__}", flush=True)
        if not PARTS[name]():
            missed.append(name)
    print(f"doors: {'missed: ' + ', '.join(missed) if missed else 'every figure holds'}")
    return bool(missed)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

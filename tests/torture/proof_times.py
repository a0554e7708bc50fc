"""What the time of an answer tells of a name: nothing.  Part of `make torture`.

    python3 -m tests.torture.proof_times [TRIES]

A stranger at a TCP port asks for names of several kinds, by turns: claimed over the network, kept
for a uid, both, a login of the host that never came, each of them away and connected.  It takes the
time from HELLO to CHALLENGE, and from a wrong PROOF to REJECTED.  For each two kinds the figure is
how much more often an answer of the one is quicker than some time than an answer of the other, for
the time at which that is most: no more than so many tries differ by chance, or the kinds can be
told apart.  The bytes must be of one length, and the same words but for the name.
"""
import contextlib
import pwd
import random
import socket
import statistics
import sys
import time
from bisect import bisect_right
from itertools import combinations
from typing import Any

import wire
from net import scram
from tests.harness.process import HERE, DaemonProcess, reserved_port

TRIES = 10_000                  # of each kind
CHANCE = 2.7                    # times the root of 2 / TRIES: one pair in a million is further
                                # apart by chance
LENGTH = 4                      # of every name, since it is part of REJECTED
EACH = 4                        # names of a kind
KEY = bytes(32)
# A stranger that errs would have to wait two seconds for its next try.
DAEMON = ("-c", f"import sys; sys.path.insert(0, {HERE!r}); import daemon, rules.guesses as of; "
                "of.WRONG_SECONDS = 0; of.NAME_TRIES = 10**6; daemon.main()")
PROOF = wire.encode(wire.Proof(bytes(16), bytes(32)))


class House:
    """A daemon with names of each kind, and a way to ask it."""

    def __init__(self, daemon: DaemonProcess, port: int) -> None:
        self.daemon, self.port = daemon, port
        self.kinds: dict[str, list[str]] = {}
        self._open: list[Any] = []              # clients that stay
        self._names = (f"{a}{b}{a}{b}" for a in "bcdfghjklmnpqrstvwxz" for b in "aeiou")
        logins = [entry.pw_name for entry in pwd.getpwall() if len(entry.pw_name) == LENGTH
                  and entry.pw_name not in ("root",)]
        self.kinds["login"] = logins[:EACH]
        for kind in ("claimed", "owned", "owned and claimed", "claimed, connected",
                     "owned, connected"):
            self.kinds[kind] = [next(self._names) for _ in range(EACH)]
            for name in self.kinds[kind]:
                self._make(name, kind)

    def _make(self, name: str, kind: str) -> None:
        speaker = self.daemon.client(name, wire.Feature.PROVE) if "owned" in kind else Over(
            self.port, name)
        if "claimed" in kind:
            speaker.say(wire.Claim(1, *scram.verifier(KEY, name.encode() * 4, scram.ITERATIONS)))
            speaker.hear(wire.Done)
        if "connected" in kind:
            self._open.append(speaker)
        else:
            speaker.close()

    def close(self) -> None:
        for speaker in self._open:
            speaker.close()


class Over:
    """A client over TCP."""

    def __init__(self, port: int, name: str) -> None:
        self.sock = connected(port)
        self._decoder = wire.Decoder(wire.FRAME_MAX)
        self.say(wire.Hello(wire.VERSION, wire.Feature.PROVE, bytes(16), name))
        self.hear(wire.Welcome)

    def say(self, said: wire.Message) -> None:
        self.sock.sendall(wire.encode(said))

    def hear(self, kind: type) -> Any:
        while True:
            for frame in self._decoder.feed(self.sock.recv(65536)):
                said = wire.decode(frame, wire.DAEMON)
                if type(said) is kind:
                    return said

    def close(self) -> None:
        self.sock.close()


def connected(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.settimeout(20)
    return sock


def ask(sock: socket.socket, name: str) -> tuple[int, bytes, int, bytes]:
    """Nanoseconds and bytes of the CHALLENGE, and of what a wrong proof brings."""
    hello = wire.encode(wire.Hello(wire.VERSION, wire.Feature.PROVE | wire.Feature.BIND, bytes(16),
                                   name))
    begun = time.perf_counter_ns()
    sock.sendall(hello)
    challenge = sock.recv(4096)
    asked = time.perf_counter_ns()
    sock.sendall(PROOF)
    rejected = sock.recv(4096)
    return asked - begun, challenge, time.perf_counter_ns() - asked, rejected


def measure(house: House, tries: int, seed: int = 1
            ) -> tuple[dict[str, tuple[list[int], list[int]]], set[tuple[int, bytes]]]:
    """The times of each kind, and the different answers, without name, salt and nonce."""
    chance = random.Random(seed)
    times: dict[str, tuple[list[int], list[int]]] = {kind: ([], []) for kind in house.kinds}
    answers = set()
    following = connected(house.port)
    for number in range(tries):
        for kind in chance.sample(list(house.kinds), len(house.kinds)):
            name = house.kinds[kind][number % len(house.kinds[kind])]
            sock, following = following, connected(house.port)  # taken in before its time begins
            took, challenge, took_too, rejected = ask(sock, name)
            sock.close()
            assert b"not the passphrase" in rejected, rejected
            times[kind][0].append(took)
            times[kind][1].append(took_too)
            answers.add((len(challenge), rejected.replace(name.encode(), b"NAME")))
    following.close()
    return times, answers


def apart(one: list[int], other: list[int]) -> float:
    """How far apart two distributions are: 0 to 1 (Kolmogorov and Smirnov's D)."""
    first, second, found = sorted(one), sorted(other), 0.0
    for took in first + second:
        found = max(found, abs(bisect_right(first, took) / len(first)
                               - bisect_right(second, took) / len(second)))
    return found


def proof_times(tries: int) -> tuple[list[str], bool]:
    """What was measured, and whether anything can be told apart."""
    port = reserved_port()
    with DaemonProcess("--listen", f"127.0.0.1:{port}", program=DAEMON, bare=True) as daemon, \
            contextlib.closing(House(daemon, port)) as house:
        measure(house, tries // 50)
        times, answers = measure(house, tries)
    told, worst, allowed = [], 0.0, CHANCE * (2 / tries) ** 0.5
    for phase, what in enumerate(("CHALLENGE", "REJECTED")):
        for kind, both in times.items():
            tenths = statistics.quantiles(both[phase], n=10)
            shown = " ".join(f"{tenths[at] / 1000:6.1f}" for at in (0, 4, 8))
            told.append(f"{what:9} {kind:20} {shown} us (p10, p50, p90)")
        for one, other in combinations(times, 2):
            distance = apart(times[one][phase], times[other][phase])
            worst = max(worst, distance)
            if distance > allowed:
                told.append(f"{what} of {one} and of {other}: {100 * distance:.1f} % apart")
    told.append(f"{tries} tries of each kind; the furthest apart are {100 * worst:.2f} % "
                f"({100 * allowed:.2f} % allowed); {len(answers)} kind of answer")
    return told, worst > allowed or len(answers) != 1


def main(arguments: list[str]) -> int:
    told, can_be_told = proof_times(int(arguments[0]) if arguments else TRIES)
    for line in told:
        print(f"proof_times: {line}")
    return int(can_be_told)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

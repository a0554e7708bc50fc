"""A real daemon in a process of its own, and a blocking client to talk to it."""
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import wire
from tests.harness import lived_in

FULL = os.environ.get("PARLEY_TESTS") == "all"  # long searches at full size: `make test-all`, CI
HERE = str(Path(__file__).resolve().parents[2])
START_SECONDS = 120         # until the daemon listens: 0.3 are usual, a busy machine took over 20

T = TypeVar("T")
RESERVED: list[socket.socket] = []      # see reserved_port()
# In a test all clients are one login.
MANY = ("--clients-each", "none", "--new-names", "none", "--names-each", "none",
        "--all-seconds", "none",
        "--log-each", "none")


def effort(full: T, sample: T) -> T:
    """The size of a long search: its full one in `make test-all`, a sample in `make test`."""
    return full if FULL else sample


def say_figures(text: str) -> None:
    """What a test has measured or counted: shown with -v."""
    if "-v" in sys.argv:
        print(text, file=sys.stderr)


def reserved_port() -> int:
    """A TCP port of 127.0.0.1 for a program of the test, and for nobody else.

    The test's process stays bound to it and never listens.  Beside such a socket the kernel lets
    another one listen that names the port and has SO_REUSEADDR, as all servers here do; and it
    gives the port to nobody who takes any port, to listen or to connect."""
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    RESERVED.append(holder)
    return int(holder.getsockname()[1])


class DaemonProcess:
    """`daemon.py` on a Unix socket and a store in a directory of its own, removed at the end.

    The store is that of a house where people live, and 200 of them are connected (lived_in.py);
    with `bare` it is empty.  `program`: another one, with its first arguments; `under`: a command
    that runs it; `store`: another place, which stays as it is, and where nobody lives.  With `wait`
    false the daemon may still be starting, or die: call wait()."""

    def __init__(self, *options: str, python: str = sys.executable, console: str = "none",
                 store: str = "", program: Sequence[str] = (HERE + "/daemon.py",),
                 under: Sequence[str] = (), wait: bool = True, bare: bool = False) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="parley-process-")
        self.directory = self._directory.name
        self.path = self.directory + "/sock"
        self.store = store or self.directory + "/store"
        self.command = [*under, python, *program, "--config", "none", "--state", self.store,
                        "--console", console, *MANY, *options,
                        "--listen", "unix:" + self.path]        # wait() asks the last
        self.process: subprocess.Popen[bytes] | None = None
        self.is_lived_in = not (bare or store)
        self.residents: lived_in.Residents | None = None
        if self.is_lived_in:
            lived_in.furnish(self.store)
            lived_in.keep_a_year(self.directory + "/state", self.store, *lived_in.PEOPLE)
        self.launch()
        if wait:
            self.wait()

    def launch(self) -> None:
        with open(self.directory + "/output", "ab") as output:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=output)

    def start(self) -> float:
        """Start it; how many seconds until it took a connection."""
        started = time.monotonic()
        self.launch()
        self.wait()
        return time.monotonic() - started

    def wait(self) -> None:
        """Until it takes a connection, and those who live there are back."""
        assert self.process is not None
        self._send_away()
        started = time.monotonic()
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() - started > START_SECONDS:
                raise AssertionError(f"the daemon did not start: {self.output()}")
            time.sleep(0.005)
        if self.is_lived_in:
            self.residents = lived_in.Residents(self.path)
            self.residents.settle()

    def _send_away(self) -> None:
        """Those who lived there."""
        if self.residents:
            self.residents.close()
            self.residents = None

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(self.path) == 0

    def output(self) -> str:
        with open(self.directory + "/output", encoding="utf-8", errors="replace") as output:
            return output.read()

    def end(self, number: int = signal.SIGKILL) -> int:
        """Send it a signal and wait for its exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(START_SECONDS)

    def rss(self) -> int:
        """Its memory now, in bytes."""
        assert self.process is not None
        with open(f"/proc/{self.process.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def processor_seconds(self) -> float:
        """What it has computed so far, without its children."""
        assert self.process is not None
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def client(self, name: str, features: int = wire.Feature.RECEIPTS) -> "Speaker":
        return Speaker(self.path, name, features)

    def close(self) -> None:
        if self.process and self.process.poll() is None:
            self.end()
        self._send_away()
        self._directory.cleanup()

    def __enter__(self) -> "DaemonProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Speaker:
    """A client that says and hears one thing after the other.

    While its name is in use it tries again: a client of before may have ended a moment ago, and
    what the daemon hears first is not settled."""

    def __init__(self, path: str, name: str, features: int) -> None:
        hello = wire.Hello(wire.VERSION, features, bytes(16), name)
        deadline = time.monotonic() + START_SECONDS
        while not self._log_in(path, hello):
            assert time.monotonic() < deadline, f"{name} is still in use"
            time.sleep(0.005)

    def _log_in(self, path: str, hello: wire.Hello) -> bool:
        """Whether it is in; False: its name is in use.  Raises AssertionError."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(START_SECONDS)
        self.sock.connect(path)
        self._decoder = wire.Decoder(wire.FRAME_MAX)
        self._heard: list[Any] = []
        self.say(hello)
        try:
            self.welcome = self.hear(wire.Welcome, wire.Rejected)
            if isinstance(self.welcome, wire.Welcome):
                return True
            assert self.welcome.why == wire.Why.TAKEN, self.welcome
        except BaseException:
            self.close()
            raise
        self.close()
        return False

    def say(self, *said: wire.Message) -> None:
        self.sock.sendall(b"".join(map(wire.encode, said)))

    def messages(self) -> Iterator[Any]:
        """What comes, as it comes."""
        while True:
            while self._heard:
                yield self._heard.pop(0)
            data = self.sock.recv(1 << 18)
            if not data:
                return
            for frame in self._decoder.feed(data):
                self._heard += wire.each(wire.decode(frame, wire.DAEMON))

    def hear(self, *kinds: type) -> Any:
        """The next message of these kinds; the others before it are passed over."""
        said = None
        for said in self.messages():
            if type(said) in kinds:
                return said
        raise AssertionError(f"the line was closed before a {kinds[0].__name__} came; last: {said}")

    def check(self) -> list[wire.Mail]:
        """What waits, confirmed."""
        self.say(wire.Check(1))
        mails = []
        while isinstance(said := self.hear(wire.Mail, wire.Checked), wire.Mail):
            mails.append(said)
        if mails:
            self.say(wire.Confirm(mails[0].id, mails[-1].id))
            self.hear(wire.Confirmed)
        return mails

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> "Speaker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

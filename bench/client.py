#!/usr/bin/env python3
"""client: how the curses client feels, beside irssi and weechat.

usage: client.py [--seconds N] [CLIENT ...]

Each client runs on a pty of its own, 24 x 80.  It is measured by what a person at that terminal
would see:

    start       from exec to the first screen with an input line
    key         from a key's bytes in to the bytes of its character out, at rest
    key, flood  the same while 5,000 messages per second come in and are shown
    lag         from the end of the flood until the terminal is quiet and shows everything
    memory      resident, before the flood and after it (100,000 lines with the default of 20 s)

parley is connected to its daemon by a Unix socket; it confirms each message and writes it to its
archive.  irssi and weechat are connected to ngircd on loopback and sit in the room that is flooded.
parley keeps the last 10,000 entries in memory, and all of them in its archive; the others are told
to keep 100,000 lines.  Keys are Greek capitals, which nothing else on the screen contains.
"""
import argparse
import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import report
from measure import Result
from servers import (
    HERE,
    HOME,
    LOAD_CORE,
    PLACE,
    PYTHON,
    Server,
    find_program,
    pin,
    results_directory,
)

KEYS = "ΓΔΘΛΞΠΣΦΨΩ"         # their bytes, upper and lower case, are in no other text here
CLEAR = b"\x15"             # ^U clears the whole line
STARTS = 5                  # of which the median counts
REST_KEYS = 50
KEY_PAUSE = 0.05            # seconds between two keys
FLOOD_US = 200              # between two messages: 5,000 per second
PATIENCE = 30.0             # seconds for anything that must happen
QUIET = 0.3                 # seconds without output: everything was shown
USER = "u2"                 # the name after the flood's: load.c


class Terminal:
    """A program on a pty.  What it writes is read and searched, not painted."""

    def __init__(self, command: Sequence[str], home: str) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": home,
                       "XDG_STATE_HOME": home, "XDG_RUNTIME_DIR": home,
                       "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
        self.started = time.perf_counter()
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave,
                                        env=environment, cwd=home, start_new_session=True,
                                        preexec_fn=pin(LOAD_CORE))
        os.close(slave)

    def read(self, seconds: float) -> bytes:
        """The next output, at once when it comes; b"" after so many seconds."""
        if not select.select([self.master], [], [], max(0.0, seconds))[0]:
            return b""
        try:
            return os.read(self.master, 1 << 16)
        except OSError:
            raise RuntimeError(f"the client ended: {self.process.wait()}") from None

    def until(self, marks: Sequence[bytes]) -> float:
        """Read until the program has written all these marks; the time when it wrote the last."""
        seen, limit = b"", time.perf_counter() + PATIENCE
        while not all(mark in seen for mark in marks):
            if time.perf_counter() > limit:
                raise RuntimeError(f"no {marks!r} in {seen[-300:]!r}")
            seen += self.read(0.5)
        return time.perf_counter()

    def until_quiet(self) -> float:
        """Read until nothing comes for QUIET seconds; the time when the last output came."""
        last = time.perf_counter()
        limit = last + PATIENCE
        while (now := time.perf_counter()) - last < QUIET and now < limit:
            if self.read(QUIET / 3):
                last = time.perf_counter()
        return last

    def idle(self, seconds: float) -> None:
        """Read for so many seconds."""
        limit = time.perf_counter() + seconds
        while (remaining := limit - time.perf_counter()) > 0:
            self.read(remaining)

    def write(self, data: bytes) -> None:
        os.write(self.master, data)

    def key(self, number: int) -> float:
        """Type a character, after a pause; returns the seconds until the program wrote it."""
        letter = KEYS[number % len(KEYS)].encode()
        if number % len(KEYS) == 0:
            self.write(CLEAR)
        self.idle(KEY_PAUSE)
        begin = time.perf_counter()
        self.write(letter)
        return self.until([letter]) - begin

    def memory(self) -> int:
        """Resident memory in bytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)


class Client(NamedTuple):
    """A client and the server that it is connected to."""
    program: str
    server: str                                     # a label of servers.PEERS
    command: Callable[[Server, str], list[str]]     # from the server and a home
    painted: tuple[bytes, ...]                      # on the first screen with an input line
    connected: bytes                                # shown when the client is connected
    keys: bytes = b""                               # then typed to be ready for the flood


def parley(server: Server, home: str) -> list[str]:
    return [PYTHON, str(HOME / "curses_client.py"),
            "--connect", f"unix:{server.place.socket}", "--name", USER]


def irssi(server: Server, home: str) -> list[str]:
    Path(home, "config").write_text(f"""
servers = ( {{ address = "127.0.0.1"; port = "{server.place.port}";
               chatnet = "bench"; autoconnect = "yes"; }} );
chatnets = {{ bench = {{ type = "IRC"; nick = "{USER}"; }}; }};
channels = ( {{ name = "#room"; chatnet = "bench"; autojoin = "yes"; }} );
settings = {{ "fe-text" = {{ scrollback_lines = "100000"; scrollback_time = "0"; }};
             core = {{ nick = "{USER}"; user_name = "{USER}"; real_name = "{USER}"; }}; }};
""")
    return ["irssi", f"--home={home}", f"--config={home}/config"]


def weechat(server: Server, home: str) -> list[str]:
    return ["weechat", "-d", home, "-r", "/set weechat.history.max_buffer_lines_number 100000",
            "-r", "/set logger.file.auto_log off",
            f"irc://{USER}@127.0.0.1:{server.place.port}/#room"]


CLIENTS = {
    "parley": Client("", "parley", parley, (b"menu>",), b"connected to"),
    "irssi": Client("irssi", "ngircd", irssi, (b"[(status)]",), b"Act:", b"/window 2\r"),
    "weechat": Client("weechat", "ngircd", weechat, (b"weechat",), b"#room"),
}


def begin(client: Client, server: Server, home: str) -> Terminal:
    return Terminal(client.command(server, home), home)


def start_times(client: Client, server: Server) -> list[float]:
    times = []
    for _ in range(STARTS):
        with tempfile.TemporaryDirectory(prefix="parley-bench-client-", dir=PLACE) as home:
            terminal = begin(client, server, home)
            try:
                times.append(terminal.until(client.painted) - terminal.started)
            finally:
                terminal.close()
            time.sleep(0.5)         # until the server knows that the client is gone
    return times


def flood(server: Server, terminal: Terminal, seconds: float) -> tuple[list[float], float, Result]:
    """The times of keys typed during a flood, the lag after it, and what the generator printed."""
    command = [str(HERE / "load"), "-v", "-p", server.peer.protocol, "-m", "flood",
               "-b", str(FLOOD_US), "-u", "1", "-W", "0", "-t", str(seconds),
               "-h", server.host, "-o", str(server.place.port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               errors="replace", preexec_fn=pin(LOAD_CORE))
    assert process.stdout and process.stderr
    process.stderr.readline()
    times, number = [], 0
    over = time.perf_counter() + seconds
    while time.perf_counter() < over:
        times.append(terminal.key(number))
        number += 1
    if process.wait():
        raise RuntimeError(process.stderr.read())
    ended = time.perf_counter()
    lag = max(0.0, terminal.until_quiet() - ended)
    said: Result = json.loads(process.stdout.read())
    return times, lag, said


def measure(name: str, seconds: float) -> Result:
    client = CLIENTS[name]
    with Server(client.server, "live") as server:
        starts = start_times(client, server)
        with tempfile.TemporaryDirectory(prefix="parley-bench-client-", dir=PLACE) as home:
            terminal = begin(client, server, home)
            try:
                terminal.until([client.connected])
                terminal.until_quiet()
                terminal.write(client.keys)
                terminal.until_quiet()
                rest = [terminal.key(number) for number in range(REST_KEYS)]
                before = terminal.memory()
                times, lag, said = flood(server, terminal, seconds)
                after = terminal.memory()
            finally:
                terminal.close()
    return {"client": name, "start_ms": median(starts) * 1e3,
            "messages_s": said["rate"], "lines": said["count"], "lag_ms": lag * 1e3,
            "memory_mb": before / 2**20, "memory_flood_mb": after / 2**20,
            **quantiles("key", rest), **quantiles("flood", times)}


def quantiles(what: str, seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {f"{what}_{name}_ms": ordered[int(part * (len(ordered) - 1))] * 1e3
            for name, part in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))}


COLUMNS = [
    ("start ms", "start_ms"), ("key p50", "key_p50_ms"), ("p99", "key_p99_ms"),
    ("flood key p50", "flood_p50_ms"), ("p99", "flood_p99_ms"), ("max ms", "flood_max_ms"),
    ("lag ms", "lag_ms"), ("MB", "memory_mb"), ("MB after", "memory_flood_mb"),
    ("lines", "lines"), ("per second", "messages_s")]
COMPARED = [metric for _, metric in COLUMNS[:9]]


def verdicts(results: Sequence[Result]) -> list[str]:
    """Compares parley with each of the others, figure by figure."""
    ours = next((result for result in results if result["client"] == "parley"), None)
    lines = []
    for other in results:
        if ours is None or other is ours:
            continue
        for metric in COMPARED:
            word = "reached    " if ours[metric] <= other[metric] else "NOT REACHED"
            lines.append(f"{word} {metric}: parley {ours[metric]:.2f}, "
                         f"{other['client']} {other[metric]:.2f}")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench/client.py",
                                     description="How the curses client feels.")
    parser.add_argument("--seconds", type=float, default=20, help="of the flood")
    parser.add_argument("clients", nargs="*",
                        help=f"{', '.join(CLIENTS)}; all that are installed by default")
    options = parser.parse_args(arguments)
    about, results = report.machine(), []
    print(report.describe(about))
    for name in options.clients or CLIENTS:
        program = CLIENTS[name].program
        if program and not (find_program(program) and find_program("ngircd")):
            print(f"{name}: needs {program} and ngircd: left out")
            continue
        try:
            results.append(measure(name, options.seconds))
        except RuntimeError as error:
            print(f"FAILED {name}: {error}")
            continue
    table = [["", *(name for name, _ in COLUMNS)]]
    table += [[result["client"], *(f"{result[metric]:.1f}" for _, metric in COLUMNS)]
              for result in results]
    print(report.aligned(table), *verdicts(results), sep="\n")
    text = json.dumps(about | {"clients": results}, indent=1) + "\n"
    (results_directory() / "client.json").write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

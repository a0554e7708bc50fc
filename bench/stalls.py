#!/usr/bin/env python3
"""stalls: how long the daemon makes one user wait while it is busy with all the others.

usage: stalls.py [--seconds N]

The heartbeat: one user sends a message to another every 5 ms, whatever comes back, through the
durable queue like every message.  Each beat carries the time when it was due, so that every beat
that falls into a stall counts it.  A scene measures the time until a beat was delivered, and until
its sender had the OK.  The generators of the load have a lower priority than the heartbeat, but the
same core: the figures contain what they add, and are therefore upper bounds.
"""
import argparse
import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import report
from measure import Failed, Result, load
from servers import HERE, LOAD_CORE, Server, results_directory

# of another size than the others' messages: see load.c, on_text
BEAT = "-m beat -b 5000 -u 900000 -s 50"
LOAD_SECONDS = 3600         # of a load; it is ended when the heartbeat is over
BURST_PAUSE = 0.2           # seconds between two crowds that log in

PAIRS = ("parley", "-m pair -n 50 -w 32")
ABSENT = ("parley", "-m enqueue -n 50 -w 32")
TO_ALL = ("parley-all", "-m room -n 10000 -k 1 -w 1 -S 20 -u 10001")


class Scene(NamedTuple):
    """What the daemon is busy with."""
    title: str
    loads: tuple[tuple[str, str], ...] = ()     # protocol and options of each generator
    crowd: int = 0                              # how many new names log in at once, repeatedly


SCENES = [
    Scene("nothing else"),
    Scene("W1 at full load", (PAIRS,)),
    Scene("W5 at full load: mail for the absent is sealed", (ABSENT,)),
    Scene("W1 at full load, and 1,000 logins at once", (PAIRS,), 1000),
    Scene("sends to all of 10,000, one after the other", (TO_ALL,)),
]


@contextlib.contextmanager
def under_way(server: Server, protocol: str, options: str) -> Iterator[None]:
    """A load that runs inside the `with`."""
    command = [str(HERE / "load"), "-v", "-p", protocol, "-h", server.host,
               "-o", str(server.place.port), "-t", str(LOAD_SECONDS), *options.split()]

    def settle_in() -> None:
        os.nice(10)
        if (os.cpu_count() or 1) > 1:
            os.sched_setaffinity(0, {LOAD_CORE})

    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               text=True, errors="replace", preexec_fn=settle_in)
    try:
        assert process.stderr
        if (said := process.stderr.readline()) != "begun\n":
            raise Failed(f"{options}: {said}")
        yield
        if process.poll() is not None:
            raise Failed(f"{options}: {process.stderr.read()}")
    finally:
        process.kill()
        process.wait()


class Crowds:
    """Crowds of new names, each of `size`, that log in until the `with` ends."""

    def __init__(self, server: Server, size: int) -> None:
        self.server, self.size = server, size
        self.crowds = 0                         # how many have logged in
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._over.wait(BURST_PAUSE):
            first = 1_000_000 + self.crowds * self.size
            load(self.server, f"-m register -n {self.size} -l {self.size} -u {first} -S 20")
            self.crowds += 1

    def __enter__(self) -> "Crowds":
        if self.size:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self.size:
            self._thread.join()


def segments(server: Server) -> set[str]:
    """The numbers of the store's sealed segments."""
    names = os.listdir(server.place.directory / "store")
    return {name.split(".")[1] for name in names if name.startswith("segment.")}


def play(scene: Scene, seconds: float) -> Result:
    """Play one scene on a fresh server; returns what the heartbeat saw."""
    with Server("parley", "live") as server, contextlib.ExitStack() as stack:
        load(server, "-m register -n 50")
        for protocol, options in scene.loads:
            stack.enter_context(under_way(server, protocol, options))
        before = segments(server)
        with Crowds(server, scene.crowd) as crowds:
            result = load(server, f"{BEAT} -t {seconds}")
        return result | {"sealed": len(segments(server) - before), "crowds": crowds.crowds}


def line(scene: Scene, result: Result) -> str:
    parts = [f"{what} p50 {result[f'{key}_p50'] / 1e3:.2f}, "
             f"p99.9 {result[f'{key}_p999'] / 1e3:.1f}, max {result[f'{key}_max'] / 1e3:.1f} ms"
             for what, key in (("delivered", "delivery"), ("OK", "ack"))]
    more = [f"{result['delivery_count']} beats"]
    more += [f"{result['sealed']} segments sealed"] if result["sealed"] else []
    more += [f"{result['crowds']} crowds"] if result["crowds"] else []
    return f"{scene.title:52}{'; '.join(parts)}  ({', '.join(more)})"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench/stalls.py",
                                     description="How long one user waits while others are busy.")
    parser.add_argument("--seconds", type=float, default=10, help="of each scene")
    parser.add_argument("scenes", nargs="*", type=int,
                        help=f"1 to {len(SCENES)}; all of them by default")
    options = parser.parse_args(arguments)
    about, results = report.machine(), []
    print(report.describe(about))
    for scene in [SCENES[number - 1] for number in options.scenes] or SCENES:
        try:
            result = play(scene, options.seconds)
        except (Failed, RuntimeError) as error:
            print(f"FAILED {scene.title}: {error}", flush=True)
            continue
        print(line(scene, result), flush=True)
        results.append({"scene": scene.title} | result)
    text = json.dumps(about | {"scenes": results}, indent=1) + "\n"
    (results_directory() / "stalls.json").write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

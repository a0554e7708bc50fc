#!/usr/bin/env python3
"""growth: how the daemon's cost grows with waiting mail, clients, recipients and the size of a
message.

usage: growth.py [--most N] [--rounds N] [--seconds N]

Cost is the CPU time of the daemon's process and its children for one message (for one delivery,
where a message has many recipients).  Other programs on the machine disturb that less than they
disturb rates.  Plots go to bench/plots; figures go to bench/results/growth.json and, as lines, to
the output, which also says what of works.GROWTH was missed.
"""
import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from statistics import median

import plot
import report
from measure import Failed, load
from servers import HERE, Server, results_directory
from works import GROWTH

LABEL = "parley"
ANY = "parley-any"          # one sender may put a million messages into one mailbox
PLOTS = HERE / "plots"
FILL_AT_ONCE = 500          # messages unacknowledged while a queue is filled
NAMES_EACH = 100_000        # names registered in one run of the generator

Curve = list[tuple[float, float]]


def decades(least: int, most: int) -> list[int]:
    return [size for size in (10 ** power for power in range(8)) if least <= size <= most]


class Growth:
    """All curves and figures of one run."""

    def __init__(self, most: int, rounds: int, seconds: float) -> None:
        self.most = most
        self.rounds = rounds
        self.seconds = seconds
        self.figures: dict[str, float] = {}
        self.curves: dict[str, dict[str, Curve]] = {}

    def cost(self, server: Server, options: str, protocol: str = "") -> float:
        """Microseconds of the daemon's CPU for a message: the median of the rounds."""
        runs = [load(server, f"{options} -t {self.seconds}", protocol)["cpu_us"]
                for _ in range(self.rounds)]
        return float(median(runs))

    def add(self, plot_name: str, curve: str, x: float, y: float) -> None:
        self.curves.setdefault(plot_name, {}).setdefault(curve, []).append((x, y))
        print(f"{plot_name:12}{curve:32}{x:>10g}  {y:10.2f}", flush=True)

    def set(self, name: str, value: float) -> None:
        self.figures[name] = round(value, 3)
        print(f"{name:54}{value:10.2f}", flush=True)

    # ---- the curves ----

    def waiting(self) -> None:
        """Live mail beside waiting mail; its memory; a start over all of it; and taking it."""
        with Server(ANY, "kept") as server:
            load(server, "-m register -n 50")
            before, there = server.memory(), 0
            for size in decades(10, self.most):
                load(server, f"-m enqueue -w {FILL_AT_ONCE} -c {size - there}")
                there = size
                server.rest()           # so that only the work of what is measured remains
                cost = self.cost(server, "-m pair -n 50 -w 32 -u 1000")
                self.add("waiting", "a message between two, live", size, cost)
            server.rest()
            self.set("bytes of memory for a waiting message", (server.memory() - before) / there)
            server.restart()
            self.set(f"ms to start over {plot.short(there)} waiting", server.started * 1000)
            taken = load(server, f"-m drain -c {there}")
            self.set("us to take one of them, confirmed", 1e6 / taken["rate"])

    def clients(self) -> None:
        for size in decades(10, min(self.most, 10_000)):
            with Server(LABEL, "idle") as server:
                speaking = self.cost(server, f"-m pair -n {size // 2} -w 1 -S 20 -W 2")
                self.add("clients", "all speak, 1 in flight each", size, speaking)
            with Server(LABEL, "idle") as server:
                beside = self.cost(server, f"-m pair -n 50 -w 32 -i {size} -S 20")
                self.add("clients", "50 pairs beside idle ones, 32", size, beside)

    def recipients(self) -> None:
        for size in decades(1, min(self.most, 1000)):
            with Server(LABEL, "room") as server:
                queued = self.cost(server, f"-m room -n {size} -k 1 -w 32", "parley-all")
                self.add("recipients", "to all, through the queues", size, queued)
            with Server(LABEL, "room") as server:
                line = self.cost(server, f"-m room -n {size} -k 1 -w 32")
                self.add("recipients", "a line of a group chat", size, line)

    def sizes(self) -> None:
        for size in (10, 30, 100, 300, 1000, 4096, 16384):
            with Server(LABEL, "live") as server:
                cost = self.cost(server, f"-m pair -n 50 -w 8 -s {size}")
                self.add("sizes", "a message between two", size, cost)

    def memory(self) -> None:
        """Memory for an idle client, and for a name in the log."""
        with Server(LABEL, "idle") as server:
            idle = load(server, f"-m ping -i {min(self.most, 10_000)} -S 20 -t {self.seconds}")
            self.set("KB of memory for an idle client", idle["idle_kb"])
        with Server(LABEL, "kept") as server:
            self.set("ms to start, nothing there", server.started * 1000)
            before, began = server.memory(), time.monotonic()
            for first in range(0, self.most, NAMES_EACH):
                load(server, f"-m register -n {min(NAMES_EACH, self.most - first)} -u {1 + first}")
            self.set("names registered in a second", self.most / (time.monotonic() - began))
            server.rest()
            self.set("bytes of memory for a name", (server.memory() - before) / self.most)
            server.restart()
            self.set(f"ms to start with {plot.short(self.most)} names", server.started * 1000)

    # ---- what comes out ----

    def draw(self) -> None:
        PLOTS.mkdir(exist_ok=True)
        words = {"waiting": ("Cost against waiting mail", "messages waiting"),
                 "clients": ("Cost against clients", "clients"),
                 "recipients": ("Cost of a delivery against recipients", "recipients of a message"),
                 "sizes": ("Cost against size", "bytes of text")}
        for name, curves in self.curves.items():
            title, across = words[name]
            picture = plot.svg(title, across, "us of the daemon's CPU", curves)
            (PLOTS / f"{name}.svg").write_text(picture)

    def spread(self, plot_name: str, curve: str) -> float:
        """The dearest point divided by the cheapest."""
        costs = [y for _, y in self.curves.get(plot_name, {}).get(curve, ())]
        least = min(costs, default=0.0)
        return max(costs) / least if least else 0.0

    def verdicts(self) -> Iterator[str]:
        for name, most in GROWTH.items():
            plot_name, _, curve = name.partition(": ")
            value = self.spread(plot_name, curve) if curve else self.figures.get(name, 0.0)
            if value:
                word = "reached    " if value <= most else "NOT REACHED"
                yield f"{word} {name}: {value:.2f}, wanted at most {most:g}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench/growth.py",
                                     description="How the daemon's cost grows.")
    add = parser.add_argument
    add("--most", type=int, default=1_000_000, help="messages waiting, and names, at most")
    add("--rounds", type=int, default=3, help="of which the median counts")
    add("--seconds", type=float, default=2.0, help="of each measurement")
    add("parts", nargs="*",
        help="waiting, clients, recipients, sizes, memory; all of them by default")
    options = parser.parse_args(arguments)
    growth, about = Growth(options.most, options.rounds, options.seconds), report.machine()
    print(report.describe(about))
    parts: dict[str, Callable[[], None]] = {
        "waiting": growth.waiting, "clients": growth.clients, "recipients": growth.recipients,
        "sizes": growth.sizes, "memory": growth.memory}
    for name in options.parts or parts:
        try:
            parts[name]()
        except (Failed, RuntimeError) as error:
            print(f"FAILED {name}: {error}")
    growth.draw()
    found = about | {"figures": growth.figures, "curves": growth.curves}
    (results_directory() / "growth.json").write_text(json.dumps(found, indent=1) + "\n")
    print("\n".join(growth.verdicts()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""run: all works against parley, the bare routers and the named peers, side by side.

usage: run.py [--works W1,W5] [--rounds N] [--seconds N] [--only] [--out FILE] [PEER ...]

In every round it runs each work on every server, one after the other, so that other work of the
machine disturbs all of them.  Ratios are medians of the rounds' own ratios.  It appends each result
to FILE as a line of JSON; figures.py makes tables of them.
"""
import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import report
from measure import Result, can, measure
from servers import PEERS, PLACE, file_system, find_program, results_directory
from works import WORKS

OURS = ["parley", "parley-single", "parley-unix", "parley-log",
        "router-c", "router-py", "router-c-durable", "router-py-durable"]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/run.py",
                                     description="Measure parley beside its peers.")
    add = parser.add_argument
    add("--works", default="", help="such as W1,W5; all of them by default")
    add("--rounds", type=int, default=3, help="3 by default")
    add("--seconds", type=float, default=2.5, help="of each measurement")
    add("--only", action="store_true", help="only parley and the named peers")
    add("--out", type=Path, help="append results to this; bench/results/works.jsonl by default")
    add("peers", nargs="*", metavar="PEER", help=", ".join(PEERS))
    options = parser.parse_args(arguments)
    options.works = options.works.replace(",", " ").split() or list(WORKS)
    for wanted, known in ((options.works, list(WORKS)), (options.peers, list(PEERS))):
        for name in wanted:
            if name not in known:
                parser.error(f"{name} is none of {', '.join(known)}")
    return options


def installed(labels: Iterable[str]) -> Iterator[str]:
    for label in labels:
        program = PEERS[label].program
        if program and not find_program(program):
            print(f"{label}: {program} is not installed: left out")
        else:
            yield label


def measured(works: Sequence[str], labels: Sequence[str], rounds: int,
             seconds: float) -> Iterator[Result]:
    for number in range(rounds):
        for work in works:
            for label in labels:
                if can(label, work):
                    result = measure(label, work, seconds)
                    yield {"round": number, "at": round(time.time())} | result


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    if file_system(PLACE) in ("tmpfs", "ramfs"):
        print(f"{PLACE} is no disk: fdatasync costs nothing there; set BENCH_PLACE",
              file=sys.stderr)
        return 1
    wanted = (["parley"] if options.only else OURS) + options.peers
    labels = list(installed(dict.fromkeys(wanted)))
    results: list[Result] = []
    with open(options.out or results_directory() / "works.jsonl", "a") as out:
        print(json.dumps(about := report.machine()), file=out, flush=True)
        print(report.describe(about))
        for result in measured(options.works, labels, options.rounds, options.seconds):
            results.append(result)
            print(json.dumps(result), file=out, flush=True)
            print(report.line(result), flush=True)
    print(report.text(results, labels))
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""figures: from what was measured to README.md's section "Speed" and to bench/FIGURES.md.

usage: figures.py

It reads bench/results, where run.py, growth.py, stalls.py and client.py leave what they measured.
It writes both texts, with the machine, the commit and the date of each figure.  Nobody copies a
figure by hand.
"""
import json
import re
import sys
from collections.abc import Sequence
from typing import Any

import report
from report import Runs, shown
from servers import HERE, HOME, PEERS, results_directory
from works import WORKS

import client

BEGIN, END = "<!-- speed: written by `make bench-figures` -->", "<!-- end of speed -->"
BEFORE = "## Manuals"               # the first time, the section goes in front of this
IN_README = ["parley", "mosquitto-q1", "redis", "nats", "jetstream", "ngircd"]
ROWS = {                            # for README.md: the works that users ask about, in their words
    "W1": "between 100 connected users, messages per second",
    "W2q": "from one user to 200, messages per second",
    "W5": "to users who are away, messages per second",
    "W6": "a user comes back and takes 100,000, messages per second",
}


def table(rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" + "|---:" * (len(rows[0]) - 1) + "|", *lines[1:]])


def read(name: str) -> Any:
    """What a file of results holds; None if there is no such file."""
    path = results_directory() / name
    if not path.exists():
        return None
    text = path.read_text()
    if name.endswith(".jsonl"):
        return [json.loads(line) for line in text.splitlines()]
    return json.loads(text)


def speed(runs: Runs, about: str) -> str:
    """README.md's section Speed."""
    labels = [label for label in IN_README if any(key[1] == label for key in runs)]
    rows = [["", *labels]]
    for work, title in ROWS.items():
        if (work, "parley") in runs:
            values = [report.middle(runs, work, label, WORKS[work].metric) for label in labels]
            rows.append([title, *("" if value is None else shown(value) for value in values)])
    promises = "\n".join(f"- {label}: {PEERS[label].promise}" for label in labels)
    return (f"{BEGIN}\n## Speed\n\n{table(rows)}\n\nAn empty cell: the program has no such "
            f"mode.  What it means when a program says OK to the sender:\n\n{promises}\n\n"
            f"{about}.  bench/FIGURES.md has the rest; `make bench` measures "
            f"it again.\n{END}\n")


def works(runs: Runs) -> str:
    parts = []
    for work in WORKS:
        labels = [label for label in PEERS if (work, label) in runs]
        if labels:
            about = report.describe(runs[work, labels[0]][0]["about"])
            rounds = max(len(runs[work, label]) for label in labels)
            parts.append(f"### {work}: {WORKS[work].title}\n\n"
                         f"{table(report.rows(runs, work, labels))}\n\n{about}; {rounds} rounds.")
    measured = {label for _, label in runs}
    promises = [f"- {label}: {peer.promise}" for label, peer in PEERS.items() if label in measured]
    parts.append("### What it means when a server says OK to the sender\n\n" + "\n".join(promises))
    verdicts = [f"- {says}" for says in report.verdicts(runs)]
    parts.append("### Goals\n\n" + "\n".join(verdicts))
    return "\n\n".join(parts)


def growth(found: dict[str, Any]) -> str:
    figures = "\n".join(f"- {name}: {value:.2f}" for name, value in found["figures"].items())
    plots = "\n".join(f"![{name}](plots/{name}.svg)" for name in found["curves"])
    return f"## Growth\n\n{plots}\n\n{figures}\n\n{report.describe(found)}."


def waits(found: dict[str, Any]) -> str:
    rows = [["busy with", "delivered p50 ms", "p99.9", "max", "OK p50 ms", "p99.9", "max"]]
    keys = [f"{kind}_{part}" for kind in ("delivery", "ack") for part in ("p50", "p999", "max")]
    rows += [[scene["scene"], *(f"{scene[key] / 1e3:.1f}" for key in keys)]
             for scene in found["scenes"]]
    return f"## Stalls: a heartbeat beside others\n\n{table(rows)}\n\n{report.describe(found)}."


def terminals(found: dict[str, Any]) -> str:
    rows = [["", *(name for name, _ in client.COLUMNS)]]
    rows += [[one["client"], *(f"{one[metric]:.1f}" for _, metric in client.COLUMNS)]
             for one in found["clients"]]
    return (f"## The client, under 5,000 messages per second\n\n{table(rows)}\n\n"
            f"{report.describe(found)}.")


def put_into_readme(section: str) -> None:
    path = HOME / "README.md"
    text = path.read_text()
    if BEGIN in text:
        old = re.escape(BEGIN) + ".*?" + re.escape(END) + "\n"
        text = re.sub(old, lambda _: section, text, flags=re.DOTALL)
    else:
        text = text.replace(BEFORE, section + "\n" + BEFORE, 1)
    path.write_text(text)


def main() -> int:
    parts = ["# What parley costs\n\n"
             "`make bench-figures` wrote this; bench/README says how it was measured."]
    if results := read("works.jsonl"):
        runs = report.grouped(report.latest(results))
        parts.append("## Works\n\n" + works(runs))
        if ours := next((key for key in runs if key[1] == "parley"), None):
            put_into_readme(speed(runs, report.describe(runs[ours][0]["about"])))
    for name, write in (("growth.json", growth), ("stalls.json", waits),
                        ("client.json", terminals)):
        if found := read(name):
            parts.append(write(found))
    (HERE / "FIGURES.md").write_text("\n\n".join(parts) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

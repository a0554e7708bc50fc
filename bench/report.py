"""report: results as lines, tables and ratios, and the goals that were missed."""
import os
import platform
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

from measure import Result
from servers import HOME, PEERS, PLACE, PYTHON, file_system
from works import REACH, WORKS, Reach, is_less_better

Runs = dict[tuple[str, str], list[Result]]      # by work and label, without failed runs

COLUMNS = [             # heading, metric, digits after the point
    ("per second", "rate", 0), ("server us", "cpu_us", 2),
    ("p50 us", "delivery_p50", 1), ("p99 us", "delivery_p99", 1),
    ("OK p50", "ack_p50", 1), ("OK p99", "ack_p99", 1),
    ("logins/s", "logins_s", 0), ("KB each", "idle_kb", 2)]
ONLY_OF = {             # columns that mean nothing for other works
    "rate": ("W1", "W1w1", "W2", "W2q", "W3", "W5", "W6"),
    "cpu_us": ("W1", "W1w1", "W2", "W2q", "W3", "W5"),
}


def machine() -> Result:
    """The machine, the commit of parley, and the date."""
    git = subprocess.run(["git", "-C", str(HOME), "describe", "--always", "--dirty"],
                         capture_output=True, text=True)
    python = subprocess.run([PYTHON, "-c", "import platform; print(platform.python_version())"],
                            capture_output=True, text=True, check=True)
    return {"machine": f"{os.cpu_count()} x {_processor()}, Linux {platform.release()}",
            "disk": file_system(PLACE), "python": python.stdout.strip(),
            "commit": git.stdout.strip() or "unknown", "date": time.strftime("%Y-%m-%d %H:%M")}


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def describe(about: Result) -> str:
    return (f"parley {about['commit']} on Python {about['python']}; "
            f"{about['machine']}, {about['disk']}; {about['date']}")


def shown(value: float, digits: int = 0) -> str:
    """A figure as people read it."""
    if value >= 1e6:
        return f"{value / 1e6:.2f}M"
    return f"{value / 1e3:.1f}k" if value >= 1e4 else f"{value:.{digits}f}"


def line(result: Result) -> str:
    """One result, for the output while the run goes on."""
    head = f"{result['round'] + 1}  {result['work']:6}{result['label']:24}"
    if "error" in result:
        return f"{head}FAILED: {result['error']}"
    figures = [f"{shown(result[metric], digits)} {name}" for name, metric, digits in COLUMNS
               if metric in result and result["work"] in ONLY_OF.get(metric, WORKS)]
    return head + ", ".join(figures) + f"  (load {result['load_busy']:.0%})"


def grouped(results: Iterable[Result]) -> Runs:
    runs: Runs = defaultdict(list)
    for result in results:
        if "work" in result and "error" not in result:
            runs[result["work"], result["label"]].append(result)
    return runs


def latest(results: Iterable[Result]) -> list[Result]:
    """The last run of each work, in a file to which several runs were appended.

    Each result has `about`: where it was measured."""
    kept: dict[str, list[Result]] = {}
    about: Result = {}
    for result in results:
        if "machine" in result:
            about = result
        elif not kept.get(result["work"]) or kept[result["work"]][0]["about"] is not about:
            kept[result["work"]] = [result | {"about": about}]
        else:
            kept[result["work"]].append(result | {"about": about})
    return [result for work in kept.values() for result in work]


def middle(runs: Runs, work: str, label: str, metric: str) -> float | None:
    values = [result[metric] for result in runs.get((work, label), ()) if metric in result]
    return median(values) if values else None


def ratio(runs: Runs, work: str, metric: str, ours: str, peer: str,
          of_work: str = "") -> float | None:
    """How many times better ours is than the peer's: the median over the rounds that have both."""
    theirs = {result["round"]: result for result in runs.get((of_work or work, peer), ())}
    pairs = [(result.get(metric), theirs[result["round"]].get(metric))
             for result in runs.get((work, ours), ()) if result["round"] in theirs]
    ratios = [(b / a if is_less_better(metric) else a / b) for a, b in pairs if a and b]
    return median(ratios) if ratios else None


# ---- tables ----

def rows(runs: Runs, work: str, labels: Sequence[str]) -> list[list[str]]:
    """The table of one work: a heading, and a row for each server.

    The ratio is parley's advantage over that server."""
    columns = [(name, metric, digits) for name, metric, digits in COLUMNS
               if work in ONLY_OF.get(metric, WORKS)
               and any(metric in result
                       for label in labels for result in runs.get((work, label), ()))]
    table = [["", *(name for name, _, _ in columns), "lowest-highest", "parley is"]]
    metric = WORKS[work].metric
    for label in labels:
        values = [result[metric] for result in runs.get((work, label), ()) if metric in result]
        if not values:
            continue
        better = ratio(runs, work, metric, "parley", label) if label != "parley" else None
        figures = [(middle(runs, work, label, name), digits) for _, name, digits in columns]
        cells = ["" if value is None else shown(value, digits) for value, digits in figures]
        table.append([label, *cells, f"{shown(min(values), 1)}-{shown(max(values), 1)}",
                      f"x {better:.2f}" if better else ""])
    return table


def aligned(table: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for label, *cells in table:
        padded = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        lines.append("  " + "  ".join([label.ljust(widths[0]), *padded]))
    return "\n".join(lines)


def text(results: Sequence[Result], labels: Sequence[str]) -> str:
    """Everything that `make bench` prints at its end."""
    runs, parts = grouped(results), list[str]()
    parts += [f"\n{work}  {WORKS[work].title}\n{aligned(rows(runs, work, labels))}"
              for work in WORKS if any(key[0] == work for key in runs)]
    parts.append("\nWhat each server promises with its OK:")
    parts += [f"  {label:24}{PEERS[label].promise}" for label in labels]
    parts += [f"  FAILED {result['work']} {result['label']}: {result['error']}"
              for result in results if "error" in result]
    if cost := log_cost(runs):
        parts.append(f"\nThe log (a line for each message, into a file) costs: {cost}")
    parts.append("\n" + "\n".join(verdicts(runs)))
    return "\n".join(parts)


def log_cost(runs: Runs) -> str:
    """What --console log adds to the server's cost of a message."""
    costs = []
    for work in ("W1", "W2q", "W5"):
        without = middle(runs, work, "parley", "cpu_us")
        with_log = middle(runs, work, "parley-log", "cpu_us")
        slower = ratio(runs, work, "rate", "parley", "parley-log")
        if without and with_log and slower:
            costs.append(f"{work} {with_log - without:.2f} us a message, "
                         f"{1 - 1 / slower:.0%} of the rate")
    return "; ".join(costs)


# ---- what is to be reached ----

def verdict(runs: Runs, reach: Reach) -> tuple[bool, str] | None:
    """Whether a figure was reached, and the line that says so; None if it was not measured."""
    value = middle(runs, reach.work, reach.label, reach.metric)
    if value is None:
        return None
    what = f"{reach.work} {reach.label} {reach.metric}"
    if not reach.of:
        is_most = is_less_better(reach.metric)
        is_met = value <= reach.amount if is_most else value >= reach.amount
        bound = "at most" if is_most else "at least"
        return is_met, f"{what}: {shown(value, 1)}, wanted {bound} {shown(reach.amount, 1)}"
    better = ratio(runs, reach.work, reach.metric, reach.label, reach.of, reach.of_work)
    if better is None:
        return None
    factor = 1 / reach.amount if is_less_better(reach.metric) else reach.amount
    says = f"{what}: {better:.2f} x {reach.of} {reach.of_work}, wanted {factor:.2f} x"
    return better >= factor, says


def verdicts(runs: Runs) -> list[str]:
    """A line for each figure of REACH that was measured."""
    lines = []
    for reach in REACH:
        if found := verdict(runs, reach):
            is_met, says = found
            word = "reached    " if is_met else "NOT REACHED" if not reach.then else "not yet    "
            lines.append(f"{word} {says}")
    return lines

"""The picture of README.md: a real run of the real programs, drawn as SVG.

    python3 -m tests.programs.picture [FILE]        man/parley.svg by default

A daemon, and five people at clients of their own on terminals of their own, do what the picture
shows.  Then the screens of one client and of the operator are read off by the screen reader of the
tests and drawn cell by cell, with the colours that the programs chose.  The colours follow the
reader's preference, light or dark.
"""
from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from html import escape
from itertools import groupby
from pathlib import Path

from tests.harness.process import HERE
from tests.harness.screen_reader import Screen, Style
from tests.harness.terminals import Terminal, environment

ROWS, COLUMNS = 16, 80
WIDTH, HEIGHT, ASCENT = 8.43, 18, 13        # of a cell, in pixels, at 14 px
MARGIN, HEAD, GAP = 14, 30, 18
# The 16 colours of a terminal: their names in the style sheet, dark and light.
DARK = ["#3b4252", "#ff7b72", "#7ee787", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#c9d1d9",
        "#6e7681", "#ffa198", "#a5f3b0", "#f2cc60", "#a5d6ff", "#e2c5ff", "#8be9f0", "#ffffff"]
LIGHT = ["#24292f", "#cf222e", "#116329", "#7d4e00", "#0550ae", "#8250df", "#1b7c83", "#57606a",
         "#6e7781", "#a40e26", "#1a7f37", "#633c01", "#0969da", "#6639ba", "#3192aa", "#24292f"]


# ---- the run ----

def person(name: str, home: str, rows: int = ROWS) -> Terminal:
    """Somebody at a client."""
    env = environment(XDG_RUNTIME_DIR=home, XDG_STATE_HOME=f"{home}/{name}", HOME=home,
                      LC_ALL="C.UTF-8", PARLEY_SERVER=f"unix:{home}/lab.sock")
    there = Terminal([sys.executable, HERE + "/curses_client.py", "--name", name], env, rows=rows,
                     cols=COLUMNS)
    there.until("menu>")
    return there


def line(who: Terminal, text: str, seen: str = "") -> None:
    """Type a line and Enter; wait until something is seen."""
    who.press(text.encode())
    who.press(b"\r")
    who.until(seen or text.partition(" ")[2][:40])


def screens(home: str) -> tuple[Screen, Screen]:
    """What alice and the operator see at the end of it."""
    operator = Terminal([sys.executable, HERE + "/daemon.py", "--listen", f"unix:{home}/lab.sock",
                         "--name", "lab", "--state", f"{home}/store", "--trust-names"],
                        environment(LC_ALL="C.UTF-8", HOME=home), rows=ROWS, cols=COLUMNS)
    operator.until("listening")
    people = {name: person(name, home) for name in ("carol", "bob", "dave", "erin")}
    people["carol"].type("/exit\r")
    people["carol"].wait()
    alice = people["alice"] = person("alice", home)
    line(people["dave"], "/chat erin", "invited")
    people["erin"].until("7. Accept")
    line(people["erin"], "/accept", "chat with dave")
    line(people["bob"], "@alice anyone has the torque wrench?")
    alice.until("torque wrench?")
    line(alice, "@bob bay 3, second drawer", "bay 3, second drawer")
    alice.until("+ bay 3")
    line(alice, "@carol minutes are in /srv/minutes", "kept in the mailbox")
    line(people["dave"],
         "/all drill at 15:00, use the north stairs; take your badge and leave the doors open",
         "leave the doors open")
    alice.until("leave the doors open")
    line(people["bob"], "/chat alice", "invited")
    alice.until("7. Accept")
    alice.press(b"on my way, but fi")
    alice.until("but fi")
    operator.until("dave")
    for there in people.values():
        there.drain()
    operator.drain()
    pictures = alice.screen, operator.screen
    for there in (*people.values(), operator):
        there.close()
    return pictures


# ---- the drawing ----

def colour(style: Style, reverse: bool, ground: bool) -> str:
    """The class of a cell's colour, or of its ground; "" for the terminal's own."""
    chosen = (style.background if ground else style.foreground) if not reverse else \
        (style.foreground if ground else style.background)
    if isinstance(chosen, int):
        return f"c{chosen}"
    return ("f" if ground else "g") if reverse else ""


def runs(screen: Screen, row: int) -> Iterator[tuple[int, str, Style]]:
    """Neighbours of one style: their column, text and style."""
    cells = [screen.cell(row, col) for col in range(screen.cols)]
    col = 0
    for style, group in groupby(cells, key=lambda cell: cell.style):
        text = [cell.text for cell in group]
        yield col, "".join(text), style
        col += len(text)


def drawn(screen: Screen, title: str, top: float) -> Iterator[str]:
    """One window."""
    width = COLUMNS * WIDTH + 2 * MARGIN
    height = HEAD + screen.rows * HEIGHT + MARGIN
    yield (f'<rect class="w" x="0.5" y="{top + 0.5}" '
           f'width="{width - 1:.1f}" height="{height - 1}" rx="8"/>')
    yield (f'<text class="t" x="{width / 2:.1f}" y="{top + 20}" text-anchor="middle">'
           f'{escape(title)}</text>')
    for row in range(screen.rows):
        y = top + HEAD + row * HEIGHT
        for col, text, style in runs(screen, row):
            x, ground = MARGIN + col * WIDTH, colour(style, style.reverse, ground=True)
            if ground:
                yield (f'<rect class="{ground}" x="{x:.1f}" y="{y}" '
                       f'width="{len(text) * WIDTH:.1f}" height="{HEIGHT}"/>')
            if text.strip():
                words = " ".join(filter(None, (colour(style, style.reverse, ground=False),
                                               "b" * style.bold, "d" * style.dim,
                                               "u" * style.underline)))
                yield (f'<text class="{words or "f"}" x="{x:.1f}" y="{y + ASCENT}" '
                       f'textLength="{len(text) * WIDTH:.1f}">{escape(text)}</text>')
    row, col = screen.cursor
    if 25 in screen.modes:
        yield (f'<rect class="f cursor" x="{MARGIN + col * WIDTH:.1f}" '
               f'y="{top + HEAD + row * HEIGHT}" width="{WIDTH}" height="{HEIGHT}"/>')


def cube(number: int, share: float) -> str:
    """One of the 256 colours of xterm, this share of it as bright."""
    if number >= 232:
        parts = [8 + 10 * (number - 232)] * 3
    else:
        parts = [0 if not step else 55 + 40 * step
                 for step in ((number - 16) // 36, (number - 16) // 6 % 6, (number - 16) % 6)]
    return "#" + "".join(f"{round(part * share):02x}" for part in parts)


def sheet(colours: list[str], used: set[int], share: float, fore: str, ground: str,
          rim: str) -> str:
    rows = [f".c{number} {{ fill: {colours[number] if number < 16 else cube(number, share)} }}"
            for number in sorted(used)]
    return " ".join(
        [f".f {{ fill: {fore} }} .g {{ fill: {ground} }} .t {{ fill: {fore}; opacity: .6 }}",
         f".w {{ fill: {ground}; stroke: {rim} }}", *rows])


def used(*screens: Screen) -> set[int]:
    """The colours of the terminal that these show."""
    styles = {screen.cell(row, col).style for screen in screens for row in range(screen.rows)
              for col in range(screen.cols)}
    return {chosen for style in styles
            for chosen in (style.foreground, style.background) if isinstance(chosen, int)}


def svg(client: Screen, console: Screen) -> str:
    """Both windows, one above the other."""
    colours = used(client, console)
    height = HEAD + ROWS * HEIGHT + MARGIN
    width = COLUMNS * WIDTH + 2 * MARGIN
    body = [*drawn(client, "alice: ssh -t lab parley", 0),
            *drawn(console, "the operator: parleyd", height + GAP)]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" xml:space="preserve" role="img" '
        f'viewBox="0 0 {width:.0f} {2 * height + GAP}" '
        'aria-label="A client with messages, menu and input line, and the live table of the '
        'daemon">',
        "<style>text { font: 14px ui-monospace, Menlo, Consolas, monospace; white-space: pre }",
        ".b { font-weight: bold } .d { opacity: .65 } .u { text-decoration: underline } .cursor { "
        "opacity: .5 }",
        sheet(LIGHT, colours, 0.6, "#24292f", "#ffffff", "#d0d7de"),
        "@media (prefers-color-scheme: dark) {",
        sheet(DARK, colours, 1.0, "#c9d1d9", "#0d1117", "#30363d"),
        "}</style>",
        *body, "</svg>", ""])


def main() -> int:
    path = Path(sys.argv[1] if len(sys.argv) > 1 else HERE + "/man/parley.svg")
    os.environ.pop("NO_COLOR", None)
    with tempfile.TemporaryDirectory(prefix="parley-picture-") as home:
        path.write_text(svg(*screens(home)), encoding="utf-8")
    print(f"{path}: {path.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The screen reader against tables, against ncurses' own idea of the screen, and against tmux.

A small curses program paints a fixed page and then random edits; after each it writes down what
ncurses believes to be on the screen.  Under every TERM the reader has to agree with it, cell by
cell, and a real tmux that is fed the same bytes has to agree with the reader.
"""

import curses
import json
import os
import shutil
import signal
import sys
import tempfile
import termios
import unittest
from typing import Any

from tests.harness.screen_reader import Cell, Screen, Style, UnknownSequence
from tests.harness.terminals import Terminal, Tmux, environment, framed, needs, until

TERMS = ("xterm-256color", "screen-256color", "tmux-256color", "linux", "vt100")
ROUNDS = 40  # random edits for each TERM: 0.2 s; 7,000 found nothing more
PATIENCE = 20.0  # seconds for one paint: far more than needed, so that only a real fault fails

# Commands are single bytes on its input: p (fixed page), f (random edits), w (the same with wide
# characters too), r (the size has changed), z (leave curses and come back), q (quit). After each it
# leaves what it believes in the file, then rings the bell.
PAINTER = r"""
import curses, json, locale, os, random, signal, sys

TEXTS = ["x", "plain words", "-" * 30, "=" * 70, " " * 12, "0123456789" * 7]
TEXTS += ["caf\u00e9", "e\u0301a\u0308", "\u2502\u2500\u253c"]
# ncurses may send half of an overwritten wide character, so it is no judge of those.
WIDE = ["\u65e5\u672c\u8a9e", "a\u8a9eb"] * 3

def fixed(screen, rows, cols):
    screen.bkgdset(" ")
    screen.erase()
    screen.scrollok(False)
    screen.border()
    for number, name in enumerate(("BOLD", "REVERSE", "UNDERLINE", "ITALIC", "DIM", "BLINK"), 1):
        screen.addnstr(number, 2, name, cols - 3, getattr(curses, "A_" + name))
        if curses.has_colors():
            screen.addnstr(number, 20, "colour", cols - 21,
                           curses.color_pair(number) | getattr(curses, "A_" + name))
    screen.hline(8, 1, curses.ACS_HLINE, cols - 2)
    screen.addnstr(9, 2, "wide \u65e5\u672c\u8a9e|, marks e\u0301a\u0308|, dots " + "." * 40,
                   cols - 8)
    screen.addstr(10, 2, "#" * (cols - 4))
    try:
        screen.addstr(rows - 1, cols - 1, "*", curses.A_BOLD)
    except curses.error:
        pass
    screen.scrollok(True)

def write(screen, rows, cols, dice):
    style = dice.choice([0, 0, curses.A_BOLD, curses.A_REVERSE, curses.A_UNDERLINE,
                         curses.A_BOLD | curses.A_REVERSE])
    if curses.has_colors():
        style |= curses.color_pair(dice.randrange(7))
    row, col = dice.randrange(rows), dice.randrange(cols)
    try:
        screen.addstr(row, col, dice.choice(TEXTS), style)
    except curses.error:
        pass

def background(screen, rows, cols, dice):
    screen.bkgdset(" ", curses.color_pair(dice.randrange(7)) if curses.has_colors() else 0)

def region(screen, rows, cols, dice):
    top = dice.randrange(rows - 2)
    screen.setscrreg(top, dice.randrange(top + 1, rows))
    screen.scroll(dice.choice([-3, -1, 1, 2, 5]))
    screen.setscrreg(0, rows - 1)

def cells(screen, rows, cols, dice):
    edit = dice.choice([screen.delch, lambda: screen.insch(ord("i")),
                        lambda: screen.insstr("inserted")])
    for _ in range(dice.randrange(9)):
        edit()

EDITS = [
    write, write, write, write, region, background, cells, cells, cells,
    lambda screen, rows, cols, dice: screen.insdelln(dice.choice([-4, -1, 1, 3])),
    lambda screen, rows, cols, dice: screen.clrtoeol(),
    lambda screen, rows, cols, dice: dice.random() < 0.2 and screen.clrtobot(),
    lambda screen, rows, cols, dice: screen.move(dice.randrange(rows), dice.randrange(cols)),
]

def edit(screen, rows, cols, dice):
    for _ in range(dice.randrange(1, 8)):
        dice.choice(EDITS)(screen, rows, cols, dice)

def widen(screen, rows, cols, dice):
    TEXTS.extend(WIDE)
    edit(screen, rows, cols, dice)
    del TEXTS[-len(WIDE):]

def resized(screen, rows, cols, dice):
    size = os.get_terminal_size(1)
    curses.resizeterm(size.lines, size.columns)

COMMANDS = {b"p": lambda screen, rows, cols, dice: fixed(screen, rows, cols), b"f": edit,
            b"w": widen, b"r": resized, b"z": lambda *_: curses.endwin()}

def leave(screen, path):
    cursor = screen.getyx()
    rows, cols = screen.getmaxyx()
    text = [screen.instr(row, 0).decode().rstrip(" ") for row in range(rows)]
    cells = [[screen.inch(row, col) for col in range(cols)] for row in range(rows)]
    pairs = [(None, None)]
    if curses.has_colors():
        pairs = [curses.pair_content(number) for number in range(7)]
    screen.move(*cursor)
    with open(path, "w") as file:
        json.dump({"text": text, "cells": cells, "pairs": pairs, "cursor": cursor}, file)
    os.write(1, b"\a")

def main(screen, path, dice):
    signal.signal(signal.SIGWINCH, lambda *_: None)
    screen.idlok(True)
    screen.idcok(True)
    screen.scrollok(True)
    for number in range(1, 7) if curses.has_colors() else ():
        curses.init_pair(number, number, dice.randrange(8))
    command = b"p"
    while command != b"q":
        COMMANDS[command](screen, *screen.getmaxyx(), dice)
        screen.refresh()
        leave(screen, path)
        command = os.read(0, 1)

locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
curses.wrapper(main, sys.argv[1], random.Random(sys.argv[2]))
"""


# (name, bytes, rows at the end, cursor) on 4 by 10; the rows without trailing blanks, and tmux must
# agree.
PAINTS: tuple[tuple[str, bytes, list[str], tuple[int, int]], ...] = (
    ("text", b"abc", ["abc"], (0, 3)),
    ("CR LF", b"abc\r\nd", ["abc", "d"], (1, 1)),
    ("LF keeps the column", b"ab\nc", ["ab", "  c"], (1, 3)),
    ("BS", b"abc\b\bX", ["aXc"], (0, 2)),
    ("HT", b"a\tb", ["a       b"], (0, 9)),
    ("NUL and BEL", b"a\0\ab", ["ab"], (0, 2)),
    ("full row", b"0123456789", ["0123456789"], (0, 9)),
    ("wrap", b"0123456789ab", ["0123456789", "ab"], (1, 2)),
    ("autowrap back too late", b"\x1b[?7l0123456789\x1b[?7hX", ["012345678X"], (0, 9)),
    ("CR after a full row", b"0123456789\rX", ["X123456789"], (0, 1)),
    ("no autowrap", b"\x1b[?7l0123456789ab\x1b[?7h", ["012345678b"], (0, 9)),
    ("scroll", b"a\r\nb\r\nc\r\nd\r\ne", ["b", "c", "d", "e"], (3, 1)),
    ("lower right", b"\x1b[4;10H*", ["", "", "", "         *"], (3, 9)),
    ("lower right, then more", b"\x1b[4;10H*x", ["", "", "         *", "x"], (3, 1)),
    ("CUU CUD CUF CUB", b"\x1b[3;5H\x1b[A1\x1b[2B2\x1b[C3\x1b[3D4", ["", "    1", "", "     4 3"],
     (3, 6)),
    ("CUP at most", b"\x1b[99;99HX\x1b[HY", ["Y", "", "", "         X"], (0, 1)),
    ("CHA VPA", b"\x1b[4GX\x1b[3dY", ["   X", "", "    Y"], (2, 5)),
    ("CBT", b"\x1b[10G\x1b[ZX", ["        X"], (0, 9)),
    ("ED 0", b"aa\r\nbb\r\ncc\x1b[2;2H\x1b[J", ["aa", "b"], (1, 1)),
    ("ED 1", b"aa\r\nbbb\r\ncc\x1b[2;2H\x1b[1J", ["", "  b", "cc"], (1, 1)),
    ("ED 2", b"aa\r\nbb\x1b[2J", [], (1, 2)),
    ("EL 0", b"abcdef\x1b[3G\x1b[K", ["ab"], (0, 2)),
    ("EL 1", b"abcdef\x1b[3G\x1b[1K", ["   def"], (0, 2)),
    ("EL 2", b"abcdef\x1b[3G\x1b[2K", [], (0, 2)),
    ("ECH", b"abcdef\x1b[2G\x1b[3X", ["a   ef"], (0, 1)),
    ("ICH", b"abcdefghij\x1b[2G\x1b[2@", ["a  bcdefgh"], (0, 1)),
    ("DCH", b"abcdef\x1b[2G\x1b[2P", ["adef"], (0, 1)),
    ("IRM", b"abc\x1b[2G\x1b[4hXY\x1b[4lZ", ["aXYZc"], (0, 4)),
    ("REP", b"ab\x1b[3bc", ["abbbbc"], (0, 6)),
    ("IL", b"a\r\nb\r\nc\x1b[2H\x1b[L", ["a", "", "b", "c"], (1, 0)),
    ("DL", b"a\r\nb\r\nc\r\nd\x1b[2H\x1b[2M", ["a", "d"], (1, 0)),
    ("IL within margins", b"a\r\nb\r\nc\r\nd\x1b[1;3r\x1b[2H\x1b[L", ["a", "", "b", "d"], (1, 0)),
    ("SU within margins", b"a\r\nb\r\nc\r\nd\x1b[2;3r\x1b[S", ["a", "c", "", "d"], (0, 0)),
    ("SD within margins", b"a\r\nb\r\nc\r\nd\x1b[2;3r\x1b[T", ["a", "", "b", "d"], (0, 0)),
    ("LF at the margin", b"a\r\nb\r\nc\r\nd\x1b[1;2r\x1b[2H\n", ["b", "", "c", "d"], (1, 0)),
    ("RI at the margin", b"a\r\nb\r\nc\r\nd\x1b[2;3r\x1b[2H\x1bM", ["a", "", "b", "d"], (1, 0)),
    ("margins off", b"a\r\nb\r\nc\r\nd\x1b[2;3r\x1b[r\x1b[4H\n", ["b", "c", "d"], (3, 0)),
    ("CUU CUD stop at the margins", b"\x1b[2;3r\x1b[3H\x1b[9AX\x1b[9BY", ["", "X", " Y"], (2, 2)),
    (
        "CUU CUD outside of the margins",
        b"\x1b[2;3r\x1b[4HW\x1b[A\x1b[H\x1b[BX\x1b[4H\x1b[9BZ",
        ["", "X", "", "Z"],
        (3, 1),
    ),
    (
        "IL DL outside of the margins",
        b"a\r\nb\r\nc\r\nd\x1b[2;3r\x1b[H\x1b[L\x1b[4H\x1b[M",
        ["a", "b", "c", "d"],
        (3, 0),
    ),
    ("DECSC DECRC", b"ab\x1b7\x1b[3;3Hx\x1b8c", ["abc", "", "  x"], (0, 3)),
    ("G0 graphics", b"\x1b(0lqk\x1b(Blqk", ["┌─┐lqk"], (0, 6)),
    ("G1 graphics", b"\x1b)0\x0elqk\x0flqk", ["┌─┐lqk"], (0, 6)),
    ("wide", "日本x".encode(), ["日本x"], (0, 5)),
    ("wide does not fit", "012345678日".encode(), ["012345678", "日"], (1, 2)),
    ("left half overwritten", "日本\x1b[1Gx".encode(), ["x 本"], (0, 1)),
    ("right half overwritten", "日本\x1b[2Gx".encode(), [" x本"], (0, 2)),
    ("left half deleted", "a日b\x1b[2G\x1b[P".encode(), ["a b"], (0, 1)),
    ("right half deleted", "日本\x1b[2G\x1b[P".encode(), [" 本"], (0, 1)),
    ("marks", "e\u0301a\u0308x".encode(), ["e\u0301a\u0308x"], (0, 3)),
    ("mark on the last column", b"\x1b[10Ge" + "\u0301x".encode(), ["         e\u0301", "x"],
     (1, 1)),
    ("mark on a wide one", "日\u0301x".encode(), ["日\u0301x"], (0, 3)),
    ("alternate screen", b"ab\x1b[?1049h\x1b[Hcd\x1b[?1049le", ["abe"], (0, 3)),
    ("colours", b"\x1b[1;31;48;5;200mab\x1b[7;92;38;2;1;2;3mc\x1b[39;49;22md\x1b[me", ["abcde"],
     (0, 5)),
    ("erased in colour", b"abcdef\x1b[3G\x1b[44m\x1b[K\x1b[2H\x1b[41m\x1b[2X", ["ab"], (1, 0)),
    ("invisible sequences", b"a\x1b]2;title\ab\x1b[?2004h\x1b[?1004h\x1b=\x1b[?25lc", ["abc"],
     (0, 3)),
)
# tmux 3.3a leaves the other half of these, and moves lines outside of the margins; xterm does
# neither.
NOT_TMUX = ("right half overwritten", "right half deleted", "left half deleted",
            "IL DL outside of the margins")

REFUSED = (
    b"\x1b[5n", b"\x1b[6n", b"\x1b[c", b"\x1b[?9999h", b"\x1b[?47h", b"\x1b[20h", b"\x1b[1;2;3H",
    b"\x1b[1;2A",
    b"\x1b[7J", b"\x1b[21m", b"\x1b[38;9m", b"\x1b[38m", b"\x1b[4:3m", b"\x1b[!p", b"\x1b[>c",
    b"\x1b[1;2", b"\x1b[1\n",
    b"\x1bc", b"\x1bP1$r\x1b\\", b"\x1b_x\x1b\\", b"\x1b(A", b"\x1b#8", b"\x1b\x1b",
    b"\x1b[8;24;80t", b"\x1b[21t", b"\x1b]52;c;YQ==\a", b"\x1b]8;;http://x\a", b"\x1b]2;a\nb\a",
    b"\x1b]2;" + "\u202e".encode() + b"\a",
    b"\x01", b"\x04", b"\x05", b"\x0b", b"\x0c", b"\x7f", b"\xff", b"\xc3(", "\x85".encode(),
    "\x9b31m".encode(),
    "\u202e".encode(), "\u200b".encode(), "\u200d".encode(), "\ufeff".encode(), "\ue000".encode(),
    "\u2028".encode(), b"\x1b[" + b"1" * 2000,
)  # fmt: skip


def filled(rows: list[str], count: int = 4) -> str:
    return "\n".join(rows + [""] * (count - len(rows)))


def painted(data: bytes, rows: int = 4, cols: int = 10) -> Screen:
    screen = Screen(rows, cols)
    screen.feed(data)
    return screen


class Tables(unittest.TestCase):
    def test_paints(self) -> None:
        for name, data, rows, cursor in PAINTS:
            with self.subTest(name):
                screen = painted(data)
                self.assertEqual((screen.text(), screen.cursor, screen.pending),
                                 (filled(rows), cursor, ""))

    def test_cut_anywhere(self) -> None:
        for name, data, rows, cursor in PAINTS:
            with self.subTest(name):
                screen = Screen(4, 10)
                for byte in data:
                    screen.feed(bytes([byte]))
                self.assertEqual((screen.text(), screen.cursor, screen.pending),
                                 (filled(rows), cursor, ""))

    def test_refuses(self) -> None:
        for data in REFUSED:
            with self.subTest(data[:40]), self.assertRaises(UnknownSequence):
                painted(data + b" end")

    def test_attributes(self) -> None:
        for data, style in (
            (b"1;4;7", Style(bold=True, underline=True, reverse=True)),
            (b"2;3;5;8;9", Style(dim=True, italic=True, blink=True, hidden=True, strike=True)),
            (b"1;2;3;4;5;7;8;9;22;23;24;25;27;28;29", Style()),
            (b"31;42", Style(foreground=1, background=2)),
            (b"91;102", Style(foreground=9, background=10)),
            (b"38;5;200;48;2;1;2;3;1", Style(bold=True, foreground=200, background=(1, 2, 3))),
            (b"31;42;39;49", Style()),
            (b"1;31;", Style()),
            (b"0;10;7", Style(reverse=True)),
        ):
            with self.subTest(data):
                self.assertEqual(painted(b"\x1b[" + data + b"mx").cell(0, 0), Cell("x", style))

    def test_titles_modes_and_bells(self) -> None:
        screen = painted(
            b"\x1b]2;one\a\x1b[22;0;0t\x1b]0;tw\xc3\xb6 \\\x1b\\\a"
            b"\x1b[?2004h\x1b[?1004h\x1b[?25l\x1b=\a")
        self.assertEqual((screen.title, screen.modes, screen.bells),
                         ("twö \\", {7, 66, 1004, 2004}, 2))
        screen.feed(b"\x1b[23;0;0t\x1b[?2004l\x1b[?1004l\x1b[?25h\x1b>")
        self.assertEqual((screen.title, screen.modes), ("one", Screen(1, 1).modes))

    def test_alternate_screen_keeps_the_primary(self) -> None:
        screen = painted(b"\x1b[1mab\x1b[?1049h\x1b[m\x1b[Hcd")
        self.assertEqual((screen.text(), 1049 in screen.modes), (filled(["cd"]), True))
        screen.resize(3, 20)
        screen.feed(b"\x1b[?1049lX")
        self.assertEqual((screen.text(), screen.style(0, 2).bold, screen.cursor),
                         (filled(["abX"], 3), True, (0, 3)))

    def test_resize(self) -> None:
        screen = painted("a\r\nb\r\nc\r\n12345678日".encode())
        screen.resize(2, 9)
        self.assertEqual((screen.text(), screen.cursor), ("c\n12345678", (1, 8)))
        screen.resize(3, 12)
        self.assertEqual(screen.text(), "c\n12345678\n")
        screen.resize(1, 1)
        screen.feed("日xy".encode())
        self.assertEqual((screen.text(), screen.cursor), ("y", (0, 0)))

    def test_unfinished_is_pending(self) -> None:
        for data in (
            b"\x1b",
            b"\x1b[",
            b"\x1b[1;2",
            b"\x1b]",
            b"\x1b]2;title",
            b"\x1b]2;title\x1b",
            b"\x1b]P012",
            b"\x1b(",
        ):
            with self.subTest(data):
                self.assertEqual(painted(data).pending.encode(), data)


class WithPainter(unittest.TestCase):
    """The curses program in a file, and what it believes."""

    def setUp(self) -> None:
        self.directory = tempfile.mkdtemp(prefix="painter-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.program = self.file("painter.py", PAINTER.encode())
        self.belief = os.path.join(self.directory, "belief.json")

    def file(self, name: str, data: bytes) -> str:
        path = os.path.join(self.directory, name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def command(self, seed: str) -> list[str]:
        return [sys.executable, self.program, self.belief, seed]

    def painter(self, term: str, seed: str = "parley") -> Terminal:
        terminal = Terminal(self.command(seed), environment(term))
        self.addCleanup(terminal.close)
        terminal.until(lambda screen: screen.bells, PATIENCE)
        return terminal

    def step(self, terminal: Terminal, command: str) -> None:
        bells = terminal.screen.bells
        terminal.type(command)
        terminal.until(lambda screen: screen.bells > bells, PATIENCE)

    def assert_believed(self, terminal: Terminal, term: str) -> None:
        with open(self.belief, encoding="utf-8") as file:
            belief = json.load(file)
        screen = terminal.screen
        rows = [ncurses_row(screen, row, cells) for row, cells in enumerate(belief["cells"])]
        self.assertEqual(rows, belief["text"], terminal.report(term))
        for row, cells in enumerate(belief["cells"]):
            seen, believed = styles_of_row(screen, row, cells, belief["pairs"], term)
            if seen != believed:  # the report is slow to build
                self.assertEqual(seen, believed, terminal.report(f"{term}, styles of row {row}"))
        self.assertEqual(screen.cursor, tuple(belief["cursor"]))


def ncurses_row(screen: Screen, number: int, cells: list[int]) -> str:
    """A row as winnstr has it: line drawing as the VT100's letters."""
    letters = {"│": "x", "─": "q", "┌": "l", "┐": "k", "└": "m", "┘": "j"}
    seen = [screen.cell(number, col).text for col in range(len(cells))]
    drawn = [letters[text] if cell & curses.A_ALTCHARSET else text
             for text, cell in zip(seen, cells, strict=True)]
    return "".join(drawn).rstrip(" ")


def styles_of_row(
    screen: Screen, row: int, cells: list[int], pairs: list[list[Any]], term: str
) -> tuple[list[Any], list[Any]]:
    """The styles of a row, as seen and as believed, but for what cannot be seen or winch does not
    tell."""
    seen, believed = [], []
    for col, cell in enumerate(cells):
        text, style = screen.cell(row, col)
        if text and text.isascii():  # winch puts other code points over the attributes
            foreground, background = pairs[cell >> 8 & 0xFF]
            underline = bool(cell & curses.A_UNDERLINE)
            if term == "linux" and foreground:
                underline = style.underline  # ncv: no underline with colours
            bold = bool(cell & curses.A_BOLD)
            if text == " ":
                bold, foreground = style.bold, style.foreground
            seen.append((style.bold, style.reverse, style.underline, style.foreground,
                         style.background))
            believed.append((bold, bool(cell & curses.A_REVERSE), underline, foreground,
                             background))
    return seen, believed


def inked(screen: Screen) -> list[list[Cell]]:
    """All cells, blanks without style: tmux does not capture the colour of what was erased."""
    blank = Cell()
    return [
        [blank if (cell := screen.cell(row, col)).text == " " else cell
         for col in range(screen.cols)]
        for row in range(screen.rows)
    ]


class AgainstNcurses(WithPainter):
    def test_fixed_page_and_random_edits(self) -> None:
        for term in TERMS:
            with self.subTest(term):
                terminal = self.painter(term)
                self.assert_believed(terminal, term)
                for _ in range(ROUNDS):
                    self.step(terminal, "f")
                    self.assert_believed(terminal, term)
                self.leave(terminal)

    def test_resize(self) -> None:
        for term in TERMS:
            with self.subTest(term):
                terminal = self.painter(term)
                for rows, cols in ((40, 120), (12, 61), (24, 80)):
                    terminal.resize(rows, cols)
                    self.step(terminal, "r")
                    self.step(terminal, "p")
                    self.step(terminal, "f")
                    self.assert_believed(terminal, term)
                self.leave(terminal)

    def test_leaving_curses_and_coming_back(self) -> None:
        for term in TERMS:
            with self.subTest(term):
                terminal = self.painter(term)
                self.step(terminal, "z")
                self.assert_believed(terminal, term)
                self.leave(terminal)

    def leave(self, terminal: Terminal) -> None:
        during = terminal.termios()
        terminal.type("q")
        self.assertEqual(terminal.wait(PATIENCE), 0)
        self.assertEqual(terminal.screen.modes, Screen(1, 1).modes)
        self.assertEqual((terminal.screen.pending, terminal.ended), ("", True))
        self.assertNotEqual(during, terminal.initial_termios)
        self.assertEqual(terminal.termios(), terminal.initial_termios)


@needs("tmux", "stty", "cat")
class AgainstTmux(WithPainter):
    def setUp(self) -> None:
        super().setUp()
        self.tmux = Tmux()
        self.addCleanup(self.tmux.close)

    def show(self, name: str, data: bytes, rows: int, cols: int) -> None:
        """Have tmux paint bytes, and nothing else, in a session."""
        path = self.file(name, data)
        script = 'stty raw -echo && cat "$0" && exec sleep 600'
        self.tmux.new(["sh", "-c", script, path], rows=rows, cols=cols, name=name)

    def seen_by_tmux(self, name: str, rows: int, cols: int) -> Screen:
        text = self.tmux.capture(name=name, styles=True)
        return painted(b"\x1b)0" + text.replace("\n", "\r\n").encode(), rows, cols)

    def agrees(self, name: str, screen: Screen) -> bool:
        row, col = self.tmux.cursor(name=name)  # past the edge while a wrap is due
        at = row, min(col, screen.cols - 1)
        return at == screen.cursor and inked(self.seen_by_tmux(name, screen.rows,
                                                               screen.cols)) == inked(screen)

    def assert_agrees(self, name: str, screen: Screen) -> None:
        try:
            until(lambda: self.agrees(name, screen), PATIENCE, name)
        except AssertionError:
            ours = framed(screen.text(), f"{name}, cursor {screen.cursor}")
            self.fail(ours + framed(self.tmux.capture(name=name),
                                    f"\ntmux, cursor {self.tmux.cursor(name=name)}"))

    def test_tables(self) -> None:
        for number, (name, data, _, _) in enumerate(PAINTS):
            if name not in NOT_TMUX:
                with self.subTest(name):
                    self.show(f"case{number}", data, 4, 10)
                    self.assert_agrees(f"case{number}", painted(data))

    def test_same_bytes(self) -> None:
        for term in TERMS:
            with self.subTest(term):
                terminal = self.painter(term)
                for _ in range(ROUNDS):
                    self.step(terminal, "w")
                self.show(term, terminal.transcript, 24, 80)
                self.assert_agrees(term, terminal.screen)

    def test_same_program(self) -> None:
        terminal = self.painter("tmux-256color")
        self.tmux.new(self.command("parley"), environment("tmux-256color"))
        for _ in range(5):
            self.tmux.until(lambda text: text == terminal.screen.text(), PATIENCE)
            self.step(terminal, "w")
            self.tmux.send("w")
        self.assert_agrees("main", terminal.screen)
        terminal.resize(30, 100)
        self.tmux.resize(30, 100)
        for command in "rp":
            self.step(terminal, command)
            self.tmux.type(command)
        self.tmux.until(lambda text: text == terminal.screen.text(), PATIENCE)
        self.tmux.send("q")
        self.assertEqual(self.tmux.exit_code(PATIENCE), 0)


class TheTerminal(unittest.TestCase):
    """The harness bites: each promise of `Terminal`, also the unpleasant ones."""

    def run_shell(self, script: str, rows: int = 24, cols: int = 80) -> Terminal:
        terminal = Terminal(["sh", "-c", script], rows=rows, cols=cols)
        self.addCleanup(terminal.close)
        return terminal

    def test_exit_code_size_and_echo(self) -> None:
        terminal = self.run_shell("stty size; read line; echo got $line; exit 7", rows=5, cols=33)
        terminal.until("5 33", PATIENCE)
        terminal.type("wörd\r")
        terminal.until("got wörd", PATIENCE)
        self.assertEqual((terminal.wait(PATIENCE), terminal.ended), (7, True))
        self.assertIn(b"got w\xc3\xb6rd\r\n", terminal.transcript)

    def test_failure_shows_the_screen(self) -> None:
        terminal = self.run_shell("echo here; exec sleep 600")
        terminal.until("here", PATIENCE)
        with self.assertRaisesRegex(AssertionError, "(?s)nothing.*running.*here"):
            terminal.until("nothing", 0.05)
        with self.assertRaisesRegex(AssertionError, "(?s)still running.*here"):
            terminal.wait(0.05)
        with self.assertRaisesRegex(AssertionError, "(?s)never.*exit code 3.*gone"):
            self.run_shell("echo gone; exit 3").until("never", PATIENCE)

    def test_signals(self) -> None:
        terminal = self.run_shell("trap 'stty size' WINCH; echo ready; while :; do read line; done")
        terminal.until("ready", PATIENCE)
        terminal.resize(11, 44)
        terminal.until("11 44", PATIENCE)
        terminal.signal(signal.SIGTERM)
        self.assertEqual(terminal.wait(PATIENCE), -signal.SIGTERM)

    def test_interrupt_and_hang_up(self) -> None:
        for act, signum in ((lambda t: t.press(b"\x03"), signal.SIGINT),
                            (Terminal.hang_up, signal.SIGHUP)):
            with self.subTest(signum):
                terminal = self.run_shell("echo ready; exec sleep 600")
                terminal.until("ready", PATIENCE)
                act(terminal)
                self.assertEqual(terminal.wait(PATIENCE), -signum)

    def test_much_each_way(self) -> None:
        terminal = self.run_shell(
            "stty raw; echo ready; head -c 300000 | tr -d '\\n' | wc -c; exec cat")
        terminal.until("ready", PATIENCE)
        terminal.press(b"0123456789" * 30000, PATIENCE)
        terminal.until("300000", PATIENCE)

    def test_leftover_attributes_show(self) -> None:
        terminal = self.run_shell("stty -echo")
        self.assertEqual(terminal.wait(PATIENCE), 0)
        self.assertNotEqual(terminal.termios(), terminal.initial_termios)
        self.assertFalse(terminal.termios()[3] & termios.ECHO)

    def test_leaked_escape_raises(self) -> None:
        terminal = self.run_shell("printf 'a\\033[6nb'; exec sleep 600")
        with self.assertRaisesRegex(UnknownSequence, "6n"):
            terminal.until("b", PATIENCE)


if __name__ == "__main__":
    unittest.main()

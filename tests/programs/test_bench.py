"""The benchmark is honest about what it counts, and what it prints of figures is so.

Speed itself is not tested.
"""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
import xml.etree.ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import wire
from tests.harness.process import HERE
from tests.harness.terminals import needs

sys.path.insert(0, HERE + "/bench")

import plot
import report
import servers
import works

ON_DISK = "bench measures no store in memory"


def result(work: str, label: str, number: int, **figures: float) -> dict[str, Any]:
    return {"work": work, "label": label, "round": number, **figures}


class Report(unittest.TestCase):
    def test_ratios_are_of_pairs(self) -> None:
        runs = report.grouped([result("W1", "parley", 0, rate=100),
                               result("W1", "redis", 0, rate=50),
                               result("W1", "parley", 1, rate=10),
                               result("W1", "redis", 1, rate=40),
                               result("W1", "parley", 2, rate=30),
                               result("W1", "redis", 2, rate=30),
                               result("W1", "parley", 3, rate=9), result("W1", "redis", 4, rate=1)])
        # the median of 2, 0.25 and 1
        self.assertEqual(report.ratio(runs, "W1", "rate", "parley", "redis"), 1.0)
        runs = report.grouped([result("W4", "parley", 0, delivery_p50=50),
                               result("W4", "redis", 0, delivery_p50=25)])
        self.assertEqual(report.ratio(runs, "W4", "delivery_p50", "parley", "redis"), 0.5)

    def test_a_figure_that_was_missed_is_said(self) -> None:
        cases = [("rate", 99, 100, "", False), ("rate", 100, 100, "", True),
                 ("rate", 100, 2, "redis", True), ("rate", 99, 2, "redis", False),
                 ("ack_p50", 101, 100, "", False), ("ack_p50", 100, 100, "", True),
                 ("ack_p50", 100, 2, "redis", True), ("ack_p50", 101, 2, "redis", False)]
        for metric, figure, amount, of, expected in cases:
            runs = report.grouped([result("W1", "parley", 0, **{metric: figure}),
                                   result("W1", "redis", 0, **{metric: 50})])
            reach = works.Reach("W1", "parley", metric, amount, of)
            is_met, line = report.verdict(runs, reach) or (None, "")
            self.assertEqual(is_met, expected, line)
        runs = report.grouped([result("W1", "parley", 0, rate=99)])
        self.assertIsNone(report.verdict(runs, works.Reach("W2", "parley", "rate", 1)))
        self.assertTrue(any(line.startswith("NOT REACHED") for line in report.verdicts(runs)))

    def test_the_last_run_of_each_work_counts(self) -> None:
        lines = [{"machine": "a"}, result("W1", "parley", 0, rate=1),
                 result("W2", "parley", 0, rate=2),
                 {"machine": "b"}, result("W1", "parley", 0, rate=3),
                 result("W1", "parley", 1, rate=4)]
        kept = [(one["work"], one["rate"], one["about"]["machine"]) for one in report.latest(lines)]
        self.assertEqual(kept, [("W1", 3, "b"), ("W1", 4, "b"), ("W2", 2, "a")])

    def test_what_is_to_be_reached_is_measured(self) -> None:
        for reach in works.REACH:
            kind = works.WORKS[reach.work].kind
            for label in filter(None, (reach.label, reach.of)):
                self.assertIn(kind, servers.PEERS[label].kinds, reach)

    def test_a_plot_is_svg(self) -> None:
        text = plot.svg("a < b", "x", "y", {"one": [(1, 2), (10, 3)], "another": [(100, 0.5)]})
        tree = xml.etree.ElementTree.fromstring(text)
        self.assertEqual(len(tree.findall("{http://www.w3.org/2000/svg}polyline")), 2)


class Liar:
    """A daemon that answers HELLO and SEND as the test says."""

    def __init__(self, path: str, answer: Callable[[wire.Send], list[wire.Message]]) -> None:
        self.answer = answer
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.clients: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.clients.append(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        decoder = wire.Decoder(wire.FRAME_MAX)
        try:
            while data := sock.recv(65536):
                for frame in decoder.feed(data):
                    for asked in wire.each(wire.decode(frame, wire.CLIENT)):
                        for said in self._answers(asked):
                            # the first to come is a sender, the last the one it sends to
                            to = self.clients[-1] if isinstance(said, wire.Mail) else sock
                            to.sendall(wire.encode(said))
        except OSError:
            return

    def _answers(self, said: Any) -> Iterator[wire.Message]:
        if isinstance(said, wire.Hello):
            yield wire.Welcome(1, 0, bytes(16), bytes(16), 0, 0, said.name, "liar")
        if isinstance(said, wire.Send):
            yield from self.answer(said)

    def close(self) -> None:
        for sock in (self.listener, *self.clients):
            sock.close()


@needs("cc", "make")
class Honesty(unittest.TestCase):
    directory: str

    @classmethod
    def setUpClass(cls) -> None:
        directory = tempfile.TemporaryDirectory(prefix="parley-bench-test-")
        cls.addClassCleanup(directory.cleanup)
        cls.directory = directory.name
        leave = shutil.ignore_patterns(".*", "*.o", "load", "router", "results", "tests")
        shutil.copytree(HERE, cls.directory + "/tree", ignore=leave)
        built = subprocess.run(["make", "-s", "-C", cls.directory + "/tree/bench",
                                "CFLAGS=-Wall -Wextra -Werror"],
                               capture_output=True, text=True)
        if built.returncode:
            raise AssertionError(built.stderr)

    def against(self, answer: Callable[[wire.Send],
                                       list[wire.Message]]) -> subprocess.CompletedProcess[str]:
        path = f"{self.directory}/{self._testMethodName[:40]}"
        liar = Liar(path, answer)
        self.addCleanup(liar.close)
        command = [self.directory + "/tree/bench/load", "-p", "parley", "-m", "pair", "-n", "1",
                   "-w", "2", "-h", path, "-W", "0.05", "-t", "0.05", "-e", "0.2"]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def test_an_ok_without_a_delivery_is_no_figure(self) -> None:
        ran = self.against(lambda said: [wire.Stored(said.id, said.id)])
        self.assertEqual((ran.returncode, ran.stdout), (1, ""))
        self.assertIn("not settled after 0.2 s: 0 of 2 arrived, 2 of 2 acknowledged", ran.stderr)

    def test_a_delivery_without_an_ok_is_no_figure(self) -> None:
        ran = self.against(lambda said: [wire.Mail(said.id, 0, said.id, 0, 1, "u1", said.text)])
        self.assertEqual((ran.returncode, ran.stdout), (1, ""))
        self.assertIn(" 0 of ", ran.stderr)

    def test_a_confirmation_that_is_not_answered_is_no_figure(self) -> None:
        ran = self.against(lambda said: [wire.Stored(said.id, said.id),
                                         wire.Mail(said.id, 0, said.id, 0, 1, "u1", said.text)])
        self.assertEqual((ran.returncode, ran.stdout), (1, ""))
        self.assertRegex(ran.stderr,
                         r"(\d+) of \1 arrived, (\d+) of \2 acknowledged, [1-9]\d* confirmations "
                         r"open")

    def test_a_mailbox_that_is_full_is_no_figure(self) -> None:
        ran = self.against(lambda said: [wire.Stored(said.id, said.id),
                                         wire.Outcomes(said.id, said.id, wire.Outcome.FULL,
                                                       said.to)])
        self.assertEqual((ran.returncode, ran.stdout, ran.stderr),
                         (1, "", "load: parley: a mailbox is full\n"))

    def test_a_text_cut_short_is_not_counted(self) -> None:
        ran = self.against(lambda said: [wire.Stored(said.id, said.id),
                                         wire.Mail(said.id, 0, said.id, 0, 1, "u1",
                                                   said.text[:-1])])
        self.assertIn(" 0 of 2 arrived", ran.stderr)

    def test_a_run_against_the_daemon_and_its_tables(self) -> None:
        place = tempfile.mkdtemp(dir=self.directory)
        if servers.file_system(place) in ("tmpfs", "ramfs"):
            self.skipTest("needs a temporary directory on a disk")
        bench = Path(self.directory, "tree/bench")
        ran = subprocess.run([sys.executable, bench / "run.py", "--works", "W1,W2q,W2", "--rounds",
                              "1", "--seconds", "0.2", "--only"], capture_output=True, text=True,
                             env=os.environ | {"BENCH_PLACE": place})
        self.assertEqual(ran.returncode, 0, ran.stderr)
        found = [json.loads(line)
                 for line in (bench / "results/works.jsonl").read_text().splitlines()]
        self.assertEqual([(one["work"], one.get("error"), one.get("rate", 0) > 0)
                          for one in found[1:]],
                         [("W1", None, True), ("W2q", None, True), ("W2", None, True)])
        self.assertRegex(ran.stdout, r"(reached    |NOT REACHED) W1 parley rate: ")
        for _ in range(2):                      # the second time it replaces the section
            subprocess.run([sys.executable, bench / "figures.py"], check=True)
        readme = Path(self.directory, "tree/README.md").read_text()
        self.assertEqual((readme.count("\n## Speed\n"), readme.count("\n## Manuals\n")), (1, 1))
        self.assertIn("### W2q:", (bench / "FIGURES.md").read_text())


if __name__ == "__main__":
    unittest.main()

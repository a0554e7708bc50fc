"""The house: which room may know which, which module inside a room, what only one of them may
touch, and what the papers say of the tree."""
import ast
import functools
import os
import re
import subprocess
import sys
import unittest
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

HOME = Path(__file__).resolve().parents[2]

# Arrows between rooms go one way.  A front door (wire, mailbox, daemon, curses_client) is a room of
# one module. Names used in annotations alone count as well.
ROOMS = {
    "net": "",
    "terminal": "",
    "wire": "net",
    "store": "net",
    "mailbox": "store net",
    "rules": "store wire net",
    "server": "rules mailbox store terminal wire net",
    "daemon": "server rules mailbox store terminal wire net",
    "client": "wire net",
    "ui": "client terminal wire net",
    "curses_client": "ui client terminal wire net",
}

# And inside a room: each module, and those beside it that it may import when it runs.
INSIDE = {
    "net": {
        "address": "",
        "bodies": "",
        "codec": "fields frames values",
        "fields": "bodies frames",
        "frames": "",
        "logins": "uids",
        "places": "address uids",
        "receipts": "codec fields",
        "rooms": "codec fields",
        "statuses": "codec fields",
        "scram": "",
        "texts": "values",
        "tls": "",
        "uids": "",
        "values": "",
    },
    "store": {
        "backends": "disk",
        "backup": "check disk journal manifest recovery",
        "batch": "census fanout journal mail progress records user",
        "broken_journal": "disk findings journal",
        "broken_segment": "backends carve disk findings headings mail manifest records "
                          "segment",
        "budget": "census journal journals room segment shelf user",
        "census": "mail shelf user",
        "carve": "journal segment",
        "check": "disk journal mail manifest recovery segment shelf user",
        "disk": "",
        "findings": "journal mail",
        "journal": "disk",
        "journals": "batch disk journal manifest progress segment user",
        "library": "disk",
        "fanout": "mail user",
        "headings": "",
        "mail": "headings",
        "manifest": "disk journal segment",
        "progress": "user",
        "records": "disk headings journal mail user",
        "recovery": "disk journal manifest progress records seal segment shelf user",
        "reserve": "disk",
        "room": "mail segment user",
        "salvage": "backends broken_journal broken_segment disk findings journal mail "
                   "manifest records recovery segment user writer",
        "seal": "census disk mail records segment shelf user writer",
        "segment": "backends disk mail user",
        "shelf": "disk headings mail segment user",
        "shortage": "disk journal reserve",
        "syncer": "disk library",
        "upkeep": "budget disk journal journals room seal segment shelf shortage user writer",
        "user": "mail",
        "writer": "backends disk headings mail segment user",
    },
    "rules": {
        "allowances": "audience quota store usage",
        "audience": "errands promises quota retirement rooms roster state statuses store",
        "bans": "slices state",
        "buckets": "",
        "chats": "state",
        "claims": "groups guesses hosts owners promises roster state store",
        "delivery": "errands promises quota receipts roster runs slices state store usage window",
        "door": "bans claims delivery errands hosts invitations joining promises publication "
                "retirement roster sessions state store usage",
        "errands": "roster state store window",
        "everyone": "audience promises retirement roster runs state store",
        "groups": "owners room roster store",
        "guesses": "buckets",
        "handover": "errands state switchboard window",
        "hosts": "buckets",
        "ignore": "owners promises roster state store",
        "invitations": "buckets chats ignore roster sessions state store",
        "joining": "audience claims hosts looking newcomers promises room rooms roster state "
                   "store",
        "lines": "slices store",
        "looking": "pages room rooms roster slices state store",
        "newcomers": "audience claims hosts owners roster state store",
        "owners": "store",
        "pages": "slices state",
        "post": "audience delivery everyone ignore newcomers promises quota rooms roster runs "
                "state statuses store usage",
        "promises": "pages roster slices state store",
        "publication": "pages roster slices state store",
        "quota": "buckets",
        "receipts": "errands ignore pages promises retirement roster slices state store",
        "retirement": "quota roster state store",
        "room": "store",
        "rooms": "groups lines room roster state store",
        "roster": "slices state store",
        "runs": "window",
        "sessions": "chats ignore roster slices state",
        "slices": "",
        "state": "hosts window",
        "store": "",
        "statuses": "pages promises roster state store",
        "switchboard": "allowances bans claims delivery door errands hosts ignore invitations "
                       "joining looking newcomers owners post promises publication quota "
                       "receipts retirement rooms roster runs sessions slices state statuses "
                       "store table usage",
        "table": "retirement rooms roster sessions state statuses store",
        "usage": "owners roster state store",
        "window": "",
    },
    "server": {
        "allowed": "kept overview",
        "answers": "connection",
        "banned": "kept",
        "browser": "frames views",
        "chores": "",
        "connection": "fairness timers",
        "console": "browser cuts frames gathering keyboard log painter refusals",
        "control": "banned kept options orders quotas reports top whom",
        "cuts": "connection",
        "doors": "handover handshakes options sockets",
        "fairness": "",
        "frames": "",
        "gathering": "",
        "handover": "answers connection sockets",
        "handshakes": "options pool",
        "heartbeat": "connection timers",
        "keyboard": "",
        "kept": "",
        "log": "",
        "operations": "allowed answers banned connection console kept options overview "
                      "supervisor upgrade",
        "options": "",
        "orders": "options",
        "overview": "console views",
        "painter": "log",
        "pace": "",
        "partings": "connection heartbeat",
        "pool": "",
        "quotas": "allowed options orders reports whom",
        "refusals": "",
        "reports": "",
        "seats": "",
        "signals": "",
        "sockets": "",
        "startup": "allowed banned browser console doors handover kept keyboard log operations "
                   "options seats supervisor upgrade views",
        "strangers": "connection operations options pool",
        "supervisor": "",
        "takeover": "connection handover heartbeat options partings strangers unfinished",
        "timers": "",
        "top": "browser frames keyboard log orders painter views",
        "unfinished": "connection",
        "upgrade": "answers connection console doors handover signals supervisor",
        "views": "reports",
        "whom": "orders",
    },
    "client": {
        "archive": "contents history index letters past private",
        "arrivals": "index",
        "asking": "connection events inbox keyring outbox proofs rooms",
        "connection": "dial events lookup route silence",
        "contents": "history index letters private",
        "dial": "",
        "diary": "archive events history outbox unsent",
        "events": "history unsent",
        "forget": "archive contents history letters private",
        "history": "letters",
        "inbox": "archive arrivals events index",
        "index": "",
        "keyring": "private",
        "known": "",
        "leftovers": "archive connection diary events history outbox unsent",
        "letters": "",
        "link": "archive asking connection dial diary events inbox keyring known leftovers login "
                "lookup outbox proofs rooms unsent validity",
        "login": "connection events keyring proofs",
        "lookup": "",
        "outbox": "",
        "past": "history letters",
        "private": "",
        "proofs": "keyring",
        "rooms": "",
        "route": "dial lookup",
        "silence": "",
        "unsent": "archive history letters private",
        "validity": "",
        "waiter": "link",
    },
    "ui": {
        "away": "feed people requests words",
        "chatting": "entries feed names people requests words",
        "cleaned": "",
        "commands": "dates desk help joining names notices picker words",
        "completed": "commands desk names",
        "completion": "errand failures options output",
        "contact": "entries feed names people",
        "conversations": "entries feed notices people",
        "dates": "",
        "desk": "names picker talk words",
        "drafts": "desk",
        "earlier": "conversations entries feed messages names people requests",
        "entries": "",
        "errand": "failures names output",
        "failures": "words",
        "feed": "entries pane wishes",
        "granting": "failures hooks menu notices wishes",
        "help": "entries",
        "hooks": "",
        "interrupts": "",
        "invitations": "chatting feed names people requests words",
        "items": "commands desk picker",
        "joining": "desk names",
        "keymap": "commands desk items modes words",
        "links": "entries feed wishes",
        "log": "dates entries failures names options output past",
        "menu": "desk entries items keymap modes notices pane talk wishes words",
        "messages": "entries feed past people requests words",
        "modes": "commands desk items names words",
        "names": "entries",
        "notices": "feed people wishes words",
        "once": "entries errand failures options output past sending",
        "opening": "desk failures options",
        "options": "failures hooks notices output",
        "output": "failures",
        "pane": "entries scrollback",
        "past": "dates entries feed names people",
        "people": "feed names words",
        "picker": "names",
        "plain": "completed desk drafts entries failures granting interrupts menu names options "
                 "output picker several telling",
        "requests": "feed names people words",
        "rooms": "entries feed names people requests words",
        "screen": "entries menu names picker",
        "scrollback": "entries",
        "several": "commands desk menu",
        "sending": "errand failures names output words",
        "shell": "cleaned completion entries errand failures log once opening options output past "
                 "sending",
        "talk": "away chatting contact conversations earlier feed invitations links messages "
                "notices pane past people requests rooms",
        "telling": "menu names",
        "wishes": "",
        "words": "names",
    },
    "terminal": {
        "config": "",
        "display": "",
        "keys": "sequences",
        "lineedit": "display keys",
        "osc": "display",
        "printer": "display",
        "sequences": "",
        "stderr": "printer",
        "urls": "",
        "usage": "printer",
        "wheel": "keys",
    },
}

# What only these may touch.
ONLY = {
    "socket": {"options", "startup", "supervisor", "orders", "daemon", "doors", "handover",
               "signals",
               "sockets", "logins", "tls", "log", "library", "syncer", "dial", "lookup",
               "connection", "curses_client"},
    "ssl": {"tls"},
    "selectors": {"daemon", "doors", "keyboard", "startup", "top", "handshakes", "signals", "tls",
                  "takeover", "upgrade",
                  "connection", "waiter"},
    "curses": {"curses_client"},
    "dbm": {"backends"},
    "fsync": {"disk", "archive", "private"},
    "fdatasync": {"disk"},
}


# What a start has no use for: some hundred milliseconds, if they were all imported.
NOT_AT_START = {"ast", "asyncio", "configparser", "curses", "dataclasses", "difflib", "email",
                "inspect", "ipaddress", "json", "logging", "pathlib", "shutil", "ssl", "stringprep",
                "subprocess", "tempfile", "textwrap", "traceback", "urllib", "uuid"}
USED_BY_THE_DAEMON = {"ipaddress", "json"}
# The daemon needs these in a turn, which must not wait for them, nor find them gone.
BEFORE_A_TURN = {"hashlib", "hmac"}


def modules() -> list[Path]:
    """Every module of the program: the front doors, then room by room."""
    return sorted(HOME.glob("*.py")) + [path for room in INSIDE
                                        for path in sorted((HOME / room).glob("*.py"))
                                        if path.stem != "__init__"]


def bench_modules() -> list[Path]:
    return sorted((HOME / "bench").glob("*.py"))


def room_of(path: Path) -> str:
    """The room that a module is in; a front door is its own."""
    return path.stem if path.parent == HOME else path.parent.name


class Facts(NamedTuple):
    """What a module says of itself."""
    manual: str                             # its docstring
    imports: frozenset[str]                 # also inside functions; room.module where it is ours
    for_types: frozenset[str]               # those that only a type checker sees
    words: frozenset[str]                   # names and attributes that it uses
    functions: tuple[tuple[str, int], ...]  # all, with their lines
    classes: tuple[tuple[str, int, int], ...]       # with their lines and the number of methods
    defined: frozenset[str]                 # functions, classes, their methods, and names


@functools.cache
def facts(path: Path) -> Facts:
    tree = ast.parse(path.read_text())
    nodes = list(ast.walk(tree))
    checks = [node for node in nodes
              if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    for_types = set(imports([each for node in checks for each in ast.walk(node)]))
    typed = {id(each) for node in checks for each in ast.walk(node)}
    return Facts(
        ast.get_docstring(tree) or "",
        frozenset(imports([node for node in nodes if id(node) not in typed])),
        frozenset(for_types),
        frozenset(node.id if isinstance(node, ast.Name) else node.attr for node in nodes
                  if isinstance(node, ast.Name | ast.Attribute)),
        tuple((node.name, lines(node)) for node in nodes if isinstance(node, ast.FunctionDef)),
        tuple((node.name, lines(node), sum(isinstance(each, ast.FunctionDef) for each in node.body))
              for node in tree.body if isinstance(node, ast.ClassDef)),
        frozenset(defined(tree.body)))


def lines(node: ast.FunctionDef | ast.ClassDef) -> int:
    return (node.end_lineno or 0) - node.lineno + 1


def imports(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield from ([f"{module}.{alias.name}" for alias in node.names] if module in INSIDE
                        else [module])


def defined(body: Iterable[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        if isinstance(node, ast.ClassDef):
            yield from (f"{node.name}.{each.name}"
                        for each in node.body if isinstance(each, ast.FunctionDef))
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (each.id for each in targets if isinstance(each, ast.Name))


def tops(names: Iterable[str]) -> set[str]:
    """The first parts of imported names: rooms, front doors, modules of the standard library."""
    return {name.partition(".")[0] for name in names}


def unordered(arrows: Mapping[str, str]) -> set[str]:
    """What stands in a circle, or rests on one."""
    known: set[str] = set()
    while new := {name
                  for name, to in arrows.items() if name not in known and set(to.split()) <= known}:
        known |= new
    return set(arrows) - known


class House(unittest.TestCase):
    def test_rooms_know_what_is_below_them(self) -> None:
        for path in modules():
            room = room_of(path)
            known = facts(path).imports | facts(path).for_types
            ours = tops(known) & set(ROOMS) - {room}
            where = str(path.relative_to(HOME))
            self.assertLessEqual(ours, set(ROOMS[room].split()), f"{where}: a room it may not know")

    def test_modules_know_what_the_table_of_their_room_says(self) -> None:
        for room, table in INSIDE.items():
            paths = [path for path in modules() if path.parent.name == room]
            self.assertEqual({path.stem for path in paths}, set(table),
                             f"INSIDE[{room!r}] is not what is there")
            for path in paths:
                beside = {name.removeprefix(room + ".")
                          for name in facts(path).imports | facts(path).for_types
                          if name.startswith(room + ".")}
                self.assertLessEqual(beside, set(table[path.stem].split()), f"{room}/{path.name}")

    def test_the_arrows_have_no_circle(self) -> None:
        for arrows in (ROOMS, *INSIDE.values()):
            self.assertEqual(unordered(arrows), set())

    def test_a_circle_is_seen(self) -> None:
        self.assertEqual(unordered({"a": "b", "b": "c", "c": "b", "d": ""}), {"a", "b", "c"})

    def test_modules_are_imported_by_name(self) -> None:
        """`from store.journal import Journal`, never `import store.journal`: store is a good name
        for a variable."""
        for path in modules():
            self.assertEqual(facts(path).imports & set(INSIDE), set(), path.name)

    def test_nothing_but_the_standard_library_and_ours(self) -> None:
        for path in modules():
            self.assertEqual(tops(facts(path).imports) - set(ROOMS) - set(sys.stdlib_module_names),
                             set(), path.name)

    def test_each_room_opens_with_its_law(self) -> None:
        for room in INSIDE:
            law = facts(HOME / room / "__init__.py").manual
            self.assertTrue(law.startswith(f"{room}: "), room)

    def test_sockets_curses_dbm_and_fsync_have_their_places(self) -> None:
        for path in modules():
            touched = tops(facts(path).imports) | facts(path).words
            for what, places in ONLY.items():
                if path.stem not in places:
                    self.assertNotIn(what, touched & {what}, f"{path.name} touches {what}")

    def started(self, program: str, code: int, *arguments: str) -> set[str]:
        """The modules that a start imports, up to the place where it can't listen or connect."""
        told = subprocess.run([sys.executable, "-I", "-S", "-X", "importtime",
                               HOME / f"{program}.py", *arguments],
                              capture_output=True, text=True, check=False)
        self.assertEqual(told.returncode, code, told.stderr)
        return {row.rpartition("|")[2].strip() for row in told.stderr.splitlines() if "|" in row}

    def test_a_start_imports_what_it_needs(self) -> None:
        client = self.started("curses_client", os.EX_UNAVAILABLE, "--who", "--name", "ann",
                              "--no-archive", "--connect", "unix:/dev/null/sock")
        daemon = self.started("daemon", os.EX_CANTCREAT, "--state", "/dev/null/store",
                              "--listen", "unix:/dev/null/sock")
        self.assertEqual(client & NOT_AT_START, set())
        self.assertEqual(daemon & NOT_AT_START, USED_BY_THE_DAEMON)
        self.assertNotIn("_hashlib", client, "OpenSSL")
        self.assertLessEqual(BEFORE_A_TURN, daemon)

    def test_the_benchmark_needs_nothing_but_the_standard_library_and_itself(self) -> None:
        ours = {path.stem for path in bench_modules()}
        for path in bench_modules():
            self.assertEqual(tops(facts(path).imports) - ours - set(sys.stdlib_module_names), set(),
                             path.name)

    def test_every_module_opens_with_its_manual(self) -> None:
        for path in [*modules(), *bench_modules()]:
            self.assertTrue(facts(path).manual, path.name)

    def test_functions_are_small(self) -> None:
        for path in [*modules(), *bench_modules()]:
            for name, length in facts(path).functions:
                self.assertLessEqual(length, 60, f"{path.name}: {name}")

    def test_classes_fit_in_the_head(self) -> None:
        for path in modules():
            for name, length, methods in facts(path).classes:
                self.assertLessEqual(length, 300, f"{path.name}: {name}")
                self.assertLessEqual(methods, 25, f"{path.name}: {name}")

    def test_files_can_be_read_at_a_sitting(self) -> None:
        for path in modules():
            self.assertLessEqual(len(path.read_text().splitlines()), 600, path.name)

    def test_the_walks_name_what_is_there(self) -> None:
        text = (HOME / "HACKING").read_text()
        walks = text[text.index("\nWALKS\n"):text.index("\nSMALLER CHANGES\n")]
        steps = re.findall(r"(?m)^    (\S+\.py) +([\w.]+)(?:  |$)", walks)
        self.assertGreater(len(steps), 30)
        for path, name in steps:
            self.assertIn(name, facts(HOME / path).defined, path)

    def test_tests_stand_in_rooms(self) -> None:
        self.assertEqual({path.name for path in (HOME / "tests").glob("*.py")},
                         {"__init__.py", "__main__.py"})

    def test_hacking_lists_every_module(self) -> None:
        text = (HOME / "HACKING").read_text()
        for path in modules():
            self.assertRegex(text, rf"(?<![\w/]){path.relative_to(HOME)}\b")

    def test_readme_shows_the_rooms(self) -> None:
        """README's picture of the tree names what is at its top, and nothing else."""
        text = (HOME / "README.md").read_text()
        listed = set(re.findall(r"^    ([\w.-]+/?)  ", text, re.MULTILINE))
        git = subprocess.run(["git", "-C", str(HOME), "ls-files"], capture_output=True, text=True)
        if git.returncode:
            self.skipTest("needs git and a checkout: " + git.stderr.strip())
        tree = {name if "/" not in name else name.split("/")[0] + "/"
                for name in git.stdout.split()}
        self.assertEqual(listed, {name for name in tree if not name.startswith(".")})


if __name__ == "__main__":
    unittest.main()

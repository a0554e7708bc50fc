"""The house: which module may know which, what only one of them may touch, and what the papers say of the tree."""
import ast
import re
import subprocess
import sys
import unittest
from collections.abc import Iterator
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent

# Arrows go one way: each module, and those of ours that it may import.  (Names used in annotations alone don't count.)
ARROWS = {
    # what must survive
    "disk": "",
    "bodies": "",
    "mail": "bodies",
    "user": "mail",
    "library": "disk",
    "syncer": "disk library",
    "reserve": "disk",
    "journal": "disk",
    "segment": "bodies disk mail user",
    "records": "bodies disk journal mail user",
    "seal": "disk mail records segment user",
    "manifest": "disk journal segment",
    "recovery": "disk journal manifest records seal segment user",
    "room": "bodies segment user",
    "upkeep": "disk journal reserve room seal segment",
    "mailbox": "bodies disk journal mail manifest records recovery reserve segment upkeep user",
    "carve": "bodies journal segment",
    "salvage": "bodies carve disk journal mail manifest records recovery segment user",
    # bytes and messages; places; the rules of the house
    "wire": "bodies",
    "runs": "bodies wire",
    "address": "",
    "usage": "printer",
    "hosts": "wire",
    "presence": "hosts wire",
    "quota": "hosts wire",
    "ignore": "presence wire",
    "fairness": "wire",
    "rounds": "",
    "answers": "presence wire",
    "delivery": "answers mail presence runs wire",
    "post": "answers bodies delivery presence runs wire",
    "chats": "hosts presence wire",
    "scram": "",
    "claims": "answers hosts presence scram wire",
    "switchboard": "answers chats claims delivery hosts ignore post presence runs wire",
    # sockets, time and order
    "console": "display switchboard",
    "logins": "",
    "secure": "",
    "places": "address",
    "sockets": "address places",
    "doors": "address logins places presence secure sockets",
    "options": "address chats hosts places quota usage wire",
    "startup": "address claims console disk doors logins mailbox options places secure syncer usage",
    "daemon": "claims console disk doors fairness hosts logins mailbox options presence quota rounds runs salvage "
              "secure startup switchboard usage wire",
    # the client
    "display": "",
    "printer": "display",
    "keys": "",
    "lineedit": "display keys",
    "letters": "",
    "index": "",
    "archive": "index letters",
    "outbox": "wire",
    "arrivals": "index wire",
    "keyring": "archive",
    "proofs": "address keyring scram secure wire",
    "dial": "address logins places secure",
    "events": "wire",
    "line": "address dial events places secure wire",
    "inbox": "archive arrivals events index letters wire",
    "validity": "wire",
    "link": "address archive dial events inbox keyring letters line outbox proofs validity wire",
    "pane": "display",
    "who": "display pane wire",
    "picker": "display who wire",
    "talk": "display pane who wire",
    "commands": "display pane talk who wire",
    "modes": "commands pane picker talk who wire",
    "menu": "commands display keys lineedit modes pane picker talk who wire",
    "screen": "commands display lineedit menu modes pane picker who wire",
    "plain": "address archive display keys link lineedit menu modes pane printer screen talk usage who wire",
    "curses_client": "address archive display keyring keys link lineedit menu modes pane places plain printer screen "
                     "secure talk usage who wire",
}

# What only these may touch.
ONLY = {
    "socket": {"options", "daemon", "doors", "sockets", "logins", "secure", "console", "library", "syncer", "dial",
               "line", "plain", "curses_client"},
    "ssl": {"secure"},
    "selectors": {"daemon", "doors", "secure", "line", "plain", "curses_client"},
    "curses": {"curses_client"},
    "dbm": {"segment"},
    "fsync": {"disk", "archive"},
    "fdatasync": {"disk"},
}


def modules() -> list[Path]:
    return sorted(HOME.glob("*.py"))


def bench_modules() -> list[Path]:
    return sorted((HOME / "bench").glob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """The modules that a file imports when it runs, also inside functions."""
    def visit(node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0]
        for child in ast.iter_child_nodes(node):
            yield from visit(child)
    yield from visit(ast.parse(path.read_text()))


def words(path: Path) -> set[str]:
    """The names and attributes that a file uses."""
    tree = ast.parse(path.read_text())
    return ({node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
            | {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)})


class House(unittest.TestCase):
    def test_arrows_go_one_way(self) -> None:
        names = {path.stem for path in modules()}
        self.assertEqual(names, set(ARROWS), "a module that ARROWS does not know, or the reverse")
        for path in modules():
            ours = set(imports(path)) & names
            self.assertLessEqual(ours, set(ARROWS[path.stem].split()), f"{path.name} imports what it may not know")

    def test_the_arrows_have_no_circle(self) -> None:
        known: set[str] = set()
        while new := {name for name, to in ARROWS.items() if name not in known and set(to.split()) <= known}:
            known |= new
        self.assertEqual(known, set(ARROWS))

    def test_nothing_but_the_standard_library_and_ours(self) -> None:
        for path in modules():
            strangers = set(imports(path)) - set(ARROWS) - set(sys.stdlib_module_names)
            self.assertEqual(strangers, set(), path.name)

    def test_sockets_curses_dbm_and_fsync_have_their_rooms(self) -> None:
        for path in modules():
            touched = set(imports(path)) | words(path)
            for what, rooms in ONLY.items():
                if path.stem not in rooms:
                    self.assertNotIn(what, touched & {what}, f"{path.name} touches {what}")

    def test_the_benchmark_needs_nothing_but_the_standard_library_and_itself(self) -> None:
        ours = {path.stem for path in bench_modules()}
        for path in bench_modules():
            self.assertEqual(set(imports(path)) - ours - set(sys.stdlib_module_names), set(), path.name)

    def test_every_module_opens_with_its_manual(self) -> None:
        for path in [*modules(), *bench_modules()]:
            self.assertTrue(ast.get_docstring(ast.parse(path.read_text())), path.name)

    def test_functions_are_small(self) -> None:
        for path in [*modules(), *bench_modules()]:
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef):
                    lines = (node.end_lineno or 0) - node.lineno + 1
                    self.assertLessEqual(lines, 60, f"{path.name}: {node.name}")

    def test_readme_files_are_the_tree(self) -> None:
        text = (HOME / "README.md").read_text()
        listed = set(re.findall(r"^    ([\w./-]+)  ", text, re.MULTILINE))
        git = subprocess.run(["git", "-C", str(HOME), "ls-files"], capture_output=True, text=True)
        if git.returncode:
            self.skipTest("needs git and a checkout: " + git.stderr.strip())
        tree = {name if "/" not in name else name.split("/")[0] + "/" for name in git.stdout.split()}
        tree -= {name for name in tree if name.startswith(".")}
        tops = {name if "/" not in name else name.split("/")[0] + "/" for name in listed}
        self.assertEqual(tops, tree)


if __name__ == "__main__":
    unittest.main()

"""The mutants and their table in HACKING are of this tree.  (Whether each is caught, `make mutants`
tells.)"""

import ast
import functools
import re
import types
import unittest

from tests.house.mutants import HOME, MUTANTS, TABLE, modules, mutated

MODULES = {name.rpartition(".")[2]: name for name in modules(HOME)}


def part(text: str, old: str) -> str:
    """The statements at the top of this module in which `old` occurs, as text."""
    first = text.count("\n", 0, text.index(old)) + 1
    last = first + old.count("\n")
    lines, ends = text.splitlines(True), [node.end_lineno or 0 for node in parsed(text).body]
    begin = max(end for end in [0, *ends] if end < first)
    return "".join(lines[begin:min(end for end in [*ends, len(lines)] if end >= last)])


@functools.cache
def parsed(text: str) -> ast.Module:
    return ast.parse(text)


def meaning(code: object) -> object:
    """What a compiled text says, without its lines."""
    if not isinstance(code, types.CodeType):
        return repr(code)
    return code.co_code, code.co_names, code.co_varnames, [meaning(each) for each in code.co_consts]


def is_change(old: str, new: str) -> bool:
    """Whether these texts are two programs: spaces and comments do not count."""
    return meaning(compile(old, "", "exec")) != meaning(compile(new, "", "exec"))


class Mutants(unittest.TestCase):
    def test_each_is_a_change_of_the_program_as_it_is(self) -> None:
        self.assertGreaterEqual(len(MUTANTS), 30)
        self.assertEqual(len({mutant.name for mutant in MUTANTS}), len(MUTANTS))
        texts = {file: (HOME / file).read_text() for file in {mutant.file for mutant in MUTANTS}}
        for mutant in MUTANTS:
            with self.subTest(mutant.name):
                text = texts[mutant.file]
                mutated(mutant, text)
                of_it = part(text, mutant.old)
                self.assertTrue(is_change(of_it, mutated(mutant, of_it)))
                self.assertLessEqual(set(mutant.likely.split()), set(MODULES))

    def test_a_change_of_the_text_alone_is_none(self) -> None:
        one = "x = 1\ndef f():\n    return x\n"
        self.assertFalse(is_change(one, "x = 1\n\ndef f():  # says x\n    return  x\n"))
        self.assertTrue(is_change(one, one.replace("return x", "return -x")))

    def test_a_name_means_one_module_of_tests(self) -> None:
        """A row has no room; two of a name would leave one of them out."""
        self.assertEqual(len(MODULES), len(list((HOME / "tests").rglob("test_*.py"))))

    def test_a_text_that_is_not_there_is_an_error(self) -> None:
        for text in ("", MUTANTS[0].old * 2):
            self.assertRaises(ValueError, mutated, MUTANTS[0], text)

    def test_the_table_names_each_and_a_test_that_is_there(self) -> None:
        found = TABLE.search((HOME / "HACKING").read_text())
        assert found
        rows = [re.split(r"  +", line.strip()) for line in found.group().splitlines()[1:]]
        self.assertEqual([row[0] for row in rows], [mutant.name for mutant in MUTANTS])
        for name, caught in rows:
            with self.subTest(name):
                module, case, test = caught.split(".")
                text = (HOME / (MODULES[module].replace(".", "/") + ".py")).read_text()
                self.assertRegex(text, rf"class {case}\b")
                self.assertIn(f"def {test}(", text)


if __name__ == "__main__":
    unittest.main()

"""The mutants and their table in HACKING are of this tree.  (Whether each is caught, `make mutants`
tells.)"""

import ast
import re
import unittest

from tests.house.mutants import HOME, MUTANTS, TABLE, modules, mutated


class Mutants(unittest.TestCase):
    def test_each_is_a_change_of_the_program_as_it_is(self) -> None:
        self.assertGreaterEqual(len(MUTANTS), 30)
        self.assertEqual(len({mutant.name for mutant in MUTANTS}), len(MUTANTS))
        texts = {file: (HOME / file).read_text() for file in {mutant.file for mutant in MUTANTS}}
        trees = {file: ast.dump(ast.parse(text)) for file, text in texts.items()}
        for mutant in MUTANTS:
            with self.subTest(mutant.name):
                tree = ast.dump(ast.parse(mutated(mutant, texts[mutant.file])))
                self.assertNotEqual(tree, trees[mutant.file])
                for name in mutant.likely.split():
                    self.assertTrue(modules(HOME, [name]))

    def test_a_name_means_one_module_of_tests(self) -> None:
        """A row has no room; two of a name would leave one of them out."""
        self.assertEqual(len(modules(HOME)), len(list((HOME / "tests").rglob("test_*.py"))))

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
                text = (HOME / (modules(HOME, [module])[0].replace(".", "/") + ".py")).read_text()
                self.assertRegex(text, rf"class {case}\b")
                self.assertIn(f"def {test}(", text)


if __name__ == "__main__":
    unittest.main()

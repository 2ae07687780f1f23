"""The table of faults in README.md: every fault has a test, and every test that it names exists where it says."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (Path(__file__).parent / "README.md").read_text().splitlines()
    if re.match(r"\| \d", line)
]


def _named(cell):
    return re.findall(r"`([\w/]+\.py)::(\w+)`", cell)


def _is_long(path, name):
    """Return whether a test has the mark of those that take long."""
    (test,) = (
        each
        for each in ast.parse((TESTS / path).read_text()).body
        if isinstance(each, ast.FunctionDef) and each.name == name
    )
    return any(ast.unparse(mark) == "pytest.mark.long" for mark in test.decorator_list)


def test_all_34_faults_are_there():
    """By their numbers, each with a test or more."""
    assert [int(row[0]) for row in ROWS] == list(range(1, 35))
    assert all(_named(quick + slow) for _, _, quick, slow in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=[f"{number} {what}" for number, what, _, _ in ROWS])
def test_tests_are_where_the_table_says(row):
    """Those that take long in the last column, among the tests that `make faults` runs."""
    _, _, quick, slow = row
    assert [each for each in _named(quick) if _is_long(*each)] == []
    assert [each for each in _named(slow) if not _is_long(*each)] == []
    assert all(path.startswith("faults/") for path, _ in _named(slow))
    assert (quick + slow).count("::") == len(_named(quick + slow))

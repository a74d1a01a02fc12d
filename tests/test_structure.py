"""The shape of the code: one name for one thing, and functions that fit on a screen."""

import ast
import functools
from collections import defaultdict
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parent.parent
_PRODUCT = ("batch", "stream", "serve", "store", "cron")
_MAX_LINES = 60


def parsed(*packages):
    """Return (path, syntax tree) of every module."""
    return [module for package in packages for module in parsed_package(package)]


@functools.cache
def parsed_package(package):
    files = sorted((_ROOT / package).rglob("*.py"))
    return [(str(file.relative_to(_ROOT)), ast.parse(file.read_text())) for file in files]


def public_classes(tree):
    """Return the names of a module's public classes."""
    classes = (node for node in tree.body if isinstance(node, ast.ClassDef))
    return [node.name for node in classes if not node.name.startswith("_")]


def array_aliases(tree):
    """Return the names that a module gives to array types: `Rows = npt.NDArray[…]`."""
    return [
        node.targets[0].id
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and ast.unparse(node.value).startswith("npt.NDArray[")
    ]


def long_functions(tree):
    """Return functions of more lines than a screen has, with their length."""
    functions = (
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    lengths = ((node.name, (node.end_lineno or 0) - node.lineno + 1) for node in functions)
    return [(name, length) for name, length in lengths if length > _MAX_LINES]


def defined_twice(names_of, modules):
    """Return every name that more than one module defines, with these modules."""
    places = defaultdict(list)
    for path, tree in modules:
        for name in names_of(tree):
            places[name].append(path)
    return {name: paths for name, paths in places.items() if len(paths) > 1}


def test_no_public_class_name_stands_for_two_things():
    assert defined_twice(public_classes, parsed(*_PRODUCT)) == {}


def test_no_array_alias_stands_for_two_types():
    assert defined_twice(array_aliases, parsed(*_PRODUCT)) == {}


def test_array_aliases_stand_in_one_module():
    defining = {path for path, tree in parsed(*_PRODUCT) if array_aliases(tree)}
    assert defining == {"batch/arrays.py"}


@pytest.mark.parametrize("package", [*_PRODUCT, "benchmarks", "tests"])
def test_no_function_is_longer_than_a_screen(package):
    found = {path: long_functions(tree) for path, tree in parsed(package)}
    assert found != {}
    assert {path: functions for path, functions in found.items() if functions} == {}


def test_the_search_finds_what_it_should():
    """The twin: a class and an alias in two modules, and a function that is too long."""
    long = "def f():\n" + "    pass\n" * _MAX_LINES
    source = f"class A: pass\nclass _B: pass\nRows = npt.NDArray[np.int64]\n{long}"
    modules = [("one.py", ast.parse(source)), ("two.py", ast.parse(source))]
    assert defined_twice(public_classes, modules) == {"A": ["one.py", "two.py"]}
    assert defined_twice(array_aliases, modules) == {"Rows": ["one.py", "two.py"]}
    assert long_functions(modules[0][1]) == [("f", _MAX_LINES + 1)]

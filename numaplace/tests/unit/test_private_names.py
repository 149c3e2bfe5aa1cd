# SPDX-License-Identifier: Apache-2.0
"""The package calls what its dependencies offer, and nothing that they keep to themselves."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import numaplace

ROOT = Path(numaplace.__file__).parent

#: Names that begin with an underscore and are others', each with its place and the reason.
LISTED = {
    ('nova/filter.py', '_filter_one'): "Nova's tests replace it, and Nova calls host_passes by it",
    ('libvirt/xmltext.py', '_Element'): 'lxml has no public name for the class of its elements',
    ('wire/details.py', '_asdict'): 'a public method of named tuples',
}


def _modules() -> dict[str, ast.Module]:
    paths = [path for path in ROOT.rglob('*.py') if 'tests' not in path.relative_to(ROOT).parts]
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text('utf-8')) for path in paths}


def _is_private(name: str) -> bool:
    return name.startswith('_') and not name.startswith('__')


def _defined(tree: ast.Module) -> Iterator[str]:
    """Yield the private names that a module defines: functions, classes, variables, attributes and slots."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def _used(tree: ast.Module) -> Iterator[str]:
    """Yield the private names that a module takes from elsewhere: attributes and imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (part for name in node.names for part in name.name.split('.'))


def _foreign(modules: dict[str, ast.Module]) -> set[tuple[str, str]]:
    ours = {name for tree in modules.values() for name in _defined(tree)}
    return {
        (place, name)
        for place, tree in modules.items()
        for name in _used(tree)
        if _is_private(name) and name not in ours
    }


def test_no_private_name_of_a_dependency_is_used_but_for_those_that_are_listed():
    assert set(LISTED) == _foreign(_modules())


@pytest.mark.parametrize(
    'line', ['connection._execute_context()', 'from sqlalchemy import _x', 'import sqlalchemy._x', 'a = b._c.d']
)
def test_such_a_use_is_found(line):
    assert _foreign({'module.py': ast.parse(line)})


def test_what_a_module_keeps_to_itself_is_its_own():
    source = 'class A:\n    def _a(self):\n        self._b = _c = 1\n        return self._b, self._a(), self.__d__'
    assert set() == _foreign({'module.py': ast.parse(source)})

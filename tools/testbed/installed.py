# SPDX-License-Identifier: Apache-2.0
"""Copy an installed package and all its requirements for another machine with this version of Python."""

import compileall
import importlib
import shutil
from collections.abc import Collection, Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

__all__ = ['copy']

_PROGRAM = """#!/usr/bin/python3
import sys
from {entry.module} import {entry.attr}
sys.exit({entry.attr}())
"""


def copy(name: str, extras: Collection[str], site: Path, programs: Path) -> None:
    """Copy a package with the name of its distribution, its requirements, and its programs.

    :param site: for the packages
    :param programs: for the programs, which run with ``/usr/bin/python3``
    """
    programs.mkdir(parents=True)
    for found in _required(name, extras):
        _copy_files(found, site)
    package = Path(importlib.import_module(name).__path__[0])  # also if it is installed as editable
    shutil.copytree(package, site / name, dirs_exist_ok=True, ignore=shutil.ignore_patterns('__pycache__', 'tests'))
    shutil.rmtree(site / name / 'tests', ignore_errors=True)
    for entry in distribution(name).entry_points.select(group='console_scripts'):
        program = programs / entry.name
        program.write_text(_PROGRAM.format(entry=entry))
        program.chmod(0o755)
    # Only what was not compiled yet: file times are kept.
    compileall.compile_dir(site, quiet=2)


def _required(name: str, extras: Collection[str]) -> Iterator[Distribution]:
    """Yield a distribution and all its requirements, each once."""
    wanted = [(canonicalize_name(name), extra) for extra in ('', *extras)]
    seen = set()
    while wanted:
        one = wanted.pop()
        if one in seen:
            continue
        key, extra = one
        found = distribution(key)
        if key not in {other for other, _ in seen}:
            yield found
        seen.add(one)
        for requirement in map(Requirement, found.requires or ()):
            if requirement.marker is None or requirement.marker.evaluate({'extra': extra}):
                wanted += [(canonicalize_name(requirement.name), each) for each in ('', *requirement.extras)]


def _copy_files(found: Distribution, site: Path) -> None:
    for file in found.files or ():
        source = Path(found.locate_file(file))
        if '..' not in file.parts and source.is_file():
            target = site / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)

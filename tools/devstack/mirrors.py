# SPDX-License-Identifier: Apache-2.0
"""The repositories that devstack clones: copies of git mirrors on this machine, or the network's."""

from __future__ import annotations

import subprocess
from pathlib import Path

from devstack.programs import command
from ministack.processes import StackError

__all__ = ['NAMES', 'NETWORK', 'branch_of', 'copy', 'find']

#: Where devstack clones from without mirrors.
NETWORK = 'https://opendev.org'

#: What is cloned for the services that are enabled here.
NAMES = ('devstack', 'requirements', 'keystone', 'glance', 'placement', 'neutron', 'nova')


def find(folder: Path, branch: str) -> dict[str, Path]:
    """Return the repositories in a folder of mirrors: ``openstack/NAME`` or ``openstack/NAME.git``, also as links.

    :param branch: has to be in each
    :raises: :class:`StackError` that names all that are missing
    """
    found = {}
    missing = []
    for name in NAMES:
        places = [folder / 'openstack' / name, folder / 'openstack' / f'{name}.git']
        paths = [place.resolve() for place in places if _has(place, branch)]
        if paths:
            found[name] = paths[0]
        else:
            missing.append(f'openstack/{name}')
    if missing:
        raise StackError(
            f'mirrors {folder}: no git repository with the branch {branch} at {", ".join(missing)}; '
            'expected openstack/NAME or openstack/NAME.git for each'
        )
    return found


def copy(repository: Path, target: Path) -> None:
    """Copy a repository as a bare one that everybody can read.

    It is copied file by file: a mirror that lacks old objects, as a partial clone does, can be cloned in no other way.

    :raises: :class:`StackError`
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    command('git', 'clone', '--quiet', '--bare', '--no-hardlinks', repository, target)
    command('chmod', '--recursive', 'a+rX', target)


def branch_of(repository: Path) -> str:
    """Return the branch that is checked out.

    :raises: :class:`StackError` if there is none
    """
    return command('git', '-C', repository, 'symbolic-ref', '--short', 'HEAD').strip()


def _has(repository: Path, branch: str) -> bool:
    asked: list[str | Path] = [
        'git',
        '-C',
        repository,
        'rev-parse',
        '--quiet',
        '--verify',
        f'refs/heads/{branch}^{{commit}}',
    ]
    return repository.is_dir() and not subprocess.run(asked, capture_output=True, check=False).returncode

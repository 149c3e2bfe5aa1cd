# SPDX-License-Identifier: Apache-2.0
"""The configuration files of the services, from the templates."""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

from ministack.hosts import ComputeHost

__all__ = ['write']

_TEMPLATES = Path(__file__).with_name('templates')


def write(etc: Path, values: Mapping[str, str], hosts: Iterable[ComputeHost]) -> None:
    """Write all files into a directory.

    :param values: the values of the names in the templates: the state directory, URLs and ports
    """
    for name in ('nova.conf', 'control.conf', 'numaplace.conf', 'placement.conf', 'clouds.yaml'):
        (etc / name).write_text(_fill(name, values), 'utf-8')
    for host in hosts:
        own = {name: str(getattr(host, name)) for name in host.__slots__}
        text = _fill('compute.conf', {**values, **own, 'host': host.name})
        (etc / f'{host.name}.compute.conf').write_text(text, 'utf-8')
    (etc / 'api-paste.ini').write_text(_paste(), 'utf-8')


def _fill(name: str, values: Mapping[str, str]) -> str:
    return string.Template((_TEMPLATES / name).read_text('utf-8')).substitute(values)


def _paste() -> str:
    """Return Nova's own pipeline with our filter instead of Keystone's."""
    file = next(path for path in metadata.files('nova') or () if path.name == 'api-paste.ini')
    keystone, ours = 'keystonemiddleware.auth_token:filter_factory', 'ministack.identity:factory'
    return file.read_text('utf-8').replace(keystone, ours)

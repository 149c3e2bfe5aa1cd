# SPDX-License-Identifier: Apache-2.0
"""Namespaces of persistent memory, from the output of ``ndctl list -X -v``."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from typing import Any

from numaplace import exception, explain
from numaplace.model.host_resources import Namespace
from numaplace.units import KIB_PER_MIB

__all__ = ['SOURCE', 'ask', 'read']

SOURCE = 'the output of `ndctl list -X -v`'

_KEYS = 'a name, a size, a numa_node, and a daxregion with align and devices'


def read(content: bytes, labels: Sequence[tuple[str, str]], place: str) -> tuple[Namespace, ...]:
    """Read the namespaces that have a label, by name.

    :param labels: pairs of a name and a label
    :param place: where the content came from, for the errors
    :raises: :class:`~numaplace.exception.InvalidCapabilities`
    """
    wanted = dict(labels)
    try:
        listed = json.loads(content or b'[]')
    except ValueError as error:
        raise exception.InvalidCapabilities(f'{place}: {error}: expected {SOURCE}') from None
    found = listed if isinstance(listed, list) else [listed]  # ndctl prints a single one alone
    if not all(isinstance(one, dict) for one in found):
        raise exception.InvalidCapabilities(f'{place}: expected {SOURCE}, a list of namespaces')
    named = [one for one in found if isinstance(one.get('name'), str) and one['name'] in wanted]
    return _unique([_namespace(one, wanted[one['name']], place) for one in named], place)


def ask(labels: Sequence[tuple[str, str]], *, timeout_s: float = 60.0) -> tuple[Namespace, ...] | None:
    """Read the namespaces of this machine, as :func:`read`; None if no label is given, and nobody is asked.

    :raises: :class:`~numaplace.exception.UnreadableTopology` if ndctl cannot be run or fails, and as :func:`read`
    """
    if not labels:
        return None
    try:
        done = subprocess.run(
            ['ndctl', 'list', '-X', '-v'],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            env={**os.environ, 'LC_ALL': 'C'},
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise exception.UnreadableTopology(f'`ndctl list`: {explain.escape(str(error))}') from error
    return read(done.stdout.strip(), labels, '`ndctl list`')


def _unique(found: Sequence[Namespace], place: str) -> tuple[Namespace, ...]:
    names = [one.name for one in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise exception.InvalidCapabilities(f'{place}: several namespaces have the name {twice[0]!r}')
    return tuple(sorted(found, key=lambda one: one.name))


def _namespace(data: dict[str, Any], label: str, place: str) -> Namespace:
    name, node = data['name'], data.get('numa_node')
    try:
        region = data['daxregion']
        device, align, size = region['devices'][0]['chardev'], region['align'], data['size']
    except (KeyError, IndexError, TypeError):
        device = align = size = None
    is_right = isinstance(device, str) and all(type(octets) is int and octets > 0 for octets in (align, size))
    if not is_right or not (node is None or type(node) is int):
        raise exception.InvalidCapabilities(
            f'{place}: namespace {name!r} is not one of mode devdax with {_KEYS}: expected {SOURCE}'
        )
    # libvirt counts whole MiB.
    size_kib = size // 1024 // KIB_PER_MIB * KIB_PER_MIB
    near = None if node is None or node < 0 else node
    return Namespace(name, label, f'/dev/{device}', size_kib, align // 1024, near)

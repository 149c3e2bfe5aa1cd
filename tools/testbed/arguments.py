# SPDX-License-Identifier: Apache-2.0
"""QEMU's command lines as values that can be compared: JSON and ``key=value`` alike."""

import json
import shlex
from collections.abc import Collection, Iterator

__all__ = ['Argument', 'bootable', 'parse']

#: An option and its properties; the one without a name is the kind of object, such as a device's driver.
Argument = tuple[str, dict[str, str]]

_KINDS = ('qom-type', 'driver')


#: Options that make the guest's hardware.
_HARDWARE = ('-machine', '-cpu', '-m', '-smp', '-object', '-numa', '-blockdev', '-device')
#: Objects that the guest's hardware does not need.
_NOT_NEEDED = ('secret', 'thread-context')
#: What binds memory to nodes that this machine does not have.
_BINDING = ('host-nodes', 'policy', 'prealloc', 'prealloc-context')


def parse(line: str) -> list[Argument]:
    """Read the options of a command line; variables and the program before them are skipped."""
    return [(option, _properties(text)) for option, text in _options(line)]


def bootable(line: str, enabled: Collection[int]) -> list[str]:
    """Return the options of a command line that make the guest's hardware, for a machine of one node.

    :param enabled: the vCPUs that are on; those that libvirt would add after the start are part of the options
    """
    words = []
    for option, text in _options(line):
        given = _properties(text)
        if option in _HARDWARE and given.get('') not in _NOT_NEEDED and 'chardev' not in given:
            words += [option, _unbound(text)]
    return words + list(_added_cpus(parse(line), enabled))


def _options(line: str) -> Iterator[tuple[str, str]]:
    words = shlex.split(line)
    for place, word in enumerate(words):
        if word.startswith('-'):
            following = words[place + 1] if place + 1 < len(words) else '-'
            yield word, '' if following.startswith('-') else following


def _unbound(text: str) -> str:
    if not text.startswith('{'):
        return text
    return json.dumps({key: value for key, value in json.loads(text).items() if key not in _BINDING})


def _added_cpus(arguments: list[Argument], enabled: Collection[int]) -> Iterator[str]:
    """Yield devices for the vCPUs that are not present at first; the topology says where they are."""
    (smp,) = (properties for option, properties in arguments if option == '-smp')
    (cpu,) = (properties[''] for option, properties in arguments if option == '-cpu')
    dies, cores, threads = (int(smp.get(part, 1)) for part in ('dies', 'cores', 'threads'))
    for vcpu in sorted(set(range(int(smp['']), int(smp.get('maxcpus', smp[''])))) & set(enabled)):
        place = {
            'socket-id': vcpu // (dies * cores * threads),
            'die-id': vcpu // (cores * threads) % dies,
            'core-id': vcpu // threads % cores,
            'thread-id': vcpu % threads,
        }
        yield from ('-device', json.dumps({'driver': f'{cpu}-x86_64-cpu', **place}))


def _properties(text: str) -> dict[str, str]:
    if text.startswith('{'):
        found = json.loads(text)
        kind = next((found.pop(key) for key in _KINDS if key in found), '')
        return {'': kind, **{key: _value(value) for key, value in found.items()}}
    properties = {}
    for place, part in enumerate(text.split(',')):
        key, sign, value = part.partition('=')
        if sign:
            before = f'{properties[key]},' if key in properties else ''  # cpus=0-1,cpus=8-9
            properties[key] = before + _value(value)
        else:
            properties['' if place == 0 else key] = key
    return properties


def _value(value: object) -> str:
    """Write a value in one way: numbers in decimal, switches as words, lists with commas."""
    if isinstance(value, bool):
        return 'on' if value else 'off'
    if isinstance(value, list):
        return ','.join(map(_value, value))
    try:
        return str(int(str(value), 0))
    except ValueError:
        return str(value)

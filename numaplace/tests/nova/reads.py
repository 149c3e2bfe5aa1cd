# SPDX-License-Identifier: Apache-2.0
"""One flavor and image, asked of Nova and of numaplace: the guest's cells, or the class of the error.

A disagreement is known if Nova, asked without the oddity behind it, says what numaplace says.
"""

import builtins
import re
from collections.abc import Callable, Iterator
from typing import Any

from numaplace import cpuset, exception, request
from numaplace.model import Flavor
from numaplace.model.host_resources import PMEM
from numaplace.tests import audit, nova_requests
from numaplace.tests.nova import theirs
from numaplace.tests.nova.findings import Finding

__all__ = ['compare']

BUILTIN = "Nova: Python's own error, no error of a request"
SEVERAL = 'several faults, and another one is named first'

_PREFIXED = re.compile(r'(resources|trait)([1-9]\d*)?:(VCPU|PCPU|HW_CPU_HYPERTHREADING).')
_AMOUNT = re.compile(r'resources([1-9]\d*)?:(VCPU|PCPU)')
_NUMBERS = re.compile(r'hw[:_](numa_nodes|numa_mem\.\d+|cpu_(max_)?(sockets|cores|threads))')
_LISTS = re.compile(r'hw[:_](numa_cpus\.\d+|cpu_dedicated_mask|cpu_realtime_mask)')
_EMPTY = re.compile(r'hw[:_](?!numa_cpus)')


def _is_odd_size(key: str, value: str) -> bool:
    if key not in ('hw:mem_page_size', 'hw_mem_page_size') or value in ('small', 'large', 'any'):
        return False
    size = theirs.page_size(value)
    return size is not None and (size <= 0 or size != int(size) or not value[0].isascii() or value[0] == '.')


def _is_odd_number(key: str, value: str) -> bool:
    if not _NUMBERS.fullmatch(key):
        return False
    try:
        number = int(value)
    except ValueError:
        return False
    if 'numa_mem' in key:
        return number <= 0 or not value.strip().isdigit()
    if key.endswith('numa_nodes'):
        return number >= 10**9 or value != str(number)
    return number >= 10**9 or not value.strip().isdigit()


def _is_odd_list(key: str, value: str) -> bool:
    return bool(_LISTS.fullmatch(key) and re.search(r'[+_]|[^\x00-\x7f]', value))


def _is_odd_amount(key: str, value: str) -> bool:
    return bool(_AMOUNT.fullmatch(key)) and not (value.isascii() and value.strip().isdigit())


def _is_empty_list(key: str, value: str) -> bool:
    if not re.fullmatch(r'hw[:_]numa_cpus\.\d+', key):
        return False
    try:
        return not cpuset.parse(value)
    except exception.Invalid:
        return False


#: For each known oddity of a value: which values have it, and what stands for them in a request without it.
#: None takes the key away.
_ODDITIES: dict[str, tuple[Callable[[str, str], bool], str | None]] = {
    'Nova: page sizes of 0, below 0, or of parts of a KiB': (_is_odd_size, 'none'),
    'Nova: numbers of 0, below 0, huge, or as only Python writes them': (_is_odd_number, 'none'),
    'Nova: lists of CPUs as only Python writes numbers': (_is_odd_list, 'none'),
    'Nova: cells without vCPUs': (_is_empty_list, 'none'),
    'Nova: keys that only begin like one': (lambda key, value: bool(_PREFIXED.match(key)), None),
    'Nova: amounts of resources below 0, or as only Python writes them': (_is_odd_amount, None),
    'an empty value counts as none': (lambda key, value: bool(_EMPTY.match(key) and value == ''), None),
}


def _without(values: dict[str, Any], name: str) -> dict[str, Any]:
    is_odd, stand_in = _ODDITIES[name]
    replaced = {key: stand_in if is_odd(key, str(value)) else value for key, value in values.items()}
    return {key: value for key, value in replaced.items() if value is not None}


def _repaired(flavor: dict[str, Any], image: dict[str, Any]) -> tuple[list[str], dict[str, Any], dict[str, Any]]:
    """Return the oddities of a request, and the request without them."""
    names, specs = [], flavor['extra_specs']
    for name in _ODDITIES:
        again = _without(specs, name), _without(image, name)
        if again != (specs, image):
            names.append(name)
        specs, image = again
    return names, flavor | {'extra_specs': specs}, image


def _ours(flavor: dict[str, Any], image: dict[str, Any]) -> theirs.Constraints:
    asked = Flavor('flavor', flavor['vcpus'], flavor['memory_mb'], extra_specs=flavor['extra_specs'])
    try:
        guest = request.read(asked, image)
    except exception.Invalid as error:
        return theirs.Constraints(type(error).__name__)
    shape = guest.cpu_topology
    return theirs.Constraints(
        None,
        nova_requests.write_guest(guest) if guest.cells else None,
        None,
        (shape.sockets, shape.cores, shape.threads),
        frozenset(cpuset.ids(guest.realtime_vcpus)),
        guest.locked_memory,
        tuple([name.removeprefix(PMEM) for name in guest.resource_requests]),
    )


def _same(nova: theirs.Constraints, ours: theirs.Constraints) -> bool:
    if ours.error:
        return ours.error == (nova.error or nova.topology_error)
    return audit.canon(nova._asdict()) == audit.canon(ours._asdict())


def _simpler(flavor: dict[str, Any], image: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield the request without each of its keys, and with plain lists of cells."""
    specs = flavor['extra_specs']
    for key in specs:
        yield flavor | {'extra_specs': {other: specs[other] for other in specs if other != key}}, image
    for key in image:
        yield flavor, {other: image[other] for other in image if other != key}
    yield flavor | {'extra_specs': _plain(specs)}, _plain(image)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    plain = {'numa_cpus': '0', 'numa_mem': '1'}
    return {key: plain.get(key[3:].partition('.')[0], value) for key, value in values.items()}


def _has_both(flavor: dict[str, Any], image: dict[str, Any], error: str) -> bool:
    """Tell whether Nova, too, names an error once another is gone."""
    answers = (theirs.constraints(*simpler) for simpler in _simpler(flavor, image))
    return any(error in (answer.error, answer.topology_error) for answer in answers)


def _causes(flavor: dict[str, Any], image: dict[str, Any], ours: theirs.Constraints) -> list[str | None]:
    names, flavor, image = _repaired(flavor, image)
    nova = theirs.constraints(flavor, image)
    if _same(nova, ours):
        return [*names]
    if ours.error is None:
        return [None]
    error = nova.error or nova.topology_error or ''
    if hasattr(builtins, error):
        return [*names, BUILTIN]
    if error and _has_both(flavor, image, ours.error):
        return [*names, SEVERAL]
    return [None]


def compare(flavor: dict[str, Any], image: dict[str, Any]) -> tuple[str, list[Finding]]:
    """Ask both about a flavor and an image.

    :returns: numaplace's answer in a word, and all disagreements
    """
    nova, ours = theirs.constraints(flavor, image), _ours(flavor, image)
    word = ours.error or ('cells' if ours.cells else 'no cells')
    if _same(nova, ours):
        return word, []
    text = f'{flavor} {image}: Nova {nova}, numaplace {ours}'
    return word, [Finding(cause, text) for cause in _causes(flavor, image, ours) or [None]]

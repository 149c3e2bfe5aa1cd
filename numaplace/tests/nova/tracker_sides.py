# SPDX-License-Identifier: Apache-2.0
"""A case lived through twice, with Nova's own functions and with numaplace's: what comes out, step by step.

Both claim what numaplace's fit has chosen. Where Nova's own chooses something else, the two fits are compared.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from nova import objects
from nova.compute.resource_tracker import ResourceTracker
from nova.objects import numa
from nova.virt import hardware

from numaplace import wire
from numaplace.model import ISOLATE
from numaplace.tests import audit
from numaplace.tests.nova import fits, theirs
from numaplace.tests.nova.findings import Finding
from numaplace.tests.nova.tracker import Node, Record
from numaplace.tests.nova.tracker_cases import Case

__all__ = ['CAUSES', 'Functions', 'Outcome', 'Sides']

#: What explains a difference, as the page of the limits of Nova names it.
SIBLINGS = 'Thread policy isolate, CPUs in no core'
POLICY = 'Pins without a CPU policy'
PAGES = 'Host cells without pages'
ORDER = 'Order of the CPUs of a core'

CAUSES = (SIBLINGS, POLICY, PAGES, ORDER)


class Outcome(NamedTuple):
    """What came out of a case.

    :param steps: the steps that were compared, with the error that both raised
    """

    steps: list[tuple[str, str | None]]
    findings: list[Finding]


class Functions(NamedTuple):
    """The functions of Nova that numaplace replaces on a compute node to fit and count guests."""

    fit: Callable[..., Any]
    usage: Callable[..., Any]
    read: Any
    describe: Callable[..., Any]
    update: Callable[..., Any]

    @classmethod
    def found(cls) -> 'Functions':
        """Return those that are in place."""
        return cls(
            hardware.numa_fit_instance_to_host,
            hardware.numa_usage_from_instance_numa,
            vars(numa.NUMATopology)['obj_from_db_obj'],
            ResourceTracker._get_usage_dict,
            ResourceTracker._update_available_resource,
        )

    def put(self) -> None:
        """Put them in place."""
        hardware.numa_fit_instance_to_host = self.fit
        hardware.numa_usage_from_instance_numa = self.usage
        numa.NUMATopology.obj_from_db_obj = self.read
        ResourceTracker._get_usage_dict = self.describe
        ResourceTracker._update_available_resource = self.update


class Sides:
    """Nova alone, and Nova with numaplace; each has a node and a database."""

    def __init__(self, own: Functions, ours: Functions) -> None:
        self._own, self._ours = own, ours
        self._nodes = Node(), Node()
        #: What numaplace's fit answered, and where Nova's answered something else.
        self._answers: list[str | None] = []
        self._others: list[tuple[Any, ...]] = []

    @contextlib.contextmanager
    def _restoring(self) -> Iterator[None]:
        """Put Nova's own functions back at the end."""
        try:
            yield
        finally:
            self._own.put()

    def live(self, case: Case) -> tuple[list[Record], list[Record]]:
        """Return what is seen with numaplace, and what with Nova alone, each with its own fit."""
        with self._restoring():
            self._ours.put()
            ours = list(self._nodes[0].live(case))
            self._own.put()
            return ours, list(self._nodes[1].live(case))

    def compare(self, case: Case) -> Outcome:
        """Live through a case on both sides, until they differ."""
        self._answers.clear()
        steps: list[tuple[str, str | None]] = []
        findings: list[Finding] = []
        ours, nova = (node.live(case) for node in self._nodes)
        with self._restoring():
            for _step in case['steps']:
                self._ours._replace(fit=self._fit_and_note).put()
                found = next(ours)
                self._own._replace(fit=self._fit_and_compare).put()
                expected = next(nova)
                self._own.put()
                findings += [finding for other in self._others for finding in _compare_fits(*other)]
                self._others.clear()
                if expected != found:
                    cause = _cause(expected, found)
                    text = f'{_shown(expected)} in Nova, {_shown(found)} in numaplace'
                    return Outcome(steps, [*findings, Finding(cause, text)])
                steps.append((found.step, found.error))
        return Outcome(steps, findings)

    def _fit_and_note(self, *asked: Any, **more: Any) -> Any:
        answer = self._ours.fit(*asked, **more)
        self._answers.append(answer and json.dumps(answer.obj_to_primitive()))
        return answer

    def _fit_and_compare(self, host: Any, guest: Any, **more: Any) -> Any:
        text = self._answers.pop(0)
        answer, kept = _read(text), _read(text)  # Nova takes the pins out of the answer of a claim that is aborted
        try:
            found = self._own.fit(host, guest and guest.obj_clone(), **more)
        except Exception as error:  # noqa: BLE001 - compared
            found = type(error).__name__
        if _chosen(found) != _chosen(answer):
            self._others.append((host, guest, more['limits'], found, kept))
        return answer


# --- fits -----------------------------------------------------------------------------------


def _read(text: str | None) -> Any:
    return objects.InstanceNUMATopology.obj_from_primitive(json.loads(text)) if text else None


def _chosen(answer: Any) -> Any:
    return audit.canon(json.loads(json.dumps(answer.obj_to_primitive()))) if hasattr(answer, 'cells') else answer


def _numbers(answer: Any) -> Any:
    """Return what was chosen, with numbers of CPUs instead of the CPUs."""
    if not hasattr(answer, 'cells'):
        return answer
    return [
        (cell.id, cell.pagesize, len(cell.cpu_pinning or ()), len(cell.cpuset_reserved or ())) for cell in answer.cells
    ]


def _compare_fits(host: Any, guest: Any, limits: Any, found: Any, answer: Any) -> list[Finding]:
    text = f'Nova {_chosen(found)}, numaplace {_chosen(answer)}'
    if _numbers(found) == _numbers(answer):
        return [Finding(ORDER, text)]
    ratios = wire.read_limits(limits)[0] if limits else None
    question = fits.Question(wire.read_host(host), wire.read_guest(guest), ratios, None, 'spread')
    _fits, findings = fits.compare(question)
    if findings:
        return [Finding(finding.cause and f'fit: {finding.cause}', finding.text) for finding in findings]
    mended = theirs.fit(host, guest, limits, pack=False, page_sizes=True)
    is_sticky = isinstance(mended, dict) and _numbers(theirs.read_guest(mended)) == _numbers(answer)
    return [Finding(f'fit: {fits.STICKY}' if is_sticky else None, text)]


# --- usage ----------------------------------------------------------------------------------


def _cause(nova: Record, ours: Record) -> str | None:
    """Return what explains a difference, None if nothing does."""
    if nova.error == 'IndexError' and any(not cell['mempages'] for cell in _objects(nova.usage, 'NUMACell')):
        return PAGES
    missed = _missed(ours)
    if nova.error == ours.error:
        others, known = _others(nova, ours), set().union(*missed.values())
        if ours.cpus and known.issuperset(ours.cpus):
            others -= {*nova.cpus}  # Nova went on with the guest, to its next host cell
        if others - known:
            return None
    else:
        others = set(ours.cpus) if ours.error in ('CPUPinningInvalid', 'CPUUnpinningInvalid') else set()
    return ', and '.join(cause for cause, cpus in missed.items() if cpus & others) or None


def _missed(record: Record) -> dict[str, set[int]]:
    """Return by cause the CPUs of the guests that Nova does not count."""
    cores = {cpu for cell in _objects(record.usage, 'NUMACell') for core in cell['siblings'] for cpu in core}
    missed: dict[str, set[int]] = {SIBLINGS: set(), POLICY: set()}
    for cell in _objects(record.guests, 'InstanceNUMACell'):
        cpus = {*(cell.get('cpu_pinning_raw') or {}).values(), *(cell.get('cpuset_reserved') or ())}
        if cell.get('cpu_thread_policy') == ISOLATE:
            missed[SIBLINGS] |= cpus - cores
        if not cell.get('cpu_policy'):
            missed[POLICY] |= cpus
    return missed


def _others(nova: Record, ours: Record) -> set[int]:
    """Return the CPUs that only one counts, or names in an error; none if anything else differs."""
    pairs = zip(_objects(nova.usage, 'NUMACell'), _objects(ours.usage, 'NUMACell'), strict=True)
    others = {cpu for cell, other in pairs for cpu in {*other['pinned_cpus']} ^ {*cell['pinned_cpus']}}
    return others | {*ours.cpus} ^ {*nova.cpus} if _without_pins(nova) == _without_pins(ours) else set()


def _without_pins(record: Record) -> Any:
    kept = [{**cell, 'pinned_cpus': None} for cell in _objects((record.usage, record.node), 'NUMACell')]
    return record._replace(cpus=[], usage=None, node=kept)


def _objects(value: Any, name: str) -> list[dict[str, Any]]:
    """Return the data of all objects with that name inside some JSON."""
    if isinstance(value, dict):
        if value.get('nova_object.name') == name:
            return [value['nova_object.data']]
        value = list(value.values())
    return [found for item in value for found in _objects(item, name)] if isinstance(value, list | tuple) else []


def _shown(record: Record) -> str:
    return f'{record.step} {record.error} {record.cpus} {json.dumps(record.usage)} {json.dumps(record.guests)}'

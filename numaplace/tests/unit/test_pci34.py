# SPDX-License-Identifier: Apache-2.0
"""The assignment of PCI devices beside the recorded answers of Nova 34.0.0, and exact ones."""

import gzip
import json
from importlib import resources

import pytest

from numaplace import fit
from numaplace.tests import pci34

_DATA = resources.files('numaplace.tests.data.nova34') / 'pci_cases.jsonl.gz'
CASES = [json.loads(line) for line in gzip.decompress(_DATA.read_bytes()).decode().splitlines()]
_PARAMS = [pytest.param(case, id=str(case['id'])) for case in CASES]
_WITH_CELLS = [param for param in _PARAMS if param.values[0]['instance']]


class _Recorded(fit.Devices):
    """Nova's greedy answers for each set of host cells."""

    def __init__(self, case):
        self._answers = dict(zip(map(frozenset, case['subsets']), case['support'], strict=True))

    def supports(self, host_cells):
        return self._answers[host_cells] is True


@pytest.mark.parametrize('case', _PARAMS)
def test_devices_suffice_exactly_where_some_assignment_exists(case):
    """The numbers of each pool alone decide, as Nova counts."""
    asked = case['host'], case['pools'], case['requests']
    assert case['joint'] == [pci34.joint(*asked, cells) for cells in case['subsets']]
    assert case['joint_no_numa'] == pci34.joint(*asked, None)


@pytest.mark.parametrize('case', _PARAMS)
def test_no_pf_goes_together_with_one_of_its_vfs(case):
    devices = pci34.devices(case['host'], pci34.single(case['devices']), case['requests'])
    assert case['joint_devices'] == [devices.supports(frozenset(cells)) for cells in case['subsets']]
    assert case['joint_devices'] == [devices.assign(frozenset(cells)) is not None for cells in case['subsets']]


@pytest.mark.parametrize('case', _WITH_CELLS)
def test_a_guest_goes_where_cells_and_devices_go_together_and_nowhere_else(case):
    cells = pci34.place(case)
    assert case['joint_feasible'] == (cells is not None)
    if cells is not None:
        chosen = case['subsets'].index(sorted(cells))
        assert (True, True) == (case['match'][chosen], case['joint'][chosen])
        if case['fit'].get('ok') and case['support'][chosen] is True:
            assert case['fit']['ok'] == cells


@pytest.mark.parametrize('case', _WITH_CELLS)
def test_novas_greedy_choice_is_searched_to_the_end(case):
    """It is not monotone: a set of host cells may do although larger ones do not."""
    assert case['feasible'] == (pci34.place(case, _Recorded) is not None)

# SPDX-License-Identifier: Apache-2.0
"""All faults have one base and say what they stand for."""

import inspect

import pytest

from numaplace import exception

FAULTS = [fault for _, fault in inspect.getmembers(exception, inspect.isclass)]


@pytest.mark.parametrize('fault', FAULTS, ids=lambda fault: fault.__name__)
def test_every_fault_has_the_common_base_and_a_docstring_of_its_own(fault):
    assert issubclass(fault, exception.NumaplaceException)
    assert fault.__dict__['__doc__'].endswith('.')


def test_the_module_holds_nothing_but_faults():
    public = {name for name in vars(exception) if not name.startswith('_')}
    assert public == {fault.__name__ for fault in FAULTS}

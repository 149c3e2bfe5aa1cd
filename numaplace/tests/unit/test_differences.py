# SPDX-License-Identifier: Apache-2.0
"""The page of the differences from Nova says what numaplace does."""

import pytest

from numaplace.tests import differences

pytestmark = pytest.mark.skipif(not differences.PAGE.is_file(), reason='there is no source tree around the package')

EXAMPLES = [pytest.param(example, id=' '.join(sum(example.parts, ()))) for example in differences.examples()]


@pytest.mark.parametrize('example', EXAMPLES)
def test_each_example_of_the_page_gives_what_the_page_says(example):
    assert example.ours == differences.answer(example)


def test_the_page_has_examples_of_requests_and_of_fits():
    found = [differences.is_fit(example) for example in differences.examples()]
    assert len(found) > 30
    assert 10 <= sum(found) < len(found)

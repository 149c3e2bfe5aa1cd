# SPDX-License-Identifier: Apache-2.0
"""A real Nova reads the same guests from flavors and images, and names the same errors."""

import pytest

from numaplace import model, request
from numaplace.tests.nova import flavors, seeds


@pytest.fixture(scope='module')
def reads():
    """The comparison; it needs Nova to be imported."""
    from numaplace.tests.nova import reads  # noqa: PLC0415

    return reads


@pytest.mark.parametrize('share', range(seeds.SHARES))
def test_flavors_and_images_mean_what_they_mean_in_nova(reads, tally, share):
    """The same cells, vCPU topology, realtime vCPUs and locked memory, or the same class of error."""
    unknown = []
    for seed in seeds.share(share):
        word, findings = reads.compare(*flavors.draw(seed))
        tally[f'requests: {word}'] += 1
        tally.update(f'requests, disagreements: {finding.cause}' for finding in findings)
        unknown += [(seed, finding.text) for finding in findings if finding.cause is None]
    assert [] == unknown[:5]


def test_a_reader_that_forgets_the_image_is_found_out(reads, monkeypatch):
    right = request.read
    monkeypatch.setattr(request, 'read', lambda flavor, image: right(flavor, {}))
    findings = [finding for seed in range(200) for finding in reads.compare(*flavors.draw(seed))[1]]
    assert any(finding.cause is None for finding in findings)


def test_a_reader_that_cuts_cells_otherwise_is_found_out(reads, monkeypatch):
    right = request.read

    def read(flavor, image):
        guest = right(flavor, image)
        return model.Guest(guest.vcpus, guest.memory_mib, guest.cells[::-1], guest.emulator_policy, guest.cpu_topology)

    monkeypatch.setattr(request, 'read', read)
    findings = [finding for seed in range(200) for finding in reads.compare(*flavors.draw(seed))[1]]
    assert any(finding.cause is None for finding in findings)

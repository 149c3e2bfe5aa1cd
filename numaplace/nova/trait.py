# SPDX-License-Identifier: Apache-2.0
"""The trait that marks in placement the compute nodes that use numaplace.

It follows the process: a compute node that enforces has it, and one in shadow mode removes it. A file for Nova's
``provider_config_location`` would only show that the file exists, whatever runs, and would collide with an operator's
file for the same provider.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from oslo_log import log as logging

from numaplace import __version__, conf

__all__ = ['TRAIT', 'reporting']

LOG = logging.getLogger(__name__)

#: The name of the trait in placement.
TRAIT = 'CUSTOM_NUMAPLACE'


def reporting(mode: str, get_traits: Callable[..., list[str]]) -> Callable[..., list[str]]:
    """Wrap ``ResourceTracker._get_traits``, which returns all traits that the compute node should have.

    :param mode: as :func:`numaplace.nova.engine.install` returns it
    """

    @functools.wraps(get_traits)
    def get_traits_and_ours(self: Any, context: Any, nodename: str, provider_tree: Any) -> list[str]:
        _announce(mode)
        theirs = {trait for trait in get_traits(self, context, nodename, provider_tree) if trait != TRAIT}
        return sorted(theirs | {TRAIT} if mode == conf.ENFORCE else theirs)

    return get_traits_and_ours


@functools.cache
def _announce(mode: str) -> None:
    """Log once how this process decides: its log is not set up earlier."""
    LOG.info('numaplace %s is in nova-compute, mode %s', __version__, mode)

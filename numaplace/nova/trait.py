# SPDX-License-Identifier: Apache-2.0
"""The trait by which placement can tell the compute nodes apart that decide by numaplace.

It follows the process: a compute node that enforces has it, and one in shadow mode gives it back. A file for Nova's
``provider_config_location`` would say that the file is there, whatever runs, and would collide with a file of the
operator's for the same provider.
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
    """Wrap ``ResourceTracker._get_traits``, which returns all traits that the compute node shall have.

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
    """Say once how this process decides: its log is not set up any earlier."""
    LOG.info('numaplace %s is in nova-compute, mode %s', __version__, mode)

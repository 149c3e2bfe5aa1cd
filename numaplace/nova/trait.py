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
from numaplace.nova import engine

__all__ = ['TRAIT', 'install']

LOG = logging.getLogger(__name__)

#: The name of the trait in placement.
TRAIT = 'CUSTOM_NUMAPLACE'

_PARAMETERS = dict.fromkeys(('self', 'context', 'nodename', 'provider_tree'), engine.REQUIRED)


def install(mode: str) -> None:
    """Let the resource tracker of this process report the trait, or take it back.

    :param mode: as :func:`numaplace.nova.engine.install` returns it
    :raises: :class:`~numaplace.exception.UnsupportedNova` if this Nova's tracker is not known
    """
    # In a launcher, Nova's command has to be the first that imports these.
    from nova.compute import resource_tracker  # noqa: PLC0415

    tracker = resource_tracker.ResourceTracker
    engine.check_parameters('_get_traits', getattr(tracker, '_get_traits', None), _PARAMETERS)
    tracker._get_traits = _reporting(tracker._get_traits, mode)


def _reporting(get_traits: Callable[..., list[str]], mode: str) -> Callable[..., list[str]]:
    """Wrap ``ResourceTracker._get_traits``, which returns all traits that the compute node shall have."""

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

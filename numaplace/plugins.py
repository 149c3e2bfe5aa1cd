# SPDX-License-Identifier: Apache-2.0
"""Load plug-ins by name from an entry point group, with a clear error for names that it does not have."""

import importlib.metadata
from collections.abc import Iterable
from typing import Any

from stevedore import driver
from stevedore import exception as stevedore_errors

from numaplace import exception

__all__ = ['FILTERS', 'STRATEGIES', 'WEIGHTS', 'known', 'load']

FILTERS = 'numaplace.scheduler.filters'
WEIGHTS = 'numaplace.scheduler.weights'
STRATEGIES = 'numaplace.strategies'


def known(group: str) -> list[str]:
    """Return the names that are installed in an entry point group, sorted."""
    return sorted(entry.name for entry in importlib.metadata.entry_points(group=group))


def load(group: str, names: Iterable[str], option: str) -> list[Any]:
    """Return the plug-ins with these names, in the order of the names.

    :param group: one of FILTERS, WEIGHTS and STRATEGIES
    :param option: where the names come from, for the error: ``[filter_scheduler] enabled_filters``
    :raises: :class:`~numaplace.exception.UnknownPlugin` for a name that is not installed or cannot be imported
    """
    plugins: list[Any] = []
    for name in names:
        try:
            plugins.append(driver.DriverManager(group, name, on_missing_entrypoints_callback=None).driver)
        except (stevedore_errors.NoMatches, stevedore_errors.MultipleMatches) as error:
            raise exception.UnknownPlugin(
                f'{option}: unknown name {name!r}; known are {", ".join(known(group)) or "none"}'
            ) from error
        except (ImportError, AttributeError) as error:
            raise exception.UnknownPlugin(f'{option}: {name!r} is installed but cannot be imported: {error}') from error
    return plugins

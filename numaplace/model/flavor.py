# SPDX-License-Identifier: Apache-2.0
"""The flavor of a server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ['Flavor']


@dataclass(frozen=True, slots=True)
class Flavor:
    """The size of a guest and its extra specs.

    :param extra_specs: keys such as ``hw:numa_nodes``, values as text
    :param id: may be used instead of its name; a new flavor without one gets a UUID when it is stored
    """

    name: str
    vcpus: int
    memory_mib: int
    disk_gib: int = 0
    extra_specs: Mapping[str, str] = field(default_factory=dict)
    id: str = ''
    swap_mib: int = 0
    ephemeral_gib: int = 0
    is_public: bool = True

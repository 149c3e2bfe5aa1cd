# SPDX-License-Identifier: Apache-2.0
"""Refuse a host whose aggregates are for other flavors, images or projects."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from numaplace.model import Reason, Refusal
from numaplace.model.records import HostRecord
from numaplace.scheduler.filters import metadata, operators
from numaplace.scheduler.filters.base import Answer, Filter, Request

if TYPE_CHECKING:
    from oslo_config import cfg

__all__ = [
    'AggregateImagePropertiesIsolation',
    'AggregateInstanceExtraSpecsFilter',
    'AggregateMultiTenancyIsolation',
    'AggregateTypeAffinityFilter',
    'IsolatedAggregatesFilter',
]

_SCOPE = 'aggregate_instance_extra_specs'
_PROJECTS = 'filter_tenant_id'
_REQUIRED = 'required'
#: Keys of traits; an extra spec may have the name of a group of resources between.
_TRAIT, _TRAIT_OF_GROUP = re.compile('trait:(.+)'), re.compile('trait(?:[a-zA-Z0-9_-]{1,64})?:(.+)')


class AggregateInstanceExtraSpecsFilter(Filter):
    """Every plain extra spec, and every one of the scope, must match the metadata of an aggregate of the host."""

    reads = ('aggregates',)

    def admit(self, host: HostRecord, request: Request) -> Answer:
        """Refuse with one ``aggregate.extra_spec`` for each key that does not match."""
        known, reasons = metadata.merged(host), []
        for key, wanted in sorted(request.instance.flavor.extra_specs.items()):
            scope, colon, rest = key.partition(':')
            if colon and scope != _SCOPE:
                continue
            name = rest if colon else key
            found = known.get(name, set())
            if not any(operators.match(value, wanted) for value in found):
                has = ', '.join(sorted(found)) or 'not set'
                reasons.append(Reason('aggregate.extra_spec', subject=f'{name}: {has}, not {wanted}'))
        return Refusal.of(*reasons) if reasons else True


class AggregateImagePropertiesIsolation(Filter):
    """An image property that is also a key of an aggregate of the host must have one of its values.

    :param prefix: of the keys that count; empty for all
    """

    reads = ('aggregates',)

    def __init__(self, prefix: str = '') -> None:
        self._prefix = prefix

    @classmethod
    def of(cls, group: cfg.ConfigOpts.GroupAttr) -> AggregateImagePropertiesIsolation:
        """Return the filter of a configuration."""
        namespace = group.aggregate_image_properties_isolation_namespace
        return cls(namespace + group.aggregate_image_properties_isolation_separator if namespace else '')

    def admit(self, host: HostRecord, request: Request) -> Answer:
        """Refuse with one ``aggregate.image`` for each property that does not match."""
        image = request.instance.image_properties
        reasons = [
            Reason('aggregate.image', subject=f'{key}: {", ".join(sorted(allowed))}, not {image[key]}')
            for key, allowed in sorted(metadata.merged(host).items())
            if key.startswith(self._prefix) and image.get(key) and image[key] not in allowed
        ]
        return Refusal.of(*reasons) if reasons else True


class AggregateMultiTenancyIsolation(Filter):
    """If an aggregate of the host has keys that begin with ``filter_tenant_id``, only their projects may use it."""

    reads = ('aggregates',)

    def admit(self, host: HostRecord, request: Request) -> Answer:
        """Refuse with ``aggregate.project``; the subject is the server's project."""
        allowed = {
            project
            for key, projects in metadata.merged(host).items()
            if key.startswith(_PROJECTS)
            for project in projects
        }
        if not allowed or request.instance.project in allowed:
            return True
        return Refusal.of(Reason('aggregate.project', subject=request.instance.project or 'none'))


class AggregateTypeAffinityFilter(Filter):
    """If an aggregate of the host has the key ``instance_type``, only the flavors that it names may use the host."""

    reads = ('aggregates',)

    def admit(self, host: HostRecord, request: Request) -> Answer:
        """Refuse with ``aggregate.flavor``; the subject is the flavors that the host is for."""
        allowed = {name.strip() for value in metadata.values(host, 'instance_type') for name in value.split(',')}
        if not allowed or request.instance.flavor.name in allowed:
            return True
        return Refusal.of(Reason('aggregate.flavor', subject=', '.join(sorted(allowed))))


class IsolatedAggregatesFilter(Filter):
    """A trait that an aggregate of the host requires must be one that the flavor or the image requires.

    Nova has this as ``[scheduler] enable_isolated_aggregate_filtering``, before any filter.
    """

    reads = ('aggregates',)

    def admit(self, host: HostRecord, request: Request) -> Answer:
        """Refuse with one ``aggregate.trait`` for each trait that the request does not require."""
        extra_specs = request.instance.flavor.extra_specs
        wanted = _traits(request.instance.image_properties) | _traits(extra_specs, _TRAIT_OF_GROUP)
        isolated = {trait for aggregate in host.aggregates for trait in _traits(aggregate.metadata)} - wanted
        reasons = [Reason('aggregate.trait', subject=trait) for trait in sorted(isolated)]
        return Refusal.of(*reasons) if reasons else True


def _traits(properties: Mapping[str, str], form: re.Pattern[str] = _TRAIT) -> set[str]:
    """Return the traits that properties require."""
    matched = [form.fullmatch(key) for key, value in properties.items() if value == _REQUIRED]
    return {match[1] for match in matched if match}

# SPDX-License-Identifier: Apache-2.0
"""Nova's stored objects to the model and back, by one table of their fields.

A source is a primitive (the dict that the JSON of a column holds) or any object with the fields as attributes;
a target makes dicts or objects of classes that are passed in. Field names, versions and JSON are Nova 34's.
"""

from numaplace.wire.moves import (
    Context,
    LiveMigrateNumaInfo,
    read_context,
    read_live_migrate_numa_info,
    write_context,
    write_live_migrate_numa_info,
)
from numaplace.wire.reading import read_guest, read_host, read_limits, read_placement
from numaplace.wire.table import SPECS, Field, Spec, dumps, loads, primitive
from numaplace.wire.writing import JSON, Target, write_guest, write_host, write_limits, write_pages, write_placement

__all__ = [
    'JSON',
    'SPECS',
    'Context',
    'Field',
    'LiveMigrateNumaInfo',
    'Spec',
    'Target',
    'dumps',
    'loads',
    'primitive',
    'read_context',
    'read_guest',
    'read_host',
    'read_limits',
    'read_live_migrate_numa_info',
    'read_placement',
    'write_context',
    'write_guest',
    'write_host',
    'write_limits',
    'write_live_migrate_numa_info',
    'write_pages',
    'write_placement',
]

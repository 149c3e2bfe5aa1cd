# SPDX-License-Identifier: Apache-2.0
"""Convert what is stored and sent to the model and back, by one table: Nova's objects and numaplace's own.

A source is a primitive (the dict that the JSON of a column holds) or any object with the fields as attributes;
a target makes dicts or objects of classes that are passed in. Field names, versions and JSON of Nova's objects are
Nova 34's. :mod:`numaplace.objects` is made from the same table.
"""

from numaplace.wire.moves import (
    Context,
    LiveMigrateNumaInfo,
    read_context,
    write_context,
    write_live_migrate_numa_info,
)
from numaplace.wire.pci import read_pci_pool, read_pci_request
from numaplace.wire.primitives import data_of, dumps, load_row, loads, old_format, primitive, take_back
from numaplace.wire.reading import read_guest, read_host, read_limits, read_placement
from numaplace.wire.table import MISSING, SPECS, Field, Spec
from numaplace.wire.writing import JSON, Target, write_host, write_pages, write_placement

__all__ = [
    'JSON',
    'MISSING',
    'SPECS',
    'Context',
    'Field',
    'LiveMigrateNumaInfo',
    'Spec',
    'Target',
    'data_of',
    'dumps',
    'load_row',
    'loads',
    'old_format',
    'primitive',
    'read_context',
    'read_guest',
    'read_host',
    'read_limits',
    'read_pci_pool',
    'read_pci_request',
    'read_placement',
    'take_back',
    'write_context',
    'write_host',
    'write_live_migrate_numa_info',
    'write_pages',
    'write_placement',
]

# SPDX-License-Identifier: Apache-2.0
"""What Nova asks Glance and Neutron for when it boots and deletes a server: one image, and no ports."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

__all__ = ['application']

_IMAGE_ID = '5b0f6a0e-3c39-4ad1-9f0e-8d1f6f0a9c11'

#: A small raw image without properties, as Glance's version 2 tells of it.
_IMAGE = {
    'id': _IMAGE_ID,
    'name': 'cirros-ministack',
    'status': 'active',
    'visibility': 'public',
    'container_format': 'bare',
    'disk_format': 'raw',
    'size': 1048576,
    'virtual_size': None,
    'min_disk': 0,
    'min_ram': 0,
    'checksum': 'b6d81b360a5672d80c27430f39153e2c',
    'os_hidden': False,
    'protected': False,
    'owner': 'ministack',
    'created_at': '2026-01-01T00:00:00Z',
    'updated_at': '2026-01-01T00:00:00Z',
    'tags': [],
    'self': f'/v2/images/{_IMAGE_ID}',
    'file': f'/v2/images/{_IMAGE_ID}/file',
    'schema': '/v2/schemas/image',
}

#: Nova's client of Glance makes its objects by a schema; this one allows whatever an image says.
_SCHEMA = {'name': 'image', 'properties': {name: {} for name in _IMAGE}, 'additionalProperties': {}, 'links': []}

#: A client finds out first which versions there are.
_VERSIONS = {'versions': [{'id': 'v2.9', 'status': 'CURRENT', 'links': [{'rel': 'self', 'href': '/v2/'}]}]}

_ANSWERS: dict[str, Any] = {
    '': _VERSIONS,
    '/v2/schemas/image': _SCHEMA,
    '/v2/images': {'images': [_IMAGE]},
    f'/v2/images/{_IMAGE_ID}': _IMAGE,
}


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answer a request; the lists of Neutron are empty, all other things unknown."""
    path = environ['PATH_INFO'].rstrip('/')
    answer = _ANSWERS.get(path)
    if path.startswith('/v2.0/') and path.count('/') == 2:
        answer = {path.rpartition('/')[2]: []}
    if environ['REQUEST_METHOD'] != 'GET' or answer is None:
        start_response('404 Not Found', [('Content-Type', 'text/plain')])
        return [f'{environ["REQUEST_METHOD"]} {path} is not there\n'.encode()]
    start_response('200 OK', [('Content-Type', 'application/json')])
    return [json.dumps(answer).encode()]

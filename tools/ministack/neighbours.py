# SPDX-License-Identifier: Apache-2.0
"""What Nova requests from Glance and Neutron: one image, snapshots that computes upload, and no ports."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

__all__ = ['application']

_Image = dict[str, Any]

#: What every image has, as version 2 of Glance's API returns it before data are uploaded.
_QUEUED: _Image = {
    'status': 'queued',
    'visibility': 'shared',
    'container_format': None,
    'disk_format': None,
    'size': None,
    'virtual_size': None,
    'min_disk': 0,
    'min_ram': 0,
    'checksum': None,
    'os_hidden': False,
    'protected': False,
    'owner': 'ministack',
    'created_at': '2026-01-01T00:00:00Z',
    'updated_at': '2026-01-01T00:00:00Z',
    'tags': [],
    'schema': '/v2/schemas/image',
}

#: A small raw image without properties.
_FIRST = {
    'id': '5b0f6a0e-3c39-4ad1-9f0e-8d1f6f0a9c11',
    'name': 'cirros-ministack',
    'status': 'active',
    'visibility': 'public',
    'container_format': 'bare',
    'disk_format': 'raw',
    'size': 1048576,
    'checksum': 'b6d81b360a5672d80c27430f39153e2c',
}

#: A client requests the list of versions first.
_VERSIONS = {'versions': [{'id': 'v2.9', 'status': 'CURRENT', 'links': [{'rel': 'self', 'href': '/v2/'}]}]}

_images: dict[str, _Image] = {}


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answer a request; Neutron's lists are empty, and everything else is not found."""
    method, path = environ['REQUEST_METHOD'], environ['PATH_INFO'].strip('/')
    status, answer = _answer(method, path.split('/'), environ['wsgi.input'].read())
    # A client parses what is said to be JSON, even if there is nothing.
    headers = [] if answer is None else [('Content-Type', 'application/json')]
    start_response(f'{status.value} {status.phrase}', headers)
    return [] if answer is None else [json.dumps(answer).encode()]


def _answer(method: str, path: list[str], body: bytes) -> tuple[HTTPStatus, Any]:
    match method, path:
        case 'GET', _ if (listed := _listed(path)) is not None:
            return HTTPStatus.OK, listed
        case 'POST', ['v2', 'images']:
            return HTTPStatus.CREATED, _create(json.loads(body))
        case _, ['v2', 'images', key, *rest] if key in _images:
            return _answer_for(_images[key], method, rest, body)
    return HTTPStatus.NOT_FOUND, f'{method} {"/".join(path)} is not there'


def _listed(path: list[str]) -> dict[str, Any] | None:
    """Return what is always there: versions, the schema and lists."""
    match path:
        case ['']:
            return _VERSIONS
        case ['v2', 'schemas', 'image']:
            return _SCHEMA
        case ['v2', 'images']:
            return {'images': list(_images.values())}
        case ['v2.0', kind]:
            return {kind: []}
    return None


def _answer_for(image: _Image, method: str, rest: list[str], body: bytes) -> tuple[HTTPStatus, Any]:
    """Answer a request for one image."""
    match method, rest:
        case 'GET', []:
            return HTTPStatus.OK, image
        case 'PATCH', []:
            return HTTPStatus.OK, _change(image, json.loads(body))
        case 'PUT', ['file']:
            image |= {'status': 'active', 'size': len(body), 'checksum': hashlib.md5(body).hexdigest()}  # noqa: S324
            return HTTPStatus.NO_CONTENT, None
        case 'DELETE', []:
            del _images[image['id']]
            return HTTPStatus.NO_CONTENT, None
    return HTTPStatus.NOT_FOUND, f'{method} {"/".join(rest)} is not there for images'


def _create(properties: _Image) -> _Image:
    """Add an image without data; what the request does not say is set as Glance sets it."""
    key = properties.get('id') or str(uuid.uuid4())
    own = {'id': key, 'self': f'/v2/images/{key}', 'file': f'/v2/images/{key}/file'}
    return _images.setdefault(key, _QUEUED | properties | own)


def _change(image: _Image, patch: list[dict[str, Any]]) -> _Image:
    """Change an image by a JSON patch of its properties."""
    for change in patch:
        name = change['path'].removeprefix('/')
        if change['op'] == 'remove':
            del image[name]
        else:
            image[name] = change['value']
    return image


#: Nova's Glance client makes its objects by a schema; this one allows any property of an image.
_SCHEMA = {
    'name': 'image',
    'properties': {name: {} for name in _create(_FIRST)},
    'additionalProperties': {},
    'links': [],
}

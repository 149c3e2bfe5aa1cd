# SPDX-License-Identifier: Apache-2.0
"""``.. request-keys:: flavor`` or ``image``: every key that Nova has, from the table that requests are checked by."""

from collections.abc import Sequence

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from numaplace.request import keys
from numaplace.request.keys import Key

_TABLES = {'flavor': keys.FLAVOR_KEYS, 'image': keys.IMAGE_KEYS}
_VERDICTS = {
    keys.HONOURED: 'Honoured',
    keys.REFUSED: 'Refused',
    keys.WITHOUT_EFFECT: 'No bearing on placement',
    keys.DESCRIBES: 'Requests nothing',
}
_WIDTHS = (36, 32, 32)


class RequestKeys(SphinxDirective):
    """Write a table: key, values, and what becomes of it."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table in the order of the code."""
        group = nodes.tgroup('', *(nodes.colspec(colwidth=width) for width in _WIDTHS), cols=len(_WIDTHS))
        group += nodes.thead('', _row([nodes.Text(title)] for title in ('Key', 'Values', 'What becomes of it')))
        group += nodes.tbody('', *(_row(_cells(key)) for key in _TABLES[self.arguments[0]]))
        return [nodes.table('', group)]


def _cells(key: Key) -> list[Sequence[nodes.Node]]:
    about = f': {key.about.replace("``", "")}' if key.about else ''
    return [
        [nodes.literal(text=key.name)],
        [nodes.Text(key.form.about)],
        [nodes.Text(_VERDICTS[key.verdict] + about)],
    ]


def _row(cells: Sequence[Sequence[nodes.Node]]) -> nodes.row:
    return nodes.row('', *(nodes.entry('', nodes.paragraph('', '', *cell)) for cell in cells))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive('request-keys', RequestKeys)
    return {'parallel_read_safe': True}

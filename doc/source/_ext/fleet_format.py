# SPDX-License-Identifier: Apache-2.0
"""``.. fleet-format::``: the objects of an exported fleet, from the table that readers and writers are made of."""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from numaplace.wire import SPECS, Field

_PREFIX = 'Fleet'


class FleetFormat(SphinxDirective):
    """Write a definition list: each object with its version, and its fields with their kinds."""

    def run(self) -> list[nodes.Node]:
        """Return the list, the outermost object first."""
        listed = nodes.definition_list()
        for name, spec in reversed(SPECS.items()):
            if name.startswith(_PREFIX):
                term = nodes.term('', '', nodes.literal(text=name), nodes.Text(f' {spec.version}'))
                fields = nodes.bullet_list()
                for key, field in spec.fields.items():
                    words = nodes.paragraph('', '', nodes.literal(text=key), nodes.Text(f': {_kind(field)}'))
                    fields += nodes.list_item('', words)
                listed += nodes.definition_list_item('', term, nodes.definition('', fields))
        return [listed]


def _kind(field: Field) -> str:
    kind = field.kind.field if field.kind.of is None else f'{field.kind.field} of {field.kind.of}'
    return f'{kind}, or null' if field.nullable else kind


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive('fleet-format', FleetFormat)
    return {'parallel_read_safe': True}

# SPDX-License-Identifier: Apache-2.0
"""``.. findings::``: every finding of an audit, from the table that its sentences are made of."""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from numaplace.fleet.findings import CODES, Code

_PARTS = (('Cause', 'cause'), ('Effect', 'effect'), ('Cure', 'cure'))


class Findings(SphinxDirective):
    """Write a definition list: the code with its severity, and cause, effect and cure."""

    def run(self) -> list[nodes.Node]:
        """Return the list in the order of the table."""
        listed = nodes.definition_list()
        for name, code in CODES.items():
            term = nodes.term('', '', nodes.literal(text=name), nodes.Text(f' ({code.severity})'))
            term['ids'] = [nodes.make_id(f'finding {name}')]
            listed += nodes.definition_list_item('', term, nodes.definition('', _about(code)))
        return [listed]


def _about(code: Code) -> nodes.field_list:
    fields = nodes.field_list()
    for title, part in _PARTS:
        words = getattr(code, part).replace('{', '').replace('}', '')
        text = nodes.paragraph(text=f'{words[0].upper()}{words[1:]}.')
        fields += nodes.field('', nodes.field_name(text=title), nodes.field_body('', text))
    return fields


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive('findings', Findings)
    return {'parallel_read_safe': True}

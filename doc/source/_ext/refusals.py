# SPDX-License-Identifier: Apache-2.0
"""``.. refusals::``: every cause of a refusal, from the table that the sentences are made of."""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from numaplace import explain


class Refusals(SphinxDirective):
    """Write a definition list: the code and what it means."""

    def run(self) -> list[nodes.Node]:
        """Return the list in the order of the table."""
        listed = nodes.definition_list()
        for code, cause in explain.CODES.items():
            term = nodes.term('', '', nodes.literal(text=code), ids=[nodes.make_id(f'refusal {code}')])
            about = nodes.definition('', nodes.paragraph(text=cause.about))
            listed += nodes.definition_list_item('', term, about)
        return [listed]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive('refusals', Refusals)
    return {'parallel_read_safe': True}

# SPDX-License-Identifier: Apache-2.0
"""``.. commands:: NOUN``: the help of every command of a noun, as the commands themselves print it."""

import importlib.metadata
import inspect
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class Commands(SphinxDirective):
    """Write a section for each command of the noun that is the argument."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the sections by name of the command."""
        noun = self.arguments[0]
        entries = importlib.metadata.entry_points(group='numaplace.cli')
        found = sorted((entry.name.replace('_', ' '), entry) for entry in entries)
        sections = [self._section(name, entry.load()) for name, entry in found if name.split()[0] == noun]
        if not sections:
            raise self.error(f'there is no command of the noun {noun!r}')
        return sections

    def _section(self, name: str, command: Any) -> nodes.section:
        parser = command(None, None).get_parser(f'numaplace {name}')
        parser.epilog = parser.description = None
        section = nodes.section(ids=[nodes.make_id(f'numaplace {name}')])
        section += nodes.title(text=f'numaplace {name}')
        section += (nodes.paragraph(text=text) for text in inspect.cleandoc(command.__doc__).split('\n\n'))
        if command.examples:
            section += _literal('\n'.join(command.examples), 'console')
        section += _literal(parser.format_help(), 'text')
        return section


def _literal(text: str, language: str) -> nodes.literal_block:
    return nodes.literal_block(text, text, language=language)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive('commands', Commands)
    return {'parallel_read_safe': True}

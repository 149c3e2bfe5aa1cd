# SPDX-License-Identifier: Apache-2.0
"""How the documentation is built."""

import sys
import warnings
from pathlib import Path

# By way of oslo.messaging; nothing here uses it.
warnings.filterwarnings('ignore', r'\s*Eventlet is deprecated')

sys.path.insert(0, str(Path(__file__).parent / '_ext'))

import numaplace  # noqa: E402

project = 'numaplace'
author = 'The numaplace developers'
copyright = author  # noqa: A001
version = release = numaplace.__version__

extensions = [
    'oslo_config.sphinxext',
    'sphinx.ext.autodoc',
    'commands',
    'refusals',
]
nitpicky = True
nitpick_ignore_regex = [
    # The inside of the engine is not listed.
    ('py:.*', r'numaplace\.fit\.\w+\..*'),
]
autodoc_typehints = 'none'
html_theme = 'alabaster'
html_theme_options = {'description': 'Exact, explained NUMA placement', 'fixed_sidebar': True}

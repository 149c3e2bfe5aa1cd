# SPDX-License-Identifier: Apache-2.0
"""How the documentation is built."""

import logging
import sys
import warnings
from pathlib import Path

# oslo.messaging imports it; nothing here uses it.
warnings.filterwarnings('ignore', r'\s*Eventlet is deprecated')

sys.path.insert(0, str(Path(__file__).parent / '_ext'))

import numaplace  # noqa: E402

project = 'numaplace'
author = 'The numaplace developers'
copyright = author  # noqa: A001
version = release = numaplace.__version__

extensions = [
    'openstackdocstheme',
    'oslo_config.sphinxext',
    'sphinx.ext.autodoc',
    'commands',
    'findings',
    'fleet_format',
    'refusals',
    'request_keys',
]
nitpicky = True
nitpick_ignore_regex = [
    # The inside of the engine is not listed.
    ('py:.*', r'numaplace\.fit\.\w+\..*'),
]
autodoc_typehints = 'none'
# numaplace(1) is the command reference: tox -e genman writes doc/man/numaplace.1, which the wheel installs.
man_pages = [('cli/index', 'numaplace', 'place virtual machines on the NUMA cells of KVM hosts', '', 1)]
man_make_section_directory = False
# A date would change the page every day.
today = ' '
html_theme = 'openstackdocs'
html_theme_options = {
    # The theme counts visitors for openstack.org, and marks releases of OpenStack.
    'analytics_tracking_code': '',
    'display_badge': False,
    'root_title': project,
    'sidebar_search': True,
}
html_static_path = ['_static']
html_css_files = ['numaplace.css']
# What the theme shows of openstack.org is left out there.
templates_path = ['_templates']
openstackdocs_auto_name = False
openstackdocs_auto_version = False
# The theme warns where there is no git: the source of a release is built, too.
logging.getLogger('sphinx.openstackdocstheme.ext').addFilter(lambda record: 'gitsha' not in record.getMessage())

# SPDX-License-Identifier: Apache-2.0
"""How the release notes are built."""

import logging

import numaplace

project = 'numaplace release notes'
author = 'The numaplace developers'
copyright = author  # noqa: A001
version = release = numaplace.__version__
extensions = ['openstackdocstheme', 'reno.sphinxext']
html_theme = 'openstackdocs'
html_theme_options = {'analytics_tracking_code': '', 'display_badge': False, 'root_title': project}
html_static_path = ['../../doc/source/_static']
html_css_files = ['numaplace.css']
templates_path = ['../../doc/source/_templates']
openstackdocs_auto_name = False
openstackdocs_auto_version = False
# The theme warns where there is no git: the source of a release is built, too.
logging.getLogger('sphinx.openstackdocstheme.ext').addFilter(lambda record: 'gitsha' not in record.getMessage())

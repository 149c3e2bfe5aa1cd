# SPDX-License-Identifier: Apache-2.0
"""How the release notes are built."""

project = 'numaplace release notes'
author = 'The numaplace developers'
copyright = author  # noqa: A001
extensions = ['reno.sphinxext']
html_theme = 'alabaster'

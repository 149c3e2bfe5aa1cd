# SPDX-License-Identifier: Apache-2.0
"""Hand over to setup.cfg, where everything stands."""

import setuptools

setuptools.setup()

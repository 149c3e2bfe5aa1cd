# SPDX-License-Identifier: Apache-2.0
"""What holds for all tests."""

import os

import hypothesis

# The same examples in every run: a failure is the change's, never the dice's. More of them where it is asked for.
hypothesis.settings.register_profile('default', derandomize=True, deadline=None, print_blob=True, database=None)
hypothesis.settings.register_profile('search', max_examples=5000, deadline=None, print_blob=True)
hypothesis.settings.load_profile(os.environ.get('NUMAPLACE_HYPOTHESIS', 'default'))

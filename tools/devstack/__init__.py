# SPDX-License-Identifier: Apache-2.0
"""A real devstack in a container on this machine: ``PYTHONPATH=tools python -m devstack up``."""

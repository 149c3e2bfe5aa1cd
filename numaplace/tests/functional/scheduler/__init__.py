# SPDX-License-Identifier: Apache-2.0
"""Schedulers on real databases."""

# SPDX-License-Identifier: Apache-2.0
"""Tests of one package at a time; the folders mirror the package."""

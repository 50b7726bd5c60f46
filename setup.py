"""Metadata is in pyproject.toml; this file is where setuptools looks for build steps."""

from setuptools import setup

setup()

"""The version of the distribution that this program came in."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("tlog")
except PackageNotFoundError:  # run from a checkout that was never installed
    VERSION = "unknown"

"""Where the servers are: environment variables, see the README of `conformance/`."""

from __future__ import annotations

import os

import pytest

from conformance.http.wire import Site, Web


def _setting(name: str, why: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        pytest.skip(f"{name} is not set: {why}")
    return value


@pytest.fixture(scope="session")
def site() -> Site:
    """The log at BASE_URL, with an agent of TENANT."""
    base = _setting("BASE_URL", "the address of a log, http://127.0.0.1:8080")
    key = _setting("API_KEY", "an API key of that log with the scopes ingest and read")
    return Site(base, key, os.environ.get("TENANT", "acme"))


@pytest.fixture(scope="session")
def rival() -> Site:
    """Another tenant of the same log."""
    base = _setting("BASE_URL", "the address of a log")
    key = _setting("RIVAL_KEY", "an API key of another tenant")
    return Site(base, key, os.environ.get("RIVAL_TENANT", "rival"))


@pytest.fixture(scope="session")
def witness() -> Web:
    """The witness at WITNESS_URL, its submission prefix."""
    return Web(_setting("WITNESS_URL", "the submission prefix of a witness"))

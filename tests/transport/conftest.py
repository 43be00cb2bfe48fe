"""A client, sync and async, and how hard the transport is tried.

``HYPOTHESIS_PROFILE=thorough`` gives every property test a hundred times the examples.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from modelscope_transport.emulator import LocalService
from tests.transport.callers import AsyncCaller, Caller

# Two shared cores: an example may wait long for its turn, which says nothing of the code.
settings.register_profile("suite", deadline=None, max_examples=100)
settings.register_profile("thorough", deadline=None, max_examples=10_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


@pytest.fixture
def service(modelscope_service: LocalService) -> LocalService:
    """The local service, forgetful between tests."""
    return modelscope_service


@pytest.fixture(params=[Caller, AsyncCaller], ids=["sync", "async"])
def caller(request: pytest.FixtureRequest, service: LocalService) -> Iterator[Caller]:
    """A user of the local service, sync and async."""
    with request.param(service) as user:
        yield user

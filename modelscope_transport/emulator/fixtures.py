"""A pytest plugin: ``pytest_plugins = ["modelscope_transport.emulator.fixtures"]``.

The one module of this package that needs more than the standard library: pytest.
"""

from collections.abc import Iterator

import pytest

from modelscope_transport.emulator.service import LocalService


@pytest.fixture(scope="session")
def _modelscope_session_service() -> Iterator[LocalService]:
    with LocalService() as service:
        yield service


@pytest.fixture
def modelscope_service(_modelscope_session_service: LocalService) -> Iterator[LocalService]:
    """A local service: one socket for the whole run, reset before and after each test."""
    _modelscope_session_service.reset()
    yield _modelscope_session_service
    _modelscope_session_service.reset()

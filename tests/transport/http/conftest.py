"""An engine of either kind, and TLS for a server on loopback."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from tests.transport.http.drivers import AsyncDriver, Driver, SyncDriver

DRIVERS: list[type[Driver]] = [SyncDriver, AsyncDriver]


class Tls(NamedTuple):
    """TLS of a server at 127.0.0.1, and of a client that knows its certificate."""

    server: ssl.SSLContext
    client: ssl.SSLContext
    certificate: str


@pytest.fixture(params=DRIVERS, ids=[driver.__name__ for driver in DRIVERS])
def make_engine(request: pytest.FixtureRequest) -> Iterator[Callable[..., Driver]]:
    """Makes drivers of an engine (see `drivers.py`), and ends them after the test."""
    made: list[Driver] = []

    def make(*args: Callable[[], ssl.SSLContext]) -> Driver:
        made.append(request.param(*args))
        return made[-1]

    yield make
    for driver in made:
        driver.end()


@pytest.fixture
def engine(make_engine: Callable[..., Driver]) -> Driver:
    """A driver of an engine that speaks no TLS."""
    return make_engine()


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """TLS for a server at 127.0.0.1, by a certificate made for this run."""
    if shutil.which("openssl") is None:
        pytest.skip("makes its certificate with the program openssl")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-keyout", str(key), "-out", str(certificate), "-subj", "/CN=local"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, capture_output=True, check=True)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    return Tls(server, ssl.create_default_context(cafile=certificate), str(certificate))

"""A server that is not who it says: refused before a word of the request, in each way of asking."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from modelscope_transport import APIConnectionError
from tests.faults.rows import Case
from tests.faults.trying import attempt
from tests.faults.ways import ADAPTERS, WAYS

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="makes its certificates with the program openssl"
)


def _certificate(folder: Path, name: str, days: int) -> tuple[Path, Path]:
    key, request, made = (folder / f"{name}{days}.{end}" for end in ("key", "csr", "pem"))
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    _openssl(
        *("req", "-new", *curve, "-nodes", "-keyout", str(key), "-out", str(request)),
        *("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"),
    )
    _openssl(
        *("x509", "-req", "-in", str(request), "-signkey", str(key), "-out", str(made)),
        *("-days", str(days), "-copy_extensions", "copy"),
    )
    return made, key


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


# What the server shows, whether its issuer is trusted, and whether the call succeeds.
CERTIFICATES = {
    "good": ("localhost", 1, True),
    "of an issuer that is not trusted": ("localhost", 1, False),
    "of another host": ("elsewhere.example", 1, True),
    "expired": ("localhost", -1, True),
}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], Any]:
    """Certificate and key by name and days, each made once: a context is kept for each file."""
    folder = tmp_path_factory.mktemp("certificates")
    wanted = {(name, days) for name, days, _ in CERTIFICATES.values()}
    return {(name, days): _certificate(folder, name, days) for name, days in wanted}


@pytest.mark.parametrize("way", WAYS, ids="-".join)
@pytest.mark.parametrize("shown", CERTIFICATES)
def test_who_is_not_the_host_hears_no_word(
    shown: str,
    way: tuple[str, str, str],
    certificates: dict[tuple[str, int], Any],
    canary: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name, days, trusted = CERTIFICATES[shown]
    made, key = certificates[name, days]
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(made))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    case = Case([], times=0, kept=True)  # honest from the first request on
    limits = {"timeout": 30.0, "idle_timeout": 10.0}

    seen = attempt(
        WAYS[way], case, way[-1], token=canary, limits=limits, tls=context, host="localhost"
    )

    assert (seen.left, seen.slots) == (0, 0)
    if shown == "good":
        assert seen.text == "Hello", seen.shown
        return
    assert type(seen.error) is ADAPTERS[way[0]][APIConnectionError], seen.shown
    assert seen.error.reason == "bad_certificate"
    assert (seen.requests, seen.heard, seen.counted) == (0, 0, 0)

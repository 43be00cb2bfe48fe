"""Where requests go and what they carry there."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from modelscope_transport import __version__
from modelscope_transport.http.endpoints import Endpoint, EndpointResolver
from modelscope_transport.secret import Secret
from modelscope_transport.settings import Settings

BASE = "https://service.example/v1"


def resolver(base_url: str = BASE, **settings: Any) -> EndpointResolver:
    given = {"token": Secret("ms-secret"), "headers": {"X-Mine": Secret("1")}, **settings}
    return EndpointResolver(Settings(base_url=base_url, **given))


def resolve(path: str, base_url: str = BASE) -> Endpoint:
    return resolver(base_url).resolve(path)


def request(path: str, body: bytes = b"", seconds: float = 60.0, **how: Any) -> httpx.Request:
    known = resolver(**how.pop("settings", {}))
    return known.request(known.resolve(path), body, time.monotonic() + seconds, **how)


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/chat/completions", "https://service.example/v1/chat/completions"),
        ("/../openapi/balance?a=1", "https://service.example/openapi/balance?a=1"),
        ("https://pictures.example/a%20b.png?sign=x%2Fy", None),
        ("https://pictures.example/图.png", "https://pictures.example/%E5%9B%BE.png"),
        ("https://图片.example:8443/a.png", "https://xn--wcsw84d.example:8443/a.png"),
        ("https://p.example/?Signature=a%2Bb%2F+c%3D%3D&x='~*(d)", None),
    ],
)
def test_a_path_leads_to_an_address(path: str, address: str | None) -> None:
    sent = request(path)
    target = f"{sent.url.scheme}://{sent.url.netloc.decode()}{sent.url.raw_path.decode()}"
    assert target == (address or path)


@pytest.mark.parametrize(
    "path",
    [
        "https://user:open-sesame@pictures.example/a",
        "https://pictures.example/a b.png",
        "https://pictures.example/a.png\r\nx: 1",
        "http://pictures.example/a.png",
        "https://127.0.0.1/a.png",
        "https://169.254.169.254/latest",
    ],
)
def test_what_no_request_may_go_to_is_known_by_its_text(path: str) -> None:
    endpoint = resolve(path)
    assert endpoint.refusal
    assert not endpoint.is_trusted
    assert "sesame" not in f"{endpoint.refusal} {endpoint!r}"


@pytest.mark.parametrize("path", ["@evil.example/x", ".evil.example/x", ":80@evil.example/x", "x"])
@pytest.mark.parametrize("base_url", [BASE, "https://service.example"])
def test_what_is_no_path_is_not_put_behind_the_base_url(path: str, base_url: str) -> None:
    endpoint = resolve(path, base_url)
    assert endpoint.refusal
    assert not endpoint.is_trusted
    assert b"authorization" not in dict(endpoint.headers)


@pytest.mark.parametrize(
    "path",
    ["https://[v1.a]/x", f"https://pictures.example/{'a' * 70_000}", f"{BASE}/{'a' * 70_000}"],
)
def test_what_is_no_address_is_refused_even_of_the_service_itself(path: str) -> None:
    endpoint = resolve(path)
    assert endpoint.refusal == "it is not a web address"
    assert not endpoint.is_trusted
    assert endpoint.headers == []


def test_an_ipv6_address_is_one_too() -> None:
    endpoint = resolve("/models", "http://[::1]:8000/v1")
    assert (endpoint.url.host, endpoint.url.port) == ("::1", 8000)
    assert str(endpoint.url) == "http://[::1]:8000/v1/models"


@pytest.mark.parametrize(
    ("base_url", "host"),
    [
        (BASE, b"service.example"),
        ("http://127.0.0.1:8000/v1", b"127.0.0.1:8000"),
        ("http://[::1]:8000/v1", b"[::1]:8000"),
    ],
)
def test_the_host_is_named_as_the_address_names_it(base_url: str, host: bytes) -> None:
    assert dict(resolve("/models", base_url).headers)[b"host"] == host


def test_the_service_gets_the_token_and_the_callers_headers() -> None:
    sent = request("/chat/completions", b"{}", extra={"X-Trace": "t"}, own={"X-Own": "o"})
    assert dict(sent.headers) == {
        "host": "service.example",
        "authorization": "Bearer ms-secret",
        "content-type": "application/json",
        "accept-encoding": "identity",
        "user-agent": f"modelscope-adapters/{__version__}",
        "x-mine": "1",
        "x-trace": "t",
        "x-own": "o",
        "content-length": "2",
    }


@pytest.mark.parametrize(
    ("base_url", "path", "is_trusted"),
    [
        (BASE, BASE + "/files/a.png", True),
        (BASE, "https://SERVICE.example/files/a.png", True),
        (BASE, "HTTPS://service.example/files/a.png", True),
        (BASE, "HTTPS://pictures.example/a.png", False),
        (BASE, "https://service.example.evil.example/a.png", False),
        (BASE, "https://service.example:8443/a.png", False),
        (BASE, "https://modelscope.cn/a.png", False),
        ("https://api-inference.modelscope.cn/v1", "https://modelscope.cn/a.png", True),
        ("https://api-inference.modelscope.cn/v1", "https://modelscope.ai/a.png", False),
    ],
)
def test_the_token_goes_to_the_service_and_its_hub(
    base_url: str, path: str, is_trusted: bool
) -> None:
    endpoint = resolve(path, base_url)
    assert endpoint.is_trusted is is_trusted
    assert (b"authorization" in dict(endpoint.headers)) is is_trusted


def test_another_host_gets_neither() -> None:
    assert not resolve("https://pictures.example/a.png").is_trusted
    sent = request("https://pictures.example/a.png", extra={"X-Trace": "t"})
    assert dict(sent.headers) == {
        "host": "pictures.example",
        "user-agent": f"modelscope-adapters/{__version__}",
        "accept-encoding": "identity",
    }


def test_a_callers_header_takes_the_place_of_the_clients_own() -> None:
    sent = request("/models", extra={"X-MINE": "2", "User-Agent": "mine/1"}, own={"x-mine": "3"})
    assert sent.headers.get_list("x-mine") == ["3"]
    assert sent.headers.get_list("user-agent") == ["mine/1"]


def test_what_is_posted_has_a_body() -> None:
    asked, posted = request("/models"), request("/models", b"{}")
    assert (asked.method, asked.content) == ("GET", b"")
    assert (posted.method, posted.content) == ("POST", b"{}")
    assert "content-length" not in asked.headers


def test_no_wait_is_longer_than_what_is_left_of_the_call() -> None:
    limits = request("/models", seconds=7.0).extensions["timeout"]
    assert 6.0 < limits["read"] <= 7.0
    assert max(limits.values()) <= 7.0


def test_a_wait_is_as_long_as_the_options_say() -> None:
    settings = {"connect_timeout": 3.0, "idle_timeout": 5.0}
    limits = request("/models", settings=settings).extensions["timeout"]
    assert limits == {"connect": 3.0, "pool": 3.0, "read": 5.0, "write": 5.0}


def test_a_request_carries_the_end_of_its_call() -> None:
    known = resolver()
    sent = known.request(known.resolve("/models"), b"", 1234.5)
    assert sent.extensions["deadline"] == 1234.5


def test_nothing_on_the_way_shows_the_token() -> None:
    endpoint, sent = resolve("/models"), request("/models", b"{}")
    for shown in (repr(endpoint), repr(sent), f"{endpoint} {sent}", repr(sent.headers)):
        assert "ms-secret" not in shown
    assert "https://service.example/v1/models" in repr(endpoint)

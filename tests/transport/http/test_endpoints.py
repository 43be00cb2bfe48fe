"""Where requests go and what they carry there."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from modelscope_transport.errors import ConfigurationError
from modelscope_transport.http.endpoints import EndpointResolver, Place
from modelscope_transport.settings import Secret, Settings

BASE = "https://service.example/v1"


def no_tls() -> ssl.SSLContext:
    raise AssertionError("nothing is opened here")


def addresses(base_url: str = BASE, **settings: Any) -> EndpointResolver:
    known = Settings(token=Secret("ms-secret"), base_url=base_url, **settings)
    return EndpointResolver(known, {"User-Agent": "tests/1", "X-Mine": "1"}, no_tls)


def sent(place: Place, **how: Any) -> dict[bytes, bytes]:
    given = {"body": b"", "remaining": 60.0, "own": None, "extra": None, **how}
    return dict(addresses().outgoing(place, **given).headers)


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/chat/completions", b"https://service.example/v1/chat/completions"),
        ("/../openapi/balance?a=1", b"https://service.example/openapi/balance?a=1"),
        ("https://pictures.example/a%20b.png?sign=x%2Fy", None),
        ("https://pictures.example/图.png", b"https://pictures.example/%E5%9B%BE.png"),
        ("https://图片.example:8443/a.png", b"https://xn--wcsw84d.example:8443/a.png"),
        ("https://user:word@pictures.example/a", b"https://pictures.example/a"),
        ("https://p.example/?Signature=a%2Bb%2F+c%3D%3D&x='~*(d)", None),
        ("https://pictures.example/a b.png#part", b"https://pictures.example/a%20b.png"),
    ],
)
def test_a_path_leads_to_an_address(path: str, address: bytes | None) -> None:
    assert bytes(addresses().find(path).address) == (address or path.encode())


def test_an_ipv6_address_is_one_too() -> None:
    place = addresses("http://[::1]:8000/v1").find("/models")
    assert (place.address.host, place.address.port) == (b"::1", 8000)
    assert place.url == "http://[::1]:8000/v1/models"


@pytest.mark.parametrize(
    ("base_url", "host"),
    [
        (BASE, b"service.example"),
        ("http://127.0.0.1:8000/v1", b"127.0.0.1:8000"),
        ("http://[::1]:8000/v1", b"[::1]:8000"),
    ],
)
def test_the_host_is_named_as_the_address_names_it(base_url: str, host: bytes) -> None:
    assert addresses(base_url).find("/models").headers[b"host"] == host


def test_the_service_gets_the_token_and_the_callers_headers() -> None:
    place = addresses().find("/chat/completions")
    headers = sent(place, body=b"{}", extra={"X-Trace": "t"}, own={"X-Own": "o"})
    assert headers == {
        b"host": b"service.example",
        b"authorization": b"Bearer ms-secret",
        b"content-type": b"application/json",
        b"accept-encoding": b"identity",
        b"user-agent": b"tests/1",
        b"x-mine": b"1",
        b"x-trace": b"t",
        b"x-own": b"o",
        b"content-length": b"2",
    }


def test_a_stranger_gets_neither() -> None:
    place = addresses().find("https://pictures.example/a.png")
    assert not place.trusted
    assert sent(place, extra={"X-Trace": "t"}) == {
        b"host": b"pictures.example",
        b"user-agent": b"tests/1",
        b"accept-encoding": b"identity",
    }


def test_what_is_posted_has_a_body() -> None:
    known = addresses()
    place = known.find("/models")
    asked = known.outgoing(place, b"", 60.0, None, None)
    posted = known.outgoing(place, b"{}", 60.0, None, None)
    assert (asked.method, asked.body) == ("GET", b"")
    assert (posted.method, posted.body) == ("POST", b"{}")
    assert b"content-length" not in dict(asked.headers)


def test_no_wait_is_longer_than_what_is_left_of_the_call() -> None:
    known = addresses(stall_timeout=120.0)
    limits = known.outgoing(known.find("/models"), b"", 7.0, None, None).limits
    assert limits["read"] == 7.0
    assert max(limits.values()) == 7.0


def test_all_clients_of_one_server_share_its_connections() -> None:
    one, other = addresses().find("/models"), addresses().find("/chat/completions")
    assert one.idle is other.idle
    assert one.loop_idle is other.loop_idle
    through = addresses(proxy="http://127.0.0.1:3128").find("/models")
    assert through.idle is not one.idle


@pytest.mark.parametrize(
    "proxy", ["ftp://proxy.example", "http://proxy.example:many", "proxy.example:3128"]
)
def test_what_is_no_proxy_is_refused(proxy: str) -> None:
    with pytest.raises(ConfigurationError, match="proxy cannot be used"):
        addresses(proxy=proxy).find("/models")


@pytest.mark.parametrize(
    "proxy",
    ["http://user:se/cret@proxy.example:1", "http://user:se#cret@h", "http://user:se@", "se://h"],
)
def test_a_proxy_that_is_refused_is_not_repeated(proxy: str) -> None:
    with pytest.raises(ConfigurationError, match="proxy cannot be used") as caught:
        addresses(proxy=proxy).find("/models")
    assert "'se" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_nothing_on_the_way_shows_the_token() -> None:
    place = addresses().find("/models")
    sent = addresses().outgoing(place, b"{}", 60.0, None, None)
    for shown in (repr(place), repr(sent), f"{place} {sent}"):
        assert "https://service.example/v1/models" in shown
        assert "ms-secret" not in shown

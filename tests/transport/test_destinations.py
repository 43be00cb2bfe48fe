"""Where a request may go that the user did not write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelscope_transport.destinations import is_loopback, is_public, origin_of, why_refused

HERE = "http://127.0.0.1:8000/v1"


@pytest.mark.parametrize(
    "url",
    [
        "http://elsewhere.example/x.png",
        "ftp://example.com/x.png",
        "file:///etc/passwd",
        "//example.com/x.png",
        "https://",
        "https://a..b/x.png",
        "https://.example/x.png",
        f"https://{'a' * 64}.example/x.png",
        "https://example.com:many/x.png",
        "https://example.com:99999/x.png",
        "https://[::1/x.png",
        "https://example.com/a b.png",
        "https://example.com/a.png\r\nx-evil: 1",
        "https://example.com/a.png\x00",
        "https://example.com/\u202egnp.a",
        "https://user:open-sesame@example.com/x.png",
        "https://user@example.com/x.png",
        "https://@example.com/x.png",
    ],
)
@pytest.mark.parametrize("base_url", ["", HERE])
def test_what_is_no_sound_address_is_refused(url: str, base_url: str) -> None:
    refusal = why_refused(url, base_url)
    assert refusal
    assert "sesame" not in refusal


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "printer.local",
        "metadata.google.internal",
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "0",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.5",
        "100.64.0.1",
        "169.254.169.254",
        "169.254.169.254.",
        "224.0.0.1",
        "255.255.255.255",
        "[::1]",
        "[::]",
        "[fe80::1]",
        "[fd00::1]",
        "[ff02::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:169.254.169.254]",
    ],
)
def test_nothing_is_fetched_from_this_machine_or_its_network(host: str) -> None:
    assert why_refused(f"https://{host}/x.png")
    assert why_refused(f"https://{host}:8443/x.png", "https://service.example/v1")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/x.png",
        "https://example.com:8443/x.png?sign=a%2Fb&x=1#part",
        "https://图片.example/图.png",
        "https://93.184.216.34/x.png",
        "https://[2606:2800:220:1::1]/x.png",
        "https://localhost.example/x.png",
        "https://127.0.0.1.example/x.png",
    ],
)
def test_a_public_host_over_https_is_allowed(url: str) -> None:
    assert why_refused(url) is None


@pytest.mark.parametrize(
    ("url", "is_allowed"),
    [
        ("http://127.0.0.1:8000/x.png", True),
        ("http://127.0.0.1:8001/x.png", False),
        ("http://127.0.0.1/x.png", False),
        ("https://127.0.0.1:8000/x.png", False),
        ("http://127.0.0.1:8000@example.com/x.png", False),
        ("http://localhost:8000/x.png", False),
    ],
)
def test_of_this_machine_only_the_base_urls_own_origin_is_allowed(
    url: str, is_allowed: bool
) -> None:
    assert (why_refused(url, HERE) is None) is is_allowed
    assert why_refused(url) is not None


@pytest.mark.parametrize(
    ("addresses", "public"),
    [
        (["93.184.216.34"], True),
        (["93.184.216.34", "2606:2800:220:1::1"], True),
        (["93.184.216.34", "127.0.0.1"], False),
        (["fe80::1%eth0"], False),
        (["::ffff:10.0.0.1"], False),
        (["::ffff:93.184.216.34"], True),
        ([], False),
    ],
)
def test_a_host_is_public_when_all_its_addresses_are(addresses: list[str], public: bool) -> None:
    assert is_public(addresses) is public


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("localhost.example", False),
    ],
)
def test_what_is_this_machine(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_an_origin_is_scheme_host_and_port() -> None:
    assert origin_of("HTTPS://Example.com:8443/a?b") == "https://example.com:8443"


@given(st.text(max_size=60) | st.text(max_size=40).map("https://".__add__))
def test_any_text_is_allowed_or_refused_in_words(url: str) -> None:
    refusal = why_refused(url, HERE)
    assert refusal is None or (refusal.isascii() and "\n" not in refusal)

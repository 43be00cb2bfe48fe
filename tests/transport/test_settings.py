"""Token, address, proxy: what is taken, from where, and what is refused before any request."""

from __future__ import annotations

import copy
import pickle
import traceback
from pathlib import Path
from typing import Any

import msgspec
import pytest

from modelscope_transport import Client, ConfigurationError
from modelscope_transport.secret import Secret
from modelscope_transport.settings import (
    BASE_URL,
    BASE_URL_VARIABLES,
    TOKEN_VARIABLES,
    Settings,
    resolve_base_url,
    resolve_ledger,
    resolve_proxy,
    resolve_token,
)

HOST = "api-inference.modelscope.cn"


# --- the token


def test_the_argument_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSCOPE_API_KEY", "ms-environment")
    assert resolve_token("ms-argument").reveal() == "ms-argument"
    assert resolve_token().reveal() == "ms-environment"


def test_variables_are_asked_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in reversed(TOKEN_VARIABLES):
        monkeypatch.setenv(name, f"ms-{name}")
        assert resolve_token().reveal() == f"ms-{name}"
    monkeypatch.setenv(TOKEN_VARIABLES[0], "  ")
    assert resolve_token().reveal() == f"ms-{TOKEN_VARIABLES[1]}", "blank is as good as unset"


def test_no_token_says_where_to_get_one() -> None:
    for nothing in (None, "", "  \n"):
        with pytest.raises(ConfigurationError) as caught:
            resolve_token(nothing)
        assert "https://modelscope.cn/my/myaccesstoken" in str(caught.value)
        assert "MODELSCOPE_API_KEY" in str(caught.value)


@pytest.mark.parametrize("around", ["{}\n", "  {}", "\t{}\r\n", "\u3000{}"])
def test_white_space_around_a_token_is_cut_off(canary: str, around: str) -> None:
    assert resolve_token(around.format(canary)).reveal() == canary


BAD_TOKENS = [
    pytest.param("{}x y", id="space"),
    pytest.param("{}\nx", id="line break"),
    pytest.param("{}\r\nX-Evil: 1", id="header"),
    pytest.param("{}\x00", id="null"),
    pytest.param("ｍs-{}", id="full width"),
    pytest.param("{}é", id="accent"),
    pytest.param("\u200b{}", id="zero width"),
    pytest.param("Bearer {}", id="Bearer"),
    pytest.param("{}\x7f", id="delete"),
]


@pytest.mark.parametrize("form", BAD_TOKENS)
def test_a_token_that_no_header_can_hold_is_refused_and_not_shown(canary: str, form: str) -> None:
    with pytest.raises(ConfigurationError, match="Copy it again") as caught:
        resolve_token(form.format(canary))
    assert canary not in _everything_of(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "nonsense"},
        {"timeout": -1},
        {"max_retries": -1},
        {"default_headers": {"a b": ""}},
    ],
)
def test_a_client_that_cannot_be_made_shows_no_token(canary: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Client(canary, **options)
    assert canary not in _everything_of(caught.value)


def _everything_of(error: BaseException) -> str:
    """Text, fields and traceback of an error, with the locals of our own frames."""
    frames = traceback.TracebackException.from_exception(error, capture_locals=True).stack
    ours = [frame.locals for frame in frames if "modelscope_transport" in frame.filename]
    return f"{error!r} {error} {vars(error)} {ours}"


def test_other_quotes_than_those_of_the_token_are_part_of_it() -> None:
    # Tokens of several forms exist: none is refused for its form.
    for token in ("ms-1", "ms_oauth." + "a" * 470, '"ms-1"', "sk-~!@#$%^&*()"):
        assert resolve_token(token).reveal() == token


def test_a_secret_does_not_show_itself(canary: str) -> None:
    secret = Secret(canary)
    for shown in (
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r:>50}",
        repr([secret]),
        secret.fingerprint(),
    ):
        assert canary not in shown
        assert canary[3:11] not in shown
    assert not hasattr(secret, "__dict__")


@pytest.mark.parametrize(
    "spread", [pickle.dumps, copy.deepcopy, msgspec.json.encode, msgspec.msgpack.encode]
)
def test_a_secret_does_not_travel(canary: str, spread: Any) -> None:
    for holder in (Secret(canary), Settings(token=Secret(canary))):
        with pytest.raises(TypeError) as caught:
            spread(holder)
        assert canary not in str(caught.value)


def test_secrets_compare_by_value() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert Secret("a").fingerprint() == Secret("a").fingerprint() != Secret("b").fingerprint()


# --- the address


def test_the_address_of_the_service_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_base_url() == BASE_URL
    for name in reversed(BASE_URL_VARIABLES):
        monkeypatch.setenv(name, f"https://{name.lower().replace('_', '-')}.example/v1")
        assert resolve_base_url() == f"https://{name.lower().replace('_', '-')}.example/v1"
    assert resolve_base_url("https://argument.example/v1") == "https://argument.example/v1"


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("https://h.example/v1/", "https://h.example/v1"),
        ("https://h.example", "https://h.example"),
        (" https://h.example/v1\n", "https://h.example/v1"),
        ("https://h.example:8443/a/b", "https://h.example:8443/a/b"),
        ("https://xn--80ak6aa92e.example/v1", "https://xn--80ak6aa92e.example/v1"),
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
        ("http://127.8.9.10/v1", "http://127.8.9.10/v1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("http://localhost:8000/v1", "http://localhost:8000/v1"),
    ],
)
def test_addresses_that_are_taken(given: str, taken: str) -> None:
    assert resolve_base_url(given) == taken


@pytest.mark.parametrize(
    "url",
    [
        "h.example/v1",
        "ftp://h.example/v1",
        "file:///etc/passwd",
        "https://",
        "https:///v1",
        "https://h.example:99999/v1",
        "https://h.example:x/v1",
        "https://[::1/v1",
        "https://[zz]/v1",
        "https://user@h.example/v1",
        "https://user:pass@h.example/v1",
        "https://h.example/v1?key=1",
        "https://h.example/v1#x",
        "https://h.example/v 1",
        "https://h.example/v1\r\nX: 1",
        "https://h.example\t/v1",
        "https://h.example\\@evil.example/v1",
        "https://h.example\\v1",
        "https://h.example/v1/../../x",
        "https://h.example/./v1",
        "https://h.example%2eevil.example/v1",
        "https://h..example/v1",
        "https://.example/v1",
        f"https://{'a' * 64}.example/v1",
        f"https://{'a.' * 130}example/v1",
        "https://аpi-inference.modelscope.cn/v1",  # the first letter is Cyrillic
        "https://api-inference。modelscope。cn/v1",
        "https://h.example/v１",
    ],
)
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve_base_url(url)
    assert "pass@" not in str(caught.value)
    assert "key=1" not in str(caught.value)
    assert str(caught.value).isascii(), "a look-alike is shown as what it is"


@pytest.mark.parametrize(
    "host",
    [
        "h.example",
        "192.168.1.5",
        "127.0.0.1.example",
        "localhost.example",
        "0x7f.1",
        "169.254.169.254",
        "[::2]",
    ],
)
def test_a_token_does_not_travel_unencrypted(host: str) -> None:
    with pytest.raises(ConfigurationError, match="unencrypted"):
        resolve_base_url(f"http://{host}/v1")


@pytest.mark.parametrize("resolve", [resolve_base_url, resolve_ledger])
def test_what_is_no_text_is_refused_in_a_sentence(resolve: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"must be a text, and is of type \w*Path"):
        resolve(Path("here"))


def test_a_token_in_the_place_of_the_address_is_not_shown(canary: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Client("ms-other", base_url=canary)
    assert canary not in str(caught.value)


# --- the proxy

ANY_PROXY = Secret("http://proxy.example:3128")


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_the_environments_proxy_is_used(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert resolve_proxy(BASE_URL) is None
    monkeypatch.setenv(name, ANY_PROXY.reveal())
    assert resolve_proxy(BASE_URL) == ANY_PROXY


def test_a_proxy_for_https_wins_over_one_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://all.example:1")
    monkeypatch.setenv("HTTP_PROXY", "http://plain.example:1")
    monkeypatch.setenv("HTTPS_PROXY", ANY_PROXY.reveal())
    assert resolve_proxy(BASE_URL) == ANY_PROXY


def test_a_proxy_without_a_scheme_speaks_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3128")
    assert resolve_proxy(BASE_URL) == ANY_PROXY
    assert resolve_proxy(BASE_URL, "proxy.example:3128") == ANY_PROXY


@pytest.mark.parametrize(
    "hosts",
    ["*", HOST, "modelscope.cn", ".modelscope.cn", f"a.example, {HOST.upper()} ,b", f"{HOST}:443"],
)
def test_no_proxy_goes_around_it(monkeypatch: pytest.MonkeyPatch, hosts: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", ANY_PROXY.reveal())
    monkeypatch.setenv("NO_PROXY", hosts)
    assert resolve_proxy(BASE_URL) is None


@pytest.mark.parametrize("hosts", ["", "scope.cn", "modelscope.com", f"{HOST}:8443", "x" + HOST])
def test_no_proxy_of_other_hosts_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, hosts: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", ANY_PROXY.reveal())
    monkeypatch.setenv("NO_PROXY", hosts)
    assert resolve_proxy(BASE_URL) == ANY_PROXY


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1/v1", "http://[::1]/v1", "http://localhost/v1"]
)
def test_this_machine_is_reached_without_the_environments_proxy(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", ANY_PROXY.reveal())
    monkeypatch.setenv("HTTP_PROXY", ANY_PROXY.reveal())
    assert resolve_proxy(address) is None
    assert resolve_proxy(address, ANY_PROXY) == ANY_PROXY, "unless it was passed"


@pytest.mark.parametrize("blank", [" ", "\t", "\n"])
def test_blanks_around_a_proxy_are_cut_off(monkeypatch: pytest.MonkeyPatch, blank: str) -> None:
    assert resolve_proxy(BASE_URL, blank) is None
    assert resolve_proxy(BASE_URL, f"none{blank}") is None
    assert resolve_proxy(BASE_URL, f"{blank}proxy.example:3128{blank}") == ANY_PROXY
    monkeypatch.setenv("HTTPS_PROXY", blank)
    assert resolve_proxy(BASE_URL) is None
    monkeypatch.setenv("HTTPS_PROXY", f"http://proxy.example:3128{blank}")
    assert resolve_proxy(BASE_URL) == resolve_proxy(BASE_URL, blank) == ANY_PROXY


def test_a_proxy_may_be_passed_hidden() -> None:
    assert resolve_proxy(BASE_URL, ANY_PROXY) is not None
    assert resolve_proxy(BASE_URL, Secret("none")) is None


@pytest.mark.parametrize("word", ["none", "NONE"])
def test_none_goes_around_every_proxy(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", ANY_PROXY.reveal())
    assert resolve_proxy(BASE_URL, word) is None


# --- time limits


def test_no_time_limit_passes_what_is_left() -> None:
    settings = Settings(token=Secret("ms-1"))
    assert settings.time_limits(600) == {"connect": 10, "pool": 10, "read": 120, "write": 120}
    assert settings.time_limits(5) == {"connect": 5, "pool": 5, "read": 5, "write": 5}
    assert all(limit > 0 for limit in settings.time_limits(-3).values())

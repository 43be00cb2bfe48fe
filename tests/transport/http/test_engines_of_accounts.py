"""Which engine sends what: one for an account and its proxy, and what can be no proxy."""

from __future__ import annotations

import pytest

from modelscope_transport.errors import ConfigurationError
from modelscope_transport.http.engines import engines_of
from modelscope_transport.secret import Secret

PROXY = Secret("http://127.0.0.1:3128")


def test_all_clients_of_one_account_share_its_connections() -> None:
    one = engines_of("one", None, None)
    assert engines_of("one", None, None) is one
    assert engines_of("one", None, None).sync is one.sync
    assert engines_of("one", None, None).aio is one.aio


def test_another_account_proxy_or_trust_has_connections_of_its_own() -> None:
    one = engines_of("one", None, None)
    others = [
        engines_of("other", None, None),
        engines_of("one", PROXY, None),
        engines_of("one", None, "certificates.pem"),
    ]
    assert len({id(engines) for engines in (one, *others)}) == 4


def test_an_equal_proxy_is_the_same_one() -> None:
    again = engines_of("one", Secret(PROXY.reveal()), None)
    assert again is engines_of("one", PROXY, None)
    assert again.has_proxy
    assert not engines_of("one", None, None).has_proxy


@pytest.mark.parametrize(
    "proxy", ["ftp://proxy.example", "http://proxy.example:many", "proxy.example:3128", "http://"]
)
def test_what_is_no_proxy_is_refused_at_once(proxy: str) -> None:
    with pytest.raises(ConfigurationError, match="proxy cannot be used"):
        engines_of("one", Secret(proxy), None)


@pytest.mark.parametrize(
    "proxy",
    ["http://user:se/cret@proxy.example:1", "http://user:se#cret@h", "http://user:se@", "se://h"],
)
def test_a_proxy_that_is_refused_is_not_repeated(proxy: str) -> None:
    with pytest.raises(ConfigurationError, match="proxy cannot be used") as caught:
        engines_of("one", Secret(proxy), None)
    said = str(caught.value)
    assert "se/cret" not in said
    assert "se#cret" not in said
    assert "'se" not in said
    assert "se@" not in said
    assert caught.value.__context__ is None

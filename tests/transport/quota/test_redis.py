"""Several hosts on one Redis: what is in it, and what happens when it goes away."""

from __future__ import annotations

import asyncio
import gc
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest

from modelscope_transport import Client, ConfigurationError, ResponseCache
from modelscope_transport.quota import (
    Budget,
    Closing,
    Ledger,
    QuotaBlock,
    RedisLedger,
    Reservation,
    describe_ledger,
    open_ledger,
)
from modelscope_transport.quota.redis_address import RedisAddress
from modelscope_transport.secret import mask_address
from tests.transport.callers import settled
from tests.transport.quota.clockwork import Hands
from tests.transport.quota.redis_server import RedisServer

redis = pytest.importorskip("redis", reason="the extra [redis] is not installed")

QWEN = "Qwen/Qwen3-8B"
SLACK = 4.0  # what a busy machine may take on top


@pytest.fixture
def server(redis_server: RedisServer) -> Iterator[RedisServer]:
    """The server, running again at the end of the test whatever it did to it."""
    yield redis_server
    redis_server.stop()
    redis_server.start()


@pytest.fixture
def moments(monkeypatch: pytest.MonkeyPatch) -> Hands:
    """The clock by which a ledger decides to look after a server that was down."""
    hands = Hands(1000.0)
    # of that module alone: an event loop whose clock stands still waits for ever
    clock = SimpleNamespace(monotonic=hands)
    monkeypatch.setattr("modelscope_transport.quota.outage.time", clock)
    return hands


def spend(ledger: Ledger, account: str, budget: Budget | None = None) -> None:
    given = ledger.reserve(account, QWEN, budget=budget)
    assert isinstance(given, Reservation)
    ledger.settle(given, Closing(charged=True))


def spend_all(ledger: Ledger, account: str, budget: Budget) -> int:
    calls = 0
    while isinstance(ledger.reserve(account, QWEN, budget=budget), Reservation):
        calls += 1
    return calls


def warned(call: Callable[[], None]) -> None:
    with pytest.warns(RuntimeWarning, match="cannot be used"):
        call()


# ---------------------------------------------------------------------------- what is in it


def test_all_keys_of_an_account_share_one_hash_tag(server: RedisServer, account: str) -> None:
    spend(RedisLedger(server.url), account)
    with redis.Redis.from_url(server.url) as client:
        keys = [key.decode() for key in client.keys(f"*{account}*")]
        lives = [client.ttl(key) for key in keys]
    assert len(keys) == 2
    assert all(key.startswith(f"modelscope:{{{account}}}:") for key in keys)
    # the page of a day goes by itself, what lasts stays
    assert sorted(life > 0 for life in lives) == [False, True]


def test_a_ledger_that_is_dropped_closes_its_connection_even_after_an_outage(
    server: RedisServer, account: str, moments: Hands
) -> None:
    ledger = RedisLedger(server.url, when_down=0.5)
    spend(ledger, account)
    server.stop()
    gc.disable()  # nothing may be left for it
    try:
        with pytest.warns(RuntimeWarning, match="cannot be used"):
            spend(ledger, account)
        server.start()
        moments.now += 1
        spend(ledger, account)
        with redis.Redis.from_url(server.url) as client:
            assert len(client.client_list()) == 2
            del ledger
            assert asyncio.run(settled(lambda: len(client.client_list()) == 1))
    finally:
        gc.enable()


def test_a_restarted_server_is_taught_the_script_again(server: RedisServer, account: str) -> None:
    ledger = RedisLedger(server.url)
    spend(ledger, account)
    server.stop()
    server.start()
    spend(ledger, account)


def test_forgetting_one_account_keeps_the_others(server: RedisServer, account: str) -> None:
    ledger = RedisLedger(server.url)
    spend(ledger, account)
    spend(ledger, "another")
    ledger.forget(account)
    assert ledger.history(account) == ()
    assert ledger.history("another")
    ledger.forget()
    assert ledger.history("another") == ()


# ------------------------------------------------------------------------------- its address


def test_a_password_is_shown_nowhere(canary: str, account: str) -> None:
    url = f"redis://user:{canary}@127.0.0.1:1/0"
    ledger = RedisLedger(url)
    with pytest.raises(ConfigurationError) as caught:
        ledger.reserve(account, QWEN)
    assert canary not in str(caught.value)
    assert "127.0.0.1:1" in str(caught.value)
    assert canary not in repr(ledger)
    assert canary not in describe_ledger(url)
    assert canary not in ledger.name


@pytest.mark.parametrize("query", ["", "?db=1", "?patience=5&when_down=0.5"])
def test_a_servers_unix_socket_is_an_address(server: RedisServer, account: str, query: str) -> None:
    address = f"unix://{server.socket}{query}"
    ledger = open_ledger.__wrapped__(address)
    assert ledger is not None
    spend(ledger, account)
    assert ledger.history(account)[0].calls == 1
    assert describe_ledger(address) == f"unix://{server.socket}"


@pytest.mark.parametrize("address", ["redis://[::1", "redis://me:{secret}@[::1/0"])
def test_what_is_no_address_is_said_without_its_password(
    address: str, canary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = address.format(secret=canary)
    monkeypatch.setenv("MODELSCOPE_LEDGER", address)
    for use in (
        lambda: open_ledger.__wrapped__(address),
        lambda: Client(canary).quotas(),
        lambda: ResponseCache(address).clear(),
    ):
        with pytest.raises(ConfigurationError, match="not an address of a Redis") as caught:
            use()
        assert canary not in str(caught.value)
    assert canary not in describe_ledger(address)
    assert canary not in mask_address(address)


@pytest.mark.parametrize("kind", ["redis", "redis+sentinel"])
def test_an_option_that_nobody_knows_is_named(server: RedisServer, account: str, kind: str) -> None:
    address = f"{kind}://127.0.0.1:{server.port}/0?nonsense=1"
    with pytest.raises(ConfigurationError, match="nonsense"):
        RedisLedger(address).reserve(account, QWEN)
    with pytest.raises(ConfigurationError, match="nonsense"):
        asyncio.run(RedisLedger(address).areserve(account, QWEN))


def test_answers_are_bytes_whatever_the_address_asks_for(server: RedisServer, account: str) -> None:
    ledger = RedisLedger(f"{server.url}?decode_responses=true")
    spend(ledger, account)
    assert ledger.history(account)[0].calls == 1


def test_sentinels_may_have_addresses_of_ipv6_and_their_server_its_options(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address = RedisAddress.parse(
        "redis+sentinel://me:word@[::1]:26380,[fe80::2],one/NAME/3"
        "?client_name=ours&sentinel_username=watch&sentinel_health_check_interval=7"
    )
    made: dict[str, Any] = {}

    class Sentinel:
        def __init__(self, places: object, **how: object) -> None:
            made.update(how, places=places)

        def master_for(self, service: str, **options: Any) -> object:
            made.update(service=service, options=options)
            return redis.Redis(**options)

    monkeypatch.setattr("redis.sentinel.Sentinel", Sentinel)
    address.client()
    assert made["places"] == [("::1", 26380), ("fe80::2", 26379), ("one", 26379)]
    assert made["service"] == "NAME"
    options, watching = made["options"], made["sentinel_kwargs"]
    assert (options["username"], options["db"], options["client_name"]) == ("me", 3, "ours")
    assert (watching["username"], watching["health_check_interval"]) == ("watch", 7)


@pytest.mark.parametrize("how", ["?when_down=never", "?when_down=0", "?when_down=1"])
def test_a_mode_that_is_none_is_refused(how: str) -> None:
    with pytest.raises(ConfigurationError, match="when_down"):
        open_ledger.__wrapped__(f"redis://127.0.0.1:1/0{how}")


def test_a_ledger_goes_through_its_name_to_the_same_server(
    server: RedisServer, account: str
) -> None:
    ledger = RedisLedger(server.url)
    spend(ledger, account)
    twin = open_ledger(pickle.loads(pickle.dumps(ledger.name)))
    assert twin is not None
    assert twin.history(account)[0].calls == 1


# ------------------------------------------------------------------------------ when it is down


def test_calls_are_refused_while_it_is_down(server: RedisServer, account: str) -> None:
    ledger = RedisLedger(server.url)
    spend(ledger, account)
    server.stop()
    begun = time.monotonic()
    with pytest.raises(ConfigurationError) as caught:
        ledger.reserve(account, QWEN)
    assert caught.value.reason == "ledger_unusable"
    assert time.monotonic() - begun < 30  # it does not hang

    server.start()
    spend(ledger, account)


def test_a_server_that_hangs_is_not_waited_for(server: RedisServer, account: str) -> None:
    ledger = RedisLedger(server.url)
    spend(ledger, account)
    with server.frozen():
        begun = time.monotonic()
        with pytest.raises(ConfigurationError) as caught:
            ledger.reserve(account, QWEN)
        assert time.monotonic() - begun < 1.0 + SLACK
    assert caught.value.reason == "ledger_unusable"
    spend(ledger, account)


def test_a_server_that_goes_and_comes_back_in_mid_run_grants_nothing_twice(
    server: RedisServer, account: str
) -> None:
    """Four threads, each a host of its own, spend 200 units; the server dies twice meanwhile."""
    budget, granted, failed = Budget(calls=200), [0] * 4, [0] * 4
    tally = threading.Condition()

    def host(place: int) -> None:
        with closing(RedisLedger(server.url)) as ledger:
            spend_or_fail(ledger, place)

    def spend_or_fail(ledger: Ledger, place: int) -> None:
        while True:
            try:
                given = ledger.reserve(account, QWEN, budget=budget)
            except ConfigurationError:
                given = None
            if isinstance(given, QuotaBlock):
                return
            with tally:
                (failed if given is None else granted)[place] += 1
                tally.notify()

    hosts = [threading.Thread(target=host, args=(place,)) for place in range(4)]
    for thread in hosts:
        thread.start()
    for so_many in (50, 120):
        with tally:
            assert tally.wait_for(lambda so_many=so_many: sum(granted) >= so_many, 30)
            server.stop()
            enough = sum(failed) + 8
            assert tally.wait_for(lambda enough=enough: sum(failed) >= enough, 30)
        server.start()
    for thread in hosts:
        thread.join(30)

    # a unit may have been taken while its answer was lost; it is never given to somebody else
    assert 200 - 2 * 4 <= sum(granted) <= 200
    assert RedisLedger(server.url).history(account)[0].calls == 200


def test_a_share_of_what_was_left_may_be_spent_while_it_is_down(
    server: RedisServer, account: str, moments: Hands
) -> None:
    ledger = open_ledger.__wrapped__(f"{server.url}?when_down=0.25")
    assert ledger is not None
    budget = Budget(calls=100)
    for _ in range(20):
        spend(ledger, account, budget)
    server.stop()

    warned(lambda: spend(ledger, account, budget))
    assert spend_all(ledger, account, budget) == 19  # a quarter of 80, less the one before

    server.start()
    moments.now += 1
    assert spend_all(ledger, account, budget) == 60  # what was spent meanwhile has been told
    assert RedisLedger(server.url).history(account)[0].calls == 100


def test_without_a_limit_a_share_of_the_published_grant_holds(
    server: RedisServer, account: str, moments: Hands
) -> None:
    ledger = RedisLedger(server.url, when_down=0.1)
    spend(ledger, account)
    server.stop()
    warned(lambda: spend(ledger, account))
    assert spend_all(ledger, account, Budget()) == 18  # a tenth of 199


def test_a_pool_that_was_known_to_be_spent_stays_shut(
    server: RedisServer, account: str, moments: Hands
) -> None:
    ledger = RedisLedger(server.url, when_down=0.5)
    block = QuotaBlock(scope="model", model="a/b", blocked_until=time.time() + 3600)
    given = ledger.reserve(account, "a/b")
    assert isinstance(given, Reservation)
    ledger.settle(given, Closing(charged=False, block=block))
    server.stop()

    warned(lambda: spend(ledger, account))
    assert isinstance(ledger.reserve(account, "a/b"), QuotaBlock)


def test_a_pool_that_was_spent_meanwhile_is_told_when_it_is_back(
    server: RedisServer, account: str, moments: Hands
) -> None:
    ledger = RedisLedger(server.url, when_down=0.5)
    spend(ledger, account)
    server.stop()
    given = None

    def reserve() -> None:
        nonlocal given
        given = ledger.reserve(account, "a/b")

    warned(reserve)
    assert isinstance(given, Reservation)
    block = QuotaBlock(scope="model", model="a/b", blocked_until=time.time() + 3600)
    ledger.settle(given, Closing(charged=False, block=block))
    server.start()
    moments.now += 1
    spend(ledger, account)
    assert isinstance(RedisLedger(server.url).reserve(account, "a/b"), QuotaBlock)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, account: str) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigurationError, match=r"modelscope-adapters\[redis\]"):
        RedisLedger("redis://127.0.0.1:1/0").reserve(account, QWEN)

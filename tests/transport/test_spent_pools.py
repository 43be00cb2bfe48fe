"""A spent pool costs one request, and then none until it comes back."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelscope_transport import (
    APITimeoutError,
    Budget,
    ChatRequest,
    Client,
    EmbeddingRequest,
    ImageRequest,
    MemoryLedger,
    Message,
    ModelNotServedError,
    ModelScopeError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    SQLiteLedger,
    StreamInterruptedError,
)
from modelscope_transport._wire import outcomes
from modelscope_transport.emulator import Allowance, LocalService, Reply
from modelscope_transport.language import speak
from modelscope_transport.quota import Closing, Reservation
from tests.transport.quota.clockwork import Hands

pytestmark = pytest.mark.usefixtures("books_closed")

QWEN = "Qwen/Qwen3-Coder-30B-A3B-Instruct"
GLM = "ZhipuAI/GLM-4.7-Flash"
EMBEDDING = "Qwen/Qwen3-Embedding-0.6B"
IMAGE = "Qwen/Qwen-Image"
ROOT = Path(__file__).parents[2]

Call = Callable[[Client], object]


def ask(model: str = QWEN, **how: Any) -> ChatRequest:
    return ChatRequest(model=model, messages=(Message("user", "What is 2 plus 3?"),), **how)


def chat(client: Client) -> object:
    return client.chat(ask())


def stream(client: Client) -> object:
    return list(client.stream_chat(ask()))


def chat_async(client: Client) -> object:
    return asyncio.run(client.aio.chat(ask()))


def embed(client: Client) -> object:
    return client.embed(EmbeddingRequest(model=EMBEDDING, texts=("one",)))


def embed_async(client: Client) -> object:
    return asyncio.run(client.aio.embed(EmbeddingRequest(model=EMBEDDING, texts=("one",))))


each_call = pytest.mark.parametrize("call", [chat, stream, chat_async, embed, embed_async])


@pytest.fixture
def service(modelscope_service: LocalService) -> LocalService:
    return modelscope_service


@pytest.fixture
def client(service: LocalService) -> Client:
    return Client(service.token, base_url=service.base_url, ledger=MemoryLedger(), max_retries=2)


def refused(client: Client, call: Call = chat) -> ModelScopeError:
    with pytest.raises(ModelScopeError) as caught:
        call(client)
    return caught.value


# ----------------------------------------------------------------------------- spent


@each_call
@pytest.mark.parametrize("name", ["model_spent", "account_spent", "balance_spent"])
def test_a_spent_pool_costs_one_request_and_then_none(
    call: Call, name: str, service: LocalService, client: Client
) -> None:
    service.next(name)
    first = refused(client, call)
    rest = [refused(client, call) for _ in range(100)]

    assert len(service.requests) == 1
    assert isinstance(first, QuotaExceededError)
    for later in rest:
        assert type(later) is type(first)
        assert isinstance(later, QuotaExceededError)
        assert (later.scope, later.resets_at) == (first.scope, first.resets_at)
        assert later.details.attempts == 0


@pytest.mark.parametrize(
    ("name", "used", "unit"),
    [
        ("model_spent", 2, "calls"),
        ("account_spent", 3, None),
        ("balance_spent", 4, "magicubes"),
    ],
)
def test_the_first_refusal_tells_what_was_counted_here(
    name: str, used: float, unit: str | None, service: LocalService, client: Client
) -> None:
    other = "Qwen/Qwen3.5-397B-A17B"
    for model in (QWEN, QWEN, other):
        client.chat(ask(model=model))
    service.next(name)
    with pytest.raises(QuotaExceededError) as caught:
        client.chat(ask())
    assert (caught.value.details.used, caught.value.details.unit) == (used, unit)
    assert f"{used:g} {'Magicubes' if unit == 'magicubes' else 'calls'} were counted today" in str(
        caught.value
    )


def test_the_first_refusal_of_a_fresh_ledger_counts_nothing(
    service: LocalService, client: Client
) -> None:
    service.next("model_spent")
    with pytest.raises(QuotaExceededError) as caught:
        client.chat(ask())
    assert caught.value.details.used is None


def draw(client: Client) -> object:
    return client.draw(ImageRequest(model=IMAGE, prompt="a cat", poll_interval=0.001))


def draw_async(client: Client) -> object:
    request = ImageRequest(model=IMAGE, prompt="a cat", poll_interval=0.001)
    return asyncio.run(client.aio.draw(request))


def stream_async(client: Client) -> object:
    async def read() -> object:
        return [delta async for delta in await client.aio.stream_chat(ask())]

    return asyncio.run(read())


def events(*payloads: Any) -> Reply:
    body = "".join(f"data: {json.dumps(payload)}\n\n" for payload in payloads)
    return Reply(200, body.encode(), {"content-type": "text/event-stream"})


SPENT = {"message": "insufficient balance"}
BEGUN = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Five"}}]}
# where the same words may stand: in a refusal, in a success, first in a stream, in the middle of
# one, in a task that was accepted and failed
PLACES: list[tuple[str, Any, list[Call]]] = [
    ("error", Reply(429, {"error": SPENT}), [chat, chat_async, stream, stream_async]),
    ("errors", Reply(429, {"errors": SPENT}), [chat, embed, draw, draw_async]),
    ("inside a 200", Reply(200, {"error": SPENT}), [chat, chat_async, embed, draw]),
    ("inside a 200, errors", Reply(200, {"errors": SPENT}), [chat, stream]),
    ("first event", events({"error": SPENT}), [stream, stream_async]),
    ("middle of a stream", events(BEGUN, {"error": SPENT}), [stream, stream_async]),
    ("middle of a stream, errors", events(BEGUN, {"errors": SPENT}), [stream, stream_async]),
    ("failed task", "task_spent", [draw, draw_async]),
]


@pytest.mark.parametrize(
    ("said", "call"),
    [
        pytest.param(said, call, id=f"{place}-{call.__name__}")
        for place, said, calls in PLACES
        for call in calls
    ],
)
def test_the_same_words_mean_the_same_wherever_they_stand(
    said: Any, call: Call, service: LocalService, client: Client
) -> None:
    service.next(said)
    error = refused(client, call)
    sent = len(service.requests)

    if isinstance(error, StreamInterruptedError):  # what had arrived is in it
        assert isinstance(error.__cause__, QuotaExceededError)
        error = error.__cause__
    assert isinstance(error, QuotaExceededError)
    assert (error.reason, error.scope, error.details.unit) == (
        "balance_short",
        "account",
        "magicubes",
    )
    assert error.resets_at is not None
    for again in (call, chat, embed):
        later = refused(client, again)
        assert isinstance(later, QuotaExceededError)
        assert (later.reason, later.resets_at) == (error.reason, error.resets_at)
    assert len(service.requests) == sent
    assert client.quotas()[0].refused_from == 1


def test_another_model_is_still_served(service: LocalService, client: Client) -> None:
    service.next("model_spent")
    refused(client)
    for _ in range(5):
        assert client.chat(ask(GLM)).text
    refused(client)
    assert len(service.requests) == 1 + 5


def test_other_clients_of_the_account_know_and_other_accounts_do_not(
    service: LocalService, client: Client
) -> None:
    ledger = client.ledger
    twin = Client(service.token, base_url=service.base_url, ledger=ledger)
    stranger = Client("ms-somebody-else", base_url=service.base_url, ledger=ledger)
    service.next("account_spent")
    refused(client)

    assert isinstance(refused(twin), QuotaExceededError)
    assert len(service.requests) == 1
    assert stranger.chat(ask()).text


def test_tokens_of_one_account_may_be_counted_as_one(service: LocalService) -> None:
    ledger = MemoryLedger()
    of_me: dict[str, Any] = {"base_url": service.base_url, "ledger": ledger, "account": "me"}
    service.next("account_spent")
    refused(Client("ms-old-token", **of_me))
    assert isinstance(refused(Client("ms-new-token", **of_me)), QuotaExceededError)
    assert len(service.requests) == 1


def test_the_pool_opens_again_at_its_reset(service: LocalService) -> None:
    clock = Hands()
    client = Client(service.token, base_url=service.base_url, ledger=MemoryLedger(clock))
    service.next("account_spent")
    error = refused(client)
    assert isinstance(error, QuotaExceededError)
    assert error.resets_at is not None

    clock.now = error.resets_at.timestamp() - 1
    refused(client)
    clock.now += 1
    assert client.chat(ask()).text


def test_without_a_ledger_every_call_asks(service: LocalService) -> None:
    client = Client(service.token, base_url=service.base_url, ledger=None)
    service.next("model_spent", "model_spent")
    refused(client)
    refused(client)
    assert len(service.requests) == 2
    assert client.ledger is None


CHILD = """
import sys
from modelscope_transport import ChatRequest, Client, Message, QuotaExceededError
from modelscope_transport.client.core import Core
Core._looks = {}  # the service's books are not to be had
client = Client(sys.argv[1], base_url=sys.argv[2], ledger=sys.argv[3])
try:
    client.chat(ChatRequest(model=sys.argv[4], messages=(Message("user", "2+3?"),)))
except QuotaExceededError as error:
    print(error.scope)
"""


def test_another_process_knows_it_too(service: LocalService, tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    service.next("account_spent")
    refused(Client(service.token, base_url=service.base_url, ledger=str(path)))

    words = [sys.executable, "-c", CHILD, service.token, service.base_url, str(path), QWEN]
    said = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert said.strip() == "account"
    assert len(service.requests) == 1


# ---------------------------------------------------------------------- too fast


def test_a_wait_that_was_asked_for_is_kept(
    service: LocalService, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("modelscope_transport.calls.driver.time.sleep", slept.append)
    service.next("throttled:2")
    assert client.chat(ask()).text
    assert (len(service.requests), slept) == (2, [2])


def test_a_wait_beyond_the_deadline_is_an_error_now(service: LocalService, client: Client) -> None:
    service.next("throttled:3600")
    with pytest.raises(RateLimitError) as caught:
        client.chat(ask(timeout=5))
    assert caught.value.retry_after == 3600
    assert len(service.requests) == 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Hands:
    """The ledger's clock; whoever sleeps moves it."""
    clock = Hands()

    def sleep(seconds: float) -> None:
        clock.now += seconds

    monkeypatch.setattr("modelscope_transport.calls.driver.time.sleep", sleep)
    return clock


@pytest.mark.parametrize("name", ["throttled_silently", "too_many_tokens", "limit_exceeded"])
def test_unexplained_refusals_make_a_pause_of_seconds_that_a_call_waits_out(
    name: str, service: LocalService, clock: Hands
) -> None:
    begun = clock.now
    client = Client(service.token, base_url=service.base_url, ledger=MemoryLedger(clock))
    service.next(name, name)
    assert client.chat(ask()).text
    assert len(service.requests) == 3
    assert clock.now - begun == pytest.approx(15, abs=0.1)  # 5 s, then 10


def test_a_success_of_another_process_ends_the_pause_that_a_call_waits_out(
    service: LocalService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, path = Hands(), tmp_path / "ledger.sqlite3"
    client, other = (
        Client(service.token, base_url=service.base_url, ledger=SQLiteLedger(path, clock))
        for _ in range(2)
    )
    # In another process a call is on its way while this one's is refused.
    assert client.ledger is not None
    assert other.ledger is not None
    slow = other.ledger.reserve(other.account, QWEN)
    assert isinstance(slow, Reservation)
    begun, on_its_way = clock.now, [slow]

    def sleep(seconds: float) -> None:
        clock.now += seconds
        if clock.now - begun >= 2 and on_its_way:
            other.ledger.blocked(other.account, QWEN)
            other.ledger.settle(on_its_way.pop(), Closing(charged=True))

    monkeypatch.setattr("modelscope_transport.calls.driver.time.sleep", sleep)
    service.next("too_many_tokens")
    assert client.chat(ask()).text
    assert clock.now - begun < 4  # of the 5 s
    assert len(service.requests) == 2


@pytest.mark.parametrize("seconds", [3, 12])
def test_a_trial_of_another_process_is_waited_for_while_the_deadline_allows_it(
    seconds: int, service: LocalService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, path = Hands(), tmp_path / "ledger.sqlite3"
    client, other = (
        Client(service.token, base_url=service.base_url, ledger=SQLiteLedger(path, clock))
        for _ in range(2)
    )
    assert other.ledger is not None
    tried, under_way = other.ledger, [other.ledger.reserve(other.account, QWEN)]
    tried.settle(under_way.pop(), Closing(charged=False, unexplained=""))
    clock.now += 5
    under_way.append(tried.reserve(other.account, QWEN))
    begun = clock.now

    def sleep(time: float) -> None:
        clock.now += time
        if clock.now - begun >= seconds and under_way:
            tried.settle(under_way.pop(), Closing(charged=True))

    monkeypatch.setattr("modelscope_transport.calls.driver.time.sleep", sleep)
    assert client.chat(ask(timeout=20)).text
    assert clock.now - begun == seconds


def test_a_trial_that_outlasts_the_deadline_is_an_error_that_asks_for_a_moment(
    service: LocalService, clock: Hands
) -> None:
    client = Client(service.token, base_url=service.base_url, ledger=MemoryLedger(clock))
    assert client.ledger is not None
    given = client.ledger.reserve(client.account, QWEN)
    client.ledger.settle(given, Closing(charged=False, unexplained=""))
    clock.now += 5
    client.ledger.reserve(client.account, QWEN)
    with pytest.raises(RateLimitError) as caught:
        client.chat(ask(timeout=0.5))
    assert (caught.value.reason, caught.value.retry_after) == ("paused", 1)
    assert not service.requests


@pytest.mark.parametrize("name", ["throttled_silently", "too_many_tokens", "limit_exceeded"])
def test_a_pause_beyond_the_deadline_is_an_error_without_a_request(
    name: str, service: LocalService, clock: Hands
) -> None:
    client = Client(service.token, base_url=service.base_url, ledger=MemoryLedger(clock))
    service.next(*[name] * 3)
    assert isinstance(refused(client), RateLimitError)
    assert len(service.requests) == 3
    for _ in range(20):
        with pytest.raises(RateLimitError) as caught:
            client.chat(ask(timeout=4))
        assert caught.value.reason == "paused"
    assert len(service.requests) == 3
    assert client.chat(ask(GLM)).text  # others are not paused

    clock.now += 20
    assert client.chat(ask()).text
    service.next(name)
    assert client.chat(ask()).text  # a success has ended it: 5 s again


@pytest.mark.parametrize(
    "name", ["throttled_silently:0", "limit_exceeded:0", "too_many_requests", "too_concurrent"]
)
def test_a_wait_and_words_of_speed_shut_nothing(
    name: str, service: LocalService, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelscope_transport.calls.driver.time.sleep", lambda _: None)
    if name == "throttled_silently:0":
        refusals: list[Any] = [Reply(429, b"", {"retry-after": "0"})] * 3
    else:
        refusals = [name] * 3
    service.next(*refusals)
    assert isinstance(refused(client), RateLimitError)
    assert len(service.requests) == 3
    assert client.chat(ask()).text
    assert len(service.requests) == 4


def test_a_balance_too_small_for_one_model_leaves_cheaper_ones(
    service: LocalService, clock: Hands
) -> None:
    with LocalService(allowance="magicubes=1", clock=clock) as small:
        client = Client(small.token, base_url=small.base_url, ledger=MemoryLedger(clock))
        dear, cheap = "Qwen/Qwen3.5-397B-A17B", "nex-agi/Nex-N2.5-mini"
        with pytest.raises(QuotaExceededError) as caught:
            client.chat(ask(dear))
        assert caught.value.details.price == 2
        assert client.chat(ask(dear, fallback_models=(cheap,))).text
        assert client.chat(ask(cheap)).text
        with pytest.raises(QuotaExceededError):
            client.chat(ask(dear))
        assert len(small.requests) == 3


def test_a_402_shuts_nothing(
    service: LocalService, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelscope_transport.calls.driver.time.sleep", lambda _: None)
    service.next("provider_unpaid")
    assert client.chat(ask()).text
    assert len(service.requests) == 2


def test_a_named_throttle_makes_no_pause(
    service: LocalService, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelscope_transport.calls.driver.time.sleep", lambda _: None)
    service.next(*["throttled"] * 3)
    assert isinstance(refused(client), RateLimitError)
    assert client.chat(ask()).text


# ------------------------------------------------------------------------------ gone


def test_a_withdrawn_model_leaves_the_accounts_pool_alone(
    service: LocalService, client: Client
) -> None:
    service.next("retired_1008")
    assert isinstance(refused(client), ModelNotServedError)
    assert client.chat(ask(GLM)).text
    assert client.ledger is not None
    assert not any(quota.spent for quota in client.quotas())


# --------------------------------------------------------------- what is counted


def test_what_the_service_tells_is_taken_over(service: LocalService) -> None:
    with LocalService(allowance=Allowance(calls_per_day=10, headers=True)) as elsewhere:
        mine = Client(elsewhere.token, base_url=elsewhere.base_url, ledger=MemoryLedger())
        others = Client(elsewhere.token, base_url=elsewhere.base_url, ledger=MemoryLedger())
        for _ in range(4):
            others.chat(ask(GLM))
        mine.chat(ask())

        whole = mine.quotas()[0]
        assert (whole.unit, whole.limit, whole.used, whole.remaining) == ("calls", 10, 5, 5)
        assert whole.kind == "reported"


@pytest.mark.parametrize("number", ["", "-5", "many", "1e3", "٣", "9" * 40, "0x10", "5;5"])
def test_numbers_that_are_none_are_passed_over(
    number: str, service: LocalService, client: Client
) -> None:
    names = ("requests", "model-requests")
    headers = {
        f"modelscope-ratelimit-{name}-{word}": number
        for name in names
        for word in ("limit", "remaining")
    }
    body = {"choices": [{"message": {"content": "5"}, "finish_reason": "stop"}]}
    service.next(Reply(200, body, {name: text for name, text in headers.items() if text.isascii()}))
    assert client.chat(ask()).text == "5"
    assert client.quotas()[0].kind == "estimated"


def test_a_number_that_is_none_is_complained_of_once(
    service: LocalService, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    outcomes._complain.cache_clear()
    body = {"choices": [{"message": {"content": "5"}, "finish_reason": "stop"}]}
    header = "modelscope-ratelimit-requests-remaining"
    for number in ("many", "-5"):
        service.next(Reply(200, body, {header: number}))
        client.chat(ask())
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told == [f"The service sends a {header} that is not a number; it is passed over."]


def test_a_call_that_timed_out_counts_as_spent(service: LocalService, client: Client) -> None:
    service.next("silence")
    with pytest.raises(APITimeoutError):
        client.chat(ask(timeout=0.2))
    assert client.quotas()[0].used == 1


def test_a_call_that_the_service_failed_is_refunded(
    service: LocalService, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelscope_transport.calls.driver.time.sleep", lambda _: None)
    client.chat(ask())
    before = client.quotas()
    service.next(*["server_error"] * 3)
    assert isinstance(refused(client), ServerError)
    assert client.quotas() == before


async def test_a_call_that_was_sent_and_cancelled_stays_counted(
    service: LocalService, client: Client
) -> None:
    """It may have been served: only the service can say that it was not."""
    await client.aio.chat(ask())
    before = client.quotas()[0].used
    service.next("silence")
    call = asyncio.create_task(client.aio.chat(ask()))
    while len(service.requests) < 2:  # noqa: ASYNC110 - the service is in another thread
        await asyncio.sleep(0.001)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert client.quotas()[0].used == 2 * before


async def test_a_file_is_never_waited_for_in_the_loop(
    service: LocalService, tmp_path: Path
) -> None:
    """Somebody holds the ledger's lock; other tasks go on meanwhile."""
    import sqlite3

    path = tmp_path / "ledger.sqlite3"
    client = Client(service.token, base_url=service.base_url, ledger=SQLiteLedger(path))
    await client.aio.chat(ask())
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")

    call = asyncio.create_task(client.aio.chat(ask()))
    for _ in range(50):  # turns of the loop, while the call waits for the lock
        await asyncio.sleep(0.001)
        assert not call.done()
    assert len(service.requests) == 1
    holder.execute("ROLLBACK")
    holder.close()
    assert (await call).text


# ------------------------------------------------------------------------- budgets, messages


def test_a_budget_is_refused_by_the_same_class_without_a_request(service: LocalService) -> None:
    client = Client(
        service.token, base_url=service.base_url, ledger=MemoryLedger(), budget=Budget(calls=2)
    )
    client.chat(ask())
    client.chat(ask(GLM))
    error = refused(client)
    assert isinstance(error, QuotaExceededError)
    assert (error.reason, error.limit, error.details.used) == ("budget_spent", 2, 2)
    assert "2 of 2 calls a day are used" in str(error)
    assert len(service.requests) == 2


def test_a_message_says_which_pool_how_much_until_when_and_what_else(
    service: LocalService, client: Client
) -> None:
    for _ in range(3):
        client.chat(ask())
    service.next("model_spent")
    refused(client)
    text = str(refused(client))

    assert f"allowance of model {QWEN!r} is spent" in text
    assert "3 calls were counted today" in text
    assert "00:00 UTC+8" in text
    assert " here), in " in text
    assert "fallback_models" in text
    assert "Perhaps: " in text


def test_messages_are_told_in_chinese(service: LocalService, client: Client) -> None:
    service.next("account_spent")
    speak("zh")
    try:
        text = str(refused(client))
        later = str(refused(client))
    finally:
        speak(None)
    assert text.startswith("账号的免费额度已用完。")
    assert "恢复时间：" in text
    assert "UTC+8" in later

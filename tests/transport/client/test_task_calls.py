"""Images, pipelines, ranking and the choice of a task, on the local service."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from modelscope_transport import (
    APITimeoutError,
    Client,
    ConfigurationError,
    ContentRefusedError,
    InvalidRequestError,
    ModelNotServedError,
    ModelScopeError,
    QuotaExceededError,
    UnexpectedReplyError,
    UnsupportedTaskError,
)
from modelscope_transport.catalogue.models import profile_for
from modelscope_transport.emulator import LocalService, Model, Reply, Request
from modelscope_transport.http.endpoints import EndpointResolver
from modelscope_transport.media import media_type_of
from modelscope_transport.task_types import (
    Entity,
    ImageRequest,
    ImageResult,
    PipelineRequest,
    RerankRequest,
)

PAINTER, EDITOR, CHAT = (
    "Qwen/Qwen-Image",
    "Qwen/Qwen-Image-Edit",
    "Qwen/Qwen3-235B-A22B-Instruct-2507",
)
MOOD = "damo/nlp_structbert_sentiment-classification_chinese-base"
NAMES = "damo/nlp_raner_named-entity-recognition_chinese-base-news"

Draw = Callable[..., ImageResult]


@pytest.fixture
def service() -> Iterator[LocalService]:
    models = [
        Model("own/Painter", "image"),
        Model("own/Seer", vision=True),
        Model("own/Video", "pipeline", task="text-to-video-synthesis"),
        Model("own/Odd", "pipeline", task="protein-structure"),
    ]
    with LocalService(models=models) as service:
        yield service


@pytest.fixture
def client(service: LocalService) -> Client:
    return Client(service.token, base_url=service.base_url)


@pytest.fixture(params=["sync", "async"])
def play(request: pytest.FixtureRequest, client: Client) -> Callable[..., Any]:
    """Call a method of the client, first sync, then async."""

    def call(name: str, *args: Any, **kwargs: Any) -> Any:
        if request.param == "sync":
            return getattr(client, name)(*args, **kwargs)
        return asyncio.run(getattr(client.aio, name)(*args, **kwargs))

    return call


@pytest.fixture
def draw(play: Callable[..., Any]) -> Draw:
    def call(model: str = PAINTER, prompt: str = "a red fox", **fields: Any) -> ImageResult:
        asked = {"size": "96x64", "poll_interval": 0.01, **fields}
        result: ImageResult = play("draw", ImageRequest(model=model, prompt=prompt, **asked))
        return result

    return call


def paths(service: LocalService) -> list[str]:
    return [request.path for request in service.requests]


def submissions(service: LocalService) -> int:
    return paths(service).count("/v1/images/generations")


# --- images


def test_an_image_is_drawn_and_fetched(draw: Draw, service: LocalService) -> None:
    result = draw()

    assert result.image.data is not None
    assert media_type_of(result.image.data) == result.image.media_type == "image/png"
    assert result.image.data_url.startswith("data:image/png;base64,")
    submit, *looks, fetch = service.requests
    assert submit.headers["x-modelscope-async-mode"] == "true"
    assert submit.body == {"model": PAINTER, "prompt": "a red fox", "size": "96x64"}
    assert looks
    for look in looks:
        assert look.path == f"/v1/tasks/{result.task_id}"
        assert look.headers["x-modelscope-task-type"] == "image_generation"
        assert look.method == "GET"
        assert not look.content
    assert fetch.path.startswith("/images/")


def test_an_image_starts_from_another(draw: Draw, service: LocalService) -> None:
    first = draw()
    second = draw(EDITOR, "make it blue", images=(first.image.data_url,))

    assert second.image.data != first.image.data
    (given,) = service.requests[-4].body["image_url"]
    assert given == first.image.data_url


def test_the_token_goes_to_nobody_but_the_service(
    service: LocalService, client: Client, canary: str
) -> None:
    with LocalService() as storage:
        elsewhere = f"{storage.root_url}/images/x.png"
        client = Client(canary, base_url=service.base_url, default_headers={"x-private": "1"})
        ask = ImageRequest(
            model=PAINTER, prompt="x", poll_interval=0.01, extra_headers={"x-too": "2"}
        )
        service.next(
            Reply(200, {"task_status": "SUCCEED", "output_images": [elsewhere]}),
        )
        with pytest.raises(UnexpectedReplyError) as caught:
            client.draw(ask)
        assert caught.value.reason == "forbidden_address"
        assert not storage.requests
    assert service.requests[0].headers["authorization"] == f"Bearer {canary}"
    assert service.requests[0].headers["x-private"] == "1"
    resolver = EndpointResolver(client._core.settings)
    public = resolver.resolve("https://storage.example/images/x.png")
    request = resolver.request(public, b"", time.monotonic() + 9, extra={"x-too": "2"})
    assert set(request.headers) == {"host", "user-agent", "accept-encoding"}


@pytest.mark.parametrize(
    ("scenario", "error", "reason"),
    [
        ("task_refused", ContentRefusedError, "content_refused"),
        ("task_busy", ModelScopeError, "server_busy"),
        ("task_spent", QuotaExceededError, "balance_short"),
        ("task_message", ModelScopeError, "unexplained"),
        ("task_gone", InvalidRequestError, "task_not_found"),
        ("task_empty", ModelScopeError, "empty"),
        ("task_broken", UnexpectedReplyError, "image_not_there"),
        ("task_foreign", UnexpectedReplyError, "forbidden_address"),
    ],
)
def test_a_task_that_fails_is_a_typed_error_and_one_submission(
    scenario: str, error: type[ModelScopeError], reason: str, draw: Draw, service: LocalService
) -> None:
    service.next(scenario)
    with pytest.raises(error) as caught:
        draw()
    assert caught.value.reason == reason
    assert caught.value.details.task_id
    assert submissions(service) == 1


@pytest.mark.parametrize(
    "scenario", ["task_slow:4", "task_pending:2", "task_running:2", "task_trouble:2"]
)
def test_a_task_that_takes_its_time_is_waited_for(
    scenario: str, draw: Draw, service: LocalService
) -> None:
    service.next(scenario)
    assert draw().image.data
    assert submissions(service) == 1


def test_a_model_that_is_not_served_is_accepted_and_fails(draw: Draw) -> None:
    with pytest.raises(ModelNotServedError) as caught:
        draw("somebody/Unserved-Painter")
    assert caught.value.reason == "not_served"


def test_who_stops_waiting_looks_after_the_task_later(draw: Draw, service: LocalService) -> None:
    service.next("task_slow:2")
    with pytest.raises(APITimeoutError) as caught:
        draw(timeout=5.0, poll_interval=10.0)
    assert caught.value.reason == "unfinished"

    result = draw(prompt="", task_id=caught.value.details.task_id)
    assert result.image.data
    assert submissions(service) == 1


@pytest.mark.usefixtures("books_closed")
def test_a_spent_account_costs_one_request_and_then_none(draw: Draw, service: LocalService) -> None:
    service.next("balance_spent_images")
    for _ in range(3):
        with pytest.raises(QuotaExceededError):
            draw()
    assert len(service.requests) == 1


def test_a_chat_model_draws_nothing_and_is_not_asked(draw: Draw, service: LocalService) -> None:
    with pytest.raises(UnsupportedTaskError, match="ChatModelScope"):
        draw(CHAT)
    assert not service.requests


def test_what_is_out_of_range_is_not_sent(draw: Draw, service: LocalService) -> None:
    with pytest.raises(InvalidRequestError, match="size"):
        draw(size="2000x2000")
    assert not service.requests


def test_the_service_refuses_a_second_task_and_none_is_begun() -> None:
    """Threads and event loops wait for one another, also where the service would say no."""
    with LocalService(allowance="concurrency=1") as service:
        client = Client(service.token, base_url=service.base_url, max_retries=0)
        ask = ImageRequest(model=PAINTER, prompt="x", size="64x64", poll_interval=0.01)

        async def two() -> list[ImageResult]:
            return await asyncio.gather(*(client.aio.draw(ask) for _ in range(2)))

        with ThreadPoolExecutor(3) as pool:
            drawn = [pool.submit(client.draw, ask) for _ in range(2)]
            drawn_in_loop = pool.submit(asyncio.run, two())
            results = [each.result() for each in drawn] + drawn_in_loop.result()
    assert len({result.task_id for result in results}) == 4


def test_more_at_once_by_choice(service: LocalService) -> None:
    client = Client(service.token, base_url=service.base_url, image_tasks=2)
    met = threading.Barrier(2, timeout=20)

    def wait(*_: Any) -> bytes:
        met.wait()
        return b""

    ask = ImageRequest(model=PAINTER, prompt="x", size="64x64", poll_interval=0.01)
    run = client._core.driver.run

    def run_together(*args: Any) -> Any:
        wait()
        return run(*args)

    client._core.driver.run = run_together  # type: ignore[method-assign]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(client.draw, [ask, ask]))
    assert len(results) == 2


def test_a_turn_that_does_not_come_is_a_timeout_and_no_request(service: LocalService) -> None:
    client = Client(service.token, base_url=service.base_url)
    slot = client._core.image_limiter.try_acquire()
    assert slot is not None
    with ThreadPoolExecutor(1) as pool, pytest.raises(APITimeoutError) as caught:
        pool.submit(client.draw, ImageRequest(model=PAINTER, prompt="x", timeout=0.05)).result()
    slot.release()
    assert caught.value.reason == "no_turn"
    assert not service.requests


class Arrivals(list[Request]):
    """A service's record of requests that tells when a task is first looked after."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._loop = loop
        self.of_a_look = asyncio.Event()

    def append(self, request: Request) -> None:
        super().append(request)
        if request.path.startswith("/v1/tasks/"):
            self._loop.call_soon_threadsafe(self.of_a_look.set)


async def test_a_cancelled_task_is_asked_after_no_more_and_gives_its_turn_back(
    client: Client, service: LocalService
) -> None:
    service.next("task_slow:1000000")
    ask = ImageRequest(model=PAINTER, prompt="x", size="64x64", poll_interval=0.01)
    service.requests = arrived = Arrivals(asyncio.get_running_loop())
    drawing = asyncio.create_task(client.aio.draw(ask))
    await arrived.of_a_look.wait()
    drawing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await drawing
    seen = len(service.requests)

    result = await client.aio.draw(ask)
    assert result.image.data
    assert paths(service)[seen] == "/v1/images/generations"


# --- classic pipelines


def test_a_pipeline_answers_in_the_types_of_its_task(play: Callable[..., Any]) -> None:
    mood = play(
        "run", PipelineRequest(model=MOOD, task="sentiment-classification", input="很好，我喜欢")
    )
    assert [label.label for label in mood.output] == ["正面", "负面"]
    assert mood.output[0].score > mood.output[1].score
    names = play(
        "run",
        PipelineRequest(model=NAMES, task="named-entity-recognition", input="We met Ann Lee."),
    )
    assert Entity("NAME", "Ann Lee", 7, 14) in names.output
    assert names.origin.model == NAMES


def test_a_pipeline_is_asked_beside_the_base_url(
    play: Callable[..., Any], service: LocalService
) -> None:
    play(
        "run",
        PipelineRequest(
            model=MOOD,
            task="sentiment-classification",
            input="好",
            parameters={"topk": 1},
            extra_body={"more": True},
        ),
    )
    (request,) = service.requests
    assert request.path == f"/api-inference/v1/models/{MOOD}"
    assert request.body == {"input": "好", "parameters": {"topk": 1}, "more": True}


def test_an_address_that_is_gone_says_that_it_was_never_documented(
    play: Callable[..., Any],
) -> None:
    with pytest.raises(ModelNotServedError) as caught:
        play(
            "run", PipelineRequest(model="damo/nlp_x_translation_y", task="translation", input="x")
        )
    assert caught.value.reason == "undocumented"
    assert "undocumented by the service" in str(caught.value)
    assert caught.value.status_code == 404


# --- ranking

DOCUMENTS = ("Bananas are yellow.", "Paris is the capital of France.", "Dogs bark at night.")


def test_documents_are_put_in_order_by_one_call(
    play: Callable[..., Any], service: LocalService
) -> None:
    result = play(
        "rerank", RerankRequest(model=CHAT, query="the capital of France", documents=DOCUMENTS)
    )
    assert result.ordered
    assert result.ranks[0].index == 1
    assert len(service.requests) == 1
    assert result.usage.total_tokens > 0


@pytest.mark.parametrize("documents", [(), ("only one",)])
def test_what_needs_no_order_costs_nothing(
    documents: tuple[str, ...], play: Callable[..., Any], service: LocalService
) -> None:
    result = play("rerank", RerankRequest(model=CHAT, query="x", documents=documents))
    assert [rank.index for rank in result.ranks] == list(range(len(documents)))
    assert not service.requests


def test_a_reranker_model_is_refused_with_what_to_do_instead(
    play: Callable[..., Any], service: LocalService
) -> None:
    asked = RerankRequest(model="Qwen/Qwen3-Reranker-8B", query="x", documents=DOCUMENTS)
    with pytest.raises(UnsupportedTaskError, match="chat model"):
        play("rerank", asked)
    assert not service.requests


# --- which task


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    profile_for.cache_clear()
    yield tmp_path / "modelscope-adapters" / "models.json"
    profile_for.cache_clear()


@pytest.mark.usefixtures("cache")
class TestTask:
    @pytest.mark.parametrize(
        ("model", "task", "expected"),
        [
            (CHAT, None, "chat"),
            (CHAT, "text-generation", "text-generation"),
            ("Qwen/Qwen3-Embedding-8B", None, "embedding"),
            (EDITOR, None, "image-to-image"),
            (f"{CHAT}:DashScope", None, "chat"),
            (MOOD, None, "sentiment-classification"),
            (MOOD, "text-classification", "text-classification"),
            (
                "damo/nlp_corom_sentence-embedding_x",
                "sentence-embedding",
                "classic-sentence-embedding",
            ),
            ("somebody/Unknown", "text-to-image-synthesis", "text-to-image-synthesis"),
        ],
    )
    def test_what_is_known_needs_no_request(
        self,
        model: str,
        task: str | None,
        expected: str,
        play: Callable[..., Any],
        service: LocalService,
    ) -> None:
        assert play("task_of", model, task).name == expected
        assert not service.requests

    @pytest.mark.parametrize(
        ("model", "expected"),
        [
            ("own/Painter", "text-to-image-synthesis"),
            ("own/Seer", "image-text-to-text"),
            ("own/Seer:DashScope", "image-text-to-text"),
            ("own/Odd", "chat"),  # a task that nobody here knows: taken to chat, as any unknown
        ],
    )
    def test_what_nobody_knows_is_looked_up_at_the_hub(
        self, model: str, expected: str, play: Callable[..., Any], service: LocalService
    ) -> None:
        assert play("task_of", model).name == expected
        assert paths(service) == [f"/api/v1/models/{model.partition(':')[0]}"]

    def test_what_the_hub_said_is_kept_for_all_processes(
        self, play: Callable[..., Any], service: LocalService, cache: Path
    ) -> None:
        play("task_of", "own/Painter")
        profile_for.cache_clear()
        assert "own/Painter" in cache.read_text()
        assert play("task_of", "own/Painter").name == "text-to-image-synthesis"
        assert profile_for("own/Painter").source == "the hub's page of the model"
        assert len(service.requests) == 1

    def test_the_look_up_can_be_switched_off(
        self, play: Callable[..., Any], service: LocalService
    ) -> None:
        assert play("task_of", "own/Painter", look_up=False).name == "chat"
        assert not service.requests

    @pytest.mark.parametrize("model", ["somebody/Unknown", "Qwen/Qwen3-8Bb"])
    def test_a_model_that_the_hub_does_not_have_is_no_model(
        self, model: str, play: Callable[..., Any]
    ) -> None:
        with pytest.raises(ModelNotServedError, match="hub has no model") as caught:
            play("task_of", model)
        assert ("Qwen/Qwen3-8B" in caught.value.details.alternatives) == model.startswith("Qwen")

    @pytest.mark.parametrize("model", ["qwen/qwen3-8b", "QWEN/Qwen3-8B", "Qwen/qwen3-embedding-8b"])
    def test_wrong_capitals_are_answered_with_the_right_ones(
        self, model: str, play: Callable[..., Any], service: LocalService
    ) -> None:
        with pytest.raises(ModelNotServedError, match=r"case-sensitive\. Perhaps Qwen/Qwen3-"):
            play("task_of", model)
        assert not service.requests

    def test_a_hub_that_does_not_answer_leaves_the_model_to_chat(
        self, service: LocalService
    ) -> None:
        client = Client(service.token, base_url=service.base_url, max_retries=0)
        service.stop()
        assert client.task_of("somebody/Unknown").name == "chat"

    def test_a_service_of_ones_own_has_no_hub(self) -> None:
        client = Client("ms-x", base_url="https://models.example.com/v1")
        assert client.task_of("somebody/Unknown").name == "chat"

    def test_work_that_nobody_serves_is_refused(self, play: Callable[..., Any]) -> None:
        with pytest.raises(UnsupportedTaskError, match="text-to-video-synthesis"):
            play("task_of", "own/Video")

    def test_a_task_that_contradicts_the_model_is_refused(self, play: Callable[..., Any]) -> None:
        with pytest.raises(UnsupportedTaskError, match="ChatModelScope"):
            play("task_of", CHAT, "text-to-image-synthesis")
        with pytest.raises(ConfigurationError, match="text-to-image-synthesis"):
            play("task_of", CHAT, "text-to-image")

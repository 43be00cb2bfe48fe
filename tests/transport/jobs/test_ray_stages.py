"""The stages of Ray Data, called as Ray calls them; the cluster itself is in tests/scale."""

from __future__ import annotations

import math
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from modelscope_transport import (
    AuthenticationError,
    ConfigurationError,
    EmbeddingResult,
    ResponseCache,
)
from modelscope_transport.emulator import LocalService, Reply
from modelscope_transport.jobs.ray import ChatStage, EmbeddingStage
from tests.transport.quota.redis_server import RedisServer

QWEN = "Qwen/Qwen3-Coder-30B-A3B-Instruct"
EMBEDDER = "Qwen/Qwen3-Embedding-0.6B"


@pytest.fixture
def service(modelscope_service: LocalService, monkeypatch: pytest.MonkeyPatch) -> LocalService:
    monkeypatch.setenv("MODELSCOPE_API_BASE", modelscope_service.base_url)
    monkeypatch.setenv("MODELSCOPE_API_KEY", modelscope_service.token)
    return modelscope_service


def block(*texts: str) -> dict[str, Any]:
    return {"id": np.arange(len(texts)), "text": np.array(texts, dtype=object)}


def test_one_question_a_row_and_the_other_columns_go_on(service: LocalService) -> None:
    stage = ChatStage(QWEN, prompt="Translate {id}: {text}", system="Be brief.")
    rows = stage(block("one", "two"))
    assert list(rows) == ["id", "text", "answer", "answer_error"]
    assert list(rows["answer"]) == [
        f"You said: “Translate {n}: {t}”." for n, t in ((0, "one"), (1, "two"))
    ]
    assert list(rows["answer_error"]) == [None, None]
    assert service.requests[0].body["messages"][0]["content"] == "Be brief."
    assert stage(block())["answer"].shape == (0,)


def test_braces_in_a_value_mean_nothing(service: LocalService) -> None:
    stage = ChatStage(QWEN, prompt='{text}, {id}, {"text": {other}}')
    [answer] = stage({"text": ["{id} and {text}"], "id": [7]})["answer"]
    assert answer == 'You said: “{id} and {text}, 7, {"text": {other}}”.'


@pytest.mark.parametrize("prompt", ["Hello", "{txt}", "{ text }"])
def test_a_prompt_without_a_column_of_the_data_costs_nothing(
    prompt: str, service: LocalService
) -> None:
    with pytest.raises(ConfigurationError, match="there are id, text"):
        ChatStage(QWEN, prompt=prompt)(block("one", "two"))
    assert not service.requests


def test_a_column_of_messages_and_a_row_that_fails_by_its_own_fault(service: LocalService) -> None:
    service.next("honest", "context_length")
    turns = np.empty(2, dtype=object)
    turns[:] = [[{"role": "user", "content": text}] for text in ("Hi", "Bye")]
    rows = ChatStage(QWEN, messages="turns", output="said", workers=1)({"turns": turns})
    assert rows["said"][0] == "You said: “Hi”."
    assert rows["said"][1] is None
    assert "longer than the window" in rows["said_error"][1]


@pytest.mark.parametrize("nothing", [None, math.nan])
def test_a_row_in_which_nothing_stands_fails_alone_and_costs_nothing(
    nothing: Any, service: LocalService
) -> None:
    column = np.empty(3, dtype=object)
    column[:] = ["one", nothing, "three"]
    rows = ChatStage(QWEN, prompt="{text}", workers=1)({"text": column})
    assert list(rows["answer"]) == ["You said: “one”.", None, "You said: “three”."]
    assert rows["answer_error"][1].startswith("The column text holds nothing in this row.")
    rows = EmbeddingStage(EMBEDDER)({"text": column})
    assert [vector is None for vector in rows["embedding"]] == [False, True, False]
    assert [error is None for error in rows["embedding_error"]] == [True, False, True]
    assert len(service.requests) == 3


def test_an_empty_text_is_not_embedded_and_takes_no_other_with_it(service: LocalService) -> None:
    rows = EmbeddingStage(EMBEDDER)(block("one", "", "three"))
    assert [vector is None for vector in rows["embedding"]] == [False, True, False]
    assert rows["embedding_error"][1].startswith("The column text holds nothing in this row.")


@pytest.mark.parametrize("turns", ["Hi", ["Hi"], [{"content": "Hi"}], [], 7, None])
def test_a_row_whose_messages_are_none_fails_alone(turns: Any, service: LocalService) -> None:
    column = np.empty(2, dtype=object)
    column[:] = [turns, [{"role": "user", "content": "Hi"}]]
    rows = ChatStage(QWEN, messages="turns")({"turns": column})
    assert list(rows["answer"]) == [None, "You said: “Hi”."]
    assert rows["answer_error"][0]
    assert len(service.requests) == 1


def test_a_row_without_an_answer_for_want_of_allowance_does_not_go_on(
    service: LocalService,
) -> None:
    service.next("honest", "honest", "model_spent")
    stage = ChatStage(QWEN, prompt="{text}", workers=1, wait=False)
    assert list(stage(block("one", "two", "three", "four"))["id"]) == [0, 1]


def test_progress_and_allowance_stand_in_ray_datas_own_log(
    service: LocalService, caplog: pytest.LogCaptureFixture
) -> None:
    service.next("honest", "context_length", "account_spent")
    stage = ChatStage(QWEN, prompt="{text}", workers=1, wait=False, client={"ledger": "memory"})
    assert len(stage(block("one", "two", "three"))["id"]) == 2
    ended, progress = [
        record.getMessage() for record in caplog.records if record.name.startswith("ray.data.")
    ]
    assert ended.startswith("The stage ends with what it has: ")
    assert "comes back at" in ended
    assert progress.startswith(f"{QWEN}: 1 answered, 1 failed in this block; ")
    assert progress.endswith(" left")


def test_what_is_wrong_with_all_ends_the_job(service: LocalService) -> None:
    service.next("authentication_failed")
    with pytest.raises(AuthenticationError):
        ChatStage(QWEN, prompt="{text}")(block("one"))
    with pytest.raises(ConfigurationError, match="prompt="):
        ChatStage(QWEN)


class Person(msgspec.Struct):
    name: str


def test_an_object_of_a_schema_comes_as_json(service: LocalService) -> None:
    content = 'Here: {"name": "Li"}'
    choice = {"message": {"content": content}, "finish_reason": "stop"}
    service.next(Reply(200, {"choices": [choice]}))
    rows = ChatStage(QWEN, prompt="{text}", schema=Person)(block("one"))
    assert rows["answer"][0] == '{"name":"Li"}'


def test_a_stage_pickles_small_and_without_the_token(service: LocalService) -> None:
    stage = ChatStage(QWEN, prompt="{text}", client={"ledger": "memory"})
    packed = pickle.dumps(stage)
    assert len(packed) <= 2048
    assert service.token.encode() not in packed
    assert pickle.loads(packed)(block("one"))["answer"][0]


def test_a_stage_that_has_run_pickles_too(service: LocalService) -> None:
    for stage in (ChatStage(QWEN, prompt="{text}"), EmbeddingStage(EMBEDDER)):
        first, again = stage(block("one")), pickle.loads(pickle.dumps(stage))(block("one"))
        assert first.keys() == again.keys()


def test_texts_are_embedded_in_large_batches_and_found_again_text_by_text(
    service: LocalService, tmp_path: Path
) -> None:
    cache = str(tmp_path / "vectors.sqlite3")
    texts = [f"text {number % 90}" for number in range(100)]
    rows = EmbeddingStage(EMBEDDER, dimensions=4, cache=cache)(block(*texts))
    assert [len(vector) for vector in rows["embedding"]] == [4] * 100
    asked = len(service.requests)
    assert asked <= 9
    again = EmbeddingStage(EMBEDDER, dimensions=4, cache=cache)(block(*texts[:50], "new"))
    assert len(again["id"]) == 51
    assert len(service.requests) == asked + 1
    assert service.requests[-1].body["input"] == ["new"]
    assert again["embedding"][0] == rows["embedding"][0]


# --------------------------------------------------------------------------- answers in a Redis


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        pytest.skip("no redis-server on this machine")
    server = RedisServer(program, tmp_path)
    server.start()
    yield server
    server.stop()


def test_answers_in_a_redis_are_shared_and_grow_old(redis: RedisServer) -> None:
    now = [1000.0]
    cache = ResponseCache(redis.url, max_age=60, clock=lambda: now[0])
    assert cache.blocking
    cache.keep(b"k", EmbeddingResult(([1.0, 2.0],)))
    other = ResponseCache(redis.url, max_age=60, clock=lambda: now[0])
    assert other.find_vectors(b"k") == EmbeddingResult(([1.0, 2.0],))
    assert other.find_vectors(b"other") is None
    now[0] += 61
    assert other.find_vectors(b"k") is None
    cache.keep(b"k", EmbeddingResult(([1.0],)))
    revived = pickle.loads(pickle.dumps(other))
    assert ResponseCache(redis.url).find_vectors(b"k") is not None
    assert revived.max_age == 60
    cache.clear()
    assert ResponseCache(redis.url).find_vectors(b"k") is None
    cache.close()


def test_a_redis_that_is_gone_counts_as_empty(redis: RedisServer, service: LocalService) -> None:
    redis.stop()
    stage = ChatStage(QWEN, prompt="{text}", cache=redis.url)
    assert stage(block("one"))["answer"][0]
    assert ResponseCache(redis.url).find(b"k") is None


def test_a_block_that_is_done_anew_is_paid_for_once(
    redis: RedisServer, service: LocalService
) -> None:
    for _ in range(2):
        stage = ChatStage(QWEN, prompt="{text}", cache=redis.url)
        assert len(stage(block("one", "two", "three"))["answer"]) == 3
    assert len(service.requests) == 3

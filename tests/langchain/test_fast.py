"""Chunks made the short way equal those of the constructors, or are not made that way."""

from __future__ import annotations

import copy
import functools
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import ToolCallChunk
from langchain_core.outputs import ChatGenerationChunk

from langchain_modelscope import _fast
from modelscope_transport.emulator import LocalService
from tests.langchain import mixed
from tests.langchain.conftest import MakeChat

FRAGMENTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["", "{", "}", '{"a', '": 1', " {}", "\n", "[1", "1", "null", '"', '{"a": 1}']),
)
PIECES = st.lists(
    st.builds(
        ToolCallChunk,
        name=st.none() | st.text(max_size=5),
        args=FRAGMENTS,
        id=st.none() | st.text(max_size=5),
        index=st.integers(0, 3),
        type=st.just("tool_call_chunk"),
    ),
    max_size=3,
)
ADDITIONAL = st.sampled_from([{}, {"reasoning_content": "hm"}, {"refusal": "no"}])
METADATA = st.sampled_from(
    [
        {"model_provider": "p"},
        {"finish_reason": "stop"},
        {"logprobs": {"content": [{"token": "a"}]}},
    ]
)


@pytest.fixture(autouse=True)
def _prove_anew() -> Iterator[None]:
    _fast._is_proven.cache_clear()
    yield
    _fast._is_proven.cache_clear()


def test_the_short_way_is_proven_with_the_libraries_we_test_with() -> None:
    assert _fast.chunk_builder() is not _fast.build


@given(text=st.text(max_size=12), additional=ADDITIONAL, metadata=METADATA, pieces=PIECES)
def test_every_chunk_is_equal(
    text: str, additional: dict[str, Any], metadata: dict[str, Any], pieces: Any
) -> None:
    def both() -> Iterator[ChatGenerationChunk]:
        for make in (_fast.build, _fast._assemble):
            own: Any = (
                text,
                dict(additional),
                copy.deepcopy(metadata),
                [dict(it) for it in pieces],
            )
            yield make(*own)

    made, short = both()
    assert short == made
    assert short.message == made.message
    assert short.model_dump() == made.model_dump()
    assert repr(short) == repr(made)
    assert pickle.loads(pickle.dumps(short)) == made
    assert short + short == made + made
    assert short.message.model_copy(update={"id": "x"}) == made.message.model_copy(
        update={"id": "x"}
    )


def test_chunks_share_nothing_that_can_change() -> None:
    make = _fast.chunk_builder()
    first, second = (make("a", {}, {}, []).message for _ in range(2))
    assert isinstance(first, AIMessageChunk)
    assert isinstance(second, AIMessageChunk)
    first.tool_calls.append({"name": "x", "args": {}, "id": None})
    first.additional_kwargs["x"] = 1
    first.name = "x"

    assert not second.tool_calls
    assert not second.additional_kwargs
    assert second.name is None
    assert "name" not in second.model_fields_set
    assert make("a", {}, {}, []).message == second


@pytest.mark.parametrize("fault", ["unequal", "broken"])
def test_without_the_proof_the_constructors_make_the_chunks(
    chat: MakeChat, service: LocalService, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    honest = _fast._assemble

    def spoilt(*args: Any) -> ChatGenerationChunk:
        if fault == "broken":
            raise AttributeError("no such slot")
        chunk = honest(*args)
        object.__setattr__(chunk.message, "name", "spoilt")
        return chunk

    monkeypatch.setattr(_fast, "_assemble", spoilt)
    assert _fast.chunk_builder() is _fast.build

    service.next(mixed.stream())
    chunks = list(chat().stream("Weather?"))
    total: Any = functools.reduce(lambda sum_, chunk: sum_ + chunk, chunks)
    assert total.text == "".join(mixed.TEXT)
    assert len(total.tool_calls) == 2

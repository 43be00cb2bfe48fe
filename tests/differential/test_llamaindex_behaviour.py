"""What users of LlamaIndex's OpenAI classes count on, written anew: see `behaviours.toml`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.base.llms.types import ChatMessage, TextBlock, ThinkingBlock, ToolCallBlock
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel, Field

from llamaindex_modelscope import ModelScope, ModelScopeConfigurationError

from .foreign_server import DONE, ForeignServer, Shape, event

HELLO = [ChatMessage(content="Hello")]


class Song(BaseModel):
    """A song."""

    name: str = Field(description="Its name.")
    artist: str


def search(query: str, limit: int = 3) -> str:
    """Search for a song."""
    return query * limit


SEARCH = FunctionTool.from_defaults(search)
USED = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}


def calls(*names: str, arguments: str = '{"query": "a"}') -> dict[str, Any]:
    """A whole reply that calls tools."""
    made = [
        {"id": f"c{at}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for at, name in enumerate(names)
    ]
    message = {"role": "assistant", "content": None, "tool_calls": made}
    return {"id": "1", "choices": [{"message": message, "finish_reason": "tool_calls"}]}


def says(text: str, **further: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, **further}
    return {"id": "1", "choices": [{"message": message, "finish_reason": "stop"}], "usage": USED}


@pytest.fixture
def server() -> Iterator[ForeignServer]:
    with ForeignServer() as running:
        yield running


def model(server: ForeignServer, reply: dict[str, Any], **fields: Any) -> ModelScope:
    server.add(Shape("engine/any", "written here", whole=reply))
    return ModelScope(
        "engine/any", base_url=server.base_url, api_key="ms-none", max_retries=0, **fields
    )


def test_it_is_a_function_calling_llm_of_core() -> None:
    names = [kind.__name__ for kind in ModelScope.__mro__]
    assert BaseLLM.__name__ in names
    assert FunctionCallingLLM.__name__ in names


def test_metadata_say_what_was_set(server: ForeignServer) -> None:
    llm = model(server, says("a"), context_window=1234, max_tokens=56)
    told = llm.metadata
    assert (told.context_window, told.num_output, told.model_name) == (1234, 56, "engine/any")
    assert told.is_chat_model
    assert not model(server, says("a"), is_function_calling_model=False).metadata.model_dump()[
        "is_function_calling_model"
    ]


def test_complete_and_chat_give_text_and_counts(server: ForeignServer) -> None:
    llm = model(server, says("This is a test."))
    completed, chatted = llm.complete("prompt"), llm.chat(HELLO)
    assert completed.text == chatted.message.content == "This is a test."
    for answer in (completed, chatted):
        assert {name: answer.additional_kwargs[name] for name in USED} == USED


async def test_async_twins_give_the_same(server: ForeignServer) -> None:
    llm = model(server, says("This is a test."))
    assert (await llm.acomplete("prompt")).text == "This is a test."
    assert (await llm.achat(HELLO)).message.content == "This is a test."


def test_streams_grow_and_end_whole(server: ForeignServer) -> None:
    parts = [event({"content": text}) for text in ("This is", " a ", "test.")]
    server.add(Shape("engine/any", "here", stream=(*parts, event({}, "stop"), DONE)))
    llm = ModelScope("engine/any", base_url=server.base_url, api_key="ms-none")
    chatted = list(llm.stream_chat(HELLO))
    completed = list(llm.stream_complete("prompt"))
    assert [one.delta for one in chatted if one.delta] == ["This is", " a ", "test."]
    assert [one.message.content for one in chatted][:3] == [
        "This is",
        "This is a ",
        "This is a test.",
    ]
    assert completed[-1].text == chatted[-1].message.content == "This is a test."


def test_a_prompt_of_the_users_own_making(server: ForeignServer) -> None:
    llm = model(server, says("a"), completion_to_prompt=lambda text: f"<s>{text}")
    llm.complete("prompt")
    llm.complete("prompt", formatted=True)
    asked = [request.body["messages"][0]["content"] for request in server.requests]
    assert asked == ["<s>prompt", "prompt"]


@pytest.mark.parametrize(
    ("options", "choice"),
    [
        ({}, "auto"),
        ({"tool_required": True}, "required"),
        ({"tool_choice": "search"}, {"type": "function", "function": {"name": "search"}}),
        ({"tool_choice": "none", "tool_required": True}, "none"),
    ],
)
def test_the_choice_of_tools(server: ForeignServer, options: Any, choice: Any) -> None:
    llm = model(server, says("a"))
    llm.chat_with_tools([SEARCH], user_msg="Hello", **options)
    assert server.requests[0].body["tool_choice"] == choice


def test_no_tools_send_no_choice_of_them(server: ForeignServer) -> None:
    llm = model(server, says("a"))
    llm.chat_with_tools([], user_msg="Hello", tool_required=True)
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(server.requests[0].body)


def test_a_strict_tool(server: ForeignServer) -> None:
    llm = model(server, says("a"), strict=True)
    llm.chat_with_tools([SEARCH], user_msg="Hello")
    function = server.requests[0].body["tools"][0]["function"]
    assert function["strict"] is True
    assert function["parameters"]["additionalProperties"] is False
    assert set(function["parameters"]["properties"]) == {"query", "limit"}


@pytest.mark.parametrize(("parallel", "kept"), [(True, 2), (False, 1)])
def test_parallel_calls_are_kept_where_they_are_allowed(
    server: ForeignServer, parallel: bool, kept: int
) -> None:
    llm = model(server, calls("search", "search"))
    answer = llm.chat_with_tools([SEARCH], user_msg="Hello", allow_parallel_tool_calls=parallel)
    assert len(llm.get_tool_calls_from_response(answer)) == kept
    assert server.requests[0].body["parallel_tool_calls"] is parallel


def test_calls_are_read_from_blocks_and_from_what_stands_beside_them(
    server: ForeignServer,
) -> None:
    llm = model(server, calls("search"))
    answer = llm.chat(HELLO)
    (call,) = llm.get_tool_calls_from_response(answer)
    assert (call.tool_id, call.tool_name, call.tool_kwargs) == ("c0", "search", {"query": "a"})
    answer.message.blocks = [
        block for block in answer.message.blocks if not isinstance(block, ToolCallBlock)
    ]
    assert llm.get_tool_calls_from_response(answer) == [call]


@pytest.mark.parametrize("arguments", ["", "{}"])
def test_no_arguments_are_empty_ones(server: ForeignServer, arguments: str) -> None:
    llm = model(server, calls("search", arguments=arguments))
    (call,) = llm.get_tool_calls_from_response(llm.chat(HELLO))
    assert call.tool_kwargs == {}


@pytest.mark.parametrize("arguments", ["{", "[1]"])
def test_arguments_that_cannot_be_used_make_no_call(server: ForeignServer, arguments: str) -> None:
    answer = model(server, calls("search", arguments=arguments)).chat(HELLO)
    (broken,) = answer.message.additional_kwargs["invalid_tool_calls"]
    assert (broken["name"], broken["arguments"]) == ("search", arguments)


def test_no_call_is_an_error_where_one_is_needed(server: ForeignServer) -> None:
    llm = model(server, says("No."))
    answer = llm.chat(HELLO)
    assert llm.get_tool_calls_from_response(answer, error_on_no_tool_call=False) == []
    with pytest.raises(ValueError, match="at least one tool call"):
        llm.get_tool_calls_from_response(answer)


def test_a_tool_is_called_by_the_model(server: ForeignServer) -> None:
    llm = model(server, calls("search", arguments='{"query": "ab", "limit": 2}'))
    assert str(llm.predict_and_call([SEARCH], "Hello")) == "abab"


def test_an_object_by_a_schema(server: ForeignServer) -> None:
    llm = model(
        server, says('{"name": "Imagine", "artist": "John"}'), should_use_structured_outputs=True
    )
    song = llm.structured_predict(Song, PromptTemplate("A song of {topic}."), topic="peace")
    assert song == Song(name="Imagine", artist="John")
    form = server.requests[0].body["response_format"]
    assert form["type"] == "json_schema"
    assert set(form["json_schema"]["schema"]["properties"]) == {"name", "artist"}


def test_an_object_by_a_tool(server: ForeignServer) -> None:
    llm = model(server, calls("Song", arguments='{"name": "Imagine", "artist": "John"}'))
    answer = llm.as_structured_llm(Song).chat(HELLO)
    assert answer.raw == Song(name="Imagine", artist="John")
    assert json.loads(answer.message.content or "") == {"name": "Imagine", "artist": "John"}


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_thoughts_are_a_block(server: ForeignServer, field: str) -> None:
    llm = model(server, says("Yes.", **{field: "Hm."}))
    blocks = llm.chat(HELLO).message.blocks
    assert blocks == [ThinkingBlock(content="Hm."), TextBlock(text="Yes.")]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_thoughts_come_in_pieces(server: ForeignServer, field: str) -> None:
    deltas = [*({field: text} for text in ("Let me", " see.")), {"content": "42."}]
    parts = [event(delta) for delta in deltas]
    server.add(Shape("engine/any", "here", stream=(*parts, event({}, "stop"), DONE)))
    llm = ModelScope("engine/any", base_url=server.base_url, api_key="ms-none")
    responses = list(llm.stream_chat(HELLO))
    assert responses[-1].message.blocks == [
        ThinkingBlock(content="Let me see."),
        TextBlock(text="42."),
    ]
    told = [one.additional_kwargs.get("thinking_delta") for one in responses]
    assert [one for one in told if one] == ["Let me", " see."]


def test_log_probabilities_are_given(server: ForeignServer) -> None:
    reply = says("Yes.")
    token = {"token": "Yes.", "logprob": -0.5, "bytes": [89]}
    reply["choices"][0]["logprobs"] = {"content": [{**token, "top_logprobs": [token]}]}
    (found,) = model(server, reply, logprobs=True, top_logprobs=1).chat(HELLO).logprobs or []
    assert [(one.token, one.logprob) for one in found] == [("Yes.", -0.5)]


def test_headers_are_sent(server: ForeignServer) -> None:
    llm = model(server, says("a"), default_headers={"x-team": "red"})
    llm.chat(HELLO, extra_headers={"x-run": "7"})
    headers = {name.lower(): value for name, value in server.requests[0].headers.items()}
    assert (headers["x-team"], headers["x-run"]) == ("red", "7")
    assert headers["authorization"] == "Bearer ms-none"


def test_a_model_that_does_not_chat_is_refused(server: ForeignServer) -> None:
    with pytest.raises(ModelScopeConfigurationError, match="only answers chats"):
        model(server, says("a"), is_chat_model=False)


def test_the_history_of_the_caller_is_left_alone(server: ForeignServer) -> None:
    llm, history = model(server, says("a")), [ChatMessage(content="Hello")]
    llm.chat_with_tools([SEARCH], user_msg="And?", chat_history=history)
    assert history == [ChatMessage(content="Hello")]
    assert len(server.requests[0].body["messages"]) == 2

"""Answers as LlamaIndex holds them: blocks, what stands beside them, and streams that grow."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

import pytest
from llama_index.core.agent.workflow import AgentStream, FunctionAgent
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.tools import FunctionTool

from llamaindex_modelscope import ModelScope
from llamaindex_modelscope.errors import ModelScopeOutputParserError
from modelscope_transport.emulator import DONE, LocalService, Reply, Stream
from tests.langchain import mixed

from .conftest import MakeLLM

HYBRID = "Qwen/Qwen3.5-122B-A10B"  # thinks unless told not to
STREAM_ONLY = "Qwen/QwQ-32B"
HELLO = [ChatMessage(content="Hello")]

THOUGHT, TEXT = "".join(mixed.THOUGHTS), "".join(mixed.TEXT)
BLOCKS = [
    ThinkingBlock(content=THOUGHT),
    TextBlock(text=TEXT),
    *(
        ToolCallBlock(tool_call_id=id_, tool_name=name, tool_kwargs=arguments)
        for id_, name, arguments, _ in mixed.CALLS
    ),
]
BESIDE = [
    {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
    for id_, name, arguments, _ in mixed.CALLS
]


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


TOOLS = [FunctionTool.from_defaults(add), FunctionTool.from_defaults(multiply)]


async def streamed(
    llm: ModelScope, messages: Sequence[ChatMessage] = HELLO, *, native: bool
) -> list[ChatResponse]:
    """The responses of a stream, sync or async."""
    if native:
        return [response async for response in await llm.astream_chat(messages)]
    return list(llm.stream_chat(messages))


sync_and_async = pytest.mark.parametrize("native", [False, True], ids=["sync", "async"])


# --- one answer, four ways


async def test_a_whole_answer(llm: ModelScope, service: LocalService) -> None:
    service.next(mixed.reply(), mixed.reply())

    for response in (llm.chat(HELLO), await llm.achat(HELLO)):
        assert response.message.blocks == BLOCKS
        assert response.message.content == TEXT
        assert response.message.additional_kwargs == {"tool_calls": BESIDE}
        assert response.additional_kwargs.items() >= mixed.USAGE.items()
        assert response.delta is None
        check_raw(response.raw)


@sync_and_async
@pytest.mark.parametrize("together", [False, True], ids=["apart", "together"])
async def test_a_streamed_answer(
    llm: ModelScope, service: LocalService, native: bool, together: bool
) -> None:
    service.next(mixed.stream(together=together), mixed.reply())

    responses = await streamed(llm, native=native)
    whole = llm.chat(HELLO)

    assert responses[-1].message == whole.message
    assert "".join(response.delta or "" for response in responses) == TEXT
    thoughts = [response.additional_kwargs.get("thinking_delta", "") for response in responses]
    assert "".join(thoughts) == THOUGHT
    assert thoughts[-1] == ""
    assert responses[-1].additional_kwargs.items() >= mixed.USAGE.items()
    check_raw(responses[-1].raw)


def check_raw(raw: Any) -> None:
    assert (raw["id"], raw["model"]) == ("chatcmpl-mixed", "local")
    assert raw["finish_reason"] == "tool_calls"
    assert raw["usage"].items() >= mixed.USAGE.items()
    json.dumps(raw)


@sync_and_async
async def test_each_response_is_the_message_so_far(
    llm: ModelScope, service: LocalService, native: bool
) -> None:
    service.next(mixed.stream())

    responses = await streamed(llm, native=native)

    # nothing is taken back, and what one response holds is not changed by the next
    kept = [response.model_dump_json() for response in responses]
    contents = [response.message.content or "" for response in responses]
    assert all(later.startswith(sooner) for sooner, later in itertools.pairwise(contents))
    blocks = [[block.block_type for block in response.message.blocks] for response in responses]
    assert blocks[0] == ["thinking"]
    assert blocks[-1] == ["thinking", "text", "tool_call", "tool_call"]
    assert len(set(kept)) == len(kept)


@sync_and_async
async def test_a_first_delta_of_thoughts_alone_is_kept(
    llm: ModelScope, service: LocalService, native: bool
) -> None:
    events = [
        mixed.chunk(role="assistant", reasoning_content="Hm."),
        mixed.chunk(content="Yes."),
        mixed.chunk("stop"),
        DONE,
    ]
    service.next(Stream(events))

    first, *_, last = await streamed(llm, native=native)

    assert first.additional_kwargs["thinking_delta"] == "Hm."
    assert last.message.blocks == [ThinkingBlock(content="Hm."), TextBlock(text="Yes.")]


@sync_and_async
@pytest.mark.parametrize("shape", ["renamed_reasoning", "mixed_delta", "one_byte"])
async def test_thoughts_in_every_shape(
    make_llm: MakeLLM, service: LocalService, shape: str, native: bool
) -> None:
    service.next(shape)

    responses = await streamed(make_llm(HYBRID), native=native)

    thinking, text = responses[-1].message.blocks
    assert isinstance(thinking, ThinkingBlock)
    assert thinking.content == "The user says: Hello. I shall answer."
    assert isinstance(text, TextBlock)
    assert text.text


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the workflow engine's own
@pytest.mark.parametrize("model", [HYBRID, STREAM_ONLY])
async def test_an_agent_shows_the_thoughts(
    make_llm: MakeLLM, service: LocalService, model: str
) -> None:
    handler = FunctionAgent(tools=TOOLS, llm=make_llm(model)).run("Please add 3 and 4.")
    events = [event async for event in handler.stream_events() if isinstance(event, AgentStream)]
    output = await handler

    thoughts = "".join(event.thinking_delta or "" for event in events)
    assert "I shall call add." in thoughts
    assert "I shall answer." in thoughts
    assert [call.tool_output.raw_output for call in output.tool_calls] == [7]


def test_a_model_that_only_streams_answers_a_whole_call(
    make_llm: MakeLLM, service: LocalService
) -> None:
    response = make_llm(STREAM_ONLY).chat(HELLO)

    assert service.requests[0].body["stream"] is True
    assert [block.block_type for block in response.message.blocks] == ["thinking", "text"]
    assert response.additional_kwargs["completion_tokens"] > 10


# --- thoughts inside the text, or in its place


@sync_and_async
async def test_thoughts_between_tags_of_a_stream(
    make_llm: MakeLLM, service: LocalService, native: bool
) -> None:
    service.next("think_tags", "honest")
    llm = make_llm(HYBRID, think_tags=True)

    tagged, plain = [await streamed(llm, native=native) for _ in range(2)]

    assert tagged[-1].message == plain[-1].message
    thoughts = [response.additional_kwargs.get("thinking_delta", "") for response in tagged]
    assert "".join(thoughts) == "The user says: Hello. I shall answer."
    assert "".join(response.delta or "" for response in tagged) == plain[-1].message.content


async def test_thoughts_between_tags_of_a_whole_answer(
    make_llm: MakeLLM, service: LocalService
) -> None:
    said = {"content": "<think>\nHm.\n</think>\n\nYes."}
    service.next(*[Reply(200, {"choices": [{"message": said, "finish_reason": "stop"}]})] * 3)

    plain = make_llm().chat(HELLO)
    sorted_ = make_llm(think_tags=True).chat(HELLO)
    asked = await make_llm().achat(HELLO, think_tags=True)

    assert plain.message.blocks == [TextBlock(text=said["content"])]
    assert sorted_.message.blocks == [ThinkingBlock(content="Hm."), TextBlock(text="Yes.")]
    assert asked.message == sorted_.message
    assert all("think_tags" not in request.body for request in service.requests)


ONLY_THOUGHTS = Stream([mixed.chunk(reasoning_content="Yes."), mixed.chunk("stop"), DONE])


@sync_and_async
async def test_thoughts_in_the_place_of_an_answer(
    make_llm: MakeLLM, service: LocalService, native: bool
) -> None:
    said = {"content": None, "reasoning_content": "Yes."}
    whole = Reply(200, {"choices": [{"message": said, "finish_reason": "stop"}]})
    service.next(ONLY_THOUGHTS, ONLY_THOUGHTS, whole)
    llm = make_llm(promote_reasoning_only=True)

    plain = await streamed(make_llm(), native=native)
    promoted = await streamed(llm, native=native)

    assert plain[-1].message.blocks == [ThinkingBlock(content="Yes.")]
    assert promoted[-1].message.blocks == [ThinkingBlock(content="Yes."), TextBlock(text="Yes.")]
    assert promoted[-1].message == llm.chat(HELLO).message
    assert "".join(response.delta or "" for response in promoted) == "Yes."


# --- tool calls of a stream

SHAPES = [
    "honest",
    "repeated_tool_head",
    "bare_tool_head",
    "tools_in_one_chunk",
    "interleaved_tools",
    "no_tool_type",
    "text_beside_tools",
    "usage_everywhere",
    "two_finishes",
    "fragments:7",
    "line_separator",
    "no_done",
]


@sync_and_async
@pytest.mark.parametrize("shape", SHAPES)
async def test_parallel_calls_in_every_shape_of_stream(
    make_llm: MakeLLM, service: LocalService, shape: str, native: bool
) -> None:
    llm = make_llm(HYBRID)
    service.next(shape)
    asked: Any = {"user_msg": "Add and multiply 北 2 3", "allow_parallel_tool_calls": True}

    if native:
        stream = await llm.astream_chat_with_tools(TOOLS, **asked)
        responses = [response async for response in stream]
    else:
        responses = list(llm.stream_chat_with_tools(TOOLS, **asked))

    calls = llm.get_tool_calls_from_response(responses[-1])
    assert [(call.tool_name, call.tool_kwargs) for call in calls] == [
        ("add", {"a": 2, "b": 3}),
        ("multiply", {"a": 2, "b": 3}),
    ]
    assert len({call.tool_id for call in calls}) == 2
    beside = responses[-1].message.additional_kwargs["tool_calls"]
    assert [one["id"] for one in beside] == [call.tool_id for call in calls]
    assert responses[-1].raw["finish_reason"] == "tool_calls"


def pieces(*parts: list[dict[str, Any]]) -> Stream:
    return Stream(
        [*(mixed.chunk(tool_calls=part) for part in parts), mixed.chunk("tool_calls"), DONE]
    )


INTERLEAVED = [
    [mixed.call(0, '{"a": ', id="x", name="add"), mixed.call(1, "", id="y", name="multiply")],
    [mixed.call(1, '{"a": 3', id="y", name="multiply")],
    [mixed.call(0, "1}", id="x", name="add")],
    [mixed.call(1, "}"), mixed.call(2, None, id="z", name="add")],
]


@sync_and_async
async def test_pieces_find_their_call_by_its_index(
    llm: ModelScope, service: LocalService, native: bool
) -> None:
    service.next(pieces(*INTERLEAVED))

    responses = await streamed(llm, native=native)

    calls = llm.get_tool_calls_from_response(responses[-1])
    assert [(call.tool_id, call.tool_name, call.tool_kwargs) for call in calls] == [
        ("x", "add", {"a": 1}),
        ("y", "multiply", {"a": 3}),
        ("z", "add", {}),
    ]
    # agents ask after every response, whatever of the arguments has come
    so_far = [llm.get_tool_calls_from_response(response) for response in responses]
    assert [len(calls) for calls in so_far] == [2, 2, 2, 3, 3]
    assert [calls[1].tool_kwargs for calls in so_far] == [
        {},
        {"a": 3},
        {"a": 3},
        {"a": 3},
        {"a": 3},
    ]


ARGUMENTS = [
    (None, {}),
    ("", {}),
    ("{}", {}),
    ('{"a": "x\ny"}', {"a": "x\ny"}),
    ({"a": 1}, {"a": 1}),
    ("not JSON", None),
    ("[1, 2]", None),
    ('"text"', None),
]


@pytest.mark.parametrize(("arguments", "read"), ARGUMENTS, ids=str)
@pytest.mark.parametrize("stream", [False, True], ids=["chat", "stream_chat"])
def test_arguments_of_every_kind(
    llm: ModelScope,
    service: LocalService,
    arguments: Any,
    read: dict[str, Any] | None,
    stream: bool,
) -> None:
    call = mixed.call(0, arguments, id="c1", name="add")
    choice = {"message": {"content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"}
    service.next(pieces([call]) if stream else Reply(200, {"choices": [choice]}))

    answer = list(llm.stream_chat(HELLO))[-1] if stream else llm.chat(HELLO)

    if read is None:
        with pytest.raises(ModelScopeOutputParserError, match=r"'add': .*are not") as raised:
            llm.get_tool_calls_from_response(answer, error_on_no_tool_call=False)
        assert raised.value.raw_answer == arguments
        (invalid,) = answer.message.additional_kwargs["invalid_tool_calls"]
        assert (invalid["id"], invalid["name"], invalid["arguments"]) == ("c1", "add", arguments)
        assert "arguments are not" in invalid["error"]
        return
    selected = llm.get_tool_calls_from_response(answer, error_on_no_tool_call=False)
    assert [(one.tool_id, one.tool_name, one.tool_kwargs) for one in selected] == [
        ("c1", "add", read)
    ]
    assert "invalid_tool_calls" not in answer.message.additional_kwargs


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the workflow engine's own
@pytest.mark.parametrize("words", [None, "Let me add them."])
@pytest.mark.parametrize("streaming", [True, False])
async def test_an_agent_does_not_end_well_with_a_call_that_cannot_be_made(
    llm: ModelScope, service: LocalService, streaming: bool, words: str | None
) -> None:
    call = mixed.call(0, "{'a': 1, 'b': 2}", id="c1", name="add")
    choice = {"message": {"content": words, "tool_calls": [call]}, "finish_reason": "tool_calls"}
    events = [mixed.chunk(content=words), mixed.chunk(tool_calls=[call])]
    stream = Stream([*events, mixed.chunk("tool_calls"), DONE])
    service.next(stream if streaming else Reply(200, {"choices": [choice]}))
    agent = FunctionAgent(tools=[add], llm=llm, streaming=streaming)
    with pytest.raises(ModelScopeOutputParserError, match="'add'"):
        await agent.run("Add 1 and 2.")


@pytest.mark.parametrize("shape", ["no_tool_id", "no_tool_index", "object_tool_arguments"])
@pytest.mark.parametrize("stream", [False, True], ids=["chat", "stream_chat"])
def test_a_call_can_always_be_answered(
    llm: ModelScope, service: LocalService, shape: str, stream: bool
) -> None:
    service.next(shape)
    asked: Any = {"user_msg": "Add and multiply 2 and 3", "allow_parallel_tool_calls": True}

    if stream:
        answer = list(llm.stream_chat_with_tools(TOOLS, **asked))[-1]
    else:
        answer = llm.chat_with_tools(TOOLS, **asked)

    calls = llm.get_tool_calls_from_response(answer)
    assert [call.tool_kwargs for call in calls] == [{"a": 2, "b": 3}] * 2
    assert len({call.tool_id for call in calls if call.tool_id}) == 2


# --- what else an answer can hold


@pytest.mark.parametrize("stream", [False, True], ids=["chat", "stream_chat"])
@pytest.mark.parametrize(("text", "shown"), [(None, "No, I will not."), ("Well.", "Well.")])
def test_a_refusal_is_the_text_where_there_is_no_other(
    llm: ModelScope, service: LocalService, stream: bool, text: str | None, shown: str
) -> None:
    words = {"content": text, "refusal": "No, I will not."}
    choice = {"message": words, "finish_reason": "stop"}
    events = [mixed.chunk(refusal="No, "), mixed.chunk(content=text, refusal="I will not.")]
    whole = Reply(200, {"choices": [choice]})
    service.next(Stream([*events, mixed.chunk("stop"), DONE]) if stream else whole)

    answers = list(llm.stream_chat(HELLO)) if stream else [llm.chat(HELLO)]

    assert answers[-1].message.additional_kwargs == {"refusal": "No, I will not."}
    assert answers[-1].message.blocks == [TextBlock(text=shown)]
    if stream:
        assert "".join(answer.delta or "" for answer in answers) == shown


LOGPROBS: list[tuple[Any, Any]] = [
    ({"content": [{"token": "a", "logprob": -0.5, "bytes": [97]}]}, [[("a", -0.5, [97])]]),
    (
        {"content": [{"token": "a", "top_logprobs": [{"token": "b", "logprob": -1}]}]},
        [[("b", -1.0, [])]],
    ),
    ({"content": [{"token": None, "logprob": None, "bytes": None}, None]}, [[("", 0.0, [])]]),
    ({"content": [{"token": "a", "logprob": "much", "bytes": "odd"}]}, None),
    ({"content": [{"token": "a", "logprob": -1, "top_logprobs": 7}]}, None),
    ({"content": "odd"}, None),
    ({}, None),
]


@pytest.mark.parametrize(("logprobs", "read"), LOGPROBS, ids=range(len(LOGPROBS)))
@pytest.mark.parametrize("stream", [False, True], ids=["chat", "stream_chat"])
def test_log_probabilities(
    llm: ModelScope, service: LocalService, logprobs: Any, read: Any, stream: bool
) -> None:
    chunk = mixed.chunk("stop", content="a")
    chunk["choices"][0]["logprobs"] = logprobs
    message = {"message": {"content": "a"}, "finish_reason": "stop", "logprobs": logprobs}
    service.next(Stream([chunk, DONE]) if stream else Reply(200, {"choices": [message]}))

    answer = next(iter(llm.stream_chat(HELLO))) if stream else llm.chat(HELLO)

    # an oddity among them costs them, and not the answer that was paid for
    assert answer.message.content == "a"
    found = answer.logprobs and [
        [(one.token, one.logprob, one.bytes) for one in ones] for ones in answer.logprobs
    ]
    assert found == read


async def test_a_completion_four_ways(make_llm: MakeLLM, service: LocalService) -> None:
    llm = make_llm(HYBRID)
    service.next(mixed.reply(), mixed.reply(), mixed.stream(), mixed.stream())

    whole = [llm.complete("Weather?"), await llm.acomplete("Weather?")]
    grown = [
        list(llm.stream_complete("Weather?")),
        [response async for response in await llm.astream_complete("Weather?")],
    ]

    last = [responses[-1] for responses in grown]
    for response in (*whole, *last):
        assert isinstance(response, CompletionResponse)
        assert response.text == TEXT
        assert response.additional_kwargs.items() >= {"tool_calls": BESIDE, **mixed.USAGE}.items()
        check_raw(response.raw)
    for responses in grown:
        assert "".join(response.delta or "" for response in responses) == TEXT
    for request in service.requests:
        assert request.body["messages"] == [{"role": "user", "content": "Weather?"}]

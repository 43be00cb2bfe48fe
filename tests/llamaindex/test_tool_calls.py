"""Tools: offered, chosen and forced in every form; and what the model is said to do with them."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core import PromptHelper, PromptTemplate
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.core.tools.types import BaseTool

from llamaindex_modelscope import ModelScope, ModelScopeInvalidRequestError
from modelscope_transport.catalogue.models import remember_models
from modelscope_transport.emulator import DONE, LocalService, Reply, Stream
from tests.langchain import mixed

from .conftest import MakeLLM
from .endpoints import last_of

HYBRID = "Qwen/Qwen3.5-122B-A10B"  # thinks unless told not to
ALWAYS_THINKS = "Qwen/QwQ-32B"
UNKNOWN = "nex-agi/Nex-N2.5-mini"


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


TOOLS: list[BaseTool] = [FunctionTool.from_defaults(add), FunctionTool.from_defaults(multiply)]
NAMED = {"type": "function", "function": {"name": "multiply"}}

CHOICES: list[tuple[dict[str, Any], Any]] = [
    ({}, "auto"),
    ({"tool_choice": None}, "auto"),
    ({"tool_required": True}, "required"),
    ({"tool_required": True, "tool_choice": None}, "required"),
    ({"tool_required": True, "tool_choice": "auto"}, "auto"),
    ({"tool_choice": "none"}, "none"),
    ({"tool_choice": "required"}, "required"),
    ({"tool_choice": "any"}, "required"),
    ({"tool_choice": "multiply"}, NAMED),
    ({"tool_choice": NAMED}, NAMED),
    ({"tool_choice": {"type": "tool", "name": "multiply"}}, NAMED),
]


@pytest.mark.parametrize(("options", "expected"), CHOICES, ids=str)
async def test_a_choice_in_every_form_four_ways(
    llm: ModelScope, service: LocalService, options: dict[str, Any], expected: Any
) -> None:
    asked: Any = {"user_msg": "Hello 2 3", **options}
    answers = [
        llm.chat_with_tools(TOOLS, **asked),
        await llm.achat_with_tools(TOOLS, **asked),
        list(llm.stream_chat_with_tools(TOOLS, **asked))[-1],
        [_ async for _ in await llm.astream_chat_with_tools(TOOLS, **asked)][-1],
    ]

    assert [request.body["tool_choice"] for request in service.requests] == [expected] * 4
    for answer in answers:
        calls = llm.get_tool_calls_from_response(answer, error_on_no_tool_call=False)
        names = [call.tool_name for call in calls]
        assert names == {"required": ["add"], str(NAMED): ["multiply"]}.get(str(expected), [])


@pytest.mark.parametrize("choice", [7, {"type": "tool"}, {"function": {}}], ids=str)
def test_a_choice_that_cannot_be_read_is_said(
    llm: ModelScope, service: LocalService, choice: Any
) -> None:
    with pytest.raises(ModelScopeInvalidRequestError, match="tool_choice is"):
        llm.chat_with_tools(TOOLS, user_msg="Hello", tool_choice=choice)
    assert not service.requests


def test_no_tools_send_no_choice(llm: ModelScope, service: LocalService) -> None:
    llm.chat_with_tools([], user_msg="Hello", tool_required=True)
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(service.requests[0].body)


@pytest.mark.parametrize("stream", [False, True], ids=["chat", "stream_chat"])
def test_a_forced_tool_turns_thinking_off(
    make_llm: MakeLLM, service: LocalService, stream: bool
) -> None:
    llm = make_llm(HYBRID)
    asked: Any = {"user_msg": "Hello 2 3", "tool_required": True}
    if stream:
        answer = list(llm.stream_chat_with_tools(TOOLS[:1], **asked))[-1]
    else:
        answer = llm.chat_with_tools(TOOLS[:1], **asked)

    body = service.requests[0].body
    # "required" brings nothing there; the name of the only tool says the same
    assert body["tool_choice"] == {"type": "function", "function": {"name": "add"}}
    assert body["enable_thinking"] is False
    assert [block.block_type for block in answer.message.blocks] == ["tool_call"]
    told = answer.additional_kwargs["modelscope"]["adjustments"]
    assert any("thinking was turned off" in said for said in told)


def test_a_model_that_cannot_be_forced_is_left_to_choose(
    make_llm: MakeLLM, service: LocalService
) -> None:
    llm = make_llm(ALWAYS_THINKS)
    answer = llm.chat_with_tools(TOOLS, user_msg="Add 2 and 3", tool_required=True)

    assert service.requests[0].body["tool_choice"] == "auto"
    assert llm.get_tool_calls_from_response(answer)[0].tool_kwargs == {"a": 2, "b": 3}


def test_an_empty_answer_to_a_forced_tool_is_asked_again_without_thinking(
    make_llm: MakeLLM, service: LocalService
) -> None:
    service.next("shell")
    llm = make_llm(UNKNOWN)
    answer = llm.chat_with_tools(TOOLS[:1], user_msg="Add 2 and 3", tool_required=True)

    first, second = (request.body for request in service.requests)
    assert first["tool_choice"] == "required"
    assert second["enable_thinking"] is False
    assert llm.get_tool_calls_from_response(answer)


# --- several calls in one answer


@pytest.mark.parametrize("several", [False, True])
async def test_calls_beside_the_first_are_kept_only_on_request(
    llm: ModelScope, service: LocalService, several: bool
) -> None:
    service.next(mixed.reply(), mixed.reply(), mixed.stream(), mixed.stream())
    asked: Any = {"user_msg": "Weather?", "allow_parallel_tool_calls": several}

    answers = [
        llm.chat_with_tools(TOOLS, **asked),
        await llm.achat_with_tools(TOOLS, **asked),
        list(llm.stream_chat_with_tools(TOOLS, **asked))[-1],
        await last_of(llm.astream_chat_with_tools(TOOLS, **asked)),
    ]

    for answer in answers:
        calls = llm.get_tool_calls_from_response(answer)
        beside = answer.message.additional_kwargs["tool_calls"]
        assert len(calls) == len(beside) == (2 if several else 1)
        assert calls[0].tool_kwargs == {"city": "北京"}
        assert answer.message.blocks[0].block_type == "thinking"
    assert [request.body["parallel_tool_calls"] for request in service.requests] == [several] * 4


def test_of_two_equal_calls_the_first_is_kept(llm: ModelScope, service: LocalService) -> None:
    call = mixed.call(0, '{"a": 1, "b": 2}', id="same", name="add")
    choice = {"message": {"tool_calls": [call, call]}, "finish_reason": "tool_calls"}
    service.next(Reply(200, {"choices": [choice]}))

    answer = llm.chat_with_tools(TOOLS, user_msg="Add 1 and 2")

    assert [one.tool_name for one in llm.get_tool_calls_from_response(answer)] == ["add"]


def test_no_call_is_an_error_only_where_one_is_expected(llm: ModelScope) -> None:
    answer = llm.chat([ChatMessage(content="Hello")])

    assert llm.get_tool_calls_from_response(answer, error_on_no_tool_call=False) == []
    with pytest.raises(ValueError, match="at least one tool call"):
        llm.get_tool_calls_from_response(answer)


# --- what a tool looks like on the way


@pytest.mark.parametrize(("own", "call"), [(None, True), (True, None), (True, True)])
def test_strict_tools(
    make_llm: MakeLLM, service: LocalService, own: bool | None, call: bool | None
) -> None:
    llm = make_llm(**({} if own is None else {"strict": own}))
    llm.chat_with_tools(TOOLS[:1], user_msg="Hello", strict=call)

    function = service.requests[0].body["tools"][0]["function"]
    assert function["strict"] is True
    assert function["parameters"]["additionalProperties"] is False


@pytest.mark.parametrize(("own", "call"), [(False, None), (True, False)])
def test_tools_that_are_not_strict(
    make_llm: MakeLLM, service: LocalService, own: bool, call: bool | None
) -> None:
    make_llm(strict=own).chat_with_tools(TOOLS[:1], user_msg="Hello", strict=call)

    function = service.requests[0].body["tools"][0]["function"]
    assert "strict" not in function
    assert "additionalProperties" not in function["parameters"]


def test_a_tools_own_schema_is_not_changed_by_a_strict_call(llm: ModelScope) -> None:
    before = TOOLS[0].metadata.get_parameters_dict()
    llm.chat_with_tools(TOOLS[:1], user_msg="Hello", strict=True)
    assert TOOLS[0].metadata.get_parameters_dict() == before


def test_what_is_done_to_the_options_of_one_call_is_done_to_no_other(llm: ModelScope) -> None:
    def parameters() -> dict[str, Any]:
        options = llm._prepare_chat_with_tools(TOOLS[:1], user_msg="Hello")
        given: dict[str, Any] = options["tools"][0]["function"]["parameters"]
        return given

    parameters()["properties"].clear()
    assert set(parameters()["properties"]) == {"a", "b"}


async def test_names_that_cannot_travel_come_back_as_they_were(
    llm: ModelScope, service: LocalService
) -> None:
    tools = [FunctionTool.from_defaults(add, name="my.add 加"), TOOLS[1]]
    asked: Any = {"user_msg": "Hello 2 3", "tool_choice": "my.add 加"}

    answers = [
        llm.chat_with_tools(tools, **asked),
        await llm.achat_with_tools(tools, **asked),
        *llm.stream_chat_with_tools(tools, **asked),
        *[_ async for _ in await llm.astream_chat_with_tools(tools, **asked)],
    ]

    for answer in answers:
        assert [one.tool_name for one in llm.get_tool_calls_from_response(answer)] == ["my.add 加"]
        beside = answer.message.additional_kwargs["tool_calls"]
        assert beside[0]["function"]["name"] == "my.add 加"
    for request in service.requests:
        names = [tool["function"]["name"] for tool in request.body["tools"]]
        assert names == ["my_add__", "multiply"]
        assert "tool_names" not in request.body
    assert llm.predict_and_call(tools, **asked).sources[0].raw_output == 5
    assert (await llm.apredict_and_call(tools, **asked)).sources[0].raw_output == 5


def test_two_tools_of_one_name_on_the_way_are_refused(
    llm: ModelScope, service: LocalService
) -> None:
    tools = [FunctionTool.from_defaults(add, name=name) for name in ("my.add", "my add")]
    with pytest.raises(ModelScopeInvalidRequestError, match=r"'my\.add' and 'my add'.*Rename"):
        llm.chat_with_tools(tools, user_msg="Hello")
    assert not service.requests


@pytest.mark.parametrize("form", ["LlamaIndex", "dictionary"])
def test_tools_as_an_option_of_a_plain_call(
    llm: ModelScope, service: LocalService, form: str
) -> None:
    tool = TOOLS[0] if form == "LlamaIndex" else TOOLS[0].metadata.to_openai_tool()
    answer = llm.chat([ChatMessage(content="Add 2 and 3.")], tools=[tool])

    assert service.requests[0].body["tools"][0]["function"]["name"] == "add"
    assert llm.get_tool_calls_from_response(answer)[0].tool_kwargs == {"a": 2, "b": 3}


@pytest.mark.parametrize("tool", [add, {"name": "add"}, {"function": {}}], ids=["a", "b", "c"])
def test_tools_that_cannot_be_read_are_said(
    llm: ModelScope, service: LocalService, tool: Any
) -> None:
    with pytest.raises(ModelScopeInvalidRequestError, match="tools holds"):
        llm.chat([ChatMessage(content="Hello")], tools=[tool])
    assert not service.requests


# --- metadata

WINDOWS = [
    ("Qwen/Qwen3-Coder-30B-A3B-Instruct", {}, 262_144),
    ("Qwen/Qwen3-Coder-30B-A3B-Instruct", {"context_window": 8_000}, 8_000),
    ("Qwen/Qwen3-Coder-30B-A3B-Instruct:DashScope", {}, 262_144),
    ("somebody/unheard-of", {}, 32_768),
    ("somebody/unheard-of", {"context_window": 8_000}, 8_000),
]


@pytest.mark.parametrize(("model", "fields", "window"), WINDOWS, ids=str)
def test_metadata(make_llm: MakeLLM, model: str, fields: dict[str, Any], window: int) -> None:
    metadata = make_llm(model, **fields).metadata

    assert metadata.context_window == window
    assert metadata.num_output == -1  # unset, as prompt packing reads it
    assert metadata.is_chat_model
    assert metadata.is_function_calling_model
    assert metadata.model_name == model
    assert make_llm(model, max_tokens=100, **fields).metadata.num_output == 100


@pytest.mark.parametrize(("longest", "window"), [(8_000, 32_768), (32_768, 65_536)])
def test_a_long_answer_leaves_room_for_the_prompt(
    make_llm: MakeLLM, longest: int, window: int
) -> None:
    metadata = make_llm("somebody/unheard-of", max_tokens=longest).metadata

    assert metadata.context_window == window
    helper = PromptHelper.from_llm_metadata(metadata)
    prompt = PromptTemplate("{context_str}")
    # core raises a ValueError where there is no room
    assert helper.get_text_splitter_given_prompt(prompt).chunk_size > 8_000


def test_function_calling_by_profile_and_by_choice(make_llm: MakeLLM) -> None:
    name = "somebody/without-tools"
    remember_models({name: {"tool_calling": False, "source": "a test", "checked": "2026-11-22"}})

    assert not make_llm(name).metadata.is_function_calling_model
    assert make_llm(name, is_function_calling_model=True).metadata.is_function_calling_model
    assert not make_llm(is_function_calling_model=False).metadata.is_function_calling_model


def test_arguments_with_line_breaks_do_not_vanish_where_an_escape_is_cut(
    llm: ModelScope, service: LocalService
) -> None:
    written = '{"text": "f(x):\n\t\\"\\u4f60\\"", "half": "\\ud83d\n"}'
    pieces = [mixed.call(0, piece, id="c1", name="write") for piece in written]
    chunks = [mixed.chunk(tool_calls=[piece]) for piece in pieces]
    service.next(Stream([*chunks, mixed.chunk("tool_calls"), DONE]))
    texts = [
        call.tool_kwargs.get("text", "")
        for response in llm.stream_chat([ChatMessage(content="?")], tools=TOOLS)
        for call in llm.get_tool_calls_from_response(response)
    ]
    end = texts.index('f(x):\n\t"\u4f60"')
    assert texts[:end] == sorted(texts[:end], key=len)
    assert texts[-1] == texts[end]


async def test_whole_arguments_with_control_characters_are_not_lost(
    llm: ModelScope, service: LocalService
) -> None:
    text = "all:\n\tgo build\r\n\x1b[0m"
    written = f'{{"a": "{text}", "b": "\\ud83d"}}'
    call = mixed.call(0, written, id="c1", name="add")
    choice = {"message": {"content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"}
    whole = Reply(200, {"choices": [choice]})
    streamed = Stream([mixed.chunk(tool_calls=[call]), mixed.chunk("tool_calls"), DONE])
    service.next(whole, whole, streamed, streamed)
    asked: Any = {"messages": [ChatMessage(content="?")], "tools": TOOLS}
    for answer in (
        llm.chat(**asked),
        await llm.achat(**asked),
        list(llm.stream_chat(**asked))[-1],
        [_ async for _ in await llm.astream_chat(**asked)][-1],
    ):
        (made,) = llm.get_tool_calls_from_response(answer)
        assert made.tool_kwargs == {"a": text, "b": "\ud83d"}

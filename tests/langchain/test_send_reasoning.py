"""Thoughts on their way back to the model: which, to whom, and in every form that holds them."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from langchain_modelscope import ModelScopeInvalidRequestError
from modelscope_transport.emulator import LocalService
from tests.langchain.conftest import HYBRID, PLAIN, MakeChat

WANTS = "deepseek-ai/DeepSeek-V4.1-Flash"


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def history(**answer: Any) -> list[Any]:
    call = {"id": "a", "name": "add", "args": {"a": 2, "b": 3}}
    thoughts = answer or {"additional_kwargs": {"reasoning_content": "I add."}}
    return [
        HumanMessage("Hello"),
        AIMessage("Hello.", additional_kwargs={"reasoning_content": "They greet."}),
        HumanMessage("2 + 3?"),
        AIMessage(**{"content": "", "tool_calls": [call], **thoughts}),
        ToolMessage("5", tool_call_id="a"),
    ]


@pytest.mark.parametrize(
    ("model", "option", "sent"),
    [
        (WANTS, {}, [None, "I add."]),
        (WANTS, {"send_reasoning": False}, [None, None]),
        (HYBRID, {}, [None, None]),
        (HYBRID, {"send_reasoning": True}, ["They greet.", "I add."]),
    ],
)
def test_what_goes_back(
    chat: MakeChat, service: LocalService, model: str, option: dict[str, Any], sent: list[Any]
) -> None:
    chat(model, **option).invoke(history())
    list(chat(model).stream(history(), **option))
    for request in service.requests:
        turns = [turn for turn in request.body["messages"] if turn["role"] == "assistant"]
        assert [turn.get("reasoning_content") for turn in turns] == sent


@pytest.mark.parametrize(
    "answer",
    [
        {"content": [{"type": "reasoning", "reasoning": "I add."}]},
        {"content": [{"type": "thinking", "thinking": "I add."}]},
        {"content": "", "additional_kwargs": {"reasoning_content": "I add."}},
    ],
)
def test_every_form_of_thoughts(
    chat: MakeChat, service: LocalService, answer: dict[str, Any]
) -> None:
    chat(WANTS).invoke(history(**answer))
    assert service.requests[0].body["messages"][3]["reasoning_content"] == "I add."


@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize("streaming", [None, True])
async def test_a_tool_loop_on_a_model_that_insists(
    chat: MakeChat, service: LocalService, version: str, streaming: bool | None
) -> None:
    service.next(*["wants_thoughts"] * 8)
    model = chat(WANTS, output_version=version, streaming=streaming, enable_thinking=True)
    agent: Any = create_agent(model, tools=[add])
    asked = {"messages": [("user", "Use the tool add with a 2 and b 3.")]}
    for state in (agent.invoke(asked), await agent.ainvoke(asked)):
        assert [message.type for message in state["messages"]] == ["human", "ai", "tool", "ai"]
    with pytest.raises(ModelScopeInvalidRequestError, match="send_reasoning=True"):
        create_agent(chat(WANTS, send_reasoning=False), tools=[add]).invoke(asked)


def test_what_a_refusal_teaches_is_remembered(chat: MakeChat, service: LocalService) -> None:
    model = chat(PLAIN)
    service.next("wants_thoughts", "wants_thoughts", "wants_thoughts")
    for _ in range(2):
        assert model.invoke(history()).text
    refused, healed, known = (request.body["messages"][3] for request in service.requests)
    assert "reasoning_content" not in refused
    assert healed["reasoning_content"] == known["reasoning_content"] == "I add."

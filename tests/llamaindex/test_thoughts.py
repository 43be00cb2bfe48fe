"""Thoughts of earlier turns: they go back where the model wants them, or where the user says so."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import (
    ChatMessage,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from modelscope_transport.emulator import LocalService

from .conftest import MakeLLM
from .consumers.agents import SUM, add

WANTS = "deepseek-ai/DeepSeek-V4.1-Flash"  # its family's API refuses a tool loop without them
HYBRID = "Qwen/Qwen3.5-122B-A10B"


def turns() -> list[ChatMessage]:
    calling: list[Any] = [
        ThinkingBlock(content="I shall add."),
        ToolCallBlock(tool_call_id="c1", tool_name="add", tool_kwargs={"a": 1, "b": 2}),
    ]
    return [
        ChatMessage(content="Hello."),
        ChatMessage(
            role="assistant", blocks=[ThinkingBlock(content="A greeting."), TextBlock(text="Hi.")]
        ),
        ChatMessage(content="Add 1 and 2."),
        ChatMessage(role="assistant", blocks=calling),
        ChatMessage(role="tool", content="3", additional_kwargs={"tool_call_id": "c1"}),
    ]


@pytest.mark.parametrize(
    ("model", "fields", "options", "sent"),
    [
        (HYBRID, {}, {}, []),
        (HYBRID, {"send_reasoning": True}, {}, ["A greeting.", "I shall add."]),
        (HYBRID, {}, {"send_reasoning": True}, ["A greeting.", "I shall add."]),
        (WANTS, {}, {}, ["I shall add."]),
        (WANTS, {"send_reasoning": False}, {}, []),
        (WANTS, {"send_reasoning": True}, {"send_reasoning": False}, []),
    ],
)
def test_which_thoughts_go_back(
    make_llm: MakeLLM, service: LocalService, model: str, fields: Any, options: Any, sent: Any
) -> None:
    history = turns()
    make_llm(model, **fields).chat(history, **options)

    messages = service.requests[0].body["messages"]
    thoughts = [one["reasoning_content"] for one in messages if "reasoning_content" in one]
    assert thoughts == sent
    assert history == turns(), "the caller's own are left alone"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("streaming", [False, True])
async def test_a_tool_loop_on_a_model_that_wants_them(
    make_llm: MakeLLM, service: LocalService, streaming: bool
) -> None:
    service.next(*["wants_thoughts"] * 3)
    llm = make_llm(WANTS, enable_thinking=True)
    output = await FunctionAgent(tools=[add], llm=llm, streaming=streaming).run(SUM)

    assert "7" in str(output)
    assert len(service.requests) == 2
    (calling,) = (turn for turn in service.requests[1].body["messages"] if turn.get("tool_calls"))
    assert calling["reasoning_content"]

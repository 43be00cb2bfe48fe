"""LangChain's built-in middlewares, each on this model: it answers, and each did its work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    ClearToolUsesEdit,
    ContextEditingMiddleware,
    HumanInTheLoopMiddleware,
    LLMToolEmulator,
    LLMToolSelectorMiddleware,
    ModelCallLimitMiddleware,
    ModelFallbackMiddleware,
    ModelRetryMiddleware,
    PIIMiddleware,
    SummarizationMiddleware,
    TodoListMiddleware,
    ToolCallLimitMiddleware,
    ToolRetryMiddleware,
)
from langgraph.checkpoint.memory import InMemorySaver

from modelscope_transport.emulator import LocalService
from tests.langchain.conftest import HYBRID, PLAIN, MakeChat

ASKED = 'Use the tool order_status for order 4711. Mail "ada@example.com".'
TOLD = "Order 4711 arrives on Tuesday."


def order_status(order: int) -> str:
    """Look up the status of an order by its number."""
    return f"Order {order} arrives on Tuesday."


def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"It rains in {city}."


def order_status_at_the_second_try() -> Callable[[int], str]:
    tries = []

    def status(order: int) -> str:
        """Look up the status of an order by its number."""
        tries.append(order)
        if len(tries) == 1:
            raise ConnectionError("The shop does not answer.")
        return order_status(order)

    status.__name__ = "order_status"
    return status


class Out(NamedTuple):
    """What came of a run.

    Attributes:
        messages: the agent's messages.
        sent: the bodies of the requests.
        state: the agent's whole state.
    """

    messages: Sequence[Any]
    sent: Sequence[Any]
    state: Any

    def of_kind(self, kind: str) -> list[str]:
        return [message.text for message in self.messages if message.type == kind]


class Middleware(NamedTuple):
    """One of them.

    Attributes:
        make: makes it.
        worked: whether its work can be seen.
        scenarios: what the service does meanwhile.
        tool: makes the tool that is called.
    """

    make: Callable[[MakeChat], Any]
    worked: Callable[[Out], bool]
    scenarios: tuple[str, ...] = ()
    tool: Callable[[], Callable[[int], str]] = lambda: order_status


def called(out: Out) -> bool:
    """Whether the tool was called and its result came back in the answer."""
    return out.of_kind("tool") == [TOLD] and TOLD in out.messages[-1].text


MIDDLEWARES: dict[str, Middleware] = {
    "ModelFallback": Middleware(
        lambda chat: ModelFallbackMiddleware(chat(HYBRID)),
        lambda out: called(out) and [body["model"] for body in out.sent][:2] == [PLAIN, HYBRID],
        ("model_spent",),
    ),
    "ModelRetry": Middleware(
        lambda chat: ModelRetryMiddleware(initial_delay=0, jitter=False),
        lambda out: called(out) and len(out.sent) == 3,
        ("throttled:0",),
    ),
    "ModelCallLimit": Middleware(
        lambda chat: ModelCallLimitMiddleware(run_limit=1),
        lambda out: len(out.sent) == 1 and "call limit" in out.messages[-1].text.lower(),
    ),
    "ToolCallLimit": Middleware(
        lambda chat: ToolCallLimitMiddleware(run_limit=0),
        lambda out: len(out.sent) == 2 and "limit" in out.of_kind("tool")[0],
    ),
    "ToolRetry": Middleware(
        lambda chat: ToolRetryMiddleware(initial_delay=0, jitter=False),
        called,
        tool=order_status_at_the_second_try,
    ),
    "Summarization": Middleware(
        lambda chat: SummarizationMiddleware(chat(), trigger=("messages", 3), keep=("messages", 2)),
        lambda out: len(out.sent) == 3 and "summary" in out.messages[0].text,
    ),
    "ContextEditing": Middleware(
        lambda chat: ContextEditingMiddleware(edits=[ClearToolUsesEdit(trigger=10, keep=0)]),
        lambda out: out.sent[-1]["messages"][-1]["content"] == "[cleared]",
    ),
    "ToolSelector": Middleware(
        lambda chat: LLMToolSelectorMiddleware(model=chat(), max_tools=1),
        lambda out: [len(body.get("tools", ())) for body in out.sent][1::2] == [1, 1],
    ),
    "ToolEmulator": Middleware(
        lambda chat: LLMToolEmulator(model=chat(), tools=["order_status"]),
        lambda out: len(out.sent) == 3 and TOLD not in out.of_kind("tool"),
    ),
    "TodoList": Middleware(
        lambda chat: TodoListMiddleware(),
        lambda out: called(out) and "write_todos" in str(out.sent[0]["tools"]),
    ),
    "PII": Middleware(
        lambda chat: PIIMiddleware("email", strategy="redact"),
        lambda out: called(out) and "ada@example.com" not in str(out.sent),
    ),
    "HumanInTheLoop": Middleware(
        lambda chat: HumanInTheLoopMiddleware(interrupt_on={"order_status": True}),
        lambda out: len(out.sent) == 1 and "__interrupt__" in out.state,
    ),
}


@pytest.mark.parametrize("native", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("name", MIDDLEWARES)
async def test_an_agent_answers_with_each_of_them(
    chat: MakeChat, service: LocalService, name: str, native: bool
) -> None:
    one = MIDDLEWARES[name]
    agent: Any = create_agent(
        chat(PLAIN, max_retries=0),
        tools=[one.tool(), weather],
        middleware=[one.make(chat)],
        checkpointer=InMemorySaver(),
    )
    service.next(*one.scenarios)
    config = {"configurable": {"thread_id": "1"}}
    asked = {"messages": [("user", ASKED)]}
    state = await agent.ainvoke(asked, config) if native else agent.invoke(asked, config)

    out = Out(state["messages"], [request.body for request in service.requests], state)
    assert one.worked(out), (out.messages, out.sent)


def test_there_are_twelve() -> None:
    assert len(MIDDLEWARES) == 12

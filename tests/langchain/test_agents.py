"""Agents and graphs on the model."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage, AIMessageChunk, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from pydantic import BaseModel

from modelscope_transport.emulator import LocalService
from tests.langchain.conftest import HYBRID, NO_SCHEMA, PLAIN, MakeChat


def order_status(order: int) -> str:
    """Look up the status of an order by its number."""
    return f"Order {order} arrives on Tuesday."


class Person(BaseModel):
    """A person that a text tells about."""

    name: str
    age: int


ASK = {"messages": [("user", "What is the status of order 4711?")]}
ADA = {"messages": [("user", 'The person is called "Ada", aged 36.')]}


@pytest.mark.parametrize("model", [PLAIN, HYBRID, "Qwen/QwQ-32B"])
async def test_an_agent_calls_a_tool_and_answers(
    chat: MakeChat, service: LocalService, model: str
) -> None:
    agent = create_agent(chat(model), tools=[order_status])
    for messages in (agent.invoke(ASK)["messages"], (await agent.ainvoke(ASK))["messages"]):
        _, asked, told, answer = messages
        assert asked.tool_calls[0]["args"] == {"order": 4711}
        assert isinstance(told, ToolMessage)
        assert told.text == order_status(4711)
        assert answer.text
    assert len(service.requests) == 4


STRATEGIES: list[Any] = [Person, ToolStrategy(Person), ProviderStrategy(Person)]


@pytest.mark.parametrize("form", STRATEGIES, ids=["schema", "ToolStrategy", "ProviderStrategy"])
@pytest.mark.parametrize("tools", [[], [order_status]], ids=["no tools", "tools"])
def test_an_agent_answers_with_an_object(
    chat: MakeChat, service: LocalService, form: Any, tools: list[Any]
) -> None:
    model = chat()
    state = create_agent(model, tools=tools, response_format=form).invoke(ADA)

    assert state["structured_response"] == Person(name="Ada", age=36)
    body = service.requests[0].body
    by_provider = isinstance(form, ProviderStrategy) or (
        form is Person and bool(model.profile and model.profile.get("structured_output"))
    )
    assert ("response_format" in body) is by_provider
    assert body.get("tools") != []
    if not by_provider:
        assert body["tool_choice"] in (
            "required",
            {"type": "function", "function": {"name": "Person"}},
        )


@pytest.mark.parametrize("form", STRATEGIES, ids=["schema", "ToolStrategy", "ProviderStrategy"])
@pytest.mark.parametrize("tools", [[], [order_status]], ids=["no tools", "tools"])
@pytest.mark.parametrize("model", [HYBRID, NO_SCHEMA, "Qwen/QwQ-32B", "nex-agi/Nex-N2.5-mini"])
async def test_an_agent_answers_with_an_object_on_every_kind_of_model(
    chat: MakeChat, service: LocalService, model: str, form: Any, tools: list[Any]
) -> None:
    agent: Any = create_agent(chat(model), tools=tools, response_format=form)
    for state in (agent.invoke(ADA), await agent.ainvoke(ADA)):
        assert state["structured_response"] == Person(name="Ada", age=36)
    # that a forced tool wants thinking off is learnt once, where the model data does not say it
    assert len(service.requests) == (3 if model == NO_SCHEMA else 2)


def test_an_agent_on_a_model_without_schema_calls_its_tool_first(
    chat: MakeChat, service: LocalService
) -> None:
    agent: Any = create_agent(
        chat(NO_SCHEMA), tools=[order_status], response_format=ProviderStrategy(Person)
    )
    state = agent.invoke({"messages": [("user", "What is the order_status of order 4711?")]})

    assert isinstance(state["messages"][2], ToolMessage)
    assert isinstance(state["structured_response"], Person)
    for request in service.requests:
        names = [tool["function"]["name"] for tool in request.body["tools"]]
        assert names == ["order_status", "Person"]
        assert "response_format" not in request.body


def test_a_graph_streams_the_models_tokens(chat: MakeChat, service: LocalService) -> None:
    model = chat()

    def answer(state: MessagesState) -> dict[str, list[Any]]:
        return {"messages": [model.invoke(state["messages"])]}

    graph: Any = StateGraph(MessagesState)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    graph.add_edge("answer", END)
    chunks = [
        chunk
        for chunk, _ in graph.compile().stream(
            {"messages": [("user", "Hello")]}, stream_mode="messages"
        )
    ]

    assert len(chunks) > 3
    assert len({chunk.id for chunk in chunks}) == 1
    total: Any = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    assert isinstance(total, AIMessageChunk)
    assert total.text == chat().invoke("Hello").text
    assert total.usage_metadata
    assert service.requests[0].body["stream_options"] == {"include_usage": True}


async def test_an_agent_streams_its_steps_and_tokens(chat: MakeChat) -> None:
    agent = create_agent(chat(), tools=[order_status])
    steps = [step async for step in agent.astream(ASK, stream_mode="updates")]
    assert [next(iter(step)) for step in steps] == ["model", "tools", "model"]

    tokens = [chunk async for chunk, _ in agent.astream(ASK, stream_mode="messages")]
    pieces = [token for token in tokens if isinstance(token, AIMessageChunk)]
    assert any(piece.tool_call_chunks for piece in pieces)
    assert any(piece.text for piece in pieces)


def test_a_graph_that_streams_messages_gives_the_first_of_several_answers(chat: MakeChat) -> None:
    agent = create_agent(chat(n=2), [])
    heard: Any = agent.stream({"messages": [("user", "Hello")]}, stream_mode="messages")
    assert [message.text != "" for message, _ in heard] == [True]


def test_an_agent_remembers(chat: MakeChat, service: LocalService) -> None:
    agent = create_agent(chat(), checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "one"}}
    agent.invoke({"messages": [("user", "My cat is called Mimi.")]}, thread)
    agent.invoke({"messages": [("user", "Hello")]}, thread)

    sent = service.requests[1].body["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "user"]
    assert sent[0]["content"] == "My cat is called Mimi."


def test_two_answers_in_one_history_have_two_ids(chat: MakeChat) -> None:
    model = chat()
    first, second = model.invoke("Hello"), model.invoke("Hello")
    assert isinstance(first, AIMessage)
    assert first.id != second.id

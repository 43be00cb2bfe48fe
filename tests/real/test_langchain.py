"""LangChain on a real model, end to end: memory, streams, tools, structure, retrieval, loops."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.messages import AIMessageChunk, ToolMessage
from langchain_core.vectorstores import InMemoryVectorStore
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel, Field

from demo.steps import DOCUMENTS
from langchain_modelscope import ChatModelScope, ModelScopeEmbeddings
from modelscope_transport.emulator import LocalService

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


@pytest.fixture
def model(service: LocalService) -> ChatModelScope:
    return ChatModelScope(
        model="Qwen/Qwen3-Coder-30B-A3B-Instruct",
        base_url=service.base_url,
        api_key=service.token,
        temperature=0,
        seed=7,
        max_tokens=200,
    )


class Person(BaseModel):
    """A person that a text tells about."""

    name: str = Field(description="The person's full name.")
    age: int = Field(description="The person's age in years.")


def order_status(order: int) -> str:
    """Look up the status of an order by its number."""
    return f"Order {order} is on its way and arrives on Tuesday."


def test_an_agent_remembers_what_was_said_turns_ago(model: ChatModelScope) -> None:
    agent = create_agent(model, tools=[], checkpointer=InMemorySaver())

    def say(text: str, thread: str) -> str:
        state = agent.invoke(
            {"messages": [("user", text)]}, {"configurable": {"thread_id": thread}}
        )
        return str(state["messages"][-1].text)

    say("My cat is called Mimi.", "one")
    say("Say hello in one short sentence.", "one")

    assert "Mimi" in say("What is my cat called?", "one")
    assert "Mimi" not in say("What is my cat called?", "another")


def test_a_stream_says_what_invoke_says(model: ChatModelScope) -> None:
    question = "Count from one to ten in words."

    whole = model.invoke(question)
    pieces = list(model.stream(question))

    assert len(pieces) > 5
    assert "".join(piece.text for piece in pieces) == whole.text
    assert whole.usage_metadata is not None
    joined = pieces[0]
    for piece in pieces[1:]:
        joined += piece
    assert isinstance(joined, AIMessageChunk)
    assert joined.usage_metadata is not None
    assert joined.usage_metadata["output_tokens"] == whole.usage_metadata["output_tokens"]


@pytest.mark.parametrize(
    "question", ["When does order 4711 arrive?", "订单 4711 什么时候到？"], ids=["en", "zh"]
)
def test_an_agent_calls_a_tool_and_answers_with_its_result(
    model: ChatModelScope, question: str
) -> None:
    agent = create_agent(model, tools=[order_status])

    messages = agent.invoke({"messages": [("user", question)]})["messages"]

    results = {message.text for message in messages if isinstance(message, ToolMessage)}
    assert results == {order_status(4711)}
    assert "Tuesday" in messages[-1].text or "星期二" in messages[-1].text


async def test_a_streaming_agent_calls_a_tool_in_pieces(model: ChatModelScope) -> None:
    asked: Any = AIMessageChunk("")
    count = 0
    async for piece in model.bind_tools([order_status]).astream("When does order 4711 arrive?"):
        asked += piece
        count += 1

    assert count > 2
    assert [(call["name"], call["args"]) for call in asked.tool_calls] == [
        ("order_status", {"order": 4711})
    ]


@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
def test_structured_output_holds_the_given_facts(model: ChatModelScope, method: str) -> None:
    reader = model.with_structured_output(Person, method=method)

    person = reader.invoke("Ada Lovelace is 36 years old and lives in London.")

    assert person == Person(name="Ada Lovelace", age=36)


@pytest.mark.parametrize(
    ("question", "fact"),
    [
        ("At what time of day did the count of calls go back to zero?", "00:00 UTC+8"),
        ("How many Magicubes does a call of a flagship model cost?", "flagship"),
        ("每天登录送多少魔粒？", "200 个魔粒"),
        ("在哪里新建令牌？", "myaccesstoken"),
    ],
)
def test_retrieval_finds_chinese_and_english_facts(
    service: LocalService, question: str, fact: str
) -> None:
    embeddings = ModelScopeEmbeddings(
        model="Qwen/Qwen3-Embedding-0.6B", base_url=service.base_url, api_key=service.token
    )
    store = InMemoryVectorStore(embeddings)
    sections = [
        Document(section)
        for path in (DOCUMENTS[0] / "guide.en.md", DOCUMENTS[0] / "guide.zh.md")
        for section in path.read_text(encoding="utf-8").split("\n## ")
    ]
    store.add_documents(sections)

    best = store.similarity_search(question, k=1)

    assert fact in best[0].page_content


def test_one_model_serves_three_event_loops(model: ChatModelScope) -> None:
    answers = [
        asyncio.run(model.ainvoke(f"Say the number {number}.", max_tokens=20)).text
        for number in (1, 2, 3)
    ]

    assert all(answers)


async def test_after_a_cancelled_stream_the_next_call_works(model: ChatModelScope) -> None:
    begun = asyncio.Event()

    async def read() -> None:
        async for _ in model.astream("Count from one to one hundred in words."):
            begun.set()

    reading = asyncio.create_task(read())
    await begun.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    assert (await model.ainvoke("Say hello.")).text

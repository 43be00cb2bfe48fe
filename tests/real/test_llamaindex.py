"""LlamaIndex on a real model, end to end: memory, streams, tools, structure, retrieval, loops."""

from __future__ import annotations

import asyncio

import pytest
from llama_index.core import Document, PromptTemplate, VectorStoreIndex
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.llms import ChatMessage
from llama_index.core.node_parser import MarkdownNodeParser
from pydantic import BaseModel, Field

from demo.steps import DOCUMENTS
from llamaindex_modelscope import ModelScope, ModelScopeEmbedding
from modelscope_transport.emulator import LocalService

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(300),
    # LlamaIndex's workflows look at every attribute of an agent, at pydantic's old ones too
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning"),
]


@pytest.fixture
def llm(service: LocalService) -> ModelScope:
    return ModelScope(
        model="Qwen/Qwen3-Coder-30B-A3B-Instruct",
        base_url=service.base_url,
        api_key=service.token,
        temperature=0,
        max_tokens=200,
        additional_kwargs={"seed": 7},
    )


@pytest.fixture
def index(service: LocalService) -> VectorStoreIndex:
    embed_model = ModelScopeEmbedding(
        model_name="Qwen/Qwen3-Embedding-0.6B",
        base_url=service.base_url,
        api_key=service.token,
    )
    documents = [
        Document(text=(DOCUMENTS[0] / name).read_text(encoding="utf-8"))
        for name in ("guide.en.md", "guide.zh.md")
    ]
    return VectorStoreIndex.from_documents(
        documents, embed_model=embed_model, transformations=[MarkdownNodeParser()]
    )


class Person(BaseModel):
    """A person that a text tells about."""

    name: str = Field(description="The person's full name.")
    age: int = Field(description="The person's age in years.")


def order_status(order: int) -> str:
    """Look up the status of an order by its number."""
    return f"Order {order} is on its way and arrives on Tuesday."


def test_a_chat_engine_remembers_what_was_said_turns_ago(llm: ModelScope) -> None:
    chat = SimpleChatEngine.from_defaults(llm=llm)
    chat.chat("My cat is called Mimi.")
    chat.chat("Say hello in one short sentence.")

    assert "Mimi" in str(chat.chat("What is my cat called?"))
    assert "Mimi" not in str(SimpleChatEngine.from_defaults(llm=llm).chat("What is my cat called?"))


def test_a_stream_says_what_chat_says(llm: ModelScope) -> None:
    question = [ChatMessage("Count from one to ten in words.")]

    whole = llm.chat(question)
    pieces = list(llm.stream_chat(question))

    assert len(pieces) > 5
    assert pieces[-1].message.content == whole.message.content
    assert "".join(piece.delta or "" for piece in pieces) == whole.message.content
    assert pieces[-1].raw["usage"]["completion_tokens"] == whole.raw["usage"]["completion_tokens"]


@pytest.mark.parametrize(
    "question", ["When does order 4711 arrive?", "订单 4711 什么时候到？"], ids=["en", "zh"]
)
async def test_an_agent_calls_a_tool_and_answers_with_its_result(
    llm: ModelScope, question: str
) -> None:
    agent = FunctionAgent(tools=[order_status], llm=llm)

    output = await agent.run(question)

    assert {call.tool_output.content for call in output.tool_calls} == {order_status(4711)}
    assert "Tuesday" in str(output) or "星期二" in str(output)


def test_structured_output_holds_the_given_facts(llm: ModelScope) -> None:
    person = llm.structured_predict(
        Person, PromptTemplate("{text}"), text="Ada Lovelace is 36 years old and lives in London."
    )

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
    index: VectorStoreIndex, question: str, fact: str
) -> None:
    found = index.as_retriever(similarity_top_k=1).retrieve(question)

    assert fact in found[0].get_content()


def test_a_query_engine_answers_with_the_fact_that_it_found(
    index: VectorStoreIndex, llm: ModelScope
) -> None:
    engine = index.as_query_engine(llm=llm, similarity_top_k=1)

    response = engine.query("At what time of day did the count of calls go back to zero?")

    assert "00:00" in str(response)
    assert "00:00" in response.source_nodes[0].get_content()


def test_one_model_serves_three_event_loops(llm: ModelScope) -> None:
    answers = [str(asyncio.run(llm.acomplete(f"Say the number {n}."))) for n in (1, 2, 3)]

    assert all(answers)


async def test_after_a_cancelled_stream_the_next_call_works(llm: ModelScope) -> None:
    begun = asyncio.Event()

    async def read() -> None:
        question = [ChatMessage("Count from one to one hundred in words.")]
        async for _ in await llm.astream_chat(question):
            begun.set()

    reading = asyncio.create_task(read())
    await begun.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    assert str(await llm.acomplete("Say hello."))

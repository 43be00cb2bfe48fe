"""What LangChain's other parts look for in a model: usage, headers, caches, tokens, short reprs."""

from __future__ import annotations

import ast
import inspect
from itertools import pairwise
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import HumanMessage, trim_messages
from langchain_core.outputs import LLMResult

from langchain_modelscope import (
    ChatModelScope,
    ModelScopeEmbeddings,
    ModelScopeImageTool,
    ModelScopeRerank,
    _signatures,
)
from langchain_modelscope._argument_table import CHAT, EMBEDDINGS
from modelscope_transport import Client
from modelscope_transport.emulator import LocalService
from tests.langchain.conftest import PLAIN, MakeChat

TOKEN = "ms-00000000-0000-0000-0000-000000000000"


class Ended(BaseCallbackHandler):
    def __init__(self) -> None:
        self.outputs: list[Any] = []

    def on_llm_end(self, response: LLMResult, **run: Any) -> None:
        self.outputs.append(response.llm_output)


def test_token_usage_stands_where_callbacks_look(chat: MakeChat) -> None:
    ended = Ended()
    model = chat()
    result = model.generate([[HumanMessage("Hello")], [HumanMessage("Hello")]], callbacks=[ended])

    (one, two), both = ended.outputs, result.llm_output
    assert both is not None
    assert one["model_name"] == both["model_name"] == PLAIN
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        total = both["token_usage"][name]
        assert total == one["token_usage"][name] + two["token_usage"][name] > 0
    message = model.invoke("Hello")
    assert message.usage_metadata
    usage = message.response_metadata["token_usage"]
    assert usage["total_tokens"] == message.usage_metadata["total_tokens"]


async def test_headers_come_where_they_are_wanted(chat: MakeChat) -> None:
    model = chat(include_response_headers=True)
    stream = list(model.stream("Hello"))
    astream = [chunk async for chunk in model.astream("Hello")]
    for message in (model.invoke("Hello"), await model.ainvoke("Hello"), stream[0], astream[0]):
        headers = message.response_metadata["headers"]
        assert headers["content-type"].split(";")[0] in ("application/json", "text/event-stream")
        assert "set-cookie" not in headers
    assert "headers" not in chat().invoke("Hello").response_metadata
    assert "headers" not in chat().invoke("Hello").response_metadata["modelscope"]


def test_two_services_share_no_answers(chat: MakeChat, service: LocalService) -> None:
    cache = InMemoryCache()
    with LocalService() as other:
        here = Client(service.token, base_url=service.base_url)
        there = Client(other.token, base_url=other.base_url)
        for client in (here, there, here):
            ChatModelScope(model=PLAIN, client=client, cache=cache).invoke("Hello")
        assert (len(service.requests), len(other.requests)) == (1, 1)


def test_text_parts_keep_their_boundaries(chat: MakeChat, service: LocalService) -> None:
    chat().invoke([HumanMessage(["One", {"type": "text", "text": "Two"}])])
    assert service.requests[0].body["messages"][0]["content"] == "One\nTwo"


def test_tokens_are_counted_and_cut_without_a_download() -> None:
    model = ChatModelScope(model=PLAIN, api_key=TOKEN)
    text = "Rain falls on London. " * 20
    assert len(model.get_token_ids(text)) == model.get_num_tokens(text) > 50
    exact = ChatModelScope(model=PLAIN, api_key=TOKEN, custom_get_token_ids=lambda _: [1, 2])
    assert exact.get_token_ids(text) == [1, 2]
    kept = trim_messages(
        [HumanMessage(text), HumanMessage("Hi")], max_tokens=20, token_counter=model
    )
    assert [message.text for message in kept] == ["Hi"]


@pytest.mark.parametrize(
    ("it", "shown"),
    [
        (
            ChatModelScope(
                model=PLAIN, api_key=TOKEN, temperature=0.5, base_url="http://127.0.0.1/v1"
            ),
            f"ChatModelScope(model='{PLAIN}', base_url='http://127.0.0.1/v1', temperature=0.5)",
        ),
        (
            ChatModelScope(model=PLAIN, api_key=TOKEN, default_headers={"x-key": "secret"}),
            f"ChatModelScope(model='{PLAIN}')",
        ),
        (
            ChatModelScope(model=PLAIN, api_key=TOKEN, model_kwargs={}, temperature=None),
            f"ChatModelScope(model='{PLAIN}')",
        ),
        (
            ModelScopeEmbeddings(model="Qwen/Qwen3-Embedding-0.6B", api_key=TOKEN, dimensions=8),
            "ModelScopeEmbeddings(model='Qwen/Qwen3-Embedding-0.6B', dimensions=8)",
        ),
        (
            ModelScopeRerank(model=PLAIN, api_key=TOKEN, top_n=3),
            f"ModelScopeRerank(model='{PLAIN}', top_n=3)",
        ),
        (
            ModelScopeImageTool(model="Qwen/Qwen-Image", api_key=TOKEN, size="64x64"),
            "ModelScopeImageTool(model='Qwen/Qwen-Image', size='64x64')",
        ),
    ],
    ids=["chat", "headers", "defaults", "embeddings", "rerank", "tool"],
)
def test_a_repr_is_short(it: Any, shown: str) -> None:
    assert {repr(it).replace(", ", ",")} == {shown.replace(", ", ",")}


@pytest.mark.parametrize("cls", [ChatModelScope, ModelScopeEmbeddings, ModelScopeRerank])
def test_each_field_of_ours_says_what_it_is(cls: type[Any]) -> None:
    """In a docstring below it: pydantic would read the sources at each import to collect them."""
    inherited, explained = set(), set()
    for base in cls.__mro__[1:]:
        if base.__module__.startswith("langchain_core"):
            inherited |= set(getattr(base, "model_fields", {}))
    for base in cls.__mro__:
        if base.__module__.startswith("langchain_modelscope"):
            body = ast.parse(inspect.getsource(base)).body[0].body  # type: ignore[attr-defined]
            explained |= {
                field.target.id
                for field, text in pairwise(body)
                if isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
            }
    assert not set(cls.model_fields) - inherited - explained


@pytest.mark.parametrize(
    ("cls", "arguments", "table"),
    [
        (ChatModelScope, _signatures.ChatArguments, CHAT),
        (ModelScopeEmbeddings, _signatures.EmbeddingArguments, EMBEDDINGS),
    ],
)
def test_type_checkers_know_each_argument(cls: Any, arguments: Any, table: Any) -> None:
    typed = set(arguments.__annotations__)
    assert set(cls.model_fields) - typed <= {"model_name"}
    assert typed - set(cls.model_fields) <= set(table)

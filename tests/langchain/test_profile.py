"""What LangChain is told of a model, and what it makes of that."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import SummarizationMiddleware
from langchain_core.messages import AIMessage, HumanMessage, trim_messages

from langchain_modelscope import ChatModelScope
from modelscope_transport import profile_for
from modelscope_transport.catalogue.models import known_models
from modelscope_transport.emulator import LocalService
from tests.langchain.conftest import HYBRID, PLAIN, STREAM_ONLY, MakeChat


@pytest.mark.parametrize("name", known_models())
def test_the_profile_says_what_the_data_says(name: str) -> None:
    known = profile_for(name)
    profile: Any = ChatModelScope(model=name, api_key="ms-test").profile

    assert profile.get("max_input_tokens") == known.context_window
    assert profile.get("max_output_tokens") == known.max_output_tokens
    assert profile["tool_calling"] is known.tool_calling
    assert profile["structured_output"] is (known.structured_output == "json_schema")
    assert profile.get("image_inputs") == (
        None if known.inputs is None else "image" in known.inputs
    )


def test_thinking_models() -> None:
    def profile(name: str) -> Any:
        return ChatModelScope(model=name, api_key="ms-test").profile

    assert profile(HYBRID)["reasoning_output"] is True
    assert profile(HYBRID)["tool_choice"] is True
    assert profile(STREAM_ONLY)["tool_choice"] is False
    assert "max_input_tokens" not in profile("someone/new-model")
    assert profile("someone/new-model")["tool_calling"] is True


def test_a_profile_of_ones_own_stays(chat: MakeChat) -> None:
    assert chat(profile={"max_input_tokens": 100}).profile == {"max_input_tokens": 100}


def test_the_window_decides_when_to_sum_up(chat: MakeChat, service: LocalService) -> None:
    model = chat(profile={"max_input_tokens": 200})
    middleware = SummarizationMiddleware(model, trigger=("fraction", 0.5), keep=("messages", 1))
    agent = create_agent(chat(), middleware=[middleware])
    said = [HumanMessage("word " * 40), AIMessage("word " * 40), HumanMessage("Hello")]

    agent.invoke({"messages": said})
    assert len(service.requests) == 2  # one for the summary, one for the answer
    assert "word word" not in str(service.requests[1].body["messages"][-1])

    service.reset()
    create_agent(chat(), middleware=[middleware]).invoke({"messages": [("user", "Hello")]})
    assert len(service.requests) == 1


# -------------------------------------------------------------------------------- token counts


def test_tokens_are_counted_without_a_download(
    chat: MakeChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any) -> None:
        raise AssertionError("a connection was wanted")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    model = chat()

    assert model.get_num_tokens("one two three four five six") == pytest.approx(7, abs=3)
    assert model.get_num_tokens("今天的天气怎么样？") == pytest.approx(6, abs=3)
    assert model.get_num_tokens("") == 0
    few = model.get_num_tokens_from_messages([HumanMessage("Hello")])
    many = model.get_num_tokens_from_messages([HumanMessage("今天的天气怎么样？" * 10)])
    assert 3 < few < 15
    assert 50 < many < 90
    with_tools = model.get_num_tokens_from_messages([HumanMessage("Hello")], tools=[_lookup])
    assert with_tools > few + 10


def _lookup(city: str) -> str:
    """Look up the weather of a city."""
    return city


def test_a_tokenizer_of_ones_own_is_used(chat: MakeChat) -> None:
    assert chat(custom_get_token_ids=lambda text: list(range(42))).get_num_tokens("x") == 42

    letters = chat(custom_get_token_ids=lambda text: list(map(ord, text)))
    said = [HumanMessage("word " * 20), AIMessage("word " * 20), HumanMessage("last")]
    assert 204 <= letters.get_num_tokens_from_messages(said) < 240  # the roles count as well
    kept = trim_messages(said, max_tokens=150, token_counter=letters, strategy="last")
    assert [message.text for message in kept] == [said[1].text, "last"]


def test_messages_are_trimmed_by_the_models_own_count(chat: MakeChat) -> None:
    said = [HumanMessage("word " * 100), AIMessage("word " * 100), HumanMessage("last")]
    kept = trim_messages(said, max_tokens=30, token_counter=chat(PLAIN), strategy="last")

    assert [message.text for message in kept] == ["last"]

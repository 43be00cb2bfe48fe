"""What users of ChatOpenAI count on, written anew as behaviour; `behaviours.toml` says which."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.outputs import LLMResult
from pydantic import BaseModel
from typing_extensions import TypedDict

from langchain_modelscope import ChatModelScope

from .foreign_server import DONE, ForeignServer, Shape, event
from .shape_parts import USAGE, USED

MODEL = "engine/any"
HELLO = [HumanMessage("Hello")]


class Username(BaseModel):
    """A user name from a name and a colour of hair."""

    name: str
    hair: str


SALLY = '{"name": "Sally", "hair": "green"}'


@pytest.fixture
def server() -> Iterator[ForeignServer]:
    with ForeignServer() as running:
        yield running


def model(server: ForeignServer, *texts: str, calls: str = "", **fields: Any) -> Any:
    """A model that answers with these texts, one an answer; or with a call of these arguments."""
    choices = [_choice(at, text, calls) for at, text in enumerate(texts or ("",))]
    (first, *_) = choices
    deltas = [event(_delta(first["message"], part)) for part in _parts(texts[0] if texts else "")]
    ending = event({}, first["finish_reason"])
    whole = {"id": "1", "model": "served", "choices": choices, "usage": USED}
    stream = (*deltas, ending, USAGE, DONE)
    server.add(Shape(MODEL, "written here", stream=stream, whole=whole))
    place = {"base_url": server.base_url, "api_key": "ms-none", "max_retries": 0}
    return ChatModelScope(**{"model": MODEL, **place, **fields})


def _parts(text: str) -> list[str]:
    return [text[at : at + 4] for at in range(0, len(text), 4)] or [""]


def _choice(at: int, text: str, calls: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if calls:
        function = {"name": "Username", "arguments": calls}
        message["tool_calls"] = [{"id": "c1", "type": "function", "function": function}]
    reason = "tool_calls" if calls else "stop"
    logprobs = {"content": [{"token": text, "logprob": -0.5, "bytes": None, "top_logprobs": []}]}
    return {"index": at, "message": message, "finish_reason": reason, "logprobs": logprobs}


def _delta(message: dict[str, Any], text: str) -> dict[str, Any]:
    calls = [{"index": 0, **call} for call in message.get("tool_calls", ())]
    return {"content": text, **({"tool_calls": calls} if calls else {})}


def joined(chunks: list[Any]) -> AIMessageChunk:
    first, *others = chunks
    whole: AIMessageChunk = first + others
    return whole


class Heard(BaseCallbackHandler):
    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.results: list[LLMResult] = []

    def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
        self.tokens.append(token)

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        self.results.append(response)


def test_none_leaves_an_argument_to_its_default(server: ForeignServer) -> None:
    names = ("temperature", "timeout", "http_client", "default_headers", "n", "stop", "proxy")
    chat = model(server, "Yes.", **dict.fromkeys(names))
    assert chat.invoke(HELLO).text == "Yes."
    assert set(server.requests[0].body) == {"model", "messages"}


@pytest.mark.parametrize("native", [False, True], ids=["sync", "async"])
async def test_answers_for_each_of_several_prompts(server: ForeignServer, native: bool) -> None:
    chat = model(server, "Yes.", "No.", n=2)
    prompts = [HELLO, HELLO]
    result = await chat.agenerate(prompts) if native else chat.generate(prompts)
    assert [[one.text for one in each] for each in result.generations] == [["Yes.", "No."]] * 2
    assert result.llm_output["model_name"] == MODEL
    assert result.llm_output["token_usage"]["completion_tokens"] == 8  # of both calls


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
def test_a_result_names_the_model(server: ForeignServer, streaming: bool) -> None:
    result = model(server, "Yes.", streaming=streaming).generate([HELLO])
    (generation,) = result.generations[0]
    assert generation.message.response_metadata["model_name"] == MODEL
    assert streaming or result.llm_output["model_name"] == MODEL


@pytest.mark.parametrize("native", [False, True], ids=["sync", "async"])
async def test_callbacks_hear_the_tokens_and_then_the_whole(
    server: ForeignServer, native: bool
) -> None:
    heard = Heard()
    chat = model(server, "Hello there.", streaming=True, callbacks=[heard])
    if native:
        await chat.ainvoke(HELLO)
        chunks = [chunk async for chunk in chat.astream(HELLO)]
    else:
        chat.invoke(HELLO)
        chunks = list(chat.stream(HELLO))
    assert "".join(heard.tokens) == "Hello there." * 2
    assert [result.generations[0][0].text for result in heard.results] == ["Hello there."] * 2
    assert joined(chunks).text == "Hello there."


def test_several_answers_come_whole_where_a_stream_is_asked_for(server: ForeignServer) -> None:
    (chunk,) = model(server, "Yes.", n=5).stream(HELLO)
    (request,) = server.requests
    assert chunk.text == "Yes."
    assert (request.body["n"], request.body.get("stream")) == (5, None)


async def test_every_way_to_ask(server: ForeignServer) -> None:
    chat, tags = model(server, "Yes."), {"tags": ["a"]}
    answers = [
        chat.invoke("Hello", tags),
        await chat.ainvoke("Hello", tags),
        *chat.batch(["Hello", "Hello"]),
        *await chat.abatch(["Hello", "Hello"], tags),
        joined(list(chat.stream("Hello"))),
        joined([chunk async for chunk in chat.astream("Hello")]),
    ]
    assert [answer.text for answer in answers] == ["Yes."] * 8
    for answer in answers:
        assert answer.response_metadata["model_name"] == MODEL
        assert answer.response_metadata["finish_reason"] == "stop"
        assert "headers" not in answer.response_metadata
        assert answer.usage_metadata["output_tokens"] == 4


async def test_what_an_answer_tells_of_itself(server: ForeignServer) -> None:
    chat = model(server, "Yes.", logprobs=True)
    for answer in (chat.invoke(HELLO), await chat.ainvoke(HELLO)):
        told = answer.response_metadata
        assert told["token_usage"]["prompt_tokens"] == 9
        assert (told["model_name"], told["finish_reason"]) == (MODEL, "stop")
        assert told["logprobs"]["content"][0]["token"] == "Yes."


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_tools_answer_goes_back(server: ForeignServer, streamed: bool) -> None:
    chat = model(server, calls=SALLY).bind_tools([Username], tool_choice=True)
    asked = [HumanMessage("Sally has green hair.")]
    answer = joined(list(chat.stream(asked))) if streamed else chat.invoke(asked)
    (call,) = answer.tool_calls
    assert call["args"] == json.loads(SALLY)

    chat.invoke([*asked, answer, ToolMessage("sally_green", tool_call_id=call["id"])])
    _, called, told = server.requests[-1].body["messages"]
    assert called["tool_calls"][0]["id"] == told["tool_call_id"] == call["id"]
    assert json.loads(called["tool_calls"][0]["function"]["arguments"]) == json.loads(SALLY)


class Inner(TypedDict):
    score: int


class Outer(TypedDict):
    """An outer object."""

    name: str
    inner: Inner


@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
def test_objects_inside_of_objects(server: ForeignServer, method: Any) -> None:
    chat = model(server, '{"name": "a", "inner": {"score": 7}}')
    reader = chat.with_structured_output(Outer, method=method)
    whole = {"name": "a", "inner": {"score": 7}}
    assert reader.invoke("Answer in JSON.") == whole
    assert list(reader.stream("Answer in JSON."))[-1] == whole


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_a_schema_in_the_form_of_a_function(
    server: ForeignServer, method: Any, strict: bool
) -> None:
    schema = {
        "name": "Username",
        "description": "A user name.",
        "strict": strict,
        "parameters": Username.model_json_schema(),
    }
    answer = {"calls": SALLY} if method == "function_calling" else {}
    chat = model(server, *(() if answer else (SALLY,)), **answer)
    reader = chat.with_structured_output(schema, method=method)
    assert reader.invoke("Who?") == json.loads(SALLY)
    body = server.requests[0].body
    form = (
        body["response_format"]["json_schema"]
        if method == "json_schema"
        else body["tools"][0]["function"]
    )
    assert (form["name"], form["strict"]) == ("Username", strict)


async def test_json_by_the_form_of_the_answer(server: ForeignServer) -> None:
    chat = model(server, '{"a": 1}').bind(response_format={"type": "json_object"})
    chunks = [chunk async for chunk in chat.astream("Say {'a': 1} in JSON.")]
    for answer in (chat.invoke("In JSON."), joined(list(chat.stream("In JSON."))), joined(chunks)):
        assert json.loads(answer.text) == {"a": 1}
    assert server.requests[0].body["response_format"] == {"type": "json_object"}


def test_a_form_beside_tools(server: ForeignServer) -> None:
    chat = model(server, SALLY).bind_tools([Username], strict=True, response_format=Username)
    assert chat.invoke("Who?").additional_kwargs["parsed"] == Username(name="Sally", hair="green")
    called = model(server, calls=SALLY).bind_tools([Username], response_format=Username)
    (call,) = joined(list(called.stream("Who?"))).tool_calls
    assert call["name"] == "Username"

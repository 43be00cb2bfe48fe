"""The rows of langchain_features.py: one thing each that users do with a chat model.

A row is a function that does it with what a `Side` makes and judges what came of it.
"""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

from langchain_core.load import dumps
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import ConfigurableField
from pydantic import BaseModel

from benchmarks.features import HYBRID, Outcome, Side, row
from modelscope_transport.emulator import DONE, Stream

# --- answers ----------------------------------------------------------------------------------


@row("thoughts kept, invoke")
def _thoughts(side: Side) -> Outcome:
    kept = side.chat(HYBRID).invoke("Hello").additional_kwargs.get("reasoning_content")
    return Outcome(bool(kept), "kept" if kept else "dropped")


@row("thoughts kept, stream")
def _streamed_thoughts(side: Side) -> Outcome:
    kept = side.stream(side.chat(HYBRID)).additional_kwargs.get("reasoning_content")
    return Outcome(bool(kept), "kept" if kept else "dropped")


@row("token usage of a stream")
def _usage(side: Side) -> Outcome:
    usage = side.stream(side.chat()).usage_metadata
    good = bool(usage) and usage["output_tokens"] > 0
    return Outcome(good, f"{usage['output_tokens']} tokens out" if good else f"{usage and 'wrong'}")


@row("usage on every chunk, counted once")
def _usage_everywhere(side: Side) -> Outcome:
    def event(number: int, finish: str | None = None) -> dict[str, Any]:
        usage = {"prompt_tokens": 30, "completion_tokens": number, "total_tokens": 30 + number}
        choice = {"index": 0, "delta": {"content": f"{number} "}, "finish_reason": finish}
        return {"id": "chatcmpl-1", "choices": [choice], "usage": usage}

    side.service.next(Stream([*map(event, range(1, 10)), event(10, "stop"), DONE]))
    usage = side.stream(side.chat()).usage_metadata
    return Outcome(bool(usage) and usage["total_tokens"] == 40, f"{usage['total_tokens']} of 40")


@row("which provider the message names")
def _provider(side: Side) -> Outcome:
    named = side.chat().invoke("Hello").response_metadata["model_provider"]
    return Outcome(named == "modelscope", named)


@row("log probabilities, stop, seed, n")
def _options(side: Side) -> Outcome:
    model = side.chat(logprobs=True, stop=["said"], seed=7, n=2)
    result = model.generate([[HumanMessage("Hello")]])
    body = side.sent()
    first, second = result.generations[0]
    good = (
        (body["n"], body["seed"], body["stop"]) == (2, 7, ["said"])
        and bool(first.message.response_metadata["logprobs"]["content"])
        and "said" not in second.text
    )
    return Outcome(good, "all on the wire")


@row("longest answer: field on the wire")
def _max_tokens(side: Side) -> Outcome:
    side.chat(max_tokens=9).invoke("Hello")
    (name,) = {"max_tokens", "max_completion_tokens"} & set(side.sent())
    return Outcome(name == "max_tokens", name)


# --- tools and structure ----------------------------------------------------------------------


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


class Person(BaseModel):
    """A person that a text tells about."""

    name: str
    age: int


ADA = 'The person is called "Ada", aged 36.'


@row("two tools in one answer, stream")
def _tools(side: Side) -> Outcome:
    model = side.chat().bind_tools([add, multiply])
    calls = side.stream(model, "Add and multiply 2 and 3").tool_calls
    return Outcome(
        [call["args"] for call in calls] == [{"a": 2, "b": 3}] * 2, f"{len(calls)} calls"
    )


@row("an empty list of tools")
def _no_tools(side: Side) -> Outcome:
    side.chat().bind_tools([]).invoke("Hello")
    return Outcome("tools" not in side.sent(), "answered")


@row("tool name repeated with every piece")
def _repeated(side: Side) -> Outcome:
    side.service.next("repeated_tool_head")
    calls = side.stream(side.chat().bind_tools([add]), "Add 2 and 3").tool_calls
    return Outcome([call["name"] for call in calls] == ["add"], calls[0]["name"][:20])


@row("a tool forced on a thinking model")
def _forced(side: Side) -> Outcome:
    model = side.chat(HYBRID).bind_tools([add], tool_choice="any")
    return Outcome(bool(model.invoke("Add 2 and 3").tool_calls), "called")


@row("structured output, function calling")
def _function_calling(side: Side) -> Outcome:
    reader = side.chat().with_structured_output(Person, method="function_calling")
    return Outcome(reader.invoke(ADA) == Person(name="Ada", age=36), "an object")


@row("structured output, JSON schema")
def _json_schema(side: Side) -> Outcome:
    reader = side.chat().with_structured_output(Person, method="json_schema")
    return Outcome(reader.invoke(ADA) == Person(name="Ada", age=36), "an object")


@row("JSON schema where the model keeps none")
def _no_schema(side: Side) -> Outcome:
    model = side.chat("deepseek-ai/DeepSeek-V4.1-Flash")
    reader = model.with_structured_output(Person, method="json_schema")
    return Outcome(reader.invoke(ADA) == Person(name="Ada", age=36), "an object")


# --- content blocks ---------------------------------------------------------------------------


def _blocks(message: AIMessage) -> list[str]:
    return [str(block["type"]) for block in message.content_blocks]


MIXED = ["reasoning", "text", "tool_call"]


@row("thoughts, text, tool call: v1 stream")
def _v1(side: Side) -> Outcome:
    side.service.next("text_beside_tools")
    model = side.chat(HYBRID, output_version="v1").bind_tools([add])
    found = _blocks(side.stream(model, "Add 2 and 3"))
    return Outcome(found == MIXED, ", ".join(found) or "nothing")


@row("the same through events, v3")
def _v3(side: Side) -> Outcome:
    side.service.next("text_beside_tools")
    stream = side.chat(HYBRID).bind_tools([add]).stream_events("Add 2 and 3", version="v3")
    list(stream)
    found = _blocks(stream.output)
    return Outcome(found == MIXED, ", ".join(found) or "nothing")


# --- inputs -----------------------------------------------------------------------------------


@row("a picture")
def _picture(side: Side) -> Outcome:
    picture = {"type": "image", "base64": "aGVsbG8=", "mime_type": "image/png"}
    side.chat(HYBRID).invoke([HumanMessage([picture])])
    return Outcome("image_url" in str(side.sent()), "sent")


@row("a video by its address")
def _video(side: Side) -> Outcome:
    video = {"type": "video", "url": "https://example.com/cat.mp4"}
    side.chat(HYBRID).invoke([HumanMessage([video])])
    return Outcome("video_url" in str(side.sent()), "sent")


@row("a PDF, which the service has no place for")
def _pdf(side: Side) -> Outcome:
    pdf = {"type": "file", "base64": "aGVsbG8=", "mime_type": "application/pdf", "filename": "a"}
    try:
        side.chat(HYBRID).invoke([HumanMessage([pdf])])
    except Exception as error:  # noqa: BLE001 - whichever class it is
        sent = len(side.service.requests)
        return Outcome(not sent, f"{type(error).__name__}, {sent} requests")
    return Outcome(False, "sent as if it were welcome")


@row("the role developer")
def _developer(side: Side) -> Outcome:
    return Outcome(
        bool(side.chat().invoke([("developer", "Be brief."), ("user", "Hi")])), "answered"
    )


# --- the service's own ways -------------------------------------------------------------------


@row("invoke on a model that only streams")
def _stream_only(side: Side) -> Outcome:
    return Outcome(bool(side.chat("Qwen/QwQ-32B").invoke("Hello").text), "answered")


@row("requests on a spent allowance")
def _spent(side: Side) -> Outcome:
    side.service.next(*["account_spent"] * 10)
    for _ in range(2):
        try:
            side.chat().invoke("Hello")
        except Exception as error:  # noqa: BLE001 - whichever class it is
            last = error
    sent = len(side.service.requests)
    return Outcome(sent == 1, f"{sent} for two calls, {type(last).__name__}")


@row("a spent allowance says until when")
def _until(side: Side) -> Outcome:
    side.service.next(*["model_spent"] * 10)
    try:
        side.chat().invoke("Hello")
    except Exception as error:  # noqa: BLE001 - whichever class it is
        return Outcome("comes back at" in str(error), str(error)[:34] + "…")
    return Outcome(False, "no error")


@row("what is left today, without a request")
def _left(side: Side) -> Outcome:
    model = side.chat()
    model.invoke("Hello")
    left = model.quota
    told = f"{left.remaining:g} of {left.limit:g} {left.unit}, {left.kind}"
    return Outcome(len(side.service.requests) == 1, told)


@row("which model answered, and why not another")
def _stand_in(side: Side) -> Outcome:
    side.service.next("model_spent")
    answer = side.chat(fallback_models=[HYBRID]).invoke("Hello")
    told = answer.response_metadata["modelscope"]
    return Outcome(told["model"] == HYBRID, f"{told['fallback_reason']}: {told['model']}")


@row("an empty success, once")
def _shell(side: Side) -> Outcome:
    side.service.next("shell")
    return Outcome(bool(side.chat().invoke("Hello").text), "answered at the second try")


@row("a stream that is cut")
def _cut(side: Side) -> Outcome:
    side.service.next("cut:3")
    try:
        said = side.stream(side.chat()).text
    except Exception as error:  # noqa: BLE001 - whichever class it is
        return Outcome(hasattr(error, "partial"), f"{type(error).__name__}")
    return Outcome(False, f"taken for whole: {said!r}")


@row("a limit reported in mid-stream")
def _late_limit(side: Side) -> Outcome:
    side.service.next("throttled_later:3")
    try:
        side.stream(side.chat())
    except Exception as error:  # noqa: BLE001 - whichever class it is
        name = type(error).__name__
        return Outcome("RateLimit" in name, name)
    return Outcome(False, "not noticed")


@row("U+2028 in an answer")
def _separator(side: Side) -> Outcome:
    side.service.next("line_separator")
    return Outcome("\u2028" in side.stream(side.chat()).text, "kept")


# --- citizenship ------------------------------------------------------------------------------


@row("two event loops, one after the other")
def _loops(side: Side) -> Outcome:
    model = side.chat(max_retries=0)
    for _ in range(2):
        asyncio.run(model.ainvoke("Hello"))
    return Outcome(True, "both answered")


@row("a model with configurable fields streams")
def _configured(side: Side) -> Outcome:
    model = side.chat().configurable_fields(temperature=ConfigurableField(id="heat"))
    chunks = list(model.stream("Hello", {"configurable": {"heat": 0.5}}))
    return Outcome(len(chunks) > 3, f"{len(chunks)} chunks")


@row("connections of streams in turn")
def _connections(side: Side) -> Outcome:
    server = side.service._server
    assert server is not None
    model, opened = side.chat(), set()
    list(model.stream("Hello"))
    before = set(server.connections)
    for _ in range(20):
        list(model.stream("Hello"))
        opened |= set(server.connections) - before
    return Outcome(not opened, "a new one each" if opened else "one for all")


@row("an error in a pickle")
def _pickled_error(side: Side) -> Outcome:
    side.service.next(*["authentication_failed"] * 5)
    try:
        side.chat().invoke("Hello")
    except Exception as error:  # noqa: BLE001 - whichever class it is
        again = pickle.loads(pickle.dumps(error))
        return Outcome(str(again) == str(error), "comes back whole")
    return Outcome(False, "no error")


@row("the token in dumps, repr and pickle")
def _token(side: Side) -> Outcome:
    model = side.chat()
    token = side.service.token
    try:
        pickled = token.encode() in pickle.dumps(model)
    except Exception as error:  # noqa: BLE001 - whichever class it is
        return Outcome(False, f"no pickle: {type(error).__name__}")
    shown = token in dumps(model) + repr(model)
    return Outcome(not (pickled or shown), "in the pickle" if pickled else "nowhere")


@row("counting tokens without a download")
def _tokens(side: Side) -> Outcome:
    counted = side.chat().get_num_tokens_from_messages([HumanMessage("Hello there")])
    return Outcome(0 < counted < 20, f"{counted}")


@row("size of the window, for agents")
def _profile(side: Side) -> Outcome:
    profile = side.chat().profile or {}
    return Outcome("max_input_tokens" in profile, str(profile.get("max_input_tokens")))


@row("embeddings")
def _embed(side: Side) -> Outcome:
    vectors = side.embeddings().embed_documents(["one", "two"])
    return Outcome(len(vectors) == 2, f"{len(vectors)} vectors")

"""The rows of langchain_features.py: one thing each that users do with a chat model.

A row is a function that does it with what a `Side` makes and judges what came of it.
"""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
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

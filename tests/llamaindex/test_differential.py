"""Beside OpenAILike on the same service: every difference is one that is meant, with its reason."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from llama_index.core.base.llms.types import (
    CacheControl,
    CachePoint,
    ChatMessage,
    CitableBlock,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from modelscope_transport.emulator import DONE, Reply, Stream
from tests.langchain import mixed

from .beside import Case, differences, embedding_case
from .test_blocks import MP4, PNG

HYBRID = "Qwen/Qwen3.5-122B-A10B"
STREAM_ONLY = "Qwen/QwQ-32B"


class Person(BaseModel):
    """A person that a text tells about."""

    name: str
    age: int


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


TOOLS = [FunctionTool.from_defaults(add), FunctionTool.from_defaults(multiply)]
ODD = [FunctionTool.from_defaults(add, name="my.add")]
HELLO = [ChatMessage(role="system", content="Be brief."), ChatMessage(content="Hello")]
ASKED: dict[str, Any] = {"user_msg": "Add and multiply 2 and 3", "allow_parallel_tool_calls": True}
ADA: dict[str, Any] = {"name": "Ada", "age": 36}
TEMPLATE = PromptTemplate('The person is called "{name}", aged {age}.')
HISTORY = [
    ChatMessage(content="Add."),
    ChatMessage(
        role="assistant",
        blocks=[
            ThinkingBlock(content="Hm."),
            TextBlock(text="Adding."),
            ToolCallBlock(tool_call_id="c1", tool_name="add", tool_kwargs={"a": 1, "b": 2}),
            ToolCallBlock(tool_call_id="c2", tool_name="add", tool_kwargs='{"a": 3}'),
        ],
    ),
    ChatMessage(role="tool", content="3", additional_kwargs={"tool_call_id": "c1"}),
    ChatMessage(role="tool", content="4", additional_kwargs={"tool_call_id": "c2"}),
]
BARE_CALL = [
    ChatMessage(content="Add."),
    ChatMessage(
        role="assistant",
        blocks=[ToolCallBlock(tool_call_id="c1", tool_name="add", tool_kwargs={})],
    ),
    ChatMessage(role="tool", content="3", additional_kwargs={"tool_call_id": "c1"}),
]
OLDER_CALL = [
    ChatMessage(content="Add."),
    ChatMessage(
        role="assistant",
        content="",
        additional_kwargs={
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
            ]
        },
    ),
    ChatMessage(role="tool", content="3", additional_kwargs={"tool_call_id": "c1"}),
]
OPTIONS: dict[str, Any] = {
    "temperature": 0.5,
    "max_tokens": 50,
    "top_p": 0.9,
    "seed": 7,
    "stop": ["never"],
    "presence_penalty": 0.5,
    "frequency_penalty": 0.25,
    "logprobs": True,
    "top_logprobs": 1,
    "extra_body": {"top_k": 3},
    "extra_headers": {"x-team": "red"},
    "timeout": 30.0,
    "user": "me",
}


def with_blocks(*blocks: Any) -> tuple[list[ChatMessage]]:
    return ([ChatMessage(blocks=[TextBlock(text="Look."), *blocks])],)


def pieces(*parts: list[dict[str, Any]]) -> Stream:
    chunks = [mixed.chunk(tool_calls=part) for part in parts]
    return Stream([*chunks, mixed.chunk("tool_calls"), DONE])


THOUGHTS_FIRST = Stream(
    [
        mixed.chunk(role="assistant", reasoning_content="Hm."),
        mixed.chunk(reasoning_content="So."),
        mixed.chunk(content="Yes."),
        mixed.chunk("stop"),
        DONE,
    ]
)
INTERLEAVED = pieces(
    [mixed.call(0, '{"a": ', id="x", name="add"), mixed.call(1, "", id="y", name="multiply")],
    [mixed.call(1, '{"a": 3', id="y", name="multiply")],
    [mixed.call(0, "1}", id="x", name="add")],
    [mixed.call(1, "}")],
)
ERROR = Reply(200, {"errors": {"message": "Something broke.", "request_id": "r-1"}})
SHELL = Reply(200, {"choices": None, "object": "", "created": 0})

CASES: dict[str, Case] = {
    "chat": Case("chat", (HELLO,)),
    "chat with options": Case("chat", (HELLO,), OPTIONS),
    "chat with a query": Case("chat", (HELLO,), {"extra_query": {"a": "b"}}),
    "chat with fields": Case(
        "chat",
        (HELLO,),
        fields={
            "temperature": 0.5,
            "max_tokens": 50,
            "additional_kwargs": {"top_p": 0.9},
            "default_headers": {"x-team": "red"},
        },
    ),
    "chat with thoughts and calls": Case("chat", (HELLO,), answers=(mixed.reply(),)),
    "chat with JSON": Case("chat", (HELLO,), {"response_format": {"type": "json_object"}}),
    "chat that only streams": Case("chat", (HELLO,), model=STREAM_ONLY),
    "complete": Case("complete", ("Hello",)),
    "stream_chat": Case("stream_chat", (HELLO,)),
    "stream_chat of a thinking model": Case("stream_chat", (HELLO,), model=HYBRID),
    "stream_chat with thoughts and calls": Case("stream_chat", (HELLO,), answers=(mixed.stream(),)),
    "stream_chat with thoughts first": Case("stream_chat", (HELLO,), answers=(THOUGHTS_FIRST,)),
    "stream_complete": Case("stream_complete", ("Hello",)),
    # what is sent of a history
    "two texts": Case("chat", ([ChatMessage(blocks=[TextBlock(text=one) for one in "ab"])],)),
    "history": Case("chat", (HISTORY,)),
    "history of a bare call": Case("chat", (BARE_CALL,)),
    "history of an older call": Case("chat", (OLDER_CALL,)),
    "image by URL": Case("chat", with_blocks(ImageBlock(url="https://x.test/a.png")), model=HYBRID),
    "image bytes": Case("chat", with_blocks(ImageBlock(image=PNG, detail="low")), model=HYBRID),
    "image to a model that is blind": Case("chat", with_blocks(ImageBlock(image=PNG))),
    "video": Case("chat", with_blocks(VideoBlock(video=MP4)), model=HYBRID),
    "document": Case("chat", with_blocks(DocumentBlock(data=b"A note.", title="note"))),
    "citable": Case(
        "chat",
        with_blocks(CitableBlock(title="t", source="s", content=[TextBlock(text="Paris.")])),
    ),
    "cache point": Case(
        "chat", with_blocks(CachePoint(cache_control=CacheControl(type="ephemeral")))
    ),
    # tools
    "tools": Case("chat_with_tools", (TOOLS,), ASKED),
    "one tool at a time": Case(
        "chat_with_tools", (TOOLS,), {"user_msg": "Add and multiply 2 and 3"}
    ),
    "tool required": Case("chat_with_tools", (TOOLS,), {**ASKED, "tool_required": True}),
    "tool chosen": Case("chat_with_tools", (TOOLS,), {**ASKED, "tool_choice": "multiply"}),
    "no tools": Case("chat_with_tools", ([],), {"user_msg": "Hello", "tool_required": True}),
    "tools streamed": Case("stream_chat_with_tools", (TOOLS,), ASKED),
    "tools in one chunk": Case(
        "stream_chat_with_tools", (TOOLS,), ASKED, answers=("tools_in_one_chunk",)
    ),
    "tools with repeated heads": Case(
        "stream_chat_with_tools", (TOOLS,), ASKED, answers=("repeated_tool_head",)
    ),
    "tools interleaved": Case("stream_chat_with_tools", (TOOLS,), ASKED, answers=(INTERLEAVED,)),
    "tool of an odd name": Case("chat_with_tools", (ODD,), {**ASKED, "tool_required": True}),
    # objects
    "object": Case("structured_predict", (Person, TEMPLATE), ADA),
    "object streamed": Case("stream_structured_predict", (Person, TEMPLATE), ADA),
    "object with a system prompt": Case(
        "structured_predict", (Person, TEMPLATE), ADA, fields={"system_prompt": "Be exact."}
    ),
    "object of a thinking model": Case("structured_predict", (Person, TEMPLATE), ADA, model=HYBRID),
    # failures
    "error in a success": Case("chat", (HELLO,), answers=(ERROR,)),
    "empty success": Case("chat", (HELLO,), answers=(SHELL,)),
    "too fast": Case("chat", (HELLO,), answers=("throttled",)),
    "no such model": Case("chat", (HELLO,), model="nobody/nothing"),
    "cut stream": Case("stream_chat", (HELLO,), answers=("cut:3",)),
    "error in a stream": Case("stream_chat", (HELLO,), answers=("error_later",)),
    # vectors
    "query": embedding_case("get_query_embedding", "北京"),
    "text": embedding_case("get_text_embedding", "北京"),
    "texts": embedding_case("get_text_embedding_batch", ["one", "two"]),
    "texts of fixed length": embedding_case(
        "get_text_embedding_batch", ["one"], fields={"dimensions": 8}
    ),
    "many texts": embedding_case("get_text_embedding_batch", [f"t {n}" for n in range(12)]),
    "equal texts": embedding_case("get_text_embedding_batch", ["one", "one"]),
    "text of two lines": embedding_case("get_text_embedding", "a\nb"),
    "empty text": embedding_case("get_text_embedding", ""),
    "vectors out of order": embedding_case(
        "get_text_embedding_batch", ["one", "two"], answers=("shuffled_vectors",)
    ),
    "vector missing": embedding_case(
        "get_text_embedding_batch", ["one", "two"], answers=("missing_vector",)
    ),
}


# --- the differences that are meant


@dataclass(frozen=True)
class Meant:
    """A difference that is meant.

    Attributes:
        paths: where: field names of the request or the answer, ``*`` for any part.
        reason: why ours is so.
        cases: in which cases; ``*`` in any.
    """

    paths: str
    reason: str
    cases: str = "*"

    def covers(self, case: str, path: str) -> bool:
        return any(fnmatchcase(case, one) for one in self.cases.split(" | ")) and any(
            fnmatchcase(path, one) for one in self.paths.split()
        )


STREAMS = "*stream* | tools in one chunk | tools with repeated heads | tools interleaved"
CALLS = "given.*message.additional_kwargs.tool_calls.* given.*message.blocks.*"

MEANT = [
    # the request
    Meant("sent.headers.x-stainless-*", "the OpenAI package tells of the machine; nobody asked"),
    Meant("sent.headers.user-agent", "each gives its own name"),
    Meant("sent.headers.accept sent.headers.connection", "they say what goes without saying"),
    Meant("sent.headers.accept-encoding", "a packed stream may be held back by whoever packs it"),
    Meant("sent.headers.content-length", "it follows from the body"),
    Meant("sent.body.stream", "false goes without saying"),
    Meant("sent.body.temperature", "unset means the model's own, not 0.1"),
    Meant("sent.body.stream_options.include_usage", "else no stream tells its token usage"),
    Meant(
        "sent.body.tools.*.function.strict sent.body.tools.*.additionalProperties",
        "strictness is asked for where the user asks for it",
    ),
    Meant(
        "given.additional_kwargs.*_tokens given.raw.usage.*_tokens given.last.raw.usage.*_tokens",
        "without those words a tool costs fewer tokens",
        "tool* | one tool at a time",
    ),
    Meant("sent.body.messages.*.tool_calls.*.arguments", "JSON without blanks", "history"),
    Meant(
        "sent.body.messages.1.content",
        "a text without words, for servers that refuse null",
        "history of a*",
    ),
    Meant(
        "sent.body.messages.0.content given.message.blocks.0.text given.*_tokens",
        "the model reads what the user sees: ChatMessage.content joins texts by a line break",
        "two texts",
    ),
    # the answer
    Meant("given.raw?type given.last.raw?type", "a plain dictionary needs no package to be read"),
    Meant(
        "given.*raw.choices* given.raw.finish_reason given.last.raw.finish_reason",
        "the message is in the response once; beside it stands what it does not hold",
    ),
    Meant(
        "given.*raw.object given.*raw.moderation given.*raw.service_tier"
        " given.*raw.system_fingerprint",
        "constants, and fields of another service",
    ),
    Meant("given.last.raw.created", "the chunks of a stream are not dated", STREAMS),
    Meant(
        "given.*raw.usage.*_tokens_details*",
        "always there, with the two numbers that tracing reads",
    ),
    Meant("given.*additional_kwargs.modelscope.*", "tells which model answered, and what is left"),
    Meant(
        "given.message.additional_kwargs.tool_calls.*.index"
        " given.last.message.additional_kwargs.tool_calls.*.index",
        "an index is a stream's own affair",
    ),
    Meant(
        "given.last.*_tokens",
        "the true usage, which comes last; or none, instead of the dummy",
        STREAMS,
    ),
    Meant("given.responses?of?nothing*", "a chunk that tells nothing is no response"),
    Meant(
        CALLS.replace("given.*", "given.last."),
        "a message of calls alone has no empty text, as in an answer that is not streamed",
        "tools streamed",
    ),
    Meant(
        CALLS.replace("given.*", "given.last."),
        "theirs loses calls, or cuts them up, or repeats names and ids",
        "tools in one chunk | tools with repeated heads | tools interleaved"
        " | stream_chat with thoughts and calls",
    ),
    Meant(
        "given.last.message.blocks.0.content given.thoughts",
        "theirs loses the first thought of an async stream",
        "stream_chat with thoughts first",
    ),
    Meant(
        "given.message.blocks.0.tool_name"
        " given.message.additional_kwargs.tool_calls.0.function.name",
        "a tool is called by the name that its user gave it",
        "tool of an odd name",
    ),
    Meant("sent.body.tools sent.body.tool_choice", "without tools there is no choice", "no tools"),
    # objects
    Meant("sent.body.tool_choice", "an object is asked for also when streaming", "object streamed"),
    Meant(
        "sent.body.messages.*",
        "theirs forgets the system prompt when async",
        "object with a system prompt",
    ),
    Meant(
        "given sent.body.*",
        "by JSON schema: a thinking model answers a forced tool with nothing",
        "object of a thinking model",
    ),
    # what one of them cannot do
    Meant(
        "given sent.body.stream*",
        "such a model refuses to answer in one piece: its stream is joined",
        "chat that only streams",
    ),
    Meant("given requests", "the service reads no query", "chat with a query"),
    Meant("given requests", "films can be sent", "video"),
    Meant(
        "given sent.body.messages.*", "the service takes no files: a text is inlined", "document"
    ),
    Meant(
        "given requests",
        "what one provider alone can read is flattened or left out",
        "citable | cache point",
    ),
    # failures
    Meant("given.error.class", "our errors, by which LlamaIndex users can tell them apart"),
    Meant(
        "given.error.is*",
        "no error is of a family that LlamaIndex takes for the model's wrong words",
        "error in a success | empty success",
    ),
    Meant(
        "requests",
        "a model that is known to be blind is not asked",
        "image to a model that is blind",
    ),
    Meant("given", "half an answer is not passed off as a whole one", "cut stream"),
    # vectors
    Meant("requests sent.body.input.*", "as many texts at once as the model takes", "many texts"),
    Meant("sent.body.input.1", "a text is sent once", "equal texts"),
    Meant("sent.body.input.0", "line breaks matter to code", "text of two lines"),
    Meant("requests", "an empty text has no vector, and costs nothing", "empty text"),
    Meant("given.value.*", "vectors are put in order by their index", "vectors out of order"),
    Meant("given", "a vector too few would be another text's", "vector missing"),
]


def test_every_difference_is_meant_and_every_one_that_is_meant_is_there() -> None:
    # one test, since both questions are asked of the same calls, and these take their time
    unmeant: dict[tuple[str, str], dict[str, tuple[Any, Any]]] = {}
    unmet = set(MEANT)
    for case, way in itertools.product(CASES, ("sync", "async")):
        for path, both in differences(CASES[case], way).items():
            covering = {one for one in MEANT if one.covers(case, path)}
            unmet -= covering
            if not covering:
                unmeant.setdefault((case, way), {})[path] = both
    assert unmeant == {}
    assert unmet == set()

"""Many inputs, kept in a file as they come, in the shape of LangChain's own batches."""

from __future__ import annotations

import inspect
import threading
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from pydantic import BaseModel

from langchain_modelscope import (
    ModelScopeBatch,
    ModelScopeConfigurationError,
    ModelScopeContextLengthError,
    ModelScopeInvalidRequestError,
    ModelScopeQuotaExceededError,
)
from modelscope_transport import Batch
from modelscope_transport.emulator import LocalService, Reply
from tests.langchain.conftest import MakeChat


def test_it_stands_in_a_chain_and_pays_once(
    chat: MakeChat, service: LocalService, tmp_path: Path
) -> None:
    kept = ModelScopeBatch(chat(), tmp_path / "answers.jsonl", workers=2)
    chain = ChatPromptTemplate.from_template("Say {word}.") | kept | StrOutputParser()
    words = [{"word": word} for word in ("one", "two", "three")]
    said = [f"You said: “Say {each['word']}.”." for each in words]
    assert chain.batch(words) == said
    assert chain.batch(words) == said
    assert len(service.requests) == 3
    assert chain.invoke({"word": "four"}) == "You said: “Say four.”."


async def test_in_an_event_loop_both_forms_work(
    chat: MakeChat, service: LocalService, tmp_path: Path
) -> None:
    kept = ModelScopeBatch(chat(), tmp_path / "answers.jsonl")
    first = {index: answer.text async for index, answer in kept.abatch_as_completed(["a", "b"])}
    assert first == {0: "You said: “a”.", 1: "You said: “b”."}
    assert [answer.text for answer in await kept.abatch(["a", "c"])] == [
        "You said: “a”.",
        "You said: “c”.",
    ]
    # a notebook calls the sync ones in a running loop
    assert [answer.text for answer in kept.batch(["a", "c"])][1] == "You said: “c”."
    assert len(service.requests) == 3


def test_what_is_not_said_is_as_in_a_batch_without_langchain() -> None:
    ours, plain = (inspect.signature(each).parameters for each in (ModelScopeBatch, Batch))
    both = {*ours} & {*plain} - {"path"}
    assert both == {"workers", "wait", "retry_failed"}
    assert [ours[name].default for name in both] == [plain[name].default for name in both]


def test_a_spent_allowance_ends_it_and_the_next_call_goes_on(
    chat: MakeChat, service: LocalService, tmp_path: Path
) -> None:
    service.next("honest", "model_spent")
    path = tmp_path / "answers.jsonl"
    done: list[int] = []
    with pytest.raises(ModelScopeQuotaExceededError):
        done += [
            index
            for index, _ in ModelScopeBatch(chat(), path, wait=False).batch_as_completed(
                ["a", "b", "c"]
            )
        ]
    assert len(service.requests) == 2
    service.reset()
    found = dict(ModelScopeBatch(chat(), path, wait=False).batch_as_completed(["a", "b", "c"]))
    assert {index: answer.text for index, answer in found.items()} == {
        index: f"You said: “{text}”." for index, text in enumerate("abc")
    }
    assert len(service.requests) == 2


def test_an_input_that_fails_raises_or_stands_in_its_place(
    chat: MakeChat, service: LocalService, tmp_path: Path
) -> None:
    service.next("honest", "context_length")
    kept = ModelScopeBatch(chat(), tmp_path / "answers.jsonl")
    one, two, three = kept.batch(["a", "b", "c"], return_exceptions=True)
    assert isinstance(two, ModelScopeContextLengthError)
    assert (one.text, three.text) == ("You said: “a”.", "You said: “c”.")
    with pytest.raises(ModelScopeContextLengthError):
        kept.batch(["a", "b", "c"])


def test_a_reader_who_leaves_ends_a_job_that_waits(
    chat: MakeChat, service: LocalService, tmp_path: Path
) -> None:
    service.next("honest", "model_spent")
    answers = ModelScopeBatch(chat(), tmp_path / "answers.jsonl").batch_as_completed(["a", "b"])
    assert next(answers)[0] == 0
    answers.close()  # type: ignore[attr-defined]
    assert "modelscope-batch" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image", "source_type": "base64", "data": "aGVsbG8=", "mime_type": "image/png"},
        {"type": "audio", "source_type": "base64", "data": "aGVsbG8=", "mime_type": "audio/mpeg"},
        {"type": "audio", "base64": "aGVsbG8=", "mime_type": "audio/mpeg"},
        {"type": "input_audio", "input_audio": {"data": "aGVsbG8=", "format": "mp3"}},
    ],
    ids=["image, LangChain 0", "audio, LangChain 0", "audio", "audio, OpenAI"],
)
def test_an_input_says_what_it_says_to_the_model_itself(
    chat: MakeChat, service: LocalService, tmp_path: Path, block: dict[str, Any]
) -> None:
    said = Reply(200, {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]})
    service.next(said, said)
    model = chat("someone/Omni")  # nothing is known of it
    question = [HumanMessage([{"type": "text", "text": "What is it?"}, block])]
    model.invoke(question)
    ModelScopeBatch(model, tmp_path / "answers.jsonl").batch([question])
    alone, in_a_batch = (request.body["messages"] for request in service.requests)
    assert in_a_batch == alone


class Person(BaseModel):
    """A person that a text tells about."""

    name: str
    age: int


ADA = 'The person is called "Ada", aged 36. Answer in JSON with the keys "name" and "age".'


def test_what_was_bound_to_the_model_is_sent(
    chat: MakeChat, service: LocalService, tmp_path: Path
) -> None:
    bound = chat().bind(max_tokens=50, seed=1).bind_tools([Person], tool_choice="any")
    kept = ModelScopeBatch(bound.bind(seed=2), tmp_path / "answers.jsonl")
    (answer,) = kept.batch([ADA], max_tokens=40)
    kept.invoke(ADA, max_tokens=40)
    assert answer.tool_calls[0]["args"] == {"name": "Ada", "age": 36}
    in_a_batch, alone = (request.body for request in service.requests)
    assert in_a_batch == alone
    assert (alone["max_tokens"], alone["seed"]) == (40, 2)


def test_what_is_no_chat_model_is_refused(chat: MakeChat, tmp_path: Path) -> None:
    reader: Any = chat().with_structured_output(Person)
    with pytest.raises(ModelScopeConfigurationError, match=r"RunnableSequence.*\| parser"):
        ModelScopeBatch(reader, tmp_path / "answers.jsonl")


def test_an_answer_that_is_an_object_of_a_class(
    chat: MakeChat, service: LocalService, tmp_path: Path
) -> None:
    model = chat().bind(response_format=Person)
    for _ in range(2):  # asked, then from the file
        (answer,) = ModelScopeBatch(model, tmp_path / "answers.jsonl").batch([ADA])
        assert answer.additional_kwargs["parsed"] == Person(name="Ada", age=36)
    assert len(service.requests) == 1


async def test_it_streams_as_the_model_does(
    chat: MakeChat, service: LocalService, tmp_path: Path
) -> None:
    chain = ModelScopeBatch(chat(), tmp_path / "answers.jsonl") | StrOutputParser()
    alone = list((chat() | StrOutputParser()).stream("Hello"))
    assert len(alone) > 3
    assert list(chain.stream("Hello")) == alone
    assert [text async for text in chain.astream("Hello")] == alone


def test_an_input_that_cannot_be_sent_is_one_failure(
    chat: MakeChat, service: LocalService, tmp_path: Path
) -> None:
    kept = ModelScopeBatch(chat(), tmp_path / "answers.jsonl")
    hologram = [HumanMessage([{"type": "hologram"}])]
    assert [answer.text for answer in kept.batch(["a", "b"])] == [
        "You said: “a”.",
        "You said: “b”.",
    ]
    one, two = kept.batch(["a", hologram], return_exceptions=True)
    assert one.text == "You said: “a”."
    assert isinstance(two, ModelScopeInvalidRequestError)
    with pytest.raises(ModelScopeInvalidRequestError, match="hologram"):
        kept.batch(["c", hologram])
    assert len(service.requests) == 2

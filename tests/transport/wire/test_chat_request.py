"""A chat request on the wire: each parameter, each change for a model, each refusal beforehand."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest

from modelscope_transport import (
    AudioPart,
    ChatRequest,
    ImagePart,
    InvalidRequestError,
    Message,
    ModelNotServedError,
    NamedTool,
    ResponseFormat,
    TextPart,
    ToolCall,
    ToolSpec,
    VideoPart,
)
from modelscope_transport._wire.chat_request import prepare
from modelscope_transport._wire.checks import check_model
from modelscope_transport._wire.encoded import Encoded
from modelscope_transport._wire.outcomes import Reply
from modelscope_transport.catalogue.models import ModelProfile

MODEL = "some/model"
HELLO = (Message("user", "1+1?"),)
ADD = ToolSpec("add", "adds", {"type": "object", "properties": {"a": {"type": "integer"}}})
ADD_SENT = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "adds",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
    },
}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
NAMED = {"type": "function", "function": {"name": "add"}}


def profile(**facts: Any) -> ModelProfile:
    return ModelProfile(id=MODEL, **facts)


def encoded(known: ModelProfile | None = None, *, stream: bool = False, **asked: Any) -> Encoded:
    request = ChatRequest(**{"model": MODEL, "messages": HELLO, **asked})
    return prepare(request, known or profile(), stream=stream)


def text_of_call(encoding: Encoded, tool: str) -> str:
    """Text of an answer that consists of a call of one tool."""
    function = {"name": tool, "arguments": '{"a": 1}'}
    choice = {"message": {"tool_calls": [{"id": "c", "function": function}]}}
    text: str = encoding.read(Reply(200, {}, json.dumps({"choices": [choice]}).encode())).text
    return text


def body(
    known: ModelProfile | None = None, *, stream: bool = False, **asked: Any
) -> dict[str, Any]:
    sent: dict[str, Any] = json.loads(encoded(known, stream=stream, **asked).body)
    return sent


def message(*args: Any, **fields: Any) -> dict[str, Any]:
    sent: dict[str, Any] = body(messages=(Message(*args, **fields),))["messages"][0]
    return sent


# --- parameters


def test_what_was_not_asked_for_is_not_sent() -> None:
    assert body() == {"model": MODEL, "messages": [{"role": "user", "content": "1+1?"}]}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 0.0),
        ("temperature", 2),
        ("top_p", 0.5),
        ("top_k", -1),
        ("top_k", 20),
        ("min_p", 0.05),
        ("repetition_penalty", 1.1),
        ("reasoning_effort", "low"),
        ("max_tokens", 1),
        ("seed", 7),
        ("n", 2),
        ("presence_penalty", -2),
        ("frequency_penalty", 2),
        ("logprobs", True),
        ("top_logprobs", 20),
        ("thinking_budget", 100),
        ("enable_thinking", True),
        ("enable_thinking", False),
    ],
)
def test_a_parameter_is_sent_under_its_name(name: str, value: Any) -> None:
    assert body(**{name: value}) == {**body(), name: value}


def test_stop_words_are_sent_as_a_list() -> None:
    assert body(stop=("a", "b"))["stop"] == ["a", "b"]


def test_token_ids_are_sent_as_text() -> None:
    assert body(logit_bias={5: 1, "7": -100})["logit_bias"] == {"5": 1, "7": -100}


def test_a_stream_asks_for_its_usage() -> None:
    assert body(stream=True) == {
        **body(),
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert "stream_options" not in body(stream=True, stream_usage=False)
    assert "stream_options" not in body(profile(stream_usage=False), stream=True)


def test_further_fields_win() -> None:
    sent = body(temperature=1, extra_body={"temperature": 0, "top_k": 5})
    assert (sent["temperature"], sent["top_k"]) == (0, 5)


def test_the_id_that_is_sent_is_that_of_the_profile() -> None:
    assert body(ModelProfile(id="other/model"))["model"] == "other/model"


def test_encoding_changes_nothing_of_the_callers() -> None:
    extra = {"a": {"b": 1}}
    encoded(extra_body=extra, tools=(ADD,))
    assert extra == {"a": {"b": 1}}
    assert ADD.parameters == SCHEMA


# --- messages


def test_roles() -> None:
    assert message("system", "be brief") == {"role": "system", "content": "be brief"}
    assert message("user", "a", name="Ann") == {"role": "user", "content": "a", "name": "Ann"}


def test_a_developer_is_sent_as_the_system() -> None:
    assert message("developer", "be brief")["role"] == "system"


def test_a_turn_with_tool_calls_and_its_answer() -> None:
    assert message("assistant", "", tool_calls=(ToolCall("c", "add", "{}"),)) == {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "add", "arguments": "{}"}}
        ],
    }
    assert message("tool", "3", tool_call_id="c") == {
        "role": "tool",
        "content": "3",
        "tool_call_id": "c",
    }


def test_thoughts_are_sent_back_only_when_given() -> None:
    assert "reasoning_content" not in message("assistant", "a")
    assert message("assistant", "a", reasoning="hm")["reasoning_content"] == "hm"


def test_parts_that_are_all_text_are_sent_as_one() -> None:
    assert message("user", (TextPart("a"), TextPart("b")))["content"] == "a\nb"
    assert message("user", ())["content"] == ""


@pytest.mark.parametrize("content", [5, None, b"5", {"a": 5}, ["5"], ({"type": "text"},)], ids=repr)
@pytest.mark.parametrize("role", ["user", "assistant"])
def test_what_is_no_text_and_no_part_is_refused(content: Any, role: Any) -> None:
    with pytest.raises(InvalidRequestError, match="must be one text"):
        encoded(profile(inputs=("text",)), messages=(Message(role, content),))


def test_parts_of_every_kind() -> None:
    parts = (
        TextPart("what?"),
        ImagePart("https://example.com/a.png"),
        ImagePart("data:image/png;base64,AA==", "low"),
        VideoPart("https://example.com/a.mp4"),
        AudioPart("AA==", "wav"),
    )
    assert message("user", parts)["content"] == [
        {"type": "text", "text": "what?"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
        {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
    ]


@pytest.mark.parametrize(
    ("part", "kind"),
    [(ImagePart("x"), "image"), (VideoPart("x"), "video"), (AudioPart("x", "wav"), "audio")],
)
def test_what_a_model_cannot_see_or_hear_is_refused(part: Any, kind: str) -> None:
    asked = (Message("user", (part,)),)
    with pytest.raises(InvalidRequestError, match=f"does not take {kind} input; it takes text"):
        encoded(profile(inputs=("text",)), messages=asked)
    encoded(profile(inputs=("text", kind)), messages=asked)
    encoded(profile(), messages=asked)  # nobody knows: the service decides


def test_an_answer_goes_on_without_what_the_model_cannot_take() -> None:
    drawn = (TextPart("Here it is."), ImagePart("https://example.com/a.png"))
    sent = body(profile(inputs=("text",)), messages=(Message("assistant", drawn), *HELLO))
    assert sent["messages"][0] == {"role": "assistant", "content": "Here it is."}
    sent = body(profile(inputs=("text",)), messages=(Message("assistant", drawn[1:]), *HELLO))
    assert sent["messages"][0] == {"role": "assistant", "content": ""}
    sent = body(profile(inputs=("text", "image")), messages=(Message("assistant", drawn), *HELLO))
    assert len(sent["messages"][0]["content"]) == 2


# --- tools


@pytest.mark.parametrize(
    ("made", "sent"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ("", "{}"),
        ('{"a": "two\nlines"}', r'{"a":"two\nlines"}'),
        ('{"a": NaN}', '{"a":null}'),
        (r'{"a": "\ud83d"}', '{"a":"\ufffd"}'),
        ('{"a": "\ud83d"}', '{"a":"\ufffd"}'),
        ('{"a": ', r'{"invalid_arguments":"{\"a\": "}'),
        ("[1]", '{"invalid_arguments":"[1]"}'),
        ("null", "{}"),
        ("[" * 100_000, json.dumps({"invalid_arguments": "[" * 100_000}, separators=(",", ":"))),
    ],
    ids=[
        "object",
        "none",
        "line break",
        "no number",
        "half",
        "raw half",
        "cut",
        "list",
        "null",
        "deep",
    ],
)
def test_arguments_of_earlier_calls_are_objects_since_others_are_refused(
    made: str, sent: str
) -> None:
    calls = (ToolCall("call_1", "add", made),)
    (function,) = (
        call["function"]
        for call in body(messages=(Message("assistant", "", tool_calls=calls),))["messages"][0][
            "tool_calls"
        ]
    )
    assert function == {"name": "add", "arguments": sent}


def test_tools() -> None:
    sent = body(tools=(ADD,), tool_choice="auto", parallel_tool_calls=False)
    assert sent["tools"] == [ADD_SENT]
    assert (sent["tool_choice"], sent["parallel_tool_calls"]) == ("auto", False)


def test_a_tool_without_parameters_takes_none() -> None:
    function = body(tools=(ToolSpec("now", strict=True),))["tools"][0]["function"]
    assert function["parameters"] == {"type": "object", "properties": {}}
    assert function["strict"] is True


def test_without_tools_nothing_is_said_of_tools() -> None:
    assert body(tool_choice="auto", parallel_tool_calls=True) == body()


@pytest.mark.parametrize(
    ("choice", "sent"), [("none", "none"), ("required", "required"), (NamedTool("add"), NAMED)]
)
def test_a_choice_of_tools(choice: Any, sent: Any) -> None:
    encoding = encoded(tools=(ADD,), tool_choice=choice)
    assert json.loads(encoding.body)["tool_choice"] == sent
    assert encoding.adjustments == ()


@pytest.mark.parametrize("facts", [{"forced_tools": "no"}, {"thinking": "always"}])
def test_a_model_that_cannot_be_forced_is_asked(facts: dict[str, Any]) -> None:
    encoding = encoded(profile(**facts), tools=(ADD,), tool_choice="required")
    assert json.loads(encoding.body)["tool_choice"] == "auto"
    assert "cannot be forced" in encoding.adjustments[0]


@pytest.mark.parametrize("facts", [{"forced_tools": "without_thinking"}, {"thinking": "hybrid"}])
@pytest.mark.parametrize(
    ("switch", "fields"),
    [
        ("enable_thinking", {"enable_thinking"}),
        ("chat_template_kwargs", {"chat_template_kwargs"}),
        ("both", {"enable_thinking", "chat_template_kwargs"}),
    ],
)
def test_a_model_that_is_forced_only_while_it_does_not_think(
    facts: dict[str, Any], switch: Any, fields: set[str]
) -> None:
    known = profile(thinking_switch=switch, **facts)
    encoding = encoded(known, tools=(ADD,), tool_choice="required")
    sent = json.loads(encoding.body)
    assert set(sent) & {"enable_thinking", "chat_template_kwargs"} == fields
    assert sent.get("enable_thinking", False) is False
    assert sent.get("chat_template_kwargs", {"enable_thinking": False}) == {
        "enable_thinking": False
    }
    assert sent["tool_choice"] == NAMED, "required is an empty success there even so"
    assert "thinking was turned off" in encoding.adjustments[0]


def test_of_several_tools_no_name_can_be_chosen() -> None:
    sent = body(profile(thinking="hybrid"), tools=(ADD, ToolSpec("sub")), tool_choice="required")
    assert sent["tool_choice"] == "required"


def test_thinking_that_the_caller_has_turned_off_is_no_adjustment() -> None:
    encoding = encoded(
        profile(thinking="hybrid"), tools=(ADD,), tool_choice="required", enable_thinking=False
    )
    assert encoding.adjustments == ()
    assert json.loads(encoding.body)["enable_thinking"] is False


def test_a_forced_tool_wins_over_the_wish_to_think() -> None:
    encoding = encoded(
        profile(thinking="hybrid"), tools=(ADD,), tool_choice=NamedTool("add"), enable_thinking=True
    )
    assert json.loads(encoding.body)["enable_thinking"] is False
    assert "thinking was turned off" in encoding.adjustments[0]


def test_a_hybrid_model_that_can_be_forced_may_think() -> None:
    encoding = encoded(
        profile(thinking="hybrid", forced_tools="yes"), tools=(ADD,), tool_choice="required"
    )
    assert json.loads(encoding.body)["tool_choice"] == "required"
    assert encoding.adjustments == ()


# --- the form of the answer


def test_any_json_object() -> None:
    assert body(response_format=ResponseFormat("json_object"))["response_format"] == {
        "type": "json_object"
    }


def test_a_schema() -> None:
    form = ResponseFormat("json_schema", "sum", SCHEMA, "a sum", strict=True)
    assert body(response_format=form)["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "sum", "schema": SCHEMA, "description": "a sum", "strict": True},
    }
    plain = body(response_format=ResponseFormat("json_schema", schema=SCHEMA))["response_format"]
    assert plain["json_schema"] == {"name": "answer", "schema": SCHEMA}


@pytest.mark.parametrize("keeps", ["function_calling", "json_object"])
def test_a_model_that_keeps_no_schema_is_given_a_tool(keeps: Any) -> None:
    form = ResponseFormat("json_schema", "sum", SCHEMA, "a sum", strict=True)
    encoding = encoded(profile(structured_output=keeps), response_format=form)
    sent = json.loads(encoding.body)
    assert "response_format" not in sent
    assert sent["tools"][0]["function"] == {
        "name": "sum",
        "description": "a sum",
        "parameters": SCHEMA,
        "strict": True,
    }
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "sum"}}
    assert text_of_call(encoding, "sum") == '{"a": 1}'
    assert "keeps no JSON schema" in encoding.adjustments[0]


NO_SCHEMA = profile(structured_output="function_calling")


@pytest.mark.parametrize(
    ("choice", "sent_choice"),
    [
        (None, "required"),
        ("auto", "required"),
        ("required", "required"),
        ("none", {"type": "function", "function": {"name": "sum"}}),
        (NamedTool("add"), {"type": "function", "function": {"name": "add"}}),
    ],
    ids=str,
)
def test_beside_tools_the_answer_is_one_more(choice: Any, sent_choice: Any) -> None:
    form = ResponseFormat("json_schema", "sum", SCHEMA)
    encoding = encoded(NO_SCHEMA, tools=(ADD,), tool_choice=choice, response_format=form)
    sent = json.loads(encoding.body)
    assert "response_format" not in sent
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["add", "sum"]
    assert sent["tool_choice"] == sent_choice
    assert text_of_call(encoding, "sum") == '{"a": 1}'


def test_a_model_that_keeps_a_schema_gets_it_beside_tools() -> None:
    form = ResponseFormat("json_schema", schema=SCHEMA)
    encoding = encoded(profile(), tools=(ADD,), response_format=form)
    assert text_of_call(encoding, "answer") == ""
    assert {"tools", "response_format"} <= set(json.loads(encoding.body))


def test_a_schema_that_is_missing_is_any_object() -> None:
    sent = body(response_format=ResponseFormat("json_schema"))
    assert sent["response_format"] == {"type": "json_object"}


# --- thinking, temperature, streams


@pytest.mark.parametrize(
    ("thinking", "wanted", "told"),
    [
        ("always", False, ("the model always thinks",)),
        ("always", True, ()),
        ("none", True, ("the model never thinks",)),
        ("none", False, ()),
    ],
)
def test_thinking_that_cannot_be_switched(
    thinking: Any, wanted: bool, told: tuple[str, ...]
) -> None:
    encoding = encoded(profile(thinking=thinking), enable_thinking=wanted)
    assert "enable_thinking" not in json.loads(encoding.body)
    assert encoding.adjustments == told


def test_a_temperature_that_is_fixed() -> None:
    encoding = encoded(profile(fixed_temperature=1), temperature=0.2)
    assert json.loads(encoding.body)["temperature"] == 1
    assert "no temperature but 1" in encoding.adjustments[0]
    assert encoded(profile(fixed_temperature=1), temperature=1).adjustments == ()
    assert "temperature" not in body(profile(fixed_temperature=1))


def test_a_model_that_must_be_streamed() -> None:
    encoding = encoded(profile(stream_only=True))
    assert encoding.streaming
    assert json.loads(encoding.body)["stream"] is True
    assert "joined" in encoding.adjustments[0]
    assert encoded(profile(stream_only=True), stream=True).adjustments == ()


# --- refused beforehand


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"messages": ()}, "There is no message to answer. Pass at least one."),
        ({"max_tokens": 0}, "max_tokens must be at least 1, and is 0."),
        ({"temperature": -0.1}, "temperature must be between 0 and 2, and is -0.1."),
        ({"temperature": float("nan")}, "temperature must be between 0 and 2, and is nan."),
        ({"top_p": 1.5}, "top_p must be between 0 and 1, and is 1.5."),
        ({"top_k": -2}, "top_k must be at least -1, and is -2."),
        ({"min_p": 2}, "min_p must be between 0 and 1, and is 2."),
        ({"repetition_penalty": -1}, "repetition_penalty must be at least 0, and is -1."),
        ({"logit_bias": {5: 101}}, "logit_bias[5] must be between -100 and 100, and is 101."),
        ({"logit_bias": 5}, "logit_bias is a dictionary of numbers by token id, and is 5."),
        ({"n": 0}, "n must be at least 1, and is 0."),
        ({"presence_penalty": 3}, "presence_penalty must be between -2 and 2, and is 3."),
        ({"frequency_penalty": -3}, "frequency_penalty must be between -2 and 2, and is -3."),
        ({"top_logprobs": 21}, "top_logprobs must be between 0 and 20, and is 21."),
        ({"thinking_budget": 0}, "thinking_budget must be at least 1, and is 0."),
    ],
)
def test_a_value_out_of_range(asked: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        encoded(**asked)
    assert caught.value.args == (told,)
    assert caught.value.status_code is None


@pytest.mark.parametrize("known", [profile(), profile(stream_only=True)])
def test_several_answers_cannot_be_streamed(known: ModelProfile) -> None:
    with pytest.raises(InvalidRequestError, match="Leave n out"):
        encoded(known, stream=not known.stream_only, n=2)


@pytest.mark.parametrize("model", ["", "Qwen3-8B", "/x", "x/", "a b/c", "a/b\n", "a/\u2028"])
def test_what_is_no_model_id(model: str) -> None:
    with pytest.raises(ModelNotServedError, match="is not a model ID"):
        check_model(model)


@pytest.mark.parametrize("model", ["qwen3", "qwen3:8b", "/x", "a/b/c"])
def test_an_id_of_another_service_needs_no_owner(model: str) -> None:
    check_model(model, plain=True)


@pytest.mark.parametrize("model", ["", "a b", "a/b\n", "a/\u2028"])
def test_what_is_no_model_id_of_another_service_either(model: str) -> None:
    with pytest.raises(ModelNotServedError, match="is not a model ID"):
        check_model(model, plain=True)


def test_an_id_without_its_owner_is_told_what_is_like_it() -> None:
    with pytest.raises(ModelNotServedError, match="perhaps Qwen/Qwen3-8B"):
        check_model("qwen3-8b")


def test_an_id_may_name_a_provider() -> None:
    model = "Qwen/Qwen3-1.7B:DashScope"
    assert body(ModelProfile(id=model), model=model)["model"] == model


CYCLE: dict[str, Any] = {}
CYCLE["self"] = CYCLE


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param({"messages": (Message("user", "\ud83d"),)}, id="half a character"),
        pytest.param({"extra_body": {"x": object()}}, id="an object"),
        pytest.param({"extra_body": {(1, 2): 1}}, id="a key"),
        pytest.param({"tools": (ToolSpec("f", parameters=CYCLE),)}, id="a circle"),
    ],
)
def test_what_cannot_be_written_as_json(asked: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match="cannot be written as JSON"):
        encoded(**asked)


def test_half_a_character_is_shown_with_its_cure() -> None:
    text = "a\ud83d"
    with pytest.raises(InvalidRequestError, match=r"half a character, '\\ud83d'") as caught:
        encoded(messages=(Message("user", text),))
    assert 'text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")' in str(caught.value)
    assert text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") == "a\ufffd"


class OwnText(str):
    """A text of a class of its own, as LangChain's ``message.text`` and parsers of pages have."""


class OwnCount(int):
    """A number of a class of its own; those of numpy are no ``int`` at all."""


def test_texts_and_numbers_of_other_classes_are_sent_as_what_they_are() -> None:
    sent = body(
        temperature=Fraction(1, 2),
        seed=OwnCount(7),
        stop=(OwnText("said"),),
        messages=(Message("user", OwnText("Hello")),),
        extra_body={"deep": [OwnText("text"), Fraction(1, 4), True, None]},
    )
    assert (sent["temperature"], sent["seed"], sent["stop"]) == (0.5, 7, ["said"])
    assert sent["messages"] == [{"role": "user", "content": "Hello"}]
    assert sent["deep"] == ["text", 0.25, True, None]

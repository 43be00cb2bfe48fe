"""The engine of rules decides as it says: which tool, which structure, which text."""

from __future__ import annotations

import json

import pytest

NUMBER, TEXT = {"type": "number"}, {"type": "string"}


@pytest.fixture
def tools(tool):
    return [
        tool("add", "Add two numbers.", a=NUMBER, b=NUMBER),
        tool("multiply", "Multiply two numbers.", a=NUMBER, b=NUMBER),
        tool("get_weather", "Get the weather at a location.", location=TEXT),
        tool("lookup", "查询员工的工资", employee=TEXT),
    ]


def calls(answered):
    found = answered.message["tool_calls"] or []
    return [(c["function"]["name"], json.loads(c["function"]["arguments"])) for c in found]


def names(answered):
    return [name for name, _ in calls(answered)]


@pytest.mark.parametrize(
    ("prompt", "called"),
    [
        ("Add 2 and 3", ["add"]),
        ("What is 12 * 4?", ["multiply"]),
        ("Multiplied by 2, 21 gives?", ["multiply"]),
        ("What is 3 plus 4?", ["add"]),
        ("What's the weather in Paris?", ["get_weather"]),
        ("杭州的天气怎么样？", ["get_weather"]),
        ("请计算 3 乘 4", ["multiply"]),
        ("张三的工资是多少", ["lookup"]),
        ("Add 2 and 3, and tell me the weather in Rome", ["add", "get_weather"]),
        ("Hello, how are you?", []),
        ("Tell me two things", []),
    ],
)
def test_a_tool_is_called_when_it_is_mentioned(caller, tools, prompt, called):
    answered = caller.chat(prompt, tools=tools)
    assert names(answered) == called
    finish = answered.json["choices"][0]["finish_reason"]
    assert finish == ("tool_calls" if called else "stop")
    assert bool(answered.message["content"]) is not bool(called)


def test_arguments_come_from_the_prompt(caller, tools):
    answered = caller.chat("Add 2 and 3, multiply 4 and 5", tools=tools)
    assert calls(answered) == [("add", {"a": 2, "b": 3}), ("multiply", {"a": 4, "b": 5})]


def test_one_tool_after_the_other_where_parallel_calls_are_off(caller, tools):
    messages = [{"role": "user", "content": "Multiply 6 and 7, then add 8"}]
    turns = []
    for result in ("42", "50"):
        answered = caller.chat(messages, tools=tools, parallel_tool_calls=False)
        turns += calls(answered)
        message = answered.message
        identifier = message["tool_calls"][0]["id"]
        messages += [message, {"role": "tool", "tool_call_id": identifier, "content": result}]
    assert [name for name, _ in turns] == ["add", "multiply"]
    assert turns[1][1]["a"] == 42
    answer = caller.chat(messages, tools=tools, parallel_tool_calls=False).message
    assert answer["tool_calls"] is None
    assert "42" in answer["content"]
    assert "50" in answer["content"]


def test_choices_of_a_tool(caller, tools):
    named = {"type": "function", "function": {"name": "get_weather"}}
    assert names(caller.chat("Hello", tools=tools, tool_choice=named)) == ["get_weather"]
    assert names(caller.chat("Hello", tools=tools, tool_choice="required")) == ["add"]
    assert names(caller.chat("multiply 2", tools=tools, tool_choice="required")) == ["multiply"]
    assert names(caller.chat("add 2 and 3", tools=tools, tool_choice="none")) == []


def test_required_does_not_call_the_same_tool_for_ever(caller, tools):
    messages = [
        {"role": "user", "content": "Weather in Rome?"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "id": "1",
                    "type": "function",
                    "function": {"name": "get_weather", "arguments": ""},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "1", "content": "sunny"},
    ]
    both = tools[2], {"type": "function", "function": {"name": "Report"}}
    assert names(caller.chat(messages, tools=both, tool_choice="required")) == ["Report"]


def test_after_a_tool_the_answer_holds_its_result(caller, tools):
    for prompt, says in (
        ("Weather in Rome?", "The result is: sunny"),
        ("罗马的天气", "结果是：sunny"),
    ):
        call = {
            "id": "1",
            "type": "function",
            "function": {"name": "get_weather", "arguments": "{}"},
        }
        messages = [
            {"role": "user", "content": prompt},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "1", "content": "sunny"},
        ]
        answer = caller.chat(messages, tools=tools).message
        assert (answer["content"], answer["tool_calls"]) == (says, None)


def test_a_schema_is_filled(caller):
    schema = {
        "type": "object",
        "properties": {"name": TEXT, "age": {"type": "integer"}},
        "required": ["name", "age"],
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}
    answered = caller.chat("In this story Alice is 30 years old.", response_format=wanted)
    assert json.loads(answered.message["content"]) == {"name": "Alice", "age": 30}


@pytest.mark.parametrize(
    ("prompt", "keys"),
    [
        ("A joke about cats as JSON with 'setup' and 'punchline' keys.", ["setup", "punchline"]),
        ('Return JSON: {"title": …, "year": …} about Heat', ["title", "year"]),
        ("Answer in JSON with the keys city, country about Rome", ["city", "country"]),
        ("用 JSON 回答，键为 name 和 age", ["name", "age"]),
        ("Anything in JSON", ["answer"]),
    ],
)
def test_a_json_object_has_the_keys_that_the_prompt_names(caller, prompt, keys):
    answered = caller.chat(prompt, response_format={"type": "json_object"})
    assert list(json.loads(answered.message["content"])) == keys


def test_stop_words_end_the_text_before_them(caller):
    text = caller.chat("one two three").message["content"]
    assert "two" in text
    assert caller.chat("one two three", stop=" two").message["content"] == text.split(" two")[0]
    assert caller.chat("one two three", stop=["four", "one"]).message["content"].endswith("“")


def test_a_limit_of_tokens_cuts_the_answer(caller):
    answered = caller.chat("one two three four", max_tokens=4)
    assert answered.json["choices"][0]["finish_reason"] == "length"
    assert answered.json["usage"]["completion_tokens"] == 4


def test_thinking_counts_against_the_limit(caller):
    answered = caller.chat("Hello", model="Qwen/Qwen3.5-122B-A10B", max_tokens=3)
    assert answered.message["content"] == ""
    assert answered.message["reasoning_content"]
    assert answered.json["choices"][0]["finish_reason"] == "length"
    assert answered.json["usage"]["completion_tokens_details"] == {"reasoning_tokens": 3}


def test_the_same_request_gets_the_same_answer(caller):
    assert caller.chat("Hello").message == caller.chat("Hello", seed=7).message


def test_tokens_are_words_signs_and_chinese_characters(caller):
    usage = caller.chat("Hello, 世界!").json["usage"]
    assert usage["prompt_tokens"] == 3 + 5  # three for the message itself
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_every_token_is_a_delta(caller):
    answered = caller.stream("Hello there", stream_options={"include_usage": True})
    texts = [delta["content"] for delta in answered.deltas if delta["content"]]
    assert len(texts) == answered.events[-2]["usage"]["completion_tokens"]

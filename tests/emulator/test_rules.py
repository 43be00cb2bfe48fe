"""What the service refuses, in which words."""

from __future__ import annotations

import pytest

from modelscope_transport.emulator import Model

PICTURE = [
    {"type": "text", "text": "What is this?"},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
]


def function(parameters):
    return {"type": "function", "function": {"name": "add", "parameters": parameters}}


ADD = function({"type": "object"})
JOKE = {"type": "json_schema", "json_schema": {"name": "joke", "schema": {"type": "object"}}}


def is_shell(answered):
    body = answered.json
    return answered.status == 200 and body["choices"] is None and body["created"] == 0


@pytest.mark.parametrize("token", [None, "", "sk-1234", "MS-1234"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings"])
def test_a_wrong_token_is_told_before_the_body_is_read(caller, token, path):
    answered = caller.request("POST", path, b"not json", token=token)
    assert answered.status == 401
    assert answered.error == (
        "Authentication failed, please make sure that a valid ModelScope token is supplied."
    )


@pytest.mark.parametrize("token", ["ms-anything", "ms_oauth_anything"])
def test_any_token_of_the_right_form_is_taken(caller, token):
    body = {"model": "Qwen/Qwen3-Coder-30B-A3B-Instruct", "messages": []}
    assert caller.request("POST", "/v1/chat/completions", body, token=token).status == 400


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("Qwen/Qwen9", "Model id : Qwen/Qwen9 , has no provider supported"),
        ("qwen/qwen3-8b", "Model id : qwen/qwen3-8b , has no provider supported"),
        (
            "Qwen/Qwen3-8B:DashScope",
            "Model id : Qwen/Qwen3-8B:DashScope , has no provider supported",
        ),
        ("GLM-5.1", "Invalid model id: GLM-5.1"),
    ],
)
def test_an_unknown_model(caller, model, words):
    answered = caller.chat(model=model)
    assert (answered.status, answered.error) == (400, words)


@pytest.mark.parametrize("path", ["/v1/rerank", "/v1/completions", "/v1/usage", "/nothing"])
def test_an_unknown_path_is_a_plain_404(caller, path):
    answered = caller.request("POST", path, {})
    assert (answered.status, answered.content) == (404, b"404 page not found")
    assert answered.headers["content-type"].startswith("text/plain")


def test_get_on_the_chat_endpoint_is_a_plain_404(caller):
    assert caller.request("GET", "/v1/chat/completions").content == b"404 page not found"


def test_a_body_that_is_not_json(caller):
    assert caller.request("POST", "/v1/chat/completions", b"{oops").status == 400
    assert caller.request("POST", "/v1/chat/completions", [1]).status == 400


def test_no_messages_give_an_empty_shell(caller):
    assert is_shell(caller.chat(messages=None))
    events = caller.stream(messages=None).events
    assert events[0]["choices"] is None


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": []},
        {"messages": "Hello"},
        {"messages": [{"role": "robot", "content": "Hello"}]},
        {"messages": [{"role": "user", "content": None}]},
        {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
        {"messages": [{"role": "tool", "content": "5", "tool_call_id": "call_1"}]},
        {"temperature": 2.5},
        {"temperature": "warm"},
        {"top_p": 1.5},
        {"max_tokens": 0},
        {"max_tokens": True},
        {"n": 0},
        {"stop": [1]},
        {"stream_options": {"include_usage": True}},
        {"response_format": {"type": "xml"}},
        {"response_format": {"type": "json_schema"}},
        {"tools": []},
        {"tools": [{"type": "function"}]},
        {"tools": [ADD], "tool_choice": "any"},
        {"tools": [ADD], "tool_choice": {"type": "function", "function": {"name": "sub"}}},
        {"tool_choice": "required"},
        {"tools": [function({"type": "object", "properties": ["a"]})]},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"enum": []}}}},
        {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
        {"messages": [{"role": "assistant", "tool_calls": [{"id": "1"}]}]},
        {"stream": "yes"},
        {"stream_options": True, "stream": True},
    ],
)
def test_a_bad_request_gets_a_400_in_the_envelope_of_upstream(caller, fields):
    answered = caller.chat(**fields)
    error = answered.json["error"]
    assert answered.status == 400
    assert (error["code"], error["type"]) == ("invalid_parameter_error", "invalid_request_error")
    assert answered.json["request_id"]


def test_the_role_developer_is_not_known(caller):
    answered = caller.chat([{"role": "developer", "content": "Be brief."}])
    assert answered.status == 400
    assert "developer is not one of" in answered.error


def test_unknown_fields_are_passed_over(caller):
    assert caller.chat(some_day="yes", user="me").status == 200


def test_system_messages_names_and_repeated_roles_are_taken(caller):
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello", "name": "ann"},
        {"role": "user", "content": [{"type": "text", "text": "there"}]},
        {"role": "assistant", "content": "Hi"},
        {"role": "assistant", "content": "again"},
        {"role": "user", "content": "Bye"},
    ]
    assert caller.chat(messages).status == 200


def test_an_image_model_does_not_chat(caller):
    assert caller.chat(model="Qwen/Qwen-Image").status == 404


def test_embedding_and_chat_models_keep_to_their_endpoints(caller):
    assert caller.chat(model="Qwen/Qwen3-Embedding-8B").status == 400
    assert caller.embed("a", model="Qwen/Qwen3-8B").status == 400


def test_pictures_need_a_model_that_sees(caller):
    messages = [{"role": "user", "content": PICTURE}]
    assert caller.chat(messages).status == 400
    assert caller.chat(messages, model="Qwen/Qwen3.5-122B-A10B").status == 200
    unreadable = [{"type": "image_url", "image_url": {"url": "file:///etc/hosts"}}]
    answered = caller.chat([{"role": "user", "content": unreadable}], model="moonshotai/Kimi-K2.5")
    assert answered.error == "unspoort image"


def test_a_prompt_longer_than_the_window(call):
    caller = call(models=[Model("own/small", window=50)])
    assert caller.chat("word " * 40, model="own/small").status == 200
    answered = caller.chat("word " * 60, model="own/small")
    assert answered.status == 400
    assert answered.error.endswith("Range of input length should be [1, 50]")


@pytest.mark.parametrize("model", ["Qwen/QwQ-32B", "Qwen/Qwen3-235B-A22B-Thinking-2507"])
def test_a_model_that_always_thinks_must_be_streamed(caller, model):
    answered = caller.chat(model=model)
    assert answered.status == 400
    assert answered.error == "enable thinking can not be support when `stream=False`."
    assert caller.stream(model=model).text


@pytest.mark.parametrize("model", ["Qwen/Qwen3-8B", "Qwen/Qwen3-32B"])
def test_a_hybrid_model_that_thinks_must_be_streamed(caller, model):
    answered = caller.chat(model=model)
    assert answered.error == (
        "parameter.enable_thinking must be set to false for non-streaming calls"
    )
    answered = caller.chat(model=model, enable_thinking=False)
    assert answered.message["content"]
    assert not answered.message["reasoning_content"]


def test_a_model_listens_to_its_own_switch_only(caller):
    flash = "deepseek-ai/DeepSeek-V4.1-Flash"
    off = {"enable_thinking": False}
    assert caller.chat(model=flash, **off).message["reasoning_content"]
    assert not caller.chat(model=flash, chat_template_kwargs=off).message["reasoning_content"]


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "add"}}])
def test_a_forced_tool_on_a_thinking_model_gives_an_empty_shell(caller, choice):
    forced = {"model": "Qwen/Qwen3.5-122B-A10B", "tools": [ADD], "tool_choice": choice}
    assert is_shell(caller.chat(**forced))
    assert caller.stream(**forced).events[0]["choices"] is None
    assert caller.chat(**forced, enable_thinking=False).message["tool_calls"]


def test_a_json_schema_on_a_model_that_cannot_gives_an_empty_shell(caller):
    flash = {"model": "deepseek-ai/DeepSeek-V4.1-Flash"}
    assert is_shell(caller.chat(**flash, response_format=JOKE))
    assert caller.chat(**flash, response_format={"type": "json_object"}).message["content"]


def test_few_tokens_on_some_models_give_an_empty_shell(caller):
    assert is_shell(caller.chat(model="ZhipuAI/GLM-4.7-Flash", max_tokens=5))
    assert caller.chat(max_tokens=5).message["content"]


def test_kimi_takes_one_temperature(caller):
    answered = caller.chat(model="moonshotai/Kimi-K2.5", temperature=0.7)
    assert "only 1 is allowed" in answered.error
    assert caller.chat(model="moonshotai/Kimi-K2.5", temperature=1).status == 200
    assert caller.chat(model="moonshotai/Kimi-K2.5").status == 200


@pytest.mark.parametrize(("given", "got"), [(None, ""), ("int8", "int8")])
def test_embeddings_need_an_encoding_format(caller, given, got):
    answered = caller.embed("a", encoding_format=given)
    assert answered.status == 400
    assert answered.json["errors"]["message"] == (
        f"encoding_format must be 'float' or 'base64', got '{got}'"
    )


@pytest.mark.parametrize("given", [[], "", ["a", ""], [1, 2], [[1, 2]], None, [{"text": "a"}]])
def test_only_texts_are_embedded(caller, given):
    assert caller.embed(input=given).status == 400


def test_one_text_may_stand_alone(caller):
    assert len(caller.embed(input="Hello").json["data"]) == 1


@pytest.mark.parametrize("dimensions", [0, 1025, "many"])
def test_dimensions_have_a_range(caller, dimensions):
    assert caller.embed("a", dimensions=dimensions).status == 400

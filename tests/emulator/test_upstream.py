"""Another server behind the local service: a second one, or answers given word for word."""

from __future__ import annotations

import json
import urllib.request

import pytest

from modelscope_transport.emulator import Model, Reply, Stream, UpstreamEngine

HYBRID = "Qwen/Qwen3.5-122B-A10B"


@pytest.fixture
def behind(call):
    """The server behind: it has one chat model and knows nothing of the names in front."""
    rows = [Model("tiny/words", thinking="none")]
    return call(models=rows)


@pytest.fixture
def caller(call, behind):
    engine = UpstreamEngine(behind.service.base_url, model="tiny/words", key=behind.service.token)
    return call(engine=engine)


def test_the_words_come_from_behind_and_the_name_stays(caller, behind):
    answered = caller.chat("Hello from afar", temperature=0.5)
    assert answered.message["content"] == "You said: “Hello from afar”."
    assert answered.json["model"] == "Qwen/Qwen3-Coder-30B-A3B-Instruct"
    [request] = behind.service.requests
    assert request.body["model"] == "tiny/words"
    assert request.body["temperature"] == 0.5
    assert answered.json["usage"] == behind.chat("Hello from afar").json["usage"]


def test_the_page_says_who_answers(caller, behind):
    for each, said in ((caller, "the model behind it"), (behind, "no model runs here")):
        with urllib.request.urlopen(
            urllib.request.Request(each.service.root_url, headers={"Accept": "text/html"})
        ) as answered:
            assert said in answered.read().decode()


def test_without_a_name_the_first_listed_model_is_taken(call, behind):
    caller = call(engine=UpstreamEngine(behind.service.base_url, key=behind.service.token))
    caller.chat()
    caller.chat()
    first = behind.request("GET", "/v1/models").json["data"][0]["id"]
    asked = [request.path for request in behind.service.requests[:3]]
    assert asked == ["/v1/models", "/v1/chat/completions", "/v1/chat/completions"]
    assert behind.service.requests[1].body["model"] == first


def test_a_stream_is_dressed_anew(caller):
    answered = caller.stream("Hello", stream_options={"include_usage": True})
    assert answered.text == "You said: “Hello”."
    assert [delta["role"] for delta in answered.deltas][:2] == ["assistant", None]
    assert answered.events[-2]["choices"] == []
    assert answered.events[-2]["usage"]["completion_tokens"] > 0


def test_a_bare_first_part_of_a_tool_call_is_joined_with_its_arguments(caller, behind, tool):
    behind.service.next("bare_tool_head")
    add = tool("add", a={"type": "integer"}, b={"type": "integer"})
    answered = caller.stream("add 2 and 3", tools=[add])
    first, *rest = [d["tool_calls"][0] for d in answered.deltas if d["tool_calls"]]
    assert first["id"]
    assert first["function"]["arguments"]
    arguments = "".join(each["function"]["arguments"] for each in [first, *rest])
    assert json.loads(arguments) == {"a": 2, "b": 3}


def test_a_tool_chosen_by_name_is_the_only_one_and_required(caller, behind, tool):
    tools = [tool("add", a={"type": "integer"}), tool("multiply", b={"type": "integer"})]
    named = {"type": "function", "function": {"name": "multiply"}}
    answered = caller.chat("Hello", tools=tools, tool_choice=named)
    [request] = behind.service.requests
    assert request.body["tools"] == tools[1:]
    assert request.body["tool_choice"] == "required"
    assert [each["function"]["name"] for each in answered.message["tool_calls"]] == ["multiply"]


def test_reasoning_under_another_name_is_renamed(caller, behind):
    chunk = {"choices": [{"index": 0, "delta": {"reasoning": "Hm."}, "finish_reason": None}]}
    text = {"choices": [{"index": 0, "delta": {"content": "Yes."}, "finish_reason": "stop"}]}
    behind.service.next(Stream([chunk, text, "[DONE]"]))
    message = caller.chat(model=HYBRID).message
    assert (message["reasoning_content"], message["content"]) == ("Hm.", "Yes.")


@pytest.mark.parametrize("thinking", [True, False])
def test_the_switch_of_thinking_is_translated(caller, behind, thinking):
    caller.chat(model=HYBRID, enable_thinking=thinking)
    body = behind.service.requests[-1].body
    assert body["chat_template_kwargs"] == {"enable_thinking": thinking}
    assert "enable_thinking" not in body


def test_a_model_that_never_thinks_sends_no_switch(caller, behind):
    caller.chat()
    assert "chat_template_kwargs" not in behind.service.requests[-1].body


def test_the_rules_hold_in_front(caller, behind):
    assert caller.chat(model="Qwen/QwQ-32B").status == 400
    assert caller.chat(messages=None).json["choices"] is None
    assert behind.service.requests == []


def test_scenarios_hold_in_front(caller):
    caller.service.next("cut:2")
    assert len(caller.stream("Hello").events) == 2


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (Reply(400, {"error": {"message": "bad grammar"}}), 400, "bad grammar"),
        (
            Reply(400, {"error": {"type": "exceed_context_size_error", "n_ctx": 512}}),
            400,
            "[1, 512]",
        ),
        (Reply(404, {"error": "no such model"}), 400, "has no provider supported"),
        (Reply(429, {}), 429, "We have to rate limit you"),
        (Reply(500, {"error": {"message": "image input is not supported"}}), 500, "server error"),
        (Reply(503, {"error": {"message": "Loading model"}}), 503, "unavailable"),
        (Reply(502, "<html>"), 500, "server error"),
        (Stream([{"error": {"message": "out of memory"}}]), 500, "server error"),
        (Stream(["not json"]), 503, "unavailable"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_failures_behind_become_those_of_the_service(caller, behind, answer, status, words, stream):
    behind.service.next(answer)
    answered = caller.chat(stream=stream)
    assert answered.status == status
    assert words in answered.error
    assert caller.service.meter.allowance.calls_per_day is None
    assert caller.chat().status == 200


def test_a_failure_in_the_middle_of_a_stream_is_told_in_an_event(caller, behind):
    behind.service.next("error_later", "reset", "error_later")
    for _ in range(2):
        answered = caller.stream("Hello")
        assert answered.status == 200
        assert "error" in answered.events[-1]
    assert caller.chat("Hello").status == 500


def test_nobody_behind(call):
    caller = call(engine=UpstreamEngine("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1", "x"))
    assert caller.chat().status == 503
    assert caller.embed("a").status == 503


def test_a_call_that_failed_behind_is_not_charged(call, behind):
    engine = UpstreamEngine(behind.service.base_url, model="tiny/words", key=behind.service.token)
    caller = call(engine=engine, allowance="calls=1")
    behind.service.next("server_error", "error_later")
    assert [caller.chat().status for _ in range(4)] == [500, 500, 200, 429]


def test_vectors_come_from_behind_in_order(call):
    behind = call()
    behind.service.models.clear()
    behind.service.models["tiny/vectors"] = Model("tiny/vectors", "embedding", dimensions=16)
    url, key = behind.service.base_url, behind.service.token
    front = call(engine=UpstreamEngine(embeddings_url=url, key=key))
    behind.service.next("shuffled_vectors")
    data = front.embed("one", "two").json["data"]
    honest = behind.embed("one", "two", model="tiny/vectors").json["data"]
    assert [entry["embedding"] for entry in data] == [entry["embedding"] for entry in honest]
    assert front.chat("Hello").message["content"] == "You said: “Hello”."


def test_a_client_that_goes_away_ends_the_call_behind(caller, behind):
    behind.service.next("stall")
    with caller.open(stream=True) as wire:
        assert b"200 OK" in wire.recv(4096)
        assert behind.service.connections == 1
    while behind.service.connections:
        pass  # the other threads' turn; pytest's limit ends a wait in vain


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://host/v1", "http://"])
def test_a_url_that_is_none_is_told(url):
    with pytest.raises(ValueError, match="upstream server needs a URL"):
        UpstreamEngine(url)

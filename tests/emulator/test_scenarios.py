"""Every misbehaviour can be had by its name and looks on the wire as it says."""

from __future__ import annotations

import json
import math
import re
import zlib
from pathlib import Path

import pytest

from modelscope_transport.emulator import SCENARIOS, Reply, Stream

SAMPLES = Path(__file__).parents[1] / "samples"
QWQ = "Qwen/QwQ-32B"

# A recorded failure, and the scenario that is this failure.
RECORDED = {
    "429_without_body": "throttled_silently",
    "bad_token": "authentication_failed",
    "batch_too_large": "batch_too_large",
    "burst_first_event": "burst_in_200",
    "context_too_long_dashscope": "context_length",
    "empty_first_event": "shell",
    "empty_json_schema": "shell",
    "encoding_format_missing": "encoding_format",
    "error_first_event": "too_many_tokens_in_200",
    "forced_tool_while_thinking": "forced_tool_while_thinking",
    "free_allowance_used_zh": "account_spent",
    "image_not_downloadable": "picture_download",
    "image_unsupported": "media_unsupported",
    "insufficient_balance": "balance_spent",
    "insufficient_balance_image": "balance_spent_images",
    "insufficient_quota": "too_many_tokens",
    "insufficient_quota_in_200": "too_many_tokens_in_200",
    "invalid_model_id": "owner_missing",
    "limit_burst_rate": "burst",
    "limit_burst_rate_in_200": "burst_in_200",
    "long_call_timed_out": "request_timed_out",
    "media_not_downloadable": "media_download",
    "model_is_private": "model_private",
    "model_quota_today": "model_spent",
    "no_provider_2025": "no_provider_2025",
    "no_provider_2026": "no_provider",
    "not_linked": "account_not_linked",
    "not_linked_2025": "account_not_linked_2025",
    "not_verified": "account_not_verified",
    "oauth_token_refused": "hub_error",
    "rate_limit_of_model_2025": "throttled_2025",
    "rate_limit_of_model_2026": "throttled",
    "request_limit_exceeded": "limit_exceeded",
    "server_busy": "server_busy",
    "stream_needed_hybrid_model": "thinking_needs_stream",
    "stream_needed_thinking_model": "stream_only",
    "synchronous_image": "images_synchronous",
    "temperature_fixed": "temperature_fixed",
    "unknown_path": "not_found",
    "upstream_account_empty": "retired_1008",
}


def plain(text):
    """A body with its ids and its example numbers left out, as a value."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "id", text)
    text = re.sub(r"\[1, \d+\]", "[1, N]", text)
    try:
        return json.loads(text)
    except ValueError:
        return text


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_failure_can_be_had_word_for_word(caller, name):
    sample = json.loads((SAMPLES / "failures" / f"{name}.json").read_text())
    caller.service.next(RECORDED[name])
    answered = caller.chat(model=sample.get("model", "any/model"), stream="events" in sample)
    assert answered.status == sample["status"]
    if "events" in sample:
        assert plain(json.dumps(answered.events[0])) == plain(sample["events"][0])
    else:
        assert plain(answered.content.decode()) == plain(sample["body"])


def test_an_account_that_has_no_token_at_the_hub(caller):
    sample = json.loads((SAMPLES / "failures/balance_without_token.json").read_text())
    answered = caller.request("GET", "/openapi/v1/magicubes/balance", token=None)
    assert set(answered.json) == set(json.loads(sample["body"]))


def test_scenarios_are_used_up_one_by_one_in_their_order(caller):
    caller.service.next("server_error", "unavailable")
    assert [caller.chat().status for _ in range(3)] == [500, 503, 200]


def test_a_standing_scenario_holds_until_the_end(call):
    caller = call(scenario="unavailable")
    caller.service.next("honest")
    assert [caller.chat().status for _ in range(3)] == [200, 503, 503]


def test_free_requests_use_up_no_scenario(caller):
    caller.service.next("server_error")
    assert caller.request("GET", "/v1/models").status == 200
    assert caller.request("POST", "/v1/chat/completions", {}, token=None).status == 401
    assert caller.chat().status == 500


def test_an_answer_may_be_given_word_for_word(caller):
    caller.service.next(
        Reply(418, {"error": {"message": "tea"}}, {"x-pot": "1"}),
        Stream([{"choices": []}, "[DONE]"]),
    )
    answered = caller.chat()
    assert (answered.status, answered.error, answered.headers["x-pot"]) == (418, "tea", "1")
    assert caller.stream().events == [{"choices": []}, "[DONE]"]


@pytest.mark.parametrize("name", ["nothing_of_the_kind", "shell:3", ""])
def test_an_unknown_name_is_told(caller, name):
    with pytest.raises(ValueError, match="scenario"):
        caller.service.next(name)


@pytest.mark.parametrize("name", ["throttled", "unavailable", "balance_spent"])
def test_any_failure_may_say_when_to_come_back(caller, name):
    caller.service.next(f"{name}:7", name)
    assert caller.chat().headers["retry-after"] == "7"
    assert "retry-after" not in caller.chat().headers


# --- replies


def test_html(caller):
    caller.service.next("html", "html_502")
    for status in (200, 502):
        answered = caller.chat()
        assert (answered.status, answered.content[:6]) == (status, b"<html>")
        assert answered.headers["content-type"].startswith("text/html")


def test_nothing_in_it(caller):
    caller.service.next("empty_body", "empty_object", "no_choices", "truncated_json")
    assert [caller.chat().content for _ in range(2)] == [b"", b"{}"]
    assert caller.chat().json["choices"] == []
    assert caller.chat().content == b'{"choices": [{'


def test_the_token_comes_back(caller):
    caller.service.next("echo_token")
    assert caller.service.token in caller.chat().error


def test_a_redirect(caller):
    caller.service.next("redirect:http://127.0.0.2:9")
    answered = caller.chat()
    assert (answered.status, answered.headers["location"]) == (
        307,
        "http://127.0.0.2:9/v1/chat/completions",
    )


def test_a_field_can_be_refused(call):
    caller = call(scenario="refuses:tool_choice=required")
    add = {"type": "function", "function": {"name": "add"}}
    assert caller.chat(tools=[add], tool_choice="required").status == 400
    assert caller.chat(tools=[add], tool_choice="auto").status == 200
    assert call(scenario="refuses:stream_options").stream(stream_options={}).status == 400


def test_compressed(caller):
    caller.service.next("gzip", "gzip")
    for answered in (caller.chat(), caller.stream()):
        assert answered.headers["content-encoding"] == "gzip"
        assert b"Hello" in zlib.decompress(answered.content, 31)


def test_a_small_body_that_unpacks_to_much(caller):
    caller.service.next("gzip_bomb:3")
    answered = caller.chat()
    assert len(answered.content) < 10_000
    assert len(zlib.decompress(answered.content, 31)) > 3_000_000


def test_lists_in_lists(caller):
    caller.service.next("deep_json:1000")
    assert caller.chat().content == b"[" * 1000 + b"]" * 1000


def test_headers_too_large_and_too_many(caller):
    caller.service.next("huge_header:5000", "many_headers:50")
    assert caller.chat().headers["x-filler-0"] == "x" * 5000
    assert "x-filler-49" in caller.chat().headers


def test_a_choice_without_a_message(caller):
    caller.service.next("delta_only")
    choice = caller.chat().json["choices"][0]
    assert "message" not in choice
    assert "Hello" in choice["delta"]["content"]


# --- streams


def finishes(answered):
    choices = [event["choices"] for event in answered.events if isinstance(event, dict)]
    return [each[0]["finish_reason"] for each in choices if each and each[0]["finish_reason"]]


def test_cut(caller):
    caller.service.next("cut", "cut:1", "cut_then_done")
    assert len(caller.stream().events) == 3
    assert len(caller.stream().events) == 1
    answered = caller.stream()
    assert answered.events[-1] == "[DONE]"
    assert finishes(answered) == []


def test_endings(caller):
    caller.service.next("no_done", "two_finishes")
    assert caller.stream().events[-1] != "[DONE]"
    assert finishes(caller.stream()) == ["stop", "stop"]


def test_errors_in_the_middle(caller):
    caller.service.next("error_later", "throttled_later:2")
    assert "message" in caller.stream().events[3]["error"]
    assert "rate limit" in caller.stream().events[2]["error"]["message"]


def test_error_in_the_first_event_or_the_only_reply(caller):
    caller.service.next("error_in_200", "error_in_200")
    assert "error" in caller.stream().events[0]
    answered = caller.chat()
    assert (answered.status, "error" in answered.json) == (200, True)


def raw(caller, scenario, **fields):
    caller.service.next(scenario)
    return caller.stream(**fields).content


def test_the_form_of_the_events(caller):
    assert raw(caller, "crlf").endswith(b"data: [DONE]\r\n\r\n")
    assert raw(caller, "cr").endswith(b"data: [DONE]\r\r")
    assert raw(caller, "comments").startswith(b": keep-alive\n\ndata: {")
    assert raw(caller, "no_space").startswith(b"data:{")
    assert raw(caller, "named_events").startswith(b"event: message\nid: 1\nretry: 9\ndata: {")
    assert raw(caller, "byte_order_mark").startswith(b"\xef\xbb\xbfdata: {")
    assert "\u2028".encode() in raw(caller, "line_separator")


def test_a_payload_over_several_lines_is_still_json(caller):
    first = raw(caller, "many_lines").decode().split("\n\n")[0]
    lines = [line.removeprefix("data: ") for line in first.split("\n")]
    assert len(lines) == 4
    assert json.loads("\n".join(lines))["object"] == "chat.completion.chunk"


def test_events_that_are_no_chunk(caller):
    assert b'data: {"choices": [{"delta": {"content": "\n\n' in raw(caller, "bad_json")
    caller.service.next("not_an_object", "null_choices")
    assert "ping" in caller.stream().events
    answered = caller.stream()
    assert None in [event["choices"] for event in answered.events[:-1]]
    assert "Hello" in answered.text


def test_other_usages(caller):
    asked = {"stream_options": {"include_usage": True}}
    caller.service.next("usage_everywhere", "null_usage", "no_usage")
    written = [event["usage"]["completion_tokens"] for event in caller.stream(**asked).events[:-1]]
    assert written == list(range(1, len(written) + 1))
    assert {json.dumps(e["usage"]) for e in caller.stream(**asked).events[:-1]} == {"null"}
    events = caller.stream(**asked).events[:-1]
    assert not any("usage" in event for event in events)
    assert all(event["choices"] for event in events)


def test_other_reasoning(caller):
    honest = caller.stream(model=QWQ)
    thought = "".join(delta["reasoning_content"] or "" for delta in honest.deltas)
    caller.service.next("renamed_reasoning", "mixed_delta", "think_tags")
    renamed = caller.stream(model=QWQ).deltas
    assert "".join(delta["reasoning"] or "" for delta in renamed) == thought
    assert not any("reasoning_content" in delta for delta in renamed)
    mixed = caller.stream(model=QWQ)
    assert [d for d in mixed.deltas if d["reasoning_content"] and d["content"]]
    assert "".join(d["reasoning_content"] or "" for d in mixed.deltas) == thought
    assert mixed.text == honest.text
    assert caller.stream(model=QWQ).text == f"<think>{thought}</think>{honest.text}"


# --- tools


@pytest.fixture
def ask(caller, tool):
    """Call two tools under a scenario; give the tool parts of the stream, chunk by chunk."""
    number = {"type": "integer"}
    tools = [tool("add", a=number, b=number), tool("multiply", a=number, b=number)]

    def asked(scenario, stream=True):
        caller.service.next(scenario)
        answered = caller.chat("add 2 and 3, multiply 4 and 5", tools=tools, stream=stream)
        if not stream:
            return [answered.message["tool_calls"]]
        return [delta["tool_calls"] for delta in answered.deltas if delta["tool_calls"]]

    return asked


def joined(chunks):
    """Names and arguments of the calls that the parts add up to."""
    names, arguments = {}, {}
    for part in (each for chunk in chunks for each in chunk):
        at = part["index"]
        names[at] = part["function"].get("name") or names[at]
        arguments[at] = arguments.get(at, "") + part["function"]["arguments"]
    return [(names[at], json.loads(arguments[at])) for at in sorted(names)]


BOTH = [("add", {"a": 2, "b": 3}), ("multiply", {"a": 4, "b": 5})]


@pytest.mark.parametrize(
    "name",
    ["honest", "repeated_tool_head", "bare_tool_head", "tools_in_one_chunk", "interleaved_tools",
     "text_beside_tools", "no_tool_id", "no_tool_type"],
)  # fmt: skip
def test_unusual_tool_calls_still_add_up(ask, name):
    assert joined(ask(name)) == BOTH


def test_tool_calls_in_unusual_chunks(ask):
    assert all(part[0]["id"] and part[0]["function"]["name"] for part in ask("repeated_tool_head"))
    assert ask("bare_tool_head")[0][0]["function"]["arguments"] == ""
    assert [len(chunk) for chunk in ask("tools_in_one_chunk")] == [2]
    order = [chunk[0]["index"] for chunk in ask("interleaved_tools")]
    assert order[:4] == [0, 1, 0, 1]


@pytest.mark.parametrize("stream", [True, False])
def test_tool_calls_that_lack_something(ask, stream):
    for field in ("index", "id", "type"):
        parts = [part for chunk in ask(f"no_tool_{field}", stream) for part in chunk]
        assert parts
        assert not any(field in part for part in parts)


@pytest.mark.parametrize("stream", [True, False])
def test_arguments_that_are_not_what_they_should_be(ask, stream):
    def arguments(scenario):
        return [p["function"]["arguments"] for chunk in ask(scenario, stream) for p in chunk]

    assert arguments("empty_tool_arguments") == ["", ""]
    assert arguments("null_tool_arguments") == [None, None]
    assert arguments("object_tool_arguments") == [{"a": 2, "b": 3}, {"a": 4, "b": 5}]
    for text in arguments("bad_tool_arguments"):
        with pytest.raises(ValueError, match="Expecting"):
            json.loads(text)


@pytest.mark.parametrize("stream", [True, False])
def test_tool_calls_inside_the_text(caller, tool, stream):
    caller.service.next("leaked_tools")
    answered = caller.chat("add 2", tools=[tool("add", a={"type": "integer"})], stream=stream)
    text = answered.text if stream else answered.message["content"]
    assert text == '<｜｜DSML｜｜invoke name="add">{"a": 2}'
    last = answered.events[-2] if stream else answered.json
    assert last["choices"][0]["finish_reason"] == "stop"
    assert b"call_" not in answered.content.replace(b"tool_calls", b"")


# --- vectors


def test_vectors(caller):
    honest = caller.embed("one", "two", "three").json["data"]
    caller.service.next("shuffled_vectors", "missing_vector", "repeated_vector", "short_vector")
    shuffled = caller.embed("one", "two", "three").json["data"]
    assert [entry["index"] for entry in shuffled] == [2, 1, 0]
    assert sorted(shuffled, key=lambda entry: entry["index"]) == honest
    assert len(caller.embed("one", "two").json["data"]) == 1
    assert len(caller.embed("one", "two").json["data"]) == 3
    assert [len(entry["embedding"]) for entry in caller.embed("a", "b").json["data"]] == [
        1024,
        1023,
    ]


def test_not_a_number(caller):
    caller.service.next("nan_vector")
    assert math.isnan(caller.embed("one").json["data"][0]["embedding"][0])


def test_a_limit_of_texts(call):
    caller = call(scenario="batch_limit:2")
    assert caller.embed("a", "b").status == 200
    answered = caller.embed("a", "b", "c")
    assert answered.status == 400
    assert "should not be larger than 2" in answered.error
    assert call(scenario="batch_limit_413:2").embed("a", "b", "c").status == 413


# --- all of them


# These break or never end the connection, or take long: test_connections.py has them.
BREAKING = {
    *("silence", "stall", "slow", "slow_first_byte", "endless_line", "endless_body"),
    *("reset", "reset_before_reply", "close_before_reply", "drop", "short_body", "garbage"),
    *("gzip_bomb", "huge_header", "many_headers"),
}


@pytest.mark.parametrize("name", sorted(set(SCENARIOS) - BREAKING))
@pytest.mark.parametrize("stream", [True, False])
def test_every_other_scenario_ends_and_leaves_the_next_call_alone(caller, name, stream):
    caller.service.next(name)
    assert caller.chat(stream=stream).status
    assert caller.chat(stream=stream).status == 200

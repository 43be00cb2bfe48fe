"""Good answers have the recorded shapes."""

from __future__ import annotations

import base64
import json
import struct
import time
from itertools import pairwise
from pathlib import Path

SAMPLES = Path(__file__).parents[1] / "samples"


def shape(value):
    """A JSON value's keys and kinds, its texts and numbers left out."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def sample(path):
    return json.loads((SAMPLES / path).read_text())


def test_a_reply_in_one_piece_has_the_recorded_shape(caller):
    recorded = json.loads(sample("chat/whole.json")["body"])
    assert shape(caller.chat("Hello").json) == shape(recorded)


def test_a_reply_with_a_tool_call_has_the_recorded_shape(caller, tool):
    recorded = json.loads(sample("chat/tool_call.json")["body"])
    answered = caller.chat("add 2 and 3", tools=[tool("add", a={"type": "integer"})])
    assert shape(answered.json) == shape(recorded)


def test_created_is_in_milliseconds(caller):
    assert abs(caller.chat("Hello").json["created"] / 1000 - time.time()) < 60


def test_the_model_is_echoed(caller):
    answered = caller.chat("Hello", model="nex-agi/Nex-N2.5-mini")
    assert answered.json["model"] == "nex-agi/Nex-N2.5-mini"


def test_chunks_have_the_recorded_keys(caller):
    recorded = json.loads(sample("streams/null_fields.json")["events"][0])
    for chunk in caller.stream("Hello").events[:-1]:
        assert set(recorded) <= set(chunk)
        assert set(recorded["choices"][0]) <= set(chunk["choices"][0])
        assert set(chunk["choices"][0]["delta"]) == set(recorded["choices"][0]["delta"])


def test_a_stream_begins_with_the_role_and_ends_with_done(caller):
    answered = caller.stream("Hello")
    roles = [delta["role"] for delta in answered.deltas]
    assert roles == ["assistant"] + [None] * (len(roles) - 1)
    assert answered.headers["content-type"].startswith("text/event-stream")
    assert answered.events[-1] == "[DONE]"
    assert answered.events[-2]["choices"][0]["finish_reason"] == "stop"


def test_a_stream_says_what_one_piece_says(caller):
    assert caller.stream("What is new?").text == caller.chat("What is new?").message["content"]


def test_every_chunk_carries_a_dummy_usage_and_none_is_real_unless_asked(caller):
    answered = caller.stream("Hello")
    usages = [event["usage"] for event in answered.events[:-1]]
    assert all(usage["completion_tokens"] == 0 for usage in usages)
    assert usages[-1]["prompt_tokens"] > 0


def test_the_real_usage_comes_in_one_chunk_without_choices_when_asked(caller):
    answered = caller.stream("Hello", stream_options={"include_usage": True})
    *chunks, last = answered.events[:-1]
    assert last["choices"] == []
    assert last["usage"] == caller.chat("Hello").json["usage"]
    assert all(chunk["usage"]["completion_tokens"] == 0 for chunk in chunks)


def test_the_first_chunk_of_a_tool_call_holds_its_id_and_the_start_of_its_arguments(caller, tool):
    add = tool("add", a={"type": "integer"}, b={"type": "integer"})
    answered = caller.stream("add 2 and 3", tools=[add])
    first, *rest = [d["tool_calls"][0] for d in answered.deltas if d["tool_calls"]]
    assert first["id"]
    assert first["function"]["name"] == "add"
    assert first["function"]["arguments"]
    assert [(each["id"], each["function"]["name"]) for each in rest] == [("", None)] * len(rest)
    arguments = "".join(each["function"]["arguments"] for each in [first, *rest])
    assert json.loads(arguments) == {"a": 2, "b": 3}
    assert answered.events[-2]["choices"][0]["finish_reason"] == "tool_calls"


def test_reasoning_comes_before_the_text(caller):
    deltas = caller.stream("Hello", model="Qwen/QwQ-32B").deltas
    kinds = ["thought" if d["reasoning_content"] else "text" for d in deltas[1:-1]]
    assert kinds[0] == "thought"
    assert kinds[-1] == "text"
    assert sum(one != two for one, two in pairwise(kinds)) == 1


def test_reasoning_of_a_reply_in_one_piece_is_beside_the_text(caller):
    message = caller.chat("Hello", model="Qwen/Qwen3.5-122B-A10B").message
    assert "Hello" in message["reasoning_content"]
    assert "Hello" in message["content"]


def test_several_choices_are_told_apart_by_their_index(caller):
    chunks = caller.stream("Hello", n=2).events[:-1]
    finished = [c["choices"][0]["index"] for c in chunks if c["choices"][0]["finish_reason"]]
    assert finished == [0, 1]
    assert [choice["index"] for choice in caller.chat("Hello", n=3).json["choices"]] == [0, 1, 2]


def test_logprobs_stand_beside_every_token(caller):
    choice = caller.chat("Hello", logprobs=True).json["choices"][0]
    tokens = [entry["token"] for entry in choice["logprobs"]["content"]]
    assert "".join(tokens) == choice["message"]["content"]


def test_vectors_have_the_model_s_length_and_come_with_their_index(caller):
    for model, length in [("0.6B", 1024), ("4B", 2560), ("8B", 4096)]:
        data = caller.embed("a", "b", model=f"Qwen/Qwen3-Embedding-{model}").json["data"]
        assert [entry["index"] for entry in data] == [0, 1]
        assert [len(entry["embedding"]) for entry in data] == [length, length]


def test_base64_vectors_are_the_same_numbers(caller):
    plain = caller.embed("Hello").json["data"][0]["embedding"]
    packed = caller.embed("Hello", encoding_format="base64").json["data"][0]["embedding"]
    assert struct.unpack("<1024f", base64.b64decode(packed)) == struct.unpack(
        "<1024f", struct.pack("<1024f", *plain)
    )


def test_dimensions_are_honoured(caller):
    assert len(caller.embed("Hello", dimensions=256).json["data"][0]["embedding"]) == 256


def test_the_list_of_models_has_the_recorded_shape_and_needs_no_token(caller):
    answered = caller.request("GET", "/v1/models", token=None)
    recorded = json.loads(sample("catalogue/models.json")["body"])
    assert set(answered.json["data"][0]) == set(recorded["data"][0])
    assert {entry["object"] for entry in answered.json["data"]} == {""}
    assert caller.request("GET", "/v1/models", token="garbage").status == 200


def test_the_list_of_models_leaves_out_embeddings(caller):
    listed = {entry["id"] for entry in caller.request("GET", "/v1/models").json["data"]}
    assert "Qwen/Qwen3-Coder-30B-A3B-Instruct" in listed
    assert not any("Embedding" in name for name in listed)


def test_the_root_welcomes(caller):
    assert "Welcome" in caller.request("GET", "/", token=None).json["message"]

"""Thoughts inside an answer's text or in its place: sorted alike, however the answer comes cut."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelscope_transport import ChatDelta, ChatRequest, ChatResult, Message, Usage
from modelscope_transport._wire.chat import Opening
from modelscope_transport._wire.chat_request import prepare
from modelscope_transport._wire.outcomes import Reply
from modelscope_transport._wire.thoughts import Thoughts
from modelscope_transport.accumulator import ChatAccumulator
from modelscope_transport.catalogue.models import ModelProfile

PROFILE = ModelProfile(id="some/model")


def sorted_pieces(*pieces: str, promote: bool = False) -> tuple[str, str]:
    thoughts = Thoughts(tags=True, promote=promote)
    found = [thoughts.sort(piece, "") for piece in pieces]
    found.append(thoughts.finish())
    return "".join(text for text, _ in found), "".join(inside for _, inside in found)


SORTED = [
    ("<think>Hm.</think>Yes.", "Yes.", "Hm."),
    ("<think>\nHm.\nSo.\n</think>\n\nYes.\n", "Yes.\n", "Hm.\nSo."),
    ("\n <think>Hm.</think>Yes.", "Yes.", "Hm."),
    ("<think>\n\n</think>\n\nYes.", "Yes.", ""),
    ("<think>Hm.", "", "Hm."),
    ("<think>Hm.</thi", "", "Hm.</thi"),
    ("<think>1 < 2 </think>Yes.", "Yes.", "1 < 2"),
    ("Yes. <think>Hm.</think>", "Yes. <think>Hm.</think>", ""),
    ("<think>a</think>b<think>c</think>", "b<think>c</think>", "a"),
    ("<thinking>Hm.</thinking>", "<thinking>Hm.</thinking>", ""),
    ("<thin", "<thin", ""),
    (" Yes.", " Yes.", ""),
    ("  ", "  ", ""),
    ("", "", ""),
    ("<think></think>", "", ""),
]


@pytest.mark.parametrize(("whole", "text", "inside"), SORTED, ids=[one[0] for one in SORTED])
def test_tags(whole: str, text: str, inside: str) -> None:
    assert sorted_pieces(whole) == (text, inside)
    assert sorted_pieces(*whole) == (text, inside)


parts = st.sampled_from(
    ["<think>", "</think>", "<", "think", ">", "/", "\n", " ", "a", "北", "</th"]
)
wholes = st.lists(parts, max_size=12).map("".join)


@given(whole=wholes, cuts=st.lists(st.integers(0, 60), max_size=6))
def test_where_it_is_cut_makes_no_difference(whole: str, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    pieces = [whole[start:end] for start, end in itertools.pairwise(edges)]
    assert sorted_pieces(*pieces) == sorted_pieces(whole)


@given(whole=wholes)
def test_nothing_but_tags_and_blanks_is_lost(whole: str) -> None:
    text, inside = sorted_pieces(whole)
    rest = "".join(one for one in inside + text if not one.isspace())
    bare = "".join(one for one in whole if not one.isspace())
    if whole.lstrip().startswith("<think>"):
        bare = bare.replace("<think>", "", 1).replace("</think>", "", 1)
        assert rest == bare
    else:
        assert (text, inside) == (whole, "")


@given(text=st.text(max_size=20))
def test_a_text_is_never_held_longer_than_half_a_tag(text: str) -> None:
    thoughts = Thoughts(tags=True, promote=False)
    given_ = "".join("".join(thoughts.sort(one, "")) for one in f"a{text}")
    assert given_ == f"a{text}"


# --- through the wire


def asked(**options: Any) -> ChatRequest:
    return ChatRequest(model="some/model", messages=(Message("user", "Hi"),), **options)


def whole(message: dict[str, Any], finish: str, **options: Any) -> ChatResult:
    body = {"choices": [{"message": message, "finish_reason": finish}]}
    encoded = prepare(asked(**options), PROFILE, stream=False)
    result = encoded.read(Reply(200, {}, json.dumps(body).encode()))
    assert isinstance(result, ChatResult)
    return result


def streamed(message: dict[str, Any], finish: str, **options: Any) -> ChatResult:
    """The same answer, a character a chunk, thoughts first."""
    deltas: list[dict[str, Any]] = [{"role": "assistant"}]
    deltas += [{"reasoning_content": one} for one in message.get("reasoning_content") or ""]
    deltas += [{"content": one} for one in message.get("content") or ""]
    deltas += [{"tool_calls": [call]} for call in message.get("tool_calls") or ()]
    payloads: list[dict[str, Any]] = [{"choices": [{"delta": delta}]} for delta in deltas]
    payloads.append({"choices": [{"delta": {}, "finish_reason": finish}]})
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    payloads.append({"choices": [], "usage": usage})
    first, *rest = [json.dumps(payload).encode() for payload in payloads]
    encoded = prepare(asked(**options), PROFILE, stream=True)
    opening = encoded.read(Reply(200, {}, first, streaming=True))
    assert isinstance(opening, Opening)
    answer = ChatAccumulator()
    for delta in (opening.first, *map(opening.decoder.feed, rest), opening.decoder.finish()):
        assert delta != ChatDelta()
        if delta is not None:
            assert isinstance(delta, ChatDelta)
            answer.add(delta)
    assert answer.result().usage == Usage(1, 2, 3)
    return answer.result()


CALL = {"id": "c", "index": 0, "function": {"name": "add", "arguments": "{}"}}
TAGGED = {"content": "<think>Hm.</think>\nYes."}
ONLY = {"content": "", "reasoning_content": "Yes."}

ANSWERS = [
    ("off", TAGGED, "stop", {}, (TAGGED["content"], "")),
    ("tags", TAGGED, "stop", {"think_tags": True}, ("Yes.", "Hm.")),
    (
        "tags beside thoughts",
        {**TAGGED, "reasoning_content": "Oh. "},
        "stop",
        {"think_tags": True},
        ("Yes.", "Oh. Hm."),
    ),
    ("not promoted", ONLY, "stop", {}, ("", "Yes.")),
    ("promoted", ONLY, "stop", {"promote_reasoning_only": True}, ("Yes.", "Yes.")),
    ("cut", ONLY, "length", {"promote_reasoning_only": True}, ("", "Yes.")),
    (
        "call",
        {**ONLY, "tool_calls": [CALL]},
        "tool_calls",
        {"promote_reasoning_only": True},
        ("", "Yes."),
    ),
    (
        "text as well",
        {"content": "No.", "reasoning_content": "Yes."},
        "stop",
        {"promote_reasoning_only": True},
        ("No.", "Yes."),
    ),
    (
        "tags and nothing else",
        {"content": "<think>Yes.</think>"},
        "stop",
        {"think_tags": True, "promote_reasoning_only": True},
        ("Yes.", "Yes."),
    ),
]


@pytest.mark.parametrize("read", [whole, streamed])
@pytest.mark.parametrize(
    ("name", "message", "finish", "options", "expected"), ANSWERS, ids=[one[0] for one in ANSWERS]
)
def test_an_answer_both_ways(
    read: Any, name: str, message: Any, finish: str, options: Any, expected: tuple[str, str]
) -> None:
    choice = read(message, finish, **options).choice
    assert (choice.text, choice.reasoning) == expected
    assert choice.finish_reason == finish

"""What each sample in ``tests/samples/streams`` says, however it is read."""

from __future__ import annotations

from typing import Any, NamedTuple

from modelscope_transport import Usage

__all__ = ["ANSWERS", "Answer", "Call"]


class Call(NamedTuple):
    """A tool call: ``arguments`` is its JSON text, ``args`` what it says, if it can be used."""

    id: str
    name: str
    arguments: str
    args: dict[str, Any] | None


class Answer(NamedTuple):
    """One answer."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    usage: Usage | None = None
    finish_reason: str | None = "tool_calls"
    reasoning: str = ""


_BOTH = '{"a": 2, "b": 3}', '{"a": 4, "b": 5}'
_ARGS: tuple[dict[str, Any], dict[str, Any]] = {"a": 2, "b": 3}, {"a": 4, "b": 5}
_ADD = Call("call_1", "add", _BOTH[0], _ARGS[0])
_AGAIN = Call("call_2", "add", _BOTH[1], _ARGS[1])
_MULTIPLY = Call("call_2", "multiply", _BOTH[1], _ARGS[1])
_SOME, _MORE, _REAL = Usage(180, 24, 204), Usage(180, 48, 228), Usage(34, 26, 60)
_ONE, _TWO = Answer(calls=(_ADD,), usage=_SOME), Answer(calls=(_ADD, _MULTIPLY), usage=_SOME)
_SAID = Answer("2", usage=_REAL, finish_reason="stop")

ANSWERS = {
    "null_fields": _SAID._replace(text="1+1=2"),
    "empty_choices": _SAID._replace(text="Two."),
    "frame_of_no_object": _SAID,
    "no_done": _SAID._replace(usage=None),
    "no_finish_no_done": Answer("The answer is", finish_reason=None),
    "reasoning": _SAID._replace(reasoning="1 and 1 make 2."),
    "tool_call": _ONE,
    "tool_calls_two": Answer(calls=(_ADD, _AGAIN), usage=_MORE),
    "usage": _SAID,
    "zero_usage_only": _SAID._replace(usage=None),
    "usage_without_completion_tokens": _SAID._replace(usage=Usage(34, 0, 34)),
    "text_done_without_finish": _SAID._replace(usage=None, finish_reason=None),
    "character_in_halves": Answer(
        "a😀b", (Call("call_1", "note", '{"text": "😀"}', {"text": "😀"}),), _SOME
    ),
    "tool_calls_equal_indices": _TWO,
    "tool_calls_equal_indices_in_pieces": _TWO,
    "tool_calls_one_chunk_equal_indices": _TWO,
    "tool_calls_no_index": _TWO,
    "tool_calls_null_index_in_pieces": _TWO,
    "tool_call_name_in_pieces": _ONE,
    "tool_call_name_grows": _ONE,
    "tool_call_name_repeated": _ONE,
    "tool_call_name_late": _ONE,
    "tool_call_id_repeated": _ONE,
    "tool_call_id_late": _ONE,
    "tool_call_id_last": _ONE,
    "tool_call_id_empty_later": _ONE,
    "tool_call_id_of_each_piece": _ONE,
    "tool_call_no_id": _ONE._replace(calls=(_ADD._replace(id="call_0"),)),
    "tool_call_one_piece": _ONE,
    "tool_call_object_arguments": _ONE._replace(calls=(_ADD._replace(arguments='{"a":2,"b":3}'),)),
    "tool_call_empty_arguments": _ONE._replace(calls=(Call("call_1", "now", "", {}),)),
    "tool_call_done_without_finish": _ONE._replace(usage=None, finish_reason=None),
    "tool_call_cut_by_length": Answer(
        calls=(_ADD, Call("call_2", "multiply", '{"a": 4', None)),
        usage=_SOME,
        finish_reason="length",
    ),
    "tool_call_cut_within_text": Answer(
        calls=(Call("call_1", "note", '{"text": "Dear \\"', None),),
        usage=_SOME,
        finish_reason="length",
    ),
    "tool_call_cut_before_arguments": Answer(
        calls=(Call("call_1", "now", "", None),), usage=_SOME, finish_reason="length"
    ),
    "tool_call_cut_as_tool_calls": _ONE._replace(
        calls=(Call("call_1", "add", '{"a": 2, "b', None),)
    ),
}

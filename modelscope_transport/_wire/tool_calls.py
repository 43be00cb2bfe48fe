"""Tool calls on the wire: which call a piece belongs to, and whether its arguments can be used.

Laws of this file: what a call is, is decided here, once for every form of an answer. A call is
known by its index and its id; a new id at a known index is a new call, since some servers send
every parallel call with index 0 (ai-dynamo/dynamo#4723). An id or a name may come late, in pieces,
or again with every piece. What is given out carries indices of our own, counted from 0 as the calls
appear; each part of an id, of a name or of the arguments is given out once: the pieces of
an index, joined, are the call.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import Struct

from ..answers import ToolCallDelta
from ..language import marked as _N
from ..language import translated as _
from ..types import made_up_id
from .checks import to_json
from .lenient_json import MendedTexts, mended

__all__ = [
    "ToolCallPieces",
    "WireCall",
    "arguments_of",
    "name_of",
    "problem_of",
    "sent_arguments",
]


class _Function(Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class WireCall(Struct):
    """A tool call of a whole answer, or a piece of one."""

    id: str | None = None
    index: int | None = None
    function: _Function | None = None


def name_of(call: WireCall) -> str:
    """Name of the tool; empty where it has none."""
    return (call.function.name if call.function else None) or ""


def arguments_of(call: WireCall) -> str:
    """The arguments' JSON text, which some servers send as an object.

    Of a whole call: a piece may end as ``null`` inside of an object.
    """
    arguments = _text_of(call)
    return "" if arguments == _NONE else arguments


def _text_of(call: WireCall) -> str:
    arguments = call.function.arguments if call.function else None
    if isinstance(arguments, dict):
        return msgspec.json.encode(arguments).decode()
    return arguments or ""


# Some servers write it for a tool that takes no arguments, where others write nothing or "{}".
_NONE = "null"


_object = msgspec.json.Decoder(dict[str, Any])
_CUT = _N(
    'The answer reached its longest length (finish_reason "length") before the arguments were '
    "complete; a larger max_tokens leaves room for them."
)


def problem_of(arguments: str, *, cut: bool) -> str | None:
    """Why the arguments of a finished call cannot be used; ``None`` where they can.

    Args:
        arguments: their JSON text. None at all stand for no arguments.
        cut: whether the answer ended by its length limit within or right before them.
    """
    if not arguments:
        return _(_CUT) if cut else None
    try:
        _object.decode(arguments)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        try:
            # Not strict: models write line breaks inside strings.
            read = json.loads(arguments, strict=False)
        except (ValueError, RecursionError) as error:
            return _(_CUT) if cut else _("The arguments are not JSON: {error}.").format(error=error)
        if not isinstance(read, dict):
            return _(_CUT) if cut else _("The arguments are not a JSON object.")
    return None


def sent_arguments(arguments: str) -> str:
    """The arguments of an earlier call as a JSON object.

    Others are refused, and the conversation with them: by DashScope in one sentence
    (HKUDS/nanobot#1487), by vLLM, which reads them for the model (entrypoints/chat_utils.py).
    Half a character, which models write as an escape, becomes U+FFFD: it cannot be sent.
    """
    if not arguments or arguments == _NONE:
        return "{}"
    try:
        _object.decode(arguments)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        read = None
        with suppress(ValueError, RecursionError):
            read = mended(json.loads(arguments, strict=False))
        if not isinstance(read, dict):
            read = mended({"invalid_arguments": arguments})
        return to_json(read).decode()
    return arguments


class _Call:
    """What is known of one call so far."""

    __slots__ = ("arguments", "chunk", "id", "index", "name", "number")

    def __init__(self, index: int, number: int | None) -> None:
        self.index = index
        self.number = number  # the index that the service gave
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []
        self.chunk = 0  # number of the last chunk that had a piece of it

    def is_complete(self) -> bool:
        """Whether its arguments are a whole object, so that nothing can follow."""
        pieces = self.arguments
        if not pieces or not pieces[-1].rstrip().endswith("}"):
            return False
        return problem_of("".join(pieces), cut=False) is None


class ToolCallPieces:
    """Pieces of one stream's tool calls in, the same out with resolved indices.

    Attributes:
        texts: joins characters that the pieces cut in two; set once a piece has shown that.
    """

    __slots__ = ("_calls", "_chunk", "_latest", "_numbered", "texts")

    def __init__(self) -> None:
        """Start before the first piece."""
        self._calls: list[_Call] = []
        self._numbered: dict[int, list[_Call]] = {}  # by the index that the service gave
        self._latest: _Call | None = None
        self._chunk = 0
        self.texts: MendedTexts | None = None

    def add(self, pieces: list[WireCall]) -> tuple[ToolCallDelta, ...]:
        """What the pieces of one chunk bring; a piece that only repeats brings nothing."""
        self._chunk += 1
        if len(pieces) == 1:
            piece = pieces[0]
            latest, function = self._latest, piece.function
            if (  # nearly every piece: more arguments of the latest call
                latest is not None
                and piece.index == latest.number
                and not piece.id
                and function is not None
                and not function.name
                and latest.arguments
                and function.arguments
                and type(function.arguments) is str
                and self.texts is None
            ):
                latest.arguments.append(function.arguments)
                return (ToolCallDelta(latest.index, None, None, function.arguments),)
            delta = self._add(piece, None)
            return () if delta is None else (delta,)
        deltas = [self._add(piece, _row(pieces, place)) for place, piece in enumerate(pieces)]
        return tuple([delta for delta in deltas if delta is not None])

    def so_far(self, index: int) -> ToolCallDelta:
        """All that is known of a call, as one piece."""
        call = self._calls[index]
        arguments = "".join(call.arguments)
        return ToolCallDelta(index, call.id or None, call.name or None, arguments)

    def close(self, finish_reason: str | None) -> tuple[ToolCallDelta, ...]:
        """What is certain of the calls only at the end: missing ids, arguments of no use."""
        closing = []
        for call in self._calls:
            rest = self.texts.close(call.index) if self.texts is not None else ""
            call.arguments.append(rest)
            cut = finish_reason == "length" and call is self._latest
            problem = problem_of("".join(call.arguments), cut=cut)
            new_id = None if call.id else made_up_id(call.index)
            if rest or problem is not None or new_id is not None:
                closing.append(ToolCallDelta(call.index, new_id, None, rest, problem))
        return tuple(closing)

    def _add(self, piece: WireCall, row: tuple[int, int] | None) -> ToolCallDelta | None:
        name, arguments = name_of(piece), _text_of(piece)
        known = self._calls if piece.index is None else self._numbered.get(piece.index, [])
        call = self._find(piece, known, name, arguments, row)
        is_new = call is None
        if call is None:
            call = self._open(piece.index)
        self._latest = call
        call.chunk = self._chunk
        new_id = new_name = None
        if piece.id and not call.id:
            new_id = call.id = piece.id
        if name and name != call.name:
            # Either the whole name so far, or its next piece.
            grown = name if name.startswith(call.name) else call.name + name
            new_name, call.name = grown[len(call.name) :], grown
        if arguments:
            if self.texts is not None:
                arguments = self.texts.add(call.index, arguments)
            if arguments == _NONE and not call.arguments:
                arguments = ""
            call.arguments.append(arguments)
        if not (new_id or new_name or arguments or is_new):
            return None
        return ToolCallDelta(call.index, new_id, new_name, arguments)

    def _open(self, number: int | None) -> _Call:
        call = _Call(len(self._calls), number)
        self._calls.append(call)
        if number is not None:
            self._numbered.setdefault(number, []).append(call)
        return call

    def _find(
        self,
        piece: WireCall,
        known: list[_Call],
        name: str,
        arguments: str,
        row: tuple[int, int] | None,
    ) -> _Call | None:
        """The known call that a piece belongs to; ``None`` where it begins a new one."""
        if piece.id:
            for call in known:
                if call.id == piece.id:
                    return call
            if not known or (known[-1].id and not _goes_on(known[-1], name, arguments)):
                return None
            return None if self._is_another(known[-1], piece, name, arguments) else known[-1]
        if not known:
            return None
        if name:
            return None if self._is_another(known[-1], piece, name, arguments) else known[-1]
        if row is None:
            latest = self._latest
            is_of_latest = latest is not None and piece.index in (None, latest.number)
            return latest if is_of_latest else known[-1]
        place = max(len(known) - row[1], 0) + row[0]
        return known[place] if place < len(known) else None

    def _is_another(self, call: _Call, piece: WireCall, name: str, arguments: str) -> bool:
        """Whether a piece that has a name, and no id that is known, cannot be of the last call."""
        if call.chunk == self._chunk:
            return True  # side by side in one chunk
        if not name or not call.name:
            return False
        if call.is_complete() and (name != call.name or bool(arguments.strip())):
            return True
        if name.startswith(call.name):
            return False
        return bool(call.arguments) or piece.index is None


def _goes_on(call: _Call, name: str, arguments: str) -> bool:
    """Whether a piece continues a call although its id is a new one.

    Some servers give each piece an id of its own (poolsideai/pool#9; LM Studio, in
    NousResearch/hermes-agent#106943): more arguments without a name, for a call that wants more.
    """
    return bool(arguments and call.name) and not name and not call.is_complete()


def _row(pieces: list[WireCall], place: int) -> tuple[int, int] | None:
    """Where a piece with neither id nor name stands among its like, and how many they are.

    Such pieces side by side, with the same index or none, are of calls side by side.
    """
    index = pieces[place].index
    alike = [
        at
        for at, piece in enumerate(pieces)
        if piece.index == index and not piece.id and not name_of(piece)
    ]
    return (alike.index(place), len(alike)) if len(alike) > 1 and place in alike else None

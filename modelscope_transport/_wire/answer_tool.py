"""An answer that comes as the call of a tool, where a model keeps no JSON schema otherwise."""

from __future__ import annotations

from ..answers import ToolCallDelta
from .tool_calls import ToolCallPieces

__all__ = ["AnswerTool"]


class AnswerTool:
    """Takes the answer's text out of the tool call whose arguments it is.

    Attributes:
        has_other_calls: whether the answer calls other tools too.
    """

    __slots__ = ("_name", "_others", "_own", "_undecided", "has_other_calls")

    def __init__(self, name: str) -> None:
        self._name = name
        self._own: list[int] = []  # calls of this tool; those after the first are passed over
        self._others: list[int] = []
        self._undecided: list[int] = []  # calls whose name may still become this tool's
        self.has_other_calls = False

    def sort(
        self, text: str, pieces: tuple[ToolCallDelta, ...], calls: ToolCallPieces, *, ended: bool
    ) -> tuple[str, tuple[ToolCallDelta, ...]]:
        """The text where it is in the next pieces, and the pieces of other calls.

        Once it has ``ended``, no name can grow any more.
        """
        said: list[str] = []
        others: list[ToolCallDelta] = []
        for piece in pieces:
            if piece.index in self._others:
                others.append(piece)
            elif piece.index not in self._own and piece.index not in self._undecided:
                self._undecided.append(piece.index)
            elif piece.index in self._own[:1] and piece.arguments:
                said.append(piece.arguments)
        for index in tuple(self._undecided):
            call = calls.so_far(index)
            name = call.name or ""
            if name == self._name and (ended or call.arguments):
                self._undecided.remove(index)
                self._own.append(index)
                if self._own == [index]:
                    said.append(call.arguments)
            elif ended or not self._name.startswith(name):
                self._undecided.remove(index)
                self._others.append(index)
                others.append(call)
        self.has_other_calls = bool(self._others)
        return "".join(said) if said else text, tuple(others)

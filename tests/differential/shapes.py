"""Stream shapes of real engines and gateways, each with its source, and what each one says.

The truth of a shape stands beside it: text, thoughts, tool calls, usage. An adapter is right where
it gives the truth, whole and streamed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from .call_shapes import call_rows
from .engine_shapes import engine_rows
from .foreign_server import Shape, whole_of
from .shape_parts import BODY, ROLE, USAGE, Row, end
from .text_shapes import failures, texts, thoughts

__all__ = ["BY_NAME", "ROWS", "Row"]


# Here an event that says something is written as bytes, which `whole_of` does not read.
_BY_HAND = ("sse/event-names", "llmgateway/ping-between", "dynamo/nulls")


def _with_whole(one: Row) -> Row:
    """A failure's whole reply is an error; what is written by hand has that of the plain text."""
    if not one.fails and one.shape.name in (
        "sse/event-names",
        "llmgateway/ping-between",
        "dynamo/nulls",
    ):
        plain = Shape("", "", stream=(ROLE, *BODY, end(), USAGE))
        return replace(one, shape=replace(one.shape, whole=whole_of(plain)))
    if not one.fails:
        return one
    error = {"error": {"message": "CUDA error", "code": "internal_error"}}
    return replace(one, shape=replace(one.shape, whole=error))


ROWS: Sequence[Row] = [
    _with_whole(it) for it in (*texts(), *thoughts(), *call_rows(), *failures(), *engine_rows())
]
BY_NAME: Mapping[str, Row] = {it.shape.name: it for it in ROWS}
assert len(BY_NAME) == len(ROWS)

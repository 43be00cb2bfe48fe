"""What a row of the table of faults is made of: a case, or a reason, for each form of a call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import EllipsisType
from typing import Any

from tests.faults.replies import DONE, HONEST, chunked, reply
from tests.faults.server import Act

__all__ = [
    "FORMS",
    "Case",
    "Fault",
    "body",
    "broken",
    "good",
    "healed",
    "of_chat",
    "of_stream",
    "of_vectors",
    "refused",
]

FORMS = ("whole", "stream", "vectors")
NOT_STREAMED = "only a stream has events, and vectors are not streamed"
NOT_CHAT = "an answer of vectors has no such part"
NOT_VECTORS = "an answer in words has no such part"


@dataclass(frozen=True)
class Case:
    """What a caller gets.

    Attributes:
        acts: what the server does to a request.
        error: name of the transport's error class; ``None`` for an answer.
        requests: how many the server sees.
        counted: calls that stay counted in the ledger.
        kept: whether the connection may serve the next call; else it is closed at once.
        least: seconds that the call takes at least.
        times: requests that meet the fault, the others are answered; ``None`` for all.
        text: the answer, or what the error carries of it.
        attempts: of the request that failed, where a call makes several; else ``requests``.
    """

    acts: Sequence[Act]
    error: str | None = None
    requests: int = 1
    counted: int = 0
    kept: bool = False
    least: float = 0.0
    times: int | None = None
    text: str | None = None
    attempts: int | None = None


@dataclass(frozen=True)
class Fault:
    """One row.

    Attributes:
        name: what the server does, in words.
        whole: of a chat call that is answered whole.
        stream: of a chat call that is streamed.
        vectors: of a call for embeddings.
        hasty: whether the caller's client has the short time limits, for faults of time.
    """

    name: str
    whole: Case | str
    stream: Case | str
    vectors: Case | str
    hasty: bool = False

    def case(self, form: str) -> Case | str:
        """The case of a form, or why it has none."""
        found: Case | str = getattr(self, form)
        return found


# Among acts: the honest reply of the form, or what a function makes of the form.
Part = Act | EllipsisType | Callable[[str], bytes]


def good(name: str, *parts: Part, **expected: Any) -> Fault:
    """A call that succeeds in spite of it: counted once, and its connection may be kept."""
    return _in_each(name, parts, {"counted": 1, "kept": True, "text": "Hello", **expected})


def _in_each(
    name: str, parts: Sequence[Part], expected: dict[str, Any], hasty: bool = False
) -> Fault:
    cases = {form: Case([_filled(part, form) for part in parts], **expected) for form in FORMS}
    return Fault(name, hasty=hasty, **cases)


def _filled(part: Part, form: str) -> Act:
    if isinstance(part, EllipsisType):
        return HONEST[form]
    return part(form) if callable(part) else part


def healed(name: str, *acts: Part, **expected: Any) -> Fault:
    """The first request meets the fault, and the second is answered."""
    return good(name, *acts, requests=2, times=1, **expected)


def refused(name: str, error: str, requests: int, *acts: Part, **expected: Any) -> Fault:
    """The service answered, and refused: nothing is counted, the connection may be kept."""
    return _in_each(name, acts, {"error": error, "requests": requests, "kept": True, **expected})


def broken(name: str, *acts: Part, hasty: bool = False, **expected: Any) -> Fault:
    """The reply broke off: asked once, and counted, since it may have been accepted."""
    defaults = {"error": "APIConnectionError", "counted": 1}
    return _in_each(name, acts, {**defaults, **expected}, hasty=hasty)


def body(
    name: str, content: Any, error: str, requests: int = 1, *, streamed: Case | None = None
) -> Fault:
    """A 200 with this body, or with this as the first event and [DONE] as the next.

    Args:
        name: of the row.
        content: of the body and of the event.
        error: that is raised.
        requests: how many the server sees.
        streamed: what is expected of a stream, where that is something else; its acts are set here.
    """
    whole = Case([reply("200 OK", content)], error, requests, kept=True)
    stream = replace(streamed or whole, acts=[chunked(content, DONE)])
    return Fault(name, whole, stream, whole)


def of_chat(name: str, whole: Any, stream: Any, error: str | None, **expected: Any) -> Fault:
    """A 200 with a body that only a chat answer can have."""
    more = {"counted": int(error is None), "kept": True, **expected}
    return Fault(
        name,
        Case([reply("200 OK", whole)], error, **more),
        Case([chunked(*stream)], error, **more),
        NOT_CHAT,
    )


def of_vectors(name: str, content: Any, error: str | None, **expected: Any) -> Fault:
    """A 200 with a body that only an answer of vectors can have."""
    more = {"counted": int(error is None), "kept": True, **expected}
    return Fault(name, NOT_VECTORS, NOT_VECTORS, Case([reply("200 OK", content)], error, **more))


def of_stream(name: str, *acts: Act, hasty: bool = False, **expected: Any) -> Fault:
    """What only a stream can meet. One that began was accepted, so it is counted."""
    defaults = {"error": "StreamInterruptedError", "counted": 1, "text": "Hel"}
    case = Case(acts, **{**defaults, **expected})
    return Fault(name, NOT_STREAMED, case, NOT_STREAMED, hasty)

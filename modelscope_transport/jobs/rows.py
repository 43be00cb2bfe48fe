"""A row of a file of results, in the two forms that a line of the file may have.

The short form is this project's own and keeps all that is known of an answer. The other is that of
OpenAI's batch files, for programs that read those; see `modelscope_transport._wire.batch_results`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Literal, Self

import msgspec
from msgspec import Struct

from .._wire import batch_results
from ..answers import ChatResult, EmbeddingResult
from ..errors import ModelScopeError

__all__ = ["FORMS", "BatchFailure", "BatchRow", "Form", "RowForm"]

Form = Literal["short", "openai"]


class BatchFailure(Struct, frozen=True, omit_defaults=True):
    """Why an item has no answer, or none that fits.

    Attributes:
        error: name of the error's class; ``"SchemaMismatch"`` for an answer that does not fit the
            schema asked for.
        message: its text.
        reason: name of the row in ``data/failures.toml`` that fits; ``None`` where none does.
        again: whether the next run asks again, since the failure was not the item's own fault.
    """

    error: str
    message: str
    reason: str | None = None
    again: bool = False

    @classmethod
    def of(cls, error: ModelScopeError, *, again: bool) -> Self:
        """What there is to keep of an error."""
        return cls(type(error).__name__, str(error), error.reason, again)


class BatchRow(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of one item: an answer of its kind, or a failure.

    Attributes:
        key: the item's name.
        fingerprint: stands for all of the request that can change its answer.
        chat: the answer to a `ChatRequest`. It is there beside a failure where it was paid for
            and does not fit the schema.
        embedding: the answer to an `EmbeddingRequest`.
        failure: why there is no answer, or none that fits.
    """

    key: str
    fingerprint: str
    chat: ChatResult | None = None
    embedding: EmbeddingResult | None = None
    failure: BatchFailure | None = None

    @property
    def text(self) -> str:
        """Text of a chat's answer; empty where there is none."""
        return "" if self.chat is None else self.chat.text


class RowForm(Struct, frozen=True):
    """A form of lines.

    Attributes:
        head: how each of its lines begins.
        encode: makes a line of a row, without its end.
        decode: reads one.
    """

    head: bytes
    encode: Callable[[BatchRow], bytes]
    decode: Callable[[bytes], BatchRow]


_encode = msgspec.json.Encoder().encode
_read_result = msgspec.json.Decoder(batch_results.ResultLine).decode
_ID = "batch_req_"
_SHORT_DIGEST = 8


def _to_openai(row: BatchRow) -> bytes:
    answer = row.embedding if row.chat is None else row.chat
    response = error = None
    if row.failure is not None:
        error = batch_results.LineError(
            code=row.failure.error,
            message=row.failure.message,
            reason=row.failure.reason,
            retryable=row.failure.again,
        )
    if answer is not None:
        origin = answer.origin
        response = batch_results.Response(
            status_code=200,
            request_id=(origin.request_id if origin is not None else None) or "",
            body=batch_results.answer_body(answer),
        )
    # The form has no place for a fingerprint but its opaque id, which two equal requests of a
    # file must not share.
    own = hashlib.blake2b(row.key.encode(), digest_size=_SHORT_DIGEST).hexdigest()
    return _encode(
        batch_results.ResultLine(
            id=f"{_ID}{row.fingerprint}_{own}", custom_id=row.key, response=response, error=error
        )
    )


def _of_openai(line: bytes) -> BatchRow:
    read = _read_result(line)
    fingerprint = read.id.removeprefix(_ID).partition("_")[0]
    answer = None if read.response is None else batch_results.read_answer(read.response.body)
    error, failure = read.error, None
    if error is not None:
        failure = BatchFailure(error.code, error.message, error.reason, error.retryable)
    return BatchRow(
        key=read.custom_id,
        fingerprint=fingerprint,
        chat=answer if isinstance(answer, ChatResult) else None,
        embedding=answer if isinstance(answer, EmbeddingResult) else None,
        failure=failure,
    )


FORMS: dict[Form, RowForm] = {
    "short": RowForm(b'{"key":', _encode, msgspec.json.Decoder(BatchRow).decode),
    "openai": RowForm(b'{"id":', _to_openai, _of_openai),
}

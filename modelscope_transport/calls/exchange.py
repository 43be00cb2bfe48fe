"""One attempt on its way, sync: it owns what it holds, and closes once.

Its slot in the limiter, its reservation in the ledger, its connection and its reply live and end
in one object, for a stream exactly as for a whole reply. The limiter and the ledger learn when the
reply has been judged: for a stream that is its first payload, not the end of its reader.

How a call that its caller gives up is counted, whole or streamed: what was never sent is given
back; what was sent may have been served, so it stays counted until the service says otherwise.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from msgspec import Struct

from .._wire.failure_table import Kind
from .._wire.failures import block_of
from .._wire.outcomes import NoReply, Outcome, Refused, Reply
from ..errors import ConfigurationError, QuotaExceededError
from ..http.channel import Channel
from ..http.decompression import UnreadableBodyError
from ..http.failures import describe_failure
from ..http.reply import BROKEN, OpenReply
from ..language import translated as _
from ..quota import Closing, QuotaBlock, Reservation
from .admission import Admission
from .attempt import Attempt
from .limiter import ConcurrencyLimiter, Slot

__all__ = ["Exchange", "Holdings", "Service"]


class Service(Struct, frozen=True):
    """One service: what calls to it have to pass, and the way there."""

    admission: Admission
    channel: Channel


class Holdings:
    """What an attempt holds, and what is learnt from its end; sync and async share it.

    Args:
        attempt: what is to be sent.
        service: where to.
        deadline: end of the call on ``time.monotonic()``.
        extra: headers of the caller's, which are for the service alone.

    Attributes:
        is_stream: whether the reply is a stream whose rest is still to come.
    """

    def __init__(
        self,
        attempt: Attempt,
        service: Service,
        deadline: float,
        extra: Mapping[str, str] | None = None,
    ) -> None:
        self.attempt = attempt
        self.deadline = deadline
        self._extra = extra
        self._admission = service.admission
        self._channel = service.channel
        self._slot: Slot | None = None
        self.is_stream = False
        self._sent = False
        self._settled = False
        self._closed = False

    @property
    def late(self) -> str | None:
        """Why the bytes ended, where the deadline ended them."""
        late = time.monotonic() >= self.deadline
        return _("the deadline of the call has passed") if late else None

    @property
    def _limiter(self) -> ConcurrencyLimiter:
        return self._admission.limiters.of(self.attempt.model)

    def _note_sending(self) -> None:
        self._sent = True

    def _take(self, reserved: Reservation | QuotaBlock | None) -> Refused | None:
        """Keep a reservation; the refusal, where there is a block instead."""
        if isinstance(reserved, QuotaBlock):
            return Refused(reserved)
        self.attempt.reservation = reserved
        return None

    def _no_slot(self) -> NoReply:
        inside = self._limiter.inside
        return NoReply(
            "queue",
            _("{inside} other calls to this model are on their way").format(inside=inside),
            sent=False,
        )

    def _unanswered(self, error: Exception, *, answered: bool) -> NoReply:
        found = describe_failure(error, self.deadline, answered=answered)
        return NoReply(found.cause, found.message, found.sent, found.repeatable)

    def _conclude(self) -> Closing:
        """Let the limiter learn what came of the attempt; what the ledger is to learn."""
        verdict = self.attempt.verdict
        if verdict is None:  # given up by its caller
            return Closing(charged=None if self._sent else False)
        slot, unexplained = self._slot, verdict.unexplained
        if slot is not None and self._sent:
            if verdict.too_fast:
                # Where others were on their way, the refusal has a reason: there were too many.
                if not slot.is_alone:
                    unexplained = None
                slot.record_refusal()
            elif verdict.kind is Kind.GOOD:
                slot.record_success()
        return Closing(
            charged=verdict.charged,
            allowance=verdict.allowance,
            block=verdict.block,
            unexplained=unexplained,
            at=verdict.at,
        )

    @property
    def _is_answered(self) -> bool:
        """Whether the answer is here and paid for: a ledger that fails must not take it away.

        Its unit stays reserved, and the next reservation reports the failure.
        """
        verdict = self.attempt.verdict
        return verdict is not None and verdict.kind is Kind.GOOD

    def _release(self) -> None:
        if self._slot is not None:
            self._slot.release()


class Exchange(Holdings):
    """An attempt on its way, sync.

    Attributes:
        reply: the open reply, once there is one.
    """

    reply: OpenReply | None = None

    def run(self) -> Outcome:
        """Wait for a slot and a reservation, send, and read the reply or its first payload."""
        refusal = None if self.attempt.free else self._admit()
        return self._send() if refusal is None else refusal

    def _admit(self) -> Refused | NoReply | None:
        self._slot = self._limiter.try_acquire()
        if self._slot is None:
            blocked = self._admission.blocked(self.attempt)
            if blocked is not None:  # a spent pool is not worth waiting for
                return Refused(blocked)
            self._slot = self._limiter.acquire(self.deadline)
            if self._slot is None:
                return self._no_slot()
        return self._take(self._admission.reserve(self.attempt))

    def _send(self) -> Outcome:
        attempt = self.attempt
        try:
            reply = self.reply = self._channel.send(
                attempt.path,
                attempt.body,
                self.deadline,
                attempt.headers,
                self._extra,
                self._note_sending,
            )
            try:
                streaming = reply.is_stream
                body = reply.first() if streaming else reply.read()
            except UnreadableBodyError as error:
                streaming, body = False, f"({error})".encode()
            self.is_stream = streaming
            return Reply(reply.status, reply.headers, body, streaming)
        except BROKEN as error:
            return self._unanswered(error, answered=self.reply is not None)

    def settle(self) -> None:
        """Let the limiter and the ledger learn what came of the attempt; once."""
        if self._settled:
            return
        self._settled = True
        closing, reservation = self._conclude(), self.attempt.reservation
        try:
            if reservation is not None:
                self._admission.settle(reservation, closing)
            elif self.attempt.free:
                self._admission.observe(self.attempt)
        except ConfigurationError:
            if not self._is_answered:
                raise

    def record_quota_error(self, error: QuotaExceededError) -> None:
        """Record a pool that the stream declared spent after it had been accepted."""
        block = block_of(error.details)
        if block is not None:
            self._admission.record_block(self.attempt, block)

    def close(self) -> None:
        """Let go of everything; a thread that waits for the reply is woken."""
        if self._closed:
            return
        self._closed = True
        try:
            self.settle()
        finally:
            try:
                if self.reply is not None:
                    self.reply.close()
            finally:
                self._release()

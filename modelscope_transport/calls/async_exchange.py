"""One attempt on its way, in an event loop; the twin of ``exchange.py``."""

from __future__ import annotations

from .._wire.failures import block_of
from .._wire.outcomes import NoReply, Outcome, Refused, Reply
from ..errors import ConfigurationError, QuotaExceededError
from ..http.async_reply import AsyncOpenReply
from ..http.decompression import UnreadableBodyError
from ..http.reply import BROKEN
from .exchange import Holdings

__all__ = ["AsyncExchange"]


class AsyncExchange(Holdings):
    """`Exchange`, in an event loop."""

    reply: AsyncOpenReply | None = None

    async def run(self) -> Outcome:
        """Wait for a slot and a reservation, send, and read the reply or its first payload."""
        refusal = None if self.attempt.free else await self._admit()
        return await self._send() if refusal is None else refusal

    async def _admit(self) -> Refused | NoReply | None:
        self._slot = self._limiter.try_acquire()
        if self._slot is None:
            blocked = await self._admission.ablocked(self.attempt)
            if blocked is not None:  # a spent pool is not worth waiting for
                return Refused(blocked)
            self._slot = await self._limiter.acquire_async(self.deadline)
            if self._slot is None:
                return self._no_slot()
        return self._take(await self._admission.areserve(self.attempt))

    async def _send(self) -> Outcome:
        attempt = self.attempt
        try:
            reply = self.reply = await self._channel.asend(
                attempt.path,
                attempt.body,
                self.deadline,
                attempt.headers,
                self._extra,
                self._note_sending,
            )
            try:
                streaming = reply.is_stream
                body = await (reply.first() if streaming else reply.read())
            except UnreadableBodyError as error:
                streaming, body = False, f"({error})".encode()
            self.is_stream = streaming
            return Reply(reply.status, reply.headers, body, streaming)
        except BROKEN as error:
            return self._unanswered(error, answered=self.reply is not None)

    async def settle(self) -> None:
        """Let the limiter and the ledger learn what came of the attempt; once."""
        if self._settled:
            return
        self._settled = True
        closing, reservation = self._conclude(), self.attempt.reservation
        try:
            if reservation is not None:
                await self._admission.asettle(reservation, closing)
            elif self.attempt.free:
                await self._admission.aobserve(self.attempt)
        except ConfigurationError:
            if not self._is_answered:
                raise

    async def record_quota_error(self, error: QuotaExceededError) -> None:
        """Record a pool that the stream declared spent after it had been accepted."""
        block = block_of(error.details)
        if block is not None:
            await self._admission.arecord_block(self.attempt, block)

    async def aclose(self) -> None:
        """Let go of everything, also when the caller is cancelled meanwhile."""
        if self._closed:
            return
        self._closed = True
        try:
            await self.settle()
        finally:
            try:
                if self.reply is not None:
                    await self.reply.aclose()
            finally:
                self._release()

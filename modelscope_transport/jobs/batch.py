"""A long job that blocks at the limit and resumes: many requests, each paid for once.

Laws of this file: an answer is on file before its worker asks for the next, so that a job which is
killed repeats at most one call a worker. A spent allowance is no item's failure: the job waits for
the reset, or ends with the error that tells it. What is wrong with one item ends no other's turn;
what is wrong with all of them ends the job before it has cost much.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from ..client.response_cache import key_of
from ..client.sync import Client
from ..errors import (
    AccountNotLinkedError,
    AccountNotVerifiedError,
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    ModelNotServedError,
    ModelScopeError,
    QuotaExceededError,
    RateLimitError,
    UnsupportedTaskError,
)
from ..types import ChatRequest, EmbeddingRequest
from .results import BatchFailure, BatchRow, ResultsFile

__all__ = ["Batch", "BatchReport"]

BatchRequest = ChatRequest | EmbeddingRequest
Requests = Mapping[str, BatchRequest] | Iterable[tuple[str, BatchRequest]]

# Nothing of the kind is one item's own fault, and nothing of it passes.
_EVERYBODYS = (
    ConfigurationError,
    UnsupportedTaskError,
    AuthenticationError,
    AccountNotLinkedError,
    AccountNotVerifiedError,
    ModelNotServedError,
)
# So many failures in a row, for each worker, that may pass are an outage; each has had the client's
# retries.
_OUTAGE = 3
# How long a refusal without a time is waited for, and how often the clock is looked at: a timer
# stands still while the machine sleeps.
_A_WHILE = 60.0


class BatchReport(Struct, frozen=True, kw_only=True):
    """What came of a job that is done.

    Attributes:
        items: how many there were.
        answered: answers of this run.
        kept: answers of earlier runs.
        failed: items without an answer; their rows say why.
        blocked: how often this run has waited for the allowance.
    """

    items: int = 0
    answered: int = 0
    kept: int = 0
    failed: int = 0
    blocked: int = 0


class Batch:
    """A long job: the answers to many requests, kept in a file as they come.

    Run it again, in this process or another, and it goes on where it was. An item whose request has
    changed in anything that can change its answer is asked anew; the file keeps both, and
    `read_results` gives the newer.

    Args:
        client: whom to ask; its ledger, budget and platforms hold here as well.
        path: file of the results, JSON lines; see `BatchRow`.
        workers: requests on their way at once; the service promises one
            (official documentation, limits page as of 2026-08-22).
        wait: whether to wait for the reset when the allowance is spent; else the error is raised.
        retry_failed: whether items that failed by their own fault are asked again.
        on_row: called with each row of this run, once it is on file.
        on_park: called with the error that the job waits for.
        clock: seconds since the epoch.
        sleep: waits some seconds.

    Example:
        ::

            batch = Batch(Client(), "answers.jsonl")
            report = batch.run({"first": ChatRequest(model=…, messages=(Message("user", "…"),))})
            print(read_results("answers.jsonl")["first"].text)
    """

    def __init__(
        self,
        client: Client,
        path: str | os.PathLike[str],
        *,
        workers: int = 1,
        wait: bool = True,
        retry_failed: bool = False,
        on_row: Callable[[BatchRow], None] | None = None,
        on_park: Callable[[ModelScopeError], None] | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Open nothing yet."""
        if workers < 1:
            raise ConfigurationError(f"workers must be at least 1, and is {workers!r}.")
        self._client = client
        self._path = Path(path).expanduser()
        self._workers = workers
        self._wait = wait
        self._retry_failed = retry_failed
        self._on_row = on_row
        self._on_park = on_park
        self._clock = clock
        self._sleep = sleep

    def run(self, requests: Requests) -> BatchReport:
        """Do the job. An interrupt ends it at once; what was answered is on file.

        Args:
            requests: by name, in the order in which they are asked.

        Raises:
            QuotaExceededError: the allowance is spent and ``wait`` is off, or nobody knows until
                when.
            RateLimitError: the service is too busy, and ``wait`` is off, or it stays so.
            ConfigurationError: the file is another's, or a name comes twice.
            ModelScopeError: what holds for every item: a wrong token, a model that is gone, three
                failures in a row that may pass (of each worker). Run the job again later.
        """

        async def alone() -> BatchReport:
            try:
                return await self.arun(requests)
            finally:
                await self._client.aio.aclose()

        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        if loop is not None:
            raise ConfigurationError("An event loop is running here: use `await batch.arun(…)`.")
        return asyncio.run(alone())

    async def arun(self, requests: Requests) -> BatchReport:
        """As `run`, in an event loop."""
        with ResultsFile(self._path) as file:
            patience = _OUTAGE * self._workers
            job = _Job(file, requests, self._client.base_url, self._retry_failed, patience)
            workers = [asyncio.create_task(self._work(job)) for _ in range(self._workers)]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
            if job.error is not None:
                raise job.error
            return BatchReport(**job.counts)

    async def _work(self, job: _Job) -> None:
        try:
            while (item := job.take()) is not None:
                row = await self._settle(item, job)
                if row is None:
                    return
                job.settle(row)
                if self._on_row is not None:
                    self._on_row(row)
        except ModelScopeError as error:
            job.stop(error)

    async def _settle(self, item: _Item, job: _Job) -> BatchRow | None:
        """The row of an item; ``None`` where the job ended before there was one."""
        while True:
            await self._wait_while_parked(job)
            if job.error is not None:
                return None
            try:
                return await self._ask(item)
            except QuotaExceededError as error:
                self._block(job, error, error.resets_at.timestamp() if error.resets_at else None)
            except RateLimitError as error:
                job.count_trouble(error)
                self._block(job, error, self._clock() + (error.retry_after or _A_WHILE))
            except _EVERYBODYS:
                raise
            except ModelScopeError as error:
                again = not isinstance(error, InvalidRequestError)
                failure = BatchFailure.of(error, again=again)
                row = BatchRow(key=item.key, fingerprint=item.fingerprint, failure=failure)
                if again:
                    job.count_trouble(error)
                return row

    async def _ask(self, item: _Item) -> BatchRow:
        row = BatchRow(key=item.key, fingerprint=item.fingerprint)
        if isinstance(item.request, EmbeddingRequest):
            return replace(row, embedding=await self._client.aio.embed(item.request))
        return replace(row, chat=await self._client.aio.chat(item.request))

    def _block(self, job: _Job, error: ModelScopeError, until: float | None) -> None:
        if not self._wait or until is None:
            raise error
        # Two clocks never agree: not again at once.
        is_new = job.block(max(until, self._clock() + 1))
        if is_new and job.error is None and self._on_park is not None:
            self._on_park(error)

    async def _wait_while_parked(self, job: _Job) -> None:
        while job.error is None and (left := job.blocked_until - self._clock()) > 0:
            await self._sleep(min(left, _A_WHILE))


class _Item(Struct, frozen=True):
    key: str
    fingerprint: str
    request: BatchRequest


class _Job:
    """What the workers of one run share. They are tasks of one event loop, so nothing is locked.

    Attributes:
        blocked_until: when the allowance is back; seconds since the epoch.
        error: what ended the job.
        counts: fields of the `BatchReport`.
    """

    def __init__(
        self,
        file: ResultsFile,
        requests: Requests,
        address: str,
        retry_failed: bool,
        patience: int,
    ) -> None:
        self._file = file
        self._items = self._open_items(requests, address, retry_failed)
        self._patience = patience
        self._troubles = 0
        self.blocked_until = 0.0
        self.error: ModelScopeError | None = None
        self.counts = dict.fromkeys(BatchReport.__struct_fields__, 0)

    def _open_items(self, requests: Requests, address: str, retry_failed: bool) -> Iterator[_Item]:
        """The items that are not settled yet."""
        seen = set()
        pairs = requests.items() if isinstance(requests, Mapping) else requests
        for key, request in pairs:
            if key in seen:
                raise ConfigurationError(f"The name {key!r} comes twice. Give each item its own.")
            seen.add(key)
            self.counts["items"] += 1
            name = key_of(request, address)
            if name is None:
                raise InvalidRequestError(f"The request of {key!r} holds what is no JSON.")
            fingerprint, failure = self._file.known.get(key, ("", None))
            if fingerprint != name.hex() or (failure and (failure.again or retry_failed)):
                yield _Item(key, name.hex(), request)
            else:
                self.counts["failed" if failure else "kept"] += 1

    def take(self) -> _Item | None:
        """The next item, unless the job is over."""
        return None if self.error is not None else next(self._items, None)

    def settle(self, row: BatchRow) -> None:
        """Put a row on file."""
        self._file.add(row)
        if row.failure is None or not row.failure.again:
            self._troubles = 0
        self.counts["failed" if row.failure else "answered"] += 1

    def count_trouble(self, error: ModelScopeError) -> None:
        """Note a failure that may pass; so many in a row end the job."""
        self._troubles += 1
        if self._troubles >= self._patience:
            self.stop(error)

    def block(self, until: float) -> bool:
        """Let everybody wait; whether nobody did before."""
        is_new = until > self.blocked_until
        self.blocked_until = max(until, self.blocked_until)
        self.counts["blocked"] += is_new
        return is_new

    def stop(self, error: ModelScopeError) -> None:
        """End the job; workers finish what they are at."""
        self.error = self.error or error

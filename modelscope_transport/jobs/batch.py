"""A long job that waits at the limit and resumes: many requests, each paid for once.

Laws of this file: an answer is on file before its worker asks for the next, so that a job which is
killed repeats at most one call a worker. A spent allowance fails no item: the job waits for
the reset, or ends with the error that says when it is. What is wrong with one item stops no other;
what is wrong with all of them ends the job before it has cost much.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import os
import time
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from ..answers import ChatResult, EmbeddingResult
from ..client.sync import Client
from ..errors import (
    ConfigurationError,
    InvalidRequestError,
    ModelScopeError,
    QuotaExceededError,
    RateLimitError,
)
from ..language import translated as _
from ..types import ChatRequest, EmbeddingRequest, Message
from .answer_schema import AnswerSchema
from .open_items import JOB_WIDE, Item, Job, Requests, Sink
from .report import BatchReport
from .results import ResultsFile, iter_results
from .rows import FORMS, BatchFailure, BatchRow, Form

__all__ = ["Batch", "BatchReport"]

# So many transient failures in a row, for each worker, are an outage; the client has retried each.
_OUTAGE = 3
# Seconds: how long a refusal is waited for that names no time, and how often the ledger and the
# clock are read meanwhile, since a timer stands still while the machine sleeps.
_A_WHILE = 60.0
# Seconds after which a job ends that gets nothing but refusals: more than a day, since a refusal
# without a reason may mean that the day's calls are spent.
_BUSY = 26 * 3600.0
_TEXT = "{text}"


class Batch:
    """A long job: the answers to many requests, kept in a file as they come.

    Run it again, in this process or another, and it goes on where it was. An item whose request has
    changed in anything that can change its answer is asked anew; the file keeps both, and
    `read_results` gives the newer.

    Args:
        client: whom to ask; its ledger, budget and platforms hold here as well.
        path: file of the results, JSON lines; see `BatchRow`. A name that ends in ``.gz`` makes it
            a compressed one.
        workers: requests on their way at once; the service promises one
            (official documentation, limits page as of 2026-08-22).
        wait: whether to wait for the reset when the allowance is spent; else the error is raised.
        retry_failed: whether items that failed by their own fault are asked again.
        schema: what every chat's answer must be: a pydantic model, a dataclass, a ``TypedDict``, a
            ``msgspec.Struct`` or a JSON schema. An answer that does not fit is a failure of its
            own kind, ``SchemaMismatch``, and its row keeps the answer. A request with a
            ``response_format`` keeps that.
        form: form of a new file's lines: ``"short"``, or ``"openai"`` for that of OpenAI's batch
            files.
        on_row: called with each row of this run, once it is on file.
        on_block: called with the error that the job waits for.
        clock: gives seconds since the epoch; for tests.
        sleep: waits for some seconds; for tests.

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
        schema: Any = None,
        form: Form = "short",
        on_row: Callable[[BatchRow], None] | None = None,
        on_block: Callable[[ModelScopeError], None] | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Open nothing yet."""
        if workers < 1:
            raise ConfigurationError(
                _("workers must be at least 1, and is {workers!r}.").format(workers=workers)
            )
        if form not in FORMS:
            raise ConfigurationError(
                _("form must be one of {forms}, and is {form!r}.").format(
                    forms=", ".join(FORMS), form=form
                )
            )
        self._client = client
        self._path = Path(path).expanduser()
        self._workers = workers
        self._wait = wait
        self._retry_failed = retry_failed
        self._schema = None if schema is None else AnswerSchema(schema)
        self._form: Form = form
        self._on_row = on_row
        self._on_block = on_block
        self._clock = clock
        self._sleep = sleep
        self._job: Job | None = None

    @property
    def report(self) -> BatchReport:
        """How far the job has come that runs now, or ran last."""
        return BatchReport() if self._job is None else BatchReport(**self._job.counts)

    @property
    def blocked_until(self) -> float:
        """Until when the job waits for the allowance, seconds since the epoch; 0 for not at all."""
        return 0.0 if self._job is None else self._job.blocked_until

    def run(self, requests: Requests) -> BatchReport:
        """Do the job. An interrupt ends it at once; what was answered is on file.

        Args:
            requests: by name, in the order in which they are asked: a mapping, or an iterable or
                async iterable of pairs, which is read as the job goes on. Where they ask several
                models and can be read again, as a mapping or a list, a model that is spent or gone
                stops no other: its items wait, or fail.

        Raises:
            QuotaExceededError: the allowance is spent and ``wait`` is off, or it is not known until
                when.
            RateLimitError: the service is too busy, and ``wait`` is off, or it stays so.
            ConfigurationError: the file is not one of results, or cannot be written; a name comes
                twice, or is not text.
            ModelScopeError: what holds for every item: a wrong token, models that are gone, three
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
            raise ConfigurationError(_("An event loop is running here: use `await batch.arun(…)`."))
        return asyncio.run(alone())

    async def arun(self, requests: Requests) -> BatchReport:
        """`run`, for an event loop."""
        with self._sink() as file:
            patience = _OUTAGE * self._workers
            job = Job(file, requests, self._client.base_url, self._retry_failed, patience)
            job.form = None if self._schema is None else self._schema.form
            job.on_row = self._on_row
            self._job = job
            while await self._settle_others(job):
                pass
            if job.error is not None:
                raise job.error
            return self.report

    async def _settle_others(self, job: Job) -> bool:
        """Settle all items but those of closed models; whether one of these is open again."""
        workers = [asyncio.create_task(self._work(job)) for _ in range(self._workers)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        spent = None
        with job.ended_by_errors():
            spent = job.reopen()
            if spent is not None:
                self._block(job, spent.error)
                await self._settle(spent.first, job, waits=True)
        return spent is not None and job.error is None

    def _sink(self) -> contextlib.AbstractContextManager[Sink]:
        return ResultsFile(self._path, self._form)

    def map(
        self,
        texts: Iterable[str],
        prompt: str | Callable[[str], str] = _TEXT,
        *,
        model: str,
        **fields: Any,
    ) -> Iterator[BatchRow]:
        """Ask one question for each of many texts; gives the rows in the order of the texts.

        The whole job is done before the first row comes. Rows are read from the file one by one;
        those that were answered before their turn are kept in memory until it comes.

        Args:
            texts: the texts.
            prompt: the question, with ``{text}`` where a text belongs, or a function from a text
                to its question. Other braces mean nothing.
            model: model ID. A model for embeddings embeds what the prompt makes.
            fields: further fields of every `ChatRequest`, or of every `EmbeddingRequest`.

        Raises:
            ConfigurationError: the prompt does not hold ``{text}``.
            ModelScopeError: see `run`.

        Example:
            ::

                for row in batch.map(reviews, "Is this praise? {text}", model="Qwen/Qwen3-8B"):
                    print(row.text)
        """
        if isinstance(prompt, str) and _TEXT not in prompt:
            raise ConfigurationError(
                _(
                    "The prompt has no {text} where a text belongs. Put it there, or pass a "
                    "function."
                ).format(text=_TEXT)
            )
        embeds = self._client.profile(model).task == "embedding"
        count = itertools.count()

        def pairs() -> Iterator[tuple[str, ChatRequest | EmbeddingRequest]]:
            for text in texts:
                asked = prompt(text) if callable(prompt) else prompt.replace(_TEXT, text)
                key = str(next(count))
                if embeds:
                    yield key, EmbeddingRequest(model=model, texts=(asked,), **fields)
                else:
                    message = Message("user", asked)
                    yield key, ChatRequest(model=model, messages=(message,), **fields)

        return self._mapped(pairs(), count)

    def _mapped(self, pairs: Requests, count: Iterator[int]) -> Iterator[BatchRow]:
        self.run(pairs)
        wanted, waiting = 0, dict[str, BatchRow]()
        total = next(count)
        with contextlib.closing(self.results()) as rows:
            for row in rows:
                waiting[row.key] = row
                while wanted < total and str(wanted) in waiting:
                    yield waiting.pop(str(wanted))
                    wanted += 1

    def results(self) -> Generator[BatchRow]:
        """The newest row of each item on file, read one by one; see `iter_results`."""
        return iter_results(self._path)

    async def _work(self, job: Job) -> None:
        with job.ended_by_errors():
            while (item := await job.take()) is not None:
                await self._settle(item, job)

    async def _settle(self, item: Item, job: Job, *, waits: bool = False) -> None:
        """Put the row of an item on file, unless the item is left or the job ends before."""
        while True:
            await self._wait_while_blocked(job)
            if job.error is not None:
                return
            begun = self._clock()
            try:
                row = await self._ask(item)
                job.resume(begun)
            except (QuotaExceededError, RateLimitError) as error:
                if not waits and job.leave(item, error):
                    return
                self._block(job, error)
                continue
            except JOB_WIDE as error:
                if not job.leave(item, error):
                    raise
                return
            except ModelScopeError as error:
                again = not isinstance(error, InvalidRequestError)
                failure = BatchFailure.of(error, again=again)
                row = BatchRow(key=item.key, fingerprint=item.fingerprint, failure=failure)
                if again:
                    job.count_trouble(error)
            job.settle(row)
            return

    async def _ask(self, item: Item) -> BatchRow:
        row = BatchRow(key=item.key, fingerprint=item.fingerprint)
        answer = await self._answer(item.request)
        if isinstance(answer, EmbeddingResult):
            return replace(row, embedding=answer)
        row = replace(row, chat=answer)
        if self._schema is None or isinstance(item.request, EmbeddingRequest):
            return row
        if item.request.response_format is not self._schema.form:
            return row
        try:
            self._schema.read(row.text)
        except ValueError as error:
            return replace(row, failure=BatchFailure("SchemaMismatch", str(error)))
        return row

    async def _answer(
        self, request: ChatRequest | EmbeddingRequest
    ) -> ChatResult | EmbeddingResult:
        if isinstance(request, EmbeddingRequest):
            return await self._client.aio.embed(request)
        return await self._client.aio.chat(request)

    def _block(self, job: Job, error: ModelScopeError) -> None:
        """Let the job wait.

        Where the ledger refuses, asking it again costs nothing, and the wait may end at any time:
        another process has been granted something, or has had a success.
        """
        now, until = self._clock(), None
        if isinstance(error, QuotaExceededError):
            until = error.resets_at.timestamp() if error.resets_at else None
            may_end = self._client.ledger is not None
        elif job.count_refusal(now) <= _BUSY:
            until = now + (error.details.retry_after or _A_WHILE)
            may_end = error.status_code is None
        if not self._wait or until is None:
            raise error
        # Two clocks never agree: not again at once.
        is_new = job.block(max(until, now + 1), now + _A_WHILE if may_end else math.inf)
        if is_new and job.error is None and self._on_block is not None:
            self._on_block(error)

    async def _wait_while_blocked(self, job: Job) -> None:
        while job.error is None and (left := job.waits_until - self._clock()) > 0:
            await self._sleep(min(left, _A_WHILE))

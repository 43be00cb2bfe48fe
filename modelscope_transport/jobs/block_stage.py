"""What the stages of Ray Data share: one client an actor, and a job over each block.

Laws of this file: it does not import Ray. A row that failed by its own fault is handed on; one that
was not asked because the allowance was spent is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..client.options import CREDENTIALS
from ..client.response_cache import ResponseCache
from ..client.sync import Client
from ..errors import InvalidRequestError, ModelScopeError, QuotaExceededError, RateLimitError
from ..language import translated as _
from ..secret import mask_address
from .batch import Batch
from .open_items import Requests
from .report import BatchReport
from .rows import BatchFailure, BatchRow

__all__ = ["BlockStage", "Columns", "MakeClient", "length", "objects", "only", "value_in"]

# A logger of Ray Data's: what it says stands in the actor's log file and at the driver, where Ray
# shows its own progress.
_log = logging.getLogger("ray.data.modelscope_adapters")
MakeClient = Callable[[], Client]
Columns = Mapping[str, Any]


class _BlockRows:
    """The rows of one block, in memory: a `Sink` in place of a file of results."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[bytes, BatchFailure | None]] = {}
        self.rows: dict[str, BatchRow] = {}

    def add(self, row: BatchRow) -> None:
        self.rows[row.key] = row


class _BlockJob(Batch):
    """A job over one block, whose rows are kept in memory."""

    block: _BlockRows

    @contextlib.contextmanager
    def _sink(self) -> Iterator[_BlockRows]:
        yield self.block


class BlockStage:
    """What both stages share.

    An actor makes one client, at its first block. The token is that of the actor's environment.
    The arguments are those of `ChatStage`.
    """

    def __init__(
        self,
        client: Mapping[str, Any] | MakeClient | None,
        cache: str | None,
        workers: int,
        wait: bool,
        pace: Mapping[str, Any] | None,
        model: str,
    ) -> None:
        self._model = model
        self._make = client
        self._cache = None if cache is None else ResponseCache(cache)
        self._workers = workers
        self._wait = wait
        self._pace = dict(pace or {})
        self._client: Client | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out credentials and the client, which each process makes for itself."""
        made = self._make
        if made is not None and not callable(made):
            made = {name: value for name, value in made.items() if name not in CREDENTIALS}
            if isinstance(ledger := made.get("ledger"), str):
                made["ledger"] = mask_address(ledger)
        return {**vars(self), "_make": made, "_client": None}

    def _opened(self) -> Client:
        if self._client is None:
            if callable(self._make):
                self._client = self._make()
            else:
                self._client = Client(**{"cache": self._cache, **(self._make or {})})
        return self._client

    def _settle(
        self,
        requests: Requests,
        schema: Any = None,
        on_row: Callable[[BatchRow], None] | None = None,
    ) -> dict[str, BatchRow]:
        """The rows of those requests that have an answer or failed by their own fault."""
        job = _BlockJob(
            self._opened(),
            "",
            workers=self._workers,
            wait=self._wait,
            schema=schema,
            on_row=on_row,
            on_block=_log_wait,
            **self._pace,
        )
        job.block = _BlockRows()
        try:
            asyncio.run(self._run(job, requests))
        except (QuotaExceededError, RateLimitError) as error:
            _log.warning(_("The stage ends with what it has: %s"), error)
        _log.info("%s", self._progress(job.report))
        return {
            key: row
            for key, row in job.block.rows.items()
            if row.failure is None or not row.failure.again
        }

    def _progress(self, report: BatchReport) -> str:
        """What came of a block, and what is left for the model."""
        told = _("{model}: {answered} answered, {failed} failed in this block").format(
            model=self._model, answered=report.answered, failed=report.failed
        )
        try:
            quota = self._opened().quota(self._model)
        except ModelScopeError:  # the ledger is off; what else is wrong, the calls have said
            return told
        left = "?" if quota.remaining is None else f"{quota.remaining:g}"
        spent = _("{used:g} spent today, {left} left").format(used=quota.used, left=left)
        return f"{told}; {spent}"

    async def _run(self, job: _BlockJob, requests: Requests) -> None:
        try:
            await job.arun(requests)
        finally:
            await self._opened().aio.aclose()


def _log_wait(error: ModelScopeError) -> None:
    _log.warning(_("Waiting: %s"), error)


def only(batch: Columns, places: list[int]) -> dict[str, Any]:
    """The rows of a block at some places, with all columns."""
    return {
        name: values[places] if hasattr(values, "dtype") else [values[place] for place in places]
        for name, values in batch.items()
    }


def objects(values: list[Any]) -> Any:
    """A column of any values, as Ray takes it: a numpy array of objects."""
    import numpy as np

    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def length(batch: Columns) -> int:
    """How many rows a block has."""
    return len(next(iter(batch.values()), ()))


def value_in(batch: Columns, column: str, place: int, *, empty: bool = True) -> Any:
    """What a column holds in a row.

    Args:
        batch: the block.
        column: the column's name.
        place: the row.
        empty: whether an empty text will do.

    Raises:
        InvalidRequestError: it holds nothing there: ``None``, or NaN, as pandas writes it.
    """
    value = batch[column][place]
    is_nan = isinstance(value, float) and math.isnan(value)
    if value is None or is_nan or not (empty or value):
        raise InvalidRequestError(
            _("The column {column} holds nothing in this row.").format(column=column)
        )
    return value

"""What the stages of Ray Data share: one client an actor, and a job over each block.

Laws of this file: it knows no Ray. A row that failed by its own fault is handed on, one that was
not asked for want of allowance is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..client.response_cache import ResponseCache
from ..client.sync import Client
from ..errors import ModelScopeError, QuotaExceededError, RateLimitError
from ..language import translated as _
from .batch import Batch
from .open_items import Requests
from .rows import BatchFailure, BatchRow

__all__ = ["BlockStage", "Columns", "MakeClient", "length", "objects", "only"]

_log = logging.getLogger(__name__)
MakeClient = Callable[[], Client]
Columns = Mapping[str, Any]


class _BlockRows:
    """The rows of one block while it is worked at; takes the place of a file of results."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[bytes, BatchFailure | None]] = {}
        self.rows: dict[str, BatchRow] = {}

    def add(self, row: BatchRow) -> None:
        self.rows[row.key] = row


class _BlockJob(Batch):
    """A job over one block."""

    block: _BlockRows

    @contextlib.contextmanager
    def _sink(self) -> Iterator[_BlockRows]:
        yield self.block


class BlockStage:
    """What both stages share.

    An actor makes one client, at its first block. The token is that of the actor's environment.
    """

    def __init__(
        self,
        client: Mapping[str, Any] | MakeClient | None,
        cache: str | None,
        workers: int,
        wait: bool,
        pace: Mapping[str, Any] | None,
    ) -> None:
        self._make = client
        self._cache = None if cache is None else ResponseCache(cache)
        self._workers = workers
        self._wait = wait
        self._pace = dict(pace or {})
        self._client: Client | None = None

    def _opened(self) -> Client:
        if self._client is None:
            if callable(self._make):
                self._client = self._make()
            else:
                self._client = Client(**{"cache": self._cache, **(self._make or {})})
        return self._client

    def _settle(self, requests: Requests, schema: Any = None) -> dict[str, BatchRow]:
        """The rows of those requests that have an answer or failed by their own fault."""
        job = _BlockJob(
            self._opened(),
            "",
            workers=self._workers,
            wait=self._wait,
            schema=schema,
            on_block=_log_wait,
            **self._pace,
        )
        job.block = _BlockRows()
        try:
            asyncio.run(self._run(job, requests))
        except (QuotaExceededError, RateLimitError) as error:
            _log.warning(_("The stage ends with what it has: %s"), error)
        return {
            key: row
            for key, row in job.block.rows.items()
            if row.failure is None or not row.failure.again
        }

    async def _run(self, job: _BlockJob, requests: Requests) -> None:
        try:
            await job.arun(requests)
        finally:
            await self._opened().aio.aclose()


def _log_wait(error: ModelScopeError) -> None:
    _log.warning(_("Waiting: %s"), error)


def only(batch: Columns, places: list[int]) -> dict[str, Any]:
    """Some rows of a block, all columns."""
    return {
        name: values[places] if hasattr(values, "dtype") else [values[place] for place in places]
        for name, values in batch.items()
    }


def objects(values: list[Any]) -> Any:
    """A column of any values, as Ray takes one."""
    import numpy as np

    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def length(batch: Columns) -> int:
    """How many rows a block has."""
    return len(next(iter(batch.values()), ()))

"""What the workers of one job share: which items are open, what came of the others, what ended it.

The workers are tasks of one event loop, so nothing here is locked but a source that waits itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from ..client.response_cache import key_of
from ..errors import ConfigurationError, ModelScopeError
from ..language import translated as _
from ..shown import table_html
from ..types import ChatRequest, EmbeddingRequest, ResponseFormat
from .rows import BatchFailure, BatchRow

__all__ = ["BatchReport", "BatchRequest", "Item", "Job", "Requests", "Sink"]

BatchRequest = ChatRequest | EmbeddingRequest
Pair = tuple[str, BatchRequest]
_END = object()
Requests = Mapping[str, BatchRequest] | Iterable[Pair] | AsyncIterable[Pair]


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

    def _repr_html_(self) -> str:
        """The counts as a table, for notebooks."""
        head = (_("items"), _("answered"), _("kept"), _("failed"), _("waits"))
        numbers = (self.items, self.answered, self.kept, self.failed, self.blocked)
        return table_html(_("The job"), head, [tuple(map(str, numbers))])


class Sink(Protocol):
    """Where rows go; a `ResultsFile`, mostly."""

    known: dict[str, tuple[bytes, BatchFailure | None]]

    def add(self, row: BatchRow) -> None:
        """Keep a row."""
        ...


class Item(Struct, frozen=True):
    """An item that is to be asked for.

    Attributes:
        key: its name.
        fingerprint: stands for all of the request that can change its answer.
        request: what is asked.
    """

    key: str
    fingerprint: str
    request: BatchRequest


class Job:
    """The items of one run, in their order, and what came of them.

    Attributes:
        form: put on every chat request that has no ``response_format`` of its own.
        blocked_until: when the allowance is back; seconds since the epoch.
        waits_until: when to ask again, which may be earlier.
        error: what ended the job.
        counts: fields of the `BatchReport`.
    """

    def __init__(
        self,
        file: Sink,
        requests: Requests,
        address: str,
        retry_failed: bool,
        patience: int,
    ) -> None:
        self._file = file
        self._address = address
        self._retry_failed = retry_failed
        self._patience = patience
        self._troubles = 0
        self._refused_since: float | None = None
        self._seen: set[str] = set()
        self._source = _source(requests)
        self._taking = asyncio.Lock()
        self.form: ResponseFormat | None = None
        self.blocked_until = 0.0
        self.waits_until = 0.0
        self._longest = 0.0
        self.error: ModelScopeError | None = None
        self.counts = dict.fromkeys(BatchReport.__struct_fields__, 0)

    async def take(self) -> Item | None:
        """The next item that is open, unless the job is over.

        Raises:
            ConfigurationError: its name has come before, or is no text; or it is no pair.
        """
        while self.error is None:
            if isinstance(self._source, AsyncIterator):
                async with self._taking:  # an async generator is asked by one at a time
                    pair: object = await anext(self._source, _END)
            else:
                pair = next(self._source, _END)
            if pair is _END:
                return None
            item = self._opened(*_read_pair(pair))
            if item is not None:
                return item
        return None

    def _opened(self, key: str, request: BatchRequest) -> Item | None:
        _add_name(key, self._seen)
        self.counts["items"] += 1
        if isinstance(request, ChatRequest) and request.response_format is None:
            request = request if self.form is None else replace(request, response_format=self.form)
        # A request that cannot be encoded has no name; sending it fails, which costs nothing.
        name = key_of(request, self._address) or b""
        fingerprint, failure = self._file.known.get(key, (b"", None))
        kept = fingerprint == name and (name or failure)
        if not kept or (failure and (failure.again or self._retry_failed)):
            return Item(key, name.hex(), request)
        self.counts["failed" if failure else "kept"] += 1
        return None

    def settle(self, row: BatchRow) -> None:
        """Put a row on file."""
        self._file.add(row)
        if row.failure is None or not row.failure.again:
            self._troubles, self._refused_since = 0, None
        self.counts["failed" if row.failure else "answered"] += 1

    def count_trouble(self, error: ModelScopeError) -> None:
        """Count a failure that may pass; too many in a row end the job."""
        self._troubles += 1
        if self._troubles >= self._patience:
            self.stop(error)

    def count_refusal(self, now: float) -> float:
        """Count a call that was too fast; for how many seconds there has been nothing else."""
        if self._refused_since is None:
            self._refused_since = now
        return now - self._refused_since

    def block(self, until: float, asks_at: float) -> bool:
        """Let all workers wait, and ask again at a time that may come first.

        Returns:
            Whether that is news: none has waited for so long before.
        """
        is_new = until > self._longest
        self._longest = max(until, self._longest)
        self.blocked_until = max(until, self.blocked_until)
        self.waits_until = max(self.waits_until, min(self.blocked_until, asks_at))
        self.counts["blocked"] += is_new
        return is_new

    def resume(self, begun: float) -> None:
        """A call that began at that time was answered; if that was after a wait, it is over."""
        if begun >= self.waits_until:
            self.blocked_until = self.waits_until = 0.0

    def stop(self, error: ModelScopeError) -> None:
        """End the job; workers finish what they are at."""
        self.error = self.error or error


def _source(requests: Requests) -> Iterator[Pair] | AsyncIterator[Pair]:
    if isinstance(requests, AsyncIterable):
        return aiter(requests)
    if isinstance(requests, Mapping):
        pairs: Iterable[Pair] = requests.items()
    elif isinstance(requests, Sequence):
        pairs = requests
    else:
        return iter(requests)
    seen: set[str] = set()
    for pair in pairs:  # all of it is there: check it before the first paid call
        _add_name(_read_pair(pair)[0], seen)
    return iter(pairs)


def _read_pair(pair: object) -> tuple[Any, BatchRequest]:
    match pair:
        case (key, ChatRequest() | EmbeddingRequest() as request):
            return key, request
    raise ConfigurationError(
        _(
            "{item:.80} is no item of a job. Each one is a pair: its name, and a ChatRequest or an "
            "EmbeddingRequest."
        ).format(item=repr(pair))
    )


def _add_name(key: str, seen: set[str]) -> None:
    if not isinstance(key, str):  # a file that is read again has texts alone
        raise ConfigurationError(
            _("The name {key!r} is no text. Give each item a text, such as str({key!r}).").format(
                key=key
            )
        )
    if key in seen:
        raise ConfigurationError(
            _("The name {key!r} comes twice. Give each item its own.").format(key=key)
        )
    seen.add(key)

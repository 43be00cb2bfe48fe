"""What the workers of one job share: which items are open, what came of the others, what ended it.

The workers are tasks of one event loop, so nothing here is locked but a source that waits itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from ..client.response_cache import key_of
from ..errors import (
    AccountNotLinkedError,
    AccountNotVerifiedError,
    AuthenticationError,
    ConfigurationError,
    ModelNotServedError,
    ModelScopeError,
    QuotaExceededError,
    UnsupportedTaskError,
)
from ..language import translated as _
from ..types import ChatRequest, EmbeddingRequest, ResponseFormat
from .report import BatchReport
from .rows import BatchFailure, BatchRow

__all__ = ["JOB_WIDE", "BatchRequest", "Closed", "Item", "Job", "Requests", "Sink"]

# Errors that are not the fault of a single item and do not pass by themselves: those that concern
# all items of a model, and those that concern all items.
_MODEL_WIDE = (ModelNotServedError, UnsupportedTaskError)
JOB_WIDE = (
    ConfigurationError,
    AuthenticationError,
    AccountNotLinkedError,
    AccountNotVerifiedError,
    *_MODEL_WIDE,
)
BatchRequest = ChatRequest | EmbeddingRequest
Pair = tuple[str, BatchRequest]
_Model = tuple[type, str, tuple[str, ...]]
_END = object()
Requests = Mapping[str, BatchRequest] | Iterable[Pair] | AsyncIterable[Pair]


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


class Closed(Struct):
    """A model that is not asked for now.

    Attributes:
        error: why.
        first: the item that was refused first.
        waiting: fingerprints of all items that wait for it, the first included, by their names.
    """

    error: ModelScopeError
    first: Item
    waiting: dict[str, str]


class Job:
    """The items of one run, in their order, and what came of them.

    What keeps a model from answering closes that model: its items are left out while those of the
    others go on, and `reopen` says what becomes of them then. The requests are read again for that;
    where they can be read once only, one model holds up or ends the whole job.

    Args:
        file: where rows go, and what is known of earlier runs.
        requests: the items, by name.
        address: address of the service, which is part of a request's fingerprint.
        retry_failed: whether items that failed by their own fault are open again.
        patience: so many failures in a row that may pass end the job.

    Attributes:
        form: put on every chat request that has no ``response_format`` of its own.
        on_row: called with each row that is on file.
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
        self._requests = requests
        # Keys of the items that the requests are read again for; None at the first reading.
        self._left: set[str] | None = None
        self._models: set[_Model] = set()
        self._closed: dict[_Model, Closed] = {}
        self._source = _source(requests)
        self._taking = asyncio.Lock()
        self.form: ResponseFormat | None = None
        self.on_row: Callable[[BatchRow], None] | None = None
        self.blocked_until = 0.0
        self.waits_until = 0.0
        self._longest = 0.0  # the latest time that was waited for
        self.error: ModelScopeError | None = None
        self.counts = dict.fromkeys(BatchReport.__struct_fields__, 0)

    async def take(self) -> Item | None:
        """The next item that is open, unless the job is over.

        Raises:
            ConfigurationError: its name has come before or is not text, or it is not a pair.
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
            if item is None:
                continue
            closed = self._closed.get(_model_of(item))
            if closed is None:
                return item
            closed.waiting[item.key] = item.fingerprint
        return None

    def leave(self, item: Item, error: ModelScopeError) -> bool:
        """Leave an item and all others of its model for later.

        Returns:
            Whether that can be: the error is that of one model, and the requests can be read again.
        """
        if isinstance(error, QuotaExceededError):
            of_one = error.scope == "model" or error.details.price is not None
        else:
            of_one = isinstance(error, _MODEL_WIDE)
        if not of_one or isinstance(self._requests, AsyncIterable | Iterator):
            return False
        closed = self._closed.setdefault(_model_of(item), Closed(error, item, {}))
        closed.waiting[item.key] = item.fingerprint
        return True

    def reopen(self) -> Closed | None:
        """After all others: let the items of models that are gone fail.

        Returns:
            The spent model that is back first: once its first item is settled, `take` gives those
            of all spent ones.

        Raises:
            ModelScopeError: all models are gone.
        """
        if self.error is not None:
            return None
        closed, self._closed = list(self._closed.values()), {}
        gone = [each for each in closed if isinstance(each.error, _MODEL_WIDE)]
        spent = [each for each in closed if isinstance(each.error, QuotaExceededError)]
        if gone and len(gone) == len(self._models):
            raise gone[0].error
        for each in gone:
            failure = BatchFailure.of(each.error, again=False)
            for key, fingerprint in each.waiting.items():
                self.settle(BatchRow(key=key, fingerprint=fingerprint, failure=failure))
        if not spent:
            return None
        soonest = min(spent, key=_back_at)
        self._left = {key for each in spent for key in each.waiting} - {soonest.first.key}
        self._source = _source(self._requests)
        return soonest

    def _opened(self, key: str, request: BatchRequest) -> Item | None:
        if self._left is None:
            _add_name(key, self._seen)
            self.counts["items"] += 1
        elif key not in self._left:
            return None
        if isinstance(request, ChatRequest) and request.response_format is None:
            request = request if self.form is None else replace(request, response_format=self.form)
        # A request that cannot be encoded has no name; sending it fails, which costs nothing.
        name = key_of(request, self._address) or b""
        fingerprint, failure = self._file.known.get(key, (b"", None))
        kept = fingerprint == name and (name or failure)
        item = Item(key, name.hex(), request)
        self._models.add(_model_of(item))
        if not kept or (failure and (failure.again or self._retry_failed)):
            return item
        self.counts["failed" if failure else "kept"] += 1
        return None

    def settle(self, row: BatchRow) -> None:
        """Put a row on file."""
        self._file.add(row)
        if row.failure is None or not row.failure.again:
            self._troubles, self._refused_since = 0, None
        self.counts["failed" if row.failure else "answered"] += 1
        if self.on_row is not None:
            self.on_row(row)

    def count_trouble(self, error: ModelScopeError) -> None:
        """Count a failure that may pass; too many in a row end the job."""
        self._troubles += 1
        if self._troubles >= self._patience:
            self.stop(error)

    def count_refusal(self, now: float) -> float:
        """Count a call that was too fast.

        Returns:
            For how many seconds there have been only such refusals.
        """
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

    @contextlib.contextmanager
    def ended_by_errors(self) -> Iterator[None]:
        """Let errors end the job."""
        try:
            yield
        except ModelScopeError as error:
            self.stop(error)

    def stop(self, error: ModelScopeError) -> None:
        """End the job; workers finish what they are at."""
        self.error = self.error or error


def _model_of(item: Item) -> _Model:
    """What can be closed for an item: its kind of request, its model and the fallback models."""
    return type(item.request), item.request.model, item.request.fallback_models


def _back_at(closed: Closed) -> float:
    back = closed.error.details.resets_at
    return math.inf if back is None else back.timestamp()


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
            "{item:.80} is not an item of a job. Each one is a pair: its name, and a ChatRequest "
            "or an EmbeddingRequest."
        ).format(item=repr(pair))
    )


def _add_name(key: str, seen: set[str]) -> None:
    if not isinstance(key, str):  # a file that is read again has texts alone
        raise ConfigurationError(
            _("The name {key!r} is not text. Give each item a text, such as str({key!r}).").format(
                key=key
            )
        )
    if key in seen:
        raise ConfigurationError(
            _("The name {key!r} comes twice. Give each item its own.").format(key=key)
        )
    seen.add(key)

"""What a client is made of: its options, its account, and the way to the service.

Laws of this file: nothing is built before the first call, and nothing here is coloured. Clients of
one token at one address share what is known of the account.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any, cast

from msgspec import Struct, field
from msgspec.structs import replace

from .._wire.checks import check_headers, check_model, check_range
from .._wire.failures import block_of
from .._wire.stream_decoder import StreamDecoder
from ..calls.admission import Admission, Concurrency, Limiters
from ..calls.limiter import ConcurrencyLimiter
from ..calls.policy import (
    Flow,
    Handover,
    Request,
    call_flow,
)
from ..calls.polling import poll_flow
from ..calls.retry import RetryBudget, RetryPolicy
from ..catalogue.models import ModelProfile, ProfileBook, profile_for
from ..catalogue.tasks import check_task
from ..errors import ConfigurationError, InvalidRequestError, QuotaExceededError
from ..http.reply import AsyncExchange, Exchange
from ..platforms import Platform
from ..quota import Budget, Ledger, open_ledger
from ..settings import (
    Secret,
    Settings,
    resolve_ledger,
    resolve_proxy,
    resolve_token,
)
from ..task_types import ImageRequest
from ..types import EmbeddingRequest
from .embedding_batches import Batches
from .response_cache import ResponseCache
from .reuse import Saving, Singleflight

if TYPE_CHECKING:
    from ..calls.driver import Driver

__all__ = ["Core", "Options", "checked_concurrency", "checked_timeout", "name_of"]


class Account(Struct):
    """What is known of one token at one address."""

    book: ProfileBook = field(default_factory=ProfileBook)
    budget: RetryBudget = field(default_factory=RetryBudget)
    image_limiters: dict[int, ConcurrencyLimiter] = field(default_factory=dict)
    limiters: dict[Concurrency, Limiters] = field(default_factory=dict)
    singleflight: Singleflight = field(default_factory=Singleflight)


_accounts: dict[str, Account] = {}
_accounts_lock = threading.Lock()


def account_of(settings: Settings) -> Account:
    with _accounts_lock:
        return _accounts.setdefault(settings.account(), Account())


@functools.cache
def _user_agent() -> str:
    return f"modelscope-adapters/{metadata.version('modelscope-adapters')}"


class Options(Struct, frozen=True, kw_only=True):
    """Everything a client was made with, but for the token and what cannot be pickled."""

    base_url: str
    timeout: float = 600.0
    max_retries: int = 2
    proxy: str | None = None
    default_headers: Mapping[str, str] | None = None
    image_tasks: int = 1
    account: str | None = None
    ledger: str = "auto"
    budget: Budget | None = None
    concurrency: Concurrency = "adaptive"
    platforms: tuple[Platform, ...] = ()
    merge: bool = False
    cache: ResponseCache | None = None


class Core:
    """Settings, connections and account of one client, in both colours. Made at the first call."""

    def __init__(
        self,
        options: Options,
        token: Secret | None,
        ledger: Ledger | None = None,
        http_client: Any = None,
        http_async_client: Any = None,
    ) -> None:
        self.options = options
        self.token = token
        self._ledger = ledger
        self._http = (http_client, http_async_client)
        self.policy = RetryPolicy(max_retries=options.max_retries)

    @functools.cached_property
    def settings(self) -> Settings:
        options = self.options
        return Settings(
            # A client that came out of a pickle finds its token here, in its new process.
            token=self.token or resolve_token(),
            base_url=options.base_url,
            proxy=resolve_proxy(options.base_url, options.proxy),
            timeout=options.timeout,
            max_retries=options.max_retries,
            owner=options.account,
        )

    @functools.cached_property
    def account(self) -> Account:
        return account_of(self.settings)

    @functools.cached_property
    def ledger(self) -> Ledger | None:
        return self._ledger or open_ledger(resolve_ledger(self.options.ledger))

    @functools.cached_property
    def driver(self) -> Driver:
        # Here and not above: httpx and httpcore are a third of what importing a framework costs.
        from ..calls.driver import Driver

        (home, admission), *others = self._ways
        headers = {"user-agent": _user_agent(), **(self.options.default_headers or {})}
        platforms = tuple(Driver(*way, {"user-agent": _user_agent()}) for way in others)
        return Driver(home, admission, headers, *self._http, platforms)

    @functools.cached_property
    def _ways(self) -> tuple[tuple[Settings, Admission], ...]:
        """To the service, then to each platform: settings, and what calls have to pass there."""
        home = self._admission(self.settings, self.ledger, self.options.budget)
        return (self.settings, home), *map(self._way_to, self.options.platforms)

    def _way_to(self, platform: Platform) -> tuple[Settings, Admission]:
        """The way to another platform, whose calls are counted in any case: they cost money."""
        settings = replace(
            self.settings,
            token=platform.key(),
            base_url=platform.base_url,
            proxy=resolve_proxy(platform.base_url, self.options.proxy),
            owner=None,
        )
        ledger = self.ledger or open_ledger("memory")
        return settings, self._admission(settings, ledger, Budget(calls=platform.max_calls))

    def _admission(
        self, settings: Settings, ledger: Ledger | None, budget: Budget | None
    ) -> Admission:
        concurrency = self.options.concurrency
        limiters = account_of(settings).limiters.setdefault(concurrency, Limiters(concurrency))
        return Admission(settings.account(), ledger, limiters, budget)

    @functools.cached_property
    def saving(self) -> Saving | None:
        """What saves calls; ``None`` where nothing was asked for."""
        options = self.options
        if not options.merge and options.cache is None:
            return None
        around = (options.base_url, dict(options.default_headers or {}))
        singleflight = self.account.singleflight if options.merge else None
        return Saving(singleflight, options.cache, around, options.timeout)

    def begin(self, request: Request, task: str, *, stream: bool = False) -> tuple[Flow, float]:
        """The flow of a call and its deadline, after the checks that need no request."""
        row = check_task(self.profile(request.model), task)
        for model in request.fallback_models:
            check_model(model)
            check_task(self.profile(model), task)
        check_headers(request.extra_headers)
        timeout = self.options.timeout if request.timeout is None else request.timeout
        deadline = time.monotonic() + checked_timeout(timeout)
        known: dict[str, Any] = {
            "book": self.account.book,
            "policy": self.policy,
            "budget": self.account.budget,
            "deadline": deadline,
        }
        if row.flow == "poll":
            return poll_flow(row, cast("ImageRequest", request), **known), deadline
        substitutes = tuple(
            platform.substitute_model(request.model, task) for platform in self.options.platforms
        )
        flow = call_flow(row, request, stream=stream, substitutes=substitutes, **known)
        return flow, deadline

    def reader(self, handover: Handover, exchange: Exchange | AsyncExchange) -> StreamDecoder:
        """What turns the rest of a handed-over stream into deltas."""
        settings, _ = self._way(handover.platform)
        return StreamDecoder(
            handover.value,
            exchange.events,
            exchange.pending,
            handover.origin,
            settings.token.masked,
            functools.partial(self.record_quota_error, platform=handover.platform),
        )

    def _way(self, platform: int | None) -> tuple[Settings, Admission]:
        return self._ways[0 if platform is None else platform + 1]

    def record_quota_error(self, error: QuotaExceededError, platform: int | None = None) -> None:
        """Tell the ledger of a pool that was declared spent when its call had long been settled.

        A stream may break off with this news, and an image task that was accepted may fail with it.
        """
        _, admission = self._way(platform)
        ledger, block = admission.ledger, block_of(error.details)
        if ledger is None or block is None:
            return
        with contextlib.suppress(ConfigurationError):  # the news itself is about to be raised
            tier = self.profile(error.model).tier if error.model else None
            ledger.block(admission.account, block, tier=tier)

    @property
    def image_limiter(self) -> ConcurrencyLimiter:
        """Where image tasks wait for their turn: those of all clients of this account."""
        places = self.options.image_tasks
        return self.account.image_limiters.setdefault(places, ConcurrencyLimiter(places))

    def profile(self, model: str) -> ModelProfile:
        return self.account.book.look_up(model)

    def batches(self, request: EmbeddingRequest) -> Batches:
        """The batches of an embedding call, after the checks that need no request."""
        check_model(request.model)
        check_task(self.profile(request.model), "embedding")
        for model in request.fallback_models:
            if _plain(model) != _plain(request.model):
                raise ConfigurationError(
                    f"{model!r} cannot stand in for {request.model!r}: vectors of two models do "
                    "not fit one index. Use another way to the same model, owner/name:Provider."
                )
        check_range("batch_size", request.batch_size, 1)
        return Batches(request.texts, self._batch_size(request))

    def _batch_size(self, request: EmbeddingRequest) -> int:
        known = self.profile(request.model).embedding_batch
        learnt = known != profile_for(request.model).embedding_batch
        if request.batch_size is None:
            return known
        return min(known, request.batch_size) if learnt else request.batch_size

    def too_large(
        self, error: InvalidRequestError, request: EmbeddingRequest, batch: tuple[str, ...]
    ) -> bool:
        """Whether a refusal was of the batch's size, which a smaller one heals."""
        return len(batch) > 1 and (error.reason == "batch_too_large" or error.status_code == 413)


def _plain(model: str) -> str:
    return model.rpartition(":")[0] or model


def checked_timeout(timeout: object) -> float:
    if not isinstance(timeout, int | float) or not timeout > 0:
        raise ConfigurationError(f"timeout must be above 0 seconds, and is {timeout!r}.")
    return min(timeout, 7 * 86400.0)  # clocks of event loops refuse what is not finite


def checked_concurrency(concurrency: Concurrency) -> Concurrency:
    if concurrency not in (None, "adaptive") and not (
        isinstance(concurrency, int) and concurrency >= 1
    ):
        raise ConfigurationError(
            f"concurrency must be a number from 1 on, None or 'adaptive', and is {concurrency!r}."
        )
    return concurrency


def name_of(ledger: Ledger | str | None) -> str:
    """The name under which a ledger is found again in another process."""
    if isinstance(ledger, str):
        return ledger
    return "off" if ledger is None else ledger.name

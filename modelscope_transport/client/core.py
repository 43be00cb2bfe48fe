"""What a client is made of: its options, its account, and the services it can reach.

Laws of this file: nothing is built before the first call, and nothing here is sync or async.
Clients of one token at one address share what is known of the account.
"""

from __future__ import annotations

import contextlib
import functools
import time
from typing import TYPE_CHECKING, TypeVar, cast
from weakref import WeakKeyDictionary

from msgspec import Struct, field
from msgspec.structs import replace

from .._wire import catalogue, checks
from .._wire.encoded import Encoded
from .._wire.failures import block_of
from .._wire.stream_decoder import StreamDecoder
from .._wire.wires import late_imports
from ..calls.admission import Admission, Concurrency, Limiters
from ..calls.attempt import Flow, Handover, Terms
from ..calls.limiter import ConcurrencyLimiter
from ..calls.policy import Request, call_flow
from ..calls.polling import poll_flow
from ..calls.retry import RetryBudget, RetryPolicy
from ..catalogue.models import ModelProfile, ProfileBook, profile_for
from ..catalogue.tasks import check_task
from ..errors import ConfigurationError, InvalidRequestError, QuotaExceededError
from ..language import translated as _
from ..platforms import Platform
from ..quota import NO_PROVIDERS, Budget, Ledger, open_ledger
from ..secret import Redactor, Secret
from ..settings import (
    Settings,
    hub_url,
    is_modelscope,
    resolve_ledger,
    resolve_proxy,
    resolve_token,
)
from ..task_types import ImageRequest
from ..types import EmbeddingRequest
from .embedding_batches import Batches
from .options import Options, checked_timeout
from .reuse import ReuseRules, Singleflight

if TYPE_CHECKING:
    from ..calls.async_driver import AsyncDriver
    from ..calls.driver import Driver
    from ..calls.exchange import Service
    from ..http.reply import ReplyHead

__all__ = ["Core"]

R = TypeVar("R", bound=ReuseRules)


class Account(Struct):
    """What is known of one token at one address."""

    book: ProfileBook = field(default_factory=ProfileBook)
    budget: RetryBudget = field(default_factory=RetryBudget)
    image_limiters: dict[int, ConcurrencyLimiter] = field(default_factory=dict)
    limiters: dict[Concurrency, Limiters] = field(default_factory=dict)
    shared_limiters: WeakKeyDictionary[Ledger, Limiters] = field(default_factory=WeakKeyDictionary)
    singleflight: Singleflight = field(default_factory=Singleflight)


_accounts: dict[str, Account] = {}


def _account_of(settings: Settings) -> Account:
    return _accounts.setdefault(settings.account(), Account())


class Core:
    """Settings, services and account of one client. Filled at the first call.

    Args:
        options: what the client was made with.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.policy = RetryPolicy(max_retries=options.max_retries)

    @functools.cached_property
    def settings(self) -> Settings:
        """How to reach the service itself."""
        options = self.options
        return Settings(
            # A client that came out of a pickle finds its token here, in its new process.
            token=cast("Secret | None", options.api_key) or resolve_token(),
            base_url=options.url,
            owner=options.account,
            account_kind="" if is_modelscope(options.url) else NO_PROVIDERS,
            proxy=resolve_proxy(options.url, options.proxy),
            headers=options.headers,
            connect_timeout=options.connect_timeout,
            idle_timeout=options.idle_timeout,
        )

    @functools.cached_property
    def account(self) -> Account:
        """What is known of the account."""
        return _account_of(self.settings)

    @functools.cached_property
    def redact(self) -> Redactor:
        """What takes every credential of the client out of the words of servers."""
        services = [self.settings, *map(self._settings_of, self.options.platforms)]
        return Redactor(
            [service.token for service in services],
            [service.proxy for service in services if service.proxy is not None],
            self.settings.headers.values(),
        )

    @functools.cached_property
    def ledger(self) -> Ledger | None:
        """Where units are counted; ``None`` for nowhere."""
        ledger = self.options.ledger
        if isinstance(ledger, Ledger):
            return ledger
        return open_ledger(resolve_ledger("off" if ledger is None else ledger))

    # --- services -------------------------------------------------------------------------

    @functools.cached_property
    def _services(self) -> tuple[Service, ...]:
        """The service itself, then each platform."""
        # Here and not above: the HTTP libraries are a third of what importing a framework costs.
        with late_imports():
            from ..calls.exchange import Service
            from ..http.channel import Channel

        options = self.options
        given = options.http_client, options.http_async_client
        admission = self._admission(self.settings, self.ledger, options.budget)
        services = [Service(admission, Channel(self.settings, *given))]
        for platform in options.platforms:
            settings, ledger = self._settings_of(platform), self._ledger_of(platform)
            admission = self._admission(settings, ledger, Budget(calls=platform.max_calls))
            services.append(Service(admission, Channel(settings)))
        return tuple(services)

    def _ledger_of(self, platform: Platform) -> Ledger:
        """Where calls to a platform are counted: they cost money, so all processes count them.

        Raises:
            ConfigurationError: other processes would not see the count, so that its cap held for
                each of them alone.
        """
        ledger = self.ledger
        if ledger is None or not ledger.is_shared:
            raise ConfigurationError(
                _(
                    "The platform {base_url} has a cap, which needs a ledger that all "
                    "processes share. Leave ledger= and MODELSCOPE_LEDGER out, or name a file "
                    "or a Redis."
                ).format(base_url=platform.base_url)
            )
        return ledger

    @functools.cached_property
    def driver(self) -> Driver:
        """What plays the flows of sync calls."""
        services = self._services
        with late_imports():
            from ..calls.driver import Driver
        return Driver(services)

    @functools.cached_property
    def async_driver(self) -> AsyncDriver:
        """What plays the flows of calls in event loops."""
        services = self._services
        with late_imports():
            from ..calls.async_driver import AsyncDriver
        return AsyncDriver(services)

    def _settings_of(self, platform: Platform) -> Settings:
        return replace(
            self.settings,
            token=platform.key(),
            base_url=platform.base_url,
            owner=None,
            account_kind=NO_PROVIDERS,  # a cap holds for all of its models
            proxy=resolve_proxy(platform.base_url, self.options.proxy),
            headers={},
        )

    def _admission(
        self, settings: Settings, ledger: Ledger | None, budget: Budget | None
    ) -> Admission:
        concurrency, account = self.options.concurrency, settings.account()
        limiters = Limiters(concurrency, account, ledger)
        if concurrency == "adaptive" and ledger is not None and ledger.is_shared:
            limiters = _account_of(settings).shared_limiters.setdefault(ledger, limiters)
        else:
            limiters = _account_of(settings).limiters.setdefault(concurrency, limiters)
        return Admission(account, ledger, limiters, budget)

    @property
    def image_limiter(self) -> ConcurrencyLimiter:
        """Where image tasks wait for their turn: those of all clients of this account."""
        size, limiters = self.options.image_tasks, self.account.image_limiters
        return limiters.setdefault(size, ConcurrencyLimiter(size))

    def reuse(self, kind: type[R]) -> R | None:
        """The sync or async reuse of answers; ``None`` where the options ask for none."""
        options = self.options
        if not options.merge and options.cache is None:
            return None
        headers = {name: value.reveal() for name, value in options.headers.items()}
        singleflight = self.account.singleflight if options.merge else None
        elsewhere = [(platform.base_url, platform.models) for platform in options.platforms]
        terms = options.max_retries, options.budget, elsewhere
        return kind(singleflight, options.cache, (options.url, headers), terms, options.timeout)

    # --- a call ---------------------------------------------------------------------------

    def check_model(self, model: str) -> None:
        """Refuse what cannot be a model ID here.

        Raises:
            ModelNotServedError: it cannot be one. ModelScope's own hosts want ``owner/name``; any
                other service may call its models what it likes.
        """
        checks.check_model(model, plain=not is_modelscope(self.options.url))

    def profile(self, model: str) -> ModelProfile:
        """What is known of a model."""
        return self.account.book.look_up(model)

    def _redactor(self, request: Request) -> Redactor:
        """`redact`, and what the headers of one call may hold."""
        own = request.extra_headers
        return self.redact.beside(own.values()) if own else self.redact

    def terms(self, timeout: float | None = None, policy: RetryPolicy | None = None) -> Terms:
        """The terms of a call that begins now.

        Args:
            timeout: its total deadline in seconds; by default the client's.
            policy: when to try again; by default as the client's options say.
        """
        seconds = self.options.timeout if timeout is None else checked_timeout(timeout)
        return Terms(
            deadline=time.monotonic() + seconds,
            policy=policy or self.policy,
            book=self.account.book,
            budget=self.account.budget,
            redact=self.redact,
            looks=self._looks,
        )

    @functools.cached_property
    def _looks(self) -> dict[str, Encoded]:
        """What may be looked at again before a pool is called spent: the time, at any service."""
        looks, hub = {"time": catalogue.listed_at()}, hub_url(self.options.url)
        if hub is not None:
            looks |= {"balance": catalogue.balance(hub), "earnings": catalogue.earnings(hub)}
        return looks

    def begin(self, request: Request, task: str, *, stream: bool = False) -> tuple[Flow, float]:
        """The flow of a call and its deadline, after the checks that need no request."""
        self.check_model(request.model)
        row = check_task(self.profile(request.model), task)
        for model in request.fallback_models:
            self.check_model(model)
            check_task(self.profile(model), task)
        checks.check_headers(request.extra_headers)
        terms = self.terms(request.timeout)
        if request.extra_headers:
            terms = replace(terms, redact=self._redactor(request))
        if row.flow == "poll":
            return poll_flow(row, cast("ImageRequest", request), terms), terms.deadline
        substitutes = tuple(
            platform.substitute_model(request.model, task) for platform in self.options.platforms
        )
        flow = call_flow(row, request, terms, stream=stream, substitutes=substitutes)
        return flow, terms.deadline

    def decoder(
        self, request: Request, handover: Handover, reply: ReplyHead | None
    ) -> StreamDecoder:
        """What turns the rest of a handed-over stream into deltas."""
        assert reply is not None
        redact = self._redactor(request)
        return StreamDecoder(handover.value, reply.events, reply.pending, handover.origin, redact)

    def record_quota_error(self, error: QuotaExceededError) -> None:
        """Record a pool that was declared spent when its call had long been settled.

        An image task may fail so after it was accepted.
        """
        block = block_of(error.details)
        if block is None or self.ledger is None:
            return
        with contextlib.suppress(ConfigurationError):  # the news itself is about to be raised
            tier = self.profile(error.model).tier if error.model else None
            self.ledger.block(self.settings.account(), block, tier=tier)

    # --- embeddings -----------------------------------------------------------------------

    def batches(self, request: EmbeddingRequest) -> Batches:
        """The batches of an embedding call, after the checks that need no request."""
        self.check_model(request.model)
        check_task(self.profile(request.model), "embedding")
        for model in request.fallback_models:
            if _without_provider(model) != _without_provider(request.model):
                raise ConfigurationError(
                    _(
                        "{model!r} cannot stand in for {model2!r}: vectors of two models do not "
                        "fit one index. Use another way to the same model, owner/name:Provider."
                    ).format(model=model, model2=request.model)
                )
        checks.check_range("batch_size", request.batch_size, 1)
        return Batches(request.texts, self._batch_size(request))

    def _batch_size(self, request: EmbeddingRequest) -> int:
        known, wanted = self.profile(request.model).embedding_batch, request.batch_size
        if wanted is None:
            return known
        learnt = known != profile_for(request.model).embedding_batch
        return min(known, wanted) if learnt else wanted

    def shrink_batches(
        self,
        error: InvalidRequestError,
        request: EmbeddingRequest,
        batch: tuple[str, ...],
        batches: Batches,
    ) -> None:
        """Cut batches smaller after one was refused for its size, and remember the size.

        Raises:
            InvalidRequestError: it was refused for another reason.
        """
        too_large = error.reason == "batch_too_large" or error.status_code == 413
        if len(batch) == 1 or not too_large:
            raise error
        self.account.book.learn(request.model, embedding_batch=batches.split(batch))


def _without_provider(model: str) -> str:
    return model.rpartition(":")[0] or model

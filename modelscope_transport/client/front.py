"""What the two clients share: construction, pickling, and what needs no request.

Laws of this file: nothing here waits for a service. Free requests are made here, and sent by the
sync or the async client.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import Any, Self

from msgspec.structs import replace

from .._wire import catalogue
from .._wire.encoded import Encoded
from .._wire.failures import no_answer
from ..calls.attempt import Flow
from ..calls.books import Books, books_flow
from ..calls.free_request import free_flow
from ..calls.retry import RetryPolicy
from ..catalogue.models import ModelProfile, ModelStatus, remember_models
from ..catalogue.tasks import known_task
from ..errors import ConfigurationError, ModelScopeError
from ..language import translated as _
from ..quota import DayUse, Ledger, Plan, Quota, Statement, binding, plan
from ..secret import hide
from ..settings import hub_url
from ..task_types import ImageRequest, Rank, RerankRequest, RerankResult
from .core import Core
from .options import Options, hide_options, takes_options
from .rerank_prompt import check_ranking

__all__ = ["ClientFront", "no_turn", "trivial_ranking"]

# Seconds that a free request is waited for: less than a paid answer.
_PATIENCE = 20.0


class ClientFront:
    """What both clients share."""

    _core: Core

    @takes_options(Options)
    def __init__(self, api_key: Any = None, **options: Any) -> None:
        # Hidden first: a traceback that shows local variables must not show credentials.
        api_key = hide(api_key)
        options = hide_options(options)
        self._core = Core(Options(api_key, **options))

    @classmethod
    def _of(cls, core: Core) -> Self:
        """A client with the core of another one."""
        client = cls.__new__(cls)
        client._core = core
        return client

    @property
    def base_url(self) -> str:
        """Address of the service."""
        return self._core.options.url

    @property
    def ledger(self) -> Ledger | None:
        """Where spending is counted; ``None`` where that is switched off."""
        return self._core.ledger

    @property
    def account(self) -> str:
        """The account's name in the ledger; it does not lead back to the token."""
        return self._core.settings.account()

    def profile(self, model: str) -> ModelProfile:
        """What a model can do, as far as is known."""
        return self._core.profile(model)

    def __repr__(self) -> str:
        """Show the address, never the token. One whose options were refused has none yet."""
        made = f"base_url={self.base_url!r}" if "_core" in vars(self) else ""
        return f"{type(self).__name__}({made})"

    def __copy__(self) -> Self:
        """A client has no state of its own to copy."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """As `__copy__`; a deep copy in the same process keeps its token."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave out credentials, see `Options`, and injected HTTP clients."""
        return _revive, (type(self), self._core.options)

    # --- the allowance, as the ledger knows it --------------------------------------------

    def _ledger(self) -> Ledger:
        ledger = self._core.ledger
        if ledger is None:
            raise ConfigurationError(
                _(
                    "The ledger is switched off, so nothing is counted. Leave ledger= out, or "
                    "name one."
                )
            )
        return ledger

    def _quotas(self) -> tuple[Quota, ...]:
        return self._ledger().quotas(self.account, self._core.options.budget)

    def _quota(self, model: str) -> Quota:
        self._core.check_model(model)
        return binding(self._quotas(), model, self._price(model), self.account)

    def _plan(self, items: int, model: str) -> Plan:
        self._core.check_model(model)
        profile = self._core.profile(model)
        each = profile.embedding_batch if profile.task == "embedding" else 1
        calls = math.ceil(items / each)
        today = self._ledger().today(self.account)
        price, account = self._price(model), self.account
        return plan(self._quotas(), model, price, items, calls, today, account)

    def _price(self, model: str) -> int:
        return self._ledger().price(self.account, self._core.profile(model).tier)

    def _history(self, days: int) -> tuple[DayUse, ...]:
        return self._ledger().history(self.account, days)

    # --- free requests --------------------------------------------------------------------

    def _hub(self) -> str:
        hub = hub_url(self._core.options.url)
        if hub is None:
            raise ConfigurationError(
                _("Only ModelScope itself can answer this, and {url} is not its address.").format(
                    url=self._core.options.url
                )
            )
        return hub

    def _free(self, encoded: Encoded, model: str = "", retries: int = 1) -> tuple[Flow, float]:
        patience = min(_PATIENCE, self._core.options.timeout)
        terms = self._core.terms(patience, RetryPolicy(max_retries=retries))
        return free_flow(encoded, model, terms), terms.deadline

    def _books(self) -> tuple[Flow, float]:
        terms = self._core.terms(min(_PATIENCE, self._core.options.timeout), RetryPolicy())
        return books_flow(self._hub(), terms), terms.deadline

    def _statement(self, found: Books) -> Statement:
        """Keep what the service's books say, and set it beside the ledger's own count."""
        ledger, balance = self._ledger(), found.balance
        ledger.record_statement(self.account, rates=found.rates)  # the rest was recorded as it came
        statement = ledger.statement(self.account, found.spent)
        return statement if balance is None else replace(statement, frozen=balance.frozen)

    def _status(self, model: str) -> tuple[Flow, float]:
        self._core.check_model(model)
        return self._free(catalogue.status(self._hub(), model.partition(":")[0]), model, 0)

    def _record_status(self, status: ModelStatus) -> ModelStatus:
        if status.tier is not None:
            today = dt.datetime.now(dt.UTC).date().isoformat()
            facts = {"tier": status.tier, "source": "list_model_providers", "checked": today}
            remember_models({status.id: facts})
        return status

    # --- other tasks ----------------------------------------------------------------------

    def _has_own_endpoint(self, model: str) -> bool:
        row = known_task(self._core.profile(model))
        return row is not None and row.kind == "rerank"


def _revive(cls: type[ClientFront], options: Options) -> ClientFront:
    return cls._of(Core(options))


def no_turn(request: ImageRequest) -> ModelScopeError:
    """The error of an image task whose turn did not come before the deadline."""
    return no_answer("no_turn", request.model).error(attempts=0)


def trivial_ranking(request: RerankRequest) -> RerankResult | None:
    """The result where fewer than two documents need no request; ``None`` for more."""
    check_ranking(request)
    if len(request.documents) > 1:
        return None
    return RerankResult(tuple(Rank(index, 1.0) for index in range(len(request.documents))))

"""What a client tells of the allowance and of models. None of it is charged.

Laws of this file: each call is written once for each colour. What the ledger knows is told without
asking the service; what is asked of the service is a question of `_wire.catalogue`.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import math
import time
from typing import Any

from .._wire import catalogue
from .._wire.checks import check_model
from .._wire.encoded import Encoded
from ..calls.free_request import ask_flow
from ..calls.policy import Flow
from ..calls.retry import RetryPolicy
from ..catalogue.models import ModelStatus, remember_models
from ..errors import ConfigurationError, ServerError
from ..quota import (
    Balance,
    DayUse,
    Ledger,
    Plan,
    Quota,
    binding,
    plan,
)
from ..settings import hub_url
from .core import Core

__all__ = ["AllowanceCalls", "AsyncAllowanceCalls"]

# A question is not waited for as a paid answer is.
_PATIENCE = 20.0


class _Questions:
    """What both colours share."""

    _core: Core

    def _ledger(self) -> Ledger:
        ledger = self._core.ledger
        if ledger is None:
            raise ConfigurationError(
                "The ledger is switched off, so nothing is counted. Leave ledger= out, or name one."
            )
        return ledger

    @property
    def account(self) -> str:
        """The account's name in the ledger; it does not lead back to the token."""
        return self._core.settings.account()

    def _quotas(self) -> tuple[Quota, ...]:
        return self._ledger().quotas(self.account, self._core.options.budget)

    def _quota(self, model: str) -> Quota:
        check_model(model)
        return binding(self._quotas(), model, self._core.profile(model).tier)

    def _plan(self, items: int, model: str) -> Plan:
        check_model(model)
        profile = self._core.profile(model)
        each = profile.embedding_batch if profile.task == "embedding" else 1
        calls = math.ceil(items / each)
        return plan(self._quotas(), model, profile.tier, items, calls, time.time())

    def _history(self, days: int) -> tuple[DayUse, ...]:
        return self._ledger().history(self.account, days)

    def _hub(self) -> str:
        hub = hub_url(self._core.options.base_url)
        if hub is None:
            raise ConfigurationError(
                f"Only ModelScope itself tells this; {self._core.options.base_url} is no address "
                "of it."
            )
        return hub

    def _question(self, encoded: Encoded, model: str = "", retries: int = 1) -> tuple[Flow, float]:
        deadline = time.monotonic() + min(_PATIENCE, self._core.options.timeout)
        policy = RetryPolicy(max_retries=retries)
        return ask_flow(encoded, model, policy=policy, deadline=deadline), deadline

    def _heard_balance(self, balance: Balance) -> Balance:
        if self._core.ledger is not None:
            self._core.ledger.report(self.account, balance.available)
        return balance

    def _status_question(self, model: str) -> tuple[Flow, float]:
        check_model(model)
        return self._question(catalogue.status(self._hub(), model.partition(":")[0]), model, 0)

    def _heard_status(self, status: ModelStatus) -> ModelStatus:
        if status.tier is not None:
            today = dt.datetime.now(dt.UTC).date().isoformat()
            facts = {"tier": status.tier, "source": "list_model_providers", "checked": today}
            remember_models({status.id: facts})
        return status


class AllowanceCalls(_Questions):
    """The sync colour."""

    def quota(self, model: str) -> Quota:
        """The pool that decides how many more calls ``model`` may get today.

        It is told from the ledger alone, so it costs nothing and asks nobody.

        Raises:
            ConfigurationError: the ledger is switched off, or cannot be used.
        """
        return self._quota(model)

    def quotas(self) -> tuple[Quota, ...]:
        """The account's pool, then those of the models that were asked today or are spent.

        Raises:
            ConfigurationError: the ledger is switched off, or cannot be used.
        """
        return self._quotas()

    def history(self, days: int = 14) -> tuple[DayUse, ...]:
        """What was spent on each of the last days, oldest first, without idle days.

        Raises:
            ConfigurationError: the ledger is switched off, or cannot be used.
        """
        return self._history(days)

    def plan(self, items: int, model: str) -> Plan:
        """Whether so many questions, or texts to embed, fit into today; else how long they take.

        Raises:
            ConfigurationError: the ledger is switched off, or cannot be used.
        """
        return self._plan(items, model)

    def balance(self) -> Balance:
        """Ask the service for the account's Magicubes; the ledger takes the answer over.

        A spent account is open again when there are some. Free of charge.

        Raises:
            ModelScopeError: one of the tree in `modelscope_transport.errors`.
        """
        balance: Balance = self._ask(*self._question(catalogue.balance(self._hub())))
        return self._heard_balance(balance)

    def models(self) -> tuple[str, ...]:
        """IDs of the models that the service lists. It serves more: embedding models, for one.

        Raises:
            ModelScopeError: one of the tree in `modelscope_transport.errors`.
        """
        listed: tuple[str, ...] = self._ask(*self._question(catalogue.listed()))
        return listed

    def served_at(self) -> tuple[tuple[str, ...], float | None]:
        """`models`, and the time by the service's own clock, seconds since the epoch.

        Raises:
            ModelScopeError: one of the tree in `modelscope_transport.errors`.
        """
        told: tuple[tuple[str, ...], float | None]
        told = self._ask(*self._question(catalogue.listed_at()))
        return told

    def model_status(self, model: str) -> ModelStatus:
        """Ask the service whether it serves a model, and at which price. Free of charge.

        Raises:
            ModelScopeError: one of the tree in `modelscope_transport.errors`.
        """
        try:
            status: ModelStatus = self._ask(*self._status_question(model))
        except ServerError:
            return catalogue.unknown(model)
        return self._heard_status(status)

    def _ask(self, flow: Flow, deadline: float) -> Any:
        handover, _ = self._core.driver.drive(flow, deadline)
        return handover.value


class AsyncAllowanceCalls(_Questions):
    """The same for event loops; what the ledger knows is looked up in a thread."""

    async def quota(self, model: str) -> Quota:
        """As `AllowanceCalls.quota`."""
        return await asyncio.to_thread(self._quota, model)

    async def quotas(self) -> tuple[Quota, ...]:
        """As `AllowanceCalls.quotas`."""
        return await asyncio.to_thread(self._quotas)

    async def history(self, days: int = 14) -> tuple[DayUse, ...]:
        """As `AllowanceCalls.history`."""
        return await asyncio.to_thread(self._history, days)

    async def plan(self, items: int, model: str) -> Plan:
        """As `AllowanceCalls.plan`."""
        return await asyncio.to_thread(self._plan, items, model)

    async def balance(self) -> Balance:
        """As `AllowanceCalls.balance`."""
        balance: Balance = await self._ask(*self._question(catalogue.balance(self._hub())))
        return await asyncio.to_thread(self._heard_balance, balance)

    async def models(self) -> tuple[str, ...]:
        """As `AllowanceCalls.models`."""
        listed: tuple[str, ...] = await self._ask(*self._question(catalogue.listed()))
        return listed

    async def model_status(self, model: str) -> ModelStatus:
        """As `AllowanceCalls.model_status`."""
        try:
            status: ModelStatus = await self._ask(*self._status_question(model))
        except ServerError:
            return catalogue.unknown(model)
        return await asyncio.to_thread(self._heard_status, status)

    async def _ask(self, flow: Flow, deadline: float) -> Any:
        handover, _ = await self._core.driver.adrive(flow, deadline)
        return handover.value

"""What costs nothing to ask: the account's books, the list of models, who serves one, its price.

The balance is documented. Prices, transactions and the rules of granting are not: two clients read
them (2026-10). They are decoded leniently, and what cannot be read is left out: they are optional.

``GET /models`` answers with any token or none, and is not the full set: embedding models, image
models and some chat models are served without being listed (public clients, recorded 2026-07 to
2026-10). The price list is a page of the website and undocumented; an unknown ID is answered there
with 500 (recorded 2026-08-26), so that it cannot be told from a failure.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ..catalogue.models import ModelStatus, known_models, near_names, profile_for
from ..language import translated as _
from ..quota import UTC8, Balance, ClassUse, Earnings, EarnRule
from .encoded import Encoded
from .outcomes import Failure, Reply, open_body, read_date, read_failure

__all__ = [
    "MOST_RECORDS",
    "balance",
    "earnings",
    "listed",
    "listed_at",
    "rates",
    "spent",
    "status",
    "unknown",
]

MOST_RECORDS = 100  # on a page; two clients ask for so many
# Magicubes: what is more is no price of a call, and no balance.
_DEAREST, _MOST = 1e6, 1e12


class _Amounts(Struct):
    available_balance: float | None = None
    total_balance: float | None = None
    frozen_amount: float | None = None


class _BalanceEnvelope(Struct):
    data: _Amounts | None = None
    success: bool | None = None


class _Entry(Struct):
    id: str | None = None


class _List(Struct):
    data: list[_Entry] | None = None


class _Provider(Struct):
    Name: str | None = None
    CostTier: str | None = None
    EstimatedMagicGrainCost: float | None = None


class _Providers(Struct):
    Providers: list[_Provider] | None = None


class _Offer(Struct):
    Data: _Providers | None = None
    Success: bool | None = None


_any = msgspec.json.Decoder()
_balance_envelope = msgspec.json.Decoder(_BalanceEnvelope, strict=False)
_list = msgspec.json.Decoder(_List, strict=False)
_offer = msgspec.json.Decoder(_Offer, strict=False)


def balance(hub: str) -> Encoded:
    """How to ask for the account's Magicubes; reads as a `Balance`.

    What is frozen is held for calls that run (modelscope/modelscope_hub, tests/data/openapi.json):
    a balance that is read meanwhile is lower by their prices.
    """
    return Encoded(path=f"{hub}/openapi/v1/magicubes/balance", read=_read_balance)


def _read_balance(reply: Reply) -> Balance | Failure:
    envelope = open_body(_balance_envelope, reply.body)
    if isinstance(envelope, Failure):
        return envelope
    if envelope.success is False:
        return replace(read_failure(reply.body), unreadable=True)
    amounts = envelope.data or _Amounts()
    if amounts.available_balance is None:
        # One client says that some tokens get a success without numbers (recorded 2026-10-06).
        return Failure(_("a balance without numbers"), unreadable=True)
    frozen, total = amounts.frozen_amount or 0.0, amounts.total_balance
    told = (amounts.available_balance, frozen, total or 0.0)
    if not all(-_MOST < amount < _MOST for amount in told):  # a NaN among them
        return Failure(_("a balance without numbers"), unreadable=True)
    return Balance(
        available=amounts.available_balance,
        total=amounts.available_balance + frozen if total is None else total,
        frozen=frozen,
    )


def rates(hub: str) -> Encoded:
    """How to ask for the prices; reads as Magicubes of a call by price class."""
    return Encoded(path=f"{hub}/openapi/v1/magicubes/spend/rates", read=_read_rates)


def spent(hub: str, page: int = 1) -> Encoded:
    """How to ask what was spent, newest first; reads as a list of `ClassUse`, at most 100."""
    query = f"type=SPEND_CONFIRM&page={page}&page_size={MOST_RECORDS}"
    path = f"{hub}/openapi/v1/magicubes/transactions?{query}"
    return Encoded(path=path, read=_read_spent)


def earnings(hub: str) -> Encoded:
    """How to ask what today still grants; reads as `Earnings`."""
    return Encoded(path=f"{hub}/openapi/v1/magicubes/earn/rules", read=_read_earnings)


def _read_rates(reply: Reply) -> dict[str, float] | Failure:
    rows = _rows(reply, "rates")
    if isinstance(rows, Failure):
        return rows
    found = {}
    for row in rows:
        price, name = _number(row.get("unit_price")), row.get("model_tier")
        if row.get("scene", "api_inference") != "api_inference":
            continue
        # What is no price of a call is left to the table.
        if isinstance(name, str) and price is not None and 0.1 <= price < _DEAREST:
            found[name] = price
    return found


def _read_spent(reply: Reply) -> list[ClassUse] | Failure:
    rows = _rows(reply, "records")
    if isinstance(rows, Failure):
        return rows
    found = []
    for row in rows:
        day, amount = _day(row.get("gmt_created")), _number(row.get("total_amount"))
        count = _number(row.get("count"))
        if day is not None:
            name = str(row.get("model_tier") or "")
            calls = 1 if count is None else int(count)
            found.append(ClassUse(day, name, None if amount is None else abs(amount), calls))
    return found


def _read_earnings(reply: Reply) -> Earnings | Failure:
    rows = _rows(reply, "rules")
    if isinstance(rows, Failure):
        return rows
    found = []
    for row in rows:
        name = next((row[key] for key in _RULE_NAMES if isinstance(row.get(key), str)), None)
        cap, earned = _number(row.get("daily_cap")), _number(row.get("today_earned_amount"))
        if name is not None and cap is not None:
            found.append(EarnRule(name, cap, earned or 0.0))
    return Earnings(tuple(found))


_RULE_NAMES = ("rule_code", "code", "scene", "type", "name")


def _rows(reply: Reply, name: str) -> list[dict[str, Any]] | Failure:
    """The list of a name in ``data``; anything odd in it is left out."""
    body = open_body(_any, reply.body)
    if isinstance(body, Failure):
        return body
    data = body.get("data") if isinstance(body, dict) else None
    rows = data.get(name) if isinstance(data, dict) else data
    if reply.status >= 400 or not isinstance(rows, list):
        return replace(read_failure(reply.body), unreadable=True)
    return [row for row in rows if isinstance(row, dict)]


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _day(moment: Any) -> str | None:
    """The day in UTC+8 of a moment: milliseconds or seconds since the epoch, or a written date."""
    number = _number(moment)
    try:
        if number is not None:
            seconds = number / 1000 if number > 1e11 else number
            return dt.datetime.fromtimestamp(seconds, UTC8).date().isoformat()
        written = dt.datetime.fromisoformat(str(moment))
    except (ValueError, OverflowError, OSError):
        return None
    there = written if written.tzinfo is None else written.astimezone(UTC8)
    return there.date().isoformat()


def listed() -> Encoded:
    """How to ask for the list of models; reads as their IDs."""
    return Encoded(path="/models", read=_read_list)


def listed_at() -> Encoded:
    """The same; reads as the IDs and the time by the service's clock."""

    def read(reply: Reply) -> Any:
        models = _read_list(reply)
        return models if isinstance(models, Failure) else (models, read_date(reply.headers))

    return Encoded(path="/models", read=read)


def _read_list(reply: Reply) -> tuple[str, ...] | Failure:
    entries = open_body(_list, reply.body)
    if isinstance(entries, Failure):
        return entries
    if entries.data is None:
        return replace(read_failure(reply.body), unreadable=True)
    return tuple(entry.id for entry in entries.data if entry.id)


def status(hub: str, model: str) -> Encoded:
    """How to ask who serves a model; reads as a `ModelStatus`."""
    path = f"{hub}/api/v1/inference/list_model_providers?ModelId={quote(model, safe='/')}"
    return Encoded(path=path, read=lambda reply: _read_status(reply, model))


def _read_status(reply: Reply, model: str) -> ModelStatus | Failure:
    offer = open_body(_offer, reply.body)
    if isinstance(offer, Failure):
        return offer
    if offer.Data is None or offer.Success is False:
        return read_failure(reply.body)
    providers = offer.Data.Providers or []
    own = next((provider for provider in providers if provider.Name == "ModelScope"), None)
    return ModelStatus(
        id=model,
        served=own is not None,
        withdrawn=own is None and model in known_models(),
        tier=own.CostTier if own else None,
        magicubes=own.EstimatedMagicGrainCost if own else None,
        providers=tuple(p.Name for p in providers if p.Name and p is not own),
        task=profile_for(model).task,
    )


def unknown(model: str) -> ModelStatus:
    """A model of which the service says nothing."""
    return ModelStatus(id=model, served=None, near=near_names(model), task=profile_for(model).task)

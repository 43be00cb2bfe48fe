"""What costs nothing to ask: the balance, the list of models, who serves a model at which price.

``GET /models`` answers anybody, and is not the full set: embedding models, image models and some
chat models are served without being listed (public clients, recorded 2026-07 to 2026-10). The price
list is a page of the website and undocumented; an unknown ID is answered there with 500 (recorded
2026-08-26), so that it cannot be told from a failure.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ..catalogue.models import (
    ModelStatus,
    known_models,
    near_names,
    profile_for,
)
from ..quota import Balance
from .encoded import Encoded
from .lenient_json import read_json
from .outcomes import Failure, Reply, read_date, read_failure

__all__ = ["balance", "listed", "listed_at", "status", "unknown"]


class _Amounts(Struct):
    available_balance: float | None = None
    total_balance: float | None = None
    frozen_amount: float | None = None


class _Purse(Struct):
    data: _Amounts | None = None


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


_purse = msgspec.json.Decoder(_Purse, strict=False)
_list = msgspec.json.Decoder(_List, strict=False)
_offer = msgspec.json.Decoder(_Offer, strict=False)


def balance(hub: str) -> Encoded:
    """How to ask for the account's Magicubes; reads as a `Balance`.

    What is frozen is held for tasks that run (modelscope/modelscope_hub, tests/data/openapi.json).
    """
    return Encoded(body=b"", path=f"{hub}/openapi/v1/magicubes/balance", read=_read_balance)


def _read_balance(reply: Reply) -> Balance | Failure:
    purse = _decoded(_purse, reply)
    if isinstance(purse, Failure):
        return purse
    amounts = purse.data or _Amounts()
    if amounts.available_balance is None:
        # One client says that some tokens get a success without numbers (recorded 2026-10-06).
        return Failure("a balance without numbers", unreadable=True)
    frozen = amounts.frozen_amount or 0.0
    total = amounts.total_balance
    return Balance(
        available=amounts.available_balance,
        total=amounts.available_balance + frozen if total is None else total,
        frozen=frozen,
    )


def listed() -> Encoded:
    """How to ask for the list of models; reads as their IDs."""
    return Encoded(body=b"", path="/models", read=_read_list)


def listed_at() -> Encoded:
    """The same; reads as the IDs and the time by the service's clock."""

    def read(reply: Reply) -> Any:
        models = _read_list(reply)
        return models if isinstance(models, Failure) else (models, read_date(reply.headers))

    return Encoded(body=b"", path="/models", read=read)


def _read_list(reply: Reply) -> tuple[str, ...] | Failure:
    entries = _decoded(_list, reply)
    if isinstance(entries, Failure):
        return entries
    if entries.data is None:
        return replace(read_failure(reply.body), unreadable=True)
    return tuple(entry.id for entry in entries.data if entry.id)


def status(hub: str, model: str) -> Encoded:
    """How to ask who serves a model; reads as a `ModelStatus`."""
    path = f"{hub}/api/v1/inference/list_model_providers?ModelId={quote(model, safe='/')}"
    return Encoded(body=b"", path=path, read=lambda reply: _read_status(reply, model))


def _read_status(reply: Reply, model: str) -> ModelStatus | Failure:
    offer = _decoded(_offer, reply)
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


def _decoded(decoder: Any, reply: Reply) -> Any:
    try:
        return read_json(decoder, reply.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return replace(read_failure(reply.body), unreadable=True)

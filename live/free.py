"""What can be asked for nothing: the account's books, prices, and what needs no model."""

from __future__ import annotations

from typing import Any

from live.asking import Seen, Service
from live.facts import Answer, Experiment, Fact
from modelscope_transport.catalogue.models import profile_for
from modelscope_transport.quota.allowance import quota_rules

__all__ = ["FREE", "USE", "ask_price"]


def _data(seen: Seen) -> dict[str, Any]:
    found = seen.body.get("data") if isinstance(seen.body, dict) else None
    return found if isinstance(found, dict) else {}


def _has_numbers(seen: list[Seen]) -> Answer:
    data = _data(seen[0])
    names = ("total_balance", "available_balance", "frozen_amount")
    has = all(isinstance(data.get(name), int | float) for name in names)
    return has, f"status {seen[0].status}, fields {sorted(data)}"


def _prices(seen: list[Seen]) -> Answer:
    rates = _data(seen[0]).get("rates")
    if not isinstance(rates, list) or not rates:
        return False, f"status {seen[0].status}, no rates"
    told = {
        rate["model_tier"]: rate["unit_price"]
        for rate in rates
        if isinstance(rate, dict) and rate.get("scene") == "api_inference"
    }
    return told == quota_rules()["magicubes"]["cost"], f"{told}"


def _use(seen: list[Seen]) -> Answer:
    records = _data(seen[0]).get("records")
    if not isinstance(records, list):
        return False, f"status {seen[0].status}, no records"
    if not records:
        return None, "no use yet"
    wanted = {"gmt_created", "model_tier", "total_amount"}
    return wanted <= set(records[0]), f"fields {sorted(records[0])}"


def _grants(seen: list[Seen]) -> Answer:
    rules = _data(seen[0]).get("rules")
    if not isinstance(rules, list) or not rules:
        return False, f"status {seen[0].status}, no rules"
    wanted = {"daily_cap", "today_earned_amount"}
    return wanted <= set(rules[0]), f"{len(rules)} rules, fields {sorted(rules[0])}"


def _listed(seen: list[Seen]) -> Answer:
    rows = seen[0].body.get("data") if isinstance(seen[0].body, dict) else None
    if seen[0].status != 200 or not isinstance(rows, list):
        return False, f"status {seen[0].status}"
    return bool(rows) and all("id" in row for row in rows), f"{len(rows)} models, without a token"


def _no_task(seen: list[Seen]) -> Answer:
    return "task not found" in seen[0].text, f"status {seen[0].status}: {seen[0].text[:80]}"


def _tier(seen: list[Any]) -> Answer:
    model, reply = seen
    providers = (reply.body.get("Data") or {}).get("Providers") or []
    told = next((each.get("CostTier") for each in providers if each.get("Name") == "ModelScope"), 0)
    known = profile_for(model).tier
    return None if known is None else told == known, f"{model}: {told}, on record {known}"


def _book(name: str) -> Any:
    def run(service: Service) -> list[Seen]:
        return [service.get(f"{service.hub}/openapi/v1/magicubes/{name}")]

    return run


def ask_price(service: Service, model: str) -> Seen:
    """What the hub says of a model's price."""
    where = f"{service.hub}/api/v1/inference/list_model_providers?ModelId={model}"
    return service.get(where, token=False)


FREE = (
    Experiment(
        "the list of models, without a token",
        lambda service: [service.get(f"{service.base_url}/models", token=False)],
        (
            Fact(
                "tests/samples/catalogue/models.json",
                "The models are listed for everybody.",
                _listed,
            ),
        ),
    ),
    Experiment(
        "the balance, with a Bearer token alone",
        _book("balance"),
        (
            Fact(
                "tests/samples/catalogue/balance.json",
                "A Bearer token is enough to be told the balance, in three numbers.",
                _has_numbers,
            ),
        ),
    ),
    Experiment(
        "the price list",
        _book("spend/rates"),
        (
            Fact(
                "modelscope_transport/data/quota.toml#magicubes.cost",
                "A call costs what the table says.",
                _prices,
            ),
        ),
    ),
    Experiment(
        "what today still grants",
        _book("earn/rules"),
        (
            Fact(
                "modelscope_transport/_wire/catalogue.py",
                "A grant is listed with its cap and what today has given.",
                _grants,
            ),
        ),
    ),
    Experiment(
        "an image task that does not exist",
        lambda service: [service.look("00000000-0000-0000-0000-000000000000")],
        (
            Fact(
                "tests/samples/images/task_not_found.json",
                "A task that is not known is called not found.",
                _no_task,
            ),
        ),
    ),
    Experiment(
        "the price class of the model that is asked",
        lambda service: [service.models["chat"], ask_price(service, service.models["chat"])],
        (
            Fact(
                "modelscope_transport/data/models.toml",
                "The model has the price class that the table says.",
                _tier,
            ),
        ),
    ),
)
# Asked last, when there is something to list.
USE = Experiment(
    "what was spent",
    _book("transactions?type=SPEND_CONFIRM&page=1&page_size=20"),
    (
        Fact(
            "modelscope_transport/_wire/catalogue.py",
            "Use is listed with its time, price class and amount.",
            _use,
        ),
    ),
)

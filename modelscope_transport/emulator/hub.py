"""The endpoints of the hub (``modelscope.cn``) that tell about an account and its prices.

In reality they live on another host; here they answer on the same port. Shapes recorded 2026-08 to
2026-10 (of rates, transactions and rules only as two clients read them), the balance also in
``modelscope/modelscope_hub:tests/data/openapi.json``.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from modelscope_transport.emulator.answers import Answer, Reply
from modelscope_transport.emulator.catalogue import MAGICUBES
from modelscope_transport.emulator.inference import Backend
from modelscope_transport.emulator.server import Request


def _envelope(data: dict[str, Any]) -> Reply:
    return Reply(200, {"success": True, "request_id": str(uuid.uuid4()), "data": data})


def unauthenticated() -> Reply:
    """What the hub says to a wrong token."""
    body = {
        "success": False,
        "code": "InvalidAuthentication",
        "message": "Invalid or missing authentication token",
        "request_id": str(uuid.uuid4()),
    }
    return Reply(401, body)


async def balance(backend: Backend, request: Request) -> Answer:
    """``GET /openapi/v1/magicubes/balance``."""
    left, frozen = backend.meter.balance(), backend.meter.frozen(backend.models)
    data = {
        "total_balance": _short(round(left + frozen, 1)),
        "available_balance": _short(left),
        "frozen_amount": _short(frozen),
    }
    return _envelope(data)


async def spend_rates(backend: Backend, request: Request) -> Answer:
    """``GET /openapi/v1/magicubes/spend/rates``: what a call costs, by tier."""
    rates = [
        {
            "scene": "api_inference",
            "model_tier": tier,
            "unit": "request",
            "unit_price": price,
            "min_charge": price,
        }
        for tier, price in MAGICUBES.items()
    ]
    return _envelope({"rates": rates})


async def transactions(backend: Backend, request: Request) -> Answer:
    """``GET /openapi/v1/magicubes/transactions?type=…&page=…&page_size=…``: newest first."""
    kind = request.query.get("type")
    size = max(1, min(100, int(request.query.get("page_size", "20"))))
    page = max(1, int(request.query.get("page", "1")))
    found = [entry for entry in reversed(backend.meter.entries) if kind in (None, entry.kind)]
    records = [
        {
            "gmt_created": _written(entry.at),
            "type": entry.kind,
            "model_tier": entry.tier or None,
            "total_amount": _short(entry.tenths / 10),
            "count": 1,
        }
        for entry in found[(page - 1) * size : page * size]
    ]
    return _envelope({"records": records, "total_count": len(found)})


async def earn_rules(backend: Backend, request: Request) -> Answer:
    """``GET /openapi/v1/magicubes/earn/rules``: what today grants, and has granted."""
    cap = backend.meter.allowance.magicubes or 0
    rules = [
        {
            "rule_code": "daily_active",
            "daily_cap": _short(cap),
            "today_earned_amount": _short(backend.meter.earned_today()),
        },
        {"rule_code": "aliyun_bindlogin", "daily_cap": 50, "today_earned_amount": 50},
    ]
    return _envelope({"rules": rules})


async def sign_in(backend: Backend, request: Request) -> Answer:
    """``POST /local/sign-in``: as a sign-in on the website; the real service has no such path."""
    return _envelope({"granted": _short(backend.meter.sign_in())})


def _short(number: float) -> float | int:
    """A number as the service writes it: whole ones without a point."""
    return int(number) if number == int(number) else number


def _written(at: float) -> str:
    utc8 = dt.timezone(dt.timedelta(hours=8))
    return dt.datetime.fromtimestamp(at, utc8).strftime("%Y-%m-%d %H:%M:%S")


async def me(backend: Backend, request: Request) -> Answer:
    """``GET /openapi/v1/users/me``."""
    return _envelope({"id": 1, "username": "local", "nickname": "local"})


async def login_info(backend: Backend, request: Request) -> Answer:
    """``GET /api/v1/users/login/info``: who is signed in on the website.

    ``modelscope-mcp-server`` sends the token as the website's own cookie.
    """
    sent = request.headers.get("cookie", "") + request.headers.get("authorization", "")
    if "m_session_id=ms-" not in sent and "Bearer ms-" not in sent:
        return Reply(401, {"Code": 401, "Message": "user not logged in", "Success": False})
    user = {"Name": "local", "NickName": "local", "Email": "", "Avatar": "", "Description": ""}
    return Reply(200, {"Code": 200, "Data": user, "Message": "success", "Success": True})


async def model_providers(backend: Backend, request: Request) -> Answer:
    """``GET /api/v1/inference/list_model_providers?ModelId=…``: who serves it, at which price."""
    wanted = request.query.get("ModelId", "")
    model = backend.models.get(wanted)
    if model is None:  # recorded: an unknown model is a 500
        return Reply(500, {"Code": 500, "Message": f"model {wanted} not found", "Success": False})
    provider = {
        "ChineseName": "魔搭社区",
        "CostTier": model.tier,
        "EstimatedMagicGrainCost": int(model.cost) if model.cost >= 1 else model.cost,
        "Name": "ModelScope",
    }
    data = {"Providers": [provider], "TotalCount": 1}
    return Reply(200, {"Code": 200, "Data": data, "Success": True})

"""The few endpoints of the hub (``modelscope.cn``) that tell about an account and a price.

In reality they live on another host; here they answer on the same port. Shapes recorded 2026-08 to
2026-10, the balance also in ``modelscope/modelscope_hub:tests/data/openapi.json``.
"""

from __future__ import annotations

import uuid
from typing import Any

from modelscope_transport.emulator.answers import Answer, Reply
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
    left = backend.meter.balance()
    number = int(left) if left == int(left) else left
    data = {"total_balance": number, "available_balance": number, "frozen_amount": 0}
    return _envelope(data)


async def me(backend: Backend, request: Request) -> Answer:
    """``GET /openapi/v1/users/me``."""
    return _envelope({"id": 1, "username": "local", "nickname": "local"})


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

"""The hub's library of models: one model's page, the official search, the website's filter.

Shapes: ``modelscope/modelscope_hub:tests/data/openapi.json`` for the search; public clients,
recorded 2026, for the page and the filter, which are undocumented; they include the fields of a
model that ``modelscope-mcp-server`` 0.2.1 needs. ``SupportApiInference`` is false even where it
should not be, as recorded (2026-08-08).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from modelscope_transport.emulator.answers import Answer, Reply
from modelscope_transport.emulator.catalogue import Model
from modelscope_transport.emulator.inference import Backend
from modelscope_transport.emulator.server import Request

_PAGES = "/api/v1/models/"
_LARGEST_PAGE, _MOST_MODELS = 50, 3000
_MADE = 1_767_225_600
"""When all of them were made, seconds since the epoch."""


async def model(backend: Backend, request: Request) -> Answer:
    """``GET /api/v1/models/{owner}/{name}``: needs no token."""
    found = backend.models.get(request.path.removeprefix(_PAGES))
    if found is None:
        missing = {"Code": 10010205001, "Message": "record not found", "Success": False}
        return Reply(404, missing)
    return Reply(200, {"Code": 200, "Data": _page(found), "Message": "success", "Success": True})


def _page(model: Model) -> dict[str, Any]:
    owner, _, name = model.id.partition("/")
    return {
        "ChineseName": name,
        "CreatedBy": owner,
        "CreatedTime": _MADE,
        "Downloads": 0,
        "LastUpdatedTime": _MADE,
        "License": "apache-2.0",
        "Name": name,
        "Path": owner,
        "Stars": 0,
        "SupportApiInference": False,
        "SupportInference": "",
        "Tasks": [{"Name": model.hub_task}],
    }


async def search(backend: Backend, request: Request) -> Answer:
    """``GET /openapi/v1/models``: the official search, which cannot filter by API-Inference."""
    query = request.query
    number, size = int(query.get("page_number", 1)), int(query.get("page_size", 10))
    if not 1 <= size <= _LARGEST_PAGE or number < 1 or number * size > _MOST_MODELS:
        return _refused(400, "InputParameterError", "page_size or page_number is out of range")
    found = _matching(
        backend.models.values(),
        query.get("search", ""),
        query.get("filter.task"),
        query.get("owner"),
    )
    models = [_entry(model) for model in found[(number - 1) * size : number * size]]
    data = {
        "models": models,
        "page_number": number,
        "page_size": size,
        "total_count": len(found),
    }
    return Reply(200, {"data": data, "request_id": str(uuid.uuid4()), "success": True})


def _refused(status: int, code: str, message: str) -> Reply:
    request_id = str(uuid.uuid4())
    body = {"code": code, "message": message, "request_id": request_id, "success": False}
    return Reply(status, body)


def _matching(
    models: Iterable[Model], words: str, task: str | None, owner: str | None
) -> list[Model]:
    return [
        model
        for model in models
        if words.lower() in model.id.lower()
        and task in (None, "", model.hub_task)
        and owner in (None, "", model.id.partition("/")[0])
    ]


def _entry(model: Model) -> dict[str, Any]:
    return {
        "description": "",
        "display_name": model.id.partition("/")[2],
        "downloads": 0,
        "gated": False,
        "id": model.id,
        "likes": 0,
        "private": False,
        "tags": [],
        "tasks": [model.hub_task],
    }


async def filtered(backend: Backend, request: Request) -> Answer:
    """``PUT /api/v1/dolphin/models``: the website's filter, which can."""
    body = request.body if isinstance(request.body, dict) else {}
    number, size = int(body.get("PageNumber", 1)), int(body.get("PageSize", 30))
    found = _matching(backend.models.values(), str(body.get("Name") or ""), _task(body), None)
    models = [
        {**_page(model), "SupportApiInference": True}
        for model in found[(number - 1) * size : number * size]
    ]
    data = {"Model": {"Models": models, "TotalCount": len(found)}}
    request_id = str(uuid.uuid4())
    return Reply(200, {"Code": 200, "Data": data, "RequestId": request_id, "Success": True})


def _task(body: Mapping[str, Any]) -> str | None:
    for criterion in body.get("Criterion") or []:
        if criterion.get("category") == "tasks" and criterion.get("values"):
            return str(criterion["values"][0])
    return None

"""Pictures: ``POST /v1/images/generations``, ``GET /v1/tasks/{id}``, and the files themselves.

Shapes recorded 2026-04 and later: the reply to a new task says ``SUCCEED``, which means only that
it was accepted; while it is worked on it is ``PROCESSING`` (``PENDING``, ``RUNNING`` by scenario);
one that failed says so with status 200. A task of a model that is not served is accepted and fails
(public client, 2026-08-26). Ranges of the parameters are those of the official documentation; the
words of refusals are this project's own.

A scenario decides how a task goes on: it writes that behind the task's id (``scenarios/images``).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from modelscope_transport.emulator.answers import Answer, Reply
from modelscope_transport.emulator.catalogue import Model
from modelscope_transport.emulator.failures import refuse
from modelscope_transport.emulator.inference import Backend
from modelscope_transport.emulator.scripted.drawing import (
    Picture,
    caption_of,
    draw,
    name_of,
    picture_of,
)
from modelscope_transport.emulator.scripted.rules import find_model
from modelscope_transport.emulator.server import Request

LOOKS = 1
"""How many polls of a task find it ``PROCESSING`` before it ends."""

_SIZE = re.compile(r"(\d+)x(\d+)")


@dataclass(slots=True)
class ImageTask:
    """A task that was accepted.

    Attributes:
        model: The model that was asked; None where it is not served.
        asked: The name that was asked for.
        file: The picture's name.
        looks: How often it was polled.
        done: Whether a poll has told its end.
    """

    model: Model | None
    asked: str
    file: str
    looks: int = 0
    done: bool = False


async def generate(backend: Backend, request: Request) -> Answer:
    """``POST /v1/images/generations``."""
    body = request.body
    if not isinstance(body, dict):
        return refuse("bad_json")
    if request.headers.get("x-modelscope-async-mode", "").lower() != "true":
        return refuse("images_synchronous")
    found = find_model(body.get("model"), backend.models)
    model = found if isinstance(found, Model) else None
    if model is None and "/" not in str(body.get("model")):
        return found if isinstance(found, Reply) else refuse("bad_json")
    if model is not None and model.kind != "image":
        return refuse("wrong_task", model=model.id)
    if (wrong := _judge(body, model)) is not None:
        return refuse("invalid_parameter", detail=wrong)
    if model is not None:
        at_once = backend.meter.allowance.concurrency
        if at_once is not None and _unfinished(backend, model) >= at_once:
            return refuse("throttled", model=model.id)
        if (spent := backend.meter.refusal(model)) is not None:
            return spent
        backend.meter.charge(model)
    task_id = str(uuid.uuid4())
    backend.tasks[task_id] = ImageTask(model, str(body["model"]), name_of(_picture(body)))
    accepted = {"task_status": "SUCCEED", "task_id": task_id, "request_id": str(uuid.uuid4())}
    return Reply(200, accepted)


def _unfinished(backend: Backend, model: Model) -> int:
    """How many tasks of a model no poll has seen ended."""
    return sum(task.model is model and not task.done for task in backend.tasks.values())


def _picture(body: Mapping[str, Any]) -> Picture:
    found = _SIZE.fullmatch(str(body.get("size") or "1024x1024"))
    width, height = (int(side) for side in found.groups()) if found else (1024, 1024)
    words = str(body["prompt"])
    given = body.get("image_url") or []
    for url in [given] if isinstance(given, str) else given:
        words += f", made from: {caption_of(url) or 'a picture from elsewhere'}"
    return Picture(words, width, height, body.get("seed") or 0)


# --- what is refused


def _judge(body: Mapping[str, Any], model: Model | None) -> str | None:
    """What is wrong with a request, if anything is."""
    prompt = body.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        return "prompt must not be empty"
    for name in ("prompt", "negative_prompt"):
        if len(body.get(name) or "") >= 2000:
            return f"{name} must be shorter than 2000 characters"
    for name, (lowest, highest, whole) in _RANGES.items():
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            return f"{name} must be a number"
        if not lowest <= value <= highest:
            return f"{name} must be in [{lowest}, {highest}]"
    for check in (_size, _references, _loras):
        if (wrong := check(body, model)) is not None:
            return wrong
    return None


_RANGES: dict[str, tuple[float, float, bool]] = {
    # name: lowest, highest, whole numbers only
    "seed": (0, 2**31 - 1, True),
    "steps": (1, 100, True),
    "guidance": (1.5, 20, False),
}


def _size(body: Mapping[str, Any], model: Model | None) -> str | None:
    size = body.get("size")
    if size is None:
        return None
    found = _SIZE.fullmatch(str(size))
    lowest, highest = model.sides if model else (64, 2048)
    if found is None or not all(lowest <= int(side) <= highest for side in found.groups()):
        return f"size must be in [{lowest}x{lowest}, {highest}x{highest}]"
    return None


def _references(body: Mapping[str, Any], model: Model | None) -> str | None:
    given = body.get("image_url")
    urls = [given] if isinstance(given, str) else given or []
    if not isinstance(urls, list) or not all(isinstance(url, str) for url in urls):
        return "image_url must be an address, or a list of addresses"
    if model is None:
        return None
    if len(urls) > model.references:
        return f"model {model.id} takes at most {model.references} images"
    if model.edits and not urls:
        return f"model {model.id} needs image_url"
    if not all(url.startswith(("http://", "https://", "data:image/")) for url in urls):
        return "image_url must be an address or a base64 data URL"
    return None


def _loras(body: Mapping[str, Any], model: Model | None) -> str | None:
    loras = body.get("loras")
    if loras is None or isinstance(loras, str):
        return None
    if not isinstance(loras, dict) or not 1 <= len(loras) <= 6:
        return "loras must be an id, or up to 6 ids with their weights"
    return None if abs(sum(loras.values()) - 1) < 1e-6 else "the weights of loras must sum to 1.0"


# --- how a task goes on


async def look(backend: Backend, request: Request) -> Answer:
    """``GET /v1/tasks/{id}``."""
    task_id, _, fate = request.path.rpartition("/")[2].partition("~")
    task = backend.tasks.get(task_id)
    kind = request.headers.get("x-modelscope-task-type")
    if task is None or kind != "image_generation" or fate == "gone":
        return Reply(404, {"errors": {"message": "task not found"}})
    name, _, number = fate.partition("-")
    task.looks += 1
    ids = {"request_id": str(uuid.uuid4()), "task_id": task_id}
    if name == "trouble" and task.looks <= int(number):
        return refuse("bad_gateway")
    if task.looks <= (int(number) if name in _STATES else LOOKS):
        state = _STATES.get(name, "PROCESSING")
        return Reply(200, {**ids, "task_status": state, "outputs": {}})
    task.done = True
    if (failed := _ENDS.get(name)) is not None or task.model is None:
        if failed is None:
            errors = {
                "code": 400,
                "message": f"Model id : {task.asked} , has no provider supported",
            }
            failed = {"errors": errors}
        return Reply(200, {**failed, **ids, "task_status": "FAILED"})
    return Reply(200, {**ids, "task_status": "SUCCEED", **_FILES[name](request, task)})


# The status of a task that is not done, by its fate: ``PROCESSING`` was recorded once, undated; the
# others are states that a strict client knows (Cherry Studio, 2026).
_STATES = {"slow": "PROCESSING", "pending": "PENDING", "running": "RUNNING"}
_ENDS: dict[str, dict[str, Any]] = {
    "refused": {
        "errors": {"code": 422, "message": "Output data may contain inappropriate content."}
    },
    "busy": {"errors": {"message": "Server is busy, please try again later"}},
    "spent": {"errors": {"message": "insufficient balance"}},
    "outside": {"message": "the picture could not be made"},
}


def _address(request: Request, file: str) -> dict[str, Any]:
    return {"output_images": [f"http://{request.headers.get('host', '')}/images/{file}"]}


_FILES: dict[str, Callable[[Request, ImageTask], dict[str, Any]]] = {
    "": lambda request, task: _address(request, task.file),
    **dict.fromkeys(_STATES, lambda request, task: _address(request, task.file)),
    "trouble": lambda request, task: _address(request, task.file),
    "none": lambda request, task: {"output_images": []},
    "broken": lambda request, task: _address(request, "nothing.png"),
    "foreign": lambda request, task: {"output_images": ["http://elsewhere.invalid/picture.png"]},
}


async def file(backend: Backend, request: Request) -> Answer:
    """``GET /images/{name}``: a picture, without a token, as the service's storage gives it."""
    picture = picture_of(request.path.rpartition("/")[2])
    if picture is None:
        return Reply(404, b"<html><body>404</body></html>", {"content-type": "text/html"})
    return Reply(200, draw(picture), {"content-type": "image/png"})

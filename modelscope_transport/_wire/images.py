"""Images on the wire: ``POST /images/generations``, then ``GET /tasks/{task_id}`` until it is done.

The service no longer answers at once: without the header that asks for a task it refuses
(CherryHQ/cherry-studio#14907, 2026-04). It calls a task that it has merely accepted ``SUCCEED``
(recorded 2026-04-17), and reports one that has failed with status 200.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from ..answers import Origin
from ..catalogue.models import ModelProfile
from ..catalogue.tasks import Form
from ..destinations import why_refused
from ..errors import InvalidRequestError
from ..language import translated as _
from ..media import media_type_of
from ..task_types import Image, ImageRequest, ImageResult
from .checks import check_model, check_range, to_json
from .encoded import Done, Encoded, Ended, Pending, Waiting
from .outcomes import Failure, Reply, describe, open_body, read_refusal

__all__ = ["PATH", "fetch", "finish", "look", "prepare"]

PATH = "/images/generations"
_ASYNC = {"x-modelscope-async-mode": "true"}
_TASK_TYPE = {"x-modelscope-task-type": "image_generation"}

# The ranges of the official documentation (API-Inference introduction, 2026-08-22). Another
# revision of that page gives negative_prompt 4000 characters; the narrower one is safe in both.
_LONGEST_PROMPT = 1999
_LARGEST_SEED = 2**31 - 1
_MOST_LORAS = 6
_MOST_IMAGES = 4  # of Qwen-Image-2.1 (public client, recorded 2026-09)
_SIDES = (64, 2048)  # the widest range of any model
_NOT_THERE = "image not there"
_SIZE = re.compile(r"([0-9]{1,5})x([0-9]{1,5})")


class _Picture(Struct):
    url: str | None = None


class _Envelope(Struct):
    task_status: str | None = None
    task_id: str | int | None = None
    output_images: list[str] | None = None
    images: list[_Picture] | None = None
    error: Any = None
    errors: Any = None
    message: Any = None
    request_id: Any = None


_envelope = msgspec.json.Decoder(_Envelope, strict=False)


# --- the request ------------------------------------------------------------------------------


def prepare(
    request: ImageRequest, profile: ModelProfile, *, stream: bool, form: Form | None = None
) -> Encoded:
    """Check and encode a request; its reply reads as `Pending`, or as `Done` at once.

    Raises:
        ModelScopeError: a parameter outside its range; nothing was sent.
    """
    _check_words(request)
    _check_numbers(request)
    _check_size(request.size, profile)
    _check_images(request.images, profile)
    body: dict[str, Any] = {"model": profile.id, "prompt": request.prompt}
    for name in ("negative_prompt", "size", "seed", "steps", "guidance"):
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    if request.images:
        body["image_url"] = list(request.images)
    if request.loras is not None:
        body["loras"] = _loras(request.loras)
    if request.extra_body:
        body.update(request.extra_body)
    return Encoded(body=to_json(body), headers=_ASYNC, read=_read_accepted)


def _check_words(request: ImageRequest) -> None:
    if not request.prompt.strip():
        raise InvalidRequestError(_("There is no prompt. Say what to draw."))
    for name in ("prompt", "negative_prompt"):
        length = len(getattr(request, name) or "")
        if length > _LONGEST_PROMPT:
            raise InvalidRequestError(
                _("{name} must be below {longest_prompt} characters, and has {length}.").format(
                    name=name, longest_prompt=_LONGEST_PROMPT + 1, length=length
                )
            )


def _check_numbers(request: ImageRequest) -> None:
    for name in ("seed", "steps"):
        value = getattr(request, name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise InvalidRequestError(
                _("{name} must be a whole number, and is {value!r}.").format(name=name, value=value)
            )
    check_range("seed", request.seed, 0, _LARGEST_SEED)
    check_range("steps", request.steps, 1, 100)
    check_range("guidance", request.guidance, 1.5, 20)


def _check_size(size: str | None, profile: ModelProfile) -> None:
    if size is None:
        return
    found = _SIZE.fullmatch(size)
    least, most = profile.image_sides or _SIDES
    if found is None or not all(least <= int(side) <= most for side in found.groups()):
        raise InvalidRequestError(
            _(
                "size must be WIDTHxHEIGHT, for model {id!r} each from {least} to {most} "
                "pixels, and is {size!r}."
            ).format(id=profile.id, least=least, most=most, size=size)
        )


def _check_images(images: tuple[str, ...], profile: ModelProfile) -> None:
    most = _MOST_IMAGES if profile.image_references is None else profile.image_references
    if len(images) > most:
        said = (
            _("Model {id!r} starts from at most {most} images, and {count} came. Leave some out.")
            if most
            else _("Model {id!r} starts from no image. Choose a model that edits images.")
        )
        raise InvalidRequestError(said.format(id=profile.id, most=most, count=len(images)))
    if not images and profile.task == "image-to-image":
        raise InvalidRequestError(
            _("Model {id!r} edits images. Pass images=(…), at least one.").format(id=profile.id)
        )
    for image in images:
        _check_reference(image)


def _check_reference(image: object) -> None:
    """Refuse what the service could not fetch, or should not be made to."""
    if not isinstance(image, str):
        raise InvalidRequestError(
            _("An image to start from must be an address, and is of type {name}.").format(
                name=type(image).__name__
            )
        )
    if image.startswith("data:image/") and image.isprintable():
        return
    refusal = why_refused(image)
    if refusal is not None:
        _user, at, host = image.rpartition("@")  # a password, perhaps: it is not shown
        shown = repr(f"…@{host[:80]}" if at else image[:80])
        raise InvalidRequestError(
            _(
                "{shown} is not an address of an image that can be sent: {refusal}. Use an "
                "https address of a public host, or data:image/; "
                "modelscope_transport.media.media_url makes one of a file."
            ).format(shown=shown, refusal=refusal)
        )


def _loras(loras: str | Mapping[str, float]) -> str | dict[str, float]:
    if isinstance(loras, str):
        check_model(loras)
        return loras
    for lora in loras:
        check_model(lora)
    if not 1 <= len(loras) <= _MOST_LORAS:
        raise InvalidRequestError(
            _("loras must be from one to {most_loras}, and are {count}.").format(
                most_loras=_MOST_LORAS, count=len(loras)
            )
        )
    total = math.fsum(loras.values())
    if not math.isclose(total, 1.0, abs_tol=1e-6):
        raise InvalidRequestError(
            _("The weights of loras must sum to 1, and sum to {total:g}.").format(total=total)
        )
    return dict(loras)


# --- what comes back --------------------------------------------------------------------------


def _read_accepted(reply: Reply) -> Pending | Done | Failure:
    envelope = _open(reply)
    if isinstance(envelope, Failure):
        return envelope
    if envelope.error or envelope.errors or _is_over(envelope, "FAIL"):
        return _complaint(envelope)
    if envelope.task_id:
        return Pending(str(envelope.task_id))
    done = _done(envelope)  # as the service answered until the end of 2025
    return done or read_refusal(reply.body) or Failure("", empty=True)


def look(task_id: str) -> Encoded:
    """How to ask after a task; the reply reads as `Waiting`, `Done` or `Ended`."""
    path = f"/tasks/{quote(task_id, safe='')}"
    return Encoded(path=path, headers=_TASK_TYPE, read=_read_task)


def _read_task(reply: Reply) -> Waiting | Done | Ended | Failure:
    envelope = _open(reply)
    if isinstance(envelope, Failure):
        return envelope
    if _is_over(envelope, "FAIL", "CANCEL", "REVOKED", "ERROR"):
        return Ended(_complaint(envelope))
    if envelope.error or envelope.errors:
        return _complaint(envelope)
    if _is_over(envelope, "SUCC"):
        done = _done(envelope) or Failure("", empty=True)
        return Ended(done) if isinstance(done, Failure) else done
    # Names of states beyond these are only known from clients: PENDING, RUNNING, QUEUED.
    if envelope.task_status:
        return Waiting(envelope.task_status)
    return read_refusal(reply.body) or Failure("", empty=True)


def fetch(url: str) -> Encoded:
    """How to get an image; the reply reads as an `Image`."""

    def read(reply: Reply) -> Image | Failure:
        media_type = media_type_of(reply.body)
        if media_type is None or not media_type.startswith("image/"):
            return missing(reply)
        return Image(url, reply.body, media_type)

    def missing(reply: Reply) -> Failure:
        # What another server says is not repeated: it may be anything.
        kind = reply.headers.get("content-type", _("no type"))
        said = _("{status}, {kind!r}, of {url}")
        told = said.format(status=reply.status, kind=kind[:40], url=url[:200])
        return Failure(told, code=_NOT_THERE)

    return Encoded(path=url, read=read, refused=missing)


def finish(products: tuple[Image | str, ...], task_id: str, origin: Origin) -> ImageResult:
    """What a task made: images, or their addresses."""
    images = tuple(Image(it) if isinstance(it, str) else it for it in products)
    return ImageResult(images, task_id, origin)


def _open(reply: Reply) -> _Envelope | Failure:
    if not reply.body.strip():
        return Failure("", empty=True)
    return open_body(_envelope, reply.body)


def _is_over(envelope: _Envelope, *states: str) -> bool:
    return (envelope.task_status or "").upper().startswith(states)


def _done(envelope: _Envelope) -> Done | Failure | None:
    pictures = [picture.url for picture in envelope.images or ()]
    urls = tuple(url for url in envelope.output_images or pictures if url)
    if not urls:
        return None
    for url in urls:
        if not url[:8].lower().startswith(("https://", "http://")):
            said = _("{url!r} is not a web address").format(url=url[:200])
            return Failure(said, code=_NOT_THERE)
    return Done(urls, str(envelope.task_id or ""), envelope.task_status or "")


def _complaint(envelope: _Envelope) -> Failure:
    said = envelope.errors or envelope.error or {"message": envelope.message}
    return describe(said, request_id=envelope.request_id)

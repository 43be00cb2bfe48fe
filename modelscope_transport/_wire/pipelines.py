"""Classic pipelines on the wire: ``POST /api-inference/v1/models/{owner}/{name}``.

The path stands beside the base URL's last part, not under it. The body is ``{"input": …,
"parameters": …}``, the answer is under ``Data``, by names of the task's own. Public clients used it
so until the middle of 2025 (modelscope/modelscope-agent, tools/modelscope_tools;
modelscope/modelscope#1361); the documents of 2026 do not mention it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ..catalogue.models import ModelProfile
from ..catalogue.tasks import Form
from ..errors import InvalidRequestError
from ..language import translated as _
from ..task_types import Entity, Label, PipelineRequest, PipelineResult, Sound, Vectors
from .checks import to_json
from .encoded import Encoded
from .outcomes import Failure, Reply, open_body, read_failure, read_refusal

__all__ = ["PATH", "decode", "prepare"]

PATH = "/../api-inference/v1/models/{model}"
_UNDOCUMENTED = "undocumented pipeline"


class _Envelope(Struct):
    Data: dict[str, Any] | None = None
    Code: int | str | None = None
    Success: bool | None = None


_envelope = msgspec.json.Decoder(_Envelope, strict=False)


# --- the request ------------------------------------------------------------------------------


def prepare(
    request: PipelineRequest, profile: ModelProfile, *, stream: bool, form: Form
) -> Encoded:
    """Check and encode a request; its reply reads as a `PipelineResult`.

    Raises:
        ModelScopeError: something that the task does not take; nothing was sent.
    """
    body: dict[str, Any] = {"input": _INPUTS[form.takes](request.input)}
    if request.parameters:
        body["parameters"] = dict(request.parameters)
    if request.extra_body:
        body.update(request.extra_body)

    def read(reply: Reply) -> PipelineResult | Failure:
        return decode(reply.body, form)

    path = PATH.format(model=quote(profile.id, safe="/:"))
    return Encoded(body=to_json(body), path=path, read=read, refused=_refused)


def _text(given: Any) -> Any:
    if not isinstance(given, str) or not given.strip():
        raise InvalidRequestError(
            _("The input must be a text, and is {given}.").format(given=_shown(given))
        )
    return given


def _address(given: Any) -> Any:
    if not isinstance(given, str) or not given.startswith(("https://", "http://", "data:")):
        raise InvalidRequestError(
            _(
                "The input must be an address, https:// or data:, and is {given}. "
                "modelscope_transport.media.media_url makes one of a file."
            ).format(given=_shown(given))
        )
    # A file goes as bare base64 (modelscope/modelscope, pipeline_inputs.py).
    return given.partition(",")[2] if given.startswith("data:") else given


def _texts(given: Any, least: int, most: int | None, what: str) -> Sequence[str]:
    texts = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else []
    right = least <= len(texts) and (most is None or len(texts) <= most)
    if not right or not all(isinstance(text, str) and text.strip() for text in texts):
        raise InvalidRequestError(
            _("The input must be {what}, and is {given}.").format(what=what, given=_shown(given))
        )
    return texts


def _pair(given: Any) -> Any:
    return given if isinstance(given, Mapping) else _texts(given, 2, 2, _("two texts"))


def _sentences(given: Any) -> Any:
    if isinstance(given, Mapping):
        return given
    what = _("a text, and those to compare with it")
    first, *others = _texts([given] if isinstance(given, str) else given, 1, None, what)
    return {"source_sentence": [first], "sentences_to_compare": others}


def _anything(given: Any) -> Any:
    if given is None:
        raise InvalidRequestError(_("There is no input."))
    return given


_INPUTS: dict[str, Callable[[Any], Any]] = {
    "text": _text,
    "pair": _pair,
    "sentences": _sentences,
    "audio": _address,
    "image": _address,
    "object": _anything,
}


def _shown(given: Any) -> str:
    text = repr(given)
    return text if len(text) <= 80 else text[:80] + "…"


# --- what comes back --------------------------------------------------------------------------


def _refused(reply: Reply) -> Failure:
    failure = read_failure(reply.body)
    # Whether the address or the model is missing, a 404 does not say.
    return replace(failure, code=_UNDOCUMENTED) if reply.status == 404 else failure


def decode(body: bytes, form: Form) -> PipelineResult | Failure:
    """What a pipeline answers, or what the body says instead."""
    if not body.strip():
        return Failure("", empty=True)
    envelope = open_body(_envelope, body)
    if isinstance(envelope, Failure):
        return envelope
    if envelope.Success is False or envelope.Code not in (None, 0, 200, "200"):
        return read_failure(body)
    if not envelope.Data:
        return read_refusal(body) or Failure("", empty=True)
    try:
        output = _OUTPUTS[form.gives](envelope.Data, form.key)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        return Failure(
            _("no {gives} in the answer: {error!r}").format(gives=form.gives, error=error)[:200],
            unreadable=True,
        )
    return PipelineResult(output, envelope.Data)


def _read_text(data: Mapping[str, Any], key: str) -> str:
    text = data[key or "text"]
    if isinstance(text, list) and len(text) == 1:
        text = text[0]
    if not isinstance(text, str):
        raise TypeError(type(text).__name__)
    return text


def _read_labels(data: Mapping[str, Any], key: str) -> tuple[Label, ...]:
    labels, scores = _listed(data["labels"]), _listed(data["scores"])
    found = [Label(str(label), _finite(score)) for label, score in zip(labels, scores, strict=True)]
    return tuple(sorted(found, key=lambda each: -each.score))


def _read_entities(data: Mapping[str, Any], key: str) -> tuple[Entity, ...]:
    return tuple(
        Entity(str(each["type"]), str(each["span"]), each.get("start"), each.get("end"))
        for each in data[key or "output"]
    )


def _read_scores(data: Mapping[str, Any], key: str) -> tuple[float, ...]:
    return tuple(_finite(score) for score in _listed(data[key or "scores"]))


def _read_vectors(data: Mapping[str, Any], key: str) -> Vectors:
    vectors = tuple([_finite(number) for number in vector] for vector in data["text_embedding"])
    return Vectors(vectors, tuple(_finite(score) for score in _listed(data.get("scores") or [])))


def _read_audio(data: Mapping[str, Any], key: str) -> Sound:
    sound = data[key]
    if not isinstance(sound, str) or not sound:
        raise TypeError(type(sound).__name__)
    is_address = sound.startswith(("https://", "http://"))
    return Sound(url=sound) if is_address else Sound(base64=sound)


def _read_output(data: Mapping[str, Any], key: str) -> Any:
    if key:
        return data[key]
    return data.get("output", dict(data))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _finite(number: Any) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(_("{number!r} is not a number").format(number=number))
    return value


_OUTPUTS: dict[str, Callable[[Mapping[str, Any], str], Any]] = {
    "text": _read_text,
    "labels": _read_labels,
    "entities": _read_entities,
    "scores": _read_scores,
    "vectors": _read_vectors,
    "audio": _read_audio,
    "output": _read_output,
}

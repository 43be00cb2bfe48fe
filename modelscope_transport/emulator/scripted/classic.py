"""Classic pipelines: ``POST /api-inference/v1/models/{owner}/{name}``.

As public clients had it until the middle of 2025 (``modelscope/modelscope-agent``); the forms of
the answers are those of ``modelscope/modelscope:modelscope/outputs/outputs.py``. What the address
answers today is not known. The words are made by rules: right in form, naive in content.
"""

from __future__ import annotations

import hashlib
import math
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from modelscope_transport.emulator.answers import Answer, Reply
from modelscope_transport.emulator.embedding import embed
from modelscope_transport.emulator.failures import refuse
from modelscope_transport.emulator.inference import Backend
from modelscope_transport.emulator.scripted.drawing import speak
from modelscope_transport.emulator.server import Request

Data: TypeAlias = dict[str, Any]
Pipeline: TypeAlias = Callable[[Any, Mapping[str, Any]], Data]

_PATH = "/api-inference/v1/models/"
_NAME = re.compile(
    r"[A-Z][\w'-]+(?: [A-Z][\w'-]+)*|[\u4e00-\u9fff]{2,4}(?=市|省|县|大学|公司)[市省县]?"
)
_GOOD = re.compile(r"good|great|love|happy|excellent|好|喜欢|满意|棒|不错", re.IGNORECASE)
_BAD = re.compile(r"bad|awful|hate|broken|terrible|差|坏|讨厌|失望|糟", re.IGNORECASE)


async def run(backend: Backend, request: Request) -> Answer:
    """``POST /api-inference/v1/models/{owner}/{name}``."""
    model = backend.models.get(request.path.removeprefix(_PATH))
    if model is None or model.kind != "pipeline":
        return _hub(404, "model not found")
    if not isinstance(request.body, dict) or request.body.get("input") in (None, "", [], {}):
        return _hub(400, "input is empty")
    if (spent := backend.meter.refusal(model)) is not None:
        return spent
    given, parameters = request.body["input"], request.body.get("parameters") or {}
    try:
        data = PIPELINES[model.task](given, parameters)
    except (KeyError, TypeError, AttributeError, ValueError):
        return _hub(400, "input has the wrong form")
    if model.task == "text-to-speech":
        data["output_wav"] = f"http://{request.headers.get('host', '')}/sounds/{data['output_wav']}"
    backend.meter.charge(model)
    return Reply(200, {"Code": 200, "Data": data, "RequestId": str(uuid.uuid4()), "Success": True})


async def sound(backend: Backend, request: Request) -> Answer:
    """``GET /sounds/{name}``: the sound of a spoken text; needs no token."""
    text = request.path.rpartition("/")[2].removesuffix(".wav")
    return Reply(200, speak(text), {"content-type": "audio/wav"})


def _hub(status: int, message: str) -> Reply:
    if status == 404:
        return refuse("not_found")
    return Reply(status, {"Code": status, "Message": message, "Success": False})


# --- the pipelines


def _sentiment(given: Any, parameters: Mapping[str, Any]) -> Data:
    text = _text(given)
    good = (len(_GOOD.findall(text)) + 1) / (len(_GOOD.findall(text) + _BAD.findall(text)) + 2)
    chinese = re.search(r"[\u4e00-\u9fff]", text)
    labels = ["正面", "负面"] if chinese else ["Positive", "Negative"]
    return {"labels": labels, "scores": [round(good, 4), round(1 - good, 4)]}


def _zero_shot(given: Any, parameters: Mapping[str, Any]) -> Data:
    text, labels = _text(given), list(parameters["candidate_labels"])
    weights = [1 + 9 * (label.lower() in text.lower()) for label in labels]
    return {"labels": labels, "scores": [weight / sum(weights) for weight in weights]}


def _compare(given: Any, parameters: Mapping[str, Any]) -> Data:
    first, second = given.values() if isinstance(given, dict) else given
    close = _closeness(first, second)
    return {"labels": ["1", "0"], "scores": [close, 1 - close]}


def _names(given: Any, parameters: Mapping[str, Any]) -> Data:
    found = _NAME.finditer(_text(given))
    parts = [
        {"type": "NAME", "start": each.start(), "end": each.end(), "span": each.group()}
        for each in found
    ]
    return {"output": parts}


def _facts(given: Any, parameters: Mapping[str, Any]) -> Data:
    wanted = list(parameters.get("schema") or ["NAME"])
    spans = [each.group() for each in _NAME.finditer(_text(given))]
    return {
        "output": [
            [{"type": kind, "span": span}] for kind, span in zip(wanted, spans, strict=False)
        ]
    }


def _words(given: Any, parameters: Mapping[str, Any]) -> Data:
    return {"output": re.findall(r"[\u4e00-\u9fff]{1,2}|\w+|[^\w\s]", _text(given))}


def _translate(given: Any, parameters: Mapping[str, Any]) -> Data:
    return {"translation": f"[translated] {_text(given)}"}


def _correct(given: Any, parameters: Mapping[str, Any]) -> Data:
    return {"output": re.sub(r"\s+", " ", _text(given)).strip()}


def _shorten(given: Any, parameters: Mapping[str, Any]) -> Data:
    return {"text": re.split(r"(?<=[.!?。！？])", _text(given))[0].strip()}


def _punctuate(given: Any, parameters: Mapping[str, Any]) -> Data:
    text = _text(given).strip()
    return {"text": text + ("。" if re.search(r"[\u4e00-\u9fff]", text) else ".")}


def _fill(given: Any, parameters: Mapping[str, Any]) -> Data:
    return {"text": _text(given).replace("[MASK]", "word")}


def _embed(given: Any, parameters: Mapping[str, Any]) -> Data:
    source, others = given["source_sentence"], given.get("sentences_to_compare") or []
    vectors = [list(embed(text, 64)) for text in [*source, *others]]
    return {
        "text_embedding": vectors,
        "scores": [_closeness(source[0], text) for text in others],
    }


def _rank(given: Any, parameters: Mapping[str, Any]) -> Data:
    (source,) = given["source_sentence"]
    return {"scores": [_closeness(source, text) for text in given["sentences_to_compare"]]}


def _listen(given: Any, parameters: Mapping[str, Any]) -> Data:
    return {"text": f"A sound of {len(_text(given))} characters."}


def _speak(given: Any, parameters: Mapping[str, Any]) -> Data:
    digest = hashlib.blake2b(_text(given).encode(), digest_size=12).hexdigest()
    return {"output_wav": f"{digest}.wav"}


def _read(given: Any, parameters: Mapping[str, Any]) -> Data:
    return {"text": [f"{len(_text(given))} characters of picture"]}


def _describe(given: Any, parameters: Mapping[str, Any]) -> Data:
    return {"caption": f"a picture of {len(_text(given))} characters"}


def _classify_picture(given: Any, parameters: Mapping[str, Any]) -> Data:
    return {
        "labels": ["cat", "dog"],
        "scores": [0.75, 0.25] if len(_text(given)) % 2 else [0.5, 0.5],
    }


def _converse(given: Any, parameters: Mapping[str, Any]) -> Data:
    return {"text": f"You said: {given['messages'][-1]['content']}"}


def _echo(given: Any, parameters: Mapping[str, Any]) -> Data:
    return {"output": given}


def _text(given: Any) -> str:
    if not isinstance(given, str):
        raise TypeError
    return given


def _closeness(first: str, second: str) -> float:
    one, two = embed(first, 64), embed(second, 64)
    return round(max(0.0, math.fsum(a * b for a, b in zip(one, two, strict=True))), 4)


PIPELINES: dict[str, Pipeline] = {
    "pipeline": _echo,
    "text-classification": _sentiment,
    "sentiment-classification": _sentiment,
    "zero-shot-classification": _zero_shot,
    "nli": _compare,
    "sentence-similarity": _compare,
    "named-entity-recognition": _names,
    "token-classification": _names,
    "part-of-speech": _names,
    "word-segmentation": _words,
    "siamese-uie": _facts,
    "relation-extraction": _facts,
    "translation": _translate,
    "text-error-correction": _correct,
    "text-summarization": _shorten,
    "fill-mask": _fill,
    "punctuation": _punctuate,
    "sentence-embedding": _embed,
    "text-ranking": _rank,
    "auto-speech-recognition": _listen,
    "text-to-speech": _speak,
    "ocr-recognition": _read,
    "image-captioning": _describe,
    "image-classification": _classify_picture,
    "multimodal-dialogue": _converse,
}
"""What each task is answered with, by ModelScope's names of tasks."""

"""Two integrations side by side on one service: what each sends and gives, field by field."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from llama_index.core.base.llms.types import ChatResponse, CompletionResponse
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel

from llamaindex_modelscope import ModelScope, ModelScopeEmbedding
from modelscope_transport.emulator import LocalService
from modelscope_transport.emulator.answers import Answer

from .consumers.kit import CHAT, EMBEDDING

MISSING = "(missing)"


@dataclass(frozen=True)
class Case:
    """One call, made through both.

    Attributes:
        method: name of the sync method; its async twin has an ``a`` in front.
        args: positional arguments.
        options: keyword arguments.
        model: model ID.
        fields: fields of both objects.
        answers: what the service says to each, by scenario or word for word; honest by default.
    """

    method: str
    args: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    model: str = CHAT
    fields: Mapping[str, Any] = field(default_factory=dict)
    answers: tuple[str | Answer, ...] = ()


Fields = dict[str, Any]


def theirs(case: Case, reach: Mapping[str, Any]) -> Any:
    """The incumbent, told what ours looks up."""
    if "embed" in case.method:
        return OpenAILikeEmbedding(case.model, max_retries=0, **reach, **case.fields)
    tells = {"is_chat_model": True, "is_function_calling_model": True}
    return OpenAILike(model=case.model, max_retries=0, **tells, **reach, **case.fields)


def ours(case: Case, reach: Mapping[str, Any]) -> Any:
    kind: Any = ModelScopeEmbedding if "embed" in case.method else ModelScope
    return kind(case.model, max_retries=0, **reach, **case.fields)


def embedding_case(method: str, *args: Any, **facts: Any) -> Case:
    return Case(method, args, model=EMBEDDING, **facts)


def played(make: Any, case: Case, way: str) -> Fields:
    """All that one of the two sends and gives, as paths and values."""
    with LocalService() as service:
        service.next(*case.answers)
        try:
            given = asyncio.run(_called(make, case, way, service))
        except Exception as error:  # noqa: BLE001 - which one is what is compared
            given = {"error": {"class": type(error).__name__, "is": _families(error)}}
        sent = [
            {"body": request.body, "headers": dict(request.headers)} for request in service.requests
        ]
    fields = dict(_flat({"requests": len(sent), "sent": sent[0] if sent else {}, "given": given}))
    return {path: _steady(value) for path, value in fields.items()}


def differences(case: Case, way: str) -> dict[str, tuple[Any, Any]]:
    """Path to theirs and ours, where the two differ.

    Where one of them gives an error and the other an answer, that is one difference; where one of
    them sends nothing, ``requests`` tells it all.
    """
    both = one, other = played(theirs, case, way), played(ours, case, way)
    whole = []
    if ("given.error.class" in one) != ("given.error.class" in other):
        whole.append("given.")
        for fields in both:
            fields["given"] = fields.get("given.error.class", "an answer")
    if 0 in (one["requests"], other["requests"]):
        whole.append("sent")
    return {
        path: (one.get(path, MISSING), other.get(path, MISSING))
        for path in sorted(one.keys() | other.keys())
        if one.get(path, MISSING) != other.get(path, MISSING) and not path.startswith(tuple(whole))
    }


def _families(error: BaseException) -> list[str]:
    misread = (ValueError, TypeError, AttributeError, LookupError, RuntimeError)
    return [family.__name__ for family in misread if isinstance(error, family)]


async def _called(make: Any, case: Case, way: str, service: LocalService) -> Any:
    # With clients of this call alone, since the incumbent leaves its own open; without
    # certificates, since reading them takes longer than all the rest.
    reach: dict[str, Any] = {"api_key": service.token, "api_base": service.base_url}
    if way == "sync":
        with httpx.Client(verify=False) as client:
            model = make(case, {**reach, "http_client": client})
            return _told(getattr(model, case.method)(*case.args, **case.options))
    async with httpx.AsyncClient(verify=False) as client:
        model = make(case, {**reach, "async_http_client": client})
        answer = await getattr(model, f"a{case.method}")(*case.args, **case.options)
        if inspect.isasyncgen(answer):
            answer = iter([one async for one in answer])
        return _told(answer)


def _told(answer: Any) -> Any:
    """What a user can read of an answer; of a stream its end, and its deltas together."""
    if isinstance(answer, ChatResponse):
        return {**_response(answer), "message": answer.message.model_dump()}
    if isinstance(answer, CompletionResponse):
        return {**_response(answer), "text": answer.text}
    if isinstance(answer, BaseModel):
        return {"object": type(answer).__name__, **answer.model_dump()}
    if isinstance(answer, Iterator):
        return _stream(list(answer))
    return {"value": answer}


def _response(answer: ChatResponse | CompletionResponse) -> dict[str, Any]:
    raw = answer.raw
    return {
        "raw": raw.model_dump() if isinstance(raw, BaseModel) else raw,
        "raw type": "dict" if isinstance(raw, dict) else "object",
        "additional_kwargs": answer.additional_kwargs,
        "logprobs": answer.logprobs,
        "delta": answer.delta,
    }


def _stream(responses: list[Any]) -> Any:
    told = {"last": _told(responses[-1])}
    if isinstance(responses[0], ChatResponse | CompletionResponse):
        deltas = [response.delta for response in responses]
        thoughts = [one.additional_kwargs.get("thinking_delta", "") for one in responses]
        told |= {
            "text": "".join(one or "" for one in deltas),
            "thoughts": "".join(thoughts),
            "responses of nothing": [
                one for one in zip(deltas[:-1], thoughts[:-1], strict=True) if not any(one)
            ],
        }
    return told


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple) and value:
        if all(isinstance(one, float) for one in value):
            yield path, [round(one, 6) for one in value]  # base64 holds them in single precision
            return
        for place, inner in enumerate(value):
            yield from _flat(inner, f"{path}.{place}")
    else:
        yield path, value


def _steady(value: Any) -> Any:
    """A value without what is new each time: ids, times, tokens, ports."""
    if isinstance(value, str):
        value = re.sub(r"(call_|chatcmpl-)[0-9a-f-]{24,}", r"\1…", value)
        value = re.sub(r"ms-[0-9a-f-]{36}", "ms-…", value)
        return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:…", value)
    if isinstance(value, int) and value > 1_600_000_000:
        return "(a time)"
    return value

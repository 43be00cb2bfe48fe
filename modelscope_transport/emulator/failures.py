"""Every way in which the service is known to say no, word for word.

A row is a reply: its status, its body and where the words come from. ``{model}`` and
``{request_id}`` are filled in, and so are the words that a caller of :func:`refuse` names. Of rows
marked *ours* the behaviour is known but not the text: it is this project's own, in the envelope of
similar rows.

The checks in ``rules`` use these rows, and each of them can be had by its name as a scenario.
"""

# ruff: noqa: E501 - recorded texts stay whole, so that they can be searched for

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelscope_transport.emulator.answers import Reply


@dataclass(frozen=True, slots=True)
class Failure:
    """One way to say no.

    Attributes:
        name: The scenario's name.
        status: HTTP status; with 200 it comes as the first event of a stream when a stream was
            asked for.
        body: The reply's JSON, or a plain text.
        says: What it means, in one line.
        source: Where the words were recorded, and when.
    """

    name: str
    status: int
    body: Mapping[str, Any] | str
    says: str
    source: str


def gateway(message: str) -> dict[str, Any]:
    """The envelope of the chat gateway in 2026."""
    return {"error": {"message": message, "request_id": "{request_id}"}}


def gateway_2025(message: str) -> dict[str, Any]:
    """The envelope of 2025: ``errors``, the request's id inside."""
    return {"errors": {"message": message, "request_id": "{request_id}"}}


def plain(message: str, **fields: Any) -> dict[str, Any]:
    """The gateway's envelope without a request's id."""
    return {"error": {**fields, "message": message}}


def upstream(message: str) -> dict[str, Any]:
    """The envelope that is passed on from the server behind the gateway."""
    error = {"code": "invalid_parameter_error", "message": message, "type": "invalid_request_error"}
    return {"error": error, "request_id": "{request_id}"}


def dashscope(message: str, **fields: Any) -> dict[str, Any]:
    """The same, as Alibaba's own model service words it."""
    body = upstream(f"<400> InternalError.Algo.InvalidParameter: {message}")
    body["error"] |= {"param": None, **fields}
    return body


_QUOTA = "You exceeded your current quota, please check your plan and billing details"
_BURST = (
    "Request rate increased too quickly. To ensure system stability, please adjust your client"
    " logic to scale requests more smoothly over time."
)
_THROTTLED = (
    "We have to rate limit you for model {model}. If you need higher limits, please consider other"
    " (commercial) API providers."
)
_NOT_VERIFIED = (
    "To use API-Inference, please make sure your associated Aliyun account is real-name verified."
    " You can do so at your account setting page https://www.modelscope.cn/my/accountsettings."
)
_NOT_HERE = "The local service does not serve {path}. Ask /v1/chat/completions."
_SYNCHRONOUS = (
    "image-gen task currently does not support synchronous calls. Please refer to the documentation"
    " and set header X-ModelScope-Async-Mode=true to switch to asynchronous calling mode"
)

# fmt: off
FAILURES: tuple[Failure, ...] = (
    # --- the token
    Failure("authentication_failed", 401, gateway("Authentication failed, please make sure that a valid ModelScope token is supplied."),
            "the token is missing or wrong", "probes of 2026-07-26 and 2026-10-04"),
    Failure("authentication_failed_task", 401, {"errors": {"message": "Authentication failed, please make sure that a valid ModelScope token is supplied."}, "request_id": "{request_id}"},
            "the same where a task is looked at", "juspay/neurolink (2026-09-29)"),
    Failure("account_not_linked", 401, plain("Please bind your Alibaba Cloud account before use."),
            "the account is not linked to an Alibaba Cloud account", "QwenLM/qwen-code#131; recorded 2026-10-06"),
    Failure("account_not_linked_2025", 401, {"errors": {"message": "Please bind your Alibaba Cloud account before use."}},
            "the same in the envelope of 2025", "modelscope/modelscope#1524"),
    Failure("account_not_verified", 403, plain(_NOT_VERIFIED),
            "the linked account's owner is not verified", "recorded 2026-10-06"),
    # --- the allowance
    Failure("limit_exceeded", 429, gateway_2025("Request limit exceeded."),
            "some limit, of which the words say nothing; the headers may", "musistudio/claude-code-router#462 (2025-08-06)"),
    Failure("model_spent", 429, plain("You have exceeded today's quota for model {model}, please try again tomorrow, or consider using other models"),
            "this model's calls of the day are spent", "recorded 2026-08-01"),
    Failure("throttled", 429, gateway(_THROTTLED), "too many calls at once to this model", "recorded 2026 with Kimi-K2.5"),
    Failure("throttled_2025", 429, gateway_2025(_THROTTLED), "the same in the envelope of 2025", "recorded 2025"),
    Failure("too_many_tokens", 429, plain(_QUOTA, code="insufficient_quota"),
            "too many tokens or calls in a minute; passes, in spite of its words", "DashScope's own error table"),
    Failure("burst", 429, plain(_BURST, code="limit_burst_rate"),
            "the rate rose too fast; passes in seconds", "recorded 2026"),
    Failure("balance_spent", 429, plain("insufficient balance"),
            "the Magicubes are spent", "recorded 2026-09-12"),
    Failure("balance_spent_images", 429, {"errors": {"message": "insufficient balance"}, "request_id": "{request_id}"},
            "the same from the image endpoint", "a public client's test fixture, 2026"),
    Failure("retired_1008", 429, {"error": {"http_code": "429", "message": "insufficient balance (1008)", "type": "insufficient_balance_error"}, "request_id": "{request_id}"},
            "the model was taken offline; it never heals", "modelscope/modelscope#1691 (2026-04-25)"),
    Failure("account_spent", 429, plain("免费使用额度已用完"), "the account's free allowance is used up", "tinycen/llmakits"),
    Failure("provider_unpaid", 402, {"error": {"code": "invalid_request_error", "message": "Insufficient Balance", "param": None, "type": "unknown_error"}, "request_id": "{request_id}"},
            "the provider behind the model was not paid; nothing of this account", "yym68686/uni-api#118 (2025-05-12)"),
    Failure("too_many_requests", 429, plain("Too many requests"), "too fast, in plain words", "ours"),
    Failure("too_concurrent", 429, plain("concurrency too high, please slow down"), "too many calls at once, in plain words", "ours"),
    Failure("too_many_tokens_in_200", 200, plain(_QUOTA, code="insufficient_quota"),
            "too many tokens, said with status 200", "recorded 2026"),
    Failure("burst_in_200", 200, plain(_BURST, code="limit_burst_rate"),
            "the rate rose too fast, said with status 200", "recorded 2026"),
    # --- the model
    Failure("no_provider", 400, plain("Model id : {model} , has no provider supported"),
            "the model is retired, unknown, or its name has the wrong case", "recorded 2026"),
    Failure("no_provider_2025", 400, gateway_2025("Model id : {model} , has no provider supported"),
            "the same in the envelope of 2025", "musistudio/claude-code-router#906 (2025-10-12)"),
    Failure("owner_missing", 400, plain("Invalid model id: {model}"), "the model's id has no owner", "recorded 2026"),
    Failure("model_private", 403, plain("Model is private"), "the model is private", "error tables of public clients"),
    Failure("image_model_on_chat", 404, gateway("Model {model} does not serve chat completions"),
            "an image model was asked to chat", "status from a public client, 2026-10; text ours"),
    Failure("wrong_task", 400, upstream("Model {model} does not serve this task"),
            "an embedding model was asked to chat, or the reverse", "ours"),
    # --- the request
    Failure("bad_json", 400, gateway("invalid request body"), "the body is not JSON", "ours"),
    Failure("invalid_parameter", 400, upstream("{detail}"), "a parameter is out of range", "musistudio/claude-code-router#948 (envelope)"),
    Failure("stream_only", 400, upstream("enable thinking can not be support when `stream=False`."),
            "the model must be streamed", "musistudio/claude-code-router#948"),
    Failure("thinking_needs_stream", 400, {"error": {**upstream("parameter.enable_thinking must be set to false for non-streaming calls")["error"], "param": None}, "request_id": "{request_id}"},
            "thinking must be off, or the call streamed", "vybestack/llxprt-code#229"),
    Failure("forced_tool_while_thinking", 400, {"id": "chatcmpl-{request_id}", **dashscope("The tool_choice parameter does not support being set to required or object in thinking mode")},
            "a forced tool needs thinking off; some models say so", "cloudwego/eino#994 (DashScope)"),
    Failure("temperature_fixed", 400, plain("invalid temperature: only 1 is allowed for this model"),
            "the model takes one temperature only", "the words `only 1 is allowed` recorded 2026 with Kimi"),
    Failure("developer_role", 400, upstream("developer is not one of ['system', 'assistant', 'user', 'tool', 'function'] - 'messages.['0].role'"),
            "the role `developer` is not known", "behaviour recorded 2026-10; words of DashScope"),
    Failure("encoding_format", 400, {"errors": {"message": "encoding_format must be 'float' or 'base64', got '{got}'"}, "request_id": "{request_id}"},
            "embeddings need encoding_format", "MuiseDestiny/zotero-gpt#488 (2025-11-28)"),
    Failure("batch_too_large", 400, {"id": "{request_id}", **dashscope("Value error, batch size is invalid, it should not be larger than {limit}.: input.contents", code="InvalidParameter", type="InvalidParameter")},
            "too many texts in one call", "DashScope's words; the service's own limit is unknown"),
    Failure("context_length", 400, dashscope("Range of input length should be [1, {window}]"),
            "the prompt is too long", "DashScope's words; the service's own are not recorded"),
    Failure("context_length_vllm", 400, plain("This model's maximum context length is {window} tokens. However, you requested {tokens} tokens.", type="BadRequestError", param=None, code=400),
            "the prompt is too long, as vLLM says it", "vLLM's words"),
    Failure("no_vision", 400, upstream("Model {model} does not take pictures"), "a picture was sent to a model that cannot see", "ours"),
    Failure("media_download", 400, plain("Unable to download the media"),
            "a picture's address could not be read", "tinycen/llmakits (beginning of the text)"),
    Failure("picture_download", 400, plain("download image error"), "a picture's address could not be read", "tinycen/llmakits"),
    Failure("media_unsupported", 400, plain("unspoort image"), "a picture could not be read; the spelling is the service's", "tinycen/llmakits"),
    Failure("images_synchronous", 400, {"errors": {"message": _SYNCHRONOUS}, "request_id": "{request_id}"},
            "pictures are made asynchronously only", "CherryHQ/cherry-studio#14907 (2026-04)"),
    Failure("task_failed", 200, {"errors": {"code": 422, "message": "Output data may contain inappropriate content."}, "request_id": "{request_id}", "task_status": "FAILED"},
            "a task failed, said with status 200", "recorded 2026"),
    # --- the service itself
    Failure("server_error", 500, gateway("Internal server error"), "500", "ours"),
    Failure("request_timed_out", 500, {"detail": "Request timed out."}, "a call that was not streamed took too long", "recorded 2026-09-24"),
    Failure("tool_parse_error", 500, gateway("failed to parse tool call arguments"),
            "500 on the use of tools", "Blushyes/coro-code#24 (2025-10; beginning of the text)"),
    Failure("server_busy", 500, {"errors": {"message": "Server is busy, please try again later"}}, "busy", "Tongyi-MAI/Z-Image#159 (2026-03-24); status ours"),
    Failure("bad_gateway", 502, gateway("Bad gateway"), "502", "ours"),
    Failure("unavailable", 503, gateway("Service unavailable"), "503", "ours"),
    Failure("gateway_timeout", 504, gateway("Gateway timeout"), "504", "ours"),
    Failure("request_timeout", 408, gateway("Request timeout"), "408", "ours"),
    Failure("not_found", 404, "404 page not found", "a plain text 404", "recorded 2026 for unknown paths"),
    Failure("too_large", 413, gateway("Request entity too large"), "413", "ours"),
    Failure("error_in_200", 200, gateway("Internal server error"), "a failure said with status 200", "public gateways, 2026; text ours"),
    Failure("messages_error", 401, {"type": "error", "error": {"type": "authentication_error", "message": "Authentication failed, please make sure that a valid ModelScope token is supplied."}},
            "the envelope of /v1/messages", "recorded 2026-07-09"),
    Failure("messages_not_served", 404, {"type": "error", "error": {"type": "not_found_error", "message": _NOT_HERE}},
            "the local service does not serve /v1/messages", "the envelope recorded 2026-07-09; text ours"),
    Failure("responses_not_served", 404, {"error": {"code": "not_found", "message": _NOT_HERE, "param": None, "type": "invalid_request_error"}, "request_id": "{request_id}"},
            "the local service does not serve /v1/responses", "ours"),
    Failure("hub_error", 401, {"Code": 10010101003, "Message": "oauth token is not supported by this endpoint", "Success": False},
            "the envelope of the hub", "recorded 2026-10-06"),
)
# fmt: on

_BY_NAME = {failure.name: failure for failure in FAILURES}


def refuse(name: str, headers: Mapping[str, str] | None = None, **words: object) -> Reply:
    """The reply of a row.

    Args:
        name: The row's name.
        headers: Further headers.
        words: What to put in the place of ``{word}`` in its texts.
    """
    failure = _BY_NAME[name]
    given = {"request_id": str(uuid.uuid4()), **{key: str(word) for key, word in words.items()}}
    return Reply(failure.status, _filled(failure.body, given), headers or {})


def _filled(value: Any, words: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _filled(item, words) for key, item in value.items()}
    if isinstance(value, str):
        for key, word in words.items():
            value = value.replace(f"{{{key}}}", word)
    return value

"""A chat request on the wire, as this one model can take it: ``POST /chat/completions``.

What a model cannot take is said here, before any request, or sent in the form it can take; each
such change is a sentence in ``Encoded.adjustments``, which the answer carries to the user.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..answers import ChatResult
from ..catalogue.models import ModelProfile
from ..catalogue.tasks import Form
from ..errors import InvalidRequestError
from ..language import translated as _
from ..types import ChatRequest, NamedTool, ResponseFormat, ToolSpec
from .chat import Opening, decode
from .chat_messages import encode_message
from .checks import check_range, to_json
from .encoded import Encoded
from .outcomes import Failure, Reply
from .text_answers import formed_answer, forming_decoder
from .thoughts import decoder_for, sorted_answer

__all__ = ["PATH", "prepare"]

PATH = "/chat/completions"


def prepare(
    request: ChatRequest, profile: ModelProfile, *, stream: bool, form: Form | None = None
) -> Encoded:
    """Check and encode a request; its reply reads as a `ChatResult` or an `Opening`.

    Raises:
        InvalidRequestError: a value that the service would refuse; nothing was sent.
    """
    adjustments: list[str] = []
    body, answer_tool = _encode(request, profile, stream, adjustments)

    def read(reply: Reply) -> ChatResult | Opening | Failure:
        if not reply.body.strip():
            return Failure("", empty=True)
        if not reply.streaming:
            answer = decode(reply.body, answer_tool)
            if isinstance(answer, Failure):
                return answer
            return formed_answer(sorted_answer(answer, request), request)
        decoder = forming_decoder(decoder_for(request, answer_tool), request)
        first = decoder.feed(reply.body)
        if isinstance(first, Failure):
            return first
        if decoder.done:
            return Failure("", empty=True)
        return Opening(decoder, first)

    streaming = stream or profile.stream_only  # its stream is joined for who wants a whole answer
    return Encoded(body=body, streaming=streaming, adjustments=tuple(adjustments), read=read)


def _encode(
    request: ChatRequest, profile: ModelProfile, stream: bool, adjustments: list[str]
) -> tuple[bytes, str | None]:
    """The body, and the name of the tool whose arguments are the answer's text.

    Such a tool is the form that a JSON schema takes for a model that keeps none.
    """
    _check(request, stream=stream)
    body: dict[str, Any] = {
        "model": profile.id,
        "messages": [encode_message(message, request, profile) for message in request.messages],
    }
    for name in (*_RANGES, "seed", "logprobs", "reasoning_effort"):
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    if request.logit_bias is not None:
        body["logit_bias"] = _bias(request.logit_bias)
    if request.stop:
        body["stop"] = list(request.stop)
    _fix_temperature(body, request, profile, adjustments)
    answer_tool = _put_format_and_tools(body, request, profile, adjustments)
    _put_thinking(body, request, profile, adjustments)
    if stream or profile.stream_only:
        if not stream:
            if (request.n or 1) > 1:
                raise InvalidRequestError(
                    _(
                        "Model {id!r} only answers streamed calls, and a stream has one answer. "
                        "Leave n out."
                    ).format(id=profile.id)
                )
            adjustments.append(_("the model only answers streamed calls: its stream was joined"))
        body["stream"] = True
        if request.stream_usage and profile.stream_usage:
            body["stream_options"] = {"include_usage": True}
    if request.extra_body:
        body.update(request.extra_body)
    return to_json(body), answer_tool


# Least and most of the numbers that are sent as they are.
_RANGES = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "top_k": (-1, math.inf),
    "min_p": (0, 1),
    "repetition_penalty": (0, math.inf),
    "max_tokens": (1, math.inf),
    "n": (1, math.inf),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "top_logprobs": (0, 20),
    "thinking_budget": (1, math.inf),
}


def _check(request: ChatRequest, *, stream: bool) -> None:
    if not request.messages:
        raise InvalidRequestError(_("There is no message to answer. Pass at least one."))
    for name, (least, most) in _RANGES.items():
        check_range(name, getattr(request, name), least, most)
    if stream and (request.n or 1) > 1:
        raise InvalidRequestError(_("A stream has one answer. Leave n out, or do not stream."))


def _bias(bias: Any) -> dict[str, float]:
    if not isinstance(bias, Mapping):
        raise InvalidRequestError(
            _("logit_bias is a dictionary of numbers by token id, and is {bias!r}.").format(
                bias=bias
            )
        )
    for token, added in bias.items():
        check_range(f"logit_bias[{token!r}]", added, -100, 100)
    return {str(token): added for token, added in bias.items()}


def _fix_temperature(
    body: dict[str, Any], request: ChatRequest, profile: ModelProfile, adjustments: list[str]
) -> None:
    fixed = profile.fixed_temperature
    if fixed is not None and request.temperature not in (None, fixed):
        body["temperature"] = fixed
        adjustments.append(_("the model accepts no temperature but {fixed:g}").format(fixed=fixed))


# --- tools and the form of the answer ---------------------------------------------------------


def _put_format_and_tools(
    body: dict[str, Any], request: ChatRequest, profile: ModelProfile, adjustments: list[str]
) -> str | None:
    tools, choice, form = request.tools, request.tool_choice, request.response_format
    answer_tool = None
    if form is not None and form.kind == "json_schema" and form.schema is not None:
        if profile.structured_output in (None, "json_schema"):
            body["response_format"] = _schema(form)
        else:
            # json_schema makes such models answer with nothing (modelscope/modelscope#1801).
            answer_tool = form.name
            if not tools or choice == "none":
                choice = NamedTool(form.name)
            elif choice in (None, "auto"):
                choice = "required"  # a tool of the user's, or the answer
            answer = ToolSpec(form.name, form.description or "", form.schema, form.strict)
            tools = (*tools, answer)
            adjustments.append(
                _("the model keeps no JSON schema: it was given a tool to answer with")
            )
    elif form is not None:
        body["response_format"] = {"type": "json_object"}
    if not tools:
        # An empty list, or a choice among nothing, is refused.
        return None
    body["tools"] = [_tool(tool) for tool in tools]
    if request.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = request.parallel_tool_calls
    if choice is not None:
        _put_choice(body, choice, tools, request, profile, adjustments)
    return answer_tool


def _put_choice(
    body: dict[str, Any],
    choice: Any,
    tools: tuple[ToolSpec, ...],
    request: ChatRequest,
    profile: ModelProfile,
    adjustments: list[str],
) -> None:
    if choice in ("auto", "none"):
        body["tool_choice"] = choice
        return
    if profile.forced_tools == "no" or profile.thinking == "always":
        body["tool_choice"] = "auto"
        adjustments.append(_("the model cannot be forced to call a tool: it was left to it"))
        return
    needs_quiet = profile.forced_tools == "without_thinking" or (
        profile.thinking == "hybrid" and profile.forced_tools is None
    )
    if needs_quiet and request.enable_thinking is not False:
        # While it thinks, a forced tool brings a refusal (cloudwego/eino#994) or an empty
        # success (recorded 2026-06-13).
        body.update(_thinking_switch(False, profile))
        adjustments.append(_("thinking was turned off for this call, since a tool was forced"))
    if needs_quiet and choice == "required" and len(tools) == 1:
        # "required" is an empty success there even so; the name of the only tool says the same.
        choice = NamedTool(tools[0].name)
    if isinstance(choice, NamedTool):
        body["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
    else:
        body["tool_choice"] = "required"


def _put_thinking(
    body: dict[str, Any], request: ChatRequest, profile: ModelProfile, adjustments: list[str]
) -> None:
    wanted = request.enable_thinking
    if wanted is None or "enable_thinking" in body or "chat_template_kwargs" in body:
        return
    if profile.thinking in ("always", "none"):
        if wanted is not (profile.thinking == "always"):
            adjustments.append(
                _("the model never thinks") if wanted else _("the model always thinks")
            )
        return
    body.update(_thinking_switch(wanted, profile))


def _thinking_switch(on: bool, profile: ModelProfile) -> dict[str, Any]:
    switch: dict[str, Any] = {}
    if profile.thinking_switch in ("enable_thinking", "both"):
        switch["enable_thinking"] = on
    if profile.thinking_switch in ("chat_template_kwargs", "both"):
        switch["chat_template_kwargs"] = {"enable_thinking": on}
    return switch


def _tool(tool: ToolSpec) -> dict[str, Any]:
    function: dict[str, Any] = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters or {"type": "object", "properties": {}},
    }
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _schema(form: ResponseFormat) -> dict[str, Any]:
    schema: dict[str, Any] = {"name": form.name, "schema": form.schema}
    if form.description is not None:
        schema["description"] = form.description
    if form.strict is not None:
        schema["strict"] = form.strict
    return {"type": "json_schema", "json_schema": schema}

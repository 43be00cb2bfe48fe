"""What the service refuses, and what it answers with an empty shell: the first rule wins.

The checks of the model come first, then those of the form of the request, then those of the model's
peculiarities. Unknown fields are ignored, as by the service.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from modelscope_transport.emulator.answers import Answer, Reply
from modelscope_transport.emulator.catalogue import Model
from modelscope_transport.emulator.engine import ChatCall, tokens
from modelscope_transport.emulator.failures import refuse
from modelscope_transport.emulator.protocol import shell
from modelscope_transport.emulator.schemas import is_schema

ROLES = ("system", "assistant", "user", "tool", "function")
PICTURES = ("image_url", "video_url")
FORMATS = ("text", "json_object", "json_schema")


def judge_chat(body: Any, models: Mapping[str, Model]) -> ChatCall | Answer:
    """Return the call to answer, or the answer to a request that cannot be served."""
    if not isinstance(body, dict):
        return refuse("bad_json")
    model = find_model(body.get("model"), models)
    if isinstance(model, Reply):
        return model
    if model.kind != "chat":
        name = "image_model_on_chat" if model.kind == "image" else "wrong_task"
        return refuse(name, model=model.id)
    call = ChatCall(body, model, _thinks(body, model))
    for rule in CHAT_RULES:
        if (answer := rule(call)) is not None:
            return answer
    return call


def judge_embeddings(body: Any, models: Mapping[str, Model]) -> tuple[Model, list[str]] | Reply:
    """Return the model and the texts, or the answer to a request that cannot be served."""
    if not isinstance(body, dict):
        return refuse("bad_json")
    if body.get("encoding_format") not in ("float", "base64"):
        return refuse("encoding_format", got=body.get("encoding_format") or "")
    model = find_model(body.get("model"), models)
    if isinstance(model, Reply):
        return model
    if model.kind != "embedding":
        return refuse("wrong_task", model=model.id)
    given = body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        return _invalid("input must be a string or a list of strings, and not empty")
    if not all(texts):
        return _invalid("input must not hold an empty string")
    dimensions = body.get("dimensions")
    if dimensions is not None and not (_whole(dimensions) and 1 <= dimensions <= model.dimensions):
        return _invalid(f"dimensions must be a whole number from 1 to {model.dimensions}")
    if any(len(text) > model.window and len(tokens(text)) > model.window for text in texts):
        return refuse("context_length", window=model.window)
    return model, texts


def find_model(name: object, models: Mapping[str, Model]) -> Model | Reply:
    """Return the row of a model, or the service's answer to an unknown one.

    A name may end in ``:Provider``, the way through to somebody else's server; none is connected
    here.
    """
    if not isinstance(name, str) or not name:
        return _invalid("you must provide a model parameter")
    if name in models:
        return models[name]
    return refuse("no_provider" if "/" in name else "owner_missing", model=name)


def _thinks(body: Mapping[str, Any], model: Model) -> bool:
    if model.thinking != "hybrid":
        return model.thinking == "always"
    place: Any = body
    if model.thinking_switch == "chat_template_kwargs":
        place = body.get("chat_template_kwargs")
    asked = place.get("enable_thinking") if isinstance(place, Mapping) else None
    return asked if isinstance(asked, bool) else model.thinking_default


def _invalid(detail: str) -> Reply:
    return refuse("invalid_parameter", detail=detail)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


# --- the form of the request


def _messages(call: ChatCall) -> Answer | None:
    messages = call.body.get("messages")
    if messages is None:
        return shell(bool(call.body.get("stream")))
    if not isinstance(messages, list):
        return _invalid("messages must be a list")
    if not messages:
        return _invalid("[] is too short - 'messages'")
    offered: set[str | None] = set()
    for place, message in enumerate(messages):
        if not isinstance(message, dict):
            return _invalid(f"'messages.{place}' must be an object")
        if (wrong := _message(message, place, offered, call.model)) is not None:
            return wrong
        offered |= {tool.get("id") for tool in message.get("tool_calls") or []}
    return None


def _message(
    message: dict[str, Any], place: int, offered: set[str | None], model: Model
) -> Answer | None:
    role, content = message.get("role"), message.get("content")
    if role == "developer":
        return refuse("developer_role")
    if role not in ROLES:
        return _invalid(f"{role} is not one of {list(ROLES)} - 'messages.{place}.role'")
    if role == "tool" and message.get("tool_call_id") not in offered:
        return _invalid(
            'messages with role "tool" must be a response to'
            ' a preceeding message with "tool_calls".'
        )
    if content is None and not (role == "assistant" and message.get("tool_calls")):
        return _invalid(f"'messages.{place}.content' must not be null")
    if not isinstance(content, str | list | None):
        return _invalid(f"'messages.{place}.content' must be a string or a list of parts")
    if not _are_calls(message.get("tool_calls") or []):
        return _invalid(f"'messages.{place}.tool_calls' must be a list of calls of functions")
    return _parts(content, place, model) if isinstance(content, list) else None


def _are_calls(calls: Any) -> bool:
    return isinstance(calls, list) and all(
        isinstance(call, dict)
        and isinstance(call.get("id"), str | None)
        and isinstance(function := call.get("function"), dict)
        and isinstance(function.get("name"), str)
        and isinstance(function.get("arguments"), str | None)
        for call in calls
    )


def _parts(parts: list[Any], place: int, model: Model) -> Answer | None:
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in PICTURES and not model.vision:
            return refuse("no_vision", model=model.id)
        if kind in PICTURES and not _readable(part.get(kind)):
            return refuse("media_unsupported")
        if kind not in ("text", *PICTURES):
            return _invalid(f"{kind} is not a type of content - 'messages.{place}.content'")
        if kind == "text" and not isinstance(part.get("text"), str):
            return _invalid(f"a part of type text needs a text - 'messages.{place}.content'")
    return None


def _readable(picture: object) -> bool:
    url = picture.get("url") if isinstance(picture, Mapping) else picture
    return isinstance(url, str) and url.startswith(("http://", "https://", "data:"))


RANGES: dict[str, tuple[float, float, bool]] = {
    # name: lowest, highest, whole numbers only
    "temperature": (0, 2, False),
    "top_p": (0, 1, False),
    "top_k": (-1, float("inf"), True),
    "min_p": (0, 1, False),
    "max_tokens": (1, float("inf"), True),
    "max_completion_tokens": (1, float("inf"), True),
    "n": (1, 16, True),
    "seed": (-(2**63), 2**63 - 1, True),
    "presence_penalty": (-2, 2, False),
    "frequency_penalty": (-2, 2, False),
    "repetition_penalty": (0, float("inf"), False),
    "top_logprobs": (0, 20, True),
    "thinking_budget": (0, float("inf"), True),
}


def _ranges(call: ChatCall) -> Answer | None:
    for name, (lowest, highest, whole) in RANGES.items():
        value = call.body.get(name)
        if value is None:
            continue
        number = _whole(value) or (isinstance(value, float) and not whole)
        if not number or not lowest <= value <= highest:
            return _invalid(
                f"{name} must be {'a whole number ' if whole else ''}in [{lowest}, {highest}]"
            )
    fixed = call.model.fixed_temperature
    if fixed is not None and call.body.get("temperature") not in (None, fixed):
        return refuse("temperature_fixed")
    return None


KINDS: dict[str, type] = {
    **dict.fromkeys(("stream", "logprobs", "enable_thinking", "parallel_tool_calls"), bool),
    **dict.fromkeys(("stream_options", "chat_template_kwargs", "response_format"), dict),
}


def _options(call: ChatCall) -> Answer | None:
    body = call.body
    for name, kind in KINDS.items():
        if not isinstance(body.get(name), kind | None):
            return _invalid(f"{name} must be {'an object' if kind is dict else 'true or false'}")
    stop = body.get("stop")
    stops = [stop] if isinstance(stop, str) else stop or []
    if not isinstance(stops, list) or not all(isinstance(text, str) for text in stops):
        return _invalid("stop must be a string or a list of strings")
    if body.get("stream_options") and not body.get("stream"):
        return _invalid("stream_options can only be set when stream is true")
    wanted = body.get("response_format") or {}
    if wanted and wanted.get("type") not in FORMATS:
        return _invalid(f"response_format.type must be one of {list(FORMATS)}")
    if wanted.get("type") == "json_schema":
        named = wanted.get("json_schema")
        schema = named.get("schema") if isinstance(named, dict) else None
        if not isinstance(schema, dict) or not is_schema(schema):
            return _invalid("response_format.json_schema.schema must be a JSON schema")
    return None


def _tools(call: ChatCall) -> Answer | None:
    tools, choice = call.body.get("tools"), call.body.get("tool_choice")
    if tools is not None and (not isinstance(tools, list) or not tools):
        return _invalid("[] is too short - 'tools'")
    names = []
    for place, tool in enumerate(tools or []):
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or tool.get("type") != "function":
            return _invalid(f"'tools.{place}' must be a function")
        if not isinstance(function.get("name"), str) or not function["name"]:
            return _invalid(f"'tools.{place}.function.name' must be a name")
        if not is_schema(function.get("parameters") or {}):
            return _invalid(f"'tools.{place}.function.parameters' must be a JSON schema")
        names.append(function["name"])
    if choice is None or choice in ("none", "auto"):
        return None
    if not names:
        return _invalid("tool_choice needs tools")
    if choice == "required":
        return None
    function = choice.get("function") if isinstance(choice, dict) else None
    if not isinstance(function, dict) or function.get("name") not in names:
        return _invalid("tool_choice must be none, auto, required, or the name of one of the tools")
    return None


# --- the peculiarities of the model


def _window(call: ChatCall) -> Answer | None:
    characters = sum(len(str(message)) for message in call.body["messages"])
    if characters <= call.model.window:  # a token has at least one character
        return None
    asked = call.body.get("max_tokens") or 0
    if prompt_tokens(call.body) + asked > call.model.window:
        return refuse("context_length", window=call.model.window)
    return None


def prompt_tokens(body: Mapping[str, Any]) -> int:
    """The tokens of a prompt: its words and signs, three more for each message, and the tools."""
    total = 0
    for message in body.get("messages") or []:
        content = message.get("content")
        parts = content if isinstance(content, list) else [{"text": content or ""}]
        total += 3 + sum(len(tokens(part.get("text") or "")) for part in parts)
        total += sum(85 for part in parts if part.get("type") in PICTURES)
        for tool in message.get("tool_calls") or []:
            total += len(tokens(str(tool.get("function"))))
    return total + sum(len(tokens(str(tool))) for tool in body.get("tools") or [])


def _stream_needed(call: ChatCall) -> Answer | None:
    if call.body.get("stream"):
        return None
    if call.model.stream_only:
        return refuse("stream_only")
    if call.thinking and call.model.stream_to_think:
        return refuse("thinking_needs_stream")
    return None


def _shells(call: ChatCall) -> Answer | None:
    body, model = call.body, call.model
    forced = body.get("tool_choice") not in (None, "none", "auto")
    wanted = (body.get("response_format") or {}).get("type")
    limit = body.get("max_tokens") or body.get("max_completion_tokens")
    empty = (
        (forced and (call.thinking or not model.forced_tools))
        or (wanted == "json_schema" and not model.json_schema)
        or (limit is not None and limit <= model.tiny_max_tokens)
        or (call.thinking and bool(body.get("functions")))
    )
    return shell(bool(body.get("stream"))) if empty else None


CHAT_RULES: tuple[Callable[[ChatCall], Answer | None], ...] = (
    _messages,
    _ranges,
    _options,
    _tools,
    _window,
    _stream_needed,
    _shells,
)

"""A conversation as the scripted engine reads it: who said what, which tools were called."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from modelscope_transport.emulator.scripted.drawing import caption_of
from modelscope_transport.emulator.scripted.words import (
    TOOLISH,
    content,
    with_synonyms,
    words,
)

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_KEY = re.compile(r"""["'`“]([A-Za-z_]\w*)["'`”]""")
_NAMED_KEYS = re.compile(
    r"(?:keys?|fields?|键|字段)\s*(?:named|called|:|：|为|是)?\s*"
    r"([A-Za-z_]\w*(?:\s*(?:,|、|和|\band\b)\s*[A-Za-z_]\w*)*)",
    re.IGNORECASE,
)


class Talk:
    """The messages of a request.

    Attributes:
        messages: Role and text of each message.
        prompt: The text of the last user message that is not an observation of a tool.
    """

    def __init__(self, messages: Sequence[Mapping[str, Any]]) -> None:
        self._raw = messages
        self.messages = [(str(message["role"]), text_of(message)) for message in messages]
        asked = [text for role, text in self.messages if role == "user"]
        own = [text for text in asked if not text.startswith("Observation:")]
        self.prompt = own[-1] if own else asked[-1] if asked else ""

    @property
    def everything(self) -> str:
        """All texts, in order."""
        return "\n".join(text for _, text in self.messages)

    @property
    def material(self) -> str:
        """What an answer may be made of: the last user message and what tools returned after it."""
        return "\n".join([self.prompt, *self.results()])

    @property
    def system(self) -> str:
        """The system's texts."""
        return "\n".join(text for role, text in self.messages if role == "system")

    def captions(self) -> list[str]:
        """What pictures drawn here show, of those that came with the last question or later."""
        parts = [
            part
            for message in self._raw[self._asked_at() :]
            for part in message.get("content") or ()
            if isinstance(part, Mapping) and isinstance(part.get("image_url"), Mapping)
        ]
        found = [caption_of(str(part["image_url"].get("url"))) for part in parts]
        return [caption for caption in found if caption]

    def results(self) -> list[str]:
        """What tools returned since the last user message."""
        return [
            text for role, text in self.messages[self._asked_at() :] if role in ("tool", "function")
        ]

    def called(self) -> set[str]:
        """The names of the tools called since the last user message."""
        return {name for name, _ in self._calls()}

    def numbers_left(self) -> list[str] | None:
        """Numbers for a later call of a turn: the tools' results, then the prompt's unused ones."""
        calls = self._calls()
        if not calls:
            return None
        left = _NUMBER.findall(self.prompt)
        for _, arguments in calls:
            for used in _NUMBER.findall(arguments):
                if used in left:
                    left.remove(used)
        return [number for text in self.results() for number in _NUMBER.findall(text)] + left

    def _asked_at(self) -> int:
        users = [at for at, (role, _) in enumerate(self.messages) if role == "user"]
        return users[-1] if users else 0

    def _calls(self) -> list[tuple[str, str]]:
        return [
            (call["function"]["name"], str(call["function"].get("arguments") or ""))
            for message in self._raw[self._asked_at() :]
            for call in message.get("tool_calls") or []
            if isinstance(call, dict) and isinstance(call.get("function"), dict)
        ]


def text_of(message: Mapping[str, Any]) -> str:
    """The text of a message, whether it is a string or a list of parts."""
    given = message.get("content")
    if isinstance(given, list):
        return "\n".join(part["text"] for part in given if isinstance(part.get("text"), str))
    return given or ""


def mentioned(prompt: str, tools: Mapping[str, str]) -> list[str]:
    """The tools that a prompt mentions, in the order in which they are offered.

    A tool is mentioned by a word of its name. When none is, a word of its description will do, as
    long as no other tool's description has it too.

    Args:
        prompt: What the user said.
        tools: Names and descriptions.
    """
    said = with_synonyms(prompt) | set(words(prompt))
    by_name = [
        name for name in tools if name.lower() in prompt.lower() or (content(name) - TOOLISH) & said
    ]
    if by_name:
        return by_name
    described = {name: _telling(text) for name, text in tools.items()}
    return [
        name
        for name, own in described.items()
        if (own - set().union(*(each for other, each in described.items() if other != name))) & said
    ]


def _telling(description: str) -> set[str]:
    """Words of a description without single Chinese characters, which are shared by chance."""
    return {word for word in content(description) if len(word) > 1} - TOOLISH


def named_keys(text: str) -> list[str]:
    """The keys that a prompt asks a JSON object to have: quoted, or after the word *keys*."""
    quoted = list(dict.fromkeys(_KEY.findall(text)))
    if quoted:
        return quoted
    found = _NAMED_KEYS.search(text)
    listed = re.findall(r"[A-Za-z_]\w*", found.group(1)) if found else []
    return [key for key in dict.fromkeys(listed) if key.lower() != "and"]


def embedded_schema(text: str) -> tuple[dict[str, Any], str] | None:
    """The last JSON schema of an object in a text, and the text without it.

    Some frameworks send its braces doubled, as they escaped them for a template.
    """
    if '{{"' in text:
        text = text.replace("{{", "{").replace("}}", "}")
    decoder = json.JSONDecoder()
    found, at = None, text.find("{")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
        except ValueError:
            end = at + 1
        else:
            if isinstance(value, dict) and isinstance(value.get("properties"), dict):
                found = value, text[:at] + text[end:]
        at = text.find("{", end)
    return found

"""Fill a JSON schema with values found in a prompt: a tool's arguments, or a structured answer.

Numbers are taken in the order in which the prompt has them; strings first from quotation marks,
then from a ``name: value`` with the property's own name, then from names and the words that say
most. A value that the prompt does not give is the schema's default or the smallest sensible one, so
that the result always fits the schema.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Mapping
from typing import Any

from modelscope_transport.emulator.scripted.words import STOP, sentences

_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w-]*-\d)|(?<=[\u3400-\u9fff])\d+(?:\.\d+)?")
_QUOTED = re.compile(
    r"""(?<!\w)"([^"\n]+)"(?!\w)|(?<!\w)'([^'\n]+)'(?!\w)|“([^”]+)”|「([^」]+)」|『([^』]+)』|《([^》]+)》|`([^`\n]+)`"""
)
_NAME = re.compile(r"(?<![.!?。]\s)(?<!^)\b([A-Z][\w'-]*(?:\s+[A-Z][\w'-]*)*)")
_CUT = re.compile(
    r"的|在|是|从|到|住|叫|名字|岁|提取|今年|了|吗|呢|请问|请|帮我|帮|给我|我|你|把|查询|查一下|查|一下|怎么样|怎么|如何|什么|多少|今天|明天|现在"
    r"|天气|气温|时间|搜索|翻译|计算|关于|一个|讲|和|与|有|[^\u3400-\u9fff]+"
)
_WHOLE_PROMPT = frozenset(
    [
        "query",
        "question",
        "input",
        "text",
        "prompt",
        "q",
        "message",
        "content",
        "request",
        "search_query",
    ]
)
_SHAPES = {
    "date": (r"\d{4}-\d{2}-\d{2}", "2026-01-01"),
    "date-time": (r"\d{4}-\d{2}-\d{2}T[\d:]+(?:Z|[+-]\d{2}:\d{2})?", "2026-01-01T00:00:00Z"),
    "time": (r"\d{2}:\d{2}:\d{2}", "00:00:00"),
    "email": (r"[\w.+-]+@[\w-]+\.[\w.]+\w", "someone@example.com"),
    "uri": (r"https?://\S+", "https://example.com/"),
    "uuid": (
        r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        "00000000-0000-4000-8000-000000000000",
    ),
}
_DEEPEST = 8


class Filler:
    """Takes values out of a prompt; none is used twice while there are others.

    Args:
        prompt: The text to take from.
        numbers: Numbers to use instead of the prompt's own.
        apart: Words that are not values, such as the names of tools.
    """

    def __init__(
        self, prompt: str, numbers: list[str] | None = None, apart: Collection[str] = ()
    ) -> None:
        self._prompt = prompt
        self._numbers = deque(_NUMBER.findall(prompt) if numbers is None else numbers)
        quoted = ("".join(groups) for groups in _QUOTED.findall(prompt))
        self._quoted = deque(text for text in quoted if text not in apart)
        self._names = deque(
            dict.fromkeys(name for name in _names(prompt) if name.lower() not in STOP)
        )
        self._root: Mapping[str, Any] = {}

    def fill(self, schema: Mapping[str, Any], name: str = "") -> Any:
        """Return a value that fits the schema.

        Args:
            schema: A JSON schema; ``$ref`` may point into its own ``$defs``.
            name: What the value is called.
        """
        self._root = schema
        return self._value(schema, name, 0)

    def _value(self, schema: Mapping[str, Any] | bool, name: str, depth: int) -> Any:
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if options := schema.get("enum"):
            return self._option(options)
        kind = schema.get("type") or ("object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = next((each for each in kind if each != "null"), "null")
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, name, depth)
            case "integer" | "number":
                return self._number(schema, whole=kind == "integer")
            case "boolean":
                return schema.get(
                    "default", not re.search(r"\b(?:not|no|false|off)\b|不", self._prompt)
                )
            case "null":
                return None
        return self._string(schema, name)

    def _resolved(self, schema: Mapping[str, Any] | bool) -> Mapping[str, Any]:
        """Follow references, take the first branch that is not null, join parts of ``allOf``."""
        if isinstance(schema, bool):  # anything, or nothing
            return {}
        for _ in range(_DEEPEST):
            if "$ref" in schema:
                rest = {key: value for key, value in schema.items() if key != "$ref"}
                schema = {**self._target(schema["$ref"]), **rest}
            elif parts := schema.get("anyOf") or schema.get("oneOf"):
                rest = {
                    key: value for key, value in schema.items() if key not in ("anyOf", "oneOf")
                }
                branches = [part for part in parts if not isinstance(part, bool)] or [{}]
                named = (part for part in branches if part.get("type") != "null")
                schema = {**rest, **next(named, branches[0])}
            elif parts := schema.get("allOf"):
                schema = {key: value for key, value in schema.items() if key != "allOf"}
                for part in parts:
                    schema = {**schema, **self._resolved(part)}
            else:
                break
        return schema

    def _target(self, reference: str) -> Mapping[str, Any]:
        target: Any = self._root
        for step in reference.removeprefix("#").strip("/").split("/"):
            if step:
                target = target.get(step.replace("~1", "/").replace("~0", "~"), {})
        return target if isinstance(target, Mapping) else {}

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties: Mapping[str, Any] = schema.get("properties") or {}
        required = schema.get("required") or ([] if _has_defaults(properties) else list(properties))
        said = self._prompt.lower()
        return {
            name: self._value(part, name, depth + 1)
            for name, part in properties.items()
            if name in required
            or (depth < _DEEPEST // 2 and name.replace("_", " ").lower() in said and len(name) > 2)
        }

    def _array(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        if first := schema.get("prefixItems"):
            return [self._value(part, name, depth + 1) for part in first]
        items = self._resolved(schema.get("items") or {})
        least, most = schema.get("minItems", 0), schema.get("maxItems", 8)
        if depth >= _DEEPEST:
            return [self._value(items, name, depth + 1) for _ in range(least)]
        if items.get("type") in ("integer", "number"):
            wanted = len(self._numbers)
        elif "enum" in items:
            return [
                option for option in items["enum"] if str(option).lower() in self._prompt.lower()
            ][:most] or items["enum"][: max(1, least)]
        else:
            wanted = len(self._quoted) or len(self._names)
        return [
            self._value(items, name, depth + 1) for _ in range(min(most, max(least, wanted, 1)))
        ]

    def _option(self, options: list[Any]) -> Any:
        said = self._prompt.lower()
        return next((option for option in options if str(option).lower() in said), options[0])

    def _number(self, schema: Mapping[str, Any], whole: bool) -> float:
        lowest = schema.get("minimum", schema.get("exclusiveMinimum", float("-inf")))
        highest = schema.get("maximum", schema.get("exclusiveMaximum", float("inf")))
        for _ in range(len(self._numbers)):
            text = self._numbers.popleft()
            self._numbers.append(text)  # the last one found may be used again
            number = float(text)
            if lowest <= number <= highest and (number.is_integer() or not whole):
                return int(number) if number.is_integer() and "." not in text else number
        default = schema.get("default")
        number = default if isinstance(default, int | float) else min(max(1, lowest), highest)
        if number in (schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")):
            number += 1 if number == schema.get("exclusiveMinimum") else -1
        return int(number) if whole else number

    def _string(self, schema: Mapping[str, Any], name: str) -> str:
        if (shape := _SHAPES.get(schema.get("format", ""))) is not None:
            found = re.search(shape[0], self._prompt)
            return found.group() if found else shape[1]
        text = self._words(name, schema.get("default"))
        text = text.ljust(schema.get("minLength", 0), ".")
        return text[: schema.get("maxLength")]

    def _words(self, name: str, default: object) -> str:
        plain = name.lower()
        if found := self._beside(plain):
            return found
        if self._quoted:
            return self._quoted.popleft()
        if plain in _WHOLE_PROMPT and self._prompt.strip():
            return self._prompt.strip()
        if self._names:
            taken = self._names.popleft()
            if not self._names:
                self._names.append(taken)
            return taken
        if isinstance(default, str):
            return default
        about = re.search(r"(?:\babout|关于)\s*(\w+)", self._prompt)
        first = next(iter(sentences(self._prompt)), "")
        said = [word for word in re.findall(r"[^\W\d_]{3,}", first) if word.lower() not in STOP]
        return about.group(1) if about else said[-1] if said else first or name or "text"

    def _beside(self, name: str) -> str | None:
        """The prompt's value for the property's name: ``name: Ann``, ``name is Ann``."""
        if len(name) < 2:
            return None
        spoken = re.escape(name).replace("_", "[_ ]")
        between = r"(?:is called|is named|is|=|:|：|是|为)"
        pattern = rf"""\b{spoken}\b\s*{between}\s*["'“]?([^\s,.;"'”，。；]+)"""
        found = re.search(pattern, self._prompt, re.IGNORECASE)
        return found.group(1) if found else None


def _has_defaults(properties: Mapping[str, Any]) -> bool:
    return any("default" in part for part in properties.values() if isinstance(part, Mapping))


def _names(prompt: str) -> list[str]:
    """Capitalised words inside sentences, and Chinese text without its common words."""
    found = [(match.start(), match.group(1)) for match in _NAME.finditer(prompt)]
    at = 0
    for part in _CUT.split(prompt):
        at = prompt.index(part, at)
        if len(part) > 1:
            found.append((at, part))
    return [text for _, text in sorted(found)]

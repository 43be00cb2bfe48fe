"""Writes ``docs/one-call.md``, in both languages: which modules a traced tool call passes."""

from __future__ import annotations

import ast
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from docs.words import in_words, written
from modelscope_transport.language import Language

ROOT = Path(__file__).resolve().parent.parent
PAGES: dict[Language, Path] = {
    "en": ROOT / "docs" / "one-call.md",
    "zh": ROOT / "docs" / "one-call.zh.md",
}
PACKAGES = ("langchain_modelscope", "llamaindex_modelscope", "modelscope_transport")
MODEL = "Qwen/Qwen3-Coder-30B-A3B-Instruct"


class Road(NamedTuple):
    """What a traced call has passed.

    Attributes:
        entries: modules in the order in which each was first entered, and by which function.
        changes: how often the call went from one module to another.
    """

    entries: dict[str, str]
    changes: int


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def langchain_call(service: Any) -> Callable[[], list[Any]]:
    """A streamed tool call through LangChain."""
    from langchain_modelscope import ChatModelScope

    model = ChatModelScope(model=MODEL, api_key=service.token, base_url=service.base_url)
    bound = model.bind_tools([add])
    return lambda: list(bound.stream("Add 2 and 3."))


def llamaindex_call(service: Any) -> Callable[[], list[Any]]:
    """A streamed tool call through LlamaIndex."""
    from llama_index.core.tools import FunctionTool

    from llamaindex_modelscope import ModelScope

    token = f"{service.token}-2"  # an account of its own, of which the ledger knows nothing yet
    llm = ModelScope(model=MODEL, api_key=token, base_url=service.base_url)
    tool = FunctionTool.from_defaults(add)
    return lambda: list(llm.stream_chat_with_tools([tool], user_msg="Add 2 and 3."))


def trace(call: Callable[[], list[Any]]) -> Road:
    """The road of a call. It is made once before, so that nothing is met for the first time."""
    call()
    entries: dict[str, str] = {}
    last, changes = "", 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal last, changes
        if event != "call":
            return
        module = _module(frame.f_code.co_filename)
        if module is None:
            return
        name = frame.f_code.co_name
        if not name.startswith("<"):
            entries.setdefault(module, name)
        changes += module != last
        last = module

    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
    return Road(entries, changes)


@functools.cache
def _module(file: str) -> str | None:
    path = Path(file)
    if not path.is_relative_to(ROOT):
        return None
    name = path.relative_to(ROOT).as_posix()
    return name if name.startswith(PACKAGES) and "/emulator/" not in name else None


def subject(module: str) -> str:
    """The first sentence of a module's docstring."""
    docstring = ast.get_docstring(ast.parse((ROOT / module).read_text(encoding="utf-8"))) or ""
    return docstring.split("\n\n")[0].replace("\n", " ").rstrip(".")


_HEADS: dict[Language, str] = {
    "en": "| # | module | entered by | its subject |",
    "zh": "| # | 模块 | 入口 | 内容 |",
}


def table(road: Road, language: Language = "en") -> str:
    """The road as a table."""
    rows = [
        f"| {number} | `{module}` | `{name}` | {in_words('one call', subject(module), language)} |"
        for number, (module, name) in enumerate(road.entries.items(), 1)
    ]
    return "\n".join([_HEADS[language], "|---|---|---|---|", *rows])


_HEAD_EN = """# One call, folder by folder

[中文](one-call.zh.md)

What happens when an answer with a tool call is streamed: the adapter's objects become a
`ChatRequest`, the policy yields an attempt, the exchange waits for a slot and a unit of the
allowance and sends it, the first payload is judged, and from then on bytes become deltas and
deltas become the framework's own chunks. No framework object goes below the adapter, no JSON field
name stands outside `_wire/`, no HTTP library outside `http/`.

This page is written by `python docs/one_call.py`, which traces both calls against the local
service; a test compares it with a new trace.

```mermaid
sequenceDiagram
    participant A as adapter
    participant C as client/
    participant P as calls/ policy
    participant D as calls/ driver, exchange
    participant H as http/
    participant S as service
    A->>C: stream_chat(ChatRequest)
    C->>P: task, terms
    loop until an outcome is good
        P-->>D: Attempt(body, delay)
        Note over D: limiter: a slot; ledger: a reservation
        D->>H: send
        H->>S: POST /chat/completions
        S-->>H: head and first payload
        D-->>P: Reply | NoReply | Refused
        Note over P: _wire/ judges: good, again, spent, final
        Note over D: limiter and ledger learn; the exchange closes, or goes on as a stream
    end
    P-->>C: Handover(opening, origin)
    loop as bytes come
        H-->>C: bytes
        C-->>A: ChatDelta
    end
```
"""

_TAIL_EN = """
Async is the same road over the twins: `client/aio.py`, `calls/async_driver.py`,
`calls/async_exchange.py`, `http/async_reply.py`, `http/async_engine.py`, `client/async_streams.py`;
the policy, the decoders and the converters are the very same objects.
"""


_HEAD: dict[Language, str] = {"en": _HEAD_EN, "zh": written("one call", "head")}
_TAIL: dict[Language, str] = {"en": _TAIL_EN, "zh": written("one call", "tail")}
_SECTION: dict[Language, str] = {
    "en": "\n## From {title}\n\nThe call goes from one module to another {changes} times, over "
    "{modules} modules.\n\n{table}\n",
    "zh": "\n## 从 {title} 开始\n\n这次调用在模块之间转移 {changes} 次，经过 {modules} 个模块。"
    "\n\n{table}\n",
}


def page(roads: dict[str, Road], language: Language) -> str:
    """The whole page.

    Args:
        roads: what each call has passed, by the framework that it came from.
        language: ``"en"`` or ``"zh"``.
    """
    text = _HEAD[language]
    for title, road in roads.items():
        text += _SECTION[language].format(
            title=title,
            changes=road.changes,
            modules=len(road.entries),
            table=table(road, language),
        )
    return text + _TAIL[language]


if __name__ == "__main__":
    os.environ["MODELSCOPE_LEDGER"] = "memory"  # the reader's own is not to be written
    from modelscope_transport.emulator import LocalService

    with LocalService() as local:
        roads = {
            "LangChain": trace(langchain_call(local)),
            "LlamaIndex": trace(llamaindex_call(local)),
        }
    for language, place in PAGES.items():
        place.write_text(page(roads, language), encoding="utf-8")

"""An engine of rules: no model, no network, always the same answer to the same request.

How it decides (:func:`decide`), the first that applies:

1. A tool that must be called is called: the named one; for ``required`` the ones the prompt
  mentions, else the first.
2. With tools at hand, those that the prompt mentions and that were not called since are called: all
  at once, or one by one where ``parallel_tool_calls`` is false.
3. ``response_format``: the schema filled from the prompt, the schema that stands in the prompt, or
  an object with the keys that the prompt names.
4. Otherwise a text: see ``composing``.

Arguments and fields are filled from their JSON schema with what the prompt says: see ``filling``.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from modelscope_transport.emulator import embedding
from modelscope_transport.emulator.catalogue import Model
from modelscope_transport.emulator.engine import ChatCall, Piece, Pieces, ToolPiece, Usage, tokens
from modelscope_transport.emulator.scripted.composing import answered, compose, fit_schema
from modelscope_transport.emulator.scripted.filling import Filler
from modelscope_transport.emulator.scripted.rules import prompt_tokens
from modelscope_transport.emulator.scripted.talk import Talk, mentioned, named_keys
from modelscope_transport.emulator.scripted.words import is_chinese

SLICE = 5
"""Characters of arguments in one piece."""


@dataclass(slots=True)
class Decision:
    """What to answer: a text, or tools with their arguments as JSON."""

    text: str = ""
    tools: list[tuple[str, str]] = field(default_factory=list)


class ScriptedEngine:
    """The engine of rules.

    Args:
        pace: Seconds of silence before each piece.
    """

    def __init__(self, pace: float = 0) -> None:
        self._pace = pace

    async def chat(self, call: ChatCall) -> Pieces:
        """Yield the answer's pieces, then its usage."""
        decision = decide(call)
        total = thought = 0
        for choice in range(call.body.get("n") or 1):
            answer = _Answer(call, choice)
            for piece in answer.pieces(decision):
                if self._pace:
                    await asyncio.sleep(self._pace)
                yield piece
            total, thought = total + answer.spent, thought + answer.thought
        yield Usage(prompt_tokens(call.body), total, thought)

    async def embed(
        self, model: Model, texts: Sequence[str], dimensions: int
    ) -> tuple[list[list[float]], int]:
        """Return one vector for each text, and the number of tokens read."""
        vectors = [list(embedding.embed(text, dimensions)) for text in texts]
        return vectors, sum(len(tokens(text)) for text in texts)


def decide(call: ChatCall) -> Decision:
    """Find the answer to a call."""
    body, talk = call.body, Talk(call.body["messages"])
    functions = {tool["function"]["name"]: tool["function"] for tool in body.get("tools") or []}
    chosen = _choose(functions, body, talk)
    if chosen:
        filler = Filler(talk.prompt, talk.numbers_left(), functions)
        found = answered(talk)
        return Decision(
            tools=[(name, _arguments(functions[name], filler, found)) for name in chosen]
        )
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        filled = Filler(talk.material).fill(wanted["json_schema"]["schema"])
        return Decision(_dump(filled))
    if wanted.get("type") == "json_object":
        return Decision(fit_schema(talk) or _dump(_named_object(talk)))
    return Decision(compose(talk))


def _choose(functions: dict[str, Any], body: dict[str, Any], talk: Talk) -> list[str]:
    choice = body.get("tool_choice") or "auto"
    if not functions or choice == "none":
        return []
    if isinstance(choice, dict):
        return [choice["function"]["name"]]
    described = {name: each.get("description") or "" for name, each in functions.items()}
    called = talk.called()
    wanted = [name for name in mentioned(talk.prompt, described) if name not in called]
    if not wanted and choice == "required":
        return [next((name for name in functions if name not in called), list(functions)[-1])]
    return wanted[:1] if body.get("parallel_tool_calls") is False else wanted


def _arguments(function: dict[str, Any], filler: Filler, found: str | None) -> str:
    asked = (function.get("parameters") or {}).get("properties") or {}
    if "query_satisfied" in asked:  # an answer, and whether the passages hold one
        return _dump({"query_satisfied": found is not None, "answer": found or ""})
    return _dump(filler.fill(function.get("parameters") or {"type": "object"}))


def _named_object(talk: Talk) -> dict[str, Any]:
    keys = named_keys(talk.everything) or ["answer"]
    filler = Filler(talk.prompt, apart=keys)
    return {key: filler.fill({"type": "string"}, key) for key in keys}


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


class _Answer:
    """One choice of an answer, cut off at the stop words and at the limit of tokens."""

    def __init__(self, call: ChatCall, choice: int) -> None:
        body = call.body
        stop = body.get("stop") or []
        self._stops = [stop] if isinstance(stop, str) else stop
        self._left = body.get("max_tokens") or body.get("max_completion_tokens") or 1 << 30
        self._logprobs = bool(body.get("logprobs"))
        self._call, self._choice = call, choice
        self.spent = self.thought = 0

    def pieces(self, decision: Decision) -> list[Piece]:
        """The choice's pieces, the finish included."""
        found: list[Piece] = []
        if self._call.thinking:
            thoughts = self._taken(self._reasoning(decision))
            found += [Piece(reasoning=token, choice=self._choice) for token in thoughts]
            self.thought = self.spent
        for token in self._taken(self._stopped(decision.text)):
            logprobs = _certain(token) if self._logprobs else None
            found.append(Piece(token, choice=self._choice, logprobs=logprobs))
        for index, (name, arguments) in enumerate(decision.tools):
            found += self._tool(index, name, arguments)
        finish = "length" if self._left < 0 else "tool_calls" if decision.tools else "stop"
        found.append(Piece(finish=finish, choice=self._choice))
        return found

    def _taken(self, text: str) -> list[str]:
        """The tokens that the limit still allows; one too many makes ``_left`` negative."""
        cut = tokens(text)
        given = cut[: max(self._left, 0)]
        self._left -= len(cut)
        self.spent += len(given)
        return given

    def _stopped(self, text: str) -> str:
        ends = [at for stop in self._stops if stop and (at := text.find(stop)) >= 0]
        return text[: min(ends)] if ends else text

    def _tool(self, index: int, name: str, arguments: str) -> list[Piece]:
        given = "".join(self._taken(arguments))
        slices = [given[at : at + SLICE] for at in range(0, len(given), SLICE)] or [""]
        first = ToolPiece(index, slices[0], f"call_{uuid.uuid4().hex[:24]}", name)
        parts = [first, *(ToolPiece(index, part) for part in slices[1:])]
        return [Piece(tool=part, choice=self._choice) for part in parts]

    def _reasoning(self, decision: Decision) -> str:
        prompt = Talk(self._call.body["messages"]).prompt.strip()[:80]
        names = ", ".join(name for name, _ in decision.tools)
        if is_chinese(prompt):
            return f"用户说“{prompt}”。" + (f"我来调用 {names}。" if names else "我来回答。")
        return f"The user says: {prompt}. " + (
            f"I shall call {names}." if names else "I shall answer."
        )


def _certain(token: str) -> dict[str, Any]:
    """The log probability of a token that could not have been another one."""
    entry = {"bytes": list(token.encode()), "logprob": 0.0, "token": token}
    return {"content": [{**entry, "top_logprobs": [entry]}]}

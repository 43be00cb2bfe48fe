"""The steps of the demo: which example each runs, and how it shows that the example did its job."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, ToolMessage

from modelscope_transport.language import marked as _N
from modelscope_transport.language import resolve_language
from modelscope_transport.language import translated as _

ROOT = Path(__file__).parents[1]
# Not more: on two cores the small model takes a second for each passage.
DOCUMENTS = (Path(__file__).with_name("documents"), ROOT / "docs" / "allowance.md")


# What the passages must hold that answer a question, in the words of either language.
FACTS = (("00:00", "零点"), ("200",))


class StepFailedError(Exception):
    """A step ran without doing its job; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes:
        letter: Its mark in the output.
        title: What it shows.
        example: The file it runs, under ``examples/`` or, in Chinese, ``examples/zh/``.
        check: Looks at what the example's ``main`` returned; raises :class:`StepFailedError`.
        arguments: What ``main`` is called with.
    """

    letter: str
    title: str
    example: str
    check: Callable[[Any], None]
    arguments: tuple[Any, ...] = ()

    @property
    def path(self) -> str:
        """The example in the reader's language, from the project's root."""
        folder = "examples/zh" if resolve_language() == "zh" else "examples"
        return f"{folder}/{self.example}"

    def run(self) -> None:
        """Run the example's ``main`` and check what came out."""
        example = runpy.run_path(str(ROOT / self.path))
        self.check(example["main"](*map(_in_language, self.arguments)))


def check_pieces(pieces: list[str]) -> None:
    """A streamed answer: words, in more than one piece."""
    _demand("".join(pieces).strip(), _("the answer was empty"))
    _demand(len(pieces) > 1, _("the answer came in one piece, not as a stream"))


def check_messages(messages: list[Any]) -> None:
    """A LangChain agent's run: a tool was called and worked, then the model answered."""
    results = [message for message in messages if isinstance(message, ToolMessage)]
    _demand(results, _("the model called no tool"))
    _demand(all(result.status == "success" for result in results), _("the tool failed"))
    last = messages[-1]
    _demand(isinstance(last, AIMessage) and last.text.strip(), _("no answer followed the tool's"))


def check_output(output: Any) -> None:
    """A LlamaIndex agent's run, in the same way."""
    _demand(output.tool_calls, _("the model called no tool"))
    failed = any(call.tool_output.is_error for call in output.tool_calls)
    _demand(not failed, _("the tool failed"))
    _demand(output.response.content, _("no answer followed the tool's"))


def check_answers(responses: list[Any]) -> None:
    """Answers of a query engine: the fact asked for stands in the passages that were found."""
    for response, facts in zip(responses, FACTS, strict=True):
        _demand(str(response).strip() not in ("", "Empty Response"), _("the answer was empty"))
        found = "".join(source.node.get_content() for source in response.source_nodes)
        held = any(fact in found for fact in facts)
        _demand(held, _("no passage that was found holds {fact!r}").format(fact=facts[0]))


def check_refusal(refusal: tuple[Any, int]) -> None:
    """A spent allowance: the error says when it comes back, and the next call sent nothing."""
    error, sent = refusal
    _demand(error.resets_at is not None, _("the error does not say when the allowance comes back"))
    _demand(sent == 0, _("the call after the refusal sent {sent} requests").format(sent=sent))


def _in_language(argument: Any) -> Any:
    """The Chinese of a page for a reader of Chinese; anything else as it is."""
    if isinstance(argument, Path) and argument.suffix == ".md" and resolve_language() == "zh":
        return argument.with_suffix(".zh.md")
    return argument


def _demand(holds: object, otherwise: str) -> None:
    if not holds:
        raise StepFailedError(otherwise)


STEPS = (
    Step("a", _N("a LangChain chain, streaming"), "langchain_chain.py", check_pieces),
    Step("b", _N("a LangChain agent calls a tool"), "langchain_agent.py", check_messages),
    Step(
        "c",
        _N("LlamaIndex indexes documents and answers with its sources"),
        "llamaindex_query_engine.py",
        check_answers,
        DOCUMENTS,
    ),
    Step("d", _N("a LlamaIndex agent calls a tool"), "llamaindex_agent.py", check_output),
)
# each starts a local service of its own, so that no real allowance is spent
SPENDING_STEPS = (
    Step("e", _N("a spent allowance in LangChain"), "spent_allowance_langchain.py", check_refusal),
    Step(
        "e", _N("a spent allowance in LlamaIndex"), "spent_allowance_llamaindex.py", check_refusal
    ),
)

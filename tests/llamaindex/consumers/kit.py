"""What a consumer of LlamaIndex core gets to work with, and the list that each puts itself on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from llama_index.core import Document, Settings, VectorStoreIndex

from llamaindex_modelscope import ModelScope, ModelScopeEmbedding
from modelscope_transport.emulator import LocalService

CHAT = "Qwen/Qwen3-Coder-30B-A3B-Instruct"
EMBEDDING = "Qwen/Qwen3-Embedding-0.6B"
TEXTS = ("Paris is the capital of France.", "Berlin is the capital of Germany.")
QUESTION = "What is the capital of Germany?"


@dataclass
class Kit:
    """A service of its own, and both models on it."""

    service: LocalService
    llm: ModelScope
    embed_model: ModelScopeEmbedding

    def documents(self, *texts: str) -> list[Document]:
        return [Document(text=text) for text in texts or TEXTS]

    def index(self, *texts: str) -> VectorStoreIndex:
        """Costs one request."""
        return VectorStoreIndex.from_documents(
            self.documents(*texts), embed_model=self.embed_model, transformations=[]
        )

    @contextmanager
    def as_settings(self) -> Iterator[None]:
        """Both models as LlamaIndex's defaults."""
        # Core makes these on first use and keeps them, also of no model at all.
        Settings._prompt_helper = Settings._chat_prompt_helper = None
        Settings.llm, Settings.embed_model = self.llm, self.embed_model
        try:
            yield
        finally:
            Settings._llm = Settings._embed_model = None
            Settings._prompt_helper = Settings._chat_prompt_helper = None


@dataclass(frozen=True)
class Consumer:
    """One way in which core uses a model.

    Attributes:
        run: does it; gives what came out.
        check: whether that is right.
        requests: HTTP requests it takes.
        before: how many of them come before the first that the model under test gets.
        of: which model is under test.
        spent: HTTP requests in all when that model's allowance is spent.
        swallowed: where core catches every error: whether what came out then is as core has it.
    """

    name: str
    run: Callable[[Kit], Any]
    check: Callable[[Any], bool]
    requests: int
    before: int = 0
    of: str = CHAT
    spent: int | None = None
    swallowed: Callable[[Any], bool] | None = None

    def passes(self, out: Any) -> bool:
        """Whether what came out is right, and none of core's ways to say that nothing did."""
        if isinstance(out, BaseException) or failed(out):
            return False
        try:
            return bool(self.check(out))
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            return False  # something of another form


@dataclass
class Register:
    """Collects the consumers of one file."""

    all: list[Consumer] = field(default_factory=list)

    def __call__(
        self, check: Callable[[Any], bool] | str, requests: int, **facts: Any
    ) -> Callable[[Callable[[Kit], Any]], Callable[[Kit], Any]]:
        def enter(run: Callable[[Kit], Any]) -> Callable[[Kit], Any]:
            name = f"{run.__module__.rpartition('.')[2]}-{run.__name__}"
            test = check if callable(check) else lambda out: str(check) in str(out)
            self.all.append(Consumer(name, run, test, requests, **facts))
            return run

        return enter


# What core says where a model was of no use, and pieces of prompts that an answer has no business
# to hold: an engine that found no answer repeats what it was asked.
FAILURES = (
    "Empty Response",
    "no triplets",
    "could not be parsed",
    "cannot be parsed",
    "Encountered error",
    "Reached max iterations",
    "You said",
    "The context does not say",
    "Context information is below",
    "Given the context information",
    "answer the query",
    "JSON schema",
    "Previous reasoning",
    "<existing_facts>",
)
NOTHING = ("", "None", "[]", "{}", "''", "assistant: ", "assistant: None")


def failed(out: Any) -> bool:
    """Whether what came out is one of core's ways to say that nothing did."""
    said = str(out)
    return said in NOTHING or any(text in said for text in FAILURES)

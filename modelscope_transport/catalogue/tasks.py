"""The task registry: which kinds of work there are, how each is encoded, which class serves it.

The rows are data, ``data/tasks.toml``: a task is a table there and, where it has an encoding of
its own, one file in ``_wire/`` that the table names.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ..errors import ConfigurationError, UnsupportedTaskError
from ..language import translated as _
from .models import ModelProfile

__all__ = [
    "TASKS",
    "ChatTask",
    "EmbeddingTask",
    "Form",
    "ImageTask",
    "PipelineTask",
    "RerankTask",
    "Task",
    "check_offered",
    "check_task",
    "known_task",
    "task_in_id",
    "task_named",
]

# The names once more, by kind, for type checkers: a test compares them with the rows.
ChatTask = Literal[
    "chat",
    "text-generation",
    "text2text-generation",
    "image-text-to-text",
    "visual-question-answering",
]
EmbeddingTask = Literal["embedding", "sentence-embedding", "feature-extraction"]
ImageTask = Literal["image", "text-to-image-synthesis", "image-to-image"]
RerankTask = Literal["rerank", "text-ranking"]
PipelineTask = Literal[
    "pipeline",
    "text-classification",
    "sentiment-classification",
    "zero-shot-classification",
    "nli",
    "sentence-similarity",
    "named-entity-recognition",
    "token-classification",
    "part-of-speech",
    "word-segmentation",
    "siamese-uie",
    "relation-extraction",
    "translation",
    "text-error-correction",
    "text-summarization",
    "fill-mask",
    "punctuation",
    "classic-sentence-embedding",
    "classic-text-ranking",
    "auto-speech-recognition",
    "text-to-speech",
    "ocr-recognition",
    "image-captioning",
    "image-classification",
    "multimodal-dialogue",
    "text-to-video-synthesis",
    "image-to-video",
]


class Form(Struct, frozen=True):
    """What a task takes and gives, where tasks with the same encoding differ in it.

    Attributes:
        takes: what goes in: ``"text"``, ``"audio"`` and so on, see ``data/tasks.toml``.
        gives: what comes out.
        key: field of the answer that holds it; empty for the usual one.
    """

    takes: str = "object"
    gives: str = "output"
    key: str = ""


class Task(Struct, frozen=True, kw_only=True):
    """One of ModelScope's tasks.

    Attributes:
        name: ModelScope's name of it, for instance ``"text-to-image-synthesis"``.
        kind: name of the row whose encoding it uses: tasks of one kind are served by one class.
        wire: file of ``_wire/`` that encodes and decodes it.
        flow: ``"poll"`` where the service answers with a task ID whose result is polled for, else
            ``"call"``.
        does: what a model of this task does, for messages.
        langchain: class that serves it in LangChain.
        llamaindex: class that serves it in LlamaIndex.
        status: ``"served"``; ``"undocumented"``: served, but the service's pages do not say so; or
            ``"not offered"``.
        instead: what to do where it is not offered, for messages.
        form: what it takes and gives.
        in_ids: words in model IDs of the classic form that stand for it.
        source: where the status is known from.
        checked: date of that, ISO.
    """

    name: str
    kind: str
    wire: str
    does: str
    langchain: str
    llamaindex: str
    status: Literal["served", "undocumented", "not offered"]
    source: str
    checked: str
    flow: Literal["call", "poll"] = "call"
    instead: str = ""
    in_ids: tuple[str, ...] = ()
    form: Form = Form()


def _rows() -> tuple[dict[str, Task], dict[str, str]]:
    """The tasks by name, and the task names by the words that stand for them in model IDs.

    A table that is ``like`` another one takes from it what it does not say itself.
    """
    text = (
        resources.files("modelscope_transport")
        .joinpath("data/tasks.toml")
        .read_text(encoding="utf-8")
    )
    tables: dict[str, dict[str, Any]] = tomllib.loads(text)["tasks"]
    rows, words = {}, {}
    for name, table in tables.items():
        facts, kind = dict(table), name
        while "like" in facts:
            kind = facts.pop("like")
            facts = {**tables[kind], "in_ids": [], **facts}
        for word in (name, *facts.get("in_ids", ())):
            words[word] = name
        form = {part: facts.pop(part) for part in Form.__struct_fields__ if part in facts}
        rows[name] = msgspec.convert({**facts, "name": name, "kind": kind, "form": form}, Task)
    return rows, words


TASKS: Mapping[str, Task]
_WORDS: Mapping[str, str]
TASKS, _WORDS = _rows()


def task_named(name: str) -> Task:
    """The row of a task.

    Raises:
        ConfigurationError: there is no such task; near names are suggested.
    """
    row = TASKS.get(name)
    if row is None:
        near = difflib.get_close_matches(name, TASKS, n=3, cutoff=0.5)
        said = (
            _("{name!r} is not a known task. Perhaps: {near}.")
            if near
            else _("{name!r} is not a known task. Known are: {known}.")
        )
        raise ConfigurationError(
            said.format(name=name, near=", ".join(near), known=", ".join(TASKS))
        )
    return row


# damo/nlp_structbert_sentiment-classification_chinese-base: field, model, task, the rest.
_CLASSIC = re.compile(r"[a-z]+(?:-[a-z]+)?_.+")


def task_in_id(model: str) -> Task | None:
    """The task that a model ID of the classic form names, or ``None``."""
    name = model.rpartition("/")[2]
    if _CLASSIC.fullmatch(name) is None:
        return None
    found = [word for word in name.split("_") if word in _WORDS]
    return TASKS[_WORDS[max(found, key=len)]] if found else None


def known_task(profile: ModelProfile) -> Task | None:
    """The task of a model, by what is known of it or else by its ID; ``None`` if unknown."""
    if profile.described:
        return task_named(profile.task)
    return task_in_id(profile.id)


def check_task(profile: ModelProfile, wanted: str) -> Task:
    """The row to serve a model by.

    Args:
        profile: the model.
        wanted: task that is asked for, or the kind of work that the caller's class does.

    Raises:
        ConfigurationError: there is no such task.
        UnsupportedTaskError: the model does another kind of work (the message names the class that
            serves it), or that work is not served.
    """
    asked, known = task_named(wanted), known_task(profile)
    if known is not None and known.kind != asked.kind:
        raise UnsupportedTaskError(
            _("{first} {then}").format(
                first=_(
                    "Model {model!r} does {known}; here one is needed that does {asked}."
                ).format(model=profile.id, known=known.name, asked=asked.name),
                then=_not_offered(known) or _served_by(known),
            )
        )
    row = known if known is not None and asked.name == asked.kind else asked
    return check_offered(profile.id, row)


def check_offered(model: str, row: Task) -> Task:
    """The row itself, if the service serves it.

    Raises:
        UnsupportedTaskError: it does not; says what to do instead.
    """
    if row.status == "not offered":
        raise UnsupportedTaskError(
            _("{first} {then}").format(
                first=_("Model {model!r} does {task}.").format(model=model, task=row.name),
                then=_not_offered(row),
            )
        )
    return row


def _served_by(row: Task) -> str:
    said = _("For this model use {langchain} in LangChain or {llamaindex} in LlamaIndex.")
    return said.format(langchain=row.langchain, llamaindex=row.llamaindex)


def _not_offered(row: Task) -> str:
    if row.status != "not offered":
        return ""
    said = (
        _("The service does not offer the task {task}; {instead}.")
        if row.instead
        else _("The service does not offer the task {task}.")
    )
    return said.format(task=row.name, instead=_(row.instead) if row.instead else "")

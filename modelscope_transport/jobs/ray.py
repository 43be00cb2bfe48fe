"""Stages of Ray Data: a data set is asked or embedded by many machines on one allowance.

Laws of this file: Ray schedules, restarts and resumes; nothing here does. All actors count in one
ledger, which has to be one that all nodes share (a Redis). A row without an answer because the
allowance was spent does not go on, so that Ray's checkpoint asks for it in the next run; a row that
failed by its own fault goes on, with its error. This module imports Ray only where it sets it up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from .._wire import batch_lines
from ..answers import EmbeddingResult
from ..client.response_cache import key_of
from ..errors import ConfigurationError, InvalidRequestError
from ..language import translated as _
from ..types import ChatRequest, EmbeddingRequest, Message
from .answer_schema import AnswerSchema
from .block_stage import BlockStage, Columns, MakeClient, length, objects, only, value_in
from .rows import BatchRow

__all__ = ["ChatStage", "EmbeddingStage", "checkpoint"]


def checkpoint(path: str, id_column: str = "id", **options: Any) -> None:
    """Let the data sets of this driver go on where an earlier run of the same stopped.

    Call it before the data set is made. Ray then leaves out the rows whose ids an earlier run has
    written; the data set has to be written (``write_parquet`` and its kin) for that.

    Args:
        path: where Ray keeps the ids; a place that all nodes see.
        id_column: a column whose values are unique, and which every stage hands on.
        options: further ones of Ray's ``CheckpointConfig``.

    Raises:
        ConfigurationError: Ray Data is not installed.
    """
    try:
        from ray.data import DataContext
        from ray.data.checkpoint import CheckpointConfig
    except ImportError:
        raise ConfigurationError(
            _(
                "Stages for clusters need Ray Data. Install it with: pip install "
                '"modelscope-adapters[ray]"'
            )
        ) from None
    config = CheckpointConfig(
        id_column=id_column,
        checkpoint_path=path,
        **{"delete_checkpoint_on_success": False, **options},
    )
    DataContext.get_current().checkpoint_config = config


class ChatStage(BlockStage):
    """Asks one question for each row; for ``ds.map_batches``.

    Args:
        model: model ID.
        prompt: the question, with ``{column}`` where a column's value belongs.
        messages: a column that holds whole conversations instead, as lists of ``role`` and
            ``content``.
        output: name of the column that the answer's text goes to: with ``schema``, the object, as
            JSON text. What a row failed for goes to the column of that name and ``_error``.
        schema: what every answer must be; see `Batch`.
        system: a message put before every question.
        fields: further fields of every `ChatRequest`, such as ``temperature``.
        client: options of the `Client`, or a function that makes it; by default all is found in
            the environment of the actors. ``ledger`` should be a Redis that all nodes reach.
        cache: a file or the address of a Redis where answers are kept: what a block that died had
            paid for is found there.
        workers: requests of an actor on their way at once; how many the service takes is found
            out by all actors together.
        wait: whether the stage waits for the reset when the allowance is spent. Else it hands on
            what it has, and the next run of a data set with a `checkpoint` goes on.
        pace: ``clock`` and ``sleep`` of the `Batch`.

    Example:
        ::

            ds.map_batches(
                ChatStage,
                fn_constructor_kwargs={"model": …, "prompt": "Translate: {text}"},
                num_cpus=0,  # it waits for a network, and at the limit for hours
                compute=ray.data.ActorPoolStrategy(size=4),
                batch_size=64,
            )
    """

    def __init__(
        self,
        model: str,
        *,
        prompt: str | None = None,
        messages: str | None = None,
        output: str = "answer",
        schema: Any = None,
        system: str | None = None,
        fields: Mapping[str, Any] | None = None,
        client: Mapping[str, Any] | MakeClient | None = None,
        cache: str | None = None,
        workers: int = 8,
        wait: bool = True,
        pace: Mapping[str, Any] | None = None,
    ) -> None:
        """Check the arguments; nothing is opened yet."""
        if (prompt is None) is (messages is None):
            raise ConfigurationError(
                _(
                    "Pass prompt=, a template with {column} in it, or messages=, the name of a "
                    "column."
                )
            )
        super().__init__(client, cache, workers, wait, pace, model)
        self._prompt = prompt or ""
        self._messages = messages
        self._output = output
        self._schema = schema
        self._before = () if system is None else (Message("system", system),)
        self._fields = dict(fields or {})

    def __call__(self, batch: Columns) -> dict[str, Any]:
        """The rows of a block that have come to their end, with the columns of their outcome.

        Raises:
            ModelScopeError: what holds for every row: a wrong token, a model that is gone.
        """
        requests: dict[str, ChatRequest] = {}
        answers: dict[int, str | None] = {}
        errors: dict[int, str | None] = {}
        for place in range(length(batch)):
            try:
                requests[str(place)] = self._request(batch, place)
            except InvalidRequestError as error:
                errors[place] = str(error)
        for key, row in self._settle(requests, self._schema).items():
            answers[int(key)] = self._value(row)
            errors[int(key)] = None if row.failure is None else row.failure.message
        places = sorted(errors)
        return {
            **only(batch, places),
            self._output: objects([answers.get(place) for place in places]),
            f"{self._output}_error": objects([errors[place] for place in places]),
        }

    def _request(self, batch: Columns, place: int) -> ChatRequest:
        if self._messages is not None:
            turns = value_in(batch, self._messages, place)
            turns = list(turns) if isinstance(turns, Iterable) else turns
            asked = batch_lines.chat_request({"model": self._model, "messages": turns}).messages
        else:
            # At once, so that braces in a value mean nothing.
            names = "|".join(map(re.escape, batch))
            text, filled = re.subn(
                f"{{({names})}}",
                lambda found: str(value_in(batch, found[1], place)),
                self._prompt,
            )
            if not filled:
                raise ConfigurationError(
                    _(
                        "The prompt holds no column of the data, so that every row would ask the "
                        "same. Write a column's name in braces into it; there are {columns}."
                    ).format(columns=", ".join(batch))
                )
            asked = (Message("user", text),)
        return ChatRequest(model=self._model, messages=self._before + asked, **self._fields)

    def _value(self, row: BatchRow) -> str | None:
        if row.failure is not None:
            return None
        if self._schema is None:
            return row.text
        return AnswerSchema(self._schema).read_json(row.text)


class EmbeddingStage(BlockStage):
    """Embeds one column of each row; for ``ds.map_batches``.

    Args:
        model: model ID.
        column: the column of texts.
        output: name of the column that the vectors go to. What a row failed for goes to the
            column of that name and ``_error``.
        dimensions: length of the vectors; ``None`` is the model's own.
        client: as of `ChatStage`.
        cache: as of `ChatStage`; vectors are found again text by text.
        workers: as of `ChatStage`.
        wait: as of `ChatStage`.
        pace: as of `ChatStage`.
    """

    def __init__(
        self,
        model: str,
        *,
        column: str = "text",
        output: str = "embedding",
        dimensions: int | None = None,
        client: Mapping[str, Any] | MakeClient | None = None,
        cache: str | None = None,
        workers: int = 1,
        wait: bool = True,
        pace: Mapping[str, Any] | None = None,
    ) -> None:
        """Open nothing yet."""
        super().__init__(client, cache, workers, wait, pace, model)
        self._column = column
        self._output = output
        self._dimensions = dimensions

    def __call__(self, batch: Columns) -> dict[str, Any]:
        """As of `ChatStage`. Equal texts of a block are sent once."""
        texts: dict[int, str] = {}
        failed: dict[int, str] = {}
        for place in range(length(batch)):
            try:
                texts[place] = str(value_in(batch, self._column, place, empty=False))
            except InvalidRequestError as error:
                failed[place] = str(error)
        vectors, errors = self._vectors(list(dict.fromkeys(texts.values())))
        for place, text in texts.items():
            if text in errors:
                failed[place] = errors[text]
        places = sorted([*failed, *(place for place, text in texts.items() if text in vectors)])
        return {
            **only(batch, places),
            self._output: objects([vectors.get(texts.get(place, "")) for place in places]),
            f"{self._output}_error": objects([failed.get(place) for place in places]),
        }

    def _vectors(self, texts: list[str]) -> tuple[dict[str, list[float]], dict[str, str]]:
        vectors = {text: vector for text in texts if (vector := self._kept(text)) is not None}
        errors: dict[str, str] = {}
        size = self._opened().profile(self._model).embedding_batch
        wanted = [text for text in texts if text not in vectors]
        # Each request is an item of its own: what one of them got is kept before the next is paid.
        parts = {
            str(start): tuple(wanted[start : start + size]) for start in range(0, len(wanted), size)
        }
        rows = self._settle(
            {key: self._request(*part) for key, part in parts.items()},
            on_row=lambda row: self._keep(parts[row.key], row),
        )
        for key, row in rows.items():
            if row.embedding is None:
                message = "" if row.failure is None else row.failure.message
                errors.update(dict.fromkeys(parts[key], message))
                continue
            vectors.update(zip(parts[key], row.embedding.vectors, strict=True))
        return vectors, errors

    def _request(self, *texts: str) -> EmbeddingRequest:
        return EmbeddingRequest(model=self._model, texts=texts, dimensions=self._dimensions)

    def _key(self, text: str) -> bytes | None:
        return key_of(self._request(text), self._opened().base_url)

    def _kept(self, text: str) -> list[float] | None:
        if self._cache is None or (key := self._key(text)) is None:
            return None
        found = self._cache.find_vectors(key)
        return None if found is None else found.vectors[0]

    def _keep(self, texts: tuple[str, ...], row: BatchRow) -> None:
        if self._cache is None or row.embedding is None:
            return
        for text, vector in zip(texts, row.embedding.vectors, strict=True):
            if (key := self._key(text)) is not None:
                self._cache.keep(key, EmbeddingResult((vector,), model=row.embedding.model))

"""An index whose building survives an interrupt: vectors are kept in a file as they come."""

from __future__ import annotations

import array
import asyncio
import hashlib
import os
import sqlite3
from pathlib import Path
from typing import Any

from llama_index.core.storage.kvstore.types import (
    DEFAULT_BATCH_SIZE,
    DEFAULT_COLLECTION,
    BaseKVStore,
)

from modelscope_transport.language import translated as _
from modelscope_transport.private_database import PrivateDatabase, finish_in_thread

from .embeddings import ModelScopeEmbedding
from .errors import ModelScopeConfigurationError

__all__ = ["VectorFile", "resumable"]


def resumable(
    embed_model: ModelScopeEmbedding, path: str | os.PathLike[str]
) -> ModelScopeEmbedding:
    """The same embedding model, which reads from a file what it has embedded before.

    A ``VectorStoreIndex.from_documents`` or an ``IngestionPipeline`` that was killed, or that spent
    the allowance, is then simply run again: it embeds the rest only, and repeats at most the
    request that was on its way.

    Args:
        embed_model: the embedding model.
        path: the file; vectors of other models and lengths may be in it too.

    Raises:
        ModelScopeConfigurationError: the model's query and text instructions differ, or the file
            is of another kind. Use one model with instructions to ask, and another to build.
    """
    if embed_model.query_instruction != embed_model.text_instruction:
        raise ModelScopeConfigurationError(
            _(
                "A file of vectors knows one vector for a text. Build the index with an "
                "embedding model that has no query_instruction, and ask it with another one "
                "that has."
            )
        )
    store = VectorFile(path, _space(embed_model))
    return embed_model.model_copy(update={"embeddings_cache": store})


def _space(model: ModelScopeEmbedding) -> str:
    """What a vector depends on beside its text."""
    return repr(
        (
            model.model_name,
            model.dimensions,
            model.text_instruction,
            model.extra_body,
            model.additional_kwargs,
        )
    )


class VectorFile(BaseKVStore):
    """Vectors by their texts, in a file that processes may share.

    Args:
        path: the file, readable by its owner alone.
        space: what a vector depends on beside its text.

    Raises:
        ModelScopeConfigurationError: at the first use, where the file cannot be used.
    """

    def __init__(self, path: str | os.PathLike[str], space: str) -> None:
        """Open nothing yet."""
        self.path = Path(path).expanduser().absolute()
        self.space = space
        self._database = PrivateDatabase(
            self.path,
            "CREATE TABLE IF NOT EXISTS vectors (name BLOB PRIMARY KEY, id TEXT, vector BLOB)",
        )

    def get(self, key: str, collection: str = DEFAULT_COLLECTION) -> dict[str, Any] | None:
        """The vector of a text, as core keeps one."""
        where = self._name(key, collection)
        rows = self._run("SELECT id, vector FROM vectors WHERE name = ?", (where,))
        if not rows:
            return None
        name, packed = rows[0]
        return {name: array.array("d", packed).tolist()}

    def put(self, key: str, val: dict[str, Any], collection: str = DEFAULT_COLLECTION) -> None:
        """Keep a vector; it is on file when this returns."""
        ((name, vector),) = val.items()
        row = (self._name(key, collection), name, array.array("d", vector).tobytes())
        self._run("REPLACE INTO vectors VALUES (?, ?, ?)", row)

    def delete(self, key: str, collection: str = DEFAULT_COLLECTION) -> bool:
        """Forget a vector; whether there was one."""
        query = "DELETE FROM vectors WHERE name = ? RETURNING id"
        return bool(self._run(query, (self._name(key, collection),)))

    def get_all(self, collection: str = DEFAULT_COLLECTION) -> dict[str, dict[str, Any]]:
        """Nothing: the file keeps hashes of the texts and not the texts, which are the keys."""
        return {}

    async def aget(self, key: str, collection: str = DEFAULT_COLLECTION) -> dict[str, Any] | None:
        """As `get`."""
        return await asyncio.to_thread(self.get, key, collection)

    async def aput(
        self, key: str, val: dict[str, Any], collection: str = DEFAULT_COLLECTION
    ) -> None:
        """As `put`; it is finished even when the caller is cancelled."""
        await finish_in_thread(self.put, key, val, collection)

    async def aput_all(
        self,
        kv_pairs: list[tuple[str, dict[str, Any]]],
        collection: str = DEFAULT_COLLECTION,
        batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> None:
        """`put` each, in one thread; it is finished even when the caller is cancelled."""
        await finish_in_thread(self.put_all, kv_pairs, collection, batch_size)

    async def adelete(self, key: str, collection: str = DEFAULT_COLLECTION) -> bool:
        """As `delete`."""
        return await asyncio.to_thread(self.delete, key, collection)

    async def aget_all(self, collection: str = DEFAULT_COLLECTION) -> dict[str, dict[str, Any]]:
        """As `get_all`."""
        return {}

    def _name(self, key: str, collection: str) -> bytes:
        whole = "\0".join((self.space, collection, key))
        return hashlib.blake2b(whole.encode("utf-8", "surrogatepass"), digest_size=20).digest()

    def _run(self, query: str, values: tuple[Any, ...]) -> list[Any]:
        try:
            return self._database.run(query, values)
        except (sqlite3.Error, OSError) as error:
            raise ModelScopeConfigurationError(
                _(
                    "The file of vectors {path} cannot be used: {error}. Make room, or name "
                    "another file."
                ).format(path=self.path, error=error)
            ) from None

    def close(self) -> None:
        """Close the file; a later call opens it again."""
        self._database.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """The same file, opened anew."""
        return type(self), (str(self.path), self.space)

    def __deepcopy__(self, memo: dict[int, Any]) -> VectorFile:
        """The same file, opened anew."""
        return type(self)(self.path, self.space)

"""A store for several hosts: a Redis or Valkey, one script, one hash tag.

The server runs the script of ``ledger.lua`` as one, so that a program is atomic there too. All keys
of an account carry the account as their hash tag, so they lie on one node of a cluster.

Event loops use redis-py's asyncio client: a call that waits for the server holds no thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import threading
import traceback
import weakref
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from importlib import resources
from typing import Any, TypeVar

import msgspec

from .._forks import begin_anew_in_child
from ..language import translated as _
from .redis_address import RedisAddress
from .redis_promises import warn_if_forgetful
from .steps import LASTING, Pages, Ran, Step, StoreError

__all__ = ["RedisStore"]

_PREFIX = "modelscope"  # of all keys
_PAGE_LIVES = 35 * 86_400  # seconds that a day's page is kept
_encode = msgspec.json.encode
_decode = msgspec.json.decode
T = TypeVar("T")


@functools.cache
def _script() -> tuple[str, str]:
    """The script, and the name under which a server keeps it."""
    text = resources.files(__package__).joinpath("ledger.lua").read_text(encoding="utf-8")
    return text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class RedisStore:
    """Numbers in a Redis. Nothing is opened before the first call.

    Args:
        url: its address, see `RedisAddress`.
        patience: seconds that a question may take; by default what the address says, or 2.
    """

    blocking = True
    awaitable = True

    def __init__(self, url: str, patience: float | None = None) -> None:
        self.address = RedisAddress.parse(url, patience)
        self.begin_anew()
        begin_anew_in_child(self)

    def begin_anew(self) -> None:
        """Forget all connections: in a forked child they are the parent's."""
        self._client: Any = None
        self._lock = threading.Lock()
        self._loops: weakref.WeakKeyDictionary[Any, _LoopClient] = weakref.WeakKeyDictionary()

    # --- sync -----------------------------------------------------------------------------

    def run(self, account: str, now: float, tests: Sequence[Step], changes: Sequence[Step]) -> Ran:
        """Run a program in one script."""
        pages, arguments = self._program(account, now, tests, changes)
        return self._attempt(lambda: _ran(pages, self._evaluate(arguments)))

    def read(self, account: str, pages: Sequence[str]) -> Pages:
        """The named pages, as far as they exist."""
        question = self._question(account, pages)
        return self._attempt(lambda: _existing(pages, self._evaluate(question)))

    def accounts(self) -> list[str]:
        """The accounts of which anything is kept."""
        start = f"{_PREFIX}:{{"
        keys = self._attempt(lambda: self._keys(start))
        return sorted({key.decode()[len(start) :].rpartition("}:")[0] for key in keys})

    def pages(self, account: str) -> Pages:
        """All pages of an account."""
        start = self._key(account, "")
        keys = self._attempt(lambda: self._keys(start))
        return self.read(account, [key.decode()[len(start) :] for key in keys])

    def clear(self, account: str | None) -> None:
        """Forget an account, or all of them."""
        start = f"{_PREFIX}:{{" if account is None else self._key(account, "")

        def work() -> None:
            for key in self._keys(start):
                self._client.delete(key)

        self._attempt(work)

    def close(self) -> None:
        """Close the connections of threads; those of event loops end with their loop."""
        with self._lock:
            if self._client is not None:
                self._client.close()
            self._client = None

    def _keys(self, start: str) -> list[bytes]:
        return list(self._client.scan_iter(match=_escaped(start) + "*", count=1000))

    def _evaluate(self, arguments: Sequence[Any]) -> Any:
        text, name = _script()
        try:
            return self._client.evalsha(name, *arguments)
        except _redis().exceptions.NoScriptError:
            return self._client.eval(text, *arguments)

    def _attempt(self, work: Callable[[], T]) -> T:
        with self._translated():
            with self._lock:
                if self._client is None:
                    self._client = self.address.client()
                    warn_if_forgetful(self.address, self._client)
            return work()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn any failure into a `StoreError`, a cell that is not valid JSON included."""
        redis = _redis()
        try:
            yield
        except (redis.RedisError, OSError, ValueError, msgspec.MsgspecError) as error:
            raise self._unusable(error) from None

    # --- async: the same, with await ------------------------------------------------------

    async def arun(
        self, account: str, now: float, tests: Sequence[Step], changes: Sequence[Step]
    ) -> Ran:
        """`run`, for an event loop."""
        pages, arguments = self._program(account, now, tests, changes)
        with self._translated():
            return _ran(pages, await self._aevaluate(arguments))

    async def aread(self, account: str, pages: Sequence[str]) -> Pages:
        """`read`, for an event loop."""
        with self._translated():
            return _existing(pages, await self._aevaluate(self._question(account, pages)))

    async def _aevaluate(self, arguments: Sequence[Any]) -> Any:
        client, (text, name) = await self._aclient(), _script()
        try:
            return await client.evalsha(name, *arguments)
        except _redis().exceptions.NoScriptError:
            return await client.eval(text, *arguments)

    async def _aclient(self) -> Any:
        """The client of this event loop; the first call in it opens it, the others wait for it."""
        loop = asyncio.get_running_loop()
        mine = self._loops.get(loop)
        if mine is None:
            # A client keeps its loop: one that was closed without `aclose` would stay for ever.
            for other in [other for other in self._loops if other.is_closed()]:
                del self._loops[other]
            mine = self._loops[loop] = _LoopClient()
        async with mine.lock:
            if mine.client is None:
                # Whether the server is a cluster, the sync client finds out once.
                await loop.run_in_executor(None, self._attempt, lambda: None)
                mine.keeper = _until_the_loop_ends(self.address.asyncio_client())
                mine.client = await anext(mine.keeper)
        return mine.client

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        mine = self._loops.pop(asyncio.get_running_loop(), None)
        if mine is not None and mine.keeper is not None:
            await mine.keeper.aclose()

    # --- both -----------------------------------------------------------------------------

    def _program(
        self, account: str, now: float, tests: Sequence[Step], changes: Sequence[Step]
    ) -> tuple[list[str], list[Any]]:
        """The pages of a program, and the script's arguments."""
        places = {LASTING: 1}
        for steps in (tests, changes):
            for step in steps:
                places.setdefault(step.page, len(places) + 1)
        keys = [self._key(account, page) for page in places]
        arguments = [now, _text(tests, places), _text(changes, places), _PAGE_LIVES]
        return list(places), [len(keys), *keys, *arguments]

    def _question(self, account: str, pages: Sequence[str]) -> list[Any]:
        keys = [self._key(account, page) for page in pages]
        return [len(keys), *keys, 0, b"[]", b"[]", _PAGE_LIVES]

    def _key(self, account: str, page: str) -> str:
        return f"{_PREFIX}:{{{account}}}:{page}"

    def _unusable(self, error: Exception) -> StoreError:
        _forget_frames(error)
        reason = type(error).__name__
        if "Timeout" in reason:
            reason = _(
                "no answer within {seconds:g} s; ?patience= in the address allows more"
            ).format(seconds=self.address.patience)
        return StoreError(
            _("the Redis at {shown} cannot be used ({reason})").format(
                shown=self.address.shown, reason=reason
            )
        )


class _LoopClient:
    """The client of one event loop, and the generator that closes it with the loop."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.client: Any = None
        self.keeper: AsyncGenerator[Any, None] | None = None


async def _until_the_loop_ends(client: Any) -> AsyncGenerator[Any, None]:
    """Keep a client; a loop that ends closes its open generators, and so the client."""
    try:
        yield client
    finally:
        await client.aclose()


def _redis() -> Any:
    """redis-py, which is an extra."""
    try:
        import redis
    except ImportError:
        raise StoreError(
            _("a Redis needs the package redis: pip install 'modelscope-adapters[redis]'")
        ) from None
    return redis


def _text(steps: Sequence[Step], places: dict[str, int]) -> bytes:
    return _encode(
        [
            (word, places[page], cell, _encode(a).decode() if word == "put" else a, b)
            for word, page, cell, a, b in steps
        ]
    )


def _ran(pages: Sequence[str], answer: Sequence[Any]) -> Ran:
    failed, *found = answer
    tables = {page: _table(cells) for page, cells in zip(pages, found, strict=True)}
    return Ran(None if failed < 0 else failed, tables)


def _existing(pages: Sequence[str], answer: Sequence[Any]) -> Pages:
    return {page: _table(cells) for page, cells in zip(pages, answer[1:], strict=True) if cells}


def _table(flat: Sequence[bytes]) -> dict[str, Any]:
    """The cells of a hash, as a script returns it: name, value, name, value."""
    return {flat[at].decode(): _decode(flat[at + 1]) for at in range(0, len(flat), 2)}


def _forget_frames(error: BaseException | None) -> None:
    """Break the cycle of a failed connect, whose frame keeps the error that keeps the frame.

    The frames below keep this store as well, and its connections would wait for the collector.
    """
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error.__traceback__ = None  # the frames that still run have the error, too
        error = error.__context__


def _escaped(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "*?[]\\" else letter for letter in text)

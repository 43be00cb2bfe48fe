"""A store for several hosts: a Redis, one script, one hash tag.

Redis runs the script of ``ledger.lua`` as one, so that a program is atomic there too. All keys of
an account carry the account as their hash tag, so they lie on one node of a cluster.
"""

from __future__ import annotations

import functools
import os
import threading
import traceback
import urllib.parse
import weakref
from collections.abc import Sequence
from importlib import resources
from typing import Any

import msgspec

from .steps import LASTING, Pages, Ran, Step, StoreError

__all__ = ["RedisStore", "shown"]

# A Redis that does not answer must not hold a call up: within a second the chosen mode stands in.
_PATIENCE = 0.5
_DAYS_KEPT = 35
_encode = msgspec.json.encode
_decode = msgspec.json.decode


@functools.cache
def _script() -> str:
    return resources.files(__package__).joinpath("ledger.lua").read_text(encoding="utf-8")


def shown(url: str) -> str:
    """An address fit for a message: without user name and password."""
    parts = urllib.parse.urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


_stores: weakref.WeakSet[RedisStore] = weakref.WeakSet()


def _after_fork() -> None:
    for store in list(_stores):
        store.begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class RedisStore:
    """Numbers in a Redis. Nothing is opened before the first call.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``, as the redis package takes it.
        prefix: how the keys begin.
    """

    blocking = True

    def __init__(self, url: str, prefix: str = "modelscope") -> None:
        self.url = url
        self.prefix = prefix
        self._client: Any = None
        self._run: Any = None
        self._lock = threading.Lock()
        _stores.add(self)

    def run(self, account: str, now: float, tests: Sequence[Step], changes: Sequence[Step]) -> Ran:
        """Run a program in one script."""
        pages = [LASTING]
        for step in (*tests, *changes):
            if step.page not in pages:
                pages.append(step.page)

        def text(steps: Sequence[Step]) -> bytes:
            return _encode(
                [
                    (
                        word,
                        pages.index(page) + 1,
                        cell,
                        _encode(a).decode() if word == "put" else a,
                        b,
                    )
                    for word, page, cell, a, b in steps
                ]
            )

        keys = [self._key(account, page) for page in pages]
        arguments = [now, text(tests), text(changes), _DAYS_KEPT * 86400]
        failed, *found = self._ask(lambda: self._run(keys=keys, args=arguments))
        return Ran(
            None if failed < 0 else failed,
            {page: _table(cells) for page, cells in zip(pages, found, strict=True)},
        )

    def read(self, account: str, pages: Sequence[str]) -> Pages:
        """The named pages, as far as they exist."""

        def work() -> Pages:
            asked = self._client.pipeline(transaction=False)
            for page in pages:
                asked.hgetall(self._key(account, page))
            return {
                page: {name.decode(): _decode(cell) for name, cell in cells.items()}
                for page, cells in zip(pages, asked.execute(), strict=True)
                if cells
            }

        found: Pages = self._ask(work)
        return found

    def clear(self, account: str | None) -> None:
        """Forget an account, or all of them."""
        start = f"{self.prefix}:{{" if account is None else self._key(account, "")

        def work() -> None:
            for key in list(self._client.scan_iter(match=_escaped(start) + "*", count=1000)):
                self._client.delete(key)

        self._ask(work)

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            if self._client is not None:
                self._client.close()
            self._client = None

    def begin_anew(self) -> None:
        """In a forked child: connections of its own, and a lock that nobody holds."""
        self._client = None
        self._lock = threading.Lock()

    def _key(self, account: str, page: str) -> str:
        return f"{self.prefix}:{{{account}}}:{page}"

    def _ask(self, work: Any) -> Any:
        try:
            import redis
        except ImportError:
            raise StoreError(
                "a Redis needs the package redis: pip install 'modelscope-adapters[redis]'"
            ) from None
        try:
            with self._lock:
                if self._client is None:
                    # No retries of its own: a script that was sent may have run.
                    self._client = redis.Redis.from_url(
                        _without_ours(self.url),
                        socket_timeout=_PATIENCE,
                        socket_connect_timeout=_PATIENCE,
                        retry=None,
                    )
                    self._run = self._client.register_script(_script())
            return work()
        except (redis.RedisError, OSError, ValueError, msgspec.MsgspecError) as error:
            _forget_frames(error)
            reason = type(error).__name__
            raise StoreError(f"the Redis at {shown(self.url)} cannot be used ({reason})") from None


def _forget_frames(error: BaseException | None) -> None:
    """Break the cycle of a failed connect, whose frame keeps the error that keeps the frame.

    The frames below keep this store as well, and its connections would wait for the collector.
    """
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


def _table(flat: Sequence[bytes]) -> dict[str, Any]:
    """The cells of a hash, as a script returns it: name, value, name, value."""
    return {flat[at].decode(): _decode(flat[at + 1]) for at in range(0, len(flat), 2)}


def _without_ours(url: str) -> str:
    """The address without ``when_down``, which is this package's own."""
    parts = urllib.parse.urlsplit(url)
    rest = [pair for pair in urllib.parse.parse_qsl(parts.query) if pair[0] not in ("when_down",)]
    return parts._replace(query=urllib.parse.urlencode(rest)).geturl()


def _escaped(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "*?[]\\" else letter for letter in text)

"""Answers in a Redis or Valkey, for several hosts. Its server forgets what is too old by itself."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from .._forks import begin_anew_in_child
from ..errors import ConfigurationError
from ..language import translated as _
from ..quota.redis_address import RedisAddress
from ..settings import resolve_address

__all__ = ["RedisAnswers"]

T = TypeVar("T")
_PREFIX = b"modelscope:answer:"
_TIME = 8  # bytes of the time, in milliseconds, that stand before an answer


class RedisAnswers:
    """A store of answers. A server that does not answer counts as empty.

    Args:
        url: its address, see `RedisAddress`. The credentials of one that came by a pickle are
            looked for in the environment at the first use; where they are missing, that use
            raises a `ConfigurationError`.

    Raises:
        ConfigurationError: the package ``redis`` is not installed, or the address cannot be read.
    """

    blocking = True

    def __init__(self, url: str) -> None:
        """Open nothing yet."""
        try:
            import redis
        except ImportError:
            raise ConfigurationError(
                _(
                    "A cache in a Redis needs the package redis. Install it with: pip install "
                    '"modelscope-adapters[redis]"'
                )
            ) from None
        self._errors = (redis.RedisError, OSError)
        RedisAddress.parse(url)
        self._url = url
        self.begin_anew()
        begin_anew_in_child(self)

    def begin_anew(self) -> None:
        """Forget the connections: in a forked child they are the parent's."""
        self._lock = threading.Lock()
        self._client: Any = None

    def find(self, key: bytes, oldest: float) -> bytes | None:
        """What is kept under a name since a time, if anything."""
        found: bytes | None = self._with(lambda client: client.get(_PREFIX + key))
        if found is None or int.from_bytes(found[:_TIME]) < oldest * 1000:
            return None
        return found[_TIME:]

    def keep(self, key: bytes, at: float, answer: bytes, max_age: float | None) -> None:
        """Keep something under a name."""
        value = int(at * 1000).to_bytes(_TIME) + answer
        lives = None if max_age is None else max(1, int(max_age * 1000))
        self._with(lambda client: client.set(_PREFIX + key, value, px=lives))

    def clear(self) -> None:
        """Forget everything."""

        def work(client: Any) -> None:
            for key in client.scan_iter(_PREFIX + b"*", count=1000):
                client.delete(key)

        self._with(work)

    def close(self) -> None:
        """Close the connections."""
        with self._lock, contextlib.suppress(*self._errors):
            if self._client is not None:
                self._client.close()
            self._client = None

    def _with(self, work: Callable[[Any], T]) -> T | None:
        with contextlib.suppress(*self._errors):
            return work(self._open())
        return None

    def _open(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = RedisAddress.parse(resolve_address(self._url)).client()
            return self._client

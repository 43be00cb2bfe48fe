"""Whether a Redis keeps what it is given: checked once, with one warning where it may not."""

from __future__ import annotations

import warnings
from typing import Any

from ..language import translated as _
from .redis_address import RedisAddress

__all__ = ["warn_if_forgetful"]

_warned: set[str] = set()


def warn_if_forgetful(address: RedisAddress, client: Any) -> None:
    """Warn once of a server that may forget what was spent.

    Where it may not be asked (an ACL, a managed server), there is no warning.
    """
    weak = _forgets(client)
    if weak and address.shown not in _warned:
        _warned.add(address.shown)
        warnings.warn(
            _(
                "The ledger: the Redis at {shown} may forget what was spent: {weak}. See "
                "docs/allowance.md."
            ).format(shown=address.shown, weak=_(" and ").join(weak)),
            RuntimeWarning,
            stacklevel=2,
        )


def _forgets(client: Any) -> list[str]:
    import redis

    weak = []
    try:
        memory = _one(client.info("memory"))
        if memory.get("maxmemory") and memory.get("maxmemory_policy", "noeviction") != "noeviction":
            weak.append(
                _("it evicts keys when its memory is full ({policy})").format(
                    policy=memory["maxmemory_policy"]
                )
            )
        lasting = _one(client.info("persistence"))
        saves = _one(client.config_get("save")).get("save", "?")
        if not lasting.get("aof_enabled") and saves == "":
            weak.append(_("it keeps nothing over a restart (neither AOF nor snapshots)"))
    except redis.ResponseError:  # a user that may not ask
        pass
    return weak


def _one(answer: dict[str, Any]) -> dict[str, Any]:
    """A server's answer; of a cluster, the first node's."""
    first = next(iter(answer.values()), None)
    return first if isinstance(first, dict) and ":" in next(iter(answer)) else answer

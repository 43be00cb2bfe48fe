"""What every file of this room that carries a kind of work gives: a request ready to send.

Such a file has a ``PATH`` and a function ``prepare(request, profile, *, stream)`` that returns an
`Encoded`; a row of ``data/tasks.toml`` names the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from msgspec import Struct

from ..models import ModelProfile
from .outcomes import Failure, Reply, read_failure

__all__ = ["Encoded", "Wire"]


def _refused(reply: Reply) -> Failure:
    return read_failure(reply.body)


class Encoded(Struct, frozen=True, kw_only=True):
    """A request ready to send.

    Attributes:
        body: JSON.
        read: turns a good reply into the result, or into what the body says instead.
        streaming: whether a stream was asked for.
        adjustments: what is sent otherwise than asked, and why.
        path: where to send it, if not to the file's ``PATH``.
        headers: further headers.
        refused: reads a reply that is no success.
    """

    body: bytes
    read: Callable[[Reply], Any | Failure]
    streaming: bool = False
    adjustments: tuple[str, ...] = ()
    path: str | None = None
    headers: Mapping[str, str] | None = None
    refused: Callable[[Reply], Failure] = _refused


class Wire(Protocol):
    """A file of this room that carries a kind of work."""

    PATH: str
    """Address under the base URL."""

    def prepare(self, request: Any, profile: ModelProfile, *, stream: bool) -> Encoded:
        """Check and encode a request.

        Raises:
            ModelScopeError: the request cannot be sent.
        """

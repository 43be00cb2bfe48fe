"""A request ready to send, which every file of this folder that encodes a kind of work makes.

Such a file is a `Wire`: it has a ``PATH`` and a function ``prepare``. A row of ``data/tasks.toml``
names it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from msgspec import Struct

from ..answers import Origin
from ..catalogue.models import ModelProfile
from ..catalogue.tasks import Form
from .outcomes import Failure, Reply, read_failure

__all__ = ["Done", "Encoded", "Ended", "Pending", "PollWire", "Waiting", "Wire"]


def _refused(reply: Reply) -> Failure:
    return read_failure(reply.body)


class Encoded(Struct, frozen=True, kw_only=True):
    """A request ready to send.

    Attributes:
        read: turns a good reply into the result, or into what the body says instead.
        body: JSON to post; empty for a ``GET``.
        streaming: whether a stream was asked for.
        adjustments: what is sent otherwise than asked, and why.
        path: where to send it, if not to the file's ``PATH``.
        headers: further headers.
        refused: reads a reply that is no success.
    """

    read: Callable[[Reply], Any | Failure]
    body: bytes = b""
    streaming: bool = False
    adjustments: tuple[str, ...] = ()
    path: str | None = None
    headers: Mapping[str, str] | None = None
    refused: Callable[[Reply], Failure] = _refused


class Wire(Protocol):
    """A file of this folder that encodes a kind of work."""

    PATH: str
    """Address under the base URL."""

    def prepare(self, request: Any, profile: ModelProfile, *, stream: bool, form: Form) -> Encoded:
        """Check and encode a request.

        Raises:
            ModelScopeError: the request cannot be sent.
        """


# --- asynchronous tasks -----------------------------------------------------------------------


class Pending(Struct, frozen=True):
    """The service has taken a task and goes on with it by itself."""

    task_id: str


class Waiting(Struct, frozen=True):
    """The task is not done yet; ``status`` is the service's name of its state."""

    status: str


class Done(Struct, frozen=True):
    """The task is done, and its products lie at these addresses."""

    urls: tuple[str, ...]
    task_id: str = ""
    status: str = ""


class Ended(Struct, frozen=True):
    """The task has failed."""

    failure: Failure


class PollWire(Wire, Protocol):
    """A file of this folder for asynchronous tasks.

    A good reply to what ``prepare`` made reads as `Pending`, or as `Done` at once.
    """

    def look(self, task_id: str) -> Encoded:
        """How to ask after a task; a good reply reads as `Waiting`, `Done` or `Ended`."""

    def fetch(self, url: str) -> Encoded:
        """How to get a product; a good reply reads as that product."""

    def finish(self, products: tuple[Any, ...], task_id: str, origin: Origin) -> Any:
        """The result, of all products, or of their addresses where they were not wanted."""

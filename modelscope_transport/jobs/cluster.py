"""A job on a Ray cluster: the same `Batch`, whose questions actors of Ray ask.

Laws of this file: the file of results, resuming and waiting stay with the `Batch` on this machine.
Ray places, restarts and ends the actors, and an actor only asks. All of them count in one ledger,
which is a Redis. No question goes out before each actor has shown that it can ask. No credential
goes to the cluster: the token and the password of the Redis are those of the nodes' environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
from collections.abc import AsyncIterator
from importlib.util import find_spec
from typing import Any

from ..answers import ChatResult, EmbeddingResult
from ..client.sync import Client
from ..errors import APIConnectionError, ConfigurationError, ModelScopeError
from ..language import translated as _
from ..quota.redis_address import SCHEMES
from ..types import ChatRequest, EmbeddingRequest
from .batch import Batch
from .open_items import Requests
from .report import BatchReport

__all__ = ["ClusterBatch", "check_cluster"]

Answer = ChatResult | EmbeddingResult
# How often Ray asks a question again whose actor or node died.
_RETRIES = 3
# Seconds within which a cluster's head node must accept a connection.
_PATIENCE = 10.0


def check_cluster(client: Client) -> None:
    """Check that a cluster can make a client's calls at all; nothing is sent.

    Args:
        client: the client.

    Raises:
        ConfigurationError: Ray is not installed, or not all nodes share the ledger.
    """
    if find_spec("ray") is None:
        raise ConfigurationError(
            _(
                "A job on a cluster needs Ray. Install it with: pip install "
                '"modelscope-adapters[ray]"'
            )
        )
    if not _ledger_name(client).startswith(SCHEMES):
        raise ConfigurationError(
            _(
                "The machines of a cluster share one limit through a ledger in a Redis, and none "
                "is named. Name one that all of them reach: --ledger redis://…, or "
                "MODELSCOPE_LEDGER."
            )
        )


class ClusterBatch(Batch):
    """A `Batch` whose questions are asked by the machines of a Ray cluster.

    It has one actor on each node, ``workers`` calls at once in all, and takes no CPU of theirs.

    Args:
        client: as of `Batch`. Each actor has a copy of it, which counts in the same ledger: a Redis
            that all nodes reach.
        path: as of `Batch`; on this machine.
        address: the cluster, as ``ray.init`` takes it: ``"auto"``, ``"host:6379"``.
        options: those of `Batch`.

    Raises:
        ConfigurationError: see `check_cluster`.
    """

    def __init__(
        self, client: Client, path: str | os.PathLike[str], *, address: str, **options: Any
    ) -> None:
        """Connect to nothing yet."""
        check_cluster(client)
        super().__init__(client, path, **options)
        self._address = address
        self._free: asyncio.Queue[Any] = asyncio.Queue()

    async def arun(self, requests: Requests) -> BatchReport:
        """As of `Batch`.

        Raises:
            ConfigurationError: no cluster is at the address, or one of its nodes cannot ask: this
                package, the token or the ledger is missing there.
            ModelScopeError: see `Batch.run`.
        """
        async with self._actors():
            return await super().arun(requests)

    @contextlib.asynccontextmanager
    async def _actors(self) -> AsyncIterator[None]:
        import ray

        await _connect(ray, self._address)
        try:
            nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
            count = min(self._workers, sum(node["Alive"] for node in nodes))
            each = math.ceil(self._workers / count)
            remote = ray.remote(_Asker).options(
                num_cpus=0,  # it waits for a network
                max_concurrency=each + 1,
                max_restarts=-1,
                max_task_retries=_RETRIES,
                scheduling_strategy="SPREAD",
            )
            actors = [remote.remote(self._client) for _number in range(count)]
            await self._check(actors)
            self._free = asyncio.Queue()
            for _turn in range(each):
                for actor in actors:
                    self._free.put_nowait(actor)
            yield
        finally:
            ray.shutdown()  # its actors end with it

    async def _check(self, actors: list[Any]) -> None:
        """Let each actor show that it can ask."""
        from ray.exceptions import RayError

        try:
            found = await asyncio.gather(*(actor.ready.remote() for actor in actors))
        except RayError as error:
            raise ConfigurationError(
                _(
                    "The nodes of the cluster at {address} cannot run this job ({reason}). Install "
                    "the same modelscope-adapters on each of them."
                ).format(address=self._address, reason=_reason(error))
            ) from None
        for said in found:
            if isinstance(said, ModelScopeError):
                raise ConfigurationError(
                    _(
                        "A node of the cluster at {address} cannot ask: {reason} Its token and the "
                        "password of the ledger are those of the environment in which Ray was "
                        "started there."
                    ).format(address=self._address, reason=said)
                )
            if said != (self._client.account, _ledger_name(self._client)):
                raise ConfigurationError(
                    _(
                        "A node of the cluster at {address} counts for another account or in "
                        "another ledger. Start Ray there with the same token, or name the account "
                        "(--account) and the ledger (--ledger)."
                    ).format(address=self._address)
                )

    async def _answer(self, request: ChatRequest | EmbeddingRequest) -> Answer:
        from ray.exceptions import RayError

        actor = await self._free.get()
        try:
            answer: Answer | ModelScopeError = await actor.ask.remote(request)
        except RayError as error:
            raise APIConnectionError(
                _("The cluster lost the call: {reason}").format(reason=_reason(error))
            ) from None
        finally:
            self._free.put_nowait(actor)
        if isinstance(answer, ModelScopeError):
            raise answer
        return answer


class _Asker:
    """An actor: one client on one node. Errors are handed back, since Ray would wrap them."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def ready(self) -> tuple[str, str] | ModelScopeError:
        """The names of the account and the ledger, once the token was found and both answer."""
        try:
            await asyncio.to_thread(self._client.quotas)
            return self._client.account, _ledger_name(self._client)
        except ModelScopeError as error:
            return error

    async def ask(self, request: ChatRequest | EmbeddingRequest) -> Answer | ModelScopeError:
        """The answer, or why there is none."""
        try:
            if isinstance(request, EmbeddingRequest):
                return await self._client.aio.embed(request)
            return await self._client.aio.chat(request)
        except ModelScopeError as error:
            return error


def _ledger_name(client: Client) -> str:
    return "off" if client.ledger is None else client.ledger.name


async def _connect(ray: Any, address: str) -> None:
    try:
        # Ray itself would try for minutes.
        host, _colon, port = address.rpartition("://")[2].rpartition(":")
        if port.isdecimal():
            async with asyncio.timeout(_PATIENCE):
                _reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            writer.close()
            await writer.wait_closed()
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigurationError(
            _(
                "No Ray cluster answers at {address} ({reason}). Start one with `ray start "
                "--head`, and name it as host:port or auto."
            ).format(address=address, reason=_reason(error))
        ) from None


def _reason(error: Exception) -> str:
    """The last line of what Ray says, which is the one with the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else type(error).__name__

"""The way to the service: the fields that the chat model and the embeddings share.

Laws of this file: constructing does no I/O; the token shows itself nowhere, goes into no pickle,
and is found again in the environment of the process that reads the pickle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    model_validator,
)

from modelscope_transport.client import Client
from modelscope_transport.errors import ConfigurationError
from modelscope_transport.quota import Quota
from modelscope_transport.settings import resolve_token

from .errors import native_errors

__all__ = ["OWN", "Connection", "reveal"]


def _hide(value: Any) -> Any:
    return SecretStr(value) if isinstance(value, str) else value


class Connection(BaseModel):
    """Model, token, address, limits and connections."""

    model_config = ConfigDict(
        arbitrary_types_allowed=True,
        extra="forbid",  # a misspelt argument is an error, not silence
        populate_by_name=True,
        protected_namespaces=(),
    )

    model_name: str = Field(alias="model")
    """Model ID, ``owner/name``; also accepted as ``model_name``."""

    api_key: Annotated[SecretStr | str | None, BeforeValidator(_hide)] = Field(
        default=None, repr=False
    )
    """Access token; by default that of ``MODELSCOPE_API_KEY``, ``MODELSCOPE_SDK_TOKEN``,
    ``MODELSCOPE_API_TOKEN`` or ``MODELSCOPE_ACCESS_TOKEN``."""

    base_url: str | None = None
    """Address of the service; by default that of ``MODELSCOPE_API_BASE`` or
    ``MODELSCOPE_BASE_URL``, else ``https://api-inference.modelscope.cn/v1``."""

    timeout: float | None = None
    """Total deadline of a call in seconds: waits, retries and the stream included. Default 600."""

    max_retries: int | None = None
    """Further attempts after the first, for what a moment may heal. Default 2."""

    proxy: str | None = None
    """Address of a proxy, ``"none"`` for none; by default what the environment says."""

    fallback_models: Sequence[str] = ()
    """Models to ask when this one's allowance is spent or it was withdrawn."""

    default_headers: Mapping[str, str] | None = Field(default=None, exclude=True, repr=False)
    """Further headers of every request."""

    extra_body: Mapping[str, Any] | None = None
    """Further fields of every request, merged in last."""

    client: Client | None = Field(default=None, exclude=True, repr=False)
    """A client to share, instead of ``api_key``, ``base_url``, ``max_retries``, ``proxy`` and the
    two below."""

    http_client: Any = Field(default=None, exclude=True, repr=False)
    """An ``httpx.Client`` to send through, instead of the shared connections."""

    http_async_client: Any = Field(default=None, exclude=True, repr=False)
    """An ``httpx.AsyncClient``, likewise, for the async methods."""

    _client: Client = PrivateAttr()

    @property
    def model(self) -> str:
        """Model ID, ``owner/name``."""
        return self.model_name

    @property
    def quota(self) -> Quota:
        """The pool that decides how many more calls this model may get today, and how it is known.

        It is told from the ledger alone: no request, no cost. The ledger's file is read here, so in
        an event loop ask ``await asyncio.to_thread(lambda: model.quota)``. All pools are told by
        ``quotas()`` of a `modelscope_transport.Client`.

        Raises:
            ModelScopeConfigurationError: the ledger is switched off, or cannot be used.
        """
        with native_errors():
            return self._client.quota(self.model_name)

    @model_validator(mode="after")
    def _connect(self) -> Self:
        with native_errors():
            own = {name: value for name in OWN if (value := getattr(self, name)) is not None}
            if self.client is not None:
                if own:
                    raise ConfigurationError(
                        f"client= was passed together with {', '.join(own)}. A client has its "
                        "own: pass these to it, or leave client= out."
                    )
                self._client = self.client
                return self
            token = resolve_token(reveal(self.api_key)).reveal()
            self.api_key = SecretStr(token)
            if self.timeout is not None:
                own["timeout"] = self.timeout
            self._client = Client(**{**own, "api_key": token})
        return self

    def close(self) -> None:
        """Close the idle connections to the service; a later call opens new ones."""
        self._client.close()

    async def aclose(self) -> None:
        """Close the idle connections of this event loop."""
        await self._client.aio.aclose()

    def __enter__(self) -> Self:
        """Use the model in a ``with`` block."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close the idle connections."""
        self.close()

    async def __aenter__(self) -> Self:
        """Use the model in an ``async with`` block."""
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Close the idle connections of this event loop."""
        await self.aclose()

    def __getstate__(self) -> dict[Any, Any]:
        """Leave out the token and what cannot be pickled."""
        state = super().__getstate__()
        left_out = dict.fromkeys(("api_key", "http_client", "http_async_client"))
        state["__dict__"] = {**state["__dict__"], **left_out}
        return state

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A copy in the same process keeps its token and shares injected HTTP clients."""
        shared = (self.http_client, self.http_async_client)
        memo = {**(memo or {}), **{id(client): client for client in shared if client is not None}}
        return super().__deepcopy__(memo)


# What a client of one's own is made with, beside the deadline.
OWN = ("api_key", "base_url", "max_retries", "proxy", "http_client", "http_async_client")


def reveal(secret: SecretStr | str | None) -> str | None:
    """The token itself."""
    return secret.get_secret_value() if isinstance(secret, SecretStr) else secret

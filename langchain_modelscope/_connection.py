"""The way to the service: the fields that the chat model and the embeddings share.

Laws of this file: constructing does no I/O; the token shows itself nowhere, goes into no pickle,
and is found again in the environment of the process that reads the pickle. A field that is set
after construction has its effect on the next call.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    model_validator,
)

from modelscope_transport.client import OPTIONS, Client
from modelscope_transport.errors import ConfigurationError
from modelscope_transport.language import translated as _
from modelscope_transport.quota import Quota
from modelscope_transport.secret import Secret, hide
from modelscope_transport.settings import resolve_token

from ._argument_table import CONNECTION, Argument
from ._arguments import read_constructor, read_timeout
from .errors import native_errors

__all__ = ["OWN", "Connection", "reveal"]


def _hide(value: Any) -> Any:
    return SecretStr(value) if isinstance(value, str) else value


def _seconds(value: Any) -> float | None:
    with native_errors():
        return None if value is None else read_timeout(value)


def _listed(models: Any) -> Any:
    return [models] if isinstance(models, str) else models


class Connection(BaseModel):
    """Model, token, address, limits and connections."""

    model_config = ConfigDict(
        arbitrary_types_allowed=True,
        extra="forbid",  # a misspelt argument is an error, not silence
        hide_input_in_errors=True,  # it may be a token
        populate_by_name=True,
        protected_namespaces=(),
    )

    _words: ClassVar[Mapping[str, Argument]] = CONNECTION

    model_name: str = Field(alias="model")
    """Model ID, ``owner/name``; also accepted as ``model_name``."""

    api_key: Annotated[SecretStr | str | Callable[[], str] | None, BeforeValidator(_hide)] = Field(
        default=None, repr=False
    )
    """Access token; by default that of ``MODELSCOPE_API_KEY``, ``MODELSCOPE_SDK_TOKEN``,
    ``MODELSCOPE_API_TOKEN`` or ``MODELSCOPE_ACCESS_TOKEN``. A function is asked for the token
    before each call."""

    base_url: str | None = None
    """Address of the service; by default that of ``MODELSCOPE_API_BASE`` or
    ``MODELSCOPE_BASE_URL``, else ``https://api-inference.modelscope.cn/v1``."""

    account: str | None = None
    """Name under which the ledger counts; by default it follows the token. Where the token is
    renewed from time to time, a name keeps what is known of the account."""

    timeout: Annotated[float | None, BeforeValidator(_seconds)] = None
    """Total deadline of a call in seconds: waits, retries and the stream included. Default 600."""

    max_retries: int | None = None
    """Further attempts after the first, where the failure may soon pass. Default 2."""

    connect_timeout: float | None = None
    """Seconds for a connection to come up. Default 10."""

    idle_timeout: float | None = None
    """Seconds without a byte after which a reply counts as lost. Default 120."""

    proxy: Annotated[SecretStr | str | None, BeforeValidator(_hide)] = Field(
        default=None, repr=False
    )
    """Address of a proxy, ``"none"`` for none; by default what the environment says. A password
    in it shows itself nowhere and goes into no pickle."""

    fallback_models: Annotated[Sequence[str], BeforeValidator(_listed)] = ()
    """Models to ask when this one's allowance is spent or it was withdrawn."""

    default_headers: Mapping[str, str] | None = Field(default=None, exclude=True, repr=False)
    """Further headers of every request. They may be credentials, so they go into no pickle."""

    extra_body: Mapping[str, Any] | None = None
    """Further fields of every request, merged in last."""

    client: Client | None = Field(default=None, exclude=True, repr=False)
    """A client to share, instead of ``api_key``, ``base_url``, ``max_retries``, ``proxy`` and the
    two below."""

    http_client: Any = Field(default=None, exclude=True, repr=False)
    """An ``httpx.Client`` to send through, instead of the shared connections."""

    http_async_client: Any = Field(default=None, exclude=True, repr=False)
    """The same for the async methods: an ``httpx.AsyncClient``."""

    _own_client: Client = PrivateAttr()
    _ask_token: Callable[[], str] | None = PrivateAttr(default=None)
    _token: Secret | None = PrivateAttr(default=None)

    @property
    def model(self) -> str:
        """Model ID, ``owner/name``."""
        return self.model_name

    @property
    def quota(self) -> Quota:
        """The pool that decides how many more calls this model may get today, and how it is known.

        It is read from the ledger alone: no request, no cost. The ledger's file is read here, so in
        an event loop ask ``await asyncio.to_thread(lambda: model.quota)``. ``quotas()`` of a
        `modelscope_transport.Client` gives all pools.

        Raises:
            ModelScopeConfigurationError: the ledger is switched off, or cannot be used.
        """
        with native_errors():
            return self._client.quota(self.model_name)

    @model_validator(mode="before")
    @classmethod
    def _read_words(cls, given: Any) -> Any:
        fields = _names_of(cls)
        if not isinstance(given, dict) or given.keys() <= fields:
            return given
        with native_errors():
            return read_constructor(cls.__name__, fields, cls._words, given)

    @model_validator(mode="after")
    def _begin(self) -> Self:
        self._connect()
        return self

    def _connect(self) -> None:
        with native_errors():
            self._ask_token = None
            if self.client is not None:
                # Only what was passed counts: a token may also come from the environment.
                own = [name for name in self._own_options() if name in self.model_fields_set]
                if own:
                    raise ConfigurationError(
                        _(
                            "client= was passed together with {own}. A client has its own: pass "
                            "these to it, or leave client= out."
                        ).format(own=", ".join(own))
                    )
                self._own_client = self.client
            elif callable(self.api_key):
                self._ask_token = self.api_key
            else:
                token = resolve_token(hide(reveal(self.api_key)))
                self.__dict__["api_key"] = SecretStr(token.reveal())
                self._own_client = self._new_client(token)

    def _own_options(self) -> dict[str, Any]:
        return {name: value for name in OWN if (value := getattr(self, name)) is not None}

    def _new_client(self, token: Secret) -> Client:
        own = self._own_options()
        if self.timeout is not None:
            own["timeout"] = self.timeout
        own["proxy"] = hide(reveal(self.proxy))
        return Client(**{**own, "api_key": token})

    @property
    def _client(self) -> Client:
        """The client to send through, with the token of this moment."""
        if self._ask_token is None:
            return self._own_client
        with native_errors():
            token: Any = self._ask_token()
            if inspect.iscoroutine(token):
                token.close()
            if not isinstance(token, str):
                raise ConfigurationError(
                    _(
                        "The function in api_key returned a {name}. It must return the token as "
                        "text, at once."
                    ).format(name=type(token).__name__)
                )
            token = hide(token)
            if token != self._token:
                self._own_client = self._new_client(resolve_token(token))
                self._token = token
        return self._own_client

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a field; the next call uses it, also where it belongs to the connection."""
        name = "model_name" if name == "model" else name
        if name not in _RECONNECTING:
            super().__setattr__(name, value)
            return
        self._set_connection({name: value})

    def _set_connection(self, values: Mapping[str, Any]) -> None:
        read = {name: _READ[name](it) if name in _READ else it for name, it in values.items()}
        before = {name: self.__dict__.get(name) for name in read}
        for name, value in read.items():
            super().__setattr__(name, value)
        try:
            self._connect()
        except ConfigurationError:
            self.__dict__.update(before)
            self._connect()
            raise

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy the object; what is updated is set in the copy, and has its effect."""
        copied = super().model_copy(deep=deep)
        update = update or {}
        # All at once: client= in place of api_key= would be refused if they changed in two steps.
        if connecting := {name: update[name] for name in update if name in _RECONNECTING}:
            copied._set_connection(connecting)
        for name, value in update.items():
            if name not in connecting:
                setattr(copied, name, value)
        return copied

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """The model and the fields that differ from their defaults."""
        yield "model", self.model_name
        fields = type(self).model_fields
        for name in fields:
            value, field = getattr(self, name), fields[name]
            shown = field.repr and name in self.model_fields_set and name not in _UNSHOWN
            if shown and value != field.get_default(call_default_factory=True, validated_data={}):
                yield name, value

    def close(self) -> None:
        """Close the connections, those in use after their replies. A later call opens new ones."""
        self._client.close()

    async def aclose(self) -> None:
        """Close this event loop's connections, those in use after their replies."""
        await self._client.aio.aclose()

    def __enter__(self) -> Self:
        """Use the model in a ``with`` block."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close the connections."""
        self.close()

    async def __aenter__(self) -> Self:
        """Use the model in an ``async with`` block."""
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Close the connections of this event loop."""
        await self.aclose()

    def __getstate__(self) -> dict[Any, Any]:
        """Leave out credentials and what cannot be pickled."""
        state = super().__getstate__()
        left_out = dict.fromkeys(_UNPICKLED)
        state["__dict__"] = {**state["__dict__"], **left_out}
        if self._ask_token is not None:  # a function may hold the token
            state["__pydantic_private__"] = None
        return state

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Find the token of this process, where the other one asked a function for it."""
        if state["__pydantic_private__"] is not None:
            super().__setstate__(state)
            return
        super().__setstate__({**state, "__pydantic_private__": {}})
        self._connect()

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A copy in the same process keeps its token and shares injected HTTP clients."""
        shared = (self.http_client, self.http_async_client)
        memo = {**(memo or {}), **{id(client): client for client in shared if client is not None}}
        return super().__deepcopy__(memo)


# What the object makes its own client with, beside the deadline; headers go with each call.
OWN = tuple(
    name
    for name in OPTIONS
    if name in Connection.model_fields and name not in ("timeout", "default_headers")
)
_UNPICKLED = ("api_key", "proxy", "default_headers", "http_client", "http_async_client")
# Read a value that is set after construction, which pydantic does not validate.
_READ: dict[str, Callable[[Any], Any]] = {"api_key": _hide, "proxy": _hide, "timeout": _seconds}
_RECONNECTING = frozenset({*OWN, "client", "timeout"})
# The model comes first; the others are looked up, LangChain's own, or long.
_UNSHOWN = frozenset({"model_name", "profile", "metadata", "description", "args_schema"})


@functools.cache
def _names_of(cls: type[BaseModel]) -> frozenset[str]:
    """Names and aliases of a class's fields."""
    aliases = {field.alias for field in cls.model_fields.values() if field.alias}
    return frozenset(cls.model_fields) | aliases


def reveal(secret: Any) -> str | None:
    """The token itself; a function is asked for it."""
    if isinstance(secret, SecretStr):
        return secret.get_secret_value()
    token: str | None = secret() if callable(secret) else secret
    return token

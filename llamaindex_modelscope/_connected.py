"""What all classes share: how the service is reached, and what of that may change.

Laws of this file: the token, a proxy's password and a header that may carry a credential go into
the client and into no field, so that no dump, repr, pickle or trace of an object holds them. What
the client was made with cannot change afterwards; assigning it is an error that says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from llama_index.core.schema import BaseComponent
from pydantic import ConfigDict, Field, SecretStr, ValidationError
from pydantic.json_schema import SkipJsonSchema

from modelscope_transport.client import Client
from modelscope_transport.errors import ConfigurationError
from modelscope_transport.language import marked as _N
from modelscope_transport.language import translated as _
from modelscope_transport.quota import Quota
from modelscope_transport.secret import Secret, hide

from ._arguments import Argument, settle
from .errors import ModelScopeConfigurationError, native_errors

__all__ = ["REACH", "ConnectedComponent", "client_for", "hidden", "hidden_in", "quota_of"]

# What a client is made of, and cannot change afterwards.
REACH: Final = (
    "api_key",
    "base_url",
    "account",
    "timeout",
    "connect_timeout",
    "idle_timeout",
    "max_retries",
    "default_headers",
    "proxy",
    "http_client",
    "async_http_client",
)
_FIXED: Final = frozenset({*REACH, "api_base", "client"} - {"timeout"})
_CREDENTIAL: Final = re.compile(
    r"auth|bearer|cookie|cred|jwt|key|pass|secret|session|sign|token", re.IGNORECASE
)
_LONG_WORD: Final = re.compile(r"\S{20}")
_LONGEST_SHOWN: Final = 60


class ConnectedComponent(BaseComponent):
    """The part of every class that reaches the service.

    Attributes:
        ARGUMENTS: what the class takes, renames and refuses beside its fields.
        MODEL: name of the field with the model ID; the class takes the other name too.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    ARGUMENTS: ClassVar[Mapping[str, Argument]] = {}
    MODEL: ClassVar[str] = "model"

    base_url: str = Field(description="Address of the service; fixed at construction.")
    account: str | None = Field(
        default=None,
        description="Name under which the ledger counts; by default it follows the token.",
    )
    timeout: float | None = Field(default=None, description="Total deadline of a call, seconds.")
    max_retries: int | None = Field(
        default=None,
        description="Further attempts after the first; None: the client's own number, 2.",
    )
    default_headers: dict[str, str] | None = Field(
        default=None,
        description="Further headers of every request, but for those that may be a credential.",
    )
    client: SkipJsonSchema[Client] = Field(
        exclude=True, repr=False, description="The connections in use."
    )

    def __init__(self, **arguments: Any) -> None:
        """Take arguments by their own names, or by those of the classes that users come from."""
        with native_errors():
            fields = _constructed(type(self), arguments)
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise ModelScopeConfigurationError(_said(type(self), error)) from None

    @property
    def api_base(self) -> str:
        """The address of the service by its other name."""
        return self.base_url

    @property
    def quota(self) -> Quota:
        """The pool that decides how many more calls this model may get today, and how it is known.

        It is read from the ledger alone: no request, no cost. The ledger's file is read here, so in
        an event loop ask ``await llm.client.aio.quota(model)``; ``llm.client.quotas()`` gives all
        pools.

        Raises:
            ModelScopeConfigurationError: the ledger is switched off, or cannot be used.
        """
        return quota_of(self.client, getattr(self, self.MODEL))

    if not TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None:
            """Refuse to change what would have no effect.

            Raises:
                ModelScopeConfigurationError: the client was made with it.
            """
            self._check_changeable(name)
            super().__setattr__(self._own_name(name), value)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with the same client.

        Args:
            update: fields that have other values in the copy.
            deep: whether the fields' values are copied too; the client never is.

        Raises:
            ModelScopeConfigurationError: an update of what the client was made with.
        """
        for name in update or ():
            self._check_changeable(name)
        own = {self._own_name(name): value for name, value in (update or {}).items()}
        return super().model_copy(update=own, deep=deep)

    @classmethod
    def _own_name(cls, name: str) -> str:
        return cls.MODEL if name in ("model", "model_name") else name

    @classmethod
    def _check_changeable(cls, name: str) -> None:
        if name in _FIXED:
            raise ModelScopeConfigurationError(
                _(
                    "{name} is fixed at construction, since connections and the account's "
                    "ledger depend on it. Make another object: {name2}(…, {name}=…)."
                ).format(name=name, name2=cls.__name__)
            )

    def __getstate__(self) -> dict[str, Any]:
        """As core does it, of a copy: core removes from an object what cannot be pickled."""
        state: dict[str, Any] = super(ConnectedComponent, self.model_copy()).__getstate__()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """As core does it, which constructs the object anew out of its fields.

        What the client was made with is set afterwards: the constructor refuses it beside a client.
        """
        fields = dict(state["__dict__"])
        names = ("account", "max_retries", "default_headers")
        made_with = {name: fields.pop(name, None) for name in names}
        super().__setstate__({**state, "__dict__": fields})
        self.__dict__.update(made_with)

    def __repr_args__(self) -> list[tuple[str, Any]]:
        """The model, and the fields that are short and differ from their defaults."""
        shown = [(self.MODEL, getattr(self, self.MODEL))]
        for name, field in type(self).model_fields.items():
            value = self.__dict__.get(name)
            plain = isinstance(value, str | int | float | list | dict)
            default = field.get_default(call_default_factory=True, validated_data={})
            short = plain and len(repr(value)) <= _LONGEST_SHOWN
            if short and field.repr and name != self.MODEL and value != default:
                shown.append((name, value))
        return shown


def hidden(value: str | SecretStr | Secret | None) -> Secret | None:
    """A credential, hidden, in whichever form it was passed."""
    return hide(value.get_secret_value() if isinstance(value, SecretStr) else value)


def hidden_in(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments with their credentials hidden, also those that a class will refuse."""
    return {
        name: hidden(value) if name.endswith(("key", "token", "proxy")) else value
        for name, value in arguments.items()
    }


def client_for(
    client: Client | None = None,
    *,
    api_key: str | SecretStr | Secret | None = None,
    async_http_client: Any = None,
    **settings: Any,
) -> Client:
    """The shared client, or one of the object's own.

    The token goes into the client and nowhere else: a field would show in dumps and pickles.

    Raises:
        ConfigurationError: no token, something that cannot be sent, or a client beside what it is
            made of.
    """
    api_key = hidden(api_key)
    settings = {name: value for name, value in settings.items() if value is not None}
    if client is None:
        if async_http_client is not None:
            settings["http_async_client"] = async_http_client
        return Client(api_key, **settings)
    if not isinstance(client, Client):
        raise ConfigurationError(
            _(
                "client is a {name}; it must be a modelscope_transport.Client, which "
                "serves sync and async calls alike."
            ).format(name=type(client).__name__)
        )
    settings.pop("timeout", None)  # a deadline can be set for each call
    if settings.get("base_url") == client.base_url:
        del settings["base_url"]
    beside = [*settings, *(["api_key"] if api_key is not None else [])]
    beside += ["async_http_client"] if async_http_client is not None else []
    if beside:
        raise ConfigurationError(
            _(
                "A client brings its own {beside}: pass it to "
                "modelscope_transport.Client, or leave client out."
            ).format(beside=", ".join(beside))
        )
    return client


def quota_of(client: Client, model: str) -> Quota:
    """The pool that decides about a model's calls, for the properties called ``quota``."""
    with native_errors():
        return client.quota(model)


def _constructed(owner: type[ConnectedComponent], arguments: dict[str, Any]) -> dict[str, Any]:
    """The fields of an object: every argument under its own name, and the client."""
    # a dump holds the name of its class as class_name
    known = {*owner.model_fields, *REACH, "class_name"}
    hint = _N(" A field of the request's body goes in extra_body.")
    fields = settle(arguments, known, owner.ARGUMENTS, owner=owner.__name__, hint=hint)
    fields.pop("class_name", None)
    if not fields.get(owner.MODEL):
        raise ConfigurationError(
            _("Name a model: {name}({model}='owner/name').").format(
                name=owner.__name__, model=owner.MODEL
            )
        )
    reach = {name: fields.pop(name, None) for name in REACH}
    client = client_for(fields.pop("client", None), **reach)
    return fields | {
        "base_url": client.base_url,
        "account": reach["account"],
        "timeout": reach["timeout"],
        "max_retries": reach["max_retries"],
        "default_headers": _without_credentials(reach["default_headers"]),
        "client": client,
    }


def _without_credentials(headers: Mapping[str, str] | None) -> dict[str, str] | None:
    """The headers that a dump may hold: neither name nor length suggests a credential."""
    plain = {
        name: value
        for name, value in (headers or {}).items()
        if not _CREDENTIAL.search(name) and not _LONG_WORD.search(value)
    }
    return plain or None


def _said(owner: type[ConnectedComponent], error: ValidationError) -> str:
    """What pydantic refused, in one sentence; only short texts and numbers are shown."""
    said = []
    for one in error.errors(include_url=False, include_context=False):
        where = ".".join(str(part) for part in one["loc"]) or _("the arguments")
        value = one.get("input")
        plain = isinstance(value, str | int | float) and len(str(value)) <= _LONGEST_SHOWN
        shown = _(" (it is {value!r})").format(value=value) if plain else ""
        said.append(f"{where}: {one['msg']}{shown}")
    return _("{name} cannot be made: {said}.").format(name=owner.__name__, said="; ".join(said))

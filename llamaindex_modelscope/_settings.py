"""What the classes do alike with the client, and with the arguments that make it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, SecretStr

from modelscope_transport.client import Client
from modelscope_transport.errors import ConfigurationError
from modelscope_transport.quota import Quota

from .errors import native_errors

__all__ = ["checked_arguments", "client_for", "quota_of"]


def client_for(
    client: Client | None,
    *,
    api_key: str | SecretStr | None,
    timeout: float | None,
    **settings: Any,
) -> Client:
    """The shared client, or one of the object's own.

    The token goes into the client and nowhere else: a field would show in dumps and pickles.

    Raises:
        ConfigurationError: no token, or something that cannot be sent.
    """
    if client is None:
        if isinstance(api_key, SecretStr):
            api_key = api_key.get_secret_value()
        if timeout is not None:
            settings["timeout"] = timeout
        return Client(api_key, **settings)
    if not isinstance(client, Client):
        raise ConfigurationError(
            f"client is a {type(client).__name__}; it must be a modelscope_transport.Client, "
            "which serves sync and async calls alike."
        )
    if api_key is not None:
        raise ConfigurationError("A client brings its own token: pass client or api_key.")
    return client


def checked_arguments(owner: type[BaseModel], model: str | None, fields: Mapping[str, Any]) -> str:
    """The model ID, after a look for misspelt arguments, which pydantic would pass over.

    Raises:
        ConfigurationError: no model, or an argument that nobody knows.
    """
    for name in fields:
        # class_name is how a dump says whose it is, also inside of another object's dump
        if name not in owner.model_fields and name != "class_name":
            raise ConfigurationError(
                f"{owner.__name__} takes no argument {name!r}{_perhaps(name, owner.model_fields)}."
            )
    if not model:
        raise ConfigurationError(f"Name a model: {owner.__name__}(model='owner/name').")
    return model


def quota_of(client: Client, model: str) -> Quota:
    """The pool that decides how many more calls a model may get today, and how it is known.

    It is told from the ledger alone: no request, no cost. The ledger's file is read here, so in an
    event loop ask ``await llm.client.aio.quota(model)``; ``llm.client.quotas()`` tells all pools.

    Raises:
        ModelScopeConfigurationError: the ledger is switched off, or cannot be used.
    """
    with native_errors():
        return client.quota(model)


def _perhaps(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f"; perhaps {near[0]}" if near else ""

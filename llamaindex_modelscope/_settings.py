"""What both classes do with the arguments that say how to reach the service."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, SecretStr

from modelscope_transport.client import Client
from modelscope_transport.errors import ConfigurationError

__all__ = ["checked_arguments", "client_for"]


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
        if name not in owner.model_fields:
            raise ConfigurationError(
                f"{owner.__name__} takes no argument {name!r}{_perhaps(name, owner.model_fields)}."
            )
    if not model:
        raise ConfigurationError(f"Name a model: {owner.__name__}(model='owner/name').")
    return model


def _perhaps(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f"; perhaps {near[0]}" if near else ""

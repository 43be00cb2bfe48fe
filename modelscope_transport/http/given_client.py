"""A client of the user's own, of httpx or httpx2, in the place of an engine.

It stays as it is: its headers, cookies, query, proxies, connection timeouts and event hooks apply.
Three things are ours: the token, over any ``auth`` of the client (an event hook that sets another
``Authorization`` has the last word); that redirects are not followed; and that an address which a
reply has named is asked with nothing of the client's own, which is for the service.
"""

from __future__ import annotations

from typing import Any

import httpx

from ..errors import ConfigurationError
from ..language import translated as _
from .guarded import GuardedAsyncTransport, GuardedTransport
from .outgoing import note_sending

__all__ = ["check_client", "through_client", "through_client_async"]


def check_client(client: Any, *, is_async: bool) -> None:
    """Refuse what is no client that can be sent through.

    Raises:
        ConfigurationError: it is no client of httpx or httpx2, or the sync one in the async place.
    """
    wanted, other = ("AsyncClient", "Client") if is_async else ("Client", "AsyncClient")
    kinds = {
        kind.__name__
        for kind in type(client).__mro__
        if kind.__module__.partition(".")[0] in ("httpx", "httpx2")
    }
    if wanted in kinds:
        return
    argument = "http_async_client" if is_async else "http_client"
    instead = "http_client" if is_async else "http_async_client"
    said = _("{argument} must be an httpx.{wanted} or httpx2.{wanted}, and is {kind}.")
    if other in kinds:
        said += " " + _("Pass it as {instead}.")
    kind = f"{type(client).__module__}.{type(client).__qualname__}"
    raise ConfigurationError(
        said.format(argument=argument, wanted=wanted, kind=kind, instead=instead)
    )


def _built(client: Any, request: httpx.Request) -> Any:
    """The request as the client builds it, with what is its own."""
    headers = dict(request.headers.multi_items())
    headers.pop("host")  # the client derives it from the address
    if "python-httpx" not in client.headers.get("user-agent", ""):
        headers.pop("user-agent", None)  # the user has named one
    built = client.build_request(
        request.method,
        str(request.url),
        headers=headers,
        content=request.content or None,
        extensions=request.extensions,
    )
    if "authorization" not in headers:
        # It goes to another server than ours, which must see nothing of the client's own.
        built.headers = type(built.headers)(request.headers.multi_items())
        built.url = type(built.url)(str(request.url))
    return built


def _reply_in(error: Exception, built: Any) -> Any:
    """The reply that a hook of theirs has raised as an error, as by ``raise_for_status``.

    It is judged as any other. What the hook has not read of it is lost: the client has closed it.
    ``None`` for any other error.
    """
    response: Any = getattr(error, "response", None)
    if type(error).__name__ != "HTTPStatusError" or response.request is not built:
        return None
    headers = [it for it in response.headers.raw if it[0].lower() != b"content-encoding"]
    body = response.content if response.is_stream_consumed else b""
    return type(response)(response.status_code, headers=headers, content=body)


def through_client(client: Any) -> GuardedTransport:
    """The sync way through a client of the user's, which stays theirs to close."""

    def send(request: httpx.Request) -> Any:
        note_sending(request)  # their transport may not say when
        built = _built(client, request)
        try:
            return client.send(built, stream=True, follow_redirects=False, auth=None)
        except Exception as error:
            if (reply := _reply_in(error, built)) is None:
                raise
            return reply

    return GuardedTransport(send, lambda: None)


def through_client_async(client: Any) -> GuardedAsyncTransport:
    """The way of event loops through a client of the user's, which stays theirs to close."""

    async def send(request: httpx.Request) -> Any:
        note_sending(request)  # their transport may not say when
        built = _built(client, request)
        try:
            return await client.send(built, stream=True, follow_redirects=False, auth=None)
        except Exception as error:
            if (reply := _reply_in(error, built)) is None:
                raise
            return reply

    async def nothing() -> None:
        pass

    return GuardedAsyncTransport(send, nothing)

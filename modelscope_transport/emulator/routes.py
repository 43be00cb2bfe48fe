"""Which path is served by what. A new endpoint is a function and a row."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from modelscope_transport.emulator import hub, images, inference
from modelscope_transport.emulator.answers import Answer, Reply
from modelscope_transport.emulator.failures import refuse
from modelscope_transport.emulator.inference import Backend
from modelscope_transport.emulator.scripted import classic, library
from modelscope_transport.emulator.server import Request

Handler: TypeAlias = Callable[[Backend, Request], Awaitable[Answer]]
Refusal: TypeAlias = Callable[[], Reply]

TOKENS = ("ms-", "ms_oauth")
"""How a token begins that the local service takes."""
CALLS = "/local/calls"
"""Where the page for a browser reads what has been asked; not counted as a request."""


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint.

    Attributes:
        method: The HTTP method.
        path: The path; ``{}`` stands for any text.
        handle: Answers.
        refusal: What a wrong token is told; None where no token is asked for.
        paid: Whether scenarios apply, and headers tell what is left of the allowance.
    """

    method: str
    path: str
    handle: Handler
    refusal: Refusal | None = None
    paid: bool = False
    _pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        pattern = ".+".join(map(re.escape, self.path.split("{}")))
        object.__setattr__(self, "_pattern", re.compile(pattern))

    def fits(self, request: Request) -> bool:
        """Whether the request is for this endpoint."""
        path = request.path.rstrip("/") or "/"
        return request.method == self.method and self._pattern.fullmatch(path) is not None

    def admits(self, request: Request, only: str | None = None) -> bool:
        """Whether the request's token is good enough: ``only`` this one, or any of a known form."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if self.path == "/v1/messages" and "x-api-key" in request.headers:
            scheme, token = "bearer", request.headers["x-api-key"]
        good = token.startswith(TOKENS) if only is None else token == only
        return self.refusal is None or (scheme.lower() == "bearer" and good)


def _unauthenticated() -> Reply:
    return refuse("authentication_failed")


def _unauthenticated_messages() -> Reply:
    return refuse("messages_error")


def _unauthenticated_task() -> Reply:
    return refuse("authentication_failed_task")


ROUTES: tuple[Route, ...] = (
    Route("POST", "/v1/chat/completions", inference.chat, _unauthenticated, paid=True),
    Route("POST", "/v1/embeddings", inference.embeddings, _unauthenticated, paid=True),
    Route("POST", "/v1/images/generations", images.generate, _unauthenticated, paid=True),
    Route("GET", "/v1/tasks/{}", images.look, _unauthenticated_task),
    Route("GET", "/images/{}", images.file),
    Route("POST", "/api-inference/v1/models/{}", classic.run, _unauthenticated, paid=True),
    Route("GET", "/sounds/{}", classic.sound),
    Route("POST", "/v1/messages", inference.messages, _unauthenticated_messages),
    Route("POST", "/v1/responses", inference.responses, _unauthenticated),
    Route("GET", "/v1/models", inference.models),
    Route("GET", "/", inference.welcome),
    Route("GET", "/openapi/v1/magicubes/balance", hub.balance, hub.unauthenticated),
    Route("GET", "/openapi/v1/magicubes/spend/rates", hub.spend_rates, hub.unauthenticated),
    Route("GET", "/openapi/v1/magicubes/transactions", hub.transactions, hub.unauthenticated),
    Route("GET", "/openapi/v1/magicubes/earn/rules", hub.earn_rules, hub.unauthenticated),
    Route("POST", "/local/sign-in", hub.sign_in),
    Route("GET", CALLS, inference.calls),
    Route("GET", "/openapi/v1/users/me", hub.me, hub.unauthenticated),
    Route("GET", "/api/v1/users/login/info", hub.login_info),
    Route("GET", "/api/v1/inference/list_model_providers", hub.model_providers),
    Route("GET", "/api/v1/models/{}", library.model),
    Route("GET", "/openapi/v1/models", library.search),
    Route("PUT", "/api/v1/dolphin/models", library.filtered),
)


_ALLOWED = (
    "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,"
    "Content-Type,Range,Authorization"
)
ANY_PAGE = {"access-control-allow-origin": "*"}
"""The header that lets programs in a browser read a reply."""


def preflight() -> Reply:
    """The answer to ``OPTIONS`` of any path: a fixed list of headers that a browser may send.

    Recorded 2026-09-24: it holds ``Content-Type``, ``Range`` and ``Authorization``, and neither
    ``x-api-key`` nor ``anthropic-version`` nor ``x-stainless-…``. The rest of the list here is the
    default of the gateway that sends such lists.
    """
    headers = {
        "access-control-allow-headers": _ALLOWED,
        "access-control-allow-methods": "GET, PUT, POST, DELETE, PATCH, OPTIONS",
        "access-control-max-age": "1728000",
    }
    return Reply(204, b"", headers)


def find_route(request: Request) -> Route | None:
    """Return the endpoint that a request is for."""
    return next((route for route in ROUTES if route.fits(request)), None)

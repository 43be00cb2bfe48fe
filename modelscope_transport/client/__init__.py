"""What the adapters hold: `Client` and `AsyncClient`, twins over one core.

Public: the two clients, their options, the streams they return, and `ResponseCache`.
"""

from .aio import AsyncClient
from .async_streams import AsyncChatStream
from .options import OPTIONS, Options
from .response_cache import ResponseCache
from .streams import ChatStream
from .sync import Client

__all__ = [
    "OPTIONS",
    "AsyncChatStream",
    "AsyncClient",
    "ChatStream",
    "Client",
    "Options",
    "ResponseCache",
]

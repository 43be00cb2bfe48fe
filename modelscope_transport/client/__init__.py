"""What the adapters hold: `Client` and `AsyncClient`, twins over one core.

Public: the two clients, the streams they return, and `ResponseCache`.
"""

from .response_cache import ResponseCache
from .streams import AsyncChatStream, ChatStream
from .sync import AsyncClient, Client

__all__ = ["AsyncChatStream", "AsyncClient", "ChatStream", "Client", "ResponseCache"]

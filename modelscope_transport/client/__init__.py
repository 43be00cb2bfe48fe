"""What the adapters hold: `Client` and `AsyncClient`, twins over one core.

Public: the two clients, their options, the streams they return, `ResponseCache`, and the steps of
a ranking by a chat model, for an adapter that asks the model itself.
"""

from .aio import AsyncClient
from .async_streams import AsyncChatStream
from .front import trivial_ranking
from .options import OPTIONS, Options
from .rerank_prompt import check_ranking, ranking_request, read_ranking
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
    "check_ranking",
    "ranking_request",
    "read_ranking",
    "trivial_ranking",
]

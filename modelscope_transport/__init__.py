"""ModelScope API-Inference, with no framework in sight.

`Client` and `AsyncClient` chat, stream, embed, draw, rank and run pipelines. The values they take
and give are in `modelscope_transport.types` and `modelscope_transport.task_types`, what they raise
is in `modelscope_transport.errors`.
"""

from .accumulator import ChatAccumulator
from .answers import (
    ChatChoice,
    ChatDelta,
    ChatResult,
    EmbeddingResult,
    Origin,
    ToolCallDelta,
    Usage,
)
from .catalogue.models import ModelProfile, profile_for
from .client import AsyncChatStream, AsyncClient, ChatStream, Client, ResponseCache
from .errors import (
    AccountNotLinkedError,
    AccountNotVerifiedError,
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    ConfigurationError,
    ContentRefusedError,
    ContextLengthError,
    EmptyReplyError,
    ErrorDetails,
    InvalidRequestError,
    ModelNotServedError,
    ModelScopeError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
    UnexpectedReplyError,
    UnsupportedTaskError,
)
from .jobs.batch import Batch, BatchReport
from .jobs.results import iter_results, read_results
from .jobs.rows import BatchFailure, BatchRow
from .media import media_url
from .platforms import Platform
from .quota import (
    Allowance,
    Budget,
    DayUse,
    Ledger,
    Lot,
    MemoryLedger,
    Quota,
    RedisLedger,
    SQLiteLedger,
)
from .task_types import (
    Entity,
    Image,
    ImageRequest,
    ImageResult,
    Label,
    PipelineRequest,
    PipelineResult,
    Rank,
    RerankRequest,
    RerankResult,
    Sound,
    Vectors,
)
from .types import (
    AudioPart,
    ChatRequest,
    EmbeddingRequest,
    ImagePart,
    Message,
    NamedTool,
    ResponseFormat,
    TextPart,
    ToolCall,
    ToolSpec,
    VideoPart,
)

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AccountNotLinkedError",
    "AccountNotVerifiedError",
    "Allowance",
    "AsyncChatStream",
    "AsyncClient",
    "AudioPart",
    "AuthenticationError",
    "Batch",
    "BatchFailure",
    "BatchReport",
    "BatchRow",
    "Budget",
    "ChatAccumulator",
    "ChatChoice",
    "ChatDelta",
    "ChatRequest",
    "ChatResult",
    "ChatStream",
    "Client",
    "ConfigurationError",
    "ContentRefusedError",
    "ContextLengthError",
    "DayUse",
    "EmbeddingRequest",
    "EmbeddingResult",
    "EmptyReplyError",
    "Entity",
    "ErrorDetails",
    "Image",
    "ImagePart",
    "ImageRequest",
    "ImageResult",
    "InvalidRequestError",
    "Label",
    "Ledger",
    "Lot",
    "MemoryLedger",
    "Message",
    "ModelNotServedError",
    "ModelProfile",
    "ModelScopeError",
    "NamedTool",
    "Origin",
    "PipelineRequest",
    "PipelineResult",
    "Platform",
    "Quota",
    "QuotaExceededError",
    "Rank",
    "RateLimitError",
    "RedisLedger",
    "RerankRequest",
    "RerankResult",
    "ResponseCache",
    "ResponseFormat",
    "SQLiteLedger",
    "ServerError",
    "Sound",
    "StreamInterruptedError",
    "TextPart",
    "ToolCall",
    "ToolCallDelta",
    "ToolSpec",
    "UnexpectedReplyError",
    "UnsupportedTaskError",
    "Usage",
    "Vectors",
    "VideoPart",
    "iter_results",
    "media_url",
    "profile_for",
    "read_results",
]


def __getattr__(name: str) -> str:
    """The version, looked up when it is asked for."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import metadata

    return metadata.version("modelscope-adapters")

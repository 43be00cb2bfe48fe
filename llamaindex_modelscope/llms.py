"""`ModelScope`: the chat models of ModelScope API-Inference as a LlamaIndex LLM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
)
from pydantic import SecretStr

from modelscope_transport.catalogue import ModelProfile, profile_for
from modelscope_transport.client import Client
from modelscope_transport.errors import ConfigurationError
from modelscope_transport.secret import Secret
from modelscope_transport.types import ChatRequest, Message

from ._argument_tables import LLM
from ._arguments import several
from ._chat_fields import CHAT_OPTIONS, MERGED_OPTIONS, ChatFields
from ._connected import hidden
from ._convert import to_messages
from ._events import chat_events, completion_events
from ._growing import agrow, grow
from ._options import chat_request, check_options, settled
from ._replies import GrowingMessage, to_chat_response, to_completion_response
from ._structured import StructuredOutputLLM
from .errors import native_errors

__all__ = ["ModelScope"]

# For a model that the catalogue does not know. Those that it knows take at least 128,000 tokens, a
# few older ones a quarter of that; and a window that is guessed too small does no harm.
_UNKNOWN_WINDOW: Final = 32_768


# built now: threads may make the first one together
class ModelScope(ChatFields, StructuredOutputLLM, defer_build=False):
    """A chat model of ModelScope API-Inference.

    Args:
        model: model ID, ``owner/name``; ``model_name`` is the same.
        api_key: access token, kept out of every dump; else ``MODELSCOPE_API_KEY`` and its kin.
        base_url: address of the service; ``api_base`` is the same; else from the environment.
        account: name under which the ledger counts; by default it follows the token.
        timeout: total deadline of a call in seconds, waits, retries and stream included.
        max_retries: further attempts after the first, 2 by default, where a failure may soon pass.
        default_headers: further headers of every request.
        connect_timeout: seconds for a connection to come up; 10.
        idle_timeout: seconds without a byte after which a reply counts as lost; 120.
        proxy: address of a proxy, ``"none"`` for none; by default what the environment says.
        client: a `modelscope_transport.Client` to share with others, instead of these.
        http_client: an ``httpx.Client`` to send through, and ``async_http_client`` likewise.
        fields: the fields below, those of LlamaIndex's ``LLM`` (``system_prompt``,
            ``rate_limiter``, ``callback_manager``, …), and the names that ``OpenAI`` and
            ``OpenAILike`` have for the same.

    Raises:
        ModelScopeConfigurationError: no model, no token, a bad address, an argument that is not
            known or of the wrong type.

    Examples:
        `pip install "modelscope-adapters[llamaindex]"`

        ```python
        from llamaindex_modelscope import ModelScope

        llm = ModelScope(model="Qwen/Qwen3-Coder-30B-A3B-Instruct", temperature=0)
        print(llm.complete("Say hello."))
        ```

        Chat, in one piece and as it comes:

        ```python
        from llama_index.core.llms import ChatMessage
        from llamaindex_modelscope import ModelScope

        llm = ModelScope(model="Qwen/Qwen3-Coder-30B-A3B-Instruct")
        messages = [
            ChatMessage(role="system", content="Be brief."),
            ChatMessage(role="user", content="What is the capital of Germany?"),
        ]
        print(llm.chat(messages).message.content)
        for response in llm.stream_chat(messages):
            print(response.delta, end="", flush=True)
        ```

        In an event loop:

        ```python
        import asyncio

        from llamaindex_modelscope import ModelScope

        llm = ModelScope(model="Qwen/Qwen3-Coder-30B-A3B-Instruct")
        print(asyncio.run(llm.acomplete("Say hello.")))
        ```

        Tools, and an object of a class:

        ```python
        from llama_index.core.prompts import PromptTemplate
        from llama_index.core.tools import FunctionTool
        from llamaindex_modelscope import ModelScope
        from pydantic import BaseModel


        def add(a: int, b: int) -> int:
            \"\"\"Add two numbers.\"\"\"
            return a + b


        class City(BaseModel):
            name: str


        llm = ModelScope(model="Qwen/Qwen3-Coder-30B-A3B-Instruct")
        print(llm.predict_and_call([FunctionTool.from_defaults(add)], "Add 3 and 4."))
        print(llm.structured_predict(City, PromptTemplate("Where is the '{sight}'?"), sight="Wall"))
        ```

        Thoughts, token usage, and what is left of the allowance:

        ```python
        from llamaindex_modelscope import ModelScope

        llm = ModelScope(model="Qwen/Qwen3.5-122B-A10B", enable_thinking=True)
        response = llm.complete("How many days has a week?")
        print(response.text, response.raw["usage"], llm.quota.remaining)
        ```
    """

    ARGUMENTS = LLM

    def __init__(
        self,
        model: str | None = None,
        *,
        api_key: str | SecretStr | Secret | None = None,
        base_url: str | None = None,
        account: str | None = None,
        timeout: float | None = None,
        connect_timeout: float | None = None,
        idle_timeout: float | None = None,
        max_retries: int | None = None,
        default_headers: Mapping[str, str] | None = None,
        proxy: str | Secret | None = None,
        client: Client | None = None,
        http_client: Any = None,
        async_http_client: Any = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        fallback_models: Sequence[str] = (),
        additional_kwargs: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> None:
        api_key, proxy = hidden(api_key), hidden(proxy)  # a traceback shows local variables
        additional_kwargs = dict(additional_kwargs or {})
        with native_errors():
            check_options(additional_kwargs)
        super().__init__(
            model=model,
            api_key=api_key,
            base_url=base_url,
            account=account,
            timeout=timeout,
            connect_timeout=connect_timeout,
            idle_timeout=idle_timeout,
            max_retries=max_retries,
            default_headers=default_headers,
            proxy=proxy,
            client=client,
            http_client=http_client,
            async_http_client=async_http_client,
            temperature=temperature,
            max_tokens=max_tokens,
            fallback_models=list(several(fallback_models)),
            additional_kwargs=additional_kwargs,
            **fields,
        )

    @classmethod
    def class_name(cls) -> str:
        """Name in dumps and traces."""
        return "ModelScope"

    # --- what the model is --------------------------------------------------------------------

    @property
    def profile(self) -> ModelProfile:
        """What the model can do, as far as is known."""
        try:
            return self.client.profile(self.model)
        except ConfigurationError:
            # After unpickling there may be no token yet; the call itself will say so.
            return profile_for(self.model)

    @property
    def model_name(self) -> str:
        """The model ID by its other name."""
        return self.model

    @property
    def metadata(self) -> LLMMetadata:
        """What LlamaIndex asks of a model before it builds a prompt."""
        profile, calls_tools = self.profile, self.is_function_calling_model
        # core refuses to build a prompt where an answer may fill the whole window
        guessed = max(_UNKNOWN_WINDOW, 2 * (self.max_tokens or 0))
        return LLMMetadata(
            context_window=self.context_window or profile.context_window or guessed,
            num_output=self.max_tokens or -1,
            is_chat_model=True,
            is_function_calling_model=profile.tool_calling if calls_tools is None else calls_tools,
            model_name=self.model,
        )

    def to_payload(self) -> dict[str, Any]:
        """What traces may know of this object."""
        return {
            **super().to_payload(),
            "model": self.model,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "base_url": self.base_url,
        }

    # --- one call -----------------------------------------------------------------------------

    def _request(self, messages: tuple[Message, ...], kwargs: Mapping[str, Any]) -> ChatRequest:
        fields = self.__dict__
        options = {name: fields[name] for name in CHAT_OPTIONS}
        asked = options.pop("top_logprobs")
        # by their own names, so that a call's option replaces the same one under another name
        for further in map(settled, filter(None, (self.additional_kwargs, kwargs))):
            merged = {
                name: {**options[name], **further[name]}
                for name in MERGED_OPTIONS
                if isinstance(options.get(name), Mapping) and isinstance(further.get(name), Mapping)
            }
            options.update(further)
            options.update(merged)
        if options.get("logprobs"):
            options.setdefault("top_logprobs", asked)
        return chat_request(self.model, messages, options)

    def _chat(self, messages: tuple[Message, ...], kwargs: Mapping[str, Any]) -> ChatResponse:
        result = self.client.chat(self._request(messages, kwargs))
        return to_chat_response(result, kwargs.get("tool_names") or {})

    async def _achat(
        self, messages: tuple[Message, ...], kwargs: Mapping[str, Any]
    ) -> ChatResponse:
        result = await self.client.aio.chat(self._request(messages, kwargs))
        return to_chat_response(result, kwargs.get("tool_names") or {})

    def _stream(self, messages: tuple[Message, ...], kwargs: Mapping[str, Any]) -> ChatResponseGen:
        # The stream is open when this returns: what fails at the start fails in the call.
        stream = self.client.stream_chat(self._request(messages, kwargs))
        message = GrowingMessage(kwargs.get("tool_names") or {}, stream.origin)
        return grow(stream, message, self.rate_limiter)

    async def _astream(
        self, messages: tuple[Message, ...], kwargs: Mapping[str, Any]
    ) -> ChatResponseAsyncGen:
        stream = await self.client.aio.stream_chat(self._request(messages, kwargs))
        message = GrowingMessage(kwargs.get("tool_names") or {}, stream.origin)
        return agrow(stream, message, self.rate_limiter)

    def _prompt(self, prompt: str, formatted: bool) -> tuple[Message, ...]:
        if not formatted and self.completion_to_prompt is not None:
            prompt = self.completion_to_prompt(prompt)
        return (Message("user", prompt),)

    # --- the eight endpoints ------------------------------------------------------------------

    @chat_events
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer a conversation.

        Args:
            messages: the conversation, oldest first.
            kwargs: options of this call, over the object's own; an unknown one is refused, and
                ``extra_body`` takes what this class has no name for.

        Raises:
            ModelScopeError: one of `llamaindex_modelscope.errors`.
        """
        with native_errors(self.rate_limiter):
            return self._chat(to_messages(messages), kwargs)

    @chat_events
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """`chat`, as it comes. The last response holds the whole message and its token usage."""
        with native_errors(self.rate_limiter):
            return self._stream(to_messages(messages), kwargs)

    @chat_events
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """`chat`, for event loops."""
        with native_errors(self.rate_limiter):
            return await self._achat(to_messages(messages), kwargs)

    @chat_events
    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        """`stream_chat`, for event loops."""
        with native_errors(self.rate_limiter):
            return await self._astream(to_messages(messages), kwargs)

    @completion_events
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answer a prompt, sent as one user message. Otherwise as `chat`."""
        with native_errors(self.rate_limiter):
            return to_completion_response(self._chat(self._prompt(prompt, formatted), kwargs))

    @completion_events
    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        """`complete`, as it comes."""
        with native_errors(self.rate_limiter):
            stream = self._stream(self._prompt(prompt, formatted), kwargs)
        return (to_completion_response(response) for response in stream)

    @completion_events
    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        """`complete`, for event loops."""
        with native_errors(self.rate_limiter):
            response = await self._achat(self._prompt(prompt, formatted), kwargs)
            return to_completion_response(response)

    @completion_events
    async def astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseAsyncGen:
        """`stream_complete`, for event loops."""
        with native_errors(self.rate_limiter):
            stream = await self._astream(self._prompt(prompt, formatted), kwargs)
        return (to_completion_response(response) async for response in stream)

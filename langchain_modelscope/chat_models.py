"""`ChatModelScope`: a chat model of ModelScope API-Inference."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from importlib import metadata
from typing import Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LangSmithParams, LanguageModelInput, ModelProfile
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import AliasChoices, BaseModel, Field, model_validator

from modelscope_transport.types import ChatRequest

from ._answers import PROVIDER, ChunkMaker, to_result
from ._blocks import register_blocks
from ._connection import Connection
from ._convert import read_tool_choice, to_request
from ._profile import KnownProfile, count_message_tokens, count_tokens, look_up
from ._structured import Method, structured_output
from .errors import native_errors

__all__ = ["ChatModelScope"]

register_blocks(PROVIDER)


class ChatModelScope(BaseChatModel, Connection):
    """A chat model of ModelScope API-Inference.

    Every field is an argument of the constructor; those of the answer are also arguments of a
    call, where they win. Constructing does no I/O. One object serves threads and event loops.

    Example:
        ::

            model = ChatModelScope(model="Qwen/Qwen3-Coder-30B-A3B-Instruct", temperature=0)
            print(model.invoke("Say hello.").text)

    Raises:
        ModelScopeConfigurationError: no token, a malformed one, or an address that is none.
        ModelScopeError: what a call raises; the classes are in `langchain_modelscope.errors`.
    """

    temperature: float | None = None
    """Randomness of the answer, 0 to 2."""

    top_p: float | None = None
    """Nucleus sampling, above 0 up to 1."""

    max_tokens: int | None = None
    """Longest answer, in tokens, thoughts included."""

    stop: list[str] | str | None = Field(
        default=None, validation_alias=AliasChoices("stop", "stop_sequences")
    )
    """Texts that end the answer; also accepted as ``stop_sequences``."""

    seed: int | None = None
    """Seed of the sampling."""

    n: int | None = None
    """Answers wanted; more than one cannot be streamed."""

    presence_penalty: float | None = None
    """-2 to 2."""

    frequency_penalty: float | None = None
    """-2 to 2."""

    logprobs: bool | None = None
    """Whether to send log probabilities, in ``response_metadata["logprobs"]``."""

    top_logprobs: int | None = None
    """Alternatives per token, 0 to 20."""

    enable_thinking: bool | None = None
    """Switches the thoughts of a model that can do both."""

    thinking_budget: int | None = None
    """Longest thoughts, in tokens."""

    think_tags: bool = False
    """Whether a text that begins with ``<think>`` begins with thoughts."""

    promote_reasoning_only: bool = False
    """Whether thoughts are the text where there is no other."""

    streaming: bool | None = None
    """Whether ``invoke`` streams too, so that callbacks see every token; ``False`` streams never.
    """

    stream_usage: bool = True
    """Whether a stream ends with its token usage."""

    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Defaults of further call arguments; those that are no field here go to the service as they
    are."""

    # --- a call ---------------------------------------------------------------------------

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> ChatRequest:
        options = {name: getattr(self, name) for name in _OPTIONS}
        options["model"] = self.model_name
        options["extra_headers"] = self.default_headers
        for name in ("extra_headers", "extra_body"):
            if options[name] and kwargs.get(name):
                kwargs = {**kwargs, name: {**options[name], **kwargs[name]}}
        options |= self.model_kwargs
        options |= kwargs
        if stop is not None:
            options["stop"] = stop
        return to_request(messages, options)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with native_errors():
            return to_result(self._client.chat(self._request(messages, stop, kwargs)))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with native_errors():
            return to_result(await self._client.aio.chat(self._request(messages, stop, kwargs)))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        with native_errors():
            request = self._request(messages, stop, kwargs)
            with self._client.stream_chat(request) as stream:
                maker = ChunkMaker(stream.origin)
                for delta in stream:
                    chunk = maker.feed(delta)
                    if chunk is not None:
                        yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        with native_errors():
            request = self._request(messages, stop, kwargs)
            async with await self._client.aio.stream_chat(request) as stream:
                maker = ChunkMaker(stream.origin)
                async for delta in stream:
                    chunk = maker.feed(delta)
                    if chunk is not None:
                        yield chunk

    # --- tools and structure --------------------------------------------------------------

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: dict[str, Any] | str | bool | None = None,
        strict: bool | None = None,
        parallel_tool_calls: bool | None = None,
        response_format: dict[str, Any] | type | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools to the model.

        Args:
            tools: functions, pydantic classes, tools, or schemas. With none, none are sent.
            tool_choice: ``"auto"``, ``"none"``, ``"any"`` or ``"required"`` or ``True``, the name
                of a tool, or a dictionary that names one.
            strict: whether arguments must keep the tool's schema to the letter.
            parallel_tool_calls: whether one answer may call several tools.
            response_format: form of an answer that calls no tool.
            **kwargs: further call arguments.

        Raises:
            ModelScopeInvalidRequestError: a choice that is not among the tools.
        """
        offered = [convert_to_openai_tool(tool, strict=strict) for tool in tools]
        if offered:
            kwargs["tools"] = offered
        if tool_choice is not None and tool_choice is not False:
            with native_errors():
                read_tool_choice(tool_choice, [tool["function"]["name"] for tool in offered])
            kwargs["tool_choice"] = tool_choice
        if parallel_tool_calls is not None:
            kwargs["parallel_tool_calls"] = parallel_tool_calls
        if response_format is not None:
            kwargs["response_format"] = response_format
        return self.bind(**kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type | None = None,
        *,
        method: Method = "function_calling",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """Let the model answer with an object of a schema.

        Args:
            schema: a pydantic class (the answer is an instance), a ``TypedDict`` or a JSON schema
                (the answer is a dictionary); may be left out with ``json_mode``.
            method: ``"function_calling"`` works with every model that calls functions;
                ``"json_schema"`` and ``"json_mode"`` ask for the form itself.
            include_raw: answer with ``{"raw": …, "parsed": …, "parsing_error": …}``.
            strict: whether the service must keep the schema to the letter.
            **kwargs: further call arguments.
        """
        return structured_output(self, schema, method, include_raw, strict, kwargs)

    def get_num_tokens(self, text: str) -> int:
        """About how many tokens a text takes: an estimate, since a tokenizer is a download.

        For exact numbers pass ``custom_get_token_ids``, a function from text to token ids.
        """
        if self.custom_get_token_ids is not None:
            return len(self.custom_get_token_ids(text))
        return count_tokens(text)

    def get_num_tokens_from_messages(
        self,
        messages: list[BaseMessage],
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool] | None = None,
    ) -> int:
        """About how many tokens a conversation takes, tool calls, images and tools included."""
        described = [convert_to_openai_tool(tool) for tool in tools or ()]
        return count_message_tokens(messages, described or None)

    # --- what LangChain asks about --------------------------------------------------------

    @property
    def _llm_type(self) -> str:
        return "modelscope-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        options = {name: getattr(self, name) for name in _OPTIONS}
        given = {name: value for name, value in options.items() if value is not None}
        return {"model_name": self.model_name, **given, **self.model_kwargs}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = PROVIDER
        if ends := stop or self.stop:
            params["ls_stop"] = [ends] if isinstance(ends, str) else ends
        return params

    def _resolve_model_profile(self) -> ModelProfile:
        return look_up(self.model_name)

    @model_validator(mode="before")
    @classmethod
    def _forget_looked_up_profile(cls, values: Any) -> Any:
        # configurable_fields makes the other model out of all fields of this one.
        if isinstance(values, dict) and isinstance(values.get("profile"), KnownProfile):
            return {name: value for name, value in values.items() if name != "profile"}
        return values

    @property
    def lc_secrets(self) -> dict[str, str]:
        """Name of the variable that the token is found in after loading."""
        return {"api_key": "MODELSCOPE_API_KEY"}

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Whether ``dumps`` can write it: yes, without the token."""
        return True

    @model_validator(mode="after")
    def _set_modelscope_version(self) -> Self:
        self._add_version("modelscope-adapters", _version())
        return self


# Fields of the same name as in a ChatRequest.
_OPTIONS = tuple(
    name
    for name in ChatModelScope.model_fields
    if name in ChatRequest.__struct_fields__ and name != "model"
)

# Core reads the signature of one of these at every call; a kept one saves a tenth of its own work.
for _method in (ChatModelScope._generate, ChatModelScope._agenerate):
    vars(_method)["__signature__"] = inspect.signature(_method)


@functools.cache
def _version() -> str:
    return metadata.version("modelscope-adapters")

"""`ChatModelScope`: a chat model of ModelScope API-Inference."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Unpack, overload

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel

from modelscope_transport.types import ChatRequest

from ._answers import PROVIDER, ChunkMaker, to_result
from ._arguments import read_call
from ._blocks import register_blocks
from ._chat_facts import ChatFacts
from ._convert import is_answer, names_of, read_tool_choice, to_request
from ._expected import expected_of
from ._structured import Method, method_for, structured_output
from .errors import native_errors

if TYPE_CHECKING:
    from ._signatures import ChatArguments

__all__ = ["ChatModelScope"]

register_blocks(PROVIDER)


class ChatModelScope(ChatFacts, defer_build=False):  # threads may make the first one together
    """A chat model of ModelScope API-Inference.

    Setup:
        An access token is made at modelscope.cn, account settings, access tokens.

        ```bash
        pip install "modelscope-adapters[langchain]"
        export MODELSCOPE_API_KEY="ms-…"
        ```

    Key init args, completion params:
        model: model ID, ``owner/name``.
        temperature: randomness, 0 to 2.
        max_tokens: longest answer in tokens, thoughts included.
        enable_thinking: switches the thoughts of a model that can do both.

    Key init args, client params:
        api_key: access token; by default that of the environment.
        timeout: total deadline of a call in seconds, 600 by default.
        max_retries: further attempts, 2 by default.
        fallback_models: models to ask when this one's allowance is spent.

        Every field is an argument; those of the answer are also arguments of a call. Words of
        other classes, such as ``max_completion_tokens``, are read or refused with the right one.

    Instantiate:
        ```python
        from langchain_modelscope import ChatModelScope

        model = ChatModelScope(model="Qwen/Qwen3-Coder-30B-A3B-Instruct", temperature=0)
        ```

    Invoke:
        ```python
        answer = model.invoke([("system", "Be brief."), ("user", "Say hello in Chinese.")])
        print(answer.text)
        ```

    Stream:
        ```python
        for chunk in model.stream("Say hello in Portuguese."):
            print(chunk.text, end="")
        ```

    Async:
        ```python
        answer = await model.ainvoke("Say hello.")
        async for chunk in model.astream("Say hello."):
            print(chunk.text, end="")
        ```

    Tool calling:
        ```python
        def order_status(order: int) -> str:
            \"\"\"Look up the status of an order by its number.\"\"\"
            return f"Order {order} arrives on Tuesday."


        asked = model.bind_tools([order_status]).invoke("What is the status of order 4711?")
        print(asked.tool_calls)
        ```

    Structured output:
        The object is read from the tool call or from the text. An answer without one raises
        ``OutputParserException``.

        ```python
        from pydantic import BaseModel


        class Person(BaseModel):
            name: str
            age: int


        reader = model.with_structured_output(Person)
        print(reader.invoke('The person is called "Ada", aged 36.'))
        ```

    Reasoning:
        ```python
        thinker = ChatModelScope(model="Qwen/Qwen3.5-122B-A10B")
        print(thinker.invoke("Why is the sky blue?").additional_kwargs["reasoning_content"])
        print(thinker.invoke("Why is the sky blue?", enable_thinking=False).text)
        ```

    Image input:
        ```python
        from langchain_core.messages import HumanMessage

        question = HumanMessage(
            [
                {"type": "text", "text": "What is in this picture?"},
                {"type": "image", "url": "https://modelscope.cn/favicon.ico"},
            ]
        )
        print(thinker.invoke([question]).text)
        ```

    Token usage:
        ```python
        print(model.invoke("Say hello.").usage_metadata)
        ```

    Response metadata:
        ```python
        metadata = model.invoke("Say hello.").response_metadata
        print(metadata["model_name"], metadata["finish_reason"], metadata["modelscope"])
        ```

    Allowance:
        The service grants a small allowance a day. What is left is read from this package's own
        record, without a request; a spent allowance costs one request and then none.

        ```python
        print(model.quota.remaining, model.quota.unit)
        ```

    Raises:
        ModelScopeConfigurationError: no token or a malformed one, a bad address, or an argument
            that is not known.
        ModelScopeError: what a call raises; the classes are in `langchain_modelscope.errors`.
    """

    if TYPE_CHECKING:  # pydantic's own, with every word that it takes

        @overload
        def __init__(self, *, model: str, **arguments: Unpack[ChatArguments]) -> None: ...
        @overload
        def __init__(self, *, model_name: str, **arguments: Unpack[ChatArguments]) -> None: ...
        def __init__(self, **arguments: Any) -> None: ...

    # --- a call ---------------------------------------------------------------------------

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with native_errors():
            options = self._options(stop, kwargs)
            answer = self._client.chat(to_request(messages, options))
            result = to_result(answer, headers=self.include_response_headers)
            expected = expected_of(options)
            return result if expected is None else expected.of_whole(result)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with native_errors():
            options = self._options(stop, kwargs)
            answer = await self._client.aio.chat(to_request(messages, options))
            result = to_result(answer, headers=self.include_response_headers)
            expected = expected_of(options)
            return result if expected is None else expected.of_whole(result)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        with native_errors():
            options = self._options(stop, kwargs)
            chunks = self._chunks(to_request(messages, options))
            expected = expected_of(options)
            with contextlib.closing(chunks):
                yield from chunks if expected is None else expected.of_stream(chunks)

    def _chunks(self, request: ChatRequest) -> Generator[ChatGenerationChunk]:
        with self._client.stream_chat(request) as stream:
            maker = ChunkMaker(stream.origin, headers=self.include_response_headers)
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
            options = self._options(stop, kwargs)
            chunks = self._achunks(to_request(messages, options))
            expected = expected_of(options)
            async with contextlib.aclosing(chunks):
                wanted = chunks if expected is None else expected.of_async_stream(chunks)
                async for chunk in wanted:
                    yield chunk

    async def _achunks(self, request: ChatRequest) -> AsyncGenerator[ChatGenerationChunk]:
        async with await self._client.aio.stream_chat(request) as stream:
            maker = ChunkMaker(stream.origin, headers=self.include_response_headers)
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
            ModelScopeInvalidRequestError: a choice that is not among the tools, or a choice beside
                a tool that is another provider's own.
        """
        offered = [convert_to_openai_tool(tool, strict=strict) for tool in tools]
        if offered:
            kwargs["tools"] = offered
        if tool_choice is not None and tool_choice is not False:
            with native_errors():
                choice = read_tool_choice(tool_choice, names_of(offered))
            kwargs["tool_choice"] = tool_choice
            if choice == "required" and any(map(is_answer, tools)):
                kwargs["must_call"] = True
        if parallel_tool_calls is not None:
            kwargs["parallel_tool_calls"] = parallel_tool_calls
        if response_format is not None:
            kwargs["response_format"] = response_format
            if strict is not None:
                kwargs["strict"] = strict
        return self.bind(**kwargs)

    if not TYPE_CHECKING:  # its type is core's own, and changes there

        def bind(self, **kwargs: Any) -> Runnable[LanguageModelInput, AIMessage]:
            """Fix arguments of later calls.

            Raises:
                ModelScopeInvalidRequestError: an argument that no call takes; the message names
                    the right word.
            """
            with native_errors():
                read_call(kwargs, "bind")  # bound as it is: a later call has the same words
            return super().bind(**kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type | None = None,
        *,
        method: Method | None = None,
        include_raw: bool = False,
        strict: bool | None = None,
        tools: list[Any] | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """Let the model answer with an object of a schema.

        The object is read from the tool call or from the text, thoughts and sentences around it
        left out. An answer that holds none is an error, never ``None``.

        Args:
            schema: a pydantic class (the answer is an instance), a ``TypedDict`` or a JSON schema
                (the answer is a dictionary, or what it says); may be left out with ``json_mode``.
            method: ``"function_calling"`` works with every model that calls functions;
                ``"json_schema"`` and ``"json_mode"`` ask for the form itself. By default
                ``"json_schema"`` where the schema does not describe an object, or the model keeps
                schemas and cannot be forced to call a function; else ``"function_calling"``.
            include_raw: answer with ``{"raw": …, "parsed": …, "parsing_error": …}``.
            strict: whether the service must keep the schema to the letter; not with ``json_mode``.
            tools: tools that the model may call before it answers. With ``include_raw`` such a call
                comes as ``raw``, and ``parsed`` is ``None``.
            **kwargs: further call arguments.

        Raises:
            ValueError: no schema, an unknown method, or ``strict`` with ``json_mode``.
            OutputParserException: a call of the model raises it where the answer holds no object;
                ``llm_output`` is what the model wrote.
        """
        return structured_output(
            self,
            schema,
            method or method_for(self.model_name, schema),
            include_raw=include_raw,
            strict=strict,
            tools=tools,
            kwargs=kwargs,
        )


# Core reads the signature of one of these at every call; a kept one saves a tenth of its own work.
for _method in (ChatModelScope._generate, ChatModelScope._agenerate):
    vars(_method)["__signature__"] = inspect.signature(_method)

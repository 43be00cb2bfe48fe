"""`ModelScopeBatch`: the answers to many inputs, kept in a file as they come, over many days."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar, cast

from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableBinding, RunnableConfig

from modelscope_transport import Client, errors
from modelscope_transport.jobs import Batch, BatchRow
from modelscope_transport.language import translated as _

from ._answers import to_result
from ._convert import to_request
from ._expected import Expected, expected_of
from .chat_models import ChatModelScope
from .errors import native_errors

__all__ = ["ModelScopeBatch"]

T = TypeVar("T")


class ModelScopeBatch(Runnable[LanguageModelInput, AIMessage]):
    """A chat model whose ``batch`` survives an interrupt and a spent allowance.

    Each answer is on file before the next is paid for. The same call, in this process or another,
    goes on where it was; an input that has changed is asked anew. It stands in a chain where the
    model would: ``prompt | ModelScopeBatch(model, "answers.jsonl") | parser``. ``invoke`` and
    ``stream`` are the model's own and keep nothing. The callbacks of the model are called for these
    two only.

    Args:
        model: the chat model, or one that ``bind`` or ``bind_tools`` has given arguments.
        path: file of the answers, see `modelscope_transport.jobs.Batch`.
        workers: calls at once.
        wait: whether to wait for the reset when the allowance is spent; else the error is raised.
        retry_failed: whether inputs that failed by their own fault are asked again.

    Raises:
        ModelScopeConfigurationError: ``model`` is not such a model.

    Example:
        ::

            batch = ModelScopeBatch(model, "answers.jsonl")
            for index, answer in batch.batch_as_completed(["Hello.", "Goodbye."]):
                print(index, answer.text)
    """

    def __init__(
        self,
        model: Runnable[LanguageModelInput, AIMessage],
        path: str | os.PathLike[str],
        *,
        workers: int = 1,
        wait: bool = True,
        retry_failed: bool = False,
    ) -> None:
        """Open nothing yet."""
        self.model = model
        self._bound: dict[str, Any] = {}
        while isinstance(model, RunnableBinding):
            self._bound = {**model.kwargs, **self._bound}
            model = model.bound
        if not isinstance(model, ChatModelScope):
            with native_errors():
                raise errors.ConfigurationError(
                    _(
                        "ModelScopeBatch takes a ChatModelScope and got a {name}. What reads its "
                        "answers stands behind it: ModelScopeBatch(model, path) | parser."
                    ).format(name=type(model).__name__)
                )
        self._chat = model
        self._path = path
        self._options: dict[str, Any] = {
            "workers": workers,
            "wait": wait,
            "retry_failed": retry_failed,
        }

    def invoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """As the model's; nothing is kept."""
        return self.model.invoke(input, config, **kwargs)

    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """As the model's; nothing is kept."""
        return await self.model.ainvoke(input, config, **kwargs)

    def stream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[AIMessage]:
        """As the model's; nothing is kept."""
        return self.model.stream(input, config, **kwargs)

    def astream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[AIMessage]:
        """As the model's; nothing is kept."""
        return self.model.astream(input, config, **kwargs)

    # --- many ---------------------------------------------------------------------------------

    def batch(
        self,
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """The answers, in the order of the inputs; see `batch_as_completed`."""
        done = dict(self.batch_as_completed(inputs, return_exceptions=return_exceptions, **kwargs))
        return [done[index] for index in range(len(inputs))]

    async def abatch(
        self,
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """As `batch`, for event loops."""
        done = {
            index: answer
            async for index, answer in self.abatch_as_completed(
                inputs, return_exceptions=return_exceptions, **kwargs
            )
        }
        return [done[index] for index in range(len(inputs))]

    def batch_as_completed(
        self,
        inputs: Sequence[LanguageModelInput],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> Iterator[tuple[int, AIMessage]]:
        """The answers with the numbers of their inputs, as they come; those on file come last.

        Args:
            inputs: what is asked; the number of an input is its name in the file.
            config: of no effect here.
            return_exceptions: whether an error of one input stands in its answer's place.
            kwargs: arguments of the model's call.

        Raises:
            ModelScopeError: one of `langchain_modelscope.errors`: of an input, or of the whole job.
        """
        given = self.abatch_as_completed(inputs, return_exceptions=return_exceptions, **kwargs)
        return _in_thread(given, self._chat._client)

    async def abatch_as_completed(
        self,
        inputs: Sequence[LanguageModelInput],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> AsyncGenerator[tuple[int, AIMessage]]:
        """As `batch_as_completed`, for event loops."""
        rows: asyncio.Queue[BatchRow | None] = asyncio.Queue()
        with native_errors():
            options = self._call_options(kwargs)
        reader = _Reader(expected_of(options), return_exceptions)
        requests, seen = [], set[str]()
        for index, given in enumerate(inputs):
            try:
                with native_errors():
                    messages = self._chat._convert_input(given).to_messages()
                    requests.append((str(index), to_request(messages, options)))
            except (errors.ModelScopeError, ValueError) as error:
                seen.add(str(index))
                yield index, reader.instead(error)
        job = self._job(rows.put_nowait)

        async def work() -> None:
            try:
                await job.arun(requests)
            finally:
                rows.put_nowait(None)

        task = asyncio.create_task(work())
        try:
            while (row := await rows.get()) is not None:
                seen.add(row.key)
                yield reader.read(row)
            with native_errors():
                await task
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, errors.ModelScopeError):
                await task
        with contextlib.closing(job.results()) as kept:
            for row in kept:
                if row.key not in seen and row.key.isdecimal() and int(row.key) < len(inputs):
                    yield reader.read(row)

    def _call_options(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        given = {**self._bound, **kwargs}
        return self._chat._options(given.pop("stop", None), given)

    def _job(self, on_row: Any) -> Batch:
        return Batch(self._chat._client, self._path, on_row=on_row, **self._options)


class _Reader(NamedTuple):
    """Reads the rows of one call.

    Attributes:
        expected: what the call expects of its answers.
        lenient: whether an error is given in place of its answer, and not raised.
    """

    expected: Expected | None
    lenient: bool

    def read(self, row: BatchRow) -> tuple[int, AIMessage]:
        """The number of an input, and its answer."""
        try:
            return int(row.key), self._answer(row)
        except (errors.ModelScopeError, OutputParserException) as error:
            return int(row.key), self.instead(error)

    def instead(self, error: Exception) -> AIMessage:
        """The error in the place of an answer, or raised."""
        if self.lenient:
            return cast("AIMessage", error)
        raise error

    def _answer(self, row: BatchRow) -> AIMessage:
        if row.chat is not None:
            result = to_result(row.chat)
            if self.expected is not None:
                self.expected.of_whole(result)
            return cast("AIMessage", result.generations[0].message)
        assert row.failure is not None
        kind = getattr(errors, row.failure.error, errors.ModelScopeError)
        with native_errors():
            raise kind(row.failure.message)


def _in_thread(answers: AsyncGenerator[T], client: Client) -> Iterator[T]:
    """Read an async generator in sync code, in an event loop of another thread.

    The caller's own thread may run a loop already. Where the reader stops, the work is cancelled.
    """
    came: queue.Queue[T | None] = queue.Queue()
    failures: list[BaseException] = []
    loop = asyncio.new_event_loop()

    async def work() -> None:
        try:
            async with contextlib.aclosing(answers):
                async for answer in answers:
                    came.put(answer)
        finally:
            await client.aio.aclose()

    task = loop.create_task(work())

    def run() -> None:
        try:
            loop.run_until_complete(task)
        except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
            failures.append(error)
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
            came.put(None)

    worker = threading.Thread(target=run, name="modelscope-batch", daemon=True)
    worker.start()
    try:
        while (answer := came.get()) is not None:
            yield answer
        if failures:
            raise failures[0]
    finally:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(task.cancel)
        worker.join()

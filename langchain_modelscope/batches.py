"""`ModelScopeBatch`: the answers to many inputs, kept in a file as they come, over many days."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import threading
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Any, TypeVar, cast

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableConfig

from modelscope_transport import Client, errors
from modelscope_transport.jobs import Batch, BatchRow
from modelscope_transport.types import ChatRequest

from ._answers import to_result
from ._convert import to_request
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
        model: the chat model.
        path: file of the answers, see `modelscope_transport.jobs.Batch`.
        workers: calls at once.
        wait: whether to wait for the reset when the allowance is spent; else the error is raised.
        retry_failed: whether inputs that failed by their own fault are asked again.

    Example:
        ::

            batch = ModelScopeBatch(model, "answers.jsonl")
            for index, answer in batch.batch_as_completed(["Hello.", "Goodbye."]):
                print(index, answer.text)
    """

    def __init__(
        self,
        model: ChatModelScope,
        path: str | os.PathLike[str],
        *,
        workers: int = 1,
        wait: bool = True,
        retry_failed: bool = False,
    ) -> None:
        """Open nothing yet."""
        self.model = model
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
        return _in_thread(given, self.model._client)

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
            requests = self._requests(inputs, kwargs)
        job = self._job(rows.put_nowait)

        async def work() -> None:
            try:
                await job.arun(requests)
            finally:
                rows.put_nowait(None)

        task = asyncio.create_task(work())
        seen: set[str] = set()
        try:
            while (row := await rows.get()) is not None:
                seen.add(row.key)
                yield self._answer(row, return_exceptions)
            with native_errors():
                await task
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, errors.ModelScopeError):
                await task
        for answer in self._kept(job, len(inputs), seen, return_exceptions):
            yield answer

    def _requests(
        self, inputs: Sequence[LanguageModelInput], kwargs: dict[str, Any]
    ) -> list[tuple[str, ChatRequest]]:
        options = self.model._options(kwargs.pop("stop", None), kwargs)
        prompts = [self.model._convert_input(each).to_messages() for each in inputs]
        return [
            (str(index), to_request(messages, options)) for index, messages in enumerate(prompts)
        ]

    def _job(self, on_row: Any) -> Batch:
        return Batch(self.model._client, self._path, on_row=on_row, **self._options)

    def _kept(
        self, job: Batch, count: int, seen: set[str], lenient: bool
    ) -> Iterator[tuple[int, AIMessage]]:
        with contextlib.closing(job.results()) as rows:
            for row in rows:
                if row.key not in seen and row.key.isdecimal() and int(row.key) < count:
                    yield self._answer(row, lenient)

    def _answer(self, row: BatchRow, lenient: bool) -> tuple[int, AIMessage]:
        if row.chat is not None:
            message = to_result(row.chat).generations[0].message
            return int(row.key), cast("AIMessage", message)
        assert row.failure is not None
        kind = getattr(errors, row.failure.error, errors.ModelScopeError)
        try:
            with native_errors():
                raise kind(row.failure.message)
        except errors.ModelScopeError as error:
            if lenient:
                return int(row.key), cast("AIMessage", error)
            raise


def _in_thread(answers: AsyncGenerator[T], client: Client) -> Iterator[T]:
    """What an async generator gives, out of a loop in a thread: the caller's may run one already.

    It ends with its reader.
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

    def play() -> None:
        try:
            loop.run_until_complete(task)
        except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
            failures.append(error)
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
            came.put(None)

    worker = threading.Thread(target=play, name="modelscope-batch", daemon=True)
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

"""`ModelScopePipelineTool`: runs classic pipelines.

Laws of this file: a model that calls a tool writes text, and text is never a file of this machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

import msgspec
from langchain_core.callbacks import AsyncCallbackManagerForToolRun, CallbackManagerForToolRun
from langchain_core.tools import BaseTool
from pydantic import BaseModel, Field, WithJsonSchema, model_validator

from modelscope_transport.catalogue import TASKS, Task, known_task, task_named
from modelscope_transport.media import media_url
from modelscope_transport.task_types import PipelineRequest, PipelineResult, Sound

from ._connection import Connection
from ._tool_calls import areport, report, tool_errors
from .errors import native_errors

__all__ = ["ModelScopePipelineTool"]


class _Text(BaseModel):
    input: str = Field(description="The text.")


class _Address(BaseModel):
    input: Annotated[
        Any,
        WithJsonSchema({"type": "string", "description": "https address of the file"}),
    ]


class _Texts(BaseModel):
    input: list[str] = Field(description="A text, and the texts to compare with it.")


class _Anything(BaseModel):
    input: dict[str, Any] = Field(description="The input, as the model's page describes it.")


_SCHEMAS: dict[str, type[BaseModel]] = {
    "text": _Text,
    "audio": _Address,
    "image": _Address,
    "sentences": _Texts,
    "pair": _Texts,
    "object": _Anything,
}


class ModelScopePipelineTool(BaseTool, Connection):
    """Runs a classic pipeline: classification, names, translation, speech and so on.

    A tool, and with that a Runnable: ``invoke("…")`` takes what the task takes. The answer's text
    is what an agent gets to read, and its parts are the ``artifact`` of a ``ToolMessage``, as plain
    data. `run_pipeline` returns the typed answer (`modelscope_transport.task_types` has its types).

    The service does not document the address of pipelines any more. It answered in 2025; where it
    does not, the error says so.

    Example:
        >>> mood = ModelScopePipelineTool(
        ...     model="damo/nlp_structbert_sentiment-classification_chinese-base"
        ... )
        >>> mood.run_pipeline("今天很开心").output
        (Label(label='正面', score=…), …)
    """

    name: str = ""
    description: str = ""
    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"
    handle_tool_error: Any = True

    __repr_args__ = Connection.__repr_args__

    task: str | None = None
    """ModelScope's name of the task; by default what the model's ID or the model data say."""

    parameters: dict[str, Any] | None = None
    """The pipeline's own parameters, for instance ``{"schema": …}``."""

    @model_validator(mode="after")
    def _describe(self) -> Self:
        with native_errors():
            row = self._row()
        self.task = row.name
        self.args_schema = self.args_schema or _SCHEMAS[row.form.takes]
        self.name = self.name or row.name.replace("-", "_")
        self.description = self.description or f"A tool that {row.does}."
        return self

    def _row(self) -> Task:
        if self.task is not None:
            return task_named(self.task)
        return known_task(self._client.profile(self.model_name)) or TASKS["pipeline"]

    def _request(self, given: Any) -> PipelineRequest:
        row = self._row()
        if row.form.takes in ("audio", "image"):
            given = media_url(given, row.form.takes)
        return PipelineRequest(
            model=self.model_name,
            task=row.name,
            input=given,
            parameters=self.parameters,
            extra_body=self.extra_body,
            extra_headers=self.default_headers,
            timeout=self.timeout,
            fallback_models=tuple(self.fallback_models),
        )

    def run_pipeline(self, input: Any) -> PipelineResult:
        """The typed answer to one input.

        Raises:
            ModelScopeError: one of the classes in `langchain_modelscope.errors`.
        """
        with native_errors():
            return self._client.run(self._request(input))

    async def arun_pipeline(self, input: Any) -> PipelineResult:
        """As `run_pipeline`."""
        with native_errors():
            return await self._client.aio.run(self._request(input))

    def _run(
        self, input: Any, run_manager: CallbackManagerForToolRun | None = None
    ) -> tuple[str, Any]:
        with tool_errors():
            report(run_manager, "started", self.model_name)
            result = self.run_pipeline(input)
            report(run_manager, "finished", self.model_name)
            return _read(result)

    async def _arun(
        self, input: Any, run_manager: AsyncCallbackManagerForToolRun | None = None
    ) -> tuple[str, Any]:
        with tool_errors():
            await areport(run_manager, "started", self.model_name)
            result = await self.arun_pipeline(input)
            await areport(run_manager, "finished", self.model_name)
            return _read(result)


def _read(result: PipelineResult) -> tuple[str, Any]:
    output = result.output
    if isinstance(output, str):
        return output, output
    told = msgspec.json.encode(output)
    plain = msgspec.json.decode(told)  # LangGraph's checkpoints cannot keep types of ours
    if isinstance(output, Sound):  # a model cannot read the file itself
        return f"The sound is ready: {output.url}" if output.url else "The sound is ready.", plain
    if isinstance(output, Sequence) and not plain:
        return "Nothing was found.", plain
    return told.decode(), plain

"""`ModelScopePipelineToolSpec`: classic pipelines as a tool.

Laws of this file: a model that calls a tool writes text, and text is never a file of this machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from llama_index.core.tools.function_tool import FunctionTool
from llama_index.core.tools.tool_spec.base import SPEC_FUNCTION_TYPE, BaseToolSpec
from llama_index.core.tools.types import ToolMetadata
from pydantic import BaseModel, Field, SecretStr

from modelscope_transport.catalogue import TASKS, Task, known_task, task_named
from modelscope_transport.client import Client
from modelscope_transport.media import media_url
from modelscope_transport.secret import Secret
from modelscope_transport.task_types import PipelineRequest, PipelineResult

from ._arguments import several
from ._connected import client_for, hidden, hidden_in
from ._progress import reported
from .errors import native_errors

__all__ = ["ModelScopePipelineToolSpec"]


class _Text(BaseModel):
    input: str = Field(description="The text.")


class _Address(BaseModel):
    input: str = Field(description="https address of the file.")


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


class ModelScopePipelineToolSpec(BaseToolSpec):
    """Runs a classic pipeline: classification, names, translation, speech and so on.

    The service does not document the address of pipelines any more. It answered in 2025; where it
    does not, the error says so.

    Args:
        model: model ID, ``owner/name``.
        task: ModelScope's name of the task; by default what the model's ID or the model data say.
        parameters: the pipeline's own parameters, for instance ``{"schema": …}``.
        timeout: total deadline of a call in seconds.
        fallback_models: models to ask when this one's allowance is spent or it was withdrawn.
        extra_body: further fields of every request's body.
        client: a `modelscope_transport.Client` to share with others, instead of what follows.
        api_key: access token; else ``MODELSCOPE_API_KEY`` and its kin from the environment.
        settings: further arguments of `modelscope_transport.Client`, such as ``base_url``.

    Raises:
        ModelScopeConfigurationError: no such task, no token, a bad address.

    Examples:
        `pip install "modelscope-adapters[llamaindex]"`

        ```python
        from llamaindex_modelscope import ModelScopePipelineToolSpec

        translate = ModelScopePipelineToolSpec(
            model="iic/nlp_csanmt_translation_en2zh", task="translation"
        )
        print(translate.run_pipeline("Good morning."))
        tools = translate.to_tool_list()  # for an agent
        ```
    """

    def __init__(
        self,
        model: str,
        *,
        task: str | None = None,
        parameters: dict[str, Any] | None = None,
        timeout: float | None = None,
        fallback_models: Sequence[str] = (),
        extra_body: dict[str, Any] | None = None,
        client: Client | None = None,
        api_key: str | SecretStr | Secret | None = None,
        **settings: Any,
    ) -> None:
        # a traceback shows local variables
        api_key, settings = hidden(api_key), hidden_in(settings)
        with native_errors():
            self._client = client_for(client, api_key=api_key, timeout=timeout, **settings)
            known = known_task(self._client.profile(model)) or TASKS["pipeline"]
            self._row: Task = known if task is None else task_named(task)
        self.spec_functions = [("run_pipeline", "arun_pipeline")]
        self.model = model
        self.task = self._row.name
        self._request = PipelineRequest(
            model=model,
            task=self.task,
            input=None,
            parameters=parameters,
            timeout=timeout,
            fallback_models=several(fallback_models),
            extra_body=extra_body,
        )

    def to_tool_list(
        self,
        spec_functions: list[SPEC_FUNCTION_TYPE] | None = None,
        func_to_metadata_mapping: dict[str, ToolMetadata] | None = None,
    ) -> list[FunctionTool]:
        """The tool, for an agent; named after its task."""
        metadata = ToolMetadata(
            name=self.task.replace("-", "_"),
            description=f"A tool that {self._row.does}.",
            fn_schema=_SCHEMAS[self._row.form.takes],
        )
        return super().to_tool_list(
            spec_functions, {"run_pipeline": metadata, **(func_to_metadata_mapping or {})}
        )

    def run_pipeline(self, input: Any) -> Any:
        """The answer to one input: a text, or the types of `modelscope_transport.task_types`.

        Raises:
            ModelScopeError: one of the classes in `llamaindex_modelscope.errors`.
        """
        with native_errors(), reported(self.task, self.model):
            return self._client.run(self._asked(input)).output

    async def arun_pipeline(self, input: Any) -> Any:
        """As `run_pipeline`."""
        with native_errors(), reported(self.task, self.model):
            result: PipelineResult = await self._client.aio.run(self._asked(input))
            return result.output

    def _asked(self, given: Any) -> PipelineRequest:
        if self._row.form.takes in ("audio", "image"):
            given = media_url(given, self._row.form.takes)
        return msgspec.structs.replace(self._request, input=given)

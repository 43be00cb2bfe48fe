"""What LangChain asks a chat model about: tokens, identity, profile, serialization."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any, Self

from langchain_core.language_models import LangSmithParams, ModelProfile
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import model_validator

from ._answers import PROVIDER, merge_usage
from ._argument_table import CALL
from ._arguments import our_name, read_call
from ._chat_fields import OPTIONS, ChatFields
from ._connection import Connection
from ._profile import KnownProfile, count_message_tokens, count_tokens, look_up

__all__ = ["ChatFacts"]


class ChatFacts(BaseChatModel, ChatFields):
    """A chat model, without its calls."""

    def _options(self, stop: list[str] | None, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The options of a call: fields, then ``model_kwargs``, then the call's own.

        Each may add headers and fields of the body to those of the one before.
        """
        fields = self.__dict__
        options = {name: fields[name] for name in OPTIONS}
        options["model"] = self.model_name
        options["extra_headers"] = self.default_headers
        for given in (read_call(self.model_kwargs, "model_kwargs"), read_call(kwargs)):
            before = {name: options[name] for name in ("extra_headers", "extra_body")}
            options |= given
            for name, already in before.items():
                if already and name in given:
                    options[name] = {**already, **(given[name] or {})}
        if stop is not None:
            options["stop"] = stop
        return options

    def _streaming_disabled(self, **kwargs: Any) -> bool:
        # A stream carries one answer, and LangGraph may ask for a stream whatever n is.
        several = kwargs.get("n", self.model_kwargs.get("n", self.n)) not in (None, 1)
        return several or super()._streaming_disabled(**kwargs)

    def get_token_ids(self, text: str) -> list[int]:
        """About as many numbers as a text has tokens; the numbers themselves mean nothing.

        LangChain counts tokens and splits texts by them. For real ids pass
        ``custom_get_token_ids``, a function from text to token ids.
        """
        if self.custom_get_token_ids is not None:
            return self.custom_get_token_ids(text)
        return list(range(count_tokens(text)))

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
        """About how many tokens a conversation takes, tool calls, images and tools included.

        Its texts are counted as `get_num_tokens` counts them.
        """
        described = [convert_to_openai_tool(tool) for tool in tools or ()]
        return count_message_tokens(messages, described or None, self.get_num_tokens)

    # --- what LangChain asks about --------------------------------------------------------

    @property
    def _llm_type(self) -> str:
        return "modelscope-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        options = {name: getattr(self, name) for name in OPTIONS}
        given = {name: value for name, value in options.items() if value is not None}
        return {"model_name": self.model_name, **given, **self.model_kwargs}

    def _combine_llm_outputs(self, _llm_outputs: list[dict[str, Any] | None], /) -> dict[str, Any]:
        total: dict[str, Any] = {}
        for output in _llm_outputs:  # None stands for a cached answer
            total = merge_usage(total, (output or {}).get("token_usage", {}))
        named = next((output for output in _llm_outputs if output), {"model_name": self.model_name})
        return {"token_usage": total, "model_name": named["model_name"]}

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        # Core keeps the dump that it made first, and a field may have been set since.
        self.__dict__.pop("_serialized", None)
        # The dump does not hold client=, and two services must not share cached answers.
        return f"{self._client.base_url} {super()._get_llm_string(stop=stop, **kwargs)}"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        named = {our_name(word, CALL) or word: value for word, value in kwargs.items()}
        ends = named.pop("stop", None)
        params = super()._get_ls_params(stop=stop, **named)
        params["ls_provider"] = PROVIDER
        if ends := stop or ends or self.stop:
            params["ls_stop"] = [ends] if isinstance(ends, str) else ends
        return params

    def _resolve_model_profile(self) -> ModelProfile:
        return look_up(self.model_name)

    @model_validator(mode="before")
    @classmethod
    def _forget_looked_up_profile(cls, values: Any) -> Any:
        # configurable_fields makes a model of another name out of all fields of this one.
        if isinstance(values, dict) and isinstance(values.get("profile"), KnownProfile):
            return {name: value for name, value in values.items() if name != "profile"}
        return values

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a field; another model has another profile."""
        super().__setattr__(name, value)
        if name in ("model", "model_name") and isinstance(self.profile, KnownProfile):
            self.profile = look_up(value)

    __repr_args__ = Connection.__repr_args__

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The secrets that a dump leaves out, by the names that ``secrets_map`` of ``load`` takes.

        Without it, the token and the proxy are those of the environment.
        """
        return {"api_key": "MODELSCOPE_API_KEY", "proxy": "MODELSCOPE_PROXY"}

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Whether ``dumps`` can write it: yes, without the token."""
        return True

    @model_validator(mode="after")
    def _set_modelscope_version(self) -> Self:
        self._add_version("modelscope-adapters", _version())
        return self


@functools.cache
def _version() -> str:
    return metadata.version("modelscope-adapters")

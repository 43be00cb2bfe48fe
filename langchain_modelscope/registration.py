"""``init_chat_model("modelscope:…")`` and ``init_embeddings("modelscope:…")``, on request.

LangChain keeps its providers in private tables and takes no packages of third parties into them
(langchain-ai/langchain#34287), so this writes there, and only when it is called.
"""

from __future__ import annotations

import importlib
from typing import Any

from modelscope_transport.language import translated as _

from ._answers import PROVIDER
from .errors import ModelScopeConfigurationError

__all__ = ["register"]

_CLASSES = {
    "langchain.chat_models.base": "ChatModelScope",
    "langchain.embeddings.base": "ModelScopeEmbeddings",
}


def register() -> None:
    """Make ``modelscope:owner/name`` known to ``init_chat_model`` and ``init_embeddings``.

    Raises:
        ModelScopeConfigurationError: LangChain is missing, or keeps its tables elsewhere.
    """
    for module, name in _CLASSES.items():
        try:
            providers = importlib.import_module(module)._BUILTIN_PROVIDERS
        except (ImportError, AttributeError) as error:
            raise ModelScopeConfigurationError(
                _(
                    "This LangChain keeps no table of providers in {module} ({error}). "
                    "Construct langchain_modelscope.{name} yourself; it is accepted wherever "
                    "a model is."
                ).format(module=module, error=error, name=name)
            ) from error
        providers[PROVIDER] = (__package__, name, _construct)


def _construct(cls: type[Any], **kwargs: Any) -> Any:
    return cls(**kwargs)

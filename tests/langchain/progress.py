"""What a callback sees of the progress of a tool."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import BaseCallbackHandler

__all__ = ["Events", "steps"]


class Events(BaseCallbackHandler):
    """Keeps what is reported."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_custom_event(self, name: str, data: Any, **run: Any) -> None:
        assert name == "modelscope_progress"
        self.seen.append(data)


def steps(seen: list[Any]) -> list[Any]:
    """State, looks and status of each report."""
    return [(data["state"], data.get("looks"), data.get("status")) for data in seen]

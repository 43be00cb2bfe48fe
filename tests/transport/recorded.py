"""The recorded replies of ``tests/samples``, as what a driver would hand to a flow."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from msgspec import Struct

from modelscope_transport._wire.outcomes import Reply

SAMPLES = Path(__file__).parents[1] / "samples"


class Sample(Struct, frozen=True):
    """One recorded reply; the fields are described in ``tests/samples/README.md``."""

    name: str
    meaning: str
    status: int
    headers: dict[str, str]
    model: str
    body: str | None
    events: tuple[str, ...] | None

    @property
    def reply(self) -> Reply:
        """The reply as it is judged: the whole body, or a stream's first payload."""
        if self.events is None:
            return Reply(self.status, self.headers, (self.body or "").encode())
        return Reply(self.status, self.headers, self.events[0].encode(), streaming=True)

    @property
    def wire(self) -> bytes:
        """A stream's bytes, framed as the service frames them."""
        return b"".join(b"data: " + event.encode() + b"\n\n" for event in self.events or ())


@cache
def samples(folder: str) -> tuple[Sample, ...]:
    """All samples of a folder, by name."""
    return tuple(_read(path) for path in sorted((SAMPLES / folder).glob("*.json")))


def sample(name: str) -> Sample:
    """One sample: ``"streams/tool_call"``."""
    return _read(SAMPLES / f"{name}.json")


def _read(path: Path) -> Sample:
    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    events = facts.get("events")
    return Sample(
        name=path.stem,
        meaning=facts["meaning"],
        status=facts["status"],
        headers=facts["headers"],
        model=facts.get("model", "some/model"),
        body=facts.get("body"),
        events=None if events is None else tuple(events),
    )


def named(value: object) -> str | None:
    """The id of a parametrised test over samples."""
    return value.name if isinstance(value, Sample) else None

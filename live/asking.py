"""Sends requests as they are, keeps what came back, and stops at the first sign of a spent pool."""

from __future__ import annotations

import datetime
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from live.scrubbing import scrubbed, scrubbed_text
from modelscope_transport._wire.failure_table import Kind
from modelscope_transport._wire.failures import judge
from modelscope_transport._wire.outcomes import Reply, read_failure

__all__ = ["Seen", "Service", "SpentPoolError"]

_SPENT = (Kind.MODEL_SPENT, Kind.PRICE_SPENT, Kind.ACCOUNT_SPENT)


class SpentPoolError(Exception):
    """The service says, or may say, that an allowance is spent."""


@dataclass(frozen=True)
class Seen:
    """One reply.

    Attributes:
        status: of HTTP; 0 where there was no reply.
        headers: names in lower case.
        text: the body.
        seconds: until it had come whole.
    """

    status: int
    headers: dict[str, str]
    text: str
    seconds: float = 0.0

    @property
    def events(self) -> list[str]:
        """What follows each ``data:`` of a stream."""
        return [line[5:].strip() for line in self.text.splitlines() if line.startswith("data:")]

    @property
    def chunks(self) -> list[dict[str, Any]]:
        """The events that are JSON objects."""
        return [json.loads(event) for event in self.events if event.startswith("{")]

    @property
    def body(self) -> Any:
        """The body read as JSON; an empty object where it is none."""
        try:
            return json.loads(self.text)
        except ValueError:
            return {}


@dataclass
class Service:
    """One account at one address.

    Attributes:
        base_url: of the inference, with ``/v1``.
        hub: address of the hub: balance and prices.
        token: of the account.
        models: the models to ask, by what they are for.
        folder: where recordings go; ``None`` for nowhere.
        prices: Magicubes of a call, by what its model is for.
        look_every: seconds between two looks at an image.
    """

    base_url: str
    hub: str
    token: str
    models: dict[str, str]
    folder: Path | None = None
    prices: dict[str, float] = field(default_factory=dict)
    look_every: float = 3.0
    _count: int = field(default=0)
    _http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=120.0))

    def get(self, url: str, *, token: bool = True) -> Seen:
        """Ask for something that is free."""
        headers = {"authorization": f"Bearer {self.token}"} if token else {}
        return self._kept("GET", url, headers, None)

    def look(self, task: str) -> Seen:
        """Look after the task of an image."""
        headers = {"x-modelscope-task-type": "image_generation"}
        headers["authorization"] = f"Bearer {self.token}"
        return self._kept("GET", f"{self.base_url}/tasks/{task}", headers, None)

    def ask(self, kind: str, path: str, body: dict[str, Any], **headers: str) -> Seen:
        """Send a paid request.

        Raises:
            SpentPoolError: the reply says, or may say, that an allowance is spent.
        """
        seen = self.try_to_ask(kind, path, body, **headers)
        self._stop_if_spent(seen, self.models[kind])
        return seen

    def ask_at_once(self, kind: str, path: str, bodies: list[dict[str, Any]]) -> list[Seen]:
        """Send paid requests side by side.

        Raises:
            SpentPoolError: a reply says that an allowance is spent.
        """
        with ThreadPoolExecutor(len(bodies)) as threads:
            seen = list(threads.map(lambda body: self.try_to_ask(kind, path, body), bodies))
        for each in seen:
            self._stop_if_spent(each, self.models[kind], certain=True)
        return seen

    def try_to_ask(self, kind: str, path: str, body: dict[str, Any], **headers: str) -> Seen:
        """Send a paid request, whatever comes back."""
        headers["authorization"] = f"Bearer {self.token}"
        return self._kept(
            "POST", f"{self.base_url}{path}", headers, {"model": self.models[kind], **body}
        )

    def balance(self) -> float | None:
        """Magicubes left and frozen; ``None`` where the service does not say."""
        found = self.get(f"{self.hub}/openapi/v1/magicubes/balance").body
        data = found.get("data") if isinstance(found, dict) else None
        total = data.get("total_balance") if isinstance(data, dict) else None
        return float(total) if isinstance(total, int | float) else None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _kept(self, method: str, url: str, headers: dict[str, str], body: Any) -> Seen:
        began = time.monotonic()
        try:
            reply = self._http.request(method, url, headers=headers, json=body)
            seen = Seen(reply.status_code, dict(reply.headers), reply.text)
        except httpx.HTTPError as error:
            seen = Seen(0, {}, type(error).__name__)
        seen = Seen(seen.status, seen.headers, seen.text, time.monotonic() - began)
        if self.folder is not None:
            self._count += 1
            where = scrubbed_text(url.partition("://")[2].partition("?")[0])
            record = {
                "source": f"make live, {method} {where}",
                "date": str(datetime.datetime.now(datetime.UTC).date()),
                "confidence": "seen",
                **scrubbed(seen.status, seen.headers, seen.text, body, self.token),
            }
            written = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
            path = self.folder / f"{self._count:02}-{where.rpartition('/')[2]}.json"
            path.write_text(written, encoding="utf-8")
        return seen

    def _stop_if_spent(self, seen: Seen, model: str, *, certain: bool = False) -> None:
        events = seen.events
        body = (events[0] if events else seen.text).encode()
        shown = seen.body if not events else (seen.chunks or [{}])[0]
        if seen.status < 400 and not (isinstance(shown, dict) and shown.get("error")):
            return
        verdict = judge(
            Reply(seen.status, seen.headers, body),
            read_failure(body),
            model=model,
            redact=lambda words: words.replace(self.token, "***"),
        )
        if verdict.kind in _SPENT or (verdict.unexplained is not None and not certain):
            raise SpentPoolError(f"{model}: {verdict.details.server_message or seen.status}")

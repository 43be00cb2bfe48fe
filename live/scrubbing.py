"""Takes out of a recording what is the user's own: token, ids, addresses, the account's numbers."""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["scrubbed", "scrubbed_text"]

# Characters of a text that are kept: vectors and long questions say nothing by their length.
_LONGEST = 20_000

_HEADERS = ("content-type", "date", "retry-after", "server", "transfer-encoding")
_ID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE)
_ADDRESS = re.compile(r'https?://[^\s"\'\\<>]+')
# Answers that hold the account's own books: their shape is kept, and nothing else.
_BOOKS = ("available_balance", "today_earned_amount", "gmt_created", "username", "nickname")
_KEPT = ("code", "model_tier", "type", "scene", "unit", "rule_code")


def scrubbed(
    status: int, headers: dict[str, str], text: str, asked: Any, token: str
) -> dict[str, Any]:
    """A recording in the form of ``tests/samples/README.md``.

    Args:
        status: of the reply.
        headers: of the reply; most are left out.
        text: body of the reply.
        asked: body of the request, which is this program's own.
        token: the user's.
    """
    text = text.replace(token, "***")
    if any(f'"{name}"' in text for name in _BOOKS):
        text = json.dumps(_shape(json.loads(text)))
    text = scrubbed_text(text)
    lines = [line[5:].strip() for line in text.splitlines() if line.startswith("data:")]
    shown = {
        name: scrubbed_text(value)
        for name, value in headers.items()
        if name in _HEADERS or "ratelimit" in name
    }
    said = {"events": lines} if lines else {"body": text}
    if len(json.dumps(asked)) > _LONGEST:
        asked = {"model": asked["model"], "note": "a long text"}
    return {"asked": asked, "status": status, "headers": shown, **said}


def scrubbed_text(text: str) -> str:
    """A text without ids and addresses, and not too long."""
    text = _ADDRESS.sub("https://example.com/", _ID.sub(_zeros, text))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _zeros(found: re.Match[str]) -> str:
    return re.sub(r"[0-9a-fA-F]", "0", found[0])


def _shape(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _shape(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [_shape(each, name) for each in value[:3]]
    if isinstance(value, bool) or value is None or name in _KEPT:
        return value
    return "placeholder" if isinstance(value, str) else 0

"""Writes docs/faults.md from the table: ``python -m tests.faults.page``."""

from __future__ import annotations

from pathlib import Path

from tests.faults.rows import FORMS, Case, Fault
from tests.faults.table import DEADLINE, IDLE, SECTIONS

__all__ = ["PAGE", "page"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "faults.md"

_FORMS = {"whole": "whole answer", "stream": "stream", "vectors": "vectors"}

_OPENING = f"""\
# What a caller gets when the service fails

This page is written from `tests/faults/table.py` by `python -m tests.faults.page`. Every line is
tried by `python -m pytest tests/faults` against a server on raw sockets: sync and async, through
both adapters. LangChain and LlamaIndex raise the class of the same name with `ModelScope` before
it, and the class that is named here is its `__cause__`.

- **result**: the error's class, or the answer; *with "…"* is the text that the error carries in
  `.details.partial`.
- **requests**: how many the server sees. Only what was surely not accepted is sent again: a
  connection that was reset before a byte of a reply, an answer of 429 or 5xx, a success with
  nothing in it. A connection that was closed without a reply, garbage, or a reply cut short may
  hide an accepted call: it is asked once.
- **counted**: calls that stay counted in the ledger, because the service may have counted them.
- **connection**: whether it may serve the next call, or is closed at once.
- **at least**: seconds that the call lasts; where the fault is one of time, with
  `idle_timeout={IDLE}` and `timeout={DEADLINE}`.

After every call no slot of the limiter is taken, no connection is open once the client is closed or
its event loop has ended, no redirect was followed, and no traceback shows the token.
"""

_CERTIFICATES = """\
## Certificates

| the server shows | result | requests | counted |
|---|---|---|---|
| a certificate of an issuer that is not trusted | `APIConnectionError` | 0 | 0 |
| a certificate of another host | `APIConnectionError` | 0 | 0 |
| a certificate that has expired | `APIConnectionError` | 0 | 0 |

Not a byte of the request is sent. The certificates to trust are those of certifi, or those of
`SSL_CERT_FILE`.
"""


def page() -> str:
    """The page, in Markdown."""
    parts = [_OPENING]
    for title, faults in SECTIONS.items():
        lines = [
            f"## {title}\n",
            "| what the server does | form | result | requests | counted | connection | at least |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [line for fault in faults for line in _lines(fault)]
        parts.append("\n".join(lines) + "\n")
    return "\n".join([*parts, _CERTIFICATES])


def _lines(fault: Fault) -> list[str]:
    """A line for each outcome, with the forms that share it."""
    by_outcome: dict[str, list[str]] = {}
    for form in FORMS:
        by_outcome.setdefault(_outcome(fault.case(form)), []).append(_FORMS[form])
    return [
        f"| {fault.name} | {'all' if len(forms) == len(FORMS) else ', '.join(forms)} | {outcome} |"
        for outcome, forms in by_outcome.items()
    ]


def _outcome(case: Case | str) -> str:
    if isinstance(case, str):
        return f"does not apply: {case} | – | – | – | –"
    if case.error is None:
        result = "the answer"
    else:
        result = f"`{case.error}`" + (f' with "{case.text}"' if case.text else "")
    kept = "kept" if case.kept else "closed"
    least = f"{case.least:g} s" if case.least else "–"
    return f"{result} | {case.requests} | {case.counted} | {kept} | {least}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

"""Writes docs/faults.md and its Chinese from the table: ``python -m tests.faults.page``."""

from __future__ import annotations

from pathlib import Path

from docs.words import in_words, written
from modelscope_transport.language import Language
from tests.faults.rows import FORMS, Case, Fault
from tests.faults.table import DEADLINE, IDLE, SECTIONS

__all__ = ["PAGES", "page"]

_DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES: dict[Language, Path] = {"en": _DOCS / "faults.md", "zh": _DOCS / "faults.zh.md"}

_FORMS = {"whole": "whole answer", "stream": "stream", "vectors": "vectors"}

_OPENING_EN = f"""\
# What a caller gets when the service fails

[中文](faults.zh.md)

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

_CERTIFICATES_EN = """\
## Certificates

| the server shows | result | requests | counted |
|---|---|---|---|
| a certificate of an issuer that is not trusted | `APIConnectionError` | 0 | 0 |
| a certificate of another host | `APIConnectionError` | 0 | 0 |
| a certificate that has expired | `APIConnectionError` | 0 | 0 |

Not a byte of the request is sent. The certificates to trust are those of certifi, or those of
`SSL_CERT_FILE`.
"""


_OPENING: dict[Language, str] = {
    "en": _OPENING_EN,
    "zh": written("faults", "opening").format(idle=IDLE, deadline=DEADLINE),
}
_CERTIFICATES: dict[Language, str] = {
    "en": _CERTIFICATES_EN,
    "zh": written("faults", "certificates"),
}
_HEADS: dict[Language, str] = {
    "en": "| what the server does | form | result | requests | counted | connection | at least |",
    "zh": "| 服务器做了什么 | 形式 | 结果 | 请求数 | 计数 | 连接 | 至少 |",
}
_WITH: dict[Language, str] = {"en": ' with "{text}"', "zh": ' 附 "{text}"'}


def page(language: Language = "en") -> str:
    """The page, in Markdown."""
    parts = [_OPENING[language]]
    for title, faults in SECTIONS.items():
        lines = [
            f"## {in_words('faults', title, language)}\n",
            _HEADS[language],
            "|---|---|---|---|---|---|---|",
        ]
        lines += [line for fault in faults for line in _lines(fault, language)]
        parts.append("\n".join(lines) + "\n")
    return "\n".join([*parts, _CERTIFICATES[language]])


def _lines(fault: Fault, language: Language) -> list[str]:
    """A line for each outcome, with the forms that share it."""
    by_outcome: dict[str, list[str]] = {}
    for form in FORMS:
        shown = in_words("faults", _FORMS[form], language)
        by_outcome.setdefault(_outcome(fault.case(form), language), []).append(shown)
    name, every = (in_words("faults", said, language) for said in (fault.name, "all"))
    between = "、" if language == "zh" else ", "
    return [
        f"| {name} | {every if len(forms) == len(FORMS) else between.join(forms)} | {outcome} |"
        for outcome, forms in by_outcome.items()
    ]


def _outcome(case: Case | str, language: Language) -> str:
    if isinstance(case, str):
        return f"{in_words('faults', f'does not apply: {case}', language)} | – | – | – | –"
    if case.error is None:
        result = in_words("faults", "the answer", language)
    else:
        result = f"`{case.error}`" + (_WITH[language].format(text=case.text) if case.text else "")
    kept = in_words("faults", "kept" if case.kept else "closed", language)
    seconds = "秒" if language == "zh" else "s"
    least = f"{case.least:g} {seconds}" if case.least else "–"
    return f"{result} | {case.requests} | {case.counted} | {kept} | {least}"


if __name__ == "__main__":
    for _language, _place in PAGES.items():
        _place.write_text(page(_language), encoding="utf-8")

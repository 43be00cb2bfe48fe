"""Tables and bars in HTML and inline SVG, for notebooks and for the page of the allowance.

Laws of this file: every text is escaped, nothing is loaded from elsewhere, and colours are those of
the page around it, so that light and dark both work.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

__all__ = ["bars_html", "table_html"]

_ROW = 22  # pixels of a bar with the space under it
_LONGEST = 320  # pixels of the longest bar


def table_html(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table with a title and the names of its columns."""
    heads = "".join(f'<th scope="col" style="text-align:left">{_text(name)}</th>' for name in head)
    lines = "".join(f"<tr>{_cells(row)}</tr>" for row in rows)
    return (
        f'<div style="overflow-x:auto"><table><caption style="text-align:left;font-weight:bold">'
        f"{_text(title)}</caption><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def bars_html(title: str, amounts: Mapping[str, float]) -> str:
    """Bars of numbers by name, none below 0, one below the other; an SVG, as wide as the page."""
    if not amounts:
        return ""
    most = max(*amounts.values(), 0.0) or 1.0
    height = _ROW * 2 * len(amounts)
    parts = []
    for place, (name, number) in enumerate(amounts.items()):
        top = 2 * _ROW * place
        width = max(1.0, _LONGEST * number / most)
        parts.append(
            f'<text x="0" y="{top + 14}" fill="currentColor">{_text(name)}</text>'
            f'<rect x="0" y="{top + 20}" width="{width:.1f}" height="14" rx="2" fill="#4a8cd6"/>'
            f'<text x="{width + 6:.1f}" y="{top + 32}" fill="currentColor">{number:.12g}</text>'
        )
    return (
        f'<figure style="margin:1em 0"><figcaption><b>{_text(title)}</b></figcaption>'
        f'<svg role="img" aria-label="{_text(title)}" viewBox="0 0 {_LONGEST + 80} {height}" '
        f'style="width:100%;max-width:{_LONGEST + 80}px" font-size="13" font-family="inherit">'
        f"{''.join(parts)}</svg></figure>"
    )


def _cells(row: Sequence[str]) -> str:
    """A row's cells; the first one names the row, so it is not broken."""
    return "".join(
        f'<td style="text-align:left{"" if place else ";white-space:nowrap"}">{_text(cell)}</td>'
        for place, cell in enumerate(row)
    )


def _text(text: str) -> str:
    return html.escape(str(text))

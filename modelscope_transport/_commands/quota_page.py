"""``quota --html``: one page that shows the allowance, in one file that needs nothing else."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..client.sync import Client
from ..errors import ConfigurationError
from ..language import resolve_language
from ..language import translated as _
from ..quota import DayUse, Quota
from ..quota.books import BookTable
from ..shown import bars_html, table_html
from .output import amount, moment, quota_head, quota_row
from .talking import MODEL

__all__ = ["write_page"]

_JOBS = (100, 1_000, 10_000)

_STYLE = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,"PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif;
 max-width:56rem;margin:0 auto;padding:1rem;overflow-wrap:anywhere}
h1{font-size:1.4rem}.left{font-size:2rem;margin:.2rem 0}.spent{color:#c33}
@media(prefers-color-scheme:dark){.spent{color:#f77}}
table{border-collapse:collapse;font-size:.9rem;margin-top:1rem}
td,th{padding:.3rem .6rem .3rem 0;border-bottom:1px solid #8884;vertical-align:top;
 overflow-wrap:normal}
th,td:nth-child(2),td:nth-child(3),td:nth-child(4){white-space:nowrap}
@media(min-width:56rem){.bars{display:grid;grid-template-columns:1fr 1fr;gap:0 2rem}}
"""


def write_page(
    client: Client,
    file: str,
    remarks: Sequence[str],
    tables: Sequence[BookTable] = (),
    model: str | None = None,
) -> None:
    """Write the page.

    Args:
        client: whose allowance it shows.
        file: the file, which is replaced.
        remarks: sentences to put under the table.
        tables: what the service's books say.
        model: whose jobs are planned; by default the one that was called most.

    Raises:
        ConfigurationError: the file cannot be written, or the ledger is switched off.
    """
    days = client.history(14)
    asked = _by_model(days)
    planned = model or max(asked, key=asked.__getitem__, default=MODEL)
    text = _page(client.quotas(), days, remarks, [*tables, _plans(client, planned)])
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        said = _("The file {path} cannot be written: {error}.")
        raise ConfigurationError(said.format(path=file, error=error.strerror)) from None


def _page(
    quotas: Sequence[Quota],
    days: Sequence[DayUse],
    remarks: Sequence[str],
    tables: Sequence[BookTable],
) -> str:
    account = quotas[0]
    title = _("Allowance of ModelScope API-Inference")
    left = amount(0 if account.spent else account.remaining, account.unit)
    rest = _("{left} left").format(left=left)
    back = _("{name}: {fact}").format(name=_("comes back"), fact=moment(account.resets_at))
    classes: Counter[str] = Counter()
    for day in days:
        classes.update(day.classes)
    prices = {name or _("not known"): number for name, number in classes.most_common()}
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        f'<p class="left{" spent" if account.spent else ""}">{html.escape(rest)}</p>',
        f"<p>{html.escape(back)}</p>",
        *(f"<p>{html.escape(line)}</p>" for line in remarks),
        table_html(_("Pools"), quota_head(), [quota_row(quota) for quota in quotas]),
        '<div class="bars">',
        bars_html(_("Calls by day"), {day.day: day.calls for day in days}),
        bars_html(_("Magicubes by day"), {day.day: day.magicubes for day in days}),
        bars_html(_("Calls by model"), dict(_by_model(days).most_common(20))),
        bars_html(_("Calls by price class"), prices),
        "</div>",
        *(table_html(*table) for table in tables),
    ]
    language = "zh-CN" if resolve_language() == "zh" else "en"
    return (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _by_model(days: Sequence[DayUse]) -> Counter[str]:
    models: Counter[str] = Counter()
    for day in days:
        models.update(day.models)
    return models


def _plans(client: Client, model: str) -> BookTable:
    """How long jobs of three sizes take, as much each day as the allowance pays."""
    rows = []
    for items in _JOBS:
        plan = client.plan(items, model)
        numbers = (plan.calls, plan.magicubes, plan.fits_today, plan.a_day, plan.days)
        rows.append((str(items), *map(amount, numbers), str(plan.done_on or "?")))
    head = (
        _("questions or texts"),
        _("number of calls"),
        _("Magicubes"),
        _("fit into today"),
        _("each day after"),
        _("days"),
        _("done on"),
    )
    return BookTable(_("A job with {model}").format(model=model), head, rows)

"""What came of a job, in numbers."""

from __future__ import annotations

from msgspec import Struct

from ..language import translated as _
from ..shown import table_html

__all__ = ["BatchReport"]


class BatchReport(Struct, frozen=True, kw_only=True):
    """What came of a job that is done.

    Attributes:
        items: how many there were.
        answered: answers of this run.
        kept: answers of earlier runs.
        failed: items without an answer; their rows say why.
        blocked: how often this run has waited for the allowance.
    """

    items: int = 0
    answered: int = 0
    kept: int = 0
    failed: int = 0
    blocked: int = 0

    def _repr_html_(self) -> str:
        """The counts as a table, for notebooks."""
        head = (_("items"), _("answered"), _("kept"), _("failed"), _("waits"))
        numbers = (self.items, self.answered, self.kept, self.failed, self.blocked)
        return table_html(_("The job"), head, [tuple(map(str, numbers))])

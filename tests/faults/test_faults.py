"""Each fault of the table, met in each way of asking."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from modelscope_transport import errors
from tests.faults.page import PAGES, page
from tests.faults.rows import Case, Fault
from tests.faults.table import DEADLINE, IDLE, SECTIONS
from tests.faults.trying import attempt
from tests.faults.ways import ADAPTERS, WAYS

# A bound on time is generous: two cores are shared. What it excludes is a call that hangs.
SLACK = 5.0


def cells() -> Iterator[Any]:
    for faults in SECTIONS.values():
        for fault in faults:
            for way in WAYS:
                if isinstance(fault.case(way[-1]), Case):
                    yield pytest.param(fault, way, id=f"{fault.name}-{'-'.join(way)}")


@pytest.mark.parametrize(("fault", "way"), list(cells()))
def test_a_fault_ends_in_an_answer_or_in_the_error_that_says_so(
    fault: Fault, way: tuple[str, str, str], canary: str
) -> None:
    adapter, _, form = way
    case = fault.case(form)
    assert isinstance(case, Case)
    hasty = {"timeout": DEADLINE, "idle_timeout": IDLE}
    patient = {"timeout": 30.0, "idle_timeout": 10.0}

    seen = attempt(WAYS[way], case, form, token=canary, limits=hasty if fault.hasty else patient)

    if case.error is None:
        assert seen.text == case.text, seen.shown
    else:
        meant = getattr(errors, case.error)
        assert type(seen.error) is ADAPTERS[adapter][meant], seen.shown or seen.text
        assert type(seen.error.__cause__) is meant
        assert seen.error.details.attempts == (case.attempts or seen.requests)
        partial = seen.error.details.partial
        assert (partial.text if partial else None) == case.text
    assert seen.requests == case.requests
    assert seen.visits == 0, "a redirect was followed"
    assert case.least - 0.05 <= seen.seconds < case.least + SLACK
    assert seen.open <= int(case.kept), "a connection that cannot serve again is open"
    assert (seen.left, seen.slots) == (0, 0)
    assert seen.counted == case.counted
    assert canary not in seen.shown


def test_the_page_is_written_from_the_table() -> None:
    for language, place in PAGES.items():
        text = place.read_text(encoding="utf-8")
        assert text == page(language), "run: python -m tests.faults.page"

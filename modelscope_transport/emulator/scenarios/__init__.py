"""Misbehaviour by name: failures that a client must survive, on request.

A scenario stands between the service and the client. It may answer instead of the service (then
nothing is charged), or change the service's answer; so a scenario for streams works on whatever
the engine answers. One that finds nothing to change (a stream's scenario and a reply in one piece)
leaves the answer as it is.

A name can carry an argument after a colon: ``throttled:2`` sends ``Retry-After: 2``, ``cut:3`` cuts
after three chunks. :func:`find` reads names, :data:`SCENARIOS` is the table, ``--scenario help``
prints it.
"""

from __future__ import annotations

from dataclasses import replace

from modelscope_transport.emulator.answers import Answer
from modelscope_transport.emulator.language import translated as _
from modelscope_transport.emulator.scenarios import (
    connections,
    images,
    replies,
    streams,
    tools,
    vectors,
)
from modelscope_transport.emulator.scenarios.kinds import Scenario, instead

SCENARIOS: dict[str, Scenario] = {
    row.name: row
    for row in (
        *replies.ROWS,
        *connections.ROWS,
        *streams.ROWS,
        *tools.ROWS,
        *vectors.ROWS,
        *images.ROWS,
    )
}


def find(wanted: str | Answer) -> Scenario:
    """Return the scenario of a name, or one that gives just this answer.

    Args:
        wanted: ``name`` or ``name:argument``, or an answer to give word for word.

    Raises:
        ValueError: There is no such name, or it takes no argument.
    """
    if not isinstance(wanted, str):
        return Scenario("given", "an answer given word for word", instead(lambda _: wanted))
    name, _colon, argument = wanted.partition(":")
    if name not in SCENARIOS:
        raise ValueError(
            _("no scenario is called {name!r}; --scenario help lists all {count}").format(
                name=name, count=len(SCENARIOS)
            )
        )
    if argument and not SCENARIOS[name].takes:
        raise ValueError(_("the scenario {name!r} takes no argument").format(name=name))
    return replace(SCENARIOS[name], argument=argument)


def listing() -> str:
    """The table as text, one scenario a line."""
    lines = [
        (f"{row.name}[:{row.takes}]" if row.takes else row.name, row.prefix + _(row.says))
        for row in SCENARIOS.values()
    ]
    width = max(len(name) for name, _said in lines)
    return "\n".join(f"{name:{width}}  {says}" for name, says in lines)

"""What ChatOpenAI and ChatModelScope make of the same service: a table, by doing it.

    python benchmarks/langchain_features.py

Both are pointed at the project's local service, which speaks ModelScope's protocol, and asked for
the same things with their default settings. Each row says what came of it. The program fails if
there is a row where ChatOpenAI is right and ChatModelScope is not.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

# the packages stand beside this folder
sys.path[0] = str(Path(__file__).parents[1])

from langchain_openai import ChatOpenAI, OpenAIEmbeddings  # noqa: E402

from benchmarks import feature_rows, service_rows  # noqa: E402, F401 - they enter their rows
from benchmarks.features import ROWS, Outcome, Row, Side  # noqa: E402
from benchmarks.isolation import isolated  # noqa: E402
from langchain_modelscope import ChatModelScope, ModelScopeEmbeddings  # noqa: E402
from modelscope_transport.emulator import LocalService  # noqa: E402

# --- the table --------------------------------------------------------------------------------


def outcome(side: Side, function: Row) -> Outcome:
    """What came of a row; an error is one too."""
    side.service.reset()
    try:
        return function(side)
    except Exception as error:  # noqa: BLE001 - that is what the table is to tell
        words = " ".join(str(error).split())
        return Outcome(False, f"{type(error).__name__}: {words}"[:44])


def main() -> int:
    """Print the table; 1 where ChatOpenAI is right and ours is not."""
    warnings.simplefilter("ignore")
    worse = []
    print(f"| {'feature':41} | {'ChatOpenAI':47} | {'ChatModelScope':47} |")
    print(f"|{'-' * 43}|{'-' * 49}|{'-' * 49}|")
    with isolated(), LocalService() as service:
        theirs = Side(service, ChatOpenAI, OpenAIEmbeddings)
        ours = Side(service, ChatModelScope, ModelScopeEmbeddings)
        for name, function in ROWS.items():
            peer, mine = outcome(theirs, function), outcome(ours, function)
            cells = [f"{'✓' if it.right else '✗'} {it.words}"[:47] for it in (peer, mine)]
            print(f"| {name:41} | {cells[0]:47} | {cells[1]:47} |", flush=True)
            if peer.right and not mine.right:
                worse.append(name)
    for name in worse:
        print(f"ChatOpenAI is right and ChatModelScope is not: {name}")
    return bool(worse)


if __name__ == "__main__":
    sys.exit(main())

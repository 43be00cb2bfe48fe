"""The parts of the code, and the tests that are meant for each."""

from __future__ import annotations

__all__ = ["PARTS"]

_T = "tests/transport/"

# By name: patterns of its files, and files or folders of its tests.
PARTS: dict[str, tuple[list[str], list[str]]] = {
    "calls": (
        ["modelscope_transport/calls/*.py"],
        [_T + "calls", _T + "client", _T + "test_pacing.py", _T + "test_spent_pools.py"],
    ),
    "http": (
        ["modelscope_transport/http/*.py"],
        [_T + "http", _T + "client", _T + "test_destinations.py"],
    ),
    "_wire": (
        ["modelscope_transport/_wire/*.py"],
        [_T + "wire", _T + "jobs/test_lines.py", _T + "client/test_task_calls.py"],
    ),
    "quota": (["modelscope_transport/quota/*.py"], [_T + "quota", _T + "test_spent_pools.py"]),
    "langchain": (["langchain_modelscope/*.py"], ["tests/langchain"]),
    "llamaindex": (["llamaindex_modelscope/*.py"], ["tests/llamaindex"]),
    "data": (
        ["modelscope_transport/data/*.toml"],
        [
            _T + "catalogue",
            _T + "wire",
            _T + "quota/test_allowance.py",
            _T + "quota/test_rule.py",
            _T + "quota/test_lots.py",
            _T + "test_spent_pools.py",
            "tests/test_every_task.py",
            "tests/test_drift.py",
        ],
    ),
}

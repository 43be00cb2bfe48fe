"""What the README says, done: its code runs, its tables are those of the data."""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from modelscope_transport.emulator import LocalService

ROOT = Path(__file__).resolve().parent.parent
# The code of long-jobs.md wants schedulers and clusters: tests/transport/jobs/test_recipes.py runs
# what can be run of it.
PAGES = [
    ROOT / "README.md",
    ROOT / "README.zh.md",
    *sorted(set((ROOT / "docs").rglob("*.md")) - set((ROOT / "docs").glob("long-jobs*.md"))),
]


def blocks() -> Iterator[object]:
    seen = set()  # most of a Chinese page's code is that of the English one, but for its comments
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for number, found in enumerate(re.finditer(r"```python\n(.*?)```", text, re.DOTALL), 1):
            line = text[: found.start()].count("\n") + 2
            bare = ast.dump(ast.parse(found[1]))
            if bare not in seen:
                yield pytest.param(page, line, found[1], id=f"{page.stem}-{number}")
            seen.add(bare)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LocalService]:
    monkeypatch.chdir(tmp_path)  # some pages write files
    with LocalService() as service:
        monkeypatch.setenv("MODELSCOPE_API_KEY", service.token)
        monkeypatch.setenv("MODELSCOPE_API_BASE", service.base_url)
        yield service


# LlamaIndex's workflows walk over attributes that pydantic calls deprecated.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("page", "line", "code"), list(blocks()))
def test_code_on_a_page_runs(
    page: Path, line: int, code: str, account: LocalService, capsys: pytest.CaptureFixture[str]
) -> None:
    # Compiled with its place on the page, so that a failure points there.
    program = compile("\n" * (line - 1) + code, str(page), "exec", dont_inherit=True)

    exec(program, {"__name__": "__main__"})

    if "print(" in code:
        assert capsys.readouterr().out.strip()


@functools.cache
def tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tables", ROOT / "docs" / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("page", "telling"),
    [
        ("docs/failures.md", "`ModelScopeQuotaExceededError` |"),
        ("README.md", "| `ModelScopeImageTool` | `ModelScopeImageToolSpec` | served"),
        ("README.md", "$ modelscope-adapters quota --refresh\nAllowance of this token\n"),
        ("docs/failures.zh.md", "账号的免费额度已用完。"),
        ("README.zh.md", "$ modelscope-adapters quota --refresh\n该令牌的额度\n"),
        ("docs/moving-llamaindex.md", "| `reuse_client` | nothing, or the same"),
        ("docs/moving-llamaindex.md", "| `max_completion_tokens` | the same, or `max_tokens` |"),
        ("docs/environment.md", "`MODELSCOPE_API_KEY`, `MODELSCOPE_SDK_TOKEN`, "),
        ("docs/environment.zh.md", "| `MODELSCOPE_LEDGER` | 在哪里计数"),
        ("docs/how-it-works.md", "| `client/` | what the adapters hold"),
        ("docs/tasks.md", "| `translation` | translates text | text → text |"),
    ],
)
def test_tables_are_those_of_the_data(page: str, telling: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")

    assert text == tables().with_tables(text), "run: make docs"
    assert telling in text

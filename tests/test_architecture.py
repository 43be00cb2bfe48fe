"""The house rules, held by the machine.

The import contracts stand in pyproject.toml; here each is broken at least once, on a copy of the
packages, so that a contract which can no longer fail is found. The other rules are read off the
syntax trees.
"""

from __future__ import annotations

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import grimp
import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("modelscope_transport", "langchain_modelscope", "llamaindex_modelscope")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONTRACTS = {
    contract["id"]: contract for contract in PYPROJECT["tool"]["importlinter"]["contracts"]
}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# ------------------------------------------------------------------------------ import contracts

# contract, file, what is written at the file's end, what lint-imports then says
BREACHES = [
    (
        "two-adapters-on-one-transport",
        "langchain_modelscope/planted.py",
        "import llamaindex_modelscope",
        "langchain_modelscope.planted -> llamaindex_modelscope",
    ),
    (
        "transport-folders",
        "modelscope_transport/quota/ledger.py",
        "from ..calls.retry import RetryPolicy",
        "modelscope_transport.quota.ledger -> modelscope_transport.calls.retry",
    ),
    (
        "transport-folders",
        "modelscope_transport/_wire/chat.py",
        "from ..http import reply",
        "modelscope_transport._wire.chat -> modelscope_transport.http.reply",
    ),
    (
        "transport-folders",
        "modelscope_transport/planted.py",
        "",
        "modelscope_transport.planted",  # a module that has no place among the layers
    ),
    (
        "public-names-only",
        "llamaindex_modelscope/planted.py",
        "from modelscope_transport._wire import failures",
        "llamaindex_modelscope.planted -> modelscope_transport._wire",
    ),
    (
        "one-folder-with-http",
        "modelscope_transport/calls/driver.py",
        "import httpx",
        "modelscope_transport.calls.driver -> httpx",
    ),
    (
        "one-folder-with-http",
        "langchain_modelscope/planted.py",
        "import aiohttp",
        "langchain_modelscope.planted -> aiohttp",
    ),
    (
        "sync-without-async",
        "modelscope_transport/calls/driver.py",
        "from .async_driver import AsyncDriver",
        "modelscope_transport.calls.driver -> modelscope_transport.calls.async_driver",
    ),
    (
        "no-framework-below",
        "modelscope_transport/types.py",
        "import langchain_core.messages",
        "modelscope_transport.types -> langchain_core",
    ),
    (
        "langchain-alone",
        "langchain_modelscope/planted.py",
        "import llama_index.core",
        "langchain_modelscope.planted -> llama_index",
    ),
    (
        "llamaindex-alone",
        "llamaindex_modelscope/planted.py",
        "import langchain_core.messages",
        "llamaindex_modelscope.planted -> langchain_core",
    ),
    (
        "emulator-island",
        "modelscope_transport/emulator/planted.py",
        "from modelscope_transport.types import ChatRequest",
        "modelscope_transport.emulator.planted -> modelscope_transport.types",
    ),
]


def lint_imports(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache", *options],
        cwd=folder,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_contracts_hold() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("contract", "file", "line", "complaint"), BREACHES, ids=[breach[-1] for breach in BREACHES]
)
def test_a_breach_of_a_contract_is_found(
    tmp_path: Path, contract: str, file: str, line: str, complaint: str
) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored)
    with (tmp_path / file).open("a", encoding="utf-8") as planted:
        planted.write(f"\n{line}\n")

    result = lint_imports(tmp_path, "--contract", contract)

    assert result.returncode == 1, result.stdout + result.stderr
    assert complaint in result.stdout


def test_every_contract_is_broken_here() -> None:
    assert {contract for contract, *_ in BREACHES} == set(CONTRACTS)


def test_no_private_module_is_left_out_of_the_adapters_contract() -> None:
    private = {
        f"modelscope_transport.{path.stem}"
        for path in (ROOT / "modelscope_transport").glob("_[!_]*")
        if path.is_dir() or path.suffix == ".py"
    }
    forbidden = set(CONTRACTS["public-names-only"]["forbidden_modules"])
    assert private <= forbidden


def test_no_module_imports_its_own_package() -> None:
    # importing the package runs all of it, and hides from the contracts which module is meant
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    through_the_door = [
        f"{module} -> {package}"
        for package in PACKAGES
        for module in sorted(graph.find_modules_that_directly_import(package))
        if module.startswith(f"{package}.")
    ]
    assert not through_the_door


# --------------------------------------------------------------------------------- syntax trees

# What the service calls things, in bodies and headers. Left out are words that also mean something
# else in Python or in a table of models ("content", "name", "model", "enable_thinking", ...).
WIRE_NAMES = {
    "choices",
    "completion_tokens",
    "completion_tokens_details",
    "delta",
    "encoding_format",
    "finish_reason",
    "image_url",
    "include_usage",
    "output_images",
    "owned_by",
    "prompt_tokens",
    "prompt_tokens_details",
    "reasoning_content",
    "request_id",
    "response_format",
    "stream_options",
    "task_status",
    "tool_call_id",
    "tool_calls",
    "total_tokens",
}
# The frameworks call these by the same name, in their own dictionaries.
FRAMEWORK_NAMES = {
    "completion_tokens",
    "completion_tokens_details",  # tracing tools look for these in a LlamaIndex response's `raw`
    "delta",
    "finish_reason",
    "image_url",
    "prompt_tokens",
    "prompt_tokens_details",
    "reasoning_content",
    "request_id",
    "response_format",
    "tool_call_id",
    "tool_calls",
    "total_tokens",
}
# The service's own headers. What HTTP itself defines (authorization, content-type) is http/'s.
WIRE_HEADERS = re.compile(r"x-request-id|x-modelscope-.+|modelscope-ratelimit-.+", re.I)


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def literals(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
            yield node.lineno, text


def test_wire_names_stay_in_the_wire_folder() -> None:
    found = []
    for path in SOURCES:
        folder = path.relative_to(ROOT).parts
        if folder[:2] in {("modelscope_transport", "_wire"), ("modelscope_transport", "emulator")}:
            continue
        if path.name.startswith("_argument_table"):  # words of other classes
            continue
        own = folder[0] == "modelscope_transport"
        names = WIRE_NAMES if own else WIRE_NAMES - FRAMEWORK_NAMES
        found += [
            f"{name_of(path)}:{line}: {text!r}"
            for line, text in literals(tree_of(path))
            if text in names or WIRE_HEADERS.fullmatch(text)
        ]
    assert not found


def test_the_environment_is_read_in_two_places() -> None:
    words = {"environ", "environb", "getenv"}
    found = [
        f"{name_of(path)}:{getattr(node, 'lineno', '?')}"
        for path in SOURCES
        for node in ast.walk(tree_of(path))
        if (isinstance(node, ast.Attribute) and node.attr in words)
        or (isinstance(node, ast.alias) and node.name in words)
    ]
    assert {place.partition(":")[0] for place in found} == {
        "modelscope_transport/settings.py",
        "modelscope_transport/language.py",  # below all others, since each of them has sentences
    }


def test_a_file_holds_one_subject() -> None:
    lines = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in SOURCES}
    assert not {name: count for name, count in lines.items() if count > 350}


def test_names_say_what_a_thing_is() -> None:
    drawers = {"base", "common", "constants", "helper", "helpers", "misc", "util", "utils"}
    found = [name_of(path) for path in SOURCES if path.stem.strip("_") in drawers]
    found += [
        f"{name_of(path)}: {node.name}"
        for path in SOURCES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ClassDef)
        and re.search(r"(Manager|Helper|Utils?|Handler)$", node.name)
    ]
    assert not found


@pytest.mark.parametrize("package", PACKAGES)
def test_what_a_package_offers_is_what_it_lists(package: str) -> None:
    module = importlib.import_module(package)
    listed = set(module.__all__)
    assert len(listed) == len(module.__all__)
    assert not [name for name in listed if not hasattr(module, name)]
    present = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, ModuleType) and name != "annotations"
    }
    assert present <= listed


# -------------------------------------------------------------------------------- the repository


def test_the_change_log_speaks_of_this_version() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    top = re.search(r"^## \[(?P<version>[^]]+)]", changes, re.M)
    assert top is not None
    assert top["version"] == PYPROJECT["project"]["version"] == version("modelscope-adapters")


def tracked_files() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("only a clone knows which files are the project's")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in files if path.is_file()]


# In parts, so that this file does not name a registry's host either.
REGISTRIES = [rb"\.".join(parts) for parts in ((b"pypi", b"org"), (b"pythonhosted", b"org"))]
OPTIONS = [b"--" + name for name in (b"index-url", b"extra-index-url", b"find-links")]


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param(b"|".join(REGISTRIES + OPTIONS), id="registry"),
        pytest.param(
            rb"(?<![\w.~-])/(root|home/\w+|Users/\w+|work|tmp)/", id="path of one machine"
        ),
    ],
)
def test_no_file_is_tied_to_one_machine(pattern: bytes) -> None:
    tied = [name_of(path) for path in tracked_files() if re.search(pattern, path.read_bytes())]
    assert not tied


# ----------------------------------------------------------------------------------- threads

# What msgspec knows of a class is among what the class refers to.
WORKED_OUT = """
import gc, importlib, sys
for path, name in [word.split(":") for word in sys.argv[1:]]:
    kind = getattr(importlib.import_module(path), name)
    if not any(type(one).__name__ == "StructInfo" for one in gc.get_referents(kind)):
        print(name)
"""


def test_what_msgspec_converts_is_worked_out_before_threads_can_meet_it() -> None:
    # two threads that convert to a class which msgspec has not met crash the process
    converted = {
        f"{'.'.join(path.relative_to(ROOT).with_suffix('').parts)}:{name}"
        for path in SOURCES
        for name in re.findall(r"\bconvert\(.*, (_?[A-Z]\w*)\)", path.read_text(encoding="utf-8"))
    }
    assert converted

    done = subprocess.run(
        [sys.executable, "-c", WORKED_OUT, *sorted(converted)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )

    assert done.stdout.split() == []

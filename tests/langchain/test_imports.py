"""What the package offers, what it drags in, and what it says without LangChain."""

from __future__ import annotations

import subprocess
import sys

import langchain_modelscope


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )


def test_the_list_of_names_is_sorted_and_true() -> None:
    names = langchain_modelscope.__all__
    assert names == sorted(names)
    assert all(getattr(langchain_modelscope, name) is not None for name in names)


def test_no_vendor_sdk_and_nothing_heavy_comes_along() -> None:
    heavy = ("openai", "tiktoken", "transformers", "torch", "numpy", "llama_index")
    told = run(
        "import sys, langchain_modelscope\n"
        "langchain_modelscope.ChatModelScope(model='owner/name', api_key='ms-test')\n"
        f"print(sorted(set({heavy!r}) & set(sys.modules)))"
    )
    assert told.stdout.strip() == "[]", told.stderr


def test_without_langchain_the_command_is_said() -> None:
    told = run("import sys\nsys.modules['langchain_core'] = None\nimport langchain_modelscope")
    assert told.returncode == 1
    assert 'pip install "modelscope-adapters[langchain]"' in told.stderr.splitlines()[-1]

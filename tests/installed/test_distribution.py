"""What is given away: the sdist and the wheel, and each extra in an environment of its own.

`make dist` builds both into dist/ and runs this. The wheel is installed, with one extra, where
there is nothing else; six lines of a user's then give a first answer, on the local service.
"""

from __future__ import annotations

import email.parser
import functools
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelscope_transport.emulator import LocalService
from tests.transport.quota.redis_server import RedisServer

pytestmark = [pytest.mark.registry, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PACKAGES = ("modelscope_transport", "langchain_modelscope", "llamaindex_modelscope")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# The six lines of each extra, as a user writes them; their last line prints the answer.
LANGCHAIN = """
from langchain_modelscope import ChatModelScope

model = ChatModelScope(model="Qwen/Qwen3-Coder-30B-A3B-Instruct")
for chunk in model.stream("What is 2 plus 3?"):
    print(chunk.text, end="", flush=True)
"""
LLAMAINDEX = """
from llamaindex_modelscope import ModelScope

llm = ModelScope(model="Qwen/Qwen3-Coder-30B-A3B-Instruct")
for part in llm.stream_complete("What is 2 plus 3?"):
    print(part.delta, end="", flush=True)
"""
TRANSPORT = """
from modelscope_transport import ChatRequest, Client, Message

question = Message("user", "What is 2 plus 3?")
asked = ChatRequest(model="Qwen/Qwen3-Coder-30B-A3B-Instruct", messages=(question,))
answer = Client().chat(asked)
print(answer.text)
"""
REDIS = TRANSPORT.replace("Client()", 'Client(ledger="{redis}")')
RAY = """
import ray
from modelscope_transport.jobs.ray import ChatStage

rows = ray.data.from_items([{{"text": "2 plus 3"}}])
asked = {{"model": "Qwen/Qwen3-8B", "prompt": "What is {{text}}?", "cache": "{redis}"}}
stage = rows.map_batches(ChatStage, fn_constructor_kwargs=asked, num_cpus=0, concurrency=1)
print(stage.take_all()[0]["answer"])
"""
SIX_LINES = {
    "": TRANSPORT,
    "langchain": LANGCHAIN,
    "llamaindex": LLAMAINDEX,
    "redis": REDIS,
    "ray": RAY,
    "all": LANGCHAIN + LLAMAINDEX,
}
CHECKED = """
import importlib.util
for name in {absent}:
    assert importlib.util.find_spec(name) is None, name
assert importlib.import_module("modelscope_transport").__version__ == "{version}"
"""
# What an extra does not bring must not be there: the lines run without it.
ABSENT = {
    "": ("langchain_core", "llama_index", "redis", "ray"),
    "langchain": ("llama_index", "ray"),
    "llamaindex": ("langchain_core", "ray"),
    "redis": ("langchain_core", "llama_index", "ray"),
    "ray": ("langchain_core", "llama_index"),
    "all": (),
}


@functools.cache
def built(kind: str) -> Path:
    found = sorted((ROOT / "dist").glob(kind))
    assert len(found) == 1, "make dist builds them"
    return found[0]


def files_of(wheel: Path) -> set[str]:
    return {name for name in zipfile.ZipFile(wheel).namelist() if "dist-info" not in name}


# --------------------------------------------------------------------------------- the two files


def test_the_wheel_holds_the_packages_with_their_data_and_nothing_else() -> None:
    names = files_of(built("*.whl"))
    assert {name.split("/")[0] for name in names} == set(PACKAGES)
    listed = ["git", "ls-files", *PACKAGES]
    tracked = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert names == set(tracked.split())


def test_the_sdist_is_enough_to_build_the_same_wheel() -> None:
    # not in tmp_path, where the canary token is looked for: the sdist holds the tests that name it
    with tempfile.TemporaryDirectory() as place, tarfile.open(built("*.tar.gz")) as archive:
        archive.extractall(place, filter="data")
        (folder,) = Path(place).iterdir()
        there = {path.name for path in folder.iterdir()}
        assert {"README.md", "LICENSE", "CITATION.cff", "tests"} <= there
        subprocess.run([BIN / "hatchling", "build", "-t", "wheel"], cwd=folder, check=True)
        (again,) = (folder / "dist").glob("*.whl")
        assert files_of(again) == files_of(built("*.whl"))


def test_what_the_wheel_says_of_itself() -> None:
    with zipfile.ZipFile(built("*.whl")) as wheel:
        (name,) = (each for each in wheel.namelist() if each.endswith(".dist-info/METADATA"))
        said = email.parser.Parser().parsestr(wheel.read(name).decode())
        assert any(each.endswith("/licenses/LICENSE") for each in wheel.namelist())
    assert said["Version"] == PROJECT["version"]
    assert said["Requires-Python"] == ">=3.11"
    assert said["Author"]
    assert len(said.get_all("Project-URL")) >= 2
    assert set(said.get_all("Provides-Extra")) == set(SIX_LINES) - {""}
    assert "# modelscope-adapters" in said.get_payload()


def test_the_version_is_the_same_everywhere() -> None:
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text("utf-8"), re.M)
    assert cited is not None
    assert cited[1] == PROJECT["version"]
    assert f"## [{PROJECT['version']}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


# ------------------------------------------------------------------------------------ each extra


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = shutil.which("redis-server")
    if program is None:
        yield ""
        return
    server = RedisServer(program, tmp_path_factory.mktemp("redis"))
    server.start()
    yield server.url
    server.stop()


def found(version: str) -> str:
    """A Python of this version: one of pyenv's where there is one, else whatever uv finds."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    return next(map(str, versions.glob(f"{version}.*/bin/python")), version)


def environment(version: str, extra: str, folder: Path) -> Path:
    """The interpreter of a new environment with the wheel and one extra."""
    uv = [str(BIN / "uv")]
    made = [*uv, "venv", "--quiet", "--no-python-downloads", "--python", found(version), folder]
    if subprocess.run(made, capture_output=True).returncode:
        pytest.skip(f"Python {version} is not installed here")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wanted = f"{built('*.whl')}[{extra}]" if extra else str(built("*.whl"))
    install = [*uv, "pip", "install", "--quiet", "--only-binary", ":all:", "--python", str(python)]
    install += ["--link-mode", "copy"]  # nltk opens no file that is linked to uv's cache
    subprocess.run([*install, wanted], check=True)
    return python


@pytest.mark.parametrize("extra", SIX_LINES, ids=lambda extra: extra or "none")
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_an_extra_alone_gives_a_first_answer(
    version: str, extra: str, redis: str, tmp_path: Path
) -> None:
    if extra in ("redis", "ray") and not redis:
        pytest.skip("redis-server is not installed (Debian: apt-get install redis-server)")
    python = environment(version, extra, tmp_path / "alone")
    code = SIX_LINES[extra]
    code = code.format(redis=redis) if extra in ("redis", "ray") else code
    program = CHECKED.format(absent=ABSENT[extra], version=PROJECT["version"]) + code
    with LocalService() as service:
        settings = {
            "RAY_ADDRESS": "local",  # a cluster of its own, whatever else runs here
            "MODELSCOPE_API_KEY": service.token,
            "MODELSCOPE_API_BASE": service.base_url,
            "XDG_STATE_HOME": str(tmp_path / "state"),
            "PYTHONPATH": "",
        }
        done = subprocess.run(
            [python, "-c", program],
            cwd=tmp_path,
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.strip()
        assert any(call.path == "/v1/chat/completions" for call in service.requests)

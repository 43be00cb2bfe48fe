"""Writes the lowest versions that pyproject.toml declares, one a line: for ``make lock``."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ("langchain", "llamaindex", "redis")


def lowest() -> list[str]:
    """``name==version`` of everything that the package and the adapters' extras ask for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *(each for name in EXTRAS for each in extras[name])]
    pairs = [re.fullmatch(r"([\w-]+)>=([\w.]+).*", each) for each in asked]
    assert all(pairs), "each dependency has a lowest version"
    return sorted({f"{found[1]}=={found[2]}" for found in pairs if found})


if __name__ == "__main__":
    Path(sys.argv[1]).write_text("\n".join(lowest()) + "\n", encoding="utf-8")

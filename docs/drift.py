"""What the service publishes of itself, beside ``modelscope_transport/data/``: ``make drift``.

    python -m docs.drift [--hub https://modelscope.cn] [--api https://api-inference.modelscope.cn/v1]

Asks, without a token and free of charge: the official contract, the newest build of the
documentation with its prices and grants, the list of models, and who serves each model at which
price. Prints what differs. What cannot be read is said and compares as nothing, since none of it is
promised to keep its form.

Exit code: 0 when nothing differs, or when there is no network; 1 when something differs.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

DATA = Path(__file__).resolve().parent.parent / "modelscope_transport" / "data"
# Seconds for one page.
_PATIENCE = 20.0


class NotComparedError(Exception):
    """A page that cannot be had or read. The text says why."""


class Pages:
    """The service's pages.

    Args:
        hub: address of the website.
        api: base URL of API-Inference.
    """

    def __init__(self, hub: str, api: str) -> None:
        """Open nothing yet."""
        self.hub, self.api = hub.rstrip("/"), api.rstrip("/")
        self._client = httpx.Client(timeout=_PATIENCE, follow_redirects=True)

    def text(self, address: str) -> str:
        """One page.

        Raises:
            NotComparedError: it cannot be had.
            httpx.TransportError: nothing answers.
        """
        reply = self._client.get(address)
        if reply.status_code != 200:
            raise NotComparedError(f"{address} answered {reply.status_code}")
        return reply.text

    def table(self, address: str) -> dict[str, Any]:
        """One page of JSON.

        Raises:
            NotComparedError: it cannot be had, or is no JSON object.
            httpx.TransportError: nothing answers.
        """
        try:
            found = json.loads(self.text(address))
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise NotComparedError(f"{address} is no JSON object")
        return found


def read(name: str) -> dict[str, Any]:
    """One file of data."""
    return tomllib.loads((DATA / f"{name}.toml").read_text(encoding="utf-8"))


# --- what is compared: each gives the differences, a line for each


def contract(pages: Pages) -> Iterator[str]:
    """The version of the official contract, and the addresses of it that this package asks."""
    known = read("compared")["contract"]
    found = pages.table(pages.hub + known["address"])
    info = found.get("info")
    version = info.get("version") if isinstance(info, dict) else None
    if not isinstance(version, str):
        raise NotComparedError("the contract names no version")
    if version != known["version"]:
        yield f"version {version}; it was {known['version']}"
    paths = found.get("paths")
    named = list(paths) if isinstance(paths, dict) else []
    for path in known["paths"]:
        if not any(name.endswith(path) for name in named):
            yield f"{path} is not in it any more"
    for name in named:
        if "magicube" in name and not any(name.endswith(path) for path in known["paths"]):
            yield f"{name} is new"


def documentation(pages: Pages) -> Iterator[str]:
    """The build of the documentation; the prices and grants that its pages name."""
    known, rules = read("compared")["documentation"], read("quota")["magicubes"]
    index = pages.table(pages.hub + known["address"]).get("Data")
    prefix = index.get("TargetPrefix") if isinstance(index, dict) else None
    if not isinstance(prefix, str) or "://" not in prefix:
        raise NotComparedError("the index names no build of the documentation")
    build = prefix.rstrip("/").rpartition("/")[2]
    if build != known["build"]:
        yield f"build {build}; it was {known['build']}"
    prices = re.findall(r"([\d.]+) *魔粒/次", pages.text(prefix.rstrip("/") + known["prices"]))
    told = {float(price) for price in prices}
    if not told:
        raise NotComparedError("the page of the prices names none in the known words")
    ours = {rules["cost"][name] for name in ("lite", "standard", "ultra")}
    if told != ours:
        yield f"prices of a call {sorted(told)}; in quota.toml {sorted(ours)}"
    grants = pages.text(prefix.rstrip("/") + known["grants"])
    for name in ("granted_a_day", "granted_a_day_for_a_linked_account"):
        if not re.search(rf"\b{rules[name]}\b", grants):
            yield f"the page of the grants does not name {rules[name]} ({name} in quota.toml)"


def roster(pages: Pages) -> Iterator[str]:
    """The list of models, and who serves each at which price."""
    known, models = read("compared")["roster"], read("models")["models"]
    data = pages.table(pages.api + known["address"]).get("data")
    rows = data if isinstance(data, list) else []
    listed = {row["id"] for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)}
    if not listed:
        raise NotComparedError("the list of models is empty, or of another form")
    for model in sorted(listed - models.keys()):
        yield f"{model} is listed and has no table in models.toml"
    prices = read("quota")["magicubes"]["cost"]
    for model in sorted(listed | models.keys()):
        try:
            offer = pages.table(pages.hub + known["price"] + quote(model, safe="/"))
        except NotComparedError:
            continue  # recorded: a model that the hub does not know is a 500
        yield from _offer(model, offer, models.get(model), prices)


def _offer(
    model: str, offer: dict[str, Any], table: dict[str, Any] | None, prices: dict[str, float]
) -> Iterator[str]:
    data = offer.get("Data")
    if not isinstance(data, dict) or "Providers" not in data:
        return
    rows = [row for row in data["Providers"] or [] if isinstance(row, dict)]
    own = next((row for row in rows if row.get("Name") == "ModelScope"), None)
    if own is None:
        if table is not None:
            yield f"{model} is not served any more; its table is of {table.get('checked')}"
        return
    tier, price = own.get("CostTier"), own.get("EstimatedMagicGrainCost")
    if isinstance(tier, str) and tier not in prices:
        yield f"{model} is of the class {tier}, which quota.toml does not know"
    elif isinstance(price, int | float) and isinstance(tier, str) and price != prices[tier]:
        yield f"{model}: {price:g} Magicubes a call; {prices[tier]:g} in quota.toml ({tier})"
    ours = None if table is None else table.get("tier")
    if ours is not None and isinstance(tier, str) and tier != ours:
        yield f"{model} is of the class {tier}; {ours} in models.toml"


COMPARED: dict[str, Callable[[Pages], Iterator[str]]] = {
    "contract": contract,
    "documentation": documentation,
    "roster": roster,
}


def main(words: list[str] | None = None) -> int:
    """Compare, and print what differs."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--hub", default="https://modelscope.cn")
    parser.add_argument("--api", default="https://api-inference.modelscope.cn/v1")
    options = parser.parse_args(words)
    pages, differs = Pages(options.hub, options.api), 0
    print(f"The data is as of {read('compared')['compared']}.")
    for name, compare in COMPARED.items():
        try:
            for line in compare(pages):
                differs += 1
                print(f"{name}: {line}")
        except NotComparedError as error:
            print(f"{name}: not compared: {error}")
        except httpx.TransportError as error:
            print(f"{name}: not compared: no network ({type(error).__name__}: {error})")
            return 1 if differs else 0
    print(f"{differs} differences." if differs else "Of what was compared, nothing differs.")
    return 1 if differs else 0


if __name__ == "__main__":
    sys.exit(main())

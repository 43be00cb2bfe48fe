"""`make drift` names what the service has changed, on a server that plays its pages."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from docs import drift

ROOT = Path(__file__).resolve().parent.parent
RECORD = drift.read("compared")
MODELS = drift.read("models")["models"]
CODER = "Qwen/Qwen3-Coder-30B-A3B-Instruct"
PRICES = "轻量模型（0.5 魔粒/次），主流模型（1 魔粒/次），旗舰模型（2 魔粒/次）"


class Website:
    """The pages as the data knows them; a test changes what it likes."""

    def __init__(self) -> None:
        self.contract: Any = {
            "info": {"version": RECORD["contract"]["version"]},
            "paths": {f"/openapi/v1{path}": {} for path in RECORD["contract"]["paths"]},
        }
        self.build = RECORD["documentation"]["build"]
        self.prices, self.grants = PRICES, "每日登录 200 魔粒，绑定阿里云账号再加 50 魔粒"
        self.listed: Any = {"data": [{"id": CODER, "object": ""}]}
        self.offers: dict[str, Any] = {
            model: {"Code": 200, "Data": {"Providers": [_provider(table.get("tier"))]}}
            for model, table in MODELS.items()
        }
        self.asked: list[str] = []

    def page(self, path: str, query: dict[str, list[str]], host: str) -> Any:
        """What a path answers; ``None`` for nothing."""
        known = RECORD["documentation"]
        prefix = f"/docdata/{self.build}"
        pages: dict[str, Any] = {
            RECORD["contract"]["address"]: self.contract,
            known["address"]: {"Data": {"TargetPrefix": f"http://{host}{prefix}"}},
            prefix + known["prices"]: self.prices,
            prefix + known["grants"]: self.grants,
            "/v1/models": self.listed,
        }
        if path.endswith("list_model_providers"):
            return self.offers.get(query["ModelId"][0])
        return pages.get(path)


def _provider(tier: str | None) -> dict[str, Any]:
    tier = tier or "standard"
    price = drift.read("quota")["magicubes"]["cost"][tier]
    return {"Name": "ModelScope", "CostTier": tier, "EstimatedMagicGrainCost": price}


@pytest.fixture
def site() -> Iterator[tuple[Website, str]]:
    """The website, and where it listens."""
    website = Website()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            website.asked.append(self.path)
            found = website.page(url.path, parse_qs(url.query), self.headers["host"])
            body = found.encode() if isinstance(found, str) else json.dumps(found).encode()
            self.send_response(500 if found is None else 200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield website, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def said(site: tuple[Website, str], capsys: pytest.CaptureFixture[str]) -> Any:
    """Compare; the exit code, and the lines."""

    def run() -> tuple[int, list[str]]:
        code = drift.main(["--hub", site[1], "--api", f"{site[1]}/v1"])
        return code, capsys.readouterr().out.splitlines()[1:]

    return run


def test_what_is_as_it_was_is_no_difference(site: tuple[Website, str], said: Any) -> None:
    assert said() == (0, ["Of what was compared, nothing differs."])
    assert len(site[0].asked) >= 5 + len(MODELS)


def test_what_has_changed_is_named(site: tuple[Website, str], said: Any) -> None:
    website, _ = site
    website.contract["info"]["version"] = "1.2.0"
    website.contract["paths"]["/openapi/v1/magicubes/transactions"] = {}
    del website.contract["paths"]["/openapi/v1/users/me"]
    website.build = "2026-11-1_9-0-CN"
    website.prices = PRICES.replace("2 魔粒", "3 魔粒")
    website.grants = "每日登录 100 魔粒，绑定阿里云账号再加 50 魔粒"
    website.listed["data"].append({"id": "new/Model"})
    website.offers["new/Model"] = {"Data": {"Providers": [{"Name": "DashScope"}]}}
    gone, dearer, odd = sorted(MODELS)[:3]
    website.offers[gone]["Data"]["Providers"] = None
    website.offers[dearer]["Data"]["Providers"][0]["EstimatedMagicGrainCost"] = 5
    website.offers[odd]["Data"]["Providers"][0]["CostTier"] = "mega"

    code, lines = said()
    told = "\n".join(lines)
    assert code == 1
    for line in (
        f"contract: version 1.2.0; it was {RECORD['contract']['version']}",
        "contract: /openapi/v1/magicubes/transactions is new",
        "contract: /users/me is not in it any more",
        f"documentation: build 2026-11-1_9-0-CN; it was {RECORD['documentation']['build']}",
        "documentation: prices of a call [0.5, 1.0, 3.0]; in quota.toml [0.5, 1.0, 2.0]",
        "documentation: the page of the grants does not name 200 (granted_a_day in quota.toml)",
        "roster: new/Model is listed and has no table in models.toml",
        f"roster: {gone} is not served any more",
        f"roster: {dearer}: 5 Magicubes a call;",
        f"roster: {odd} is of the class mega, which quota.toml does not know",
    ):
        assert line in told, told


def test_a_model_of_another_price_class_is_named(site: tuple[Website, str], said: Any) -> None:
    model = next(model for model, table in MODELS.items() if table.get("tier") == "ultra")
    site[0].offers[model]["Data"]["Providers"] = [_provider("lite")]
    assert said() == (
        1,
        [f"roster: {model} is of the class lite; ultra in models.toml", "1 differences."],
    )


@pytest.mark.parametrize("odd", [None, [], 5, "<html>", {"Data": 5}, {"data": [1, {}]}])
def test_an_odd_shape_is_said_and_stops_nothing(
    site: tuple[Website, str], said: Any, odd: Any
) -> None:
    website, _ = site
    website.contract = website.listed = odd
    website.prices = "不再列出"
    code, lines = said()
    assert code == 0
    assert [line.partition(": ")[0] for line in lines] == [
        "contract",
        "documentation",
        "roster",
        "Of what was compared, nothing differs.",
    ]
    assert all("not compared: " in line for line in lines[:3])


def test_without_a_network_nothing_is_compared(capsys: pytest.CaptureFixture[str]) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        nobody = f"http://127.0.0.1:{server.server_port}"
    assert drift.main(["--hub", nobody, "--api", f"{nobody}/v1"]) == 0
    assert "contract: not compared: no network (ConnectError" in capsys.readouterr().out


@pytest.mark.parametrize("page", ["README.md", "README.zh.md"])
def test_the_readme_says_when_the_data_was_last_compared(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    said = next(line for line in text.splitlines() if "`make drift`" in line)
    assert RECORD["compared"].isoformat() in said

"""States its price, asks, tries what a call can settle, and prints what became of each belief."""

from __future__ import annotations

import argparse
import datetime
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from live.asking import Service, SpentPoolError
from live.chat_calls import CHAT_CALLS
from live.facts import Experiment
from live.free import FREE, USE, ask_price
from live.other_calls import OTHER_CALLS
from modelscope_transport.emulator import Allowance, LocalService
from modelscope_transport.settings import hub_url, resolve_base_url

TOKEN = "MODELSCOPE_API_KEY"
MOST = 15.0  # Magicubes
# What a call of a model is taken to cost whose price the service does not tell.
DEAREST = 2.0
MODELS = {
    "chat": "Qwen/Qwen3-Coder-30B-A3B-Instruct",
    "thinking": "Qwen/Qwen3.5-122B-A10B",
    "vectors": "Qwen/Qwen3-Embedding-0.6B",
    "image": "Tongyi-MAI/Z-Image-Turbo",
}
FOLDER = Path(__file__).parent / "recordings"


@contextmanager
def account(folder: Path, local: LocalService | None = None) -> Iterator[Service]:
    """The live service, or the local one where there is no token."""
    token, base_url = os.environ.get(TOKEN, ""), resolve_base_url()
    with ExitStack() as stack:
        if local is None and not token:
            local = stack.enter_context(LocalService(allowance=Allowance(magicubes=250)))
            print(f"No {TOKEN}: this is the local service, which is written to what is believed.")
        if local is not None:
            token, base_url = local.token, local.base_url
        hub = hub_url(base_url)
        if hub is None:
            raise SystemExit(
                f"{base_url} is no address of ModelScope's; unset MODELSCOPE_API_BASE."
            )
        service = Service(base_url, hub, token, dict(MODELS), folder)
        service.look_every = service.look_every if local is None else 0.05
        stack.callback(service.close)
        yield service


def price_of(service: Service) -> None:
    """Ask the service, free of charge, what a call of each model costs."""
    for kind, model in service.models.items():
        body = ask_price(service, model).body
        rows = (body.get("Data") or {}).get("Providers") or [] if isinstance(body, dict) else []
        told = [
            row.get("EstimatedMagicGrainCost") for row in rows if row.get("Name") == "ModelScope"
        ]
        service.prices[kind] = float(told[0]) if told and told[0] else DEAREST


def affordable(service: Service) -> tuple[list[Experiment], float]:
    """The experiments that fit into `MOST`, in their order, and what they cost at most."""
    chosen, total = list(FREE), 0.0
    for experiment in (*CHAT_CALLS, *OTHER_CALLS):
        price = experiment.calls * service.prices[experiment.kind]
        if total + price <= MOST:
            chosen.append(experiment)
            total += price
    return [*chosen, USE], total


def main(arguments: list[str] | None = None, local: LocalService | None = None) -> int:
    """Run all; 0 when nothing that is believed was contradicted."""
    parser = argparse.ArgumentParser(prog="python -m live", description=__doc__)
    parser.add_argument("--yes", action="store_true", help="do not ask before paid calls")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where recordings go")
    wanted = parser.parse_args(arguments)
    folder = wanted.folder / f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d-%H%M%S}"
    folder.mkdir(parents=True)
    with account(folder, local) as service:
        price_of(service)
        chosen, total = affordable(service)
        left_out = [each.title for each in (*CHAT_CALLS, *OTHER_CALLS) if each not in chosen]
        for kind, model in service.models.items():
            print(f"  {service.prices[kind]:g} Magicubes a call: {model}")
        print(f"This takes at most {total:g} Magicubes, and {service.balance()} are there.")
        for title in left_out:
            print(f"  left out, since it would be more than {MOST:g}: {title}")
        costs_nothing = local is None and not os.environ.get(TOKEN)
        if not (wanted.yes or costs_nothing or _agreed()):
            return 0
        counts = {"confirmed": 0, "contradicted": 0, "unsettled": 0}
        try:
            for experiment in chosen:
                tried(experiment, service, counts)
        except SpentPoolError as error:
            print(f"\nStopped: the allowance may be spent. {error}")
    print(f"\n{', '.join(f'{count} {word}' for word, count in counts.items())}")
    print(f"Recordings, without token and ids: {folder}")
    return int(counts["contradicted"] > 0)


def _agreed() -> bool:
    """Whether the user wants to pay."""
    try:
        return input("Go on? [y/N] ").strip().lower().startswith("y")
    except EOFError:
        print("No answer; --yes goes on without asking.")
        return False


def tried(experiment: Experiment, service: Service, counts: dict[str, int]) -> None:
    """Run one experiment and print what became of its facts."""
    print(f"\n{experiment.title}")
    seen = experiment.run(service)
    for fact in experiment.facts:
        try:
            settled, shown = fact.look(seen)
        except (AttributeError, KeyError, TypeError, IndexError, ValueError) as error:
            settled, shown = False, f"a reply of another form: {type(error).__name__}"
        word = {True: "confirmed", False: "contradicted", None: "unsettled"}[settled]
        counts[word] += 1
        print(f"  {word:<12} {fact.believed}\n{'':15}{shown}\n{'':15}{fact.concerns}")


if __name__ == "__main__":
    sys.exit(main())

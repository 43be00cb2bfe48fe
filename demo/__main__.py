"""Run the steps against the live service, or against the local service with a small real model."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from demo.model import VECTORS, WORDS, ModelUnavailableError, RealModel, missing_engines, real_model
from demo.steps import SPENDING_STEPS, STEPS, Step
from demo.usage import Usage, counted
from demo.weights import obtain_weights
from modelscope_transport.emulator import (
    Allowance,
    Engine,
    LocalService,
    ScriptedEngine,
    UpstreamEngine,
)
from modelscope_transport.settings import resolve_base_url

TOKEN = "MODELSCOPE_API_KEY"
ADDRESS = "MODELSCOPE_API_BASE"  # the first of two names that the adapters look at
GRANT = 250  # Magicubes: what the live service grants a day to an account with all its links


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the steps run: what to tell the user, and the local service if it is one."""

    told: tuple[str, ...]
    service: LocalService | None = None


@contextmanager
def live_stage() -> Iterator[Stage]:
    """The live service, with the user's own token."""
    yield Stage(
        (
            f"The live service at {resolve_base_url()}, with the token in {TOKEN}.",
            "Step (e) spends an allowance, so it runs on the local service, not on yours.",
        )
    )


@contextmanager
def local_stage(*, scripted: bool) -> Iterator[Stage]:
    """The local service, with a small real model behind it where one can be had."""
    with ExitStack() as stack:
        model = None if scripted else _find_model(stack)
        if model is None:
            engine: Engine = ScriptedEngine()
            words = "The words are NOT a model's: they come from the scripted engine, by rules."
        else:
            engine = UpstreamEngine(model.chat_url, model.embeddings_url)
            words = f"The words are a real model's: {WORDS}.\nVectors: {VECTORS}."
        local = LocalService(allowance=Allowance(magicubes=GRANT), engine=engine)
        service = stack.enter_context(local)
        os.environ |= {TOKEN: service.token, ADDRESS: service.base_url}
        yield Stage(
            (
                f"No {TOKEN}: the local service, {service.base_url}, in ModelScope's protocol.",
                words,
            ),
            service,
        )


def _find_model(stack: ExitStack) -> RealModel | None:
    try:
        if missing := missing_engines():
            raise ModelUnavailableError(f"not installed: {', '.join(missing)}")
        weights = obtain_weights(say=_say)
        if weights is None:
            raise ModelUnavailableError("no source gave the weights in time")
        return stack.enter_context(real_model(weights))
    except ModelUnavailableError as error:
        _say(f"No small real model here ({error}).")
        return None


def run(step: Step) -> bool:
    """Run one step, tell how it went, return whether it did its job."""
    _say(f"\n({step.letter}) {step.title}: examples/{step.example}")
    began = time.monotonic()
    try:
        step.run()
    except Exception as error:  # noqa: BLE001 - whatever went wrong, the other steps still run
        _say(f"    FAILED: {type(error).__name__}: {error}")
        return False
    _say(f"    done in {time.monotonic() - began:.1f} s")
    return True


def report(usage: Usage, stage: Stage) -> None:
    """Step (f): what steps (a) to (d) used, as the frameworks say and as the service says."""
    _say("\n(f) tokens and calls used in (a) to (d)")
    for name, tally in (("LangChain", usage.langchain), ("LlamaIndex", usage.llamaindex)):
        _say(
            f"    {name:<10}  {tally.calls} chat calls, {tally.prompt_tokens} tokens in, "
            f"{tally.completion_tokens} out, {tally.texts} texts embedded"
        )
    if stage.service is not None:
        spent = GRANT - stage.service.meter.balance()
        _say(
            f"    the local service answered {len(stage.service.requests)} requests "
            f"and took {spent:g} of {GRANT} Magicubes"
        )


def main(arguments: list[str] | None = None) -> int:
    """Run all steps; 0 when each did its job."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--scripted", action="store_true", help="look for no real model")
    wanted = parser.parse_args(arguments)
    began = time.monotonic()
    stage_of = live_stage() if os.environ.get(TOKEN) else local_stage(scripted=wanted.scripted)
    with stage_of as stage:
        for line in stage.told:
            _say(line)
        with counted() as usage:
            went_well = [run(step) for step in STEPS]
        went_well += [run(step) for step in SPENDING_STEPS]
        report(usage, stage)
    took = time.monotonic() - began
    _say(f"\n{sum(went_well)} of {len(went_well)} examples did their job, in {took:.0f} s")
    return 0 if all(went_well) else 1


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())

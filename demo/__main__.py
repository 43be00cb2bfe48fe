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
from modelscope_transport.cli import argparse_translated, take_every_character
from modelscope_transport.emulator import (
    Allowance,
    Engine,
    LocalService,
    ScriptedEngine,
    UpstreamEngine,
)
from modelscope_transport.language import translated as _
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
            _("The live service at {base_url}, with the token in {token}.").format(
                base_url=resolve_base_url(), token=TOKEN
            ),
            _("Step (e) spends an allowance, so it runs on the local service, not on yours."),
        )
    )


@contextmanager
def local_stage(*, scripted: bool) -> Iterator[Stage]:
    """The local service, with a small real model behind it where one can be had."""
    with ExitStack() as stack:
        model = None if scripted else _find_model(stack)
        if model is None:
            engine: Engine = ScriptedEngine()
            words = _("The words are NOT a model's: they come from the scripted engine, by rules.")
        else:
            engine = UpstreamEngine(model.chat_url, model.embeddings_url)
            words = _("The words are a real model's: {words}.\nVectors: {vectors}.").format(
                words=WORDS, vectors=VECTORS
            )
        local = LocalService(allowance=Allowance(magicubes=GRANT), engine=engine)
        service = stack.enter_context(local)
        os.environ |= {TOKEN: service.token, ADDRESS: service.base_url}
        yield Stage(
            (
                _("No {token}: the local service, {base_url}, in ModelScope's protocol.").format(
                    token=TOKEN, base_url=service.base_url
                ),
                words,
            ),
            service,
        )


def _find_model(stack: ExitStack) -> RealModel | None:
    try:
        if missing := missing_engines():
            raise ModelUnavailableError(
                _("not installed: {names}").format(names=", ".join(missing))
            )
        weights = obtain_weights(say=_say)
        if weights is None:
            raise ModelUnavailableError(_("no source gave the weights in time"))
        return stack.enter_context(real_model(weights))
    except ModelUnavailableError as error:
        _say(_("No small real model here ({error}).").format(error=error))
        return None


def run(step: Step) -> bool:
    """Run one step, tell how it went, return whether it did its job."""
    _say(
        _("\n({letter}) {title}: {path}").format(
            letter=step.letter, title=_(step.title), path=step.path
        )
    )
    began = time.monotonic()
    try:
        step.run()
    except Exception as error:  # noqa: BLE001 - whatever went wrong, the other steps still run
        _say("    " + _("FAILED: {kind}: {error}").format(kind=type(error).__name__, error=error))
        return False
    _say(_("    done in {seconds:.1f} s").format(seconds=time.monotonic() - began))
    return True


def report(usage: Usage, stage: Stage) -> None:
    """Step (f): what steps (a) to (d) used, as the frameworks say and as the service says."""
    _say(_("\n(f) tokens and calls used in (a) to (d)"))
    for name, tally in (("LangChain", usage.langchain), ("LlamaIndex", usage.llamaindex)):
        _say(
            _(
                "    {name:<10}  {calls} chat calls, {prompt_tokens} tokens in, "
                "{completion_tokens} out, {texts} texts embedded"
            ).format(
                name=name,
                calls=tally.calls,
                prompt_tokens=tally.prompt_tokens,
                completion_tokens=tally.completion_tokens,
                texts=tally.texts,
            )
        )
    if stage.service is not None:
        spent = GRANT - stage.service.meter.balance()
        _say(
            _(
                "    the local service answered {count} requests and took {spent:g} of {grant} "
                "Magicubes"
            ).format(count=len(stage.service.requests), spent=spent, grant=GRANT)
        )


def main(arguments: list[str] | None = None) -> int:
    """Run all steps; 0 when each did its job."""
    take_every_character()
    description = _(
        "Run the steps against the live service, or against the local service with a small real "
        "model."
    )
    parser = argparse.ArgumentParser(prog="python -m demo", description=description)
    parser.add_argument("--scripted", action="store_true", help=_("look for no real model"))
    with argparse_translated():
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
    _say(
        _("\n{good} of {count} examples did their job, in {took:.0f} s").format(
            good=sum(went_well), count=len(went_well), took=took
        )
    )
    return 0 if all(went_well) else 1


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())

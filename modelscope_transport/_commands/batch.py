"""``batch``: many questions from a file, over several days if need be."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from msgspec import structs

from ..client.sync import Client
from ..errors import ConfigurationError, ModelScopeError, QuotaExceededError, RateLimitError
from ..jobs.batch import Batch, BatchReport
from ..jobs.cluster import ClusterBatch, check_cluster
from ..jobs.job_file import JobFile
from ..jobs.lines import BadLine, Checked, LineReader
from ..jobs.open_items import JOB_WIDE, BatchRequest
from ..jobs.results import is_being_written, iter_results
from ..jobs.rows import BatchRow
from ..language import marked as _N
from ..language import translated as _
from ..quota import Plan
from ..secret import mask_address
from ..settings import resolve_ledger
from .batch_progress import JobProgress
from .numbers import whole
from .output import LATER, add_connection, add_json, tell_json
from .plan import plan_lines

__all__ = ["add_arguments", "run"]

_SHOWN = 20  # faults of lines that are printed
_NUMBERS = 5  # lines that are named for each
_NOTHING = _N("There is no question in {path}.")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser this command's options."""
    commands = parser.add_subparsers(dest="command", required=True, metavar=_("COMMAND"))
    work = commands.add_parser(
        "run",
        help=_("begin a job, or go on with it"),
        description=_(
            "Each line of IN is a question, a JSON object with `prompt`, `messages` or "
            "`input` (a `key`, `temperature`, `max_tokens` and so on if you like), or a line "
            "of an OpenAI batch file. The answers go to OUT, a line of JSON each; what is "
            "there already is not asked again. Names that end in .gz are compressed files."
        ),
    )
    _add_input(work)
    work.add_argument("out", metavar="OUT", type=Path, help=_("the answers"))
    work.add_argument(
        "--format", choices=("short", "openai"), help=_("form of the answers (as the questions)")
    )
    work.add_argument(
        "--workers", metavar="N", type=whole(1), default=1, help=_("calls at once (1)")
    )
    work.add_argument(
        "--skip-bad", action="store_true", help=_("leave bad lines out instead of ending")
    )
    add_connection(work)
    resume = commands.add_parser("resume", help=_("go on with a job"))
    resume.add_argument("out", metavar="OUT", type=Path, help=_("its answers"))
    resume.add_argument("--ledger", metavar="NAME", help=_("as for run"))
    for each in (work, resume):
        _add_manner(each)
        each.add_argument(
            "--ray",
            metavar="ADDRESS",
            help=_("let a Ray cluster ask: auto, host:port (needs a ledger in a Redis)"),
        )
    status = commands.add_parser("status", help=_("say how far a job is"))
    status.add_argument("out", metavar="OUT", type=Path, help=_("its answers"))
    plan = commands.add_parser("plan", help=_("say what a job takes"))
    _add_input(plan)
    add_connection(plan)
    for each in (work, resume, status, plan):
        add_json(each)


def _add_input(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="IN", type=Path, help=_("the questions"))
    parser.add_argument("--model", metavar="ID", help=_("model ID, for lines that name none"))
    parser.add_argument("--system", metavar="TEXT", help=_("a system message for all"))


def _add_manner(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--wait", action="store_true", help=_("wait for the reset instead of ending")
    )
    parser.add_argument(
        "--retry-failed", action="store_true", help=_("ask the failed ones again too")
    )


def run(arguments: argparse.Namespace) -> int:
    """Run, resume, show or plan a job; 75 when the allowance ended it, 1 when items failed."""
    commands: dict[str, Callable[[argparse.Namespace], int]] = {
        "run": _run,
        "resume": _resume,
        "status": _status,
        "plan": _plan,
    }
    return commands[arguments.command](arguments)


def _run(arguments: argparse.Namespace) -> int:
    job = JobFile(
        input=str(arguments.file.absolute()),
        model=arguments.model,
        system=arguments.system,
        workers=arguments.workers,
        skip_bad=arguments.skip_bad,
        base_url=arguments.base_url,
        account=arguments.account,
        ledger=arguments.ledger,
        ray=arguments.ray,
    )
    if job.ray is not None:
        check_cluster(_client(job))
    reader, checked = _checked(job, arguments.out)
    if checked is None:
        return 1
    job.items, job.form = checked.items, arguments.format or checked.form

    class Questions:
        def __iter__(self) -> Iterator[tuple[str, BatchRequest]]:
            # Only now: the file of results is open, so that no other process works at this job.
            job.write(arguments.out)
            yield from reader

    return _work(job, Questions(), checked, arguments)


def _resume(arguments: argparse.Namespace) -> int:
    job = JobFile.read(arguments.out)
    job.ledger = arguments.ledger or job.ledger
    job.ray = arguments.ray or job.ray
    reader, checked = _checked(job, arguments.out)
    return 1 if checked is None else _work(job, reader, checked, arguments)


def _checked(job: JobFile, out: Path) -> tuple[LineReader, Checked | None]:
    """Read the whole input before anything is paid for.

    Returns:
        Its reader, and what it holds; ``None`` where bad lines forbid to begin.
    """
    if out.exists() and Path(job.input).exists() and out.samefile(job.input):
        raise ConfigurationError(
            _(
                "{out} is the file of the questions. Name another file for the answers, which "
                "are written there."
            ).format(out=out)
        )
    reader = LineReader(Path(job.input), job.model, job.system)
    checked = reader.check()
    _tell_bad(checked.bad, job)
    if not checked.items and not checked.bad:
        print(_(_NOTHING).format(path=job.input), file=sys.stderr)
    return reader, checked if job.skip_bad or not checked.bad else None


def _client(job: JobFile) -> Client:
    # Resolved here for a cluster, whose environment may name another one.
    ledger = job.ledger if job.ray is None else resolve_ledger(job.ledger)
    return Client(base_url=job.base_url, ledger=ledger, account=job.account)


def _batch(job: JobFile, client: Client, out: Path, **options: Any) -> Batch:
    if job.ray is None:
        return Batch(client, out, **options)
    return ClusterBatch(client, out, address=job.ray, **options)


def _work(
    job: JobFile,
    questions: Iterable[tuple[str, BatchRequest]],
    checked: Checked,
    arguments: argparse.Namespace,
) -> int:
    client = _client(job)
    model = next(iter(checked.models)) if len(checked.models) == 1 else None
    progress: JobProgress

    def tell_row(row: BatchRow) -> None:
        if row.failure is not None:
            progress.say(f"{row.key}: {row.failure.message}")

    batch = _batch(
        job,
        client,
        arguments.out,
        workers=job.workers,
        wait=arguments.wait,
        retry_failed=arguments.retry_failed,
        form=job.form,
        on_row=tell_row,
        on_block=lambda error: progress.say(error),
    )
    progress = JobProgress(batch, client, model, checked.items)
    try:
        with progress:
            # With one model all items wait together, so they need not be read again: an iterator
            # says so, and `batch.run` keeps none in memory.
            report = batch.run(iter(questions) if model is not None else questions)
    except JOB_WIDE:
        raise  # the same command would end in the same way
    except KeyboardInterrupt:
        _tell_resume(arguments, batch.report)
        raise
    except ModelScopeError as error:
        print(error, file=sys.stderr)
        _tell_resume(arguments, batch.report)
        return LATER if isinstance(error, QuotaExceededError | RateLimitError) else 1
    _tell_report(report, arguments)
    return 1 if report.failed else 0


# --- status and plan --------------------------------------------------------------------------


def _status(arguments: argparse.Namespace) -> int:
    job = JobFile.read(arguments.out)
    answered = failed = 0
    try:
        for row in iter_results(arguments.out):
            failed += row.failure is not None
            answered += row.failure is None
    except FileNotFoundError:
        pass  # begun, and nothing answered yet
    except OSError as error:
        raise ConfigurationError(
            _("{out} cannot be read: {cause}.").format(out=arguments.out, cause=error.strerror)
        ) from None
    items = max(job.items, answered + failed)  # the questions may have become fewer
    runs = is_being_written(arguments.out)
    if arguments.json:
        tell_json(
            {"items": items, "answered": answered, "failed": failed, "runs": runs}
            | {"input": job.input, "model": job.model}
        )
        return 0
    state = _("runs") if runs else _("does not run")
    print(
        _("{answered} of {items} answered, {failed} failed, {open} open; the job {state}.").format(
            answered=answered,
            items=items,
            failed=failed,
            open=items - answered - failed,
            state=state,
        )
    )
    return 0


def _plan(arguments: argparse.Namespace) -> int:
    reader = LineReader(arguments.file, arguments.model, arguments.system)
    checked = reader.check()
    client = Client(base_url=arguments.base_url, ledger=arguments.ledger, account=arguments.account)
    plans: list[Plan] = [
        # Each item of the file is one request, however many texts it embeds.
        client.plan(number, model)
        if not checked.texts[model]
        else _plan_of_requests(client, number, model)
        for model, number in checked.models.items()
    ]
    if arguments.json:
        tell_json({"bad": checked.bad, "plans": plans})
    else:
        _tell_bad(checked.bad, None)
        for plan in plans:
            print("\n".join(plan_lines(plan)))
        if not plans:
            print(_(_NOTHING).format(path=arguments.file))
    return LATER if any(not plan.fits for plan in plans) else int(bool(checked.bad))


def _plan_of_requests(client: Client, number: int, model: str) -> Plan:
    """The plan of requests that embed; a client plans texts, of which so many fill a request."""
    each = client.profile(model).embedding_batch
    return structs.replace(client.plan(number * each, model), items=number)


# --- what is printed --------------------------------------------------------------------------


def _tell_bad(bad: list[BadLine], job: JobFile | None) -> None:
    faults: dict[str, list[str]] = {}
    for line in bad:
        faults.setdefault(line.why, []).append(str(line.number))
    for why, numbers in list(faults.items())[:_SHOWN]:
        text = _("Line {number}: {why}.") if len(numbers) == 1 else _("Lines {number}: {why}.")
        named = ", ".join(numbers[:_NUMBERS])
        named += f" … {numbers[-1]}" if len(numbers) > _NUMBERS else ""
        print(text.format(number=named, why=why), file=sys.stderr)
    if rest := sum(map(len, list(faults.values())[_SHOWN:])):
        print(_("… and {rest} more.").format(rest=rest), file=sys.stderr)
    if bad and job is not None and not job.skip_bad:
        print(
            _(
                "Lines that cannot be used: {count}. Nothing was asked. Mend them, or go on "
                "without them: --skip-bad."
            ).format(count=len(bad)),
            file=sys.stderr,
        )


def _tell_report(report: BatchReport, arguments: argparse.Namespace) -> None:
    if arguments.json:
        tell_json(report)
        return
    print(
        _(
            "{items} items: {answered} answered now, {kept} before, {failed} failed. The "
            "answers are in {out}."
        ).format(
            items=report.items,
            answered=report.answered,
            kept=report.kept,
            failed=report.failed,
            out=arguments.out,
        )
    )


def _tell_resume(arguments: argparse.Namespace, report: BatchReport) -> None:
    """The command that goes on where this one ended."""
    words = ["modelscope-adapters", "batch", "resume", str(arguments.out)]
    words += ["--wait"] if arguments.wait else []
    words += ["--retry-failed"] if arguments.retry_failed else []
    if arguments.command == "resume":  # what `run` was given stands in the file of the job
        words += ["--ledger", mask_address(arguments.ledger)] if arguments.ledger else []
        words += ["--ray", arguments.ray] if arguments.ray else []
    command = shlex.join(words)
    said = _("{answered} answered now; what is answered is kept. To go on: {command}")
    print(said.format(answered=report.answered, command=command), file=sys.stderr)

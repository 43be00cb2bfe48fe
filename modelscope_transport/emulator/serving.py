"""The command: a local service in a process of its own, until it is told to end."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence

from modelscope_transport.emulator.calls import Call
from modelscope_transport.emulator.language import translated as _
from modelscope_transport.emulator.scenarios import listing
from modelscope_transport.emulator.service import LocalService
from modelscope_transport.emulator.upstream import UpstreamEngine


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser this command's options."""
    parser.add_argument(
        "--host", default="127.0.0.1", help=_("address to bind (default: %(default)s)")
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=0,
        metavar="PORT",
        help=_("port to bind (default: a free one)"),
    )
    parser.add_argument(
        "--token",
        metavar="TOKEN",
        help=_("the only token that is taken (default: any that begins with ms-)"),
    )
    parser.add_argument("--quiet", action="store_true", help=_("do not print each request"))
    parser.add_argument(
        "--json", action="store_true", help=_("print the address and each request as JSON lines")
    )
    parser.add_argument(
        "--upstream",
        metavar="URL",
        help=_("base URL of an OpenAI-compatible server that finds the words (default: rules)"),
    )
    parser.add_argument(
        "--embeddings-upstream",
        metavar="URL",
        help=_("base URL of an OpenAI-compatible server of embeddings (default: rules)"),
    )
    parser.add_argument(
        "--upstream-model",
        metavar="NAME",
        help=_("the model's name at the upstream server (default: the first that it lists)"),
    )
    parser.add_argument(
        "--allowance",
        metavar="PARTS",
        help=_(
            "what may be spent, such as calls=20,per-model=5,magicubes=250,headers,concurrency=2"
            " (default: no limit)"
        ),
    )
    parser.add_argument(
        "--scenario",
        metavar="NAME",
        help=_("a misbehaviour for every paid request; 'help' lists them"),
    )


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        said = _("a port is a whole number from 0 to 65535, and this is {text!r}")
        raise argparse.ArgumentTypeError(said.format(text=text))
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM.

    Prints the address and the two lines that point a program at it, once requests are answered;
    then each request in one line, to the error output.

    Returns:
        0 after a clean end, 2 when an option is wrong or the address is taken.
    """
    if arguments.scenario == "help":
        sys.stdout.write(listing() + "\n")
        return 0
    ended = threading.Event()
    try:
        engine = None
        if arguments.upstream or arguments.embeddings_upstream:
            engine = UpstreamEngine(
                arguments.upstream, arguments.embeddings_upstream, arguments.upstream_model
            )
        service = LocalService(
            allowance=arguments.allowance,
            engine=engine,
            scenario=arguments.scenario,
            host=arguments.host,
            port=arguments.port,
            token=arguments.token,
            on_call=_printer(arguments),
        )
        service.start()
    except ValueError as wrong:
        sys.stderr.write(f"{wrong}\n")
        return 2
    except OSError as wrong:
        cause = os.strerror(wrong.errno) if wrong.errno and wrong.errno > 0 else str(wrong)
        said = _("{host}:{port} cannot be used: {cause}. Choose another with --host and --port.")
        sys.stderr.write(said.format(host=arguments.host, port=arguments.port, cause=cause) + "\n")
        return 2
    before = {
        number: signal.signal(number, lambda *_: ended.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        if arguments.json:
            place = {"base_url": service.base_url, "token": service.token}
            sys.stdout.write(json.dumps(place) + "\n")
        else:
            sys.stdout.write(greeting(service.base_url, service.token))
        sys.stdout.flush()
        ended.wait()
    finally:
        service.stop()
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def greeting(base_url: str, token: str) -> str:
    """What is printed at the start: the address, and two lines to copy into another terminal."""
    line = '  $env:{} = "{}"' if os.name == "nt" else "  export {}={}"
    said = [
        _("ModelScope local service: {base_url}").format(base_url=base_url),
        _("Copy these two lines into the terminal where your program runs:"),
        line.format("MODELSCOPE_API_BASE", base_url),
        line.format("MODELSCOPE_API_KEY", token),
        _("Ctrl-C ends it. A page for your browser: {page}").format(
            page=base_url.removesuffix("v1")
        ),
    ]
    return "\n".join(said) + "\n"


def _printer(arguments: argparse.Namespace) -> Callable[[Call], None] | None:
    """What shows each request: a line for people, or of JSON; None: nothing does."""
    if arguments.quiet:
        return None

    def show(call: Call) -> None:
        sys.stderr.write((json.dumps(call.facts()) if arguments.json else call.line()) + "\n")
        sys.stderr.flush()

    return show


def serve(argv: Sequence[str] | None = None) -> int:
    """Read the options and serve; see :func:`run`."""
    parser = argparse.ArgumentParser(
        "python -m modelscope_transport.emulator",
        description=_("Serve the protocol of ModelScope API-Inference on this machine."),
    )
    add_arguments(parser)
    return run(parser.parse_args(argv))

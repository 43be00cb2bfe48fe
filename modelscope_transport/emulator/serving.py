"""The command: a local service in a process of its own, until it is told to end."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence

from modelscope_transport.emulator.scenarios import listing
from modelscope_transport.emulator.service import LocalService
from modelscope_transport.emulator.upstream import UpstreamEngine

DESCRIPTION = "Serve the protocol of ModelScope API-Inference on this machine."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser this command's options."""
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to bind (default: %(default)s)"
    )
    parser.add_argument("--port", type=int, default=0, help="port to bind (default: a free one)")
    parser.add_argument(
        "--upstream",
        metavar="URL",
        help="base URL of an OpenAI-compatible server that finds the words (default: rules)",
    )
    parser.add_argument(
        "--embeddings-upstream",
        metavar="URL",
        help="base URL of an OpenAI-compatible server of embeddings (default: rules)",
    )
    parser.add_argument(
        "--upstream-model",
        metavar="NAME",
        help="the model's name at the upstream server (default: the first that it lists)",
    )
    parser.add_argument(
        "--allowance",
        metavar="PARTS",
        help="what may be spent, such as calls=20,per-model=5,magicubes=250,headers,concurrency=2"
        " (default: no limit)",
    )
    parser.add_argument(
        "--scenario",
        metavar="NAME",
        help="a misbehaviour for every paid request; 'help' lists them",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM.

    The only line that is printed is the address, once requests are answered.

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
        )
        service.start()
    except (ValueError, OSError) as wrong:
        sys.stderr.write(f"{wrong}\n")
        return 2
    before = {
        number: signal.signal(number, lambda *_: ended.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        sys.stdout.write(f"ModelScope local service: {service.base_url}\n")
        sys.stdout.flush()
        ended.wait()
    finally:
        service.stop()
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def serve(argv: Sequence[str] | None = None) -> int:
    """Read the options and serve; see :func:`run`."""
    parser = argparse.ArgumentParser(
        "python -m modelscope_transport.emulator", description=DESCRIPTION
    )
    add_arguments(parser)
    return run(parser.parse_args(argv))

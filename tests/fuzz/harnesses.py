"""Coverage-guided fuzzing of what reads a server's bytes: ``python -m tests.fuzz.harnesses sse``.

atheris changes inputs so that they reach new lines, beginning with ``tests/samples``.
The law is the one of test_fuzz.py: a result or one of our errors, nothing else, and no input takes
two seconds. An input that breaks it is written into a file, whose name is printed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["modelscope_transport"]):
    from modelscope_transport import ChatResult
    from modelscope_transport._sse import EventDecoder
    from modelscope_transport._wire import chat
    from modelscope_transport._wire.failure_table import Kind
    from modelscope_transport._wire.failures import judge
    from modelscope_transport._wire.outcomes import Failure, Reply, read_failure
    from tests.fuzz.readers import READERS

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
# Seconds that one input may take, and bytes that it may have.
SLOWEST, LONGEST = 2, 1 << 16


def read_events(data: bytes) -> None:
    """The events of a stream are the same whole and cut, and each is read as a payload."""
    cut = data[0] % len(data) if data else 0
    whole, parts = EventDecoder(), EventDecoder()
    payloads = [*whole.feed(data), *whole.close()]
    assert [*parts.feed(data[:cut]), *parts.feed(data[cut:]), *parts.close()] == payloads
    decoder = chat.ChatDecoder()
    for payload in payloads:
        if isinstance(decoder.feed(payload), Failure):
            return
    decoder.finish()


def read_bodies(data: bytes) -> None:
    """A body is an answer to each who reads it, or a failure that is judged."""
    for read in READERS.values():
        found = read(data)
        if isinstance(found, ChatResult):
            found.text.encode()
    failure = read_failure(data)
    for status in (200, 400, 429, 500):
        verdict = judge(Reply(status, {}, data), failure, model="a/b")
        assert verdict.kind is not Kind.GOOD
        verdict.error(attempts=1)


HARNESSES: dict[str, Callable[[bytes], None]] = {"sse": read_events, "decode": read_bodies}


def corpus(folder: Path) -> None:
    """Write the samples into a folder, as a server would send them."""
    for path in SAMPLES.rglob("*.json"):
        sample = json.loads(path.read_text(encoding="utf-8"))
        events = [f"data: {event}\n\n" for event in sample.get("events", ())]
        said = "".join(events) or sample.get("body", "")
        (folder / f"{path.parent.name}-{path.stem}").write_text(said, encoding="utf-8")


def main() -> None:
    """Fuzz one harness for so many seconds; libFuzzer ends the process."""
    parser = argparse.ArgumentParser("python -m tests.fuzz.harnesses", description=__doc__)
    parser.add_argument("harness", choices=HARNESSES)
    parser.add_argument("--seconds", type=int, default=600)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "corpus")
        folder.mkdir()
        corpus(folder)
        options = [
            f"-max_total_time={wanted.seconds}",
            f"-timeout={SLOWEST}",
            f"-max_len={LONGEST}",
            f"-artifact_prefix=fuzz-{wanted.harness}-",
            "-print_final_stats=1",
            "-verbosity=0",
        ]
        atheris.Setup([sys.argv[0], *options, str(folder)], HARNESSES[wanted.harness])
        atheris.Fuzz()


if __name__ == "__main__":
    main()

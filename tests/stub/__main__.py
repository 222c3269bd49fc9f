"""`python -m tests.stub [--port 8899]`: run the stub until Ctrl-C and say what to export to try the hosted path."""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from tests.stub.server import Stub, stub_server

PORT = 8899


def lines(stub: Stub) -> list[str]:
    """What a person copies into another shell."""
    return [
        f"export ANTHROPIC_BASE_URL={stub.anthropic_url} ANTHROPIC_API_KEY=stub",
        f"export ELEVENLABS_BASE_URL={stub.elevenlabs_url} ELEVENLABS_API_KEY=stub",
        f"export REPLICATE_BASE_URL={stub.replicate_url} REPLICATE_API_TOKEN=stub",
        f"export LLM_BASE_URL={stub.openai_url} LLM_MODEL=stub",
        "export SCRIPT_PROVIDER=anthropic",
    ]


def main() -> int:
    """Run until a signal comes."""
    parser = argparse.ArgumentParser(prog="python -m tests.stub", description=__doc__)
    parser.add_argument("--port", type=int, default=PORT, help=f"{PORT} unless given; 0 takes a free one")
    given = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        with stub_server(given.port) as stub:
            print(f"# The vendors' stub answers at {stub.url} until Ctrl-C. In another shell:")
            print(*lines(stub), sep="\n")
            print(
                f"# What was asked and what it would have cost: {stub.url}/_ctl/requests and {stub.url}/_ctl/charges",
                flush=True,
            )
            ended.wait()
    except OSError as error:
        print(f"port {given.port}: {error.strerror}; choose another one with --port", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m api`: serves the HTTP interface on API_HOST and API_PORT."""

from __future__ import annotations

import socket
import sys

import structlog
import uvicorn

from api.access import is_open
from api.app import create_app
from database.tokens import has_tokens
from errors import InvalidInput
from log import configure_logging
from redis_client import redis_client
from settings import get_settings

EXIT_CONFIG = 78
BACKLOG = 2048
LEAVE_SECONDS = 3  # readers of events would stay for ever


def main() -> int:
    """Serve until told to stop; the exit code."""
    try:
        settings = get_settings()
        configure_logging()
    except InvalidInput as error:
        print(f"api: {error}", file=sys.stderr)
        return EXIT_CONFIG
    if not is_open() and not has_tokens(redis_client.database):
        print("api: nobody can come in before there is a token: python jobs.py token create NAME", file=sys.stderr)
    try:
        door = _listen(settings.api_host, settings.api_port)
    except OSError as error:
        told = f"API_HOST={settings.api_host}, API_PORT={settings.api_port}: {error.strerror}"
        print(f"api: {told}; choose another address or port", file=sys.stderr)
        return EXIT_CONFIG
    structlog.get_logger().info("api_started", url=f"http://{settings.api_host}:{settings.api_port}/")
    config = uvicorn.Config(create_app(), log_config=None, server_header=False, timeout_graceful_shutdown=LEAVE_SECONDS)
    uvicorn.Server(config).run(sockets=[door])
    return 0


def _listen(host: str, port: int) -> socket.socket:
    """The socket to serve on; OSError when it is somebody else's, or no address of this machine."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # By its protocol's name: asyncio switches Nagle's delay off for such sockets alone, and each answer would wait 40 ms.
    door = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind((host, port))
        door.listen(BACKLOG)
    except OSError:
        door.close()
        raise
    return door


if __name__ == "__main__":
    sys.exit(main())

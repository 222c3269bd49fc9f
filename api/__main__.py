"""`python -m api`: serves the HTTP interface on API_HOST and API_PORT."""

from __future__ import annotations

import sys

import uvicorn

from api.app import create_app
from errors import InvalidInput
from log import configure_logging
from settings import get_settings

EXIT_CONFIG = 78


def main() -> int:
    """Serve until told to stop; the exit code."""
    try:
        settings = get_settings()
        configure_logging()
    except InvalidInput as error:
        print(f"api: {error}", file=sys.stderr)
        return EXIT_CONFIG
    uvicorn.run(create_app(), host=settings.api_host, port=settings.api_port, log_config=None, server_header=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())

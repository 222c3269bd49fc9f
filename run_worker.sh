#!/bin/sh
# Make sure of the virtual environment, then become the worker: ./run_worker.sh worker-1
set -e
cd "$(dirname "$0")"
make --silent venv >&2
exec .venv/bin/python worker.py "$@"

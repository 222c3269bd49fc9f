"""What every command shares: exit codes, errors as one sentence, output for people or for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Annotated, Any

import orjson
import structlog
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from errors import HostTrouble, InvalidInput, Permanent, StagecrewError
from log import configure_logging
from settings import get_settings
from states import JobStatus

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_AGAIN, EXIT_CONFIG = 0, 1, 2, 75, 78
LEVELS = {"warning": 30, "silent": 50}
PIPE_COLUMNS = 220


JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document.")]


class Output(StrEnum):
    """How a command that follows a job speaks."""

    AUTO = "auto"
    TEXT = "text"
    JSON = "json"

    def is_json(self) -> bool:
        """Programs read JSON lines; `auto` takes whatever is not a terminal for a program."""
        return self is Output.JSON or (self is Output.AUTO and not sys.stdout.isatty())


def exit_code_of(error: BaseException) -> int:
    """What the shell hears of an error: 2 for a wrong request, 75 when it may work later, else 1."""
    if isinstance(error, Permanent):
        return EXIT_USAGE
    return EXIT_AGAIN if isinstance(error, HostTrouble | TimeoutError) else EXIT_FAILED


def complain(sentence: object) -> None:
    """One sentence on standard error."""
    print(f"jobs.py: {plain(sentence)}", file=sys.stderr, flush=True)


def fail(error: StagecrewError | TimeoutError) -> int:
    """Say what went wrong; the exit code."""
    complain(error)
    return exit_code_of(error)


def prepare_process() -> None:
    """Check the settings and keep log lines apart from the output; a wrong setting ends the program."""
    try:
        settings = get_settings()
    except InvalidInput as error:
        complain(error)
        sys.exit(EXIT_CONFIG)
    configure_logging(stream=sys.stderr)
    if "log_level" not in settings.model_fields_set:
        quiet_below("warning")


def quiet_below(level: str) -> None:
    """Log nothing under this level, unless LOG_LEVEL asks for more."""
    if "log_level" not in get_settings().model_fields_set:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]))


def console() -> Console:
    """Standard output for people; a pipe or a file gets long lines instead of cut cells."""
    return Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS, highlight=False, markup=False)


def print_json(value: Any, *, indent: bool = False) -> None:
    """One JSON document; on one line unless `indent`."""
    option = (orjson.OPT_INDENT_2 if indent else 0) | orjson.OPT_NON_STR_KEYS
    print(orjson.dumps(value, option=option, default=str).decode(), flush=True)


def plain(value: object) -> str:
    """A text of somebody else's without control characters that would steer the terminal."""
    return "".join(char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in str(value))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> Table:
    """A plain table; None is shown as a dash, numbers stand on the right."""
    kept = [list(row) for row in rows]
    made = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for position, name in enumerate(columns):
        numbers = bool(kept) and all(row[position] is None or isinstance(row[position], int | float) for row in kept)
        made.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in kept:
        made.add_row(*(Text("-" if cell is None or cell == "" else plain(cell)) for cell in row))
    return made


def end_code(status: str) -> int:
    """0 for a completed job, else 1."""
    return EXIT_OK if status == JobStatus.COMPLETED else EXIT_FAILED

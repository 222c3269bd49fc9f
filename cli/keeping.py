"""Commands for what jobs have made: take its files out of the store, and look at a film at a glance."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.door import AsJson, JobId, print_json
from errors import HostTrouble, InvalidInput

app = typer.Typer()

SHEET_SECONDS, SHEET_MEMORY_MB = 120.0, 1500


@app.command()
def files(
    job_id: JobId,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where to; it is made when missing.")] = Path(),
    everything: Annotated[bool, typer.Option("--all", help="Also the files of its stages.")] = False,
    as_json: AsJson = False,
) -> None:
    """Copy the files of a job's result (a film, its thumbnail and posters, captions, script, timeline) under their own names."""
    from cli.show import artifact_records
    from redis_client import redis_client

    job = redis_client.get_job(job_id)
    found = artifact_records(job if everything else {"payload": {}, "stages": [], "result": job["result"]})
    if not found:
        raise InvalidInput(f"job {job_id} is {job['status']} and has no files; see jobs.py show {job_id}")
    copied = [_copy(record, out) for record in found]
    if as_json:
        print_json(copied, indent=True)
    else:
        print(*copied, sep="\n")


@app.command()
def frames(
    job_id: JobId,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="A PNG or JPEG.")] = Path("sheet.png"),
    film: Annotated[int, typer.Option("--film", min=1, metavar="N", help="Of a job with several films: which.")] = 1,
) -> None:
    """A sheet of stills of a job's film, to look at it at a glance."""
    from artifacts import Artifact, open_store
    from pipeline.film.engine import run_engine
    from redis_client import redis_client

    if out.suffix.lower() not in {".png", ".jpg", ".jpeg"}:
        raise InvalidInput(f"--out {out}: name a .png or .jpg file")
    job = redis_client.get_job(job_id)
    results = job["result"] if isinstance(job["result"], list) else [job["result"] or {}]
    videos = [one["video"] for one in results if isinstance(one, dict) and "video" in one]
    if not videos:
        raise InvalidInput(f"job {job_id} is {job['status']} and has no film; see jobs.py show {job_id}")
    if film > len(videos):
        raise InvalidInput(f"--film {film}: job {job_id} has {len(videos)}")
    path = open_store().path(Artifact.model_validate(videos[film - 1]))
    _writable(out.parent)
    run_engine(
        "pipeline.film.outputs",
        path,
        out.resolve(),
        timeout_seconds=SHEET_SECONDS,
        memory_mb=SHEET_MEMORY_MB,
        check=lambda: None,
    )
    print(out)


def _copy(record: dict[str, Any], folder: Path) -> str:
    """Into the folder, under a name that is not taken by another content."""
    if not record["exists"]:
        raise HostTrouble(f"the file {record['name'] or record['sha256'][:12]} is no longer in the artifact store")
    _writable(folder)
    name = Path(record["name"] or record["sha256"][:12]).name
    target = folder / name
    if target.exists() and _digest(target) != record["sha256"]:
        target = folder / f"{target.stem}-{record['sha256'][:8]}{target.suffix}"
    try:
        shutil.copyfile(record["path"], target)
    except OSError as error:
        raise HostTrouble(f"{target} cannot be written: {error.strerror}") from error
    return str(target)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HostTrouble(f"{folder} cannot be made: {error.strerror}") from error

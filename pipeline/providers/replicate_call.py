"""One prediction as a paid call: ordered once, found again in the list, watched to its end, its file fetched, its end booked."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from errors import BadReply, InvalidInput, Overloaded, Permanent, Refused, Transient
from pipeline.film.engine import look_at
from pipeline.providers import prices
from pipeline.providers.paid import Answer, Candidate, PaidCall, PaidFile, Pause, Submitted
from pipeline.providers.replicate_api import CREATE_SECONDS, UPLOAD_SECONDS, ReplicateApi, filled
from pipeline.providers.replicate_models import ReplicateModel, Wish, input_of, takes_picture
from pipeline.providers.vendor_files import OutputExpiredError, data_of, fetch_output
from pipeline.providers.vendor_http import clean

RUNNING = {"starting", "processing"}
FIRST_PAUSE, LONGEST_PAUSE, GROWTH = 1.0, 5.0, 1.4
LONGEST_WAIT_SECONDS = 30.0  # between two looks, whatever the vendor asks for
MOST_FAILED_LOOKS = 5
# A prediction that stands in a queue is not begun; its own limit ends it, and a while later we stop looking.
LATE_SECONDS = 120.0
# The vendor's clock against the database's.
CLOCK_MS = 60_000
MOST_PAGES = 200
MOST_CLIP_BYTES, MOST_PICTURE_BYTES = 500_000_000, 50_000_000
CLIP_SECONDS, PICTURE_SECONDS = 300.0, 120.0
_SENSITIVE = re.compile(
    r"sensitive|nsfw|safety|flagged|moderat|prohibited|content polic|E005|\bresponsible ai", re.IGNORECASE
)
_INPUT = re.compile(
    r"E006|invalid input|input validation|cannot identify image|unsupported image|invalid image", re.IGNORECASE
)
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that goes into an order, and its sha256."""

    path: Path
    digest: str

    @classmethod
    def of(cls, path: Path, digest: str = "") -> Picture:
        """With its digest when the caller has none."""
        return cls(path, digest or hashlib.sha256(path.read_bytes()).hexdigest())


class Prediction(PaidCall):
    """A prediction; `accept` gives the stored file and its media type."""

    provider = "replicate"
    searchable = True
    deadline_seconds = CREATE_SECONDS + UPLOAD_SECONDS

    def __init__(
        self,
        name: str,
        api: ReplicateApi,
        model: ReplicateModel,
        wish: Wish,
        *,
        picture: Picture | None,
        folder: Path,
        check: Callable[[], None],
    ) -> None:
        """`name` is the call's in the ledger, `folder` where the file goes; `check` is asked while it comes."""
        self.name, self.api, self.model, self.folder, self.check = name, api, model, folder, check
        self.given = input_of(model, wish)
        self.picture = picture if takes_picture(self.given) else None
        mark = {"sha256": self.picture.digest} if self.picture else None
        self.request = {"model": model.name, "version": model.version, "input": filled(self.given, mark)}
        self.most_usd = model.estimate(self.given).most_usd
        self.price_table = prices.TABLE
        self.gate = api.gate

    def send(self, key: str) -> Submitted:
        """Upload the picture if it needs that, and order; Replicate takes no key."""
        del key
        until = time.monotonic() + self.deadline_seconds
        picture = self.api.picture(self.picture.path) if self.picture else None
        left = min(CREATE_SECONDS, until - time.monotonic())
        return Submitted(self.api.create(self.model, filled(self.given, picture), seconds=max(left, 0.1)))

    def collect(self, external_id: str, pause: Pause) -> Answer:
        """Watch it to its end and fetch its file; Transient when it cannot be seen now, and its charge stays submitted."""
        seen = self._watched(external_id, pause)
        status, spent = str(seen["status"]), _machine_seconds(seen)
        result: dict[str, Any] = {"status": status, "model": self.model.name, "machine_seconds": spent}
        cost = self.model.cost(self.given, status, spent)
        if status != "succeeded":
            return Answer(result | _problem(seen), cost, is_estimate=True, external_id=external_id)
        try:
            output, media_type = self._file(seen, external_id)
        except OutputExpiredError as error:
            # Paid, and gone: booked as useless, so that the next try orders anew.
            return Answer(
                result | {"problem": "expired", "message": str(error)}, cost, is_estimate=True, external_id=external_id
            )
        file = PaidFile(output, media_type, output.name.lstrip("."))
        return Answer(
            result | {"media_type": media_type}, cost, is_estimate=True, files={"output": file}, external_id=external_id
        )

    def search(self, since_ms: int) -> Sequence[Candidate]:
        """Predictions of this model with this input, made from then on and no later than `send` can last."""
        first, last = since_ms - CLOCK_MS, since_ms + int(self.deadline_seconds * 1000) + CLOCK_MS
        found = []
        for one in self.api.predictions(MOST_PAGES):
            created = _milliseconds(one.get("created_at"))
            if created is not None and created < first:
                break
            if created is not None and created <= last and self._is_this_model(one) and self._is_this_input(one):
                found.append(Candidate(one["id"], created))
        return found

    def accept(self, result: Any, files: Mapping[str, Path]) -> tuple[Path, str]:
        """The file and its media type; or what became of the prediction in place of one."""
        words = f"Replicate: {self.model.name}: {result.get('message', '')}"
        match result.get("problem"):
            case None:
                if self.model.kind == "video":
                    _check_clip(files["output"], words)
                return files["output"], str(result["media_type"])
            case "refused":
                raise Refused(words)
            case "input":
                raise InvalidInput(words)
            case "expired":
                raise OutputExpiredError(words)
        raise BadReply(words)

    # --- to its end

    def _watched(self, external_id: str, pause: Pause) -> dict[str, Any]:
        until = time.monotonic() + self.model.longest_seconds + LATE_SECONDS
        wait, failed = FIRST_PAUSE, 0
        while True:
            asked = 0.0
            try:
                seen = self.api.prediction(external_id)
                if seen["status"] not in RUNNING:
                    return seen
                failed = 0
            except Transient as error:
                failed += 1
                if failed >= MOST_FAILED_LOOKS:
                    raise
                asked = error.retry_after or 0.0
                log.info("prediction_not_seen", external_id=external_id, failed=failed, error=str(error))
            if time.monotonic() > until:
                raise Overloaded(f"Replicate: {self.model.name} has not ended long after its limit", retry_after=60)
            pause(min(max(wait, asked), LONGEST_WAIT_SECONDS))
            wait = min(wait * GROWTH, LONGEST_PAUSE)

    def _file(self, seen: Mapping[str, Any], external_id: str) -> tuple[Path, str]:
        if seen.get("data_removed"):
            raise OutputExpiredError("its result was deleted at Replicate, an hour after it was made")
        url = _address(seen.get("output"))
        if url is None:
            raise OutputExpiredError("it has ended well and shows no result")
        is_clip = self.model.kind == "video"
        self.folder.mkdir(parents=True, exist_ok=True)
        output = self.folder / f"{hashlib.sha256(external_id.encode()).hexdigest()[:16]}.{'mp4' if is_clip else 'png'}"
        media_type = fetch_output(
            url,
            output,
            vendor="Replicate",
            home=self.api.home,
            most_bytes=MOST_CLIP_BYTES if is_clip else MOST_PICTURE_BYTES,
            seconds=CLIP_SECONDS if is_clip else PICTURE_SECONDS,
            check=self.check,
        )
        if not media_type.startswith("video/" if is_clip else "image/"):
            output.unlink(missing_ok=True)
            raise BadReply(f"Replicate: {self.model.name} made a file of the type {media_type}")
        ending = media_type.partition("/")[2].replace("jpeg", "jpg").replace("quicktime", "mov")
        return output.replace(output.with_suffix(f".{ending}")), media_type

    # --- found again

    def _is_this_model(self, one: Mapping[str, Any]) -> bool:
        if self.model.version:
            return bool(one.get("version") == self.model.version)
        return bool(one.get("model") == self.model.name)

    def _is_this_input(self, one: Mapping[str, Any]) -> bool:
        """Whether the input is ours as far as anybody can still see; a deleted one is not proof of the contrary."""
        if one.get("data_removed"):
            return True
        given = one.get("input")
        if not isinstance(given, dict) or not given:
            shown = self.api.prediction(one["id"])
            if shown.get("data_removed"):
                return True
            given = shown.get("input")
        return isinstance(given, dict) and self._is_like(self.request["input"], given)

    def _is_like(self, ours: Any, theirs: Any) -> bool:
        if isinstance(ours, dict) and set(ours) == {"sha256"}:
            return self._is_picture(ours["sha256"], theirs)
        if isinstance(ours, dict):
            return isinstance(theirs, dict) and all(
                name in theirs and self._is_like(value, theirs[name]) for name, value in ours.items()
            )
        if isinstance(ours, list):
            return (
                isinstance(theirs, list)
                and len(ours) == len(theirs)
                and all(self._is_like(*both) for both in zip(ours, theirs, strict=True))
            )
        return bool(ours == theirs)

    def _is_picture(self, digest: str, theirs: Any) -> bool:
        if not isinstance(theirs, str):
            return False
        body = data_of(theirs)
        if body is not None:
            return hashlib.sha256(body).hexdigest() == digest
        # An address that tells nothing may well be ours: a wrong "no" would pay twice.
        return self.api.digest_of_file(theirs) in {None, digest}


def _problem(seen: Mapping[str, Any]) -> dict[str, str]:
    """Why a prediction has no result: {problem, message}."""
    status, said = str(seen["status"]), seen.get("error")
    words = clean(said if isinstance(said, str) else "")
    if status == "failed":
        kind = "refused" if _SENSITIVE.search(words) else "input" if _INPUT.search(words) else "failed"
        return {"problem": kind, "message": words or "it failed and did not say why"}
    reasons = {
        "canceled": "it was cancelled, by somebody or at its limit of time",
        "aborted": "it was not begun within its limit of time",
    }
    return {"problem": "stopped", "message": reasons.get(status, f"it has ended as {clean(status)[:40]!r}")}


def _address(output: Any) -> str | None:
    """The address of the first file in an output: a text, a list of them, or an object that holds one."""
    if isinstance(output, list):
        return next((found for one in output if (found := _address(one))), None)
    if isinstance(output, dict):
        return next((found for one in output.values() if (found := _address(one))), None)
    return output if isinstance(output, str) and re.match(r"https?://|data:", output) else None


def _machine_seconds(seen: Mapping[str, Any]) -> float | None:
    metrics = seen.get("metrics")
    found = metrics.get("predict_time") if isinstance(metrics, dict) else None
    return float(found) if isinstance(found, int | float) and found >= 0 else None


def _milliseconds(moment: Any) -> int | None:
    try:
        found = datetime.fromisoformat(moment)
    except (TypeError, ValueError):
        return None
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


def _check_clip(path: Path, words: str) -> None:
    """A clip that a film cannot show is paid and of no use: looked at in a child, as any stranger's file."""
    try:
        look_at("clip", path)
    except Permanent as error:
        raise BadReply(f"{words}{error}") from None

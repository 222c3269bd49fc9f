"""Replicate's HTTP API as far as this program needs it: predictions are made, watched, listed, cancelled; pictures go up.

Spoken directly: the official client gives `POST /predictions` no time limit at all, loses Retry-After, repeats reads by
itself and fails on the status `aborted`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from errors import InvalidInput, NeedsPerson, Permanent, StagecrewError, TooLarge
from pipeline.film.kinds import HEAD_BYTES, media_type_of
from pipeline.providers.paid import Gate
from pipeline.providers.replicate_models import PICTURE, ReplicateModel
from pipeline.providers.vendor_files import data_uri
from pipeline.providers.vendor_http import (
    Reply,
    VendorHttp,
    error_of,
    object_of,
    retry_after_of,
    seconds_said,
    unreadable,
)
from pipeline.providers.vendor_key import gate_name
from settings import Settings

HOME = "https://api.replicate.com"
CREATE_SECONDS, READ_SECONDS, UPLOAD_SECONDS = 60.0, 20.0, 60.0
# Above this Replicate wants a picture as a file of its own.
INLINE_BYTES = 256_000
MOST_PICTURE_BYTES = 50_000_000
CREATES_PER_SECOND = 10.0
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,199}")


class ReplicateApi:
    """The API under one token; errors are those of VendorHttp.ask."""

    def __init__(self, settings: Settings) -> None:
        token = settings.replicate_api_token.get_secret_value() if settings.replicate_api_token else ""
        if not token:
            raise InvalidInput("REPLICATE_API_TOKEN is not set")
        self.home = (settings.replicate_base_url or HOME).rstrip("/").removesuffix("/v1")
        self.http = VendorHttp("Replicate", f"{self.home}/v1", {"authorization": f"Bearer {token}"}, explain)
        self.gate = gate_of(settings)
        self.webhook = settings.replicate_webhook_url

    def create(self, model: ReplicateModel, given: Mapping[str, Any], *, seconds: float) -> str:
        """Order a prediction; its id. Unanswered when it may have been made all the same."""
        body: dict[str, Any] = {"input": given}
        path = f"/models/{model.name}/predictions"
        if model.version:
            path, body["version"] = "/predictions", model.version
        if self.webhook:
            body |= {"webhook": self.webhook, "webhook_events_filter": ["completed"]}
        # Without Prefer: an answer that waits for the result can outlast the wait, and then its id is lost.
        limit = {"cancel-after": f"{model.longest_seconds}s"}
        reply = self.http.ask("POST", path, seconds=seconds, paid=True, headers=limit, json=body)
        found = object_of(reply, "Replicate", paid=True).get("id")
        if not isinstance(found, str) or not _ID.fullmatch(found):
            raise unreadable("Replicate", "without the id of a prediction", paid=True)
        return found

    def prediction(self, prediction_id: str) -> dict[str, Any]:
        """What is known of one."""
        reply = self.http.ask("GET", f"/predictions/{quote(prediction_id, safe='')}", seconds=READ_SECONDS)
        return _checked(reply)

    def predictions(self, most_pages: int) -> Iterator[dict[str, Any]]:
        """The newest first, page by page; NeedsPerson when there are more pages than anybody would have."""
        cursor: dict[str, str] = {}
        for _ in range(most_pages):
            page = object_of(
                self.http.ask("GET", "/predictions", seconds=READ_SECONDS, params=cursor), "Replicate", paid=False
            )
            results, following = page.get("results"), page.get("next")
            if not isinstance(results, list) or not (following is None or isinstance(following, str)):
                raise unreadable("Replicate", "with a list that is none", paid=False)
            yield from (one for one in results if isinstance(one, dict) and isinstance(one.get("id"), str))
            if not following:
                return
            # Its query alone: the token goes to no other address than our own.
            cursor = {name: values[-1] for name, values in parse_qs(urlsplit(following).query).items()}
        raise NeedsPerson(f"Replicate lists more than {most_pages} pages of predictions")

    def cancel(self, prediction_id: str) -> dict[str, Any]:
        """Stop one; what is known of it after that."""
        path = f"/predictions/{quote(prediction_id, safe='')}/cancel"
        return _checked(self.http.ask("POST", path, seconds=READ_SECONDS))

    def picture(self, path: Path) -> str:
        """An address under which the models can read a picture: it holds a small one, a large one is uploaded."""
        body = path.read_bytes()
        kind = media_type_of(body[:HEAD_BYTES])
        if kind is None or not kind.startswith("image/"):
            raise InvalidInput(f"{path.name} is no picture")
        if len(body) > MOST_PICTURE_BYTES:
            raise TooLarge(f"{path.name} has {len(body) / 1e6:.0f} MB: at most {MOST_PICTURE_BYTES / 1e6:.0f} are sent")
        if len(body) <= INLINE_BYTES:
            return data_uri(body, kind)
        name = f"{hashlib.sha256(body).hexdigest()[:16]}.{kind.removeprefix('image/')}"
        reply = self.http.ask("POST", "/files", seconds=UPLOAD_SECONDS, files={"content": (name, body, kind)})
        urls = object_of(reply, "Replicate", paid=False).get("urls")
        found = urls.get("get") if isinstance(urls, dict) else None
        if not isinstance(found, str):
            raise unreadable("Replicate", "without the address of a file", paid=False)
        return found

    def digest_of_file(self, url: str) -> str | None:
        """The sha256 of a picture that was uploaded; None when it is none of ours or nobody knows any more."""
        path = urlsplit(url).path
        if "/v1/files/" not in path:
            return None
        name = path.rpartition("/v1/files/")[2]
        try:
            reply = self.http.ask("GET", f"/files/{quote(name, safe='')}", seconds=READ_SECONDS)
        except Permanent:
            return None
        sums = object_of(reply, "Replicate", paid=False).get("checksums")
        found = sums.get("sha256") if isinstance(sums, dict) else None
        return found if isinstance(found, str) else None

    def close(self) -> None:
        """Let go of connections."""
        self.http.close()


def gate_of(settings: Settings) -> Gate:
    """What the fleet shares of a token."""
    name = gate_name("replicate", settings.replicate_api_token)
    return Gate(name, per_second=CREATES_PER_SECOND, slots=settings.replicate_slots)


def filled(given: Any, picture: Any) -> Any:
    """An input with `picture` in the place of PICTURE."""
    if given is PICTURE:
        return picture
    if isinstance(given, dict):
        return {name: filled(value, picture) for name, value in given.items()}
    return [filled(value, picture) for value in given] if isinstance(given, list) else given


def explain(reply: Reply) -> StagecrewError:
    """The error of an answer that is not 2xx: {title, detail, status}; the wait stands in a header or in the detail."""
    body = reply.json()
    parts = [body.get("title"), body.get("detail")] if isinstance(body, dict) else []
    said = ": ".join(part for part in parts if isinstance(part, str) and part)
    after = retry_after_of(reply.headers)
    if after is None and reply.status == 429:
        after = seconds_said(said)
    return error_of(reply.status, vendor="Replicate", said=said, retry_after=after)


def _checked(reply: Reply) -> dict[str, Any]:
    found = object_of(reply, "Replicate", paid=False)
    if not isinstance(found.get("status"), str) or not isinstance(found.get("id"), str):
        raise unreadable("Replicate", "with a prediction that has no status", paid=False)
    return found

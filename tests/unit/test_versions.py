"""A stored result is reused by its version: the sources behind it may not change under the same one."""

from __future__ import annotations

import json

from pipeline import versions
from pipeline.stage import stages


def test_changed_sources_have_a_new_version() -> None:
    assert versions.unraised() == [], "raise version= in @stage, then run `python -m pipeline.versions`"


def test_the_record_is_of_these_sources() -> None:
    assert json.loads(versions.RECORD.read_text()) == versions.now(), "run `python -m pipeline.versions`"


def test_every_cached_stage_is_watched() -> None:
    cached = {name for name, stage in stages().items() if stage.cache}
    assert cached <= set(versions.SOURCES)

"""The form of a new job: every field of every pipeline gets a widget that can hold it."""

import pytest

from api.forms import form_of
from pipeline.catalog.base import pipelines

WIDGETS = {"text", "longtext", "number", "check", "choice", "lines", "file", "files", "json"}


@pytest.mark.parametrize("name", pipelines())
def test_every_field_stands_in_the_form_once(name: str) -> None:
    pipeline = pipelines()[name]
    first, more = form_of(pipeline)
    assert sorted(field.name for field in [*first, *more]) == sorted(pipeline.payload.model_fields)
    assert {field.widget for field in [*first, *more]} <= WIDGETS
    assert all(field.choices for field in [*first, *more] if field.widget == "choice")


def test_fields_get_the_widget_that_suits_them() -> None:
    first, more = form_of(pipelines()["product_video"])
    widgets = {field.name: field.widget for field in [*first, *more]}
    assert widgets["product_name"] == "text"
    assert widgets["style"] == "choice"
    assert widgets["images"] == "files"
    assert widgets["logo"] == "file"
    assert widgets["features"] == "lines"
    assert widgets["mute"] == "check"
    assert widgets["duration_seconds"] == "number"
    assert next(field for field in first if field.name == "product_name").required
    assert any(field.name == "images" for field in first)

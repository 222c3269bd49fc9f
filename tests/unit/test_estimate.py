"""What a job would cost, by the providers that it would take: nothing with local ones, and all calls with hosted ones."""

from collections.abc import Callable

import pytest

from pipeline.catalog.base import find_pipeline
from pipeline.estimate import estimate

PAYLOAD = {"product_name": "Nova Flask", "duration_seconds": 20}


def test_local_engines_cost_nothing() -> None:
    rows = estimate(find_pipeline("product_video"), PAYLOAD)
    assert [row["capability"] for row in rows] == ["write", "moderate", "speak", "film"]
    assert sum(row["most_usd"] for row in rows) == 0


def test_hosted_ones_say_a_likely_sum_and_the_most(setting: Callable[[str, object], None]) -> None:
    for name in ("ANTHROPIC_API_KEY", "ELEVENLABS_API_KEY", "REPLICATE_API_TOKEN"):
        setting(name, "key")
    rows = {row["capability"]: row for row in estimate(find_pipeline("product_video"), PAYLOAD)}
    assert {row["provider"] for row in rows.values()} == {"anthropic", "elevenlabs", "replicate"}
    assert all(0 < row["likely_usd"] <= row["most_usd"] for row in rows.values())
    # 280 characters at ten cents a thousand.
    assert rows["speak"]["likely_usd"] == pytest.approx(0.028)
    longer = {
        row["capability"]: row for row in estimate(find_pipeline("product_video"), PAYLOAD | {"duration_seconds": 40})
    }
    assert longer["film"]["likely_usd"] == pytest.approx(2 * rows["film"]["likely_usd"])

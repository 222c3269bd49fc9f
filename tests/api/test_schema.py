"""The interface against its own description: whatever is sent, the answer is one that it promises, and never a bug."""

from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings

from api.app import create_app
from redis_client.client import RedisClient

Bearer = Callable[..., dict[str, str]]
EXAMPLES = 15
# A schema does not say which queues and stages there are; Starlette's Allow names the methods of one route alone; the others
# speak of methods and logins of other kinds.
NOT_ASKED = ("positive_data_acceptance", "allow_header_conformance", "unsupported_method", "ignored_auth")
schema = schemathesis.openapi.from_asgi("/openapi.json", create_app())


@pytest.fixture
def token(bearer: Bearer, client: RedisClient, setting: Callable[[str, object], None]) -> dict[str, str]:
    """Somebody who may do everything, where there are jobs."""
    setting("API_AUTH", "on")
    for name in ("one", "two"):
        client.enqueue_job(name, {}, pipeline="selftest")
    return bearer("admin")


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_one_that_is_promised(case: Any, token: dict[str, str]) -> None:
    answer = case.call(headers=token)
    assert answer.status_code < 500, (case.method, case.path, answer.text)
    case.validate_response(
        answer,
        excluded_checks=[schemathesis.checks.CHECKS.get_one(name) for name in NOT_ASKED],
    )

"""Who is told of events, with what secret the messages are signed, and how each of them got there."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, status
from pydantic import Field

from api.access import Caller, Reader, Submitter
from api.fields import Body, DeliveryId, JobId, PageSize, Tenant, WebhookId
from database.deliveries import State, find_delivery, list_deliveries, send_again
from database.webhooks import (
    add_webhook,
    list_webhooks,
    ping,
    remove_webhook,
    rotate_secret,
    secrets_of,
)
from redis_client import redis_client
from redis_client.webhooks import as_receiver

router = APIRouter(tags=["webhooks"])


class NewWebhook(Body):
    """Where to send what."""

    url: str = Field(max_length=2000, description="https; of a place in WEBHOOK_OWN_HOSTS also http")
    events: list[str] | None = Field(None, max_length=20, description="all ends, and when a person is needed")
    tenant: Tenant | None = None


class Whose(Body):
    """Of which tenant."""

    tenant: Tenant | None = None


@router.get("/webhooks")
def index(caller: Reader, tenant: Tenant | None = None) -> dict[str, Any]:
    """Who is told of a tenant's jobs; those that one job alone has named stand in its deliveries."""
    return {"webhooks": list_webhooks(redis_client.database, caller.seen_tenant(tenant))}


@router.post("/webhooks", status_code=status.HTTP_201_CREATED)
def add(given: NewWebhook, caller: Submitter) -> dict[str, Any]:
    """Tell an address of all jobs of a tenant from now on."""
    receiver = as_receiver("webhook", {"url": given.url, "events": given.events})
    made = add_webhook(redis_client.database, receiver, tenant=caller.chosen_tenant(given.tenant))
    caller.wrote("webhook_add", made["id"])
    return made


@router.delete("/webhooks/{webhook_id}")
def remove(webhook_id: WebhookId, caller: Submitter) -> dict[str, Any]:
    """Tell it nothing more, neither what is on its way."""
    remove_webhook(redis_client.database, webhook_id, caller.tenant)
    caller.wrote("webhook_remove", webhook_id)
    return {"removed": webhook_id}


@router.post("/webhooks/{webhook_id}/ping", status_code=status.HTTP_202_ACCEPTED)
def try_out(webhook_id: WebhookId, caller: Submitter) -> dict[str, Any]:
    """Send a message that tells of nothing, to see whether it arrives; one at a time."""
    return {"delivery": ping(redis_client.database, webhook_id, caller.tenant)}


@router.get("/webhooks/secret")
def secret(caller: Submitter, tenant: Annotated[Tenant | None, Query()] = None) -> dict[str, Any]:
    """What the messages of a tenant are signed with; for a day after a change those before sign along."""
    return {"secret": secrets_of(redis_client.database, caller.chosen_tenant(tenant))[0]}


@router.post("/webhooks/secret/rotate")
def rotate(given: Whose, caller: Submitter) -> dict[str, Any]:
    """Make a new secret."""
    tenant = caller.chosen_tenant(given.tenant)
    fresh = rotate_secret(redis_client.database, tenant)
    caller.wrote("webhook_secret", tenant)
    return {"secret": fresh}


@router.get("/deliveries")
def deliveries(
    caller: Reader,
    job: JobId | None = None,
    status: State | None = None,
    tenant: Tenant | None = None,
    limit: PageSize = 50,
) -> dict[str, Any]:
    """The newest messages, newest first: to whom, of what, and each try."""
    return {"deliveries": page_of_deliveries(caller, tenant, job_id=job, status=status, limit=limit)}


def page_of_deliveries(
    caller: Caller, tenant: str | None, *, job_id: str | None = None, status: State | None = None, limit: int
) -> list[dict[str, Any]]:
    """The newest messages that this caller may see."""
    seen = caller.seen_tenant(tenant)
    return list_deliveries(redis_client.database, seen, job_id=job_id, status=status, limit=limit)


@router.get("/deliveries/{delivery_id}")
def delivery(delivery_id: DeliveryId, caller: Reader) -> dict[str, Any]:
    """One message as it was signed, and its tries."""
    return find_delivery(redis_client.database, delivery_id, caller.tenant)


@router.post("/deliveries/{delivery_id}/replay", status_code=status.HTTP_202_ACCEPTED)
def replay(delivery_id: DeliveryId, caller: Submitter) -> dict[str, Any]:
    """Send a message again, under the same id."""
    send_again(redis_client.database, delivery_id, caller.tenant)
    caller.wrote("delivery_replay", delivery_id)
    return {"delivery": delivery_id, "status": "pending"}

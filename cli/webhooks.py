"""Commands about who is told of events."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.door import AsJson, console, print_json, table

TIMES = ("created_ms", "disabled_ms")
app = typer.Typer()
webhook = typer.Typer(
    no_args_is_help=True, help="Who is told of events: add, list, remove, ping, secret, deliveries, replay."
)
app.add_typer(webhook, name="webhook")
Tenant = Annotated[str, typer.Option(help="Whose jobs.")]
WebhookId = Annotated[str, typer.Argument(metavar="WEBHOOK", help="Its id, see `jobs.py webhook list`.")]


@webhook.command()
def add(
    url: Annotated[str, typer.Argument(metavar="URL", help="https; of a place in WEBHOOK_OWN_HOSTS also http.")],
    events: Annotated[
        list[str] | None, typer.Option("--event", metavar="EVENT", help="Which (repeat it); all ends when none.")
    ] = None,
    tenant: Tenant = "default",
) -> None:
    """Tell an address of all jobs of a tenant from now on; its id."""
    from database.webhooks import add_webhook
    from redis_client import redis_client
    from redis_client.door import check_id
    from redis_client.webhooks import as_receiver

    check_id("tenant", tenant)
    receiver = as_receiver("webhook", {"url": url, "events": events or None})
    print(add_webhook(redis_client.database, receiver, tenant=tenant)["id"])


@webhook.command("list")
def list_(as_json: AsJson = False) -> None:
    """Who is told."""
    from cli.show import moment
    from database.webhooks import list_webhooks
    from redis_client import redis_client

    found = list_webhooks(redis_client.database, None)
    if as_json:
        print_json(found, indent=True)
        return
    rows = [
        (one["id"], one["tenant"], one["url"], " ".join(one["events"]), *(moment(one[at]) for at in TIMES))
        for one in found
    ]
    console().print(table(("webhook", "tenant", "address", "events", "since", "gone since"), rows))


@webhook.command()
def remove(webhook_id: WebhookId) -> None:
    """Tell it nothing more, neither what is on its way."""
    from database.webhooks import remove_webhook
    from redis_client import redis_client

    remove_webhook(redis_client.database, webhook_id, None)
    print(f"webhook {webhook_id} is removed")


@webhook.command("ping")
def ping_(webhook_id: WebhookId) -> None:
    """Send a message that tells of nothing, to see whether it arrives."""
    from database.webhooks import ping
    from redis_client import redis_client

    print(ping(redis_client.database, webhook_id, None))


@webhook.command()
def secret(
    tenant: Tenant = "default",
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Make a new one; the old one signs along for a day.")
    ] = False,
) -> None:
    """What the messages of a tenant are signed with."""
    from database.webhooks import rotate_secret, secrets_of
    from redis_client import redis_client
    from redis_client.door import check_id

    check_id("tenant", tenant)
    database = redis_client.database
    print(rotate_secret(database, tenant) if rotate else secrets_of(database, tenant)[0])


@webhook.command()
def deliveries(
    job_id: Annotated[str | None, typer.Option("--job", metavar="ID", help="Of one job.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """The messages and how they got there."""
    from cli.show import moment
    from database.deliveries import list_deliveries
    from redis_client import redis_client

    found = list_deliveries(redis_client.database, None, job_id=job_id, limit=limit)
    if as_json:
        print_json(found, indent=True)
        return
    rows = [
        (
            moment(one["created_ms"]),
            one["id"],
            one["event"],
            one["job_id"],
            one["status"],
            len(one["tries"]),
            one["error"],
        )
        for one in found
    ]
    console().print(table(("when", "message", "event", "job", "status", "tries", "why not yet"), rows))


@webhook.command()
def replay(
    delivery_id: Annotated[str, typer.Argument(metavar="MESSAGE", help="Its id, see `jobs.py webhook deliveries`.")],
) -> None:
    """Send a message again, under the same id."""
    from database.deliveries import send_again
    from redis_client import redis_client

    send_again(redis_client.database, delivery_id, None)
    print(f"message {delivery_id} is sent again")

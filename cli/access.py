"""Commands about who may use the HTTP interface."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.door import AsJson, console, print_json, table
from errors import InvalidInput

DAY_SECONDS = 24 * 3600.0
app = typer.Typer()
token = typer.Typer(no_args_is_help=True, help="Tokens of the HTTP interface: create, list, revoke.")
app.add_typer(token, name="token")


@token.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is; people see it in the audit log.")],
    scope: Annotated[
        str, typer.Option(help="read, submit (and cancel, retry), or admin (and pause, limit).")
    ] = "submit",
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's jobs; none: all, and the fleet.")] = None,
    days: Annotated[float | None, typer.Option(min=0.001, max=3660, help="How long it is good.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a token; it is shown once and kept nowhere."""
    from database.tokens import SCOPES, create_token
    from redis_client import redis_client
    from redis_client.door import check_id

    check_id("name", name)
    if scope not in SCOPES:
        raise InvalidInput(f"--scope {scope}: use {', '.join(SCOPES)}")
    if tenant is not None:
        check_id("tenant", tenant)
    seconds = None if days is None else days * DAY_SECONDS
    text = create_token(redis_client.database, name[:64], scope=scope, tenant=tenant, seconds=seconds)
    if as_json:
        print_json({"name": name, "scope": scope, "tenant": tenant, "token": text})
    else:
        print(text)


@token.command("list")
def list_(as_json: AsJson = False) -> None:
    """The tokens, without their secrets."""
    from cli.show import moment
    from database.tokens import list_tokens
    from redis_client import redis_client

    found = list_tokens(redis_client.database)
    if as_json:
        print_json(found, indent=True)
        return
    times = ("created_ms", "expires_ms", "revoked_ms")
    rows = [
        (one["id"], one["name"], one["scope"], one["tenant"], *(moment(one[name]) for name in times)) for one in found
    ]
    console().print(table(("token", "name", "scope", "tenant", "created", "good until", "revoked"), rows))


@token.command()
def revoke(token_id: Annotated[str, typer.Argument(metavar="TOKEN", help="Its id, see `jobs.py token list`.")]) -> None:
    """From now on it opens nothing, nor does a browser that came in with it."""
    from database.tokens import revoke_token
    from redis_client import redis_client

    # The whole text of a token names it too: whoever finds one somewhere should revoke it.
    named = token_id.split("_")[1] if token_id.startswith("sc_") else token_id
    revoke_token(redis_client.database, named)
    print(f"token {named} is revoked")


@app.command()
def audit(
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, the newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """What was asked for through the HTTP interface, and by whom."""
    from cli.show import moment
    from database.audit import list_audit
    from redis_client import redis_client

    found = list_audit(redis_client.database, limit=limit)
    if as_json:
        print_json(found, indent=True)
        return
    rows = [(moment(one["at_ms"]), one["caller"], one["tenant"], one["action"], one["target"]) for one in found]
    console().print(table(("when", "who", "tenant", "what", "of"), rows))

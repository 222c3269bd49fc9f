"""`script_gen`: the words of a film, scene by scene, from what the payload says and nothing else."""

from __future__ import annotations

from pipeline.context import Context
from pipeline.film.script import Script
from pipeline.providers.base import Brief
from pipeline.stage import stage


@stage("script_gen", capability="write", weight=25, hard_seconds=300, version="1")
def script_gen(context: Context) -> Script:
    """Write the script, fitted to the wanted duration."""
    payload = context.payload
    brief = Brief(
        product_name=payload.product_name,
        description=payload.description,
        features=payload.features,
        style=payload.style,
        cta_text=payload.cta_text,
        url=payload.url,
        price=payload.price,
        duration_seconds=payload.duration_seconds,
        language=payload.language,
        images=len(payload.images),
        seed=payload.seed,
    )
    script: Script = context.provider("write").write(brief, context.check, context.ledger)
    return script

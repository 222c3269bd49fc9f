"""Which tenant's job uses which stored file; noted in the commit that refers to it."""

from __future__ import annotations

from sqlalchemy import Connection, select

from artifacts import Artifact
from database.engine import Database, now_ms
from database.statements import dialect_insert
from database.tables import ArtifactUse, StoredArtifact


def keep_artifact(database: Database, connection: Connection, artifact: Artifact, *, tenant: str, job_id: str) -> None:
    """Record a stored file and that this job uses it, in the commit that refers to it."""
    make = dialect_insert(database)
    stored = make(StoredArtifact).values(
        sha256=artifact.sha256,
        size=artifact.size,
        media_type=artifact.media_type,
        name=artifact.name,
        created_ms=now_ms(),
    )
    connection.execute(stored.on_conflict_do_update(index_elements=["sha256"], set_={"marked_ms": None}))
    use = make(ArtifactUse).values(tenant=tenant, sha256=artifact.sha256, job_id=job_id, touched_ms=now_ms())
    connection.execute(
        use.on_conflict_do_update(
            index_elements=["tenant", "sha256", "job_id"], set_={"touched_ms": use.excluded.touched_ms}
        )
    )


def artifact_known(database: Database, tenant: str, sha256: str) -> bool:
    """Whether this tenant has used this artifact."""
    query = select(ArtifactUse.job_id).where(ArtifactUse.tenant == tenant, ArtifactUse.sha256 == sha256).limit(1)
    with database.read() as connection:
        return connection.execute(query).first() is not None

"""Which tenant's job uses which stored file; noted in the commit that refers to it."""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, select

from artifacts import Artifact
from database.engine import Database, now_ms
from database.statements import dialect_insert
from database.tables import ArtifactUse, StoredArtifact

# In the place of a job's id, which cannot begin so: brought by somebody who has not named it in a job yet.
UPLOAD = "@upload"


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


def keep_upload(database: Database, artifact: Artifact, *, tenant: str) -> None:
    """Record a file that a tenant has brought, for jobs to come."""
    with database.write() as connection:
        keep_artifact(database, connection, artifact, tenant=tenant, job_id=UPLOAD)


def uploaded_bytes(database: Database, tenant: str) -> int:
    """How much a tenant has brought within a day (older ones are forgotten)."""
    query = (
        select(func.coalesce(func.sum(StoredArtifact.size), 0))
        .join(ArtifactUse, ArtifactUse.sha256 == StoredArtifact.sha256)
        .where(ArtifactUse.tenant == tenant, ArtifactUse.job_id == UPLOAD)
    )
    with database.read() as connection:
        return int(connection.execute(query).scalar_one())


def forget_uploads(database: Database, *, untouched_seconds: float) -> int:
    """Forget files that were brought so long ago; a job that names one keeps it by a use of its own."""
    horizon = now_ms() - int(1000 * untouched_seconds)
    with database.write() as connection:
        old = delete(ArtifactUse).where(ArtifactUse.job_id == UPLOAD, ArtifactUse.touched_ms < horizon)
        return connection.execute(old).rowcount


def find_artifact(database: Database, sha256: str, *, tenant: str | None) -> Artifact | None:
    """A stored file that a job of this tenant (None: of anybody) uses."""
    columns = (StoredArtifact.sha256, StoredArtifact.size, StoredArtifact.media_type, StoredArtifact.name)
    with database.read() as connection:
        row = connection.execute(select(*columns).where(StoredArtifact.sha256 == sha256)).mappings().one_or_none()
    if row is None or (tenant is not None and not artifact_known(database, tenant, sha256)):
        return None
    return Artifact.model_validate(dict(row))

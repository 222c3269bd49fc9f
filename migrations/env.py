"""Alembic's entry: the engine and the tables come from `database`; run by `database.migrate` in a child process."""

from alembic import context

from database.engine import get_database
from database.tables import Base

with get_database().engine.connect() as connection:
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()

"""Records: `from database import init_db; init_db()`."""

from database.engine import Database, get_database, reset_database
from database.migrate import init_db

__all__ = ["Database", "get_database", "init_db", "reset_database"]

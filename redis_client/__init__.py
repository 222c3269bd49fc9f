"""The queue: `from redis_client import redis_client`. Importing it opens nothing."""

from redis_client.client import RedisClient

redis_client = RedisClient()

__all__ = ["RedisClient", "redis_client"]

"""The embedded Redis: a private, detached redis-server for a checkout without REDIS_URL.

All processes of one STATE_DIR share one server. In `STATE_DIR/redis` four locks (flock, so the kernel frees them with
the last process that holds them) say everything; process ids mean nothing:

    start.lock   who holds it may start or stop the server
    server.lock  inherited by the server: held means it is alive
    users.lock   shared by every user for its whole life
    keeper.lock  inherited by the keeper, which stops the server some time after the last user

The server's data is in `STATE_DIR/redis/<major.minor>`, its socket and log beside that. This room speaks the few
commands it needs itself: it must stay light, and only redis_client imports redis.
"""

from embedded.server import Embedded, ensure, lease, redis_cli_argv, release

__all__ = ["Embedded", "ensure", "lease", "redis_cli_argv", "release"]

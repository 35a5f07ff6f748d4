"""Adapters on Redis (6.2 or newer) or Valkey, by redis-py.

`connect` opens a client, which every adapter takes; every key begins with the configured prefix.
"""

from storage.redis.client import connect
from storage.redis.presence import RedisPresence
from storage.redis.streams import RedisStreams
from storage.redis.throttle import RedisThrottle

__all__ = ["RedisPresence", "RedisStreams", "RedisThrottle", "connect"]

"""Adapters on Redis (6.2 or newer) or Valkey, by redis-py.

`connect` opens a client, which both adapters take; every key begins with the configured prefix.
"""

from storage.redis.client import connect
from storage.redis.presence import RedisPresence
from storage.redis.streams import RedisStreams

__all__ = ["RedisPresence", "RedisStreams", "connect"]

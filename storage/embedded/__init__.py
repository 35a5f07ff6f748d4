"""PostgreSQL and Valkey servers of our own, for machines where none is configured.

Their programs come from Python packages, their data lives in the data folder, they listen on
127.0.0.1 only and end with the process that started them.
"""

from storage.embedded.postgres import EmbeddedPostgres, embedded_address
from storage.embedded.valkey import EmbeddedValkey

__all__ = ["EmbeddedPostgres", "EmbeddedValkey", "embedded_address"]

"""The duties that one process does for all: ingest, the network's summary, dead workers."""

from core.jobs.jobs import Jobs

__all__ = ["Jobs"]

"""`pulseboard up`: the whole system on one machine, under one process."""

from core.supervisor.up import Supervisor

__all__ = ["Supervisor"]

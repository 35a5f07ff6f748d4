"""The node agent: a small client that is online, reachable and proves it."""

from core.agent.agent import Agent, AgentStopped

__all__ = ["Agent", "AgentStopped"]

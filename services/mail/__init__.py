"""Mail to people: which letters there are, how they are queued sealed and made readable again."""

from services.mail.letters import Kind, Letters
from services.mail.rendering import Rendered, Renderer, Unmailable

__all__ = ["Kind", "Letters", "Rendered", "Renderer", "Unmailable"]

"""Commands in processes of their own, as the soak has them."""

from tools.soak.processes import Command

__all__ = ["Command"]

"""`ext.wheel.Wheel` in plain Python: a dictionary of times."""


class ReferenceWheel:
    """Knows when each slot comes due, clamped to the horizon as the wheel's users see it."""

    def __init__(self, now_ms: int, tick_ms: int, size: int) -> None:
        self.tick = now_ms // tick_ms
        self.tick_ms = tick_ms
        self.size = size
        self.due_ticks: dict[int, int] = {}

    def add(self, slot: int, at_ms: int) -> None:
        wanted = -(-at_ms // self.tick_ms)
        self.due_ticks[slot] = min(max(wanted, self.tick + 1), self.tick + self.size - 1)

    def drop(self, slot: int) -> None:
        self.due_ticks.pop(slot, None)

    def due(self, now_ms: int) -> set[int]:
        self.tick = max(self.tick, now_ms // self.tick_ms)
        slots = {slot for slot, tick in self.due_ticks.items() if tick <= self.tick}
        for slot in slots:
            del self.due_ticks[slot]
        return slots

"""`ext.table.ConnectionTable` in plain Python."""


class ReferenceTable:
    """A dictionary with the table's interface; handles are taken over from the table under test."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.rows: dict[int, dict[str, object]] = {}

    def add(self, handle: int, fd: int) -> None:
        assert handle not in self.rows
        self.rows[handle] = {"fd": fd, "identity": None}

    def drop(self, handle: int) -> bool:
        return self.rows.pop(handle, None) is not None

    def assign(self, handle: int, user: bytes, node: bytes, session: bytes) -> bool:
        if handle not in self.rows:
            return False
        self.rows[handle]["identity"] = (user, node, session)
        return True

    def of_user(self, user: bytes) -> set[int]:
        return {h for h, row in self.rows.items() if row["identity"] and row["identity"][0] == user}  # type: ignore[index]

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

    def assign(self, handle: int, user: bytes, node: bytes, session: bytes, sign_in: int = 0) -> bool:
        if handle not in self.rows:
            return False
        self.rows[handle] |= {"identity": (user, node, session), "sign_in": sign_in}
        return True

    def of_sign_ins(self, sign_ins: set[int], user: bytes | None = None) -> set[int]:
        found = {h for h, row in self.rows.items() if row.get("sign_in") and row["sign_in"] in sign_ins}
        return found if user is None else found & self.of_user(user)

    def of_user(self, user: bytes) -> set[int]:
        return {h for h, row in self.rows.items() if row["identity"] and row["identity"][0] == user}  # type: ignore[index]

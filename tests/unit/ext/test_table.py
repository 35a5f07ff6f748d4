"""The connection table beside its Python twin."""

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from reference.table import ReferenceTable

from ext.table import ConnectionTable

CAPACITY = 8
USERS = [bytes([n]) * 16 for n in range(4)]
NODE, SESSION = b"n" * 16, b"s" * 16


class TableMachine(RuleBasedStateMachine):
    """Random operations on both; a handle that was given up must stay dead."""

    handles = Bundle("handles")

    def __init__(self) -> None:
        super().__init__()
        self.table = ConnectionTable(CAPACITY)
        self.twin = ReferenceTable(CAPACITY)

    @rule(target=handles, fd=st.integers(0, 1000))
    def add(self, fd):
        handle = self.table.add(fd)
        if len(self.twin.rows) == CAPACITY:
            assert handle is None
            return -1
        self.twin.add(handle, fd)
        return handle

    @rule(handle=handles)
    def drop(self, handle):
        if handle >= 0:
            assert self.table.drop(handle) == self.twin.drop(handle)

    @rule(handle=handles, user=st.sampled_from(USERS))
    def assign(self, handle, user):
        if handle >= 0:
            expected = self.twin.assign(handle, user, NODE, SESSION)
            assert self.table.assign(handle, user, NODE, SESSION) == expected

    @invariant()
    def they_agree(self):
        assert len(self.table) == len(self.twin.rows)
        assert set(self.table.handles()) == set(self.twin.rows)
        for user in USERS:
            assert set(self.table.of_user(user)) == self.twin.of_user(user)
            assert len(self.table.of_user(user)) == len(self.twin.of_user(user))
        for handle, row in self.twin.rows.items():
            assert self.table.fd_of(handle) == row["fd"]
            assert self.table.identity(handle) == row["identity"]


TableMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=60)
TestTable = TableMachine.TestCase


def test_many_random_operations_leave_it_like_its_twin():
    seed = 20_261_123
    rng = random.Random(seed)
    table, twin = ConnectionTable(5000), ReferenceTable(5000)
    users = [rng.randbytes(16) for _ in range(300)]
    living: list[int] = []
    for _ in range(100_000):
        if rng.random() < 0.55 and len(living) < 5000:
            handle = table.add(1)
            twin.add(handle, 1)
            table.assign(handle, user := rng.choice(users), NODE, SESSION)
            twin.assign(handle, user, NODE, SESSION)
            living.append(handle)
        elif living:
            index = rng.randrange(len(living))
            living[index], living[-1] = living[-1], living[index]
            handle = living.pop()
            assert table.drop(handle), seed
            assert twin.drop(handle), seed
            assert handle not in table, seed
    assert set(table.handles()) == set(twin.rows), seed
    for user in users:
        assert set(table.of_user(user)) == twin.of_user(user), seed


def test_a_stale_handle_never_reaches_the_connection_that_came_after():
    table = ConnectionTable(1)
    first = table.add(5)
    table.drop(first)
    second = table.add(6)
    assert second != first
    assert second & 0xFFFFFFFF == first & 0xFFFFFFFF
    assert first not in table
    assert not table.drop(first)
    assert table.fd_of(first) is None
    assert table.fd_of(second) == 6


def test_a_full_table_takes_nobody_until_one_leaves():
    table = ConnectionTable(2)
    first, _ = table.add(1), table.add(2)
    assert table.add(3) is None
    table.drop(first)
    assert table.add(4) is not None


def test_a_table_for_millions_costs_little_while_it_is_empty():
    table = ConnectionTable(4_000_000)
    assert table.add(1) in table


@pytest.mark.parametrize("capacity", [0, 1 << 30])
def test_an_impossible_capacity_is_refused(capacity):
    with pytest.raises(ValueError, match="capacity"):
        ConnectionTable(capacity)

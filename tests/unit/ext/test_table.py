"""The connection table beside its Python twin."""

import os
import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from reference.table import ReferenceTable

from ext.table import ConnectionTable

CAPACITY = 8
USERS = [bytes([n]) * 16 for n in range(4)]
# Some alike in their low bits, by which most are told apart.
SIGN_INS = [0, 1, 1 + 64, 2, 2**64 - 1]
NODE, SESSION = b"n" * 16, b"s" * 16
# `make table-soak` asks for a hundred times as many.
OPERATIONS = int(os.environ.get("PULSEBOARD_TABLE_OPERATIONS", "100_000"))
BETWEEN_COMPARISONS = 100_000


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

    @rule(handle=handles, user=st.sampled_from(USERS), sign_in=st.sampled_from(SIGN_INS))
    def assign(self, handle, user, sign_in):
        if handle >= 0:
            expected = self.twin.assign(handle, user, NODE, SESSION, sign_in)
            assert self.table.assign(handle, user, NODE, SESSION, sign_in) == expected

    @rule(sign_ins=st.sets(st.sampled_from(SIGN_INS)), user=st.sampled_from([None, *USERS]))
    def of_sign_ins(self, sign_ins, user):
        found = self.table.of_sign_ins(sign_ins, user)
        assert set(found) == self.twin.of_sign_ins(sign_ins, user)
        assert len(set(found)) == len(found)

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
    for operation in range(1, OPERATIONS + 1):
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
        if operation % BETWEEN_COMPARISONS == 0 or operation == OPERATIONS:
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


def test_the_place_of_a_connection_that_left_belongs_to_no_sign_in():
    table = ConnectionTable(1)
    first = table.add(5)
    table.assign(first, USERS[0], NODE, SESSION, 7)
    assert table.of_sign_ins([7]) == table.of_sign_ins([7], USERS[0]) == [first]
    table.drop(first)
    assert table.of_sign_ins([7]) == []
    second = table.add(6)
    assert table.of_sign_ins([7]) == []
    table.assign(second, USERS[0], NODE, SESSION)
    assert table.of_sign_ins([7, 0]) == []


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

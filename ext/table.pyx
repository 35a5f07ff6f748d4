"""The connection table: one slot a connection, stored as columns, and an index by user.

A connection is named by a *handle*: the slot's number in the low 32 bits, the slot's generation above.
The generation changes whenever a slot is given up, so that a stale handle never reaches the
connection that came after. Insert, remove, look-up and touch are O(1) and make no Python object.
Columns never move (see `ext.memory`).

Not safe for use from more than one thread.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.string cimport memcpy

from ext.memory cimport give_back, reserve


cdef Id read_id(bytes value) except *:
    """A 16-byte id as two words."""
    cdef Id out
    if len(value) != 16:
        raise ValueError("an id has 16 bytes")
    memcpy(&out, PyBytes_AS_STRING(value), 16)
    return out


cdef bytes write_id(Id value):
    return PyBytes_FromStringAndSize(<char*>&value, 16)


cdef class ConnectionTable:
    """The connections of one worker. `capacity` slots are reserved; memory is used as they fill."""

    def __cinit__(self, uint32_t capacity):
        if capacity == 0 or capacity >= 1 << 30:
            raise ValueError("capacity must be between 1 and 2**30 - 1")
        self.capacity = capacity
        self.buckets = 1
        while self.buckets < capacity:
            self.buckets *= 2
        self.generation = <uint32_t*>reserve(capacity, sizeof(uint32_t))
        self.fd = <int32_t*>reserve(capacity, sizeof(int32_t))
        self.flags = <uint16_t*>reserve(capacity, sizeof(uint16_t))
        self.code = <uint16_t*>reserve(capacity, sizeof(uint16_t))
        self.channels = <uint32_t*>reserve(capacity, sizeof(uint32_t))
        self.rtt_us = <uint32_t*>reserve(capacity, sizeof(uint32_t))
        self.seen_ms = <int64_t*>reserve(capacity, sizeof(int64_t))
        self.since_ms = <int64_t*>reserve(capacity, sizeof(int64_t))
        self.pinged_us = <int64_t*>reserve(capacity, sizeof(int64_t))
        self.expires_ms = <int64_t*>reserve(capacity, sizeof(int64_t))
        self.alarm_ms = <int64_t*>reserve(capacity, sizeof(int64_t))
        self.arrival_ns = <int64_t*>reserve(capacity, sizeof(int64_t))
        self.user = <Id*>reserve(capacity, sizeof(Id))
        self.node = <Id*>reserve(capacity, sizeof(Id))
        self.session = <Id*>reserve(capacity, sizeof(Id))
        self.sign_in = <uint64_t*>reserve(capacity, sizeof(uint64_t))
        self.partial = <Partial**>reserve(capacity, sizeof(Partial*))
        self.pending = <Pending**>reserve(capacity, sizeof(Pending*))
        self.next = <uint32_t*>reserve(capacity, sizeof(uint32_t))
        self.prev = <uint32_t*>reserve(capacity, sizeof(uint32_t))
        self.heads = <uint32_t*>reserve(self.buckets, sizeof(uint32_t))

    def __dealloc__(self):
        cdef uint32_t n = self.capacity
        give_back(self.generation, n, sizeof(uint32_t))
        give_back(self.fd, n, sizeof(int32_t))
        give_back(self.flags, n, sizeof(uint16_t))
        give_back(self.code, n, sizeof(uint16_t))
        give_back(self.channels, n, sizeof(uint32_t))
        give_back(self.rtt_us, n, sizeof(uint32_t))
        give_back(self.seen_ms, n, sizeof(int64_t))
        give_back(self.since_ms, n, sizeof(int64_t))
        give_back(self.pinged_us, n, sizeof(int64_t))
        give_back(self.expires_ms, n, sizeof(int64_t))
        give_back(self.alarm_ms, n, sizeof(int64_t))
        give_back(self.arrival_ns, n, sizeof(int64_t))
        give_back(self.user, n, sizeof(Id))
        give_back(self.node, n, sizeof(Id))
        give_back(self.session, n, sizeof(Id))
        give_back(self.sign_in, n, sizeof(uint64_t))
        give_back(self.partial, n, sizeof(Partial*))
        give_back(self.pending, n, sizeof(Pending*))
        give_back(self.next, n, sizeof(uint32_t))
        give_back(self.prev, n, sizeof(uint32_t))
        give_back(self.heads, self.buckets, sizeof(uint32_t))

    cdef int64_t insert(self, int fd) noexcept:
        """Take a slot for `fd` and return its number, -1 when the table is full."""
        cdef uint32_t slot
        if self.free:
            slot = self.free - 1
            self.free = self.next[slot]
        elif self.used < self.capacity:
            slot = self.used
            self.used += 1
        else:
            return -1
        self.size += 1
        self.next[slot] = 0
        self.prev[slot] = 0
        self.fd[slot] = fd
        self.flags[slot] = Flag.ALIVE
        self.code[slot] = 0
        self.channels[slot] = 0
        self.rtt_us[slot] = 0
        self.seen_ms[slot] = 0
        self.since_ms[slot] = 0
        self.pinged_us[slot] = 0
        self.expires_ms[slot] = 0
        self.alarm_ms[slot] = 0
        self.sign_in[slot] = 0
        self.arrival_ns[slot] = 0
        return slot

    cdef void remove(self, uint32_t slot) noexcept:
        """Give up a living slot. What `partial` and `pending` point to is the caller's to free."""
        self._unlink(slot)
        self.generation[slot] += 1
        self.flags[slot] = 0
        self.next[slot] = self.free
        self.free = slot + 1
        self.size -= 1

    cdef int64_t find(self, uint64_t handle) noexcept:
        """The slot of a living connection, -1 if it is gone."""
        cdef uint32_t slot = <uint32_t>handle
        if slot >= self.used or self.generation[slot] != handle >> 32 or not self.flags[slot] & Flag.ALIVE:
            return -1
        return slot

    cdef uint64_t handle(self, uint32_t slot) noexcept:
        """The handle of a living slot."""
        return (<uint64_t>self.generation[slot] << 32) | slot

    cdef uint32_t _bucket(self, Id user) noexcept:
        # Odd constants, so that every bit of both words counts.
        cdef uint64_t mixed = user.low * <uint64_t>0x9E3779B97F4A7C15
        mixed = (mixed ^ user.high) * <uint64_t>0xD6E8FEB86659FD93
        return <uint32_t>(mixed >> 32) & (self.buckets - 1)

    cdef void _unlink(self, uint32_t slot) noexcept:
        if not self.flags[slot] & Flag.BOUND:
            return
        if self.prev[slot]:
            self.next[self.prev[slot] - 1] = self.next[slot]
        else:
            self.heads[self._bucket(self.user[slot])] = self.next[slot]
        if self.next[slot]:
            self.prev[self.next[slot] - 1] = self.prev[slot]

    cdef void bind(self, uint32_t slot, Id user, Id node, Id session) noexcept:
        """Say whose connection this is; it is then found by `first_of` and `next_of`."""
        cdef uint32_t* head
        self._unlink(slot)
        self.user[slot] = user
        self.node[slot] = node
        self.session[slot] = session
        self.flags[slot] |= Flag.BOUND
        head = &self.heads[self._bucket(user)]
        self.next[slot] = head[0]
        self.prev[slot] = 0
        if head[0]:
            self.prev[head[0] - 1] = slot + 1
        head[0] = slot + 1

    cdef uint32_t first_of(self, Id user) noexcept:
        """A slot of the user plus 1, or 0."""
        return self._same_user(self.heads[self._bucket(user)], user)

    cdef uint32_t next_of(self, uint32_t slot) noexcept:
        """Another slot of the same user plus 1, or 0."""
        return self._same_user(self.next[slot], self.user[slot])

    cdef uint32_t _same_user(self, uint32_t link, Id user) noexcept:
        while link and (self.user[link - 1].high != user.high or self.user[link - 1].low != user.low):
            link = self.next[link - 1]
        return link

    # From Python: the same table, for tests and for whatever is not hot.

    def __len__(self):
        return self.size

    def __contains__(self, uint64_t handle):
        return self.find(handle) >= 0

    def add(self, int fd):
        """Take a slot for `fd`; its handle, or None when the table is full."""
        cdef int64_t slot = self.insert(fd)
        return None if slot < 0 else self.handle(<uint32_t>slot)

    def drop(self, uint64_t handle):
        """Give up a connection's slot; false if it is gone."""
        cdef int64_t slot = self.find(handle)
        if slot < 0:
            return False
        self.remove(<uint32_t>slot)
        return True

    def assign(self, uint64_t handle, bytes user, bytes node, bytes session, uint64_t sign_in=0):
        """Bind a connection to 16-byte ids, and to the sign-in it came from; false if it is gone."""
        cdef int64_t slot = self.find(handle)
        if slot < 0:
            return False
        self.bind(<uint32_t>slot, read_id(user), read_id(node), read_id(session))
        self.sign_in[slot] = sign_in
        return True

    def fd_of(self, uint64_t handle):
        """The descriptor of a living connection, else None."""
        cdef int64_t slot = self.find(handle)
        return None if slot < 0 else self.fd[slot]

    def identity(self, uint64_t handle):
        """(user, node, session) of an authenticated connection, 16 bytes each, else None."""
        cdef int64_t slot = self.find(handle)
        if slot < 0 or not self.flags[slot] & Flag.BOUND:
            return None
        return write_id(self.user[slot]), write_id(self.node[slot]), write_id(self.session[slot])

    def of_user(self, bytes user):
        """The handles of a user's connections."""
        cdef list handles = []
        cdef uint32_t link = self.first_of(read_id(user))
        while link:
            handles.append(self.handle(link - 1))
            link = self.next_of(link - 1)
        return handles

    def of_sign_ins(self, sign_ins, user=None):
        """The handles of the connections that came from one of `sign_ins`; with `user`, only of theirs.

        Without `user` it takes a look at every connection.
        """
        cdef set wanted = set(sign_ins)
        cdef list handles = []
        cdef uint64_t each
        cdef uint64_t shadow = 0
        cdef uint32_t slot
        cdef uint32_t link
        if user is not None:
            link = self.first_of(read_id(user))
            while link:
                if self.sign_in[link - 1] and self.sign_in[link - 1] in wanted:
                    handles.append(self.handle(link - 1))
                link = self.next_of(link - 1)
            return handles
        for each in wanted:
            shadow |= <uint64_t>1 << (each & 63)
        for slot in range(self.used):
            each = self.sign_in[slot]
            # Most are told apart without making an object of them.
            if each and (shadow >> (each & 63)) & 1 and self.flags[slot] & Flag.BOUND and each in wanted:
                handles.append(self.handle(slot))
        return handles

    def handles(self):
        """The handles of all living connections."""
        cdef uint32_t slot
        return [self.handle(slot) for slot in range(self.used) if self.flags[slot] & Flag.ALIVE]

"""Columns: arrays that are reserved whole, zero-filled, and cost memory only where they were touched.

A column is an anonymous private mapping. It never moves, so pointers into it stay good however far
the table fills, and a table for a million connections costs what its living connections need.
"""

from posix.mman cimport MAP_ANONYMOUS, MAP_FAILED, MAP_PRIVATE, PROT_READ, PROT_WRITE, mmap, munmap

cdef extern from "sys/mman.h" nogil:
    enum: MAP_NORESERVE


cdef void* reserve(size_t count, size_t size) except NULL:
    """Reserve `count` elements of `size` bytes, all zero.

    Raises:
        MemoryError: if the address space is limited and used up.
    """
    cdef void* address = mmap(
        NULL, count * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0
    )
    if address == MAP_FAILED:
        raise MemoryError(f"cannot reserve {count * size} bytes of address space")
    return address


cdef void give_back(void* address, size_t count, size_t size) noexcept:
    """Unmap what `reserve` returned; NULL is allowed."""
    if address != NULL:
        munmap(address, count * size)

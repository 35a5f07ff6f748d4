from libc.stddef cimport size_t


cdef enum:
    MAX_NAMES = 16


cdef class Cutter:
    cdef tuple _names                   # kept alive for the pointers
    cdef const char* _texts[MAX_NAMES]
    cdef size_t _lengths[MAX_NAMES]
    cdef int _count

    cdef int _find(self, const char* name, size_t length) noexcept

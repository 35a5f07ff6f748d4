from libc.stddef cimport size_t

cdef void* reserve(size_t count, size_t size) except NULL
cdef void give_back(void* address, size_t count, size_t size) noexcept

"""What the requests of one kind of client have in common, and what differs from one to the next."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.string cimport memchr, memcpy

cdef extern from "strings.h" nogil:
    int strncasecmp(const char* one, const char* other, size_t size)

cdef extern from "string.h" nogil:
    void* memmem(const void* haystack, size_t size, const void* needle, size_t length)

cdef enum:
    MAX_HEAD = 16384


cdef class Cutter:
    """Cuts the values of some headers out of requests. `names` are theirs, at most 16."""

    def __init__(self, *names):
        if len(names) > MAX_NAMES:
            raise ValueError("too many names")
        self._names = tuple(name.encode() for name in names)
        for i, name in enumerate(self._names):
            self._texts[i] = PyBytes_AS_STRING(name)
            self._lengths[i] = len(name)
        self._count = len(names)

    cdef int _find(self, const char* name, size_t length) noexcept:
        cdef int i
        for i in range(self._count):
            if self._lengths[i] == length and strncasecmp(self._texts[i], name, length) == 0:
                return i
        return -1

    def cut(self, bytes head):
        """What is left of a request's line and headers, and the values cut out, in the order of the names.

        A header that is not there has the value None. The answer is None if one of them is repeated or has
        anything but printable ASCII in it, or if a line is folded: two requests of which the same is left
        differ in nothing but ordinary values of those headers.
        """
        cdef char left[MAX_HEAD]
        cdef size_t size = 0
        cdef const char* line = PyBytes_AS_STRING(head)
        cdef const char* stop = line + len(head)
        cdef const char* end
        cdef const char* value
        cdef const char* after
        cdef int found
        cdef list values
        if len(head) > MAX_HEAD:
            return None
        values = [None] * self._count
        while line < stop:
            if line[0] == b" " or line[0] == b"\t":
                return None
            after = <const char*>memmem(line, stop - line, b"\r\n", 2)
            if after == NULL:
                after = end = stop
            else:
                end = after + 2
            value = <const char*>memchr(line, b":", after - line)
            found = -1 if value == NULL else self._find(line, value - line)
            if found >= 0:
                if values[found] is not None:
                    return None
                value += 1
                memcpy(left + size, line, value - line)
                size += value - line
                line = after
                while value < after and value[0] == b" ":
                    value += 1
                while value < after and after[-1] == b" ":
                    after -= 1
                values[found] = PyBytes_FromStringAndSize(value, after - value)
                while value < after:
                    if not b" " <= value[0] <= b"~":
                        return None
                    value += 1
            memcpy(left + size, line, end - line)
            size += end - line
            line = end
        return PyBytes_FromStringAndSize(left, size), values

# cython: language_level=3, boundscheck=False, wraparound=False
# cython: freethreading_compatible=True, auto_pickle=False, autotestdict=False
"""Numbers of rows, and the indices of sparse ones: csrc/shuffle.h and csrc/csr.h."""

cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t, uint64_t

import numpy as np

cnp.import_array()


cdef extern from "lls.h" nogil:
    bint gs_lls_rows_fit(const int64_t *rows, size_t count, size_t N)

cdef extern from "shuffle.h" nogil:
    enum:
        GS_BLOCK_BYTES
        GS_MIXED_BLOCKS
    ctypedef struct gs_groups:
        uint64_t n
        uint64_t block
        uint64_t blocks
        uint64_t done
    void gs_shuffle_rows(uint64_t seed, uint64_t epoch, uint64_t n, int64_t *rows)
    void gs_groups_begin(
        gs_groups *g, uint64_t seed, uint64_t epoch, uint64_t n, uint64_t block,
        int64_t *order,
    )
    uint64_t gs_groups_next(
        gs_groups *g, int64_t *rows, int64_t *stored, bint within
    )


cdef extern from "csr.h" nogil:
    enum:
        GS_CSR_WRONG
        GS_CSR_ASCENDING
    int gs_csr_check32(
        const int32_t *start, const int32_t *column, int64_t N, int64_t L, int64_t stored
    )
    int gs_csr_check64(
        const int64_t *start, const int64_t *column, int64_t N, int64_t L, int64_t stored
    )


def csr_check(cnp.ndarray start, cnp.ndarray column, int64_t L):
    """Whether starts and columns, of one type, int32 or int64, are within a matrix of L
    columns; if so, whether columns ascend in every row."""
    cdef int64_t N = start.size - 1, stored = column.size
    cdef bint narrow = cnp.PyArray_ITEMSIZE(start) == 4
    cdef void *starts = cnp.PyArray_DATA(start)
    cdef void *columns = cnp.PyArray_DATA(column)
    cdef int found
    with nogil:
        if narrow:
            found = gs_csr_check32(
                <int32_t *>starts, <int32_t *>columns, N, L, stored
            )
        else:
            found = gs_csr_check64(
                <int64_t *>starts, <int64_t *>columns, N, L, stored
            )
    return found != GS_CSR_WRONG, found == GS_CSR_ASCENDING


cdef cnp.ndarray integers(cnp.npy_intp n):
    return cnp.PyArray_EMPTY(1, &n, cnp.NPY_INT64, 0)


cdef int64_t *at(cnp.ndarray a) noexcept:
    return <int64_t *>cnp.PyArray_DATA(a)


cdef class Groups:
    """The orders by blocks of an epoch, a group at a time: csrc/shuffle.h.

    Yields the blocks, as their first rows and the rows after their last, (m, 2), and the
    rows in the order of visiting, counted from the first of the group if `within`."""
    cdef gs_groups groups
    cdef cnp.ndarray order
    cdef bint within

    def __init__(
        self, uint64_t seed, uint64_t epoch, uint64_t n, uint64_t row_bytes,
        *, bint within=True,
    ):
        cdef uint64_t block = GS_BLOCK_BYTES
        if row_bytes:
            block = max(<uint64_t>1, block // row_bytes)
        self.order = integers(n // block + 1)
        self.within = within
        gs_groups_begin(&self.groups, seed, epoch, n, block, at(self.order))

    def __iter__(self):
        return self

    def __next__(self):
        cdef uint64_t done = self.groups.done, block = self.groups.block, count
        cdef cnp.ndarray rows = integers(GS_MIXED_BLOCKS * block)
        cdef int64_t *found = at(rows)
        with nogil:
            count = gs_groups_next(&self.groups, found, NULL, self.within)
        if count == 0:
            raise StopIteration
        first = self.order[done : self.groups.done] * block
        spans = np.stack([first, np.minimum(first + block, self.groups.n)], axis=1)
        return spans, rows[:count]


cdef class Portions:
    """The rows of an epoch by blocks, some groups at a time, and with each of them one to
    fetch: of the group that follows, in the order in which they are stored.

    What one step yields is overwritten by the next."""
    cdef Groups groups
    cdef cnp.ndarray rows, stored
    cdef uint64_t most   # rows of a portion
    cdef uint64_t total  # that have been made
    cdef uint64_t kept   # the last of them, which come with the next portion

    def __init__(
        self, uint64_t seed, uint64_t epoch, uint64_t n, uint64_t row_bytes,
        uint64_t most,
    ):
        self.groups = Groups(seed, epoch, n, row_bytes, within=False)
        cdef uint64_t group = GS_MIXED_BLOCKS * self.groups.groups.block
        self.most = most
        self.rows = integers(min(n, most + 2 * group))
        self.stored = integers(min(n, most + 2 * group))
        self.total = 0
        self.kept = self.make()

    cdef uint64_t make(self) noexcept:
        """One more group; returns its rows."""
        cdef uint64_t count = gs_groups_next(
            &self.groups.groups, at(self.rows) + self.total,
            at(self.stored) + self.total, False,
        )
        self.total += count
        return count

    def __iter__(self):
        return self

    def __next__(self):
        cdef uint64_t first = self.kept, count = self.kept
        if first == 0:
            raise StopIteration
        for a in (self.rows, self.stored):
            a[:first] = a[self.total - first : self.total].copy()
        self.total = first
        while count and (self.total < self.most or self.total == first):
            count = self.make()
        self.kept = count
        return self.rows[: self.total - count], self.stored[first : self.total]


def shuffled(uint64_t seed, uint64_t epoch, uint64_t n, uint64_t row_bytes, bint blocks):
    """The rows of an epoch, int64, in the order of csrc/shuffle.h."""
    cdef cnp.ndarray rows = integers(n)
    cdef int64_t *found = at(rows)
    cdef Groups groups
    cdef uint64_t count = 1
    if blocks:
        groups = Groups(seed, epoch, n, row_bytes, within=False)
        with nogil:
            while count:
                count = gs_groups_next(&groups.groups, found, NULL, False)
                found += count
    else:
        with nogil:
            gs_shuffle_rows(seed, epoch, n, found)
    return rows


def rows_fit(cnp.ndarray rows, size_t n):
    """Whether all rows, C-ordered int64, are in [0, n)."""
    return gs_lls_rows_fit(at(rows), rows.size, n)

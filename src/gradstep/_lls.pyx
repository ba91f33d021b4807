# cython: language_level=3, boundscheck=False, wraparound=False
# cython: freethreading_compatible=True, auto_pickle=False, autotestdict=False
"""Hands the arrays of a least-squares problem to the C loop of csrc/lls.h."""

cimport numpy as cnp
from libc.stdint cimport int64_t, uint64_t

from gradstep._core cimport (
    Engine,
    gs_lls,
    gs_lls_rows_fit,
    gs_lls_run_fn,
    plan_step,
    table,
)
from gradstep.capi cimport gs_plan

cnp.import_array()


cdef extern from "shuffle.h" nogil:
    enum:
        GS_BLOCK_BYTES
    void gs_shuffle_rows(uint64_t seed, uint64_t epoch, uint64_t n, int64_t *rows)
    void gs_shuffle_blocks(
        uint64_t seed, uint64_t epoch, uint64_t n, uint64_t block, int64_t *rows,
        int64_t *order,
    )


def shuffled(uint64_t seed, uint64_t epoch, uint64_t n, uint64_t row_bytes, bint blocks):
    """The rows of an epoch, int64, in the order of csrc/shuffle.h."""
    cdef cnp.npy_intp size = n, count
    cdef cnp.ndarray rows = cnp.PyArray_EMPTY(1, &size, cnp.NPY_INT64, 0), order
    cdef int64_t *found = <int64_t *>cnp.PyArray_DATA(rows)
    cdef int64_t *room
    cdef uint64_t block = GS_BLOCK_BYTES
    if row_bytes:
        block = block // row_bytes
    if block == 0:
        block = 1
    if not blocks:
        with nogil:
            gs_shuffle_rows(seed, epoch, n, found)
        return rows
    count = n // block + 1
    order = cnp.PyArray_EMPTY(1, &count, cnp.NPY_INT64, 0)
    room = <int64_t *>cnp.PyArray_DATA(order)
    with nogil:
        gs_shuffle_blocks(seed, epoch, n, block, found, room)
    return rows


cdef void step(void *with_) noexcept nogil:
    cdef gs_plan *plan = <gs_plan *>with_
    plan.tensor[0].moving = True
    plan_step(plan)


def rows_fit(cnp.ndarray rows, size_t n):
    """Whether all rows, C-ordered int64, are in [0, n)."""
    return gs_lls_rows_fit(<int64_t *>cnp.PyArray_DATA(rows), rows.size, n)


def run(
    Engine engine,
    cnp.ndarray X,
    cnp.ndarray y,
    cnp.ndarray w,
    cnp.ndarray g,
    cnp.ndarray total,
    cnp.ndarray rows,
    size_t batch,
    bint mean,
):
    """One update of w for every `batch` of the rows, by the engine's only array; returns
    whether w is finite then.

    X is (N, L), y (N, K), w and g (K, L), all C-ordered and of one type, `total` float64
    of size K L and zero; rows are int64 and valid. `gradstep.lls` sees to all that.
    """
    cdef gs_lls p
    cdef bint single = cnp.PyArray_TYPE(X) == cnp.NPY_FLOAT32
    cdef gs_lls_run_fn *updates = table().lls_f32 if single else table().lls_f64
    cdef size_t count = rows.size
    cdef const int64_t *order = <int64_t *>cnp.PyArray_DATA(rows)
    cdef bint finite
    p.X = cnp.PyArray_DATA(X)
    p.y = cnp.PyArray_DATA(y)
    p.L = cnp.PyArray_DIM(w, 1)
    p.K = cnp.PyArray_DIM(w, 0)
    p.w = cnp.PyArray_DATA(w)
    p.g = cnp.PyArray_DATA(g)
    p.sum = <double *>cnp.PyArray_DATA(total)
    p.mean = mean
    p.step = step
    p.argument = &engine.plan
    if count == 0:
        return True
    engine.enter()
    try:
        engine.refresh()
        if engine.plan.tensors != 1:
            raise ValueError("fit: the optimizer has been given other arrays")
        engine.plan.tensor[0].segment.g = p.g
        with nogil:
            finite = updates(&p, order, count, batch)
    finally:
        engine.plan.tensor[0].segment.g = NULL
        engine.leave()
    return finite

# What another Cython module may cimport: engines whose steps run without the GIL.
from libc.stdint cimport int64_t, uintptr_t

from gradstep.capi cimport gs_kernel, gs_plan


cdef extern from "lls.h" nogil:
    ctypedef struct gs_lls:
        const void *X
        const void *y
        size_t L
        size_t K
        const void *w
        void *g
        double *sum
        int mean
        void (*step)(void *) noexcept nogil
        void *argument "with"

    bint gs_lls_rows_fit(const int64_t *rows, size_t count, size_t N)

    ctypedef bint gs_lls_run_fn(
        const gs_lls *p, const int64_t *rows, size_t count, size_t batch
    ) noexcept nogil

cdef extern from "kernel.h" nogil:
    ctypedef struct gs_table:
        const char *isa
        const gs_kernel **kernel
        gs_lls_run_fn *lls_f32
        gs_lls_run_fn *lls_f64


cdef const gs_table *table() noexcept nogil

# Steps every tensor that is `moving`, by its segment.g, which the caller has checked as
# Engine.step does: of the parameter's type, shape and order, and overlapping nothing that
# is written. Takes no lock: between Engine.enter() and leave().
cdef void plan_step(gs_plan *plan) noexcept nogil


cdef class Kernel:
    cdef const gs_kernel *ptr
    cdef readonly str rule
    cdef readonly str dtype
    cdef readonly tuple hyper
    cdef readonly tuple state
    cdef readonly tuple scalar
    cdef readonly tuple copies
    cdef readonly size_t sums
    cdef readonly bint steps


cdef class Engine:
    cdef gs_plan plan
    cdef readonly str owner
    cdef tuple arrays
    cdef tuple views
    cdef tuple suffixes
    cdef object names
    cdef bint single
    cdef bint ready
    cdef list states
    cdef list groups
    cdef tuple fields
    cdef list seen
    cdef list direct
    cdef object on_change
    cdef uintptr_t *low
    cdef uintptr_t *high
    cdef size_t ranges
    cdef tuple scalar_names(self, size_t i)
    cdef size_t sums_of(self, size_t i)
    cdef int refresh(self) except -1
    cdef bint pass_through(self, size_t j, Py_ssize_t k, dict group) except -1
    cdef object take(self, grads)
    cdef object take_one(self, size_t i, g)
    cdef int enter(self) except -1
    cdef void leave(self) noexcept

# What another Cython module may cimport: engines whose steps run without the GIL.
cimport numpy as cnp
from libc.stdint cimport int64_t, uint32_t, uintptr_t

from gradstep.capi cimport gs_codec, gs_kernel, gs_plan, gs_report, gs_scaling


cdef extern from "lls_run.h" nogil:
    enum:
        GS_DENSE
        GS_PIECE
        GS_CSR32
        GS_CSR64
        GS_LLS_PACKED

    ctypedef struct gs_lls_data:
        int form
        const void *X
        const void *column
        const void *start
        const void *y
        const double *weight
        bint wide_targets

    ctypedef struct gs_lls_model:
        size_t L
        size_t K
        void *w
        void *b
        void *g
        void *gb
        const double *mean
        const double *inverse
        void *u
        double *wide
        double *c
        double ridge
        bint divide
        double *total

    ctypedef struct gs_lls_system:
        size_t L
        size_t K
        size_t targets
        const double *centre
        const double *base
        const double *step
        const double *constant
        const double *unit
        const double *step_constant

    ctypedef struct gs_lls_touched:
        uint32_t *place
        int64_t *column
        size_t count
        void **packed

    ctypedef struct gs_lls_route:
        const int64_t *rows
        size_t count
        const int64_t *soon
        size_t foreseen

    ctypedef struct gs_lls_ops:
        pass

    ctypedef struct gs_lls:
        const gs_lls_ops *ops
        gs_lls_data data
        gs_lls_model model
        gs_lls_touched touched
        gs_plan *plan
        size_t batch
        size_t filled
        double *sums
        double *piece
        size_t pieces
        int64_t updates
        int64_t averaged
        int64_t counted
        double squares
        double penalties
        double filled_weight
        int64_t run_rows
        double run_weight
        double run_squares

    size_t gs_lls_sums(const gs_lls_model *m)

cdef extern from "kernel.h" nogil:
    ctypedef struct gs_table:
        const char *isa
        const gs_kernel **kernel
        const gs_lls_ops *lls_f32
        const gs_lls_ops *lls_f64
        const gs_codec *codec


# What csrc/lls_run.h does, for a plan between Engine.enter() and leave().
cdef bint lls_run(gs_lls *p, gs_lls_route route) noexcept nogil
cdef bint lls_flush(gs_lls *p) noexcept nogil
cdef void lls_evaluate(gs_lls *p, gs_lls_route route) noexcept nogil
cdef double lls_finish(gs_lls *p) noexcept nogil
cdef double lls_waiting(const gs_lls *p) noexcept nogil
cdef void lls_system_add(
    gs_lls *p, const gs_lls_system *s, gs_lls_route route
) noexcept nogil
cdef void lls_collect(gs_lls *p, double *sums) noexcept nogil
cdef void lls_extents(
    const gs_lls *p, const int64_t *rows, size_t n, const double *about,
    double *extents,
) noexcept nogil
cdef void lls_spreads(
    const gs_lls *p, const int64_t *rows, size_t n, const double *centre,
    const double *unit, double *spreads,
) noexcept nogil
cdef void lls_moments(
    const gs_lls *p, const int64_t *rows, size_t n, const double *about, double *moments
) noexcept nogil

cdef const gs_table *table() noexcept nogil

# Steps every tensor that is `moving`, by its segment.g, which the caller has checked as
# Engine.step does: of the parameter's type, shape and order, and overlapping nothing that
# is written. They are taken as they are if scaling is NULL. Takes no lock: between
# Engine.enter() and leave().
cdef gs_report plan_step(gs_plan *plan, const gs_scaling *scaling) noexcept nogil

# What a step is told of its gradients; clip_norm 0: they are not clipped.
cdef gs_scaling scaled(double grad_scale, double clip_norm, bint guard) noexcept


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
    cdef readonly bint rests
    cdef readonly bint across


cdef class _Ranges:
    cdef uintptr_t *low
    cdef uintptr_t *high
    cdef size_t count
    cdef bint meets(self, uintptr_t at, size_t bytes) noexcept


cdef class MemoryWatch:
    cdef str name
    cdef tuple arrays
    cdef tuple views
    cdef tuple owners
    cdef tuple owner_views
    cdef list pins
    cpdef bint holds(self) noexcept
    cdef bint owners_hold(self) noexcept
    cpdef int check(self) except -1
    cdef list pin(self)


cdef class Engine:
    cdef gs_plan plan
    cdef readonly str owner
    cdef tuple arrays
    cdef tuple views
    cdef tuple watches
    cdef tuple suffixes
    cdef object names
    cdef bint single
    cdef bint ready
    cdef gs_report found
    cdef object share
    cdef object failure
    cdef list states
    cdef list groups
    cdef tuple fields
    cdef list seen
    cdef list direct
    cdef object on_change
    cdef int *grad_type
    cdef _Ranges written
    cdef tuple scalar_names(self, size_t i)
    cdef size_t sums_of(self, size_t i)
    cdef int refresh(self) except -1
    cdef int check_count(self) except -1
    cpdef dict group_at(self, Py_ssize_t j)
    cdef int refresh_group(self, Py_ssize_t j) except -1
    cdef bint pass_through(self, size_t j, Py_ssize_t k, dict group) except -1
    cdef int bind_coded(self, size_t i, states, coding) except -1
    cdef int read_gradients_as(self, size_t i, cnp.ndarray a) except -1
    cdef int check_unchanged(self, size_t i, str method, bint is_written) except -1
    cdef object take(self, grads)
    cdef object take_one(self, size_t i, g)
    cdef int check_overlap(self, size_t i, uintptr_t at, size_t bytes) except -1
    cdef bint share_sums(self, size_t live) except -1
    cdef int finish(self, const gs_report *report) except -1
    cdef int check_ready(self) except -1
    cdef int enter(self) except -1
    cdef void leave(self) noexcept

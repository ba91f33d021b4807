# Steps from Cython code, without Python and without the GIL: see include/gradstep.h.
from libc.stdint cimport int64_t, uint64_t


cdef extern from "stdbool.h" nogil:
    ctypedef unsigned char gs_bool "bool"

cdef extern from "gradstep.h" nogil:
    enum:
        GRADSTEP_API
        GS_MAX_HYPER
        GS_MAX_STATE
        GS_MAX_SUMS

    ctypedef const char *gs_text "const char *"

    ctypedef struct gs_kernel:
        const char *rule
        const char *dtype
        const gs_text *hyper
        const gs_text *state
        const gs_text *scalar
        unsigned copies
        size_t param_size
        size_t state_size
        bint (*rests)(const double *hyper) noexcept nogil
        size_t sums
        bint across
        void *step

    ctypedef struct gs_codec:
        const char *name
        size_t size
        size_t beside_size
        size_t share
        void (*decode)(
            const gs_coded *a, size_t start, size_t n, float *x
        ) noexcept nogil
        void (*encode)(
            const gs_coded *a, size_t start, size_t n, const float *x
        ) noexcept nogil

    ctypedef struct gs_coded:
        const gs_codec *codec
        void *data
        void *beside
        uint64_t key

    ctypedef struct gs_storage:
        gs_coded p
        gs_coded g
        gs_coded *state
        bint reads
        bint master
        uint64_t seed
        uint64_t number

    ctypedef struct gs_segment:
        const gs_kernel *kernel
        void *p
        const void *g
        void **state
        size_t n
        const gs_storage *storage

    ctypedef struct gs_tensor:
        gs_segment segment
        size_t group
        int64_t t
        double *scalar
        const gs_kernel *norm
        const gs_kernel *nonfinite
        bint moving

    ctypedef struct gs_group:
        double *hyper
        double grad_scale
        double clip_norm
        double clip_eps

    ctypedef struct gs_plan:
        gs_tensor *tensor
        size_t tensors
        gs_group *group
        size_t groups
        gs_tensor **stepping
        double *sum
        gs_storage *storage
        gs_bool (*share)(void *with_, size_t live) noexcept nogil
        void *with_ "with"

    ctypedef struct gs_scaling:
        double grad_scale
        double clip_norm
        double clip_eps
        bint guard

    ctypedef struct gs_report:
        double grad_norm
        double clip_factor
        double nonfinite
        bint measured
        bint skipped
        bint failed

    ctypedef struct gradstep_api:
        int version
        const gs_kernel *(*find)(const char *rule, const char *dtype) noexcept nogil
        bint (*plan_init)(gs_plan *plan, size_t tensors, size_t groups) noexcept nogil
        bint (*plan_reserve)(gs_plan *plan) noexcept nogil
        gs_report (*plan_step)(gs_plan *plan, const gs_scaling *scaling) noexcept nogil
        gs_report (*plan_measure)(gs_plan *plan, const gs_scaling *scaling) noexcept nogil
        void (*plan_free)(gs_plan *plan) noexcept nogil

cdef extern from "gradstep.h":
    const gradstep_api *gradstep_import() except NULL

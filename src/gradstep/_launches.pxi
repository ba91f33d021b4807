# Part of _torch.pyx: steps of arrays in a device's memory.

cdef extern from *:
    """
    #include <stddef.h>
    #include "launches.h"
    enum { GS_SKIPPED = offsetof(gs_measured, skipped) };
    """
    enum:
        GS_SKIPPED

cdef extern from "launches.h" nogil:
    enum:
        GS_MAX_COEF
        GS_MAX_SUMS
        GS_PREPARE
        GS_GATHER
        GS_STEP
        GS_SCALE
        GS_REDUCE
        GS_TOTAL
        GS_SHARE

    ctypedef struct gs_record:
        pass

    ctypedef struct gs_measured:
        pass

    ctypedef struct gs_device:
        uint64_t record
        uint64_t measured
        uint64_t count
        uint64_t step
        uint64_t scalar
        uint64_t amp_scale
        uint64_t found_inf
        uint32_t scalars
        uint32_t processors
        bint shares
        const uint32_t *kind
        const uint32_t *norm
        const uint32_t *nonfinite
        const uint32_t *place
        const uint64_t *partial
        const uint64_t *seed
        const uint64_t *lr
        const uint64_t *lr_is_double

    ctypedef struct gs_launch:
        uint32_t kind
        uint32_t what
        uint32_t grid
        uint32_t threads
        unsigned char *argument

    ctypedef struct gs_launches:
        gs_launch *launch
        size_t count
        bint failed

    void gs_device_step(
        const gs_device *d, gs_plan *plan, const gs_scaling *scaling, gs_launches *found
    )
    void gs_launches_free(gs_launches *found)
    size_t gs_device_partials(size_t n)

# What is launched, by number: kernels of a rule's module, and of the one without; SHARE is
# no kernel.
PREPARE, GATHER, STEP = GS_PREPARE, GS_GATHER, GS_STEP
SCALE, REDUCE, TOTAL, SHARE = GS_SCALE, GS_REDUCE, GS_TOTAL, GS_SHARE
# Where the sums of a record are among its doubles, and how many.
SUMS_AT, SUMS = GS_MAX_COEF // sizeof(double), GS_MAX_SUMS
# And where gs_measured has, among numbers of 4 bytes, whether a step was left out.
SKIPPED_AT = GS_SKIPPED // sizeof(uint32_t)
RECORD_BYTES = sizeof(gs_record)
MEASURED_BYTES = sizeof(gs_measured)


def partials(size_t n):
    """Doubles of room that the sums of a tensor of n elements need."""
    return gs_device_partials(n)


cdef class Launches:
    """What a step of arrays in a device's memory launches there.

    Addresses are of the device. record, measured, count, step, scalar : of what device.h
        describes; step may be 0. scalars : doubles of each tensor in scalar.
    shares : whether tensors are parts of larger ones, so that sums have to be shared.
    modules : (4, n) uint32: which one steps each tensor, takes the norm of its gradient, and
        counts what is not finite there; and its place among all parameters.
    beside : (2, n) uint64: where its sums go, and its seed.
    rates : (2, groups) uint64: where a group's lr is, 0 if it is a number; and 1 if that
        is a double.
    launch : called as launch(module, kernel, grid, threads, argument).
    """
    cdef gs_device device
    cdef gs_launches found
    cdef object launch, kept

    def __init__(
        self, uint64_t record, uint64_t measured, uint64_t count, uint64_t step,
        uint64_t scalar, uint32_t scalars, uint32_t processors, bint shares,
        const uint32_t[:, ::1] modules, const uint64_t[:, ::1] beside,
        const uint64_t[:, ::1] rates, launch,
    ):
        self.device.record, self.device.measured = record, measured
        self.device.count, self.device.step, self.device.scalar = count, step, scalar
        self.device.scalars, self.device.processors = scalars, processors
        self.device.shares = shares
        self.launch, self.kept = launch, (modules, beside, rates)
        if modules.shape[1] == 0 or rates.shape[1] == 0:
            return
        self.device.kind, self.device.norm = &modules[0, 0], &modules[1, 0]
        self.device.nonfinite, self.device.place = &modules[2, 0], &modules[3, 0]
        self.device.partial, self.device.seed = &beside[0, 0], &beside[1, 0]
        self.device.lr, self.device.lr_is_double = &rates[0, 0], &rates[1, 0]

    def __dealloc__(self):
        gs_launches_free(&self.found)

    def amp(self, uint64_t scale, uint64_t found_inf):
        """Where torch.amp has the scale of the loss, and whether gradients are finite."""
        self.device.amp_scale, self.device.found_inf = scale, found_inf

    cdef int step(self, gs_plan *plan, const gs_scaling *scaling) except -1:
        cdef gs_launch *one
        cdef size_t k
        gs_device_step(&self.device, plan, scaling, &self.found)
        if self.found.failed:
            raise MemoryError("no memory for the launches of a step")
        for k in range(self.found.count):
            one = self.found.launch + k
            self.launch(
                one.kind, one.what, one.grid, one.threads, <uintptr_t>one.argument
            )
        return 0

# Part of _core.pyx: what stands around an engine: how a step scales gradients, what it
# reports, which arrays go together, and which addresses it writes to.

cdef double CLIP_EPS = 1e-6  # beside the norm, as in torch.nn.utils.clip_grad_norm_


cdef gs_scaling scaled(double grad_scale, double clip_norm, bint guard) noexcept:
    return gs_scaling(grad_scale, clip_norm, CLIP_EPS, guard)


cdef tuple report_of(const gs_report *found):
    return (
        found.grad_norm if found.measured else None,
        found.clip_factor,
        int(found.nonfinite) if found.measured else None,
        bool(found.skipped),
    )


cdef gs_bool share_parts(void *engine, size_t live) noexcept nogil:
    """What C calls where tensors are parts of larger ones."""
    with gil:
        try:
            return (<Engine>engine).share_sums(live)
        except BaseException as error:
            (<Engine>engine).failure = error
            return False


cdef inline bint equal(const cnp.npy_intp *a, const cnp.npy_intp *b, int n) noexcept:
    """Arrays without axes have NULL for these, which memcmp must not be given."""
    return n == 0 or memcmp(a, b, n * sizeof(cnp.npy_intp)) == 0


cdef inline bint alike(cnp.ndarray p, cnp.ndarray g) noexcept:
    """Same shape, same order of elements, no gaps."""
    return (
        cnp.PyArray_NDIM(g) == cnp.PyArray_NDIM(p)
        and equal(cnp.PyArray_DIMS(g), cnp.PyArray_DIMS(p), cnp.PyArray_NDIM(p))
        and (
            (cnp.PyArray_IS_C_CONTIGUOUS(p) and cnp.PyArray_IS_C_CONTIGUOUS(g))
            or (cnp.PyArray_IS_F_CONTIGUOUS(p) and cnp.PyArray_IS_F_CONTIGUOUS(g))
        )
    )


cpdef bint unchanged(cnp.ndarray p, cnp.ndarray view) noexcept:
    """Whether p is still what it was when the view was taken."""
    cdef int n = cnp.PyArray_NDIM(view)
    return (
        cnp.PyArray_DATA(p) == cnp.PyArray_DATA(view)
        and cnp.PyArray_DESCR(p) == cnp.PyArray_DESCR(view)
        and cnp.PyArray_NDIM(p) == n
        and equal(cnp.PyArray_DIMS(p), cnp.PyArray_DIMS(view), n)
        and equal(cnp.PyArray_STRIDES(p), cnp.PyArray_STRIDES(view), n)
    )


cdef class _Ranges:
    """Ranges of addresses, in order, none of which overlap: from each start to its end."""

    def __cinit__(self, list ranges):
        self.count = len(ranges)
        self.low = <uintptr_t *>malloc((self.count + 1) * sizeof(uintptr_t))
        self.high = <uintptr_t *>malloc((self.count + 1) * sizeof(uintptr_t))
        if self.low == NULL or self.high == NULL:
            raise MemoryError("no memory for the address ranges of an optimizer")
        for k, (start, end) in enumerate(ranges):
            self.low[<size_t>k] = start
            self.high[<size_t>k] = end

    def __dealloc__(self):
        free(self.low)
        free(self.high)

    cdef bint meets(self, uintptr_t at, size_t bytes) noexcept:
        """Whether one of them and these bytes have an address in common."""
        cdef size_t left = 0, right = self.count, middle
        if bytes == 0:
            return False
        while left < right:  # the first range that ends after `at`
            middle = (left + right) // 2
            if self.high[middle] <= at:
                left = middle + 1
            else:
                right = middle
        return left < self.count and self.low[left] < at + bytes

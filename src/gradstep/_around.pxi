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


cdef inline bint is_of_type(cnp.ndarray a, int type_number) noexcept:
    """Whether an array is of a dtype, in native byte order."""
    return cnp.PyArray_TYPE(a) == type_number and cnp.PyArray_ISNOTSWAPPED(a)


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


cdef object view_of = np.ndarray.view


cdef cnp.ndarray base_view(cnp.ndarray a):
    """A plain numpy.ndarray of the same memory, shape and dtype; runs no user's code."""
    return view_of(a, np.ndarray)


# Loops, no comprehensions, where memory may be short: if a list cannot grow, what Cython
# 3.3 makes of a comprehension releases the element twice.
cdef tuple base_views(arrays):
    cdef list views = []
    for a in arrays:
        views.append(base_view(a))
    return tuple(views)


cdef object memory_of(a):
    """What an array, or a buffer of one, is a view of; None where that is unknown."""
    if isinstance(a, np.ndarray):
        return <object>cnp.PyArray_BASE(a) if cnp.PyArray_BASE(a) != NULL else None
    if isinstance(a, memoryview):
        return a.obj
    # as_strided puts an object of NumPy's own between an array and what it views.
    return getattr(a, "base", None) if type(a).__module__.startswith("numpy.") else None


cdef list owners_of(array):
    """The arrays that own the memory that an array views, itself not among them."""
    cdef list owners = []
    owner = memory_of(array)
    while owner is not None:
        if isinstance(owner, np.ndarray) and cnp.PyArray_CHKFLAGS(
            owner, cnp.NPY_ARRAY_OWNDATA
        ):
            owners.append(owner)
        owner = memory_of(owner)
    return owners


cdef bint has_memory_of(cnp.ndarray owner, cnp.ndarray view) noexcept:
    """Whether an array owns what it owned when the view was taken, in whatever shape."""
    return (
        cnp.PyArray_DATA(owner) == cnp.PyArray_DATA(view)
        and cnp.PyArray_NBYTES(owner) == cnp.PyArray_NBYTES(view)
    )


cdef class MemoryWatch:
    """Notices that arrays have been resized, reshaped or given another dtype or memory.

    It notes how the arrays, which messages call `name`, are now, and where the memory is
    of those that own it. It keeps views of all: numpy.ndarray.resize sees them in use.
    With `is_pinning`, nobody can resize them as long as this is alive."""

    def __cinit__(self, str name, arrays, *, bint is_pinning=False):
        self.name = name
        self.arrays = tuple(arrays)
        cdef list owners = []
        for a in self.arrays:
            owners += owners_of(a)
        self.owners = tuple(owners)
        self.views = base_views(self.arrays)
        self.owner_views = base_views(self.owners)
        self.pins = self.pin() if is_pinning else None

    cpdef bint holds(self) noexcept:
        """Whether all arrays are still what they were."""
        cdef Py_ssize_t i
        for i in range(len(self.arrays)):
            if not unchanged(self.arrays[i], self.views[i]):
                return False
        return self.owners_hold()

    cdef bint owners_hold(self) noexcept:
        cdef Py_ssize_t i
        for i in range(len(self.owners)):
            if not has_memory_of(
                <cnp.ndarray>self.owners[i], <cnp.ndarray>self.owner_views[i]
            ):
                return False
        return True

    cpdef int check(self) except -1:
        """Raise if they are not."""
        if not self.holds():
            raise ValueError(
                f"{self.name} was resized or reshaped while it was in use; pass a copy"
            )
        return 0

    cdef list pin(self):
        """Check, and keep NumPy from resizing an array, in whatever thread, as long as
        what this returns is alive: it refuses to where there are weak references."""
        self.check()
        cdef list pins = []
        for a in (*self.arrays, *self.owners):
            pins.append(PyWeakref_NewRef(a, None))
        return pins


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

# Part of _lls.pyx: what minimisers need that use all rows in each step.

cdef extern from "conjugate.h" nogil:
    double gs_dot(const double *a, const double *b, size_t n)
    void gs_conjugate(
        double *direction, const double *earlier, const double *images, size_t count,
        size_t n,
    )


# Of a system, whose batch is all rows: as few waits for threads as a cache allows.
cdef size_t SYSTEM_BYTES = 1 << 19


cdef class System:
    """All rows of a problem at once, in float64: struct gs_lls_system of csrc/lls.h.

    `columns` of coefficients, of which the first are those of targets; room for sums of
    as many pieces as there are in `rows`, if there is cache for them. Arrays must be
    C-ordered float64 of the shapes that are named; `gradstep.lls` sees to it that numbers
    of rows are those of rows.
    """
    cdef gs_lls p
    cdef gs_lls_system system
    cdef int real
    cdef tuple data
    cdef MemoryWatch watch
    cdef tuple point
    cdef list room

    def __init__(self, size_t features, size_t columns, cnp.dtype dtype, size_t rows=0):
        cdef bint single = dtype.num == cnp.NPY_FLOAT32
        cdef size_t size
        self.real = cnp.NPY_FLOAT32 if single else cnp.NPY_FLOAT64
        self.p.ops = table().lls_f32 if single else table().lls_f64
        self.p.model.L = self.system.L = features
        self.p.model.K = self.system.K = columns
        size = max(<size_t>1, gs_lls_sums(&self.p.model))
        self.p.pieces = max(MOST_PIECES, SYSTEM_BYTES // (8 * size))
        self.p.pieces = min(self.p.pieces, PIECE_BYTES // (8 * size), rows // GS_PIECE)
        self.p.pieces = max(<size_t>1, self.p.pieces)
        self.room = [np.zeros(size), np.zeros(self.p.pieces * size)]
        self.p.sums = <double *>data_of(self.room[0])
        self.p.piece = <double *>data_of(self.room[1])

    def set_data(self, tuple X, y, weight=None, MemoryWatch watch=None):
        """Rows come from here from now on, as for `Loop`; but y, of at most as many
        columns as there are of coefficients, may be float64 whatever X is."""
        cdef size_t targets = 0
        if watch is not None:
            watch.check()
        if y is not None and cnp.PyArray_NDIM(<cnp.ndarray?>y) == 2:
            targets = cnp.PyArray_DIM(<cnp.ndarray>y, 1)
        if targets > self.system.K or not rows_fit(
            X, y, weight, self.real, self.system.L, targets, True
        ):
            raise ValueError("rows do not fit the system in shape, dtype or order")
        self.data, self.watch = (X, y, weight), watch
        set_rows(&self.p, X, y, weight)
        self.system.targets = targets
        if y is not None:
            self.p.data.wide_targets = cnp.PyArray_TYPE(<cnp.ndarray>y) == cnp.NPY_FLOAT64

    cdef object hold_data(self, rows):
        """Check numbers of rows, and refuse data that users have resized; while what this
        returns is alive, nobody can resize it."""
        if self.data is None:
            raise ValueError("a system needs rows: call set_data first")
        check_row_numbers(rows)
        return None if self.watch is None else self.watch.pin()

    def set_point(self, centre, base, step, constant, unit, step_constant):
        """Residuals are those of `base` (K, L), or None for zeros, plus `step` (K, L);
        centre is (L,), the others (K,)."""
        cdef size_t K = self.system.K, L = self.system.L
        check_vector("centre", centre, L)
        if base is not None:
            check_matrix("base", base, K, L)
        check_matrix("step", step, K, L)
        check_vector("constant", constant, K)
        check_vector("unit", unit, K)
        check_vector("step_constant", step_constant, K)
        self.point = (centre, base, step, constant, unit, step_constant)
        self.system.centre = <const double *>data_of(centre)
        self.system.base = <const double *>data_of(base)
        self.system.step = <const double *>data_of(step)
        self.system.constant = <const double *>data_of(constant)
        self.system.unit = <const double *>data_of(unit)
        self.system.step_constant = <const double *>data_of(step_constant)

    def add(self, cnp.ndarray rows):
        """Add what these rows, int64, give."""
        cdef gs_lls_route route
        if self.point is None:
            raise ValueError("a system needs coefficients: call set_point first")
        pins = self.hold_data(rows)
        route.rows = route.soon = at(rows)
        route.count = rows.size
        route.foreseen = 0
        with nogil:
            lls_system_add(&self.p, &self.system, route)

    def collect(self):
        """Return the sums since the last call: (K, L) of s r (x - centre) for dense rows
        and s r x for sparse ones, (K,) of s r, (K,) of s r^2."""
        cdef size_t K = self.p.model.K, L = self.p.model.L
        sums = np.empty(K * (L + 2))
        lls_collect(&self.p, <double *>data_of(sums))
        return sums[: K * L].reshape(K, L), sums[K * L : K * L + K], sums[K * L + K :]

    def extents(self, cnp.ndarray rows, cnp.ndarray about, cnp.ndarray extents):
        """Add to (1 + 2 L,): the sum of weights, the weighted sums of x - about, and the
        largest absolute values of these."""
        cdef size_t n = rows.size, L = self.system.L
        check_vector("about", about, L)
        check_vector("extents", extents, 1 + 2 * L)
        pins = self.hold_data(rows)
        cdef const int64_t *order = at(rows)
        cdef const double *centre = <const double *>data_of(about)
        cdef double *sums = <double *>data_of(extents)
        with nogil:
            lls_extents(&self.p, order, n, centre, sums)

    def spreads(
        self, cnp.ndarray rows, cnp.ndarray centre, cnp.ndarray unit,
        cnp.ndarray spreads,
    ):
        """Add to (2 L,): the weighted sums of ((x - centre) unit)^2; and of sparse rows
        those of the weights of what is stored."""
        cdef size_t n = rows.size, L = self.system.L
        check_vector("centre", centre, L)
        check_vector("unit", unit, L)
        check_vector("spreads", spreads, 2 * L)
        pins = self.hold_data(rows)
        cdef const int64_t *order = at(rows)
        cdef const double *about = <const double *>data_of(centre)
        cdef const double *units = <const double *>data_of(unit)
        cdef double *sums = <double *>data_of(spreads)
        with nogil:
            lls_spreads(&self.p, order, n, about, units, sums)


def dot(cnp.ndarray a, cnp.ndarray b):
    """The product of two contiguous float64 arrays of shape (n,), in a fixed order."""
    check_vector("a", a, a.size)
    check_vector("b", b, a.size)
    return gs_dot(<double *>data_of(a), <double *>data_of(b), a.size)


def conjugate(
    cnp.ndarray direction, cnp.ndarray earlier, cnp.ndarray images, size_t count
):
    """Make a direction (n,) conjugate, in place, to the first `count` rows of `earlier`,
    whose images are the rows of `images`; all float64 and contiguous."""
    cdef size_t n = direction.size, room = len(earlier)
    check_vector("direction", direction, n)
    check_matrix("earlier", earlier, room, n)
    check_matrix("images", images, room, n)
    if count > room:
        raise ValueError(f"count must be at most {room}, the rows of earlier, got {count}")
    cdef double *p = <double *>data_of(direction)
    cdef const double *past = <const double *>data_of(earlier)
    cdef const double *image = <const double *>data_of(images)
    with nogil:
        gs_conjugate(p, past, image, count, n)

# cython: language_level=3, boundscheck=False, wraparound=False
# cython: freethreading_compatible=True, auto_pickle=False, autotestdict=False
"""Hands the arrays of a least-squares problem to the C loop of csrc/lls_run.h."""

cimport numpy as cnp
from libc.stdint cimport int64_t, uint32_t

import numpy as np

from gradstep._core cimport (
    GS_CSR32,
    GS_CSR64,
    GS_DENSE,
    GS_LLS_PACKED,
    GS_PIECE,
    Engine,
    MemoryWatch,
    gs_lls,
    gs_lls_route,
    gs_lls_sums,
    gs_lls_system,
    lls_collect,
    lls_evaluate,
    lls_extents,
    lls_finish,
    lls_flush,
    lls_moments,
    lls_run,
    lls_spreads,
    lls_system_add,
    lls_waiting,
    table,
)
from gradstep.capi cimport gs_group, gs_kernel, gs_segment

cnp.import_array()


cdef size_t MOST_PIECES = 16  # of a batch that are summed at a time
cdef size_t PIECE_BYTES = 1 << 24  # of all their sums
cdef size_t AHEAD = 16, AHEAD_NARROW = 32  # rows that are fetched before their turn


cdef int64_t *at(cnp.ndarray a) noexcept:
    return <int64_t *>cnp.PyArray_DATA(a)


cdef void *data_of(a) noexcept:
    return NULL if a is None else cnp.PyArray_DATA(<cnp.ndarray>a)


cdef void set_rows(gs_lls *p, tuple X, y, weight) noexcept:
    """X is (values,) of a matrix, or (values, columns, starts) of a sparse one."""
    p.data.form = GS_DENSE
    p.data.X = data_of(X[0])
    p.data.column = p.data.start = NULL
    p.data.y = data_of(y)
    p.data.weight = <const double *>data_of(weight)
    if len(X) > 1:
        narrow = cnp.PyArray_ITEMSIZE(<cnp.ndarray>X[1]) == 4
        p.data.form = GS_CSR32 if narrow else GS_CSR64
        p.data.column = data_of(X[1])
        p.data.start = data_of(X[2])


cdef bint is_vector(a, int type_number, cnp.npy_intp n):
    """Whether C can read an array as so many numbers, -1 for any, one after the other."""
    return (
        is_readable(a, type_number, 1)
        and (n < 0 or cnp.PyArray_DIM(<cnp.ndarray>a, 0) == n)
    )


cdef bint is_matrix(a, int type_number, cnp.npy_intp n, cnp.npy_intp m):
    """Whether C can read an array as an n x m matrix, row after row."""
    return (
        is_readable(a, type_number, 2)
        and cnp.PyArray_DIM(<cnp.ndarray>a, 0) == n
        and cnp.PyArray_DIM(<cnp.ndarray>a, 1) == m
    )


cdef bint is_readable(a, int type_number, int axes):
    return (
        isinstance(a, np.ndarray)
        and cnp.PyArray_NDIM(<cnp.ndarray>a) == axes
        and cnp.PyArray_EquivTypenums(cnp.PyArray_TYPE(<cnp.ndarray>a), type_number)
        and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>a)
    )


cdef bint is_stepped(const gs_segment *s, const void *array, size_t n) noexcept:
    return s.p == array and s.n == n and s.storage == NULL


cdef int integer_type(cnp.ndarray a):
    """The number of int32 or int64, whichever has as many bytes."""
    cdef bint is_narrow = cnp.PyArray_ITEMSIZE(a) == 4
    return cnp.NPY_INT32 if is_narrow else cnp.NPY_INT64


cdef bint rows_fit(
    tuple X, y, weight, int real, cnp.npy_intp L, cnp.npy_intp K, bint is_wide
) except -1:
    """Whether C can read X as rows of L numbers of a type, y as K targets of each, and a
    weight for each; with `is_wide`, y may be float64 instead."""
    cdef cnp.npy_intp N
    cdef cnp.ndarray values = X[0], columns, starts
    if len(X) == 1:
        N = cnp.PyArray_DIM(values, 0) if cnp.PyArray_NDIM(values) == 2 else -1
        if not is_matrix(values, real, N, L):
            return False
    else:
        columns, starts = X[1], X[2]
        if not (
            is_vector(values, real, -1)
            and is_vector(columns, integer_type(columns), cnp.PyArray_SIZE(values))
            and is_vector(starts, integer_type(columns), -1)
        ):
            return False
        N = cnp.PyArray_SIZE(starts) - 1
    return (
        y is None
        or is_matrix(y, real, N, K)
        or (is_wide and is_matrix(y, cnp.NPY_FLOAT64, N, K))
    ) and (weight is None or is_vector(weight, cnp.NPY_FLOAT64, N))


cdef int check_row_numbers(rows) except -1:
    if not is_vector(rows, cnp.NPY_INT64, -1):
        raise ValueError("numbers of rows must be int64 in one C-ordered axis")
    return 0


cdef int check_vector(str name, a, cnp.npy_intp n) except -1:
    if not is_vector(a, cnp.NPY_FLOAT64, n):
        raise ValueError(f"{name} must be C-ordered float64 of shape ({n},)")
    return 0


cdef int check_matrix(str name, a, cnp.npy_intp n, cnp.npy_intp m) except -1:
    if not is_matrix(a, cnp.NPY_FLOAT64, n, m):
        raise ValueError(f"{name} must be C-ordered float64 of shape ({n}, {m})")
    return 0


cdef class Loop:
    """Batches of rows to updates by an engine of w, or of w and b.

    `model` holds the arrays of gs_lls_model by name, None for those that are not: w, b,
    g, gb and u of one type, the others float64, C-ordered and of fitting shapes;
    `gradstep.lls.model` makes them so. Without an engine there is only `evaluate`. An update by sparse rows costs in proportion to the columns
    that they touch, if the rule leaves the others alone.
    """
    cdef gs_lls p
    cdef readonly Engine engine
    cdef dict model
    cdef tuple data
    cdef MemoryWatch watch
    cdef list room
    cdef object sums
    cdef cnp.ndarray place
    cdef cnp.ndarray column

    def __init__(
        self, object engine, dict model, *, size_t batch, double ridge=0.0,
        bint divide=False,
    ):
        cdef cnp.ndarray w = model["w"]
        cdef bint single = cnp.PyArray_TYPE(w) == cnp.NPY_FLOAT32
        cdef size_t size
        self.engine = engine
        # Views of our own: users see the arrays themselves, and may do as they like.
        self.model = {
            name: None if a is None else np.ndarray.view(a, np.ndarray)
            for name, a in model.items()
        }
        self.p.ops = table().lls_f32 if single else table().lls_f64
        self.p.model.K = cnp.PyArray_DIM(w, 0)
        self.p.model.L = cnp.PyArray_DIM(w, 1)
        self.p.model.w = data_of(w)
        self.p.model.b = data_of(model["b"])
        self.p.model.g = data_of(model["g"])
        self.p.model.gb = data_of(model["gb"])
        self.p.model.mean = <const double *>data_of(model["mean"])
        self.p.model.inverse = <const double *>data_of(model["inverse"])
        self.p.model.u = data_of(model["u"])
        self.p.model.wide = <double *>data_of(model["wide"])
        self.p.model.c = <double *>data_of(model["c"])
        self.p.model.total = <double *>data_of(model["total"])
        self.p.model.ridge = ridge
        self.p.model.divide = divide
        self.p.batch = batch
        size = max(<size_t>1, gs_lls_sums(&self.p.model))
        self.p.pieces = min(MOST_PIECES, PIECE_BYTES // (8 * size), batch // GS_PIECE)
        if self.p.pieces == 0:
            self.p.pieces = 1
        self.sums = np.zeros(size)
        self.room = [np.zeros(self.p.pieces * size)]
        self.p.sums = <double *>data_of(self.sums)
        self.p.piece = <double *>data_of(self.room[0])
        self.place = self.column = None

    cdef int make_room(self) except -1:
        """For updates of the columns that are touched."""
        cdef cnp.ndarray w = self.model["w"]
        cdef size_t k
        self.column = np.empty(self.p.model.L + 1, np.int64)
        self.place = np.zeros(self.p.model.L, np.uint32)
        self.p.touched.column = <int64_t *>data_of(self.column)
        for k in range(<size_t>GS_LLS_PACKED):
            packed = np.empty(w.size, w.dtype)
            self.p.touched.packed[k] = data_of(packed)
            self.room.append(packed)
        return 0

    def set_data(self, tuple X, y, weight=None, MemoryWatch watch=None):
        """Rows come from here from now on: X is (values,) of a matrix or (values, columns,
        starts) of a sparse one, whose indices csr_check has seen; y is (N, K) or None for
        zeros, `weight` (N,) float64 or None. All are checked by `watch` before each use."""
        if watch is not None:
            watch.check()
        cdef int real = cnp.PyArray_TYPE(<cnp.ndarray>self.model["w"])
        if not rows_fit(X, y, weight, real, self.p.model.L, self.p.model.K, False):
            raise ValueError("rows do not fit the model in shape, dtype or order")
        self.data, self.watch = (X, y, weight), watch
        set_rows(&self.p, X, y, weight)
        if self.p.data.form != GS_DENSE:
            if self.place is None and self.engine is not None:
                self.make_room()

    cdef object hold_data(self):
        """Refuse data that users have resized; while what this returns is alive, nobody
        can resize it."""
        return None if self.watch is None else self.watch.pin()

    cdef bint rests(self) noexcept:
        """Whether a column that no row touches stays as it is in the next update."""
        cdef const gs_kernel *kernel = self.engine.plan.tensor[0].segment.kernel
        cdef gs_group *group = &self.engine.plan.group[self.engine.plan.tensor[0].group]
        return (
            self.p.data.form != GS_DENSE
            and self.p.model.inverse == NULL
            and self.p.model.total == NULL
            and self.p.model.ridge == 0
            and kernel.rests != NULL
            and kernel.rests(group.hyper)
            and group.grad_scale == 1
            and not self.clips()
        )

    cdef bint clips(self) noexcept:
        """A norm is that of all gradients together, touched or not."""
        cdef size_t j
        for j in range(self.engine.plan.groups):
            if self.engine.plan.group[j].clip_norm > 0:
                return True
        return False

    cdef int begin(self) except -1:
        """Under the engine's lock: take over its options."""
        cdef size_t i
        self.engine.refresh()
        self.p.plan = &self.engine.plan
        for i in range(self.p.plan.tensors):
            self.engine.check_unchanged(i, "", True)
        if not self.is_engine_of_model():
            raise ValueError(
                f"{self.engine.owner} steps other arrays than the coefficients, or not yet"
            )
        cdef bint now = self.place is not None and self.rests()
        cdef bint then = self.p.touched.place != NULL
        if then and not now:
            self.spread()
            self.p.touched.place = NULL
        elif now and self.p.filled == 0:
            self.p.touched.place = <uint32_t *>data_of(self.place)
        self.engine.plan.tensor[0].segment.g = self.p.model.g
        if self.p.model.b != NULL:
            self.engine.plan.tensor[1].segment.g = self.p.model.gb
        return 0

    cdef bint is_engine_of_model(self) noexcept:
        """Whether the engine steps w, and b if there is one, as they lie in memory."""
        cdef size_t count = 2 if self.p.model.b != NULL else 1
        if self.p.plan.tensors != count or not self.engine.ready:
            return False
        return is_stepped(
            &self.p.plan.tensor[0].segment, self.p.model.w, self.p.model.K * self.p.model.L
        ) and (
            self.p.model.b == NULL
            or is_stepped(&self.p.plan.tensor[1].segment, self.p.model.b, self.p.model.K)
        )

    cdef int spread(self) except -1:
        """From sums of touched columns to sums of all."""
        cdef size_t count = self.p.touched.count, size = self.p.model.L * self.p.model.K
        all_sums = self.room[0][:size].reshape(self.p.model.K, self.p.model.L)
        touched = self.column[:count]
        sums = all_sums[:, :count].copy()
        all_sums.fill(0)
        all_sums[:, touched] = sums
        self.place[touched] = 0
        self.p.touched.count = 0
        return 0

    cdef void end(self) noexcept:
        cdef size_t i
        for i in range(self.engine.plan.tensors):
            self.engine.plan.tensor[i].segment.g = NULL
        self.engine.leave()

    cdef gs_lls_route route(self, cnp.ndarray rows, cnp.ndarray soon):
        """By default, what comes some rows later is fetched with each."""
        for numbers in (rows, soon):
            if numbers is not None:
                check_row_numbers(numbers)
        cdef gs_lls_route found
        cdef size_t ahead = AHEAD_NARROW if self.p.model.L < 16 else AHEAD
        found.rows = at(rows)
        found.count = rows.size
        if soon is not None:
            found.soon = at(soon)
            found.foreseen = min(<size_t>soon.size, found.count)
        else:
            ahead = min(ahead, found.count)
            found.soon = found.rows + ahead
            found.foreseen = found.count - ahead
        return found

    def run(self, cnp.ndarray rows, cnp.ndarray soon=None):
        """An update for every batch that these rows, int64, complete; what is left waits.
        With each of them, that of `soon` is fetched. Returns whether all coefficients are
        finite."""
        cdef gs_lls_route route = self.route(rows, soon)
        cdef bint finite
        self.engine.enter()
        try:
            self.begin()
            pins = self.hold_data()  # after begin, which runs users' code
            with nogil:
                finite = lls_run(&self.p, route)
        finally:
            self.end()
        return finite

    def flush(self):
        """An update with the rows that wait, if there are any; returns as `run`."""
        cdef bint finite
        self.engine.enter()
        try:
            self.begin()
            if self.p.filled:  # their targets will be looked at
                self.hold_data()
            with nogil:
                finite = lls_flush(&self.p)
        finally:
            self.end()
        return finite

    def forget(self):
        """Drop the rows that wait."""
        self.p.filled = 0
        self.p.filled_weight = 0
        for sums in (self.sums, self.room[0]):
            sums.fill(0)
        if self.place is not None:
            self.place.fill(0)
        self.p.touched.count = 0

    def evaluate(self, cnp.ndarray rows):
        """Add the sums of these rows, for `finish`."""
        cdef gs_lls_route route = self.route(rows, None)
        pins = self.hold_data()
        with nogil:
            lls_evaluate(&self.p, route)

    def finish(self):
        """The gradient of the rows that were evaluated goes to model["g"] and ["gb"];
        returns their sum of s r^2."""
        cdef double squares
        with nogil:
            squares = lls_finish(&self.p)
        return squares

    def loss(self, cnp.ndarray rows):
        """The mean of s r^2 over these rows, by the coefficients as they are. No row of a
        batch may wait; model["g"] and ["gb"] are overwritten."""
        cdef uint32_t *place = self.p.touched.place
        self.p.touched.place = NULL
        self.evaluate(rows)
        squares = self.finish()
        self.p.touched.place = place
        return squares / rows.size if rows.size else 0.0

    def moments(self, cnp.ndarray rows, cnp.ndarray about, cnp.ndarray moments):
        """Move them on by these rows: csrc/lls.h. All float64: about (L,), moments
        (1 + 2 L,), for sparse rows (1 + 3 L,)."""
        cdef size_t n = rows.size
        cdef const int64_t *order = at(rows)
        cdef const double *centre = <const double *>data_of(about)
        cdef double *found = <double *>data_of(moments)
        pins = self.hold_data()
        with nogil:
            lls_moments(&self.p, order, n, centre, found)

    @property
    def counted(self):
        """Rows of the updates since `clear_loss`, their sum of s r^2, and for each of them
        the penalty of its batch."""
        return self.p.counted, self.p.squares, self.p.penalties

    @property
    def last_run(self):
        """Of the updates of the last `run` or `flush`: rows, their sum of weights, and of
        s r^2."""
        return self.p.run_rows, self.p.run_weight, self.p.run_squares

    @property
    def waiting(self):
        """The sum of s r^2 of the rows that wait for their batch to be full."""
        return lls_waiting(&self.p)

    def clear_loss(self, int64_t rows=0, double squares=0, double penalties=0):
        """Begin to count anew, from here."""
        self.p.counted, self.p.squares, self.p.penalties = rows, squares, penalties

    @property
    def ridge(self):
        """The penalty for each row."""
        return self.p.model.ridge

    @ridge.setter
    def ridge(self, double value):
        self.p.model.ridge = value

    @property
    def updates(self):
        return self.p.updates

    @updates.setter
    def updates(self, int64_t count):
        self.p.updates = count

    @property
    def filled(self):
        """Rows that wait for their batch to be full."""
        return self.p.filled

    @property
    def averaged(self):
        """How many updates are in model["total"]."""
        return self.p.averaged

    @averaged.setter
    def averaged(self, int64_t count):
        self.p.averaged = count

    def set_total(self, total):
        """Add the coefficients after each update to this array from now on."""
        cdef size_t K = self.p.model.K, n = K * self.p.model.L
        n += K if self.p.model.b != NULL else 0
        if total is not None:
            check_vector("total", total, n)
        self.model["total"] = total
        self.p.model.total = <double *>data_of(total)


include "_system.pxi"

# cython: language_level=3, boundscheck=False, wraparound=False
# cython: freethreading_compatible=True, auto_pickle=False, autotestdict=False
"""Pointers, checks and the GIL. No rule is named here and no element is computed."""

cimport numpy as cnp
from cpython.dict cimport PyDict_GetItem
from cpython.exc cimport PyErr_WarnEx
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_New
from cpython.weakref cimport PyWeakref_NewRef
from libc.limits cimport INT_MIN
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memset, strcmp

import functools
import os

import numpy as np

from gradstep import checks, dtypes

from gradstep.capi cimport (
    GRADSTEP_API,
    GS_MAX_HYPER,
    GS_MAX_SUMS,
    gradstep_api,
    gs_bool,
    gs_codec,
    gs_coded,
    gs_report,
    gs_scaling,
    gs_segment,
    gs_storage,
    gs_tensor,
    gs_text,
)

cnp.import_array()


cdef extern from "plan.h" nogil:
    bint gs_plan_init(gs_plan *plan, size_t tensors, size_t groups) noexcept
    bint gs_plan_reserve(gs_plan *plan) noexcept
    bint gs_plan_reserve_storage(gs_plan *plan) noexcept
    void gs_plan_free(gs_plan *plan) noexcept
    gs_report gs_plan_step(gs_plan *plan, const gs_scaling *scaling) noexcept
    gs_report gs_plan_measure(gs_plan *plan, const gs_scaling *scaling) noexcept
    void gs_plan_sums(gs_plan *plan) noexcept
    bint gs_plan_enter(gs_plan *plan)
    void gs_plan_leave(gs_plan *plan)

cdef extern from "lls_run.h" nogil:
    bint gs_lls_run(gs_lls *p, gs_lls_route route)
    bint gs_lls_flush(gs_lls *p)
    void gs_lls_evaluate(gs_lls *p, gs_lls_route route)
    double gs_lls_finish(gs_lls *p)
    double gs_lls_waiting(const gs_lls *p)
    void gs_lls_system_add(gs_lls *p, const gs_lls_system *s, gs_lls_route route)
    void gs_lls_collect(gs_lls *p, double *sums)
    void gs_lls_extents(
        const gs_lls *p, const int64_t *rows, size_t n, const double *about,
        double *extents,
    )
    void gs_lls_spreads(
        const gs_lls *p, const int64_t *rows, size_t n, const double *centre,
        const double *unit, double *spreads,
    )
    void gs_lls_moments(
        const gs_lls *p, const int64_t *rows, size_t n, const double *about,
        double *moments,
    )

cdef extern from "dispatch.h" nogil:
    const gs_kernel *gs_find(const gs_table *table, const char *rule, const char *dtype)
    const gs_text *gs_isa_names
    const gs_table *gs_dispatch(const char *cap)

cdef extern from "memory.h" nogil:
    enum:
        GS_HUGE_PAGE
    ctypedef struct gs_memory:
        void *data
    bint gs_memory_new(gs_memory *memory, size_t bytes, size_t residue, bint zeroed)
    void gs_memory_free(gs_memory *memory)

cdef extern from "Python.h":
    int Py_AddPendingCall(int (*call)(void *) except -1, void *at) nogil

cdef extern from "run.h" nogil:
    bint gs_set_threads(int n, bint as_limit)
    int gs_threads()
    int gs_openmp_threads()
    int gs_startable_threads(int n)
    void gs_report_shortage(void (*report)(int requested, int available) noexcept nogil)

cdef extern from "fpenv.h" nogil:
    ctypedef struct gs_fpenv:
        pass
    bint gs_fpenv_is_default()
    gs_fpenv gs_fpenv_enter()
    void gs_fpenv_leave(gs_fpenv before)

cdef extern from "<fenv.h>" nogil:
    ctypedef struct fenv_t:
        pass
    const fenv_t *FE_DFL_ENV
    int fegetenv(fenv_t *environment)
    int fesetenv(const fenv_t *environment)

cdef extern from "codec.h" nogil:
    enum:
        GS_SCALED

cdef extern from "line.h" nogil:
    enum:
        GS_LINE


# ---- the CPU level and the threads ---------------------------------------------------

cdef const gs_table *chosen = NULL
cdef dict by_name = {}  # its kernels


cdef const gs_table *table() noexcept nogil:
    return chosen


cdef gs_report plan_step(gs_plan *plan, const gs_scaling *scaling) noexcept nogil:
    return gs_plan_step(plan, scaling)


cdef bint lls_run(gs_lls *p, gs_lls_route route) noexcept nogil:
    return gs_lls_run(p, route)


cdef bint lls_flush(gs_lls *p) noexcept nogil:
    return gs_lls_flush(p)


cdef void lls_evaluate(gs_lls *p, gs_lls_route route) noexcept nogil:
    gs_lls_evaluate(p, route)


cdef double lls_finish(gs_lls *p) noexcept nogil:
    return gs_lls_finish(p)


cdef double lls_waiting(const gs_lls *p) noexcept nogil:
    return gs_lls_waiting(p)


cdef void lls_system_add(
    gs_lls *p, const gs_lls_system *s, gs_lls_route route
) noexcept nogil:
    gs_lls_system_add(p, s, route)


cdef void lls_collect(gs_lls *p, double *sums) noexcept nogil:
    gs_lls_collect(p, sums)


cdef void lls_extents(
    const gs_lls *p, const int64_t *rows, size_t n, const double *about,
    double *extents,
) noexcept nogil:
    gs_lls_extents(p, rows, n, about, extents)


cdef void lls_spreads(
    const gs_lls *p, const int64_t *rows, size_t n, const double *centre,
    const double *unit, double *spreads,
) noexcept nogil:
    gs_lls_spreads(p, rows, n, centre, unit, spreads)


cdef void lls_moments(
    const gs_lls *p, const int64_t *rows, size_t n, const double *about, double *moments
) noexcept nogil:
    gs_lls_moments(p, rows, n, about, moments)


cdef tuple strings(const gs_text *p):
    cdef list out = []
    while p[0] != NULL:
        out.append(p[0].decode())
        p += 1
    return tuple(out)


def levels():
    """Names of the CPU levels in this build, best first."""
    return strings(gs_isa_names)


def choose(cap):
    """Take the best kernels that this CPU runs, none above the level `cap` if given."""
    global chosen, by_name
    if cap is not None and cap not in levels():
        raise ValueError(
            f"GRADSTEP_ISA must be one of {', '.join(levels())}, got {cap!r}; "
            "unset it to use the best that this CPU has"
        )
    cdef bytes name
    if cap is None:
        chosen = gs_dispatch(NULL)
    else:
        name = cap.encode()
        chosen = gs_dispatch(name)
    if chosen == NULL:
        raise ImportError(f"this CPU has none of the levels {', '.join(levels())}")
    by_name = wrapped(chosen)


def isa():
    """Return the name of the CPU level whose kernels run.

    Returns
    -------
    str
        ``"v4"``, ``"v3"`` or ``"v2"`` on x86-64, otherwise ``"base"``. It is the best that
        the CPU has, capped by the environment variable ``GRADSTEP_ISA`` at import.
    """
    return chosen.isa.decode()


def set_num_threads(int n, bint as_limit):
    """Spread large steps over n threads; False in a forked child, which keeps to 1.

    With `as_limit`, over fewer where OpenMP allows fewer.
    """
    return gs_set_threads(n, as_limit)


def openmp_threads():
    """Return how many threads OpenMP allows the calling thread."""
    return gs_openmp_threads()


def startable_threads(int n):
    """Return how many of n threads steps of the calling thread can have."""
    cdef int startable
    with nogil:
        startable = gs_startable_threads(n)
    return startable


cdef int requested_threads, available_threads


cdef int warn_of_shortage(void *_) except -1:
    PyErr_WarnEx(
        RuntimeWarning,
        (
            f"{requested_threads} threads cannot be started; large steps use "
            f"{available_threads} from now on, with the same results. Raise RLIMIT_NPROC, "
            "the control group's pids.max or the memory limit, or set GRADSTEP_NUM_THREADS"
        ).encode(),
        1,
    )
    return 0


cdef void report_shortage(int requested, int available) noexcept nogil:
    """Have the main thread warn as soon as it runs Python again."""
    global requested_threads, available_threads
    requested_threads, available_threads = requested, available
    Py_AddPendingCall(warn_of_shortage, NULL)


gs_report_shortage(report_shortage)


def get_num_threads():
    return gs_threads()


# ---- kernels -------------------------------------------------------------------------

cdef class Kernel:
    """One rule for one dtype: its names, as the C header spells them."""

    def __repr__(self):
        return f"<gradstep kernel {self.rule} {self.dtype} ({isa()})>"


cdef Kernel wrap(const gs_kernel *ptr):
    cdef Kernel k = Kernel.__new__(Kernel)
    k.ptr = ptr
    k.rule = ptr.rule.decode()
    k.dtype = ptr.dtype.decode()
    k.hyper = strings(ptr.hyper)
    k.state = strings(ptr.state)
    k.scalar = strings(ptr.scalar)
    k.copies = tuple([
        name for i, name in enumerate(k.state) if ptr.copies >> <int>i & 1
    ])
    k.sums = ptr.sums
    k.steps = ptr.step != NULL
    k.rests = ptr.rests != NULL
    k.across = ptr.across
    return k


cdef dict wrapped(const gs_table *table):
    cdef const gs_kernel **k = <const gs_kernel **>table.kernel
    cdef dict out = {}
    while k[0] != NULL:
        kernel = wrap(k[0])
        out[kernel.rule, kernel.dtype] = kernel
        k += 1
    return out


def kernels():
    """All kernels of this build."""
    return list(by_name.values())


def find(str rule, str dtype):
    """The kernel of a rule for a dtype word; KeyError if there is none."""
    return by_name[rule, dtype]


# ---- codes ---------------------------------------------------------------------------

SCALED = GS_SCALED


cdef const gs_codec *find_codec(str code) except NULL:
    cdef bytes name = code.encode()
    cdef const gs_codec *found = chosen.codec
    while found.name != NULL:
        if strcmp(found.name, name) == 0:
            return found
        found += 1
    raise KeyError(code)


cdef bint holds_code(str code, cnp.ndarray a) except -1:
    """Whether an array's dtype is that of a code, or that of its bits."""
    cdef int type_number = cnp.PyArray_TYPE(a)
    if not cnp.PyArray_ISNOTSWAPPED(a):
        return False
    if code == "blocks":
        return type_number == cnp.NPY_UINT8
    if type_number == cnp.NPY_UINT16:
        return True
    word = dtypes.code_of(<object>cnp.PyArray_DESCR(a))
    return word == ("f16" if code == "f16" else "bf16")


cdef bint holds_beside(str code, cnp.ndarray a) noexcept:
    """Whether an array's dtype is that of what stands beside arrays in a code."""
    if code == "blocks":
        return is_of_type(a, cnp.NPY_FLOAT32)
    # Bits, which torch has as int16.
    return is_of_type(a, cnp.NPY_UINT16) or is_of_type(a, cnp.NPY_INT16)


cdef gs_coded coded_array(str code, cnp.ndarray a, cnp.ndarray beside) except *:
    """An array and what stands beside it, checked, as C takes it."""
    cdef gs_coded found = gs_coded(find_codec(code), cnp.PyArray_DATA(a), NULL, 0)
    cdef size_t n = cnp.PyArray_SIZE(a)
    cdef size_t share = found.codec.share
    if not holds_code(code, a):
        raise ValueError(f"an array of {<object>cnp.PyArray_DESCR(a)} is not in the code {code}")
    if found.codec.beside_size:
        if (
            beside is None
            or <size_t>cnp.PyArray_NBYTES(beside)
            != (n + share - 1) // share * found.codec.beside_size
            or not holds_beside(code, beside)
            or not cnp.PyArray_ISBEHAVED(beside)
            or not cnp.PyArray_ISONESEGMENT(beside)
        ):
            raise ValueError(f"what stands beside an array in {code} does not fit it")
        found.beside = cnp.PyArray_DATA(beside)
    return found


def encode(str code, cnp.ndarray x, cnp.ndarray a, cnp.ndarray beside):
    """Write float32 numbers to an array in code, in the order of memory."""
    cdef gs_coded found = coded_array(code, a, beside)
    if not (
        cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT32
        and cnp.PyArray_ISCARRAY_RO(x)
        and cnp.PyArray_SIZE(x) == cnp.PyArray_SIZE(a)
        and cnp.PyArray_ISONESEGMENT(a)
        and cnp.PyArray_ISWRITEABLE(a)
    ):
        raise ValueError("numbers to encode do not fit the array")
    cdef gs_fpenv before = gs_fpenv_enter()
    found.codec.encode(&found, 0, cnp.PyArray_SIZE(x), <float *>cnp.PyArray_DATA(x))
    gs_fpenv_leave(before)


def decode(str code, cnp.ndarray a, cnp.ndarray beside):
    """The float32 numbers of an array in code, flat, in the order of memory."""
    cdef gs_coded found = coded_array(code, a, beside)
    if not cnp.PyArray_ISONESEGMENT(a):
        raise ValueError("an array to decode has gaps")
    cdef cnp.ndarray x = np.empty(cnp.PyArray_SIZE(a), np.float32)
    cdef gs_fpenv before = gs_fpenv_enter()
    found.codec.decode(&found, 0, cnp.PyArray_SIZE(x), <float *>cnp.PyArray_DATA(x))
    gs_fpenv_leave(before)
    return x


# ---- arithmetic of Python code --------------------------------------------------------

cdef class IeeeArithmetic:
    """While it is entered, the calling thread rounds to nearest, with subnormals."""
    cdef fenv_t before

    def __enter__(self):
        fegetenv(&self.before)
        fesetenv(FE_DFL_ENV)
        gs_fpenv_enter()  # also the bits that C does not know

    def __exit__(self, *_):
        fesetenv(&self.before)


def ieee(function):
    """Make a function round to nearest, with subnormals, whatever the caller has set.

    Kernels set the caller's mode aside themselves. What Python, NumPy and SciPy compute
    needs it as well to give the same bits. It holds for the thread that calls; threads
    of BLAS keep the mode that they were started in. No frame of Python is added.
    """
    @functools.wraps(function)
    def rounding_to_nearest(*arguments, **keywords):
        if gs_fpenv_is_default():  # as nearly always
            return function(*arguments, **keywords)
        with IeeeArithmetic():
            return function(*arguments, **keywords)

    return rounding_to_nearest


# ---- memory --------------------------------------------------------------------------

cdef class _Block:
    """Owns the memory of arrays made here."""
    cdef gs_memory memory

    def __dealloc__(self):
        gs_memory_free(&self.memory)


cdef _Block new_block(size_t bytes, size_t residue, bint zeroed):
    cdef _Block block = _Block.__new__(_Block)
    cdef bint done
    with nogil:
        done = gs_memory_new(&block.memory, bytes, residue, zeroed)
    if not done:
        raise MemoryError(f"no memory for an array of {bytes} bytes")
    return block


cdef cnp.ndarray array_in(_Block block, size_t at, shape, cnp.dtype d, str order):
    cdef cnp.npy_intp bytes = d.itemsize
    for extent in shape:
        bytes *= extent
    cdef char *data = <char *>block.memory.data + at
    flat = cnp.PyArray_SimpleNewFromData(1, &bytes, cnp.NPY_UINT8, data)
    cnp.set_array_base(flat, block)
    return flat.view(d).reshape(shape, order=order)


def allocate(tuple shape, cnp.dtype d, bint zeroed):
    """An array where steps are fastest: on a huge page when large."""
    cdef size_t bytes = d.itemsize
    for extent in shape:
        bytes *= extent
    return array_in(new_block(bytes, 0, zeroed), 0, shape, d, "C")


cdef size_t past_line(cnp.ndarray a):
    """How far a starts past a cache line, in whole elements."""
    cdef size_t size = cnp.PyArray_ITEMSIZE(a)
    return <uintptr_t>cnp.PyArray_DATA(a) % GS_LINE // size * size


cdef size_t room(size_t past, size_t bytes):
    """Whole cache lines for an array, if small ones lie side by side."""
    return (past + bytes + GS_LINE - 1) // GS_LINE * GS_LINE


def allocate_like(list wanted):
    """Zeros for each (array, dtype, shape): where the array is of that type and shape, as
    far past a cache line as it is; in its order.

    Small ones lie side by side if together they fill a huge page."""
    cdef cnp.ndarray a
    cdef cnp.dtype d
    cdef size_t at = 0, together = 0, past, bytes, extent
    cdef list places = [], out = []
    for a, d, shape in wanted:
        bytes = d.itemsize
        for extent in shape:
            bytes *= extent
        past = past_line(a) if d.itemsize == cnp.PyArray_ITEMSIZE(a) else 0
        places.append((past, bytes))
        together += room(past, bytes) if bytes < GS_HUGE_PAGE else 0
    cdef _Block shared = None
    if together >= GS_HUGE_PAGE:
        shared = new_block(together, 0, True)
    for (a, d, shape), (past, bytes) in zip(wanted, places):
        order = "C" if cnp.PyArray_IS_C_CONTIGUOUS(a) else "F"
        if shared is None or bytes >= GS_HUGE_PAGE:
            out.append(array_in(new_block(bytes, past, True), 0, shape, d, order))
        else:
            out.append(array_in(shared, at + past, shape, d, order))
            at += room(past, bytes)
    return out


include "_around.pxi"
include "_engine.pxi"


# ---- the face for compiled code ------------------------------------------------------

cdef const gs_kernel *find_chosen(const char *rule, const char *dtype) noexcept nogil:
    return gs_find(chosen, rule, dtype)


cdef gradstep_api api
api.version = GRADSTEP_API
api.find = find_chosen
api.plan_init = gs_plan_init
api.plan_reserve = gs_plan_reserve
api.plan_step = gs_plan_step
api.plan_measure = gs_plan_measure
api.plan_free = gs_plan_free
c_api = PyCapsule_New(&api, "gradstep._core.c_api", NULL)


choose(os.environ.get("GRADSTEP_ISA") or None)

# cython: language_level=3, boundscheck=False, wraparound=False
# cython: freethreading_compatible=True, auto_pickle=False, autotestdict=False
"""Looks at the tensors of an optimizer before each step, and steps them.

torch is not linked and not imported: its tensors describe themselves through DLPack's C
functions (`__dlpack_c_exchange_api__`, torch 2.10 and later) or, before, a callable."""

cimport numpy as cnp
import numpy as np
from cpython.dict cimport PyDict_GetItem, PyDict_Next
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t

from gradstep._core cimport Engine, plan_step
from gradstep.capi cimport gs_segment, gs_tensor

cnp.import_array()


# ---- DLPack 1.3: dlpack.h has the same, field by field --------------------------------

ctypedef struct DLTensor:
    void *data
    int32_t device_type
    int32_t device_id
    int32_t ndim
    uint8_t code
    uint8_t bits
    uint16_t lanes
    int64_t *shape
    int64_t *strides  # in elements; NULL: C order
    uint64_t byte_offset

ctypedef int (*look_fn)(void *tensor, DLTensor *out) except -1

ctypedef struct ExchangeAPI:
    uint32_t major
    uint32_t minor
    void *older
    void *allocate
    void *to_managed
    void *from_managed
    look_fn look
    void *current_stream

cdef int32_t ON_CPU = 1  # kDLCPU

# Arrays whose states are looked at in a step. Each is a cache miss or two, and only who
# exchanges the memory of a state (`state["exp_avg"].data = ...`) but of no parameter is
# seen by that; states that are replaced are seen at once.
cdef size_t AT_ONCE = 64


cdef look_fn find_look(capsule) except? NULL:
    if capsule is None:
        return NULL
    cdef ExchangeAPI *api = <ExchangeAPI *>PyCapsule_GetPointer(
        capsule, "dlpack_exchange_api"
    )
    return api.look if api.major == 1 else NULL


cdef inline bint alike(const DLTensor *a, const DLTensor *b) noexcept:
    """On the same device, of one type, shape and order of elements."""
    cdef int32_t k
    if (
        a.device_type != b.device_type
        or a.code != b.code
        or a.bits != b.bits
        or a.lanes != b.lanes
        or a.ndim != b.ndim
        or a.strides == NULL
        or b.strides == NULL
    ):
        return False
    for k in range(a.ndim):
        if a.shape[k] != b.shape[k]:
            return False
    for k in range(a.ndim):
        if a.strides[k] != b.strides[k] and a.shape[k] > 1:
            return False
    return True


cdef inline int64_t elements(const DLTensor *a) noexcept:
    cdef int64_t n = 1
    cdef int32_t k
    for k in range(a.ndim):
        n *= a.shape[k]
    return n * 2 if a.code == 5 else n  # kDLComplex: pairs of reals


cdef inline void *begin_of(const DLTensor *a) noexcept:
    return <char *>a.data + a.byte_offset


cdef class Watch:
    """Parameters of torch, of which some have an array in an engine.

    params : all of the groups, one after the other, in a list for each group.
    index : (n,) intp; for each, the number of its array, or -1 if it has none yet.
    plain : (n,) uint8; for each, whether its memory is that array, of the same order.
    state : `optimizer.state`; entries: for each array its dict there, names and tensors
    that it holds, and those that are the kernel's states, in its order.
    counts, scalars : float32 (n,) and float64 (n, most), or None: what the tensors of
    step counts and of the rule's numbers are views of.
    fit(i, g) : returns (address, what keeps it alive) of the gradient of array i, or None
    to leave it alone, where what `grad` gave is not the parameter's like.
    """
    cdef Engine engine
    cdef look_fn look
    cdef object kind, is_neg
    cdef list params, rows, entries, names, values, arrays
    cdef size_t turn  # the first of the arrays whose states are looked at next
    cdef Py_ssize_t[::1] index
    cdef uint8_t[::1] plain
    cdef object state
    cdef object fit, counts, scalars
    cdef float *count
    cdef double *scalar
    cdef size_t most
    cdef readonly list moved

    def __init__(
        self, Engine engine, capsule, kind, list params, index, plain,
        object state, list entries, counts, scalars, fit,
    ):
        self.engine, self.kind, self.is_neg = engine, kind, kind.is_neg
        self.look = find_look(capsule)
        self.params, self.index = params, index
        self.plain = plain if self.look != NULL else np.zeros_like(plain)
        self.state, self.fit = state, fit
        self.entries, self.names, self.values, self.arrays = (
            [entry[k] for entry in entries] for k in range(4)
        )
        self.rows = [x for row in state.items() for x in row]
        self.counts, self.scalars = counts, scalars
        self.count, self.scalar, self.most = NULL, NULL, 0
        if counts is not None:
            self.count = <float *>cnp.PyArray_DATA(counts)
        if scalars is not None:
            self.scalar = <double *>cnp.PyArray_DATA(scalars)
            self.most = scalars.shape[1]
        self.moved = []

    cdef bint as_bound(self, list groups, object state) except -1:
        """Whether parameters and states are still those that were bound."""
        cdef Py_ssize_t j, k, n = 0, at = 0
        cdef list group, known
        cdef dict entry
        cdef tuple names, values
        cdef PyObject *key
        cdef PyObject *value
        if state is not self.state or len(groups) != len(self.params):
            return False
        if 2 * len(state) != len(self.rows):
            return False
        while PyDict_Next(state, &at, &key, &value):
            if key != <PyObject *>self.rows[n] or value != <PyObject *>self.rows[n + 1]:
                return False
            n += 2
        for j in range(len(groups)):
            group, known = (<dict>groups[j])["params"], self.params[j]
            if len(group) != len(known):
                return False
            for k in range(len(known)):
                if group[k] is not known[k]:
                    return False
        for k in range(len(self.entries)):
            entry, names, values = self.entries[k], self.names[k], self.values[k]
            for j in range(len(names)):
                if PyDict_GetItem(entry, names[j]) != <PyObject *>values[j]:
                    return False
        return True

    cdef int take_over(self) except -1:
        """Counts and numbers that somebody has changed in place."""
        cdef size_t i, k
        cdef gs_tensor *x
        for i in range(self.engine.plan.tensors):
            x = self.engine.plan.tensor + i
            if self.count != NULL and self.count[i] != <float>x.t:
                if not 0 <= self.count[i] < 2.0**53:
                    raise ValueError(
                        f"{self.engine.owner}.step: a state has step {self.count[i]}, "
                        "expected a count >= 0"
                    )
                x.t = <int64_t>self.count[i]
            for k in range(self.most):
                x.scalar[k] = self.scalar[i * self.most + k]
        return 0

    cdef void give_back(self) noexcept:
        cdef size_t i, k
        cdef gs_tensor *x
        for i in range(self.engine.plan.tensors):
            x = self.engine.plan.tensor + i
            if self.count != NULL:
                self.count[i] = <float>x.t
            for k in range(self.most):
                self.scalar[i * self.most + k] = x.scalar[k]

    cdef bint look_at(self, tensor, DLTensor *found) except -1:
        """False for what has no memory: sparse tensors, say."""
        try:
            self.look(<void *><PyObject *>tensor, found)
        except (BufferError, RuntimeError):
            return False
        return True

    cdef bint like(self, grad, const DLTensor *p, DLTensor *g) except -1:
        """Whether C can read a gradient where it is, in the order of its parameter."""
        return (
            self.look_at(grad, g)
            and alike(p, g)
            and not self.is_neg(grad)
            and not (p.code == 5 and grad.is_conj())
        )

    cdef bint is_due(self, size_t i) noexcept:
        """Whether it is the turn of the states of array i to be looked at."""
        cdef size_t n = self.engine.plan.tensors
        return (i + n - self.turn) % n < AT_ONCE

    cdef bint states_match(self, size_t i, const DLTensor *p) except -1:
        """Whether states are where they were, in the order of the parameter."""
        cdef DLTensor s
        cdef tuple held = self.arrays[i]
        cdef gs_segment *segment = &self.engine.plan.tensor[i].segment
        cdef Py_ssize_t k
        for k in range(len(held)):
            if (
                not self.look_at(held[k], &s)
                or (begin_of(&s) != segment.state[k] and segment.n)
                or not alike(p, &s)
            ):
                return False
        return True

    def step(self, list groups, object state):
        """One step of all arrays whose parameters have a gradient. False: something is not
        as it was bound, and nothing has been done."""
        cdef Py_ssize_t j, k, n = -1
        cdef DLTensor p, g
        cdef gs_tensor *x
        cdef list held = []
        cdef bint plain
        self.moved = []
        self.engine.enter()
        try:
            if not self.as_bound(groups, state):
                return False
            self.engine.refresh()
            self.take_over()
            for j in range(len(self.params)):
                for parameter in <list>self.params[j]:
                    n += 1
                    k = self.index[n]
                    grad = parameter.grad
                    if k < 0:
                        if grad is not None:
                            return False
                        continue
                    x = self.engine.plan.tensor + k
                    plain = self.plain[n]
                    if plain:
                        if (
                            not self.look_at(parameter, &p)
                            or (begin_of(&p) != x.segment.p and x.segment.n)
                            or p.device_type != ON_CPU
                            or elements(&p) != <int64_t>x.segment.n
                            or (self.is_due(k) and not self.states_match(k, &p))
                        ):
                            return False
                    if grad is None:
                        x.moving = False
                        continue
                    plain = plain and type(grad) is self.kind and self.like(
                        grad, &p, &g
                    )
                    if plain:
                        self.set_gradient(k, <uintptr_t>begin_of(&g))
                        held.append(grad)
                    else:
                        found = self.fit(k, parameter, grad)
                        if found is None:
                            x.moving = False
                            continue
                        self.set_gradient(k, found[0])
                        held.append(found)
                    self.moved.append(parameter)
            with nogil:
                plan_step(&self.engine.plan)
            self.give_back()
            if self.engine.plan.tensors > AT_ONCE:
                self.turn = (self.turn + AT_ONCE) % self.engine.plan.tensors
        finally:
            for k in range(<Py_ssize_t>self.engine.plan.tensors):
                self.engine.plan.tensor[k].moving = False
            self.engine.leave()
        return True

    def states(self, size_t i):
        """The tensors that are the states of array i."""
        return self.arrays[i]

    cdef int set_gradient(self, size_t i, uintptr_t at) except -1:
        cdef gs_tensor *x = self.engine.plan.tensor + i
        if <const void *>at != x.segment.g or at == 0:
            self.engine.check_overlap(
                i, at, x.segment.n * x.segment.kernel.param_size
            )
            x.segment.g = <const void *>at
        x.moving = True
        return 0


# cython: language_level=3, boundscheck=False, wraparound=False
# cython: freethreading_compatible=True, auto_pickle=False, autotestdict=False
"""Looks at the tensors of an optimizer before each step, and steps them.

torch is not linked and not imported: its tensors describe themselves through DLPack's C
functions (`__dlpack_c_exchange_api__`, torch 2.10 and later), which takes 30 ns from
caches, and from memory as long as its ten lines take to come. So they are fetched ahead.
Without those functions, a callable looks at each tensor."""

cimport numpy as cnp
import numpy as np
from cpython.dict cimport PyDict_GetItem, PyDict_Next
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t

from gradstep._core cimport Engine, plan_step, scaled
from gradstep.capi cimport gs_plan, gs_scaling, gs_segment, gs_storage, gs_tensor

cnp.import_array()

include "_dlpack.pxi"
include "_launches.pxi"

# Arrays whose states are looked at in a step; of more, each has its turn. Only states
# whose memory is exchanged (`state["exp_avg"].data = ...`) are not seen in every step.
cdef size_t AT_ONCE = 64

cdef Py_ssize_t AHEAD = 8  # tensors
cdef Py_ssize_t LINES = 6  # of the description of each

cdef extern from *:
    """
    static inline void soon(const char *at) { __builtin_prefetch(at); }
    """
    void soon(const char *at) noexcept nogil


def where_body(tensor):
    """How far into a tensor's object the address of its C++ part stands; 0: nowhere."""
    cdef uint64_t body = getattr(tensor, "_cdata", 0)
    cdef const char *object_at = <const char *><PyObject *>tensor
    cdef Py_ssize_t at
    for at in range(<Py_ssize_t>sizeof(PyObject), type(tensor).__basicsize__ - 7, 8):
        if body and (<const uint64_t *>(object_at + at))[0] == body:
            return at
    return 0


cdef class Watch:
    """Parameters of torch, of which some have an array in an engine.

    params : the parameters of each group. Over all of them, one after the other:
    index : (n,) intp, the number of its array, or -1 if it has none yet;
    plain : (n,) uint8, whether its memory is that array, in the same order.
    state : `optimizer.state`. For each array:
    entries : what stands there: a dict, names and tensors in it, and those of them that
        steps write to, the kernel's states first, in its order.
    places : (arrays, tensors beside each) uint64, where those of `entries` begin;
    hints : (arrays, LINES (1 + states)) uint64, addresses that a look at the parameter
        and at its states reads; offset : where in a gradient another such stands, or 0.
    counts, scalars : float32 (arrays,) and float64 (arrays, most), or None: what the
        tensors of step counts and of the rule's numbers are views of.
    fit : called as fit(i, parameter, gradient) where a gradient is not like a plain
        parameter; returns (address, what keeps it alive), or None to leave array i alone.
    bump : called with the parameters that are about to change.
    device_type : DLPack's number of where plain parameters are;
    launches : what steps them there, in a device's memory; None: they are in ours.
    """
    cdef Engine engine
    cdef look_fn look
    cdef object kind, is_neg, state, fit, bump, counts, scalars
    cdef list params, rows, entries, names, values, arrays
    cdef Py_ssize_t[::1] index
    cdef uint8_t[::1] plain
    cdef uint64_t[:, ::1] hints
    cdef uint64_t[:, ::1] places
    cdef size_t offset
    cdef size_t turn  # the first of the arrays whose states are looked at next
    cdef float *count
    cdef double *scalar
    cdef size_t most
    cdef int32_t device_type
    cdef Launches launches

    def __init__(
        self, Engine engine, capsule, kind, list params, index, plain,
        object state, list entries, hints, places, size_t offset, counts, scalars, fit,
        bump, int32_t device_type, Launches launches,
    ):
        self.engine, self.kind, self.is_neg = engine, kind, kind.is_neg
        self.look = find_look(capsule)
        self.params, self.index = params, index
        self.hints, self.places = hints, places
        self.plain = plain if self.look != NULL else np.zeros_like(plain)
        self.state, self.fit, self.bump, self.offset = state, fit, bump, offset
        self.entries, self.names, self.values, self.arrays = (
            [entry[k] for entry in entries] for k in range(4)
        )
        self.rows = [x for row in state.items() for x in row]
        self.counts, self.scalars = counts, scalars
        self.count, self.scalar, self.most = NULL, NULL, 0
        self.device_type, self.launches = device_type, launches
        if counts is not None:
            self.count = <float *>cnp.PyArray_DATA(counts)
        if scalars is not None:
            self.scalar = <double *>cnp.PyArray_DATA(scalars)
            self.most = scalars.shape[1]

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
        """Whether C can read a gradient where it is, in the order of its parameter.

        Freed storage has no address. Storage that was made smaller is not seen here, as
        in torch's own steps: to ask for its size takes half as long as all the rest.
        """
        return (
            self.look_at(grad, g)
            and (g.data != NULL or elements(g) == 0)
            and of_one_type(p, g)
            and alike(p, g)
            and not self.is_neg(grad)
            and not (p.code == 5 and grad.is_conj())
        )

    cdef bint is_due(self, size_t i) noexcept:
        """Whether it is the turn of the states of array i to be looked at."""
        cdef size_t n = self.engine.plan.tensors
        return (i + n - self.turn) % n < AT_ONCE

    cdef bint states_match(self, size_t i, const DLTensor *p) except -1:
        """Whether all that is written beside a parameter is where it was, and the states
        of its rule, which come first, in its order."""
        cdef DLTensor s
        cdef tuple held = self.arrays[i]
        cdef gs_segment *segment = &self.engine.plan.tensor[i].segment
        cdef Py_ssize_t k
        cdef bint of_rule = True
        for k in range(len(held)):
            of_rule = of_rule and segment.kernel.state[k] != NULL
            if (
                not self.look_at(held[k], &s)
                or (<uintptr_t>begin_of(&s) != self.places[i, k] and segment.n)
                or (of_rule and not alike(p, &s))
            ):
                return False
        return True

    cdef bint stands(self, size_t i, parameter, DLTensor *p) except -1:
        """Whether a plain parameter, and its states if due, are where they were."""
        cdef gs_segment *segment = &self.engine.plan.tensor[i].segment
        cdef void *bound = segment.p
        if segment.storage != NULL and segment.storage.p.codec != NULL:
            bound = segment.storage.p.data
        if (
            not self.look_at(parameter, p)
            or (begin_of(p) != bound and segment.n)
            or p.device_type != self.device_type
            or elements(p) != <int64_t>segment.n
        ):
            return False
        if not self.is_due(i) or self.states_match(i, p):
            return True
        if self.engine.plan.tensors <= AT_ONCE:
            return False
        raise RuntimeError(  # steps since may have gone to the memory of before
            f"{self.engine.owner}: a state of the parameter{self.engine.suffixes[i]} has "
            "had its .data exchanged, some steps ago; put another tensor in its place, "
            "optimizer.state[p][name] = t, and begin again from a checkpoint"
        )

    def check_states(self):
        """Look at all states whose turn has not come."""
        cdef DLTensor p
        cdef Py_ssize_t n = -1, turn = self.turn
        if self.look == NULL:
            return
        for group in self.params:
            for parameter in group:
                n += 1
                if self.plain[n]:
                    self.turn = self.index[n]
                    self.stands(self.index[n], parameter, &p)
        self.turn = turn

    cdef void fetch(self, size_t i) noexcept:
        """What will be read of array i."""
        cdef Py_ssize_t k
        cdef Py_ssize_t lines = self.hints.shape[1] if self.is_due(i) else LINES
        for k in range(lines):
            soon(<char *>self.hints[i, k])

    cdef list gradients(self):
        """Those of all parameters, with what a look at each will read on its way."""
        cdef list found = []
        cdef Py_ssize_t k, n = 0
        cdef char *at
        for group in self.params:
            for parameter in <list>group:
                k = self.index[n]
                n += 1
                if 0 <= k and k + AHEAD < self.hints.shape[0]:
                    self.fetch(k + AHEAD)
                grad = parameter.grad
                found.append(grad)
                if self.offset and type(grad) is self.kind:
                    at = (<char **>(<char *><PyObject *>grad + self.offset))[0]
                    for k in range(4):
                        soon(at + 64 * k)
        return found

    cdef object take(self, size_t i, parameter, grad, bint plain):
        """Set the gradient of array i; returns what keeps it alive, None to leave it."""
        cdef DLTensor p, g
        if plain:
            if not self.stands(i, parameter, &p):
                return False
            if type(grad) is self.kind and self.like(grad, &p, &g):
                self.set_gradient(i, <uintptr_t>begin_of(&g))
                return grad
        if grad is None:
            return None
        found = self.fit(i, parameter, grad)
        if found is not None:
            self.set_gradient(i, found[0])
        return found

    cdef int set_gradient(self, size_t i, uintptr_t at) except -1:
        cdef gs_tensor *x = self.engine.plan.tensor + i
        cdef const gs_storage *storage = x.segment.storage
        cdef size_t size = x.segment.kernel.param_size
        if storage != NULL:
            self.engine.plan.storage[i].g.data = <void *>at
            size = storage.g.codec.size if storage.g.codec != NULL else size
        if <const void *>at != x.segment.g or at == 0:
            self.engine.check_overlap(i, at, x.segment.n * size)
            x.segment.g = <const void *>at
        x.moving = True
        return 0

    cdef list prepare(self):
        """Set all gradients. Returns them and their parameters, or None where something is
        not as it was bound."""
        cdef list grads = self.gradients(), held = [], moved = []
        cdef Py_ssize_t n = -1
        for group in self.params:
            for parameter in <list>group:
                n += 1
                if self.index[n] < 0:
                    if grads[n] is not None:
                        return None
                    continue
                kept = self.take(self.index[n], parameter, grads[n], self.plain[n])
                if kept is False:
                    return None
                if kept is not None:
                    held.append(kept)
                    moved.append(parameter)
        return [held, moved]

    def step(
        self, list groups, object state,
        double grad_scale=1.0, double clip_norm=0.0, bint guard=False,
    ):
        """One step of all arrays whose parameters have a gradient, scaled as by
        `Engine.step`. False: something is not as it was bound, and nothing has been done.
        """
        cdef size_t i
        cdef gs_scaling scaling = scaled(grad_scale, clip_norm, guard)
        self.engine.enter()
        try:
            if not self.as_bound(groups, state):
                return False
            self.engine.refresh()
            self.take_over()
            prepared = self.prepare()
            if prepared is None:
                return False
            if prepared[1]:
                self.bump(prepared[1])  # now, while they are in cache
            if self.launches is not None:
                self.launches.step(&self.engine.plan, &scaling)
            else:
                with nogil:
                    self.engine.found = plan_step(&self.engine.plan, &scaling)
                self.engine.finish(&self.engine.found)
            self.give_back()
            if self.engine.plan.tensors > AT_ONCE:
                self.turn = (self.turn + AT_ONCE) % self.engine.plan.tensors
        finally:
            for i in range(self.engine.plan.tensors):
                self.engine.plan.tensor[i].moving = False
            self.engine.leave()
        return True

    def states(self, size_t i):
        """The tensors that are the states of array i."""
        return self.arrays[i]

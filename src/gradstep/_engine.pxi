# Part of _core.pyx: an optimizer's arrays, and one step of them all.
#
# What the C loops take for granted is established here: arrays without gaps, of the
# kernel's type, that overlap nothing else that is written.

# Of no array: user-defined dtypes of NumPy 2 all have -1.
cdef int NO_TYPE = INT_MIN


cdef class Engine:
    """Steps of a fixed set of arrays: one C call for all of them, without the GIL.

    `owner` and `suffixes` name the optimizer and each array in messages. With `names`,
    gradients come in a mapping; with `single`, as one array; otherwise in a sequence.
    """

    def __cinit__(
        self, str owner, tuple arrays, tuple suffixes, tuple group_of, int groups,
        *, object names=None, bint single=False,
    ):
        self.owner = owner
        self.arrays = arrays
        self.suffixes = suffixes
        self.names = names
        self.single = single
        if not len(arrays) == len(suffixes) == len(group_of):
            raise ValueError("arrays, suffixes and group_of must be of one length")
        self.found.clip_factor = 1
        self.written = _Ranges([])
        self.states = [()] * len(arrays)
        self.direct = [{}] * groups
        self.grad_type = <int *>malloc((len(arrays) + 1) * sizeof(int))
        if self.grad_type == NULL or not gs_plan_init(&self.plan, len(arrays), groups):
            raise MemoryError("no memory for the plan of an optimizer")
        cdef gs_tensor *x
        cdef cnp.ndarray p
        cdef list views = [], watches = []
        for i, array in enumerate(arrays):
            checks.parameter(self.owner, suffixes[i], array)
            p = array
            views.append(base_view(p))
            # Mostly there is none to be looked at in every step.
            watches.append(MemoryWatch(owner, [p]) if owners_of(p) else None)
            x = self.plan.tensor + <size_t>i
            if not 0 <= group_of[i] < groups:
                raise IndexError(group_of[i])
            x.group = group_of[i]
            x.segment.n = cnp.PyArray_SIZE(p)
        if not gs_plan_reserve(&self.plan):
            raise MemoryError("no memory for the sums of an optimizer")
        self.views, self.watches = tuple(views), tuple(watches)

    def __dealloc__(self):
        gs_plan_free(&self.plan)
        free(self.grad_type)

    def _index_ranges(self):
        """Note what steps write to, to be searched by `take`."""
        cdef cnp.ndarray a
        written = []
        for i, view in enumerate(self.views):
            for a in (view, *self.states[i]):
                if cnp.PyArray_SIZE(a):
                    at = <uintptr_t>cnp.PyArray_DATA(a)
                    written.append((at, at + <size_t>cnp.PyArray_NBYTES(a), i))
        written.sort()
        for left, right in zip(written, written[1:]):
            if right[0] < left[1]:
                one, other = sorted((left[2], right[2]))
                raise ValueError(
                    f"{self.owner}: params{self.suffixes[other]} shares memory with "
                    f"params{self.suffixes[one]}; pass each element once"
                )
        self.written = _Ranges([(start, end) for start, end, _ in written])

    cdef int enter(self) except -1:
        if not gs_plan_enter(&self.plan):
            raise RuntimeError(
                f"{self.owner} is in the middle of a step: in another thread, in an "
                "iterator that step reads its gradients from, or when this process was "
                "forked; take turns, or give each an optimizer of its own"
            )
        return 0

    cdef void leave(self) noexcept:
        gs_plan_leave(&self.plan)

    # -- set up by the optimizer

    def bind(self, size_t i, Kernel kernel, tuple states, coding=None):
        """Array i is stepped by `kernel` from now on, with these state arrays.

        coding : None, or the code of array i, the array beside it, its master in float32,
        the code of all states, the arrays beside them, and seed and number of the array
        for random numbers, None if states are only read; None for each that there is not.
        """
        if i >= self.plan.tensors:
            raise IndexError(i)
        cdef gs_segment *s = &self.plan.tensor[i].segment
        cdef cnp.ndarray p = self.arrays[i], a
        if len(states) != len(kernel.state):
            raise ValueError(f"{kernel!r} does not fit array {i} and its states")
        cdef int arithmetic = cnp.NPY_FLOAT32 if kernel.dtype == "f32" else cnp.NPY_FLOAT64
        code, state_code = (None, None) if coding is None else (coding[0], coding[3])
        # coded_array looks at the dtypes of reduced-precision storage.
        if code is None and not is_of_type(p, arithmetic):
            raise ValueError(f"{kernel!r} does not fit array {i}")
        for a in states:
            if not (
                alike(p, a)
                and cnp.PyArray_ISBEHAVED(a)
                and (state_code is not None or is_of_type(a, arithmetic))
            ):
                raise ValueError(f"a state does not fit array {i}")
        s.kernel, s.p, s.storage, s.g = kernel.ptr, cnp.PyArray_DATA(p), NULL, NULL
        for k, a in enumerate(states):
            s.state[<size_t>k] = cnp.PyArray_DATA(a)
        self.states[i] = base_views(states)
        if self.plan.storage != NULL:
            memset(self.plan.storage + i, 0, sizeof(gs_storage))
        if coding is not None:
            self.bind_coded(i, states, coding)
        self.read_gradients_as(i, p)
        self.plan.tensor[i].norm = (<Kernel>find("norm", kernel.dtype)).ptr
        self.plan.tensor[i].nonfinite = (<Kernel>find("norm_nonfinite", kernel.dtype)).ptr

    cdef int bind_coded(self, size_t i, states, coding) except -1:
        code, beside, master, state_code, scales, key = coding
        if not gs_plan_reserve_storage(&self.plan):
            raise MemoryError("no memory for the storage of an optimizer")
        cdef gs_storage *found = self.plan.storage + i
        cdef cnp.ndarray p = self.arrays[i], a
        if code is not None:
            found.p = coded_array(code, p, beside)
        if state_code is not None:
            for k, a in enumerate(states):
                found.state[<size_t>k] = coded_array(state_code, a, scales[k])
        if master is not None:
            a = master
            if not (alike(p, a) and is_of_type(a, cnp.NPY_FLOAT32)):
                raise ValueError(f"a master does not fit array {i}")
            self.plan.tensor[i].segment.p = cnp.PyArray_DATA(a)
            found.master = True
        if key is None:
            found.reads = True
        else:
            found.seed, found.number = key
        more = [base_view(a) for a in (beside, master, *scales) if a is not None]
        self.states[i] = (*self.states[i], *more)
        return 0

    cdef int read_gradients_as(self, size_t i, cnp.ndarray a) except -1:
        """Gradients of array i are of the type of `a` from now on."""
        cdef gs_segment *s = &self.plan.tensor[i].segment
        cdef gs_storage *found
        code = dtypes.code_of(<object>cnp.PyArray_DESCR(a))
        if code is not None and not gs_plan_reserve_storage(&self.plan):
            raise MemoryError("no memory for the storage of an optimizer")
        s.g = NULL  # none of this type has been checked yet
        # Dtypes with fields share one number, as do all user-defined ones of NumPy 2: a
        # gradient of either is looked at in every step.
        self.grad_type[i] = cnp.PyArray_TYPE(a)
        if self.grad_type[i] < 0 or self.grad_type[i] == cnp.NPY_VOID:
            self.grad_type[i] = NO_TYPE
        if self.plan.storage == NULL:
            return 0
        found = self.plan.storage + i
        found.g.codec = NULL
        if code is not None:
            found.g.codec = find_codec(code)
        s.storage = found
        if found.g.codec == NULL and found.p.codec == NULL and found.state[0].codec == NULL:
            s.storage = NULL
        return 0

    def bound(self):
        """All arrays have their states: gradients may come."""
        cdef size_t i
        self._index_ranges()
        for i in range(self.plan.tensors):
            if self.plan.tensor[i].segment.kernel == NULL:
                raise ValueError(f"array {i} has no kernel")
            self.plan.tensor[i].segment.g = NULL  # no gradient has been checked yet
        self.ready = True

    def set_group(
        self, size_t j, tuple hyper, double grad_scale,
        double clip_norm=0.0, double clip_eps=0.0,
    ):
        """Hyperparameters of group j, in the order of its kernel's names; gradients are
        scaled by clip_norm / (their norm + clip_eps) if that is below 1."""
        if j >= self.plan.groups:
            raise IndexError(j)
        if len(hyper) > GS_MAX_HYPER:
            raise ValueError(f"{len(hyper)} hyperparameters, at most {GS_MAX_HYPER}")
        for k, value in enumerate(hyper):
            self.plan.group[j].hyper[<size_t>k] = value
        self.plan.group[j].grad_scale = grad_scale
        self.plan.group[j].clip_norm = clip_norm
        self.plan.group[j].clip_eps = clip_eps
        if self.groups is not None and j < <size_t>len(self.groups):
            self.seen[j] = self._now(self.groups[j])

    def set_direct(self, size_t j, dict direct):
        """A changed field of group j that is a key of `direct`, to (places, low, high),
        goes to those hyperparameters without `on_change`, if it is a float in (low, high)
        or a tuple of one for each place."""
        if j >= self.plan.groups:
            raise IndexError(j)
        for places, _, _ in direct.values():
            if not all(0 <= k < GS_MAX_HYPER for k in places):
                raise IndexError(places)
        self.direct[j] = direct

    def watch(self, list groups, tuple fields, on_change):
        """Before each step, call on_change(j) if groups[j] has other values in `fields`,
        or another number of keys, than at the last step, or now. Values are compared by
        identity, so must be immutable."""
        if <size_t>len(groups) != self.plan.groups:
            raise ValueError(f"{len(groups)} groups, expected {self.plan.groups}")
        self.groups = groups
        self.fields = fields
        self.on_change = on_change
        self.seen = [self._now(group) for group in groups]

    def _now(self, group):
        return [*(group[name] for name in self.fields), len(group)]

    def set_share(self, share):
        """Where arrays are parts of larger ones: share(which, sums) adds to sums, a row
        for each of the arrays `which`, what the other parts have."""
        self.share = share
        self.plan.share = NULL
        if share is not None:
            self.plan.share = share_parts
        self.plan.with_ = <void *>self

    cdef bint share_sums(self, size_t live) except -1:
        cdef cnp.npy_intp *shape = [<cnp.npy_intp>live, GS_MAX_SUMS]
        sums = cnp.PyArray_SimpleNewFromData(2, shape, cnp.NPY_FLOAT64, self.plan.sum)
        cdef size_t i
        self.share([self.plan.stepping[i] - self.plan.tensor for i in range(live)], sums)
        return True

    cdef int finish(self, const gs_report *report) except -1:
        """Raise what `share` raised; nothing was stepped then."""
        failure, self.failure = self.failure, None
        if report.failed:
            raise failure
        return 0

    def settle(self):
        """Take over changes in the groups now, not at the next step."""
        self.refresh()

    def __enter__(self):
        """Keep steps of other threads out while states are read or exchanged."""
        self.enter()

    def __exit__(self, *_):
        self.leave()

    def get_t(self, size_t i):
        if i >= self.plan.tensors:
            raise IndexError(i)
        return self.plan.tensor[i].t

    def set_t(self, size_t i, int64_t t):
        if i >= self.plan.tensors:
            raise IndexError(i)
        self.plan.tensor[i].t = t

    cdef tuple scalar_names(self, size_t i):
        if i >= self.plan.tensors:
            raise IndexError(i)
        cdef const gs_kernel *kernel = self.plan.tensor[i].segment.kernel
        return () if kernel == NULL else strings(kernel.scalar)

    def get_scalars(self, size_t i):
        """What the rule keeps of array i between steps, by name."""
        cdef tuple names = self.scalar_names(i)
        cdef double *scalar = self.plan.tensor[i].scalar
        return {name: scalar[<size_t>k] for k, name in enumerate(names)}

    def set_scalars(self, size_t i, dict values):
        """Take over what `get_scalars` gave."""
        cdef tuple names = self.scalar_names(i)
        if set(values) != set(names):
            raise ValueError(f"scalars {sorted(values)}, expected {sorted(names)}")
        for k, name in enumerate(names):
            self.plan.tensor[i].scalar[<size_t>k] = values[name]

    # -- one step

    cdef int refresh(self) except -1:
        """Take over what users have changed in the groups.

        Their values convert themselves by their own code, which may change the list of
        groups, too; so it is looked at again after each."""
        cdef Py_ssize_t j
        if self.groups is None:
            return 0
        for j in range(len(self.seen)):
            self.refresh_group(j)
        return self.check_count()

    def check_groups(self):
        """Refuse groups that were added or removed past the optimizer, or are no dicts."""
        for j in range(len(self.seen)):
            self.group_at(j)

    cdef int check_count(self) except -1:
        if len(self.groups) != len(self.seen):
            raise ValueError(
                f"{self.owner}: param_groups has {len(self.groups)} groups, expected "
                f"{len(self.seen)}; use add_param_group"
            )
        return 0

    cpdef dict group_at(self, Py_ssize_t j):
        """Group j, if it is still a dict among as many as there were."""
        self.check_count()
        if not 0 <= j < len(self.groups):
            raise IndexError(j)
        group = self.groups[j]
        if type(group) is not dict:
            raise TypeError(
                f"{self.owner}: param_groups[{j}] must be a dict, got "
                f"{type(group).__name__}"
            )
        return group

    cdef int refresh_group(self, Py_ssize_t j) except -1:
        cdef dict group = self.group_at(j)
        cdef list seen = self.seen[j]
        cdef Py_ssize_t k, fields = len(self.fields)
        cdef bint is_same = seen[fields] == len(group)
        for k in range(fields):
            if PyDict_GetItem(group, self.fields[k]) != <PyObject *>seen[k]:
                if not self.pass_through(j, k, group):
                    is_same = False
                    break
        if not is_same:
            self.on_change(j)
            self.seen[j] = self._now(self.group_at(j))
        return 0

    cdef bint pass_through(self, size_t j, Py_ssize_t k, dict group) except -1:
        """Take over a field that needs no other check, as a schedule's in each step."""
        cdef PyObject *borrowed = PyDict_GetItem(group, self.fields[k])
        if borrowed == NULL:
            return False
        cdef object value = <object>borrowed
        cdef PyObject *target = PyDict_GetItem(<dict>self.direct[j], self.fields[k])
        cdef list seen = self.seen[j]
        cdef double new, old
        if type(value) is float and type(seen[k]) is float:
            new, old = value, seen[k]
            if memcmp(&new, &old, sizeof(double)) == 0:
                seen[k] = value
                return True
        if target == NULL or type(value) is not float and type(value) is not tuple:
            return False
        cdef tuple entry = <tuple>target
        cdef tuple places = <tuple>entry[0]
        cdef tuple parts = <tuple>value if type(value) is tuple else (value,)
        cdef double low = entry[1], high = entry[2]
        cdef Py_ssize_t i, n = len(parts)
        if n != len(places):
            return False
        for i in range(n):
            if type(parts[i]) is not float or not low < <double>parts[i] < high:
                return False
        for i in range(n):
            self.plan.group[j].hyper[<size_t>places[i]] = parts[i]
        seen[k] = value
        return True

    def step(
        self, grads, double grad_scale=1.0, double clip_norm=0.0, bint guard=False,
    ):
        """One step of every array whose gradient is not None; returns whether it was taken.

        Gradients are multiplied by grad_scale; clipped to clip_norm, if that is above 0;
        and if guard, there is no step where elements are not finite: see `report`.
        """
        cdef gs_scaling scaling = scaled(grad_scale, clip_norm, guard)
        self.check_ready()
        self.enter()
        try:
            self.refresh()
            held = self.take(grads)  # other threads may drop the gradients meanwhile
            with nogil:
                self.found = gs_plan_step(&self.plan, &scaling)
            self.finish(&self.found)
            return not self.found.skipped
        finally:
            self.leave()

    cdef int check_ready(self) except -1:
        if not self.ready:
            raise ValueError(f"{self.owner}: an array has no kernel yet")
        return 0

    def report(self):
        """Of the last step: norm, factor, count of elements that are not finite, whether
        it was skipped; norm and count are None if nothing asked for them."""
        return report_of(&self.found)

    def check(
        self, grads, double grad_scale=1.0, double clip_norm=0.0, bint guard=False,
    ):
        """Raise what `step` would, and return what it would report."""
        cdef gs_scaling scaling = scaled(grad_scale, clip_norm, guard)
        cdef gs_report found
        cdef size_t i
        self.check_ready()
        self.enter()
        try:
            self.refresh()
            held = self.take(grads)
            with nogil:
                found = gs_plan_measure(&self.plan, &scaling)
            self.finish(&found)
            return report_of(&found)
        finally:
            for i in range(self.plan.tensors):
                self.plan.tensor[i].moving = False
            self.leave()

    def sums(self, grads):
        """What the kernel of each array gathers, all of which have gradients."""
        cdef double *found = self.plan.sum
        self.check_ready()
        self.enter()
        try:
            held = self.take(grads)
            with nogil:
                gs_plan_sums(&self.plan)
            return [
                tuple([found[i * GS_MAX_SUMS + k] for k in range(self.sums_of(i))])
                for i in range(self.plan.tensors)
            ]
        finally:
            self.leave()

    cdef size_t sums_of(self, size_t i):
        return self.plan.tensor[i].segment.kernel.sums

    cdef int check_unchanged(self, size_t i, str method, bint is_written) except -1:
        """Refuse an array that is no longer what it was when it was checked."""
        cdef cnp.ndarray p = self.arrays[i]
        cdef MemoryWatch watch = <MemoryWatch>self.watches[i]
        if (
            unchanged(p, self.views[i])
            and (cnp.PyArray_ISWRITEABLE(p) or not is_written)
            and (watch is None or watch.owners_hold())
        ):
            return 0
        raise ValueError(
            f"{self.owner}{method}: params{self.suffixes[i]} was resized, reshaped, "
            "moved, made read-only or of another type since the optimizer was built; "
            "build a new one"
        )

    def parameters(self, bint are_written):
        """The arrays, each as a plain numpy.ndarray; raises if one has changed its shape,
        dtype or memory since, or is to be written and cannot be."""
        cdef size_t i
        for i in range(self.plan.tensors):
            self.check_unchanged(i, "", are_written)
        return tuple([np.asarray(p) for p in self.arrays])

    cdef object take(self, grads):
        """Check all gradients; returns references that keep them alive."""
        cdef Py_ssize_t i, n
        cdef list held = []
        if self.single:
            if grads is None:
                raise TypeError(f"{self.owner}.step: grads is None; pass an array")
            return self.take_one(0, grads)
        n = len(self.arrays)
        given = checks.ordered(f"{self.owner}.step: grads", self.names, n, grads)
        for i in range(n):
            held.append(self.take_one(i, given[i]))
        return held

    cdef object take_one(self, size_t i, g):
        cdef gs_tensor *x = self.plan.tensor + i
        cdef cnp.ndarray p = self.arrays[i], a
        if g is None:
            x.moving = False
            return None
        self.check_unchanged(i, ".step", True)
        if not (
            cnp.PyArray_CheckExact(g)
            and cnp.PyArray_TYPE(<cnp.ndarray>g) == self.grad_type[i]
            and cnp.PyArray_ISNOTSWAPPED(<cnp.ndarray>g)
            and alike(p, <cnp.ndarray>g)
        ):
            g = checks.gradient(self.owner, self.suffixes[i], self.arrays[i], g)
            self.read_gradients_as(i, g)
        a = g
        cdef const void *at = cnp.PyArray_DATA(a)
        # What stands where the last gradient stood was found to overlap nothing.
        if at != x.segment.g or at == NULL:
            self.check_overlap(i, <uintptr_t>at, <size_t>cnp.PyArray_NBYTES(a))
            x.segment.g = at
        if x.segment.storage != NULL:
            self.plan.storage[i].g.data = <void *>at
        x.moving = True
        return g

    cdef int check_overlap(self, size_t i, uintptr_t at, size_t bytes) except -1:
        """A written range must not be read as a gradient in the same step."""
        if self.written.meets(at, bytes):
            raise ValueError(
                f"{self.owner}.step: grads{self.suffixes[i]} shares memory with a "
                "parameter or its state, which the step would overwrite; pass g.copy()"
            )
        return 0

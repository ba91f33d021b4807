"""How an optimizer's groups, states and engine are put together."""

from __future__ import annotations  # help() shows Grads, not what it stands for

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gradstep import _core, checks, dtypes, storage
from gradstep.declared import (
    Declared,
    changed_after_a_step,
    hyper_names,
    is_part_of_betas,
    positional,
)
from gradstep.hyper import choice, dtype_choice, flag, number
from gradstep.precision import PrecisionCheck
from gradstep.state import own_keys
from gradstep.storage import Field, Layout
from gradstep.structure import Bundle, Params, as_groups, bundle, check_group


def find_kernel(name: str, rule: str, array: Any) -> _core.Kernel:
    """Return a rule's kernel for an array, which messages call `name`."""
    dtype = np.asarray(array).dtype
    word = dtypes.arithmetic(dtype)
    if word is None:
        is_real = dtype.kind in "biuf"
        remedy = "; pass a.astype('float64')" if is_real else "; pass real numbers"
        raise TypeError(
            f"{name} has dtype {dtype}, expected one of float32, float64, bfloat16, "
            f"float16{checks.complex_hint('a', dtype) or remedy}"
        )
    return _core.find(rule, word)


class Binding(NamedTuple):
    """The kernel that steps a parameter, and all state arrays beside it."""

    kernel: _core.Kernel
    layout: Layout
    arrays: dict[str, Any]

    def states(self) -> tuple[Any, ...]:
        """Return the kernel's states, in its order."""
        return tuple([self.arrays[name] for name in self.kernel.state])


def new_arrays(fields: Sequence[tuple[Any, Field]]) -> list[Any]:
    """Return arrays of zeros, each for a field beside a parameter."""
    return _core.allocate_like(
        [(p, x.dtype, x.shape(np.asarray(p))) for p, x in fields]
    )


class _Parts:
    """What an optimizer consists of, apart so that type checkers see no options."""

    _owner: str
    _defaults: dict[str, Any]
    _bare: bool  # no groups were passed
    _groups: list[dict[str, Any]]
    _bundles: list[Bundle]
    # For each array, its name in messages and what is kept beside it; for each group,
    # its rule, what must not change after a step, and what never must.
    _arrays: tuple[Any, ...]
    _suffixes: list[str]
    _states: list[dict[str, Any]]
    _bound: list[str | None]
    _fixed: list[dict[str, Any]]
    _storage: list[dict[str, Any]]
    _engine: _core.Engine
    _precision: PrecisionCheck | None = None  # if a parameter is rounded to nearest


class Assembled(_Parts, Declared):
    """Parameters in groups, their options, their states, and the engine over them."""

    if TYPE_CHECKING:
        params: Params = positional(kw_only=False)
    maximize: bool = flag(default=False)
    master: Any = dtype_choice("float32", "split", default=None)
    rounding: str = choice("stochastic", default="nearest")
    state_dtype: Any = dtype_choice("bfloat16", "uint8", default=None)
    seed: int = number(default=0)

    def __init__(self, *args: Any, **keywords: Any) -> None:
        if not self.rules:
            raise TypeError(
                f"{type(self).__name__} names no rules; use a subclass that does"
            )
        arguments = self._arguments(args, keywords)
        self._build(arguments.pop("params"), arguments)

    def _build(self, params: Params, options: Mapping[str, Any]) -> None:
        """Take over the parameters of a new optimizer, and its options."""
        owner = type(self).__name__
        given, bare = as_groups(owner, params)
        # At once, past __setattr__: small fits make many optimizers.
        vars(self).update(
            _owner=owner,
            _defaults=self.checked_new(options),
            _bare=bare,
            _groups=[],
            _bundles=[],
        )
        for group in given:
            self._append(group)
        count = sum(len(found.arrays) for found in self._bundles)
        if not count:
            raise ValueError(f"{owner}: params is empty; pass at least one array")
        self._assemble([{}] * count, [])

    # -- groups

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups: dicts of options, read at every step, and ``"params"``."""
        return self._groups

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Add arrays with options of their own.

        From then on gradients are a list with one entry for each group.

        Parameters
        ----------
        group : mapping
            ``"params"``, and any options that differ from the constructor's.
        """
        check_group(f"{self._owner}.add_param_group: group", group)
        with self._engine:
            self._engine.settle()
            self._parameters()  # the new engine would believe what they are by now
            taken, n = self._taken(), len(self._groups)
            before = dict(vars(self))
            try:
                self._append(group)
                self._bare = False
                more = len(self._bundles[-1].arrays)
                self._assemble([*self._states, *[{}] * more], taken)
            except BaseException:
                del self._groups[n:], self._bundles[n:]
                vars(self).update(before)
                raise

    def _append(self, group: Mapping[str, Any]) -> None:
        parameters = bundle(self._owner, group["params"])
        if len(group) == 1:
            entry = {**self._defaults, "params": parameters.arrays}
        else:
            options = own_keys({**self._defaults, **group})
            others = {k: v for k, v in group.items() if k not in options}
            checked = self.checked_new(options)
            entry = {**others, **checked, "params": parameters.arrays}
        if parameters.names is not None:
            entry["param_names"] = tuple(parameters.names)
        self._groups.append(entry)
        self._bundles.append(parameters)

    # -- arrays, kernels and states

    def _indices(self, j: int) -> range:
        """Where the arrays of group j are among all."""
        first = sum(len(found.arrays) for found in self._bundles[:j])
        return range(first, first + len(self._bundles[j].arrays))

    def _taken(self) -> list[dict[str, Any]]:
        """Return, for each array, the count of its steps and its rule's scalars."""
        engine = self._engine
        return [
            {"step": engine.get_t(i), **engine.get_scalars(i)}
            for i in range(len(self._states))
        ]

    def _restore(self, i: int, step: int, **scalars: float) -> None:
        self._engine.set_t(i, step)
        self._engine.set_scalars(i, scalars)

    def _assemble(
        self, states: list[dict[str, Any]], taken: list[dict[str, Any]]
    ) -> None:
        """Make the engine that carries out `step`, from the states so far."""
        suffixes = [
            ("" if self._bare else f"[{j}]") + suffix
            for j, found in enumerate(self._bundles)
            for suffix in found.suffixes()
        ]
        group_of = [j for j, found in enumerate(self._bundles) for _ in found.arrays]
        arrays = tuple([a for found in self._bundles for a in found.arrays])
        whole = self._bundles[0] if self._bare else None
        engine = _core.Engine(
            self._owner,
            arrays,
            tuple(suffixes),
            tuple(group_of),
            len(self._bundles),
            names=whole.names if whole else None,
            single=whole.single if whole else False,
        )
        vars(self).update(
            _arrays=arrays,
            _suffixes=suffixes,
            _states=states,
            _bound=[None] * len(self._bundles),
            _fixed=[{}] * len(self._bundles),
            _storage=[{}] * len(self._bundles),
            _engine=engine,
        )
        for i, progress in enumerate(taken):
            engine.set_t(i, progress["step"])  # by which _commit knows states in use
        for j, group in enumerate(self._groups):
            options = {name: group[name] for name in self.options}
            self._commit(j, options, self._prepared(j, options))
        for i, progress in enumerate(taken):
            self._restore(i, **progress)
        codes = [dtypes.code_of(p.dtype) for p in self._rounded_arrays().values()]
        if codes and vars(self).get("_precision") is None:
            vars(self)["_precision"] = PrecisionCheck(self._owner, codes)
        fields = ("params", *self.options)
        self._engine.watch(self._groups, fields, self._group_changed)
        self._engine.bound()

    def _group_changed(self, j: int) -> None:
        """Take over the options of group j, which someone has changed."""
        options = self.checked(own_keys(self._engine.group_at(j)))
        # Numbers convert themselves by users' code, which may have changed all of it.
        group = self._engine.group_at(j)
        if group.get("params") is not self._bundles[j].arrays:
            raise ValueError(
                f"{self._owner}: param_groups[{j}]['params'] was replaced; build a new "
                "optimizer, or use add_param_group"
            )
        for name in self.options:
            if name not in group:
                raise KeyError(f"{self._owner}: param_groups[{j}] has lost {name!r}")
        self._check_storage(j, options, "cannot change")
        self._check_fixed(j, options)
        self._commit(j, options, self._prepared(j, options))
        self._begin_again(j, options)

    def _layout(
        self, i: int, options: Mapping[str, Any], rule: str | None = None
    ) -> tuple[Any, Layout]:
        """Return the kernel of array i by these options, and what is kept beside it.

        rule : another one than that of these options.
        """
        name = f"{self._owner}: params{self._suffixes[i]}"
        array = np.asarray(self._arrays[i])
        kernel = find_kernel(name, rule or self.rule(options), array)
        return kernel, storage.layout(name, kernel, array.dtype, options)

    def _unused_fields(self, i: int, options: Mapping[str, Any]) -> dict[str, Field]:
        """Return what only rules for other options keep beside array i."""
        fields: dict[str, Field] = {}
        for rule in self.rules:
            fields |= self._layout(i, options, rule)[1].fields
        used = self._layout(i, options)[1].fields
        return {name: x for name, x in fields.items() if name not in used}

    def _waiting_arrays(
        self, i: int, names: Collection[str], fields: Mapping[str, Field]
    ) -> dict[str, Any]:
        """Return states of array i that its rule does not use, new ones if need be."""
        lacking = [name for name in names if name not in self._states[i]]
        arrays = new_arrays([(self._arrays[i], fields[name]) for name in lacking])
        new = dict(zip(lacking, arrays, strict=True))
        return {name: new.get(name, self._states[i].get(name)) for name in names}

    def _prepared(self, j: int, options: Mapping[str, Any]) -> dict[int, Binding]:
        """Return what each array of group j is stepped by, if its rule changes.

        States that an array has under the same name go on; others start anew.
        """
        for i in self._indices(j):
            self.check_starts(options, self._arrays[i].dtype)
        rule, starts = self.rule(options), self.initial(options)
        if rule == self._bound[j]:
            return {}
        layouts = {i: self._layout(i, options) for i in self._indices(j)}
        missing = {
            (i, name): (self._arrays[i], field)
            for i, (_, layout) in layouts.items()
            for name, field in layout.fields.items()
            if name not in self._states[i]
        }
        new = dict(zip(missing, new_arrays([*missing.values()]), strict=True))
        bindings = {
            i: Binding(
                kernel,
                layout,
                {n: new.get((i, n), self._states[i].get(n)) for n in layout.fields},
            )
            for i, (kernel, layout) in layouts.items()
        }
        for i, name in missing:
            kernel, layout, arrays = bindings[i]
            if name in kernel.state:
                storage.fill(layout, arrays, name, starts.get(name, 0.0))
        return bindings

    def _check_storage(self, j: int, options: Mapping[str, Any], why: str) -> None:
        """Refuse other bits in memory than the optimizer was built with."""
        for name in storage.OPTIONS:
            then = self._storage[j][name]
            if options[name] != then:
                raise ValueError(
                    f"{self._owner}: {name} {why}, from {then!r} to {options[name]!r}; "
                    "build a new optimizer with it"
                )

    def _check_fixed(self, j: int, options: Mapping[str, Any]) -> None:
        """Refuse changes that would leave states without their meaning."""
        if not any(self._engine.get_t(i) for i in self._indices(j)):
            return
        now = self.fixed(options)
        for name, then in self._fixed[j].items():
            if now[name] != then:
                key = "betas: " if is_part_of_betas(name) else ""
                change = changed_after_a_step(name, then, now[name])
                raise ValueError(f"{self._owner}: {key}{name} {change}")

    def _begin_again(self, j: int, options: Mapping[str, Any]) -> None:
        """Start states of arrays that have taken no step where options now say."""
        for name, value in self.initial(options).items():
            for i in self._indices(j):
                if self._engine.get_t(i) == 0 and name in self._states[i]:
                    layout = self._layout(i, options)[1]
                    storage.fill(layout, self._states[i], name, value)

    def _commit(
        self, j: int, options: dict[str, Any], prepared: dict[int, Binding]
    ) -> None:
        """Step group j by these options, kernels and states from now on."""
        for i, binding in prepared.items():
            kernel, layout, arrays = binding
            names, t = kernel.state, self._engine.get_t(i)
            stepped = self._states[i] if t else {}
            # Momentum that is switched on late begins as it would have at first.
            begins = bool(names) and not stepped.keys() & set(names)
            # States that this rule lacks wait for the rule that has them, as in torch.
            self._states[i] = stepped | arrays
            coding = layout.coding(kernel, arrays, options["seed"], i)
            self._engine.bind(i, kernel, binding.states(), coding)
            self._engine.set_t(i, 0 if begins else t)
        if prepared and self._bound[j] is not None:
            self._engine.bound()
        self._bound[j] = self.rule(options)
        self._storage[j] = {name: options[name] for name in storage.OPTIONS}
        self._fixed[j] = self.fixed(options)
        self._groups[j].update(options)
        self._engine.set_group(j, *self.group_numbers(options))
        self._engine.set_direct(j, self.group_direct(options))

    def _entries(self, method: str, grads: Any) -> list[Any]:
        """Return one gradient, or None, for each array."""
        return self._flat(f"{self._owner}.{method}: grads", grads)

    def _flat(self, where: str, given: Any) -> list[Any]:
        """Return entries in the structure of the parameters in the order of arrays."""
        if self._bare:
            return list(self._bundles[0].flatten(where, given))
        entries = checks.ordered(where, None, len(self._bundles), given, hint="")
        return [
            a
            for j, found in enumerate(self._bundles)
            for a in found.flatten(f"{where}[{j}]", entries[j])
        ]

    # -- what is computed beside steps

    def _rounded_arrays(self) -> dict[int, Any]:
        """Return, by number, bfloat16 and float16 parameters rounded to nearest."""
        parameters = self._parameters()
        return {
            i: parameters[i]
            for j, own in enumerate(self._storage)
            if own["master"] is None and own["rounding"] == "nearest"
            for i in self._indices(j)
            if dtypes.code_of(parameters[i].dtype) is not None and parameters[i].size
        }

    def _exact(self) -> tuple[Any, ...]:
        """Return the parameters as they are stepped: a master where there is one."""
        return tuple(
            storage.exact(p, states)
            for p, states in zip(self._parameters(), self._states, strict=True)
        )

    def _parameters(self, *, are_written: bool = False) -> tuple[Any, ...]:
        """Return the parameters, subclasses as plain `numpy.ndarray`.

        Raises
        ------
        ValueError
            If one was resized, reshaped or given other memory, or is to be written and
            was made read-only.
        """
        return self._engine.parameters(are_written)

    def _engine_over(
        self,
        arrays: tuple[Any, ...],
        rule: str,
        reads: tuple[str, ...],
        hypers: list[Any],
    ) -> _core.Engine:
        """Make an engine that writes to arrays, one for each of ours, by another rule.

        It reads our states of these names; hypers are those of each group, if any.
        """
        group_of = tuple(j for j in range(len(self._groups)) for _ in self._indices(j))
        engine = _core.Engine(
            self._owner, arrays, ("",) * len(arrays), group_of, len(self._groups)
        )
        for j, group in enumerate(self._groups):
            for i in self._indices(j):
                name = f"{self._owner}: params{self._suffixes[i]}"
                kernel = find_kernel(name, rule, arrays[i])
                layout = self._layout(i, group)[1]
                states = tuple(self._states[i][name] for name in reads)
                coding = layout.beside_results(kernel, self._states[i], arrays[i].dtype)
                engine.bind(i, kernel, states, coding)
        for j, hyper in enumerate(hypers):
            names = hyper_names(rule)
            engine.set_group(j, tuple(hyper[name] for name in names), 1.0)
        engine.bound()
        return engine

    def _new_like_parameters(self) -> tuple[Any, ...]:
        """Return uninitialised arrays of the parameters' shapes, dtypes and orders."""
        return tuple(np.empty_like(p) for p in self._parameters())

    def _check_out(self, where: str, out: Sequence[Any]) -> None:
        """Check that results like the parameters can be written to arrays of a user."""
        parameters = self._parameters()
        for a, p, suffix in zip(out, parameters, self._suffixes, strict=True):
            checks.output(f"{where}{suffix}", a, p)
        states = [a for states in self._states for a in states.values()]
        checks.apart(where, out, [*parameters, *states])

    def _rebuilt(self, arrays: tuple[Any, ...]) -> Any:
        """Return arrays in the structure of the parameters; for groups, a list."""
        found = [
            ours.rebuilt([arrays[i] for i in self._indices(j)])
            for j, ours in enumerate(self._bundles)
        ]
        return found[0] if self._bare else found

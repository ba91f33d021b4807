"""What all optimizers share: parameters, groups, state, steps, saving and loading."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from gradstep import _core, checks
from gradstep.declared import OPTIMIZERS, Declared, hyper_names, positional
from gradstep.hyper import flag
from gradstep.state import STRUCTURE, matched, own_keys, read_state
from gradstep.structure import Bundle, Grads, Params, as_groups, bundle, check_group

__all__ = ["DTYPE_WORDS", "OPTIMIZERS", "Optimizer"]

# The words by which C calls the types of parameters.
DTYPE_WORDS = {np.dtype(np.float32): "f32", np.dtype(np.float64): "f64"}


class Optimizer(Declared):
    """Base of all optimizers; see a subclass for how to use one."""

    if TYPE_CHECKING:
        params: Params = positional()
    maximize: bool = flag(False)
    _owner: str
    _defaults: dict[str, Any]
    _bare: bool  # no groups were passed
    _groups: list[dict[str, Any]]
    _bundles: list[Bundle]
    # For each array, its name in messages and its states; for each group, its rule.
    _arrays: tuple[Any, ...]
    _suffixes: list[str]
    _states: list[dict[str, Any]]
    _bound: list[str | None]
    _engine: _core.Engine

    def __init__(self, params: Params, **options: Any) -> None:
        owner = type(self).__name__
        if not self.rules:
            raise TypeError(f"{owner} names no rules; use a subclass that does")
        given, bare = as_groups(owner, params)
        # At once, past __setattr__: small fits make many optimizers.
        vars(self).update(
            _owner=owner,
            _defaults=self.checked(options),
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
        found = bundle(self._owner, group["params"])
        if len(group) == 1:
            entry = {**self._defaults, "params": found.arrays}
        else:
            given = own_keys({**self._defaults, **group})
            notes = {k: v for k, v in group.items() if k not in given}
            entry = {**notes, **self.checked(given), "params": found.arrays}
        if found.names is not None:
            entry["param_names"] = tuple(found.names)
        self._groups.append(entry)
        self._bundles.append(found)

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
            _engine=engine,
        )
        for j, group in enumerate(self._groups):
            options = {name: group[name] for name in self.options}
            self._commit(j, options, self._prepared(j, options))
        for i, progress in enumerate(taken):
            self._restore(i, **progress)
        fields = ("params", *self.options)
        self._engine.watch(self._groups, fields, self._group_changed)
        self._engine.bound()

    def _kernel(self, rule: str, i: int) -> _core.Kernel:
        dtype = self._arrays[i].dtype
        if dtype not in DTYPE_WORDS:
            known = ", ".join(map(str, DTYPE_WORDS))
            remedy = "a.astype('float64')" if dtype.kind in "biuf" else "real numbers"
            raise TypeError(
                f"{self._owner}: params{self._suffixes[i]} has dtype {dtype}, expected "
                f"one of {known}; pass {remedy}"
            )
        return _core.find(rule, DTYPE_WORDS[dtype])

    def _group_changed(self, j: int) -> None:
        """Take over the options of group j, which someone has changed."""
        group = self._groups[j]
        if group.get("params") is not self._bundles[j].arrays:
            raise ValueError(
                f"{self._owner}: param_groups[{j}]['params'] was replaced; build a new "
                "optimizer, or use add_param_group"
            )
        for name in self.options:
            if name not in group:
                raise KeyError(f"{self._owner}: param_groups[{j}] has lost {name!r}")
        options = self.checked(own_keys(group))
        self._commit(j, options, self._prepared(j, options))

    def _prepared(self, j: int, options: Mapping[str, Any]) -> dict[int, Any]:
        """Return kernel and states of each array of group j, if its rule changes.

        States that an array has under the same name go on; others start anew.
        """
        rule, first, found = self.rule(options), self.initial(options), {}
        if not self.switchable and self._bound[j] not in (None, rule):
            self._check_unmoved(j, rule)
        for i in self._indices(j) if rule != self._bound[j] else ():
            kernel, old = self._kernel(rule, i), self._states[i]
            found[i] = (
                kernel,
                {
                    name: old[name]
                    if name in old
                    else self._begun(i, first.get(name, 0.0))
                    for name in kernel.state
                },
            )
        return found

    def _check_unmoved(self, j: int, rule: str) -> None:
        if any(self._engine.get_t(i) for i in self._indices(j)):
            raise ValueError(
                f"{self._owner}: options that lead from the rule {self._bound[j]} to "
                f"{rule} cannot change after a step; build a new optimizer"
            )

    def _begun(self, i: int, value: float | None) -> Any:
        """Return a new state of array i."""
        state = _core.allocate((), self._arrays[i].dtype, True, self._arrays[i])
        if value is None:
            np.copyto(state, self._arrays[i])
        elif value:
            state.fill(value)
        return state

    def _commit(
        self, j: int, options: dict[str, Any], prepared: dict[int, Any]
    ) -> None:
        """Step group j by these options, kernels and states from now on."""
        for i, (kernel, states) in prepared.items():
            # Momentum that is switched on late begins as it would have at first.
            if states and not set(self._states[i]) & set(states):
                self._engine.set_t(i, 0)
            self._states[i] = states
            self._engine.bind(i, kernel, tuple(states.values()))
        if prepared and self._bound[j] is not None:
            self._engine.bound()
        self._bound[j] = self.rule(options)
        self._groups[j].update(options)
        numbers = self.numbers(options)
        hyper = tuple(numbers[name] for name in hyper_names(self.rule(options)))
        sign = -1.0 if options["maximize"] else 1.0
        self._engine.set_group(j, hyper, sign, *self.clipping(options))

    # -- stepping

    def step(self, grads: Grads) -> None:
        """Take one step, in place.

        Parameters
        ----------
        grads : array, sequence, mapping or list of these
            Gradients in the structure in which the parameters were passed: for groups,
            a list with one entry for each. Each array has its parameter's shape and
            dtype. None in place of an array leaves that parameter, its state and its
            step count as they are. Gradients are never written to.

        Raises
        ------
        TypeError, ValueError, KeyError
            If a gradient, or an option that was changed in `param_groups`, does not
            fit. No parameter and no state has been changed then.
        RuntimeError
            If another thread is in a step of this optimizer.
        """
        self._engine.step(grads if self._bare else self._entries("step", grads))

    def check_grads(self, grads: Grads) -> None:
        """Raise what `step` would raise for these gradients, and do nothing."""
        self._engine.check(grads if self._bare else self._entries("step", grads))

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

    def gradient_elsewhere(self) -> bool:
        """Return whether `step` wants gradients at other points than the parameters."""
        return False

    # -- what is computed beside steps

    def _engine_over(
        self, arrays: tuple[Any, ...], rule: str, reads: tuple[str, ...], hypers: Any
    ) -> _core.Engine:
        """Make an engine that writes to arrays, one for each of ours, by another rule.

        It reads our states of these names; hypers are those of each group, if any.
        """
        group_of = tuple(j for j in range(len(self._groups)) for _ in self._indices(j))
        engine = _core.Engine(
            self._owner, arrays, ("",) * len(arrays), group_of, len(self._groups)
        )
        for i, states in enumerate(self._states):
            kernel = self._kernel(rule, i)
            engine.bind(i, kernel, tuple(states[name] for name in reads))
        for j, hyper in enumerate(hypers):
            engine.set_group(j, hyper, 1.0)
        engine.bound()
        return engine

    def _out(self, where: str, out: Any) -> tuple[Any, ...]:
        """Return arrays like the parameters: new ones, or those of `out`, checked."""
        if out is None:
            return tuple(np.empty_like(p, subok=False) for p in self._arrays)
        found = tuple(self._flat(where, out))
        for a, p, suffix in zip(found, self._arrays, self._suffixes, strict=True):
            checks.output(f"{where}{suffix}", a, p)
        return found

    def _rebuilt(self, arrays: tuple[Any, ...]) -> Any:
        """Return arrays in the structure of the parameters; for groups, a list."""
        found = [
            ours.rebuilt([arrays[i] for i in self._indices(j)])
            for j, ours in enumerate(self._bundles)
        ]
        return found[0] if self._bare else found

    # -- saving and loading

    @property
    def state(self) -> tuple[Mapping[str, Any], ...]:
        """For each array, its step count, scalars and state arrays (not copies).

        ``"step"`` counts the steps taken with these state arrays: when an option is
        changed so that they are replaced by others, it starts again.
        """
        return tuple(
            MappingProxyType(taken | states)
            for taken, states in zip(self._taken(), self._states, strict=True)
        )

    @property
    def defaults(self) -> Mapping[str, Any]:
        """The options with which the optimizer was built."""
        return MappingProxyType(self._defaults)

    @property
    def engine(self) -> _core.Engine:
        """What takes the steps, for Cython code that needs them without the GIL."""
        return self._engine

    def state_dict(self) -> dict[str, Any]:
        """Return all that is needed to go on from here, bit for bit.

        Returns
        -------
        dict
            ``"state"``: for each array by number, its ``"step"``, numbers that its
            rule keeps, and copies of its state arrays; ``"param_groups"``: the options,
            with numbers in place of arrays.
        """
        with self._engine:
            self._engine.settle()
            copies = {
                i: taken | {name: a.copy("K") for name, a in states.items()}
                for i, (taken, states) in enumerate(
                    zip(self._taken(), self._states, strict=True)
                )
            }
        groups = [
            {**group, "params": list(self._indices(j))}
            for j, group in enumerate(self._groups)
        ]
        return {"state": copies, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from where `state_dict` was taken, bit for bit.

        Options, step counts and states are taken over; the parameters are not in it and
        have to be restored by the caller. Arrays are matched by name where both sides
        were given names, otherwise by position.

        Parameters
        ----------
        state_dict : mapping
            From `state_dict` of an optimizer with the same options and states, over
            arrays of the same shapes and dtypes. It is copied.

        Raises
        ------
        TypeError, ValueError, KeyError
            If it does not fit. Nothing has been changed then.
        """
        where = f"{self._owner}.load_state_dict"
        saved, keys = matched(where, state_dict, self._groups)
        with self._engine:
            for j, group in enumerate(saved):
                for name in self.options:
                    if name not in group:
                        raise KeyError(f"{where}: param_groups[{j}] lacks {name!r}")
            options = [self.checked(own_keys(group)) for group in saved]
            prepared = [self._prepared(j, found) for j, found in enumerate(options)]
            loaded = [
                read_state(
                    f"{where}: state[{keys[i]!r}]",
                    state_dict["state"].get(keys[i]),
                    self._kernel(self.rule(found), i),
                    self._arrays[i],
                )
                for j, found in enumerate(options)
                for i in self._indices(j)
            ]
            for j, group in enumerate(saved):
                ours = self._groups[j]
                kept = {k: ours[k] for k in STRUCTURE if k in ours}
                ours.clear()
                ours.update(kept | group)
                self._commit(j, options[j], prepared[j])
            for i, (progress, states) in enumerate(loaded):
                self._restore(i, **progress)
                for name, value in states.items():
                    np.copyto(self._states[i][name], value)

    def __getstate__(self) -> dict[str, Any]:
        params = [{"params": found.rebuilt(found.arrays)} for found in self._bundles]
        return {
            "params": params[0]["params"] if self._bare else params,
            "defaults": self._defaults,
            "state_dict": self.state_dict(),
        }

    def __setstate__(self, saved: dict[str, Any]) -> None:
        Optimizer.__init__(self, saved["params"], **saved["defaults"])
        self.load_state_dict(saved["state_dict"])

    def __repr__(self) -> str:
        lines = [f"{self._owner} ("]
        for j, group in enumerate(self._groups):
            lines.append(f"Parameter Group {j}: {len(group['params'])} arrays")
            lines += [f"    {name}: {group[name]}" for name in self.options]
        return "\n".join([*lines, ")"])

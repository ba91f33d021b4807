"""What all optimizers share: parameters, groups, state, steps, saving and loading."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from gradstep import _core
from gradstep.declared import OPTIMIZERS, Declared, hyper_names, positional
from gradstep.hyper import flag
from gradstep.state import matched, read_state
from gradstep.structure import Bundle, Grads, Params, bundle, groups

__all__ = ["DTYPE_WORDS", "OPTIMIZERS", "Optimizer"]

# The words by which C calls the types of parameters.
DTYPE_WORDS = {np.dtype(np.float32): "f32", np.dtype(np.float64): "f64"}


class Optimizer(Declared):
    """Base of all optimizers; see a subclass for how to use one."""

    if TYPE_CHECKING:
        params: Params = positional()
    maximize: bool = flag(False)
    _engine: _core.Engine

    def __init__(self, params: Params, **options: Any) -> None:
        self._owner = type(self).__name__
        if not self.rules:
            raise TypeError(f"{self._owner} names no rules; use a subclass that does")
        self._defaults = self.checked(options)
        given = groups(self._owner, params)
        self._bare = given is None
        self._groups: list[dict[str, Any]] = []
        self._bundles: list[Bundle] = []
        for group in [{"params": params}] if given is None else given:
            self._append(group)
        self._states: list[dict[str, Any]] = [{} for _ in self._arrays()]
        self._assemble([0] * len(self._states))

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
        steps = self._steps()
        before = len(self._groups), self._bare, self._engine, list(self._states)
        try:
            self._append(group)
            self._bare = False
            self._states += [{} for _ in self._bundles[-1].arrays]
            self._assemble(steps + [0] * (len(self._states) - len(steps)))
        except BaseException:
            n, self._bare, self._engine, self._states = before
            del self._groups[n:], self._bundles[n:]
            raise

    def _append(self, group: Mapping[str, Any]) -> None:
        found = bundle(self._owner, group["params"])
        options = {k: v for k, v in group.items() if k != "params"}
        checked = self.checked({**self._defaults, **options})
        entry = {"params": found.arrays, **checked}
        if found.names is not None:
            entry["param_names"] = found.names
        self._groups.append(entry)
        self._bundles.append(found)

    # -- arrays, kernels and states

    def _arrays(self) -> list[Any]:
        return [a for found in self._bundles for a in found.arrays]

    def _indices(self, j: int) -> range:
        """Where the arrays of group j are among all."""
        first = sum(len(found.arrays) for found in self._bundles[:j])
        return range(first, first + len(self._bundles[j].arrays))

    def _steps(self) -> list[int]:
        return [self._engine.get_t(i) for i in range(len(self._states))]

    def _assemble(self, steps: list[int]) -> None:
        """Make the engine that carries out `step`."""
        suffixes = [
            ("" if self._bare else f"[{j}]") + suffix
            for j, found in enumerate(self._bundles)
            for suffix in found.suffixes()
        ]
        group_of = [j for j in range(len(self._bundles)) for _ in self._indices(j)]
        whole = self._bundles[0] if self._bare else None
        self._engine = _core.Engine(
            self._owner,
            tuple(self._arrays()),
            tuple(suffixes),
            tuple(group_of),
            len(self._bundles),
            names=whole.names if whole else None,
            single=whole.single if whole else False,
        )
        self._suffixes = suffixes
        self._bound: list[str | None] = [None] * len(self._bundles)
        for i, t in enumerate(steps):
            self._engine.set_t(i, t)
        fields = ("params", *self.options)
        self._engine.watch(self._groups, fields, self._group_changed)
        self._engine.bound()

    def _kernel(self, rule: str, i: int) -> _core.Kernel:
        dtype = self._arrays()[i].dtype
        if dtype not in DTYPE_WORDS:
            known = ", ".join(map(str, DTYPE_WORDS))
            raise TypeError(
                f"{self._owner}: params{self._suffixes[i]} has dtype {dtype}, expected "
                f"one of {known}; pass a.astype('float64')"
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
        checked = self.checked({name: group[name] for name in self.options})
        self._bind(j, self.rule(checked))
        group.update(checked)
        numbers = self.numbers(checked)
        hyper = tuple(numbers[name] for name in hyper_names(self.rule(checked)))
        self._engine.set_group(j, hyper, -1.0 if checked["maximize"] else 1.0)

    def _bind(self, j: int, rule: str) -> None:
        """Give the arrays of group j the kernels and the states of a rule.

        States that the old rule had under the same name go on. Where none does, t
        starts again: momentum switched on late begins as it would have at first.
        """
        if rule == self._bound[j]:
            return
        arrays = self._arrays()
        kernels = {i: self._kernel(rule, i) for i in self._indices(j)}
        states = {i: self._new_states(i, k, arrays[i]) for i, k in kernels.items()}
        for i, kernel in kernels.items():
            if self._bound[j] is not None and not set(self._states[i]) & set(states[i]):
                self._engine.set_t(i, 0)
            self._states[i] = states[i]
            self._engine.bind(i, kernel, tuple(states[i].values()))
        if self._bound[j] is not None:
            self._engine.bound()
        self._bound[j] = rule

    def _new_states(self, i: int, kernel: _core.Kernel, array: Any) -> dict[str, Any]:
        old = self._states[i]
        return {
            name: old[name]
            if name in old
            else _core.allocate((), array.dtype, True, array)
            for name in kernel.state
        }

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
        self._engine.step(grads if self._bare else self._flat(grads))

    def _flat(self, grads: Any) -> list[Any]:
        if isinstance(grads, (np.ndarray, Mapping)) or not isinstance(grads, Iterable):
            raise TypeError(
                f"{self._owner}.step: grads must be a list with one entry for each of "
                f"the {len(self._bundles)} groups, got {type(grads).__name__}"
            )
        entries = list(grads)
        if len(entries) != len(self._bundles):
            raise ValueError(
                f"{self._owner}.step: got gradients for {len(entries)} groups, "
                f"expected {len(self._bundles)}"
            )
        return [
            g
            for j, (found, entry) in enumerate(zip(self._bundles, entries, strict=True))
            for g in found.flatten(f"{self._owner}.step: grads[{j}]", entry)
        ]

    # -- saving and loading

    @property
    def state(self) -> list[dict[str, Any]]:
        """For each array, its step count and its state arrays (not copies)."""
        return [
            {"step": t, **states}
            for t, states in zip(self._steps(), self._states, strict=True)
        ]

    @property
    def engine(self) -> _core.Engine:
        """What takes the steps, for Cython code that needs them without the GIL."""
        return self._engine

    def state_dict(self) -> dict[str, Any]:
        """Return all that is needed to go on from here, bit for bit.

        Returns
        -------
        dict
            ``"state"``: for each array by number, its ``"step"`` and copies of its
            state arrays; ``"param_groups"``: the options, with numbers in place of
            arrays.
        """
        saved = []
        for j, group in enumerate(self._groups):
            saved.append({**group, "params": list(self._indices(j))})
        copies = {
            i: {
                k: v.copy("K") if isinstance(v, np.ndarray) else v for k, v in x.items()
            }
            for i, x in enumerate(self.state)
        }
        return {"state": copies, "param_groups": saved}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from where `state_dict` was taken, bit for bit.

        Options, step counts and states are taken over; the parameters are not in it and
        have to be restored by the caller. Arrays are matched by name where both sides
        were given names, otherwise by position.

        Parameters
        ----------
        state_dict : mapping
            From `state_dict` of an optimizer of the same class over arrays of the same
            shapes and dtypes. It is copied.

        Raises
        ------
        TypeError, ValueError, KeyError
            If it does not fit. Nothing has been changed then.
        """
        saved, index = matched(self._owner, state_dict, self._groups)
        options = []
        loaded: dict[int, tuple[int, dict[str, Any]]] = {}
        for j, group in enumerate(saved):
            known = {k: group[k] for k in self.options if k in group}
            options.append(self.checked({**self._defaults, **known}))
            rule = self.rule(options[j])
            for i in self._indices(j):
                loaded[i] = read_state(
                    f"{self._owner}.load_state_dict: state[{index[i]}]",
                    state_dict["state"].get(index[i]),
                    self._kernel(rule, i).state,
                    self._arrays()[i],
                )
        for j, group in enumerate(saved):
            extra = {k: v for k, v in group.items() if k not in self._groups[j]}
            self._groups[j].update(extra | options[j])
            self._group_changed(j)
        for i, (t, states) in loaded.items():
            self._engine.set_t(i, t)
            for name, value in states.items():
                np.copyto(self._states[i][name], value)

    def __getstate__(self) -> dict[str, Any]:
        params = [{"params": found.rebuilt(found.arrays)} for found in self._bundles]
        return {
            "params": params[0]["params"] if self._bare else params,
            "state_dict": self.state_dict(),
        }

    def __setstate__(self, saved: dict[str, Any]) -> None:
        Optimizer.__init__(self, saved["params"])
        self.load_state_dict(saved["state_dict"])

    def __repr__(self) -> str:
        lines = [f"{self._owner} ("]
        for j, group in enumerate(self._groups):
            lines.append(f"Parameter Group {j}: {len(group['params'])} arrays")
            lines += [f"    {name}: {group[name]}" for name in self.options]
        return "\n".join([*lines, ")"])

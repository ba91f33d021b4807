"""What all optimizers share: steps, saving and loading."""

from __future__ import annotations  # help() shows Grads, not what it stands for

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Unpack

import numpy as np

from gradstep import _core, checks
from gradstep.assembly import Assembled, Binding
from gradstep.declared import OPTIMIZERS
from gradstep.precision import Samples
from gradstep.scaling import Scaling, StepReport, engine_scaling, refuse
from gradstep.state import STRUCTURE, matched, own_keys, read_state
from gradstep.structure import Grads, Params

__all__ = ["OPTIMIZERS", "Optimizer"]


class Optimizer(Assembled):
    """Base of all optimizers; see a subclass for how to use one."""

    def step(self, grads: Grads, **how: Unpack[Scaling]) -> None:
        """Take one step, in place; `last_step` tells what was found on the way.

        The arrays with which the optimizer was built are updated. An array that takes
        the place of one of them later, as by ``p["w"] = p["w"] * 2``, is not: write
        ``p["w"] *= 2`` or ``p["w"][...] = values`` instead. `check_params` finds out.

        Parameters
        ----------
        grads : array, sequence, mapping or list of these
            Gradients in the structure in which the parameters were passed: for groups,
            a list with one entry for each. Each array has its parameter's shape and
            dtype; those of float32, bfloat16 and float16 may be of any of these. None
            in place of an array leaves that parameter, its state and its step count as
            they are. Gradients are never written to.
        grad_scale : float, default 1
            Multiplies all gradients, in (0, inf): 1 over the scale of the loss, say. It
            need not be a normal number of their dtype, but what it makes of them does.
        clip_norm : float, optional
            Gradients, so scaled, are multiplied by ``clip_norm / (norm + 1e-6)`` where
            that is below 1, in (0, inf]; `norm` is that of all of them together, summed
            in float64 in a fixed order, and exact also where squares leave the range of
            float64. ``inf`` finds the norm and clips nothing.
        nonfinite : {"propagate", "skip", "raise"}
            What to do where a scaled gradient is infinite or NaN: step all the same, so
            that it shows in the parameters; take no step, and change nothing, not even
            the step count; or raise FloatingPointError, likewise.

        Raises
        ------
        TypeError, ValueError, KeyError
            If a gradient, or an option that was changed in `param_groups`, does not
            fit. No parameter and no state has been changed then.
        FloatingPointError
            See `nonfinite`.
        RuntimeError
            If another thread is in a step of this optimizer.

        Warns
        -----
        PrecisionWarning
            Once, where steps of bfloat16 or float16 parameters are lost in rounding.
        """
        if self._precision is not None and self._precision.is_due():
            self._step_and_look(grads, how)
        elif not how:
            self._engine.step(self._as_engine_takes(grads))
        else:
            self._scaled_step(self._as_engine_takes(grads), how)

    def _scaled_step(self, grads: Any, how: Scaling) -> bool:
        """Take a step, unless gradients that are not finite prevent it."""
        where = f"{self._owner}.step"
        is_taken = self._engine.step(grads, *engine_scaling(where, how))
        if not is_taken:
            refuse(where, how, self.last_step)
        return is_taken

    def _step_and_look(self, grads: Grads, how: Scaling) -> None:
        """Take a step, and warn if those since the last look are lost in rounding."""
        precision = self._precision
        assert precision is not None
        entries = self._entries("step", grads)  # of a generator, say, once
        lrs = [
            group.get("lr", 1.0)
            for j, group in enumerate(self._groups)
            for _ in self._indices(j)
        ]
        samples = precision.samples
        if samples is None:
            precision.begin(Samples(self._rounded_arrays()), max(lrs), steps=0)
        given = self._rebuilt(tuple(entries)) if self._bare else entries
        if self._scaled_step(given, how) and samples is not None:
            precision.samples = Samples(self._rounded_arrays())
            precision.judge(samples.look(entries, lrs))

    @property
    def last_step(self) -> StepReport:
        """What the last step found in its gradients, and did with them."""
        return StepReport(*self._engine.report())

    def check_grads(self, grads: Grads, **how: Unpack[Scaling]) -> StepReport:
        """Raise what `step` would, or return what it would report; do nothing."""
        where = f"{self._owner}.step"
        scaling = engine_scaling(where, how)
        found = self._engine.check(self._as_engine_takes(grads), *scaling)
        refuse(where, how, StepReport(*found))
        return StepReport(*found)

    def check_params(self, params: Params) -> None:
        """Raise if `step` does not update these arrays.

        Parameters
        ----------
        params : array, list or dict of arrays, or list of groups
            In the structure that was passed to the constructor; for groups that were
            added, a list with one entry for each group.

        Raises
        ------
        TypeError, ValueError, KeyError
            If the structure is another one, or one of its arrays is not that of the
            optimizer; the message names it. Views of the same elements are accepted.

        Examples
        --------
        >>> import numpy as np, gradstep as gs
        >>> p = {"w": np.ones(2), "b": np.zeros(1)}
        >>> opt = gs.Adam(p)
        >>> p["w"] *= 2
        >>> opt.check_params(p)
        >>> p["w"] = p["w"] * 2
        >>> opt.check_params(p)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        ValueError: Adam.check_params: params['w'] is not the array that step ...
        """
        where = f"{self._owner}.check_params: params"
        entries: Any = [params]
        if not self._bare:
            count = len(self._bundles)
            entries = checks.ordered(where, None, count, params, hint="")
        arrays: list[Any] = []
        for j, (ours, entry) in enumerate(zip(self._bundles, entries, strict=True)):
            is_group = isinstance(entry, Mapping) and "params" in entry
            is_array = "params" in (ours.names or ())  # that is called so
            structure = entry["params"] if is_group and not is_array else entry
            suffix = "" if self._bare else f"[{j}]"
            arrays += ours.flatten(where + suffix, structure)
        for array, own, suffix in zip(
            arrays, self._arrays, self._suffixes, strict=True
        ):
            if array is not own and not checks.is_view_of_all(array, own):
                raise ValueError(
                    f"{where}{suffix} is not the array that step updates; write to "
                    "that one, such as by *= or [...] =, or build a new optimizer"
                )

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Do nothing: gradients are passed to `step`, and no optimizer keeps them.

        Loops that are written for torch may call it.
        """
        del set_to_none

    def _as_engine_takes(self, grads: Any) -> Any:
        return grads if self._bare else self._entries("step", grads)

    def gradient_elsewhere(self) -> bool:
        """Return whether `step` wants gradients at other points than the parameters."""
        return False

    def engine_is_step(self) -> bool:
        """Return whether a step of `engine` is all that `step` does."""
        return not self.wraps

    def results(self) -> tuple[Any, ...]:
        """Return what has been found: the parameters, or new arrays of averages."""
        return self._arrays

    # -- saving and loading

    @property
    def state(self) -> tuple[Mapping[str, Any], ...]:
        """For each array, its step count, scalars and state arrays (not copies).

        ``"step"`` counts the steps taken with these state arrays: it starts again when
        an option is changed so that all of them are new. States that the options switch
        off, such as a buffer while momentum is 0, stay as they are until they are
        switched on again.
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
            self._engine.check_groups()  # numbers convert themselves by users' code
            for j, found in enumerate(options):
                self._check_storage(j, found, "of what is loaded differs")
            prepared = [self._prepared(j, found) for j, found in enumerate(options)]
            unused = [
                self._unused_fields(i, found)
                for j, found in enumerate(options)
                for i in self._indices(j)
            ]
            loaded = [
                read_state(
                    f"{where}: state[{keys[i]!r}]",
                    state_dict["state"].get(keys[i]),
                    *self._layout(i, found),
                    self._arrays[i],
                    unused[i],
                )
                for j, found in enumerate(options)
                for i in self._indices(j)
            ]
            waiting = [
                self._waiting_arrays(i, states.keys() & unused[i].keys(), unused[i])
                for i, (_, states) in enumerate(loaded)
            ]
            self._check_own_states(where, prepared, loaded, waiting)
            for j, group in enumerate(saved):
                ours = self._groups[j]
                kept = {k: ours[k] for k in STRUCTURE if k in ours}
                ours.clear()
                ours.update(kept | group)
                self._commit(j, options[j], prepared[j])
            for i, (progress, states) in enumerate(loaded):
                self._restore(i, **progress)
                ours = waiting[i] | self._states[i]
                self._states[i] = {name: ours[name] for name in states}
                for name, value in states.items():
                    np.copyto(ours[name], value)

    def _check_own_states(
        self,
        where: str,
        prepared: Sequence[Mapping[int, Binding]],
        loaded: Sequence[tuple[Any, Mapping[str, Any]]],
        waiting: Sequence[Mapping[str, Any]],
    ) -> None:
        """Refuse states of ours that a user has reshaped or made read-only."""
        replaced = {i: entry for group in prepared for i, entry in group.items()}
        for i, (_, states) in enumerate(loaded):
            own = {**waiting[i], **self._states[i]}
            if i in replaced:
                own |= replaced[i].arrays
            for name, value in states.items():
                a = own[name]
                if a.shape != value.shape or not a.flags.writeable:
                    raise ValueError(
                        f"{where}: the state {name!r} of params{self._suffixes[i]} has "
                        f"been given the shape {a.shape}, expected {value.shape}, or "
                        "made read-only; build a new optimizer"
                    )

    def __getstate__(self) -> dict[str, Any]:
        self._parameters()  # a copy of what was resized would be one of nothing
        params = [
            {"params": found.rebuilt(found.arrays), **kept}
            for found, kept in zip(self._bundles, self._storage, strict=True)
        ]
        return {
            "params": params[0]["params"] if self._bare else params,
            "defaults": self._defaults,
            "state_dict": self.state_dict(),
        }

    def __setstate__(self, saved: dict[str, Any]) -> None:
        Assembled.__init__(self, saved["params"], **saved["defaults"])
        self.load_state_dict(saved["state_dict"])

    def __repr__(self) -> str:
        lines = [f"{self._owner} ("]
        for j, group in enumerate(self._groups):
            lines.append(f"Parameter Group {j}: {len(group['params'])} arrays")
            lines += [f"    {name}: {group[name]}" for name in self.options]
        return "\n".join([*lines, ")"])

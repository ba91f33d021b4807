"""From a class's declared options: its constructor's signature, checks and registry."""

import difflib
import functools
import inspect
from abc import ABCMeta
from collections.abc import Mapping
from types import FunctionType
from typing import Any, ClassVar, TypeAlias, dataclass_transform

from gradstep import _core, storage
from gradstep.hyper import (
    Option,
    Real,
    choice,
    dtype_choice,
    flag,
    forms,
    number,
    pair,
    real,
    setting,
    whole,
)

# What subclasses define to run their rules, and the rest of gradstep asks of a class.
_INTERNALS = {
    *("beta", "check_new", "check_together", "checked", "checked_new", "clipping"),
    *("common", "default_options", "direct", "engine_is_step", "fixed", "initial"),
    *("gradient_elsewhere", "group_direct", "group_numbers", "numbers", "options"),
    *("check_starts", "results", "rule", "rules", "starts", "wraps"),
    *("__abstractmethods__", "__annotations__", "__dict__", "__getstate__", "__init__"),
    *("__init_subclass__", "__repr__", "__setattr__", "__setstate__", "__signature__"),
    "__weakref__",
}


class Listing(ABCMeta):
    """A metaclass of optimizers: `dir` and `help` of a class list what users need."""

    def __dir__(cls) -> list[str]:
        return [name for name in super().__dir__() if name not in _INTERNALS]


# Places among the hyperparameters in C, and the open interval for each.
Direct: TypeAlias = tuple[tuple[int, ...], float, float]

OPTIMIZERS: dict[str, Any] = {}
"""Every optimizer class by its name."""

# What to do about an argument without a default.
_MISSING = {
    "params": "pass an array, a list or dict of arrays, or a list of groups",
    "base": "pass what makes an optimizer, such as functools.partial(gradstep.SGD)",
}


def positional(*, kw_only: bool = False) -> Any:
    """Declare, for type checkers only, the constructor's positional argument."""
    return kw_only


@dataclass_transform(
    kw_only_default=True,
    field_specifiers=(
        real,
        pair,
        setting,
        whole,
        number,
        flag,
        choice,
        dtype_choice,
        forms,
        positional,
    ),
)
class Declared(metaclass=Listing):
    """Options that a subclass declares as attributes, and the C rules it runs.

    The import of a subclass fails if it lacks an option that one of its rules reads, or
    has one that none does.
    """

    rules: ClassVar[tuple[str, ...]] = ()
    # Whether it needs another optimizer; it is none of OPTIMIZERS then.
    wraps: ClassVar[bool] = False
    # Options that schedules change in every step. Nothing but C depends on them, unless
    # on whether they are 0; so while they are not, new values need no other check.
    direct: ClassVar[tuple[str, ...]] = ("lr", "betas", "momentum", "weight_decay")
    options: ClassVar[dict[str, Option]] = {}
    default_options: ClassVar[dict[str, Any]] = {}
    # States that begin at the value of an option: its name by that of the state.
    starts: ClassVar[Mapping[str, str]] = {}
    _direct_places: ClassVar[dict[str, dict[str, Direct]]] = {}
    common: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        own = {k: v for k, v in vars(cls).items() if isinstance(v, Option)}
        options = {**cls.options, **own}
        # What the common base declares comes last in the signature, as in torch.
        cls.options = dict(sorted(options.items(), key=lambda x: x[0] in cls.common))
        cls.default_options = {
            name: option.check(cls.__name__, name, option.default)
            for name, option in cls.options.items()
        }
        if not cls.rules:
            cls.common = frozenset(cls.options)
            cls._name_in_messages()
        else:
            cls._check_names()
            cls._direct_places = {rule: cls._places(rule) for rule in cls.rules}
            if cls.__module__.startswith("gradstep.") and not cls.wraps:
                OPTIMIZERS[cls.__name__] = cls
        cls.__signature__ = cls._signature()  # type: ignore[attr-defined]

    @classmethod
    def _name_in_messages(cls) -> None:
        """Let Python's messages call the methods of bases by a class that users know.

        One of a missing argument begins with a method's qualified name.
        """
        for name, method in vars(cls).items():
            if isinstance(method, FunctionType) and cls.__module__.startswith(
                "gradstep."
            ):
                method.__qualname__ = f"Optimizer.{name}"

    @classmethod
    def _positional_names(cls) -> tuple[str, ...]:
        """Return what the constructor takes by position, too; `lr` as in torch."""
        second = "base" if cls.wraps else "lr"
        return ("params", second) if cls.wraps or "lr" in cls.options else ("params",)

    @classmethod
    def _signature(cls) -> inspect.Signature:
        kind, names = inspect.Parameter, cls._positional_names()
        defaults = {name: option.default for name, option in cls.options.items()}
        first = [
            kind(
                name, kind.POSITIONAL_OR_KEYWORD, default=defaults.pop(name, kind.empty)
            )
            for name in names
        ]
        keywords = [
            kind(name, kind.KEYWORD_ONLY, default=default)
            for name, default in defaults.items()
        ]
        return inspect.Signature([*first, *keywords])

    @classmethod
    def _arguments(
        cls, args: tuple[Any, ...], keywords: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the constructor's arguments by name, those without a default too."""
        owner, names = cls.__name__, cls._positional_names()
        if args and callable(args[0]):
            wrapped = ", base=..." if cls.wraps else ""
            raise TypeError(
                f"{owner}: params must be an array, a list or dict of arrays, or a "
                f"list of groups, got {type(args[0]).__name__}; for "
                "scipy.optimize.minimize pass "
                f"method=gradstep.minimize(gradstep.{owner}{wrapped})"
            )
        if len(args) > len(names):
            raise TypeError(
                f"{owner} takes {' and '.join(names)} by position, got {len(args)} "
                "arguments; pass the others by name"
            )
        arguments = dict(zip(names, args, strict=False))
        for name, value in keywords.items():
            if name in arguments:
                raise TypeError(f"{owner}: {name} is passed by position and by name")
            arguments[name] = value
        for name in names:
            if name not in arguments and name not in cls.options:
                raise TypeError(f"{owner}: {name} is missing; {_MISSING[name]}")
        return arguments

    @classmethod
    def _check_names(cls) -> None:
        declared = set(cls.numbers(cls.default_options))
        read = {name for rule in cls.rules for name in hyper_names(rule)}
        if declared != read:
            raise TypeError(
                f"{cls.__name__}: options set {sorted(declared)}, but its rules read "
                f"{sorted(read)}"
            )

    @classmethod
    def _places(cls, rule: str) -> dict[str, Direct]:
        """Return where a rule has the direct options, those that it reads."""
        names, found = hyper_names(rule), {}
        for name in cls.direct:
            option = cls.options.get(name)
            if type(option) is Real and option.low == 0:
                into = option.into or name
                parts = into if isinstance(into, tuple) else (into,)
                if set(parts) <= set(names):
                    places = tuple([names.index(part) for part in parts])
                    found[name] = (places, option.low, option.high)
        return found

    # -- for subclasses

    @classmethod
    def rule(cls, group: Mapping[str, Any]) -> str:
        """Return which of `rules` steps a group with these options."""
        del group
        return cls.rules[0]

    @classmethod
    def check_together(cls, group: Mapping[str, Any]) -> None:
        """Raise if options, each valid, do not go together."""

    @classmethod
    def check_new(cls, group: Mapping[str, Any]) -> None:
        """Raise if a new optimizer or group must not begin with these options.

        A scheduler may lead to them later, such as to a momentum of 0.
        """

    @classmethod
    def initial(cls, group: Mapping[str, Any]) -> dict[str, float]:
        """Return what states start at, by name; 0, or as C says, if not named."""
        return {state: group[option] for state, option in cls.starts.items()}

    @classmethod
    def check_starts(cls, group: Mapping[str, Any], dtype: Any) -> None:
        """Raise if states beside a parameter of a dtype cannot hold what they start at.

        They would begin at infinity.
        """
        largest = storage.largest_state(dtype, group["state_dtype"])
        for option in cls.starts.values():
            if group[option] > largest:
                raise ValueError(
                    f"{cls.__name__}: {option} must be at most {largest!r} for a "
                    f"parameter of {dtype}, where a state begins at it, got "
                    f"{group[option]!r}; pass less, or a float64 parameter"
                )

    @classmethod
    def fixed(cls, group: Mapping[str, Any]) -> dict[str, Any]:
        """Return what must not change in a group after a step, by name."""
        del group
        return {}

    @classmethod
    def clipping(cls, group: Mapping[str, Any]) -> tuple[float, float]:
        """Return c and eps of the factor min(1, c / (norm + eps)); c = 0 for none."""
        del group
        return 0.0, 0.0

    # -- values

    @classmethod
    def checked_new(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return `checked` options that a new optimizer or group may begin with."""
        options = cls.checked(values)
        cls.check_new(options)
        return options

    @classmethod
    def checked(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return all options in their immutable form, defaults for those not given."""
        found = dict(cls.default_options)
        for name, value in values.items():
            option = cls.options.get(name)
            if option is None:
                near = difflib.get_close_matches(name, cls.options, 1)
                hint = f"; did you mean {near[0]!r}?" if near else ";"
                raise TypeError(
                    f"{cls.__name__}: unknown hyperparameter {name!r}{hint} it has "
                    f"{', '.join(cls.options)}"
                )
            found[name] = option.check(cls.__name__, name, value)
        cls.check_together(found)
        return found

    @classmethod
    def numbers(cls, group: Mapping[str, Any]) -> dict[str, float]:
        """Return the hyperparameters of the C rules, by name."""
        numbers: dict[str, float] = {}
        for name, option in cls.options.items():
            option.put(numbers, name, group[name])
        return numbers

    @classmethod
    def group_numbers(
        cls, group: Mapping[str, Any]
    ) -> tuple[tuple[float, ...], float, float, float]:
        """Return a group's numbers for the engine: hyperparameters, sign, clipping."""
        numbers = cls.numbers(group)
        hyper = tuple([numbers[name] for name in hyper_names(cls.rule(group))])
        return hyper, -1.0 if group["maximize"] else 1.0, *cls.clipping(group)

    @classmethod
    def group_direct(cls, group: Mapping[str, Any]) -> dict[str, Direct]:
        """Return what the engine may take over by itself, now."""
        known = cls._direct_places[cls.rule(group)]
        values = ((name, group[name]) for name in known)
        return {
            name: known[name]
            for name, value in values
            if (all(value) if isinstance(value, tuple) else value)
        }

    def __setattr__(self, name: str, value: object) -> None:
        if not name.startswith("_") and not hasattr(type(self), name):
            raise AttributeError(
                f"{type(self).__name__} has no attribute {name!r}; it has "
                f"{', '.join(self.options)}"
            )
        super().__setattr__(name, value)


@functools.cache
def _any_kernel(rule: str) -> _core.Kernel:
    """Return a kernel of a C rule, of any dtype."""
    for kernel in _core.kernels():
        if kernel.rule == rule:
            return kernel
    raise TypeError(f"no rule {rule!r} in this build; list it in csrc/meson.build")


def is_part_of_betas(name: str) -> bool:
    """Return whether a name is that of one of betas, which are a key together."""
    return name in ("beta1", "beta2", "beta3")


def changed_after_a_step(name: str, before: object, after: object) -> str:
    """Return what a message says of an option that has to stay as it was."""
    cycled = name in ("momentum", "beta1")  # by OneCycleLR and CyclicLR
    return (
        f"cannot change after a step, from {before!r} to {after!r}; build a new "
        f"optimizer{', or a scheduler with cycle_momentum=False' if cycled else ''}"
    )


def hyper_names(rule: str) -> tuple[str, ...]:
    """Return the hyperparameters of a C rule, in its order."""
    return _any_kernel(rule).hyper


def state_names(rule: str) -> tuple[str, ...]:
    """Return the state arrays of a C rule, in its order."""
    return _any_kernel(rule).state

"""The text of a module: its functions, variables and instructions."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ptx.kinds import DTYPES, Array, NotInterpreted, constant, unsigned
from ptx.memory import DYNAMIC, FRAME, LOCAL, PARAM, SHARED, aligned
from ptx.warps import waits

Operand = Any  # one of the classes below, or the text of a label or a function


class Register(NamedTuple):
    kind: str
    slot: int


class Special(NamedTuple):
    name: str


class Number(NamedTuple):
    text: str


class Symbol(NamedTuple):
    address: int
    size: int


class Not(NamedTuple):
    register: Register


class Address(NamedTuple):
    base: Operand
    offset: int


class Parts(NamedTuple):
    """Registers in braces, or a register and a predicate with a bar between."""

    operands: tuple[Operand, ...]


@dataclass(eq=False)
class Function:
    name: str
    entry: bool
    start: int
    parameters: list[Symbol]
    results: list[Symbol]
    labels: dict[str, int] = field(default_factory=dict)
    tables: dict[str, list[str]] = field(default_factory=dict)


@dataclass(eq=False)
class Instruction:
    text: str
    opcode: str
    operands: tuple[Operand, ...]
    guard: Register | None
    unless: bool  # the guard is negated
    function: Function

    def __post_init__(self) -> None:
        self.words = self.opcode.split(".")
        self.waits = waits(self.opcode)


NAME = r"[$%\w]+"
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
LINES = re.compile(r"^\s*\.(version|target|address_size|file|loc)\b[^\n]*$", re.M)
TOKEN = re.compile(
    r"\s*(?:(?P<head>(?:\.\w+\s+)*\.(?:entry|func)\b[^{;]*[{;])"
    rf"|(?P<label>{NAME}):(?!:)"
    r"|(?P<brace>[{}])"
    r"|(?P<statement>[^;{}][^;]*;))"
)
HEAD = re.compile(
    r"\.(?P<kind>entry|func)\s*(?:\((?P<results>[^)]*)\))?\s*"
    rf"(?P<name>{NAME})\s*(?:\((?P<parameters>[^)]*)\))?"
)
DECLARATION = re.compile(
    r"\.(?P<kind>pred|[bsuf]\d+)\s+(?:\.ptr\s+(?:\.\w+\s+)?(?:\.align\s+\d+\s+)?)?"
    rf"(?P<name>{NAME})\s*(?P<shape>(?:\[\d*\]\s*)*)(?:=\s*(?P<value>.*))?$",
    re.S,
)
CALL = re.compile(
    rf"(?:\((?P<results>[^)]*)\)\s*,\s*)?(?P<name>{NAME})\s*(?:,\s*\((?P<given>[^)]*)\))?$"
)
IMMEDIATE = re.compile(r"-?\d")


def split(text: str) -> list[str]:
    """Return what stands between commas, braces and brackets kept whole."""
    parts = re.split(r",(?![^\[{]*[\]}])", text)
    return [p.strip() for p in parts if p.strip()]


class Module:
    """What the text says, with all variables at addresses."""

    def __init__(self, text: str) -> None:
        self.instructions: list[Instruction] = []
        self.functions: dict[str, Function] = {}
        self.registers: list[np.dtype] = []  # the type of each slot's bits
        self.sizes = {PARAM: 0, SHARED: 0, LOCAL: 0, FRAME: 0}
        self.variables: list[Array] = []  # of the module, in the host's memory
        self.scopes: list[dict[str, Any]] = [{}]
        self.function: Function | None = None
        for kind, statement in tokens(LINES.sub("", COMMENT.sub("", text))):
            getattr(self, f"_{kind}")(statement)

    def _head(self, text: str) -> None:
        found = HEAD.search(text)
        if text.endswith(";"):
            return  # a prototype
        name, entry = found["name"], found["kind"] == "entry"
        self.scopes.append({})
        kept = self.sizes[PARAM]
        if entry:
            self.sizes[PARAM] = 0  # of every kernel from the window's beginning
        space = PARAM if entry else FRAME
        self.function = Function(
            name,
            entry,
            len(self.instructions),
            [self._variable(p, space) for p in split(found["parameters"] or "")],
            [self._variable(p, space) for p in split(found["results"] or "")],
        )
        self.sizes[PARAM] = max(kept, self.sizes[PARAM])
        self.functions[name] = self.function

    def _brace(self, text: str) -> None:
        if text == "{":
            self.scopes.append({})
            return
        self.scopes.pop()
        if len(self.scopes) == 1:
            # The end of a function is its return.
            self._instruction("ret")
            self.function = None

    def _label(self, name: str) -> None:
        self.function.labels[name] = len(self.instructions)
        self.last_label = name

    def _statement(self, text: str) -> None:
        text = " ".join(text[:-1].split())
        if not text.startswith("."):
            self._instruction(text)
            return
        directive = re.match(r"(?:\.(?:visible|weak|extern|common)\s+)*\.(\w+)", text)[
            1
        ]
        if directive == "reg":
            self._declare_registers(text)
        elif directive == "branchtargets":
            self.function.tables[self.last_label] = split(text.split(None, 1)[1])
        elif directive in ("global", "const"):
            self._host_variable(text)
        elif directive in ("param", "shared", "local"):
            spaces = {"param": FRAME, "shared": SHARED, "local": LOCAL}
            self._variable(text, spaces[directive])
        elif directive != "pragma":
            raise NotInterpreted(text)

    def _declare_registers(self, text: str) -> None:
        _, kind, names = text.split(None, 2)
        kind = kind[1:]
        for name in split(names):
            family, _, count = name.partition("<")
            numbers = range(int(count[:-1])) if count else [""]
            for n in numbers:
                self.scopes[-1][f"{family}{n}"] = Register(kind, len(self.registers))
                self.registers.append(unsigned(DTYPES[kind]))

    def _variable(self, text: str, space: int) -> Symbol:
        found = DECLARATION.search(text)
        size = nbytes(found["kind"], found["shape"])
        self.sizes[space] = placed(self.sizes[space], alignment(text, found["kind"]))
        symbol = Symbol(space + self.sizes[space], size)
        if ".extern" in text:
            symbol = Symbol(DYNAMIC, 0)
        self.sizes[space] += size
        self.scopes[-1][found["name"]] = symbol
        return symbol

    def _host_variable(self, text: str) -> None:
        found = DECLARATION.search(text)
        array = aligned(nbytes(found["kind"], found["shape"]))
        values = split(
            (found["value"] or "").strip("{} ").replace("{", "").replace("}", "")
        )
        if values:
            data = np.concatenate([constant(v, found["kind"]) for v in values])
            array[: data.nbytes] = data.view(np.uint8)
        array.flags.writeable = ".const" not in text
        self.variables.append(array)
        self.scopes[0][found["name"]] = Symbol(array.ctypes.data, array.nbytes)

    def _instruction(self, text: str) -> None:
        guard = re.match(rf"@(!?)\s*({NAME})\s+(.*)", text)
        body = guard[3] if guard else text
        opcode, _, rest = body.partition(" ")
        if opcode.split(".")[0] == "call":
            operands = self._call(rest)
        else:
            operands = tuple(self._operand(o) for o in split(rest))
        self.instructions.append(
            Instruction(
                text,
                opcode,
                operands,
                self._name(guard[2]) if guard else None,
                bool(guard and guard[1]),
                self.function,
            )
        )

    def _call(self, text: str) -> tuple[Operand, ...]:
        found = CALL.match(text)
        if not found:
            raise NotInterpreted(f"call {text}")
        given, results = (
            [self._name(n) for n in split(found[group] or "")]
            for group in ("given", "results")
        )
        return found["name"], given, results

    def _operand(self, text: str) -> Operand:
        if text[0] == "[":
            base, _, offset = text[1:-1].replace(" ", "").partition("+")
            return Address(self._operand(base), int(offset or "0", 0))
        if text[0] == "{":
            return Parts(tuple(self._operand(o) for o in split(text[1:-1])))
        if "|" in text:
            return Parts(tuple(self._operand(o.strip()) for o in text.split("|")))
        if text[0] == "!":
            return Not(self._name(text[1:].strip()))
        return Number(text) if IMMEDIATE.match(text) else self._name(text)

    def _name(self, name: str) -> Operand:
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        return Special(name) if name[0] == "%" else name


def tokens(text: str) -> Iterator[tuple[str, str]]:
    place, end = 0, len(text.rstrip())
    while place < end:
        found = TOKEN.match(text, place)
        if not found:
            raise NotInterpreted(f"not PTX: {text[place : place + 80]!r}")
        yield found.lastgroup, found[found.lastgroup]
        place = found.end()


def nbytes(kind: str, shape: str) -> int:
    counts = [int(n or 0) for n in re.findall(r"\[(\d*)\]", shape)]
    return int(np.prod([DTYPES[kind].itemsize, *counts]))


def alignment(text: str, kind: str) -> int:
    found = re.search(r"(?<!\.ptr )\.align (\d+)", " ".join(text.split()))
    return int(found[1]) if found else DTYPES[kind].itemsize


def placed(offset: int, multiple: int) -> int:
    return -(-offset // multiple) * multiple

"""Single changes to the text of a Python module, each of which a test should notice.

A mutation is a comparison, a constant or an operator that is another one, a condition
that is negated, a `raise`, a call or an argument that is missing. Docstrings,
annotations and the text of messages are left alone.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

Change: TypeAlias = tuple[int, int, bytes]  # first byte, last byte + 1, replacement

COMPARISONS: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}
ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Pow: ("**", "*"),
}
BOOLEAN: dict[type[ast.boolop], tuple[str, str]] = {
    ast.And: ("and", "or"),
    ast.Or: ("or", "and"),
}


@dataclass(frozen=True)
class Mutation:
    """One change to a module: its whole new text, and the lines that differ."""

    module: str
    line: int
    before: str
    after: str
    text: str

    def diff(self) -> str:
        """Return the change as lines that begin with - and +."""
        removed = [f"-{x}" for x in self.before.split("\n")]
        added = [f"+{x}" for x in self.after.split("\n") if x]
        return "\n".join([f"{self.module}:{self.line}", *removed, *added])


def mutations(module: str, text: str) -> list[Mutation]:
    """Return every mutation of a module's text that is valid Python."""
    finder = _Finder(text)
    finder.visit(ast.parse(text))
    unique: dict[str, Mutation] = {}
    for change in sorted(finder.changes):
        mutation = _mutation(module, finder.data, change)
        try:
            is_change = ast.dump(ast.parse(mutation.text)) != finder.dump
        except SyntaxError:
            continue
        if is_change:
            unique[mutation.text] = mutation
    return list(unique.values())


def _mutation(module: str, data: bytes, change: Change) -> Mutation:
    start, end, replacement = change
    new = data[:start] + replacement + data[end:]
    first = data.count(b"\n", 0, start)
    removed = 1 + data.count(b"\n", start, end)
    added = 1 + replacement.count(b"\n")
    before, after = (
        "\n".join(x.strip() for x in text.decode().split("\n")[first : first + count])
        for text, count in ((data, removed), (new, added))
    )
    return Mutation(module, first + 1, before, after, new.decode())


class _Finder(ast.NodeVisitor):
    """Collects changes as spans of bytes, by which ast counts columns."""

    def __init__(self, text: str) -> None:
        self.data = text.encode()
        self.dump = ast.dump(ast.parse(text))
        self.changes: set[Change] = set()
        self._starts = [0]
        for line in self.data.split(b"\n"):
            self._starts.append(self._starts[-1] + len(line) + 1)

    def _span(self, node: ast.AST) -> tuple[int, int]:
        assert isinstance(node, (ast.expr, ast.stmt, ast.keyword))
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        first = self._starts[node.lineno - 1] + node.col_offset
        return first, self._starts[node.end_lineno - 1] + node.end_col_offset

    def _replace(self, node: ast.AST, by: ast.AST | str) -> None:
        start, end = self._span(node)
        if isinstance(by, str):
            self.changes.add((start, end, by.encode()))
        else:
            first, last = self._span(by)
            self.changes.add((start, end, b"(" + self.data[first:last] + b")"))

    def _operator(self, left: ast.AST, right: ast.AST, pair: tuple[str, str]) -> None:
        """Replace what stands between two operands."""
        start, end = self._span(left)[1], self._span(right)[0]
        words = rb"\s+".join(re.escape(x.encode()) for x in pair[0].split())
        match = re.search(words, self.data[start:end])
        if match:
            first, last = start + match.start(), start + match.end()
            self.changes.add((first, last, pair[1].encode()))

    def _strings(self, node: ast.AST) -> Iterator[ast.Constant]:
        """Words that a value is compared with."""
        elements = node.elts if isinstance(node, (ast.Tuple, ast.Set)) else [node]
        for x in elements:
            if isinstance(x, ast.Constant) and isinstance(x.value, str):
                yield x

    def _body(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            self.visit(statement)

    # -- statements

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        defaults = [*node.args.defaults, *node.args.kw_defaults]
        for default in defaults:
            if default is not None:
                self.visit(default)
        self._body(node.body)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._body(node.body)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_Assign(self, node: ast.Assign) -> None:
        is_exports = isinstance(node.targets[0], ast.Name) and (
            node.targets[0].id == "__all__"
        )
        if not is_exports:
            self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        swapped = ARITHMETIC.get(type(node.op))
        if swapped and swapped[0] in "+-":
            pair = (f"{swapped[0]}=", f"{swapped[1]}=")
            self._operator(node.target, node.value, pair)
        self.visit(node.value)

    def visit_Raise(self, node: ast.Raise) -> None:
        self._replace(node, "pass")

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call):
            self._replace(node, "pass")
        if not isinstance(node.value, ast.Constant):  # a docstring
            self.visit(node.value)

    def visit_If(self, node: ast.If) -> None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return
        self._negate(node.test)
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> None:
        """For type checkers."""

    def visit_Import(self, node: ast.Import) -> None:
        """Leave imports alone."""

    visit_ImportFrom = visit_Import  # type: ignore[assignment]  # noqa: N815

    # -- expressions

    def _negate(self, test: ast.expr) -> None:
        """Negate a condition that has no operator of its own."""
        if isinstance(test, (ast.Name, ast.Attribute, ast.Call, ast.Subscript)):
            first, last = self._span(test)
            self.changes.add((first, last, b"not " + self.data[first:last]))

    def visit_Compare(self, node: ast.Compare) -> None:
        left = node.left
        for op, right in zip(node.ops, node.comparators, strict=True):
            self._operator(left, right, COMPARISONS[type(op)])
            for word in (*self._strings(left), *self._strings(right)):
                self._replace(word, repr(f"{word.value}_"))
            left = right
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        for left, right in zip(node.values, node.values[1:], strict=False):
            self._operator(left, right, BOOLEAN[type(node.op)])
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        is_text = any(
            isinstance(x, ast.JoinedStr)
            or (isinstance(x, ast.Constant) and isinstance(x.value, str))
            for x in (node.left, node.right)
        )
        swapped = ARITHMETIC.get(type(node.op))
        if swapped and not is_text:
            self._operator(node.left, node.right, swapped)
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, (ast.Not, ast.USub)):
            self._replace(node, node.operand)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._replace(node, node.body)
        self._replace(node, node.orelse)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        for keyword in node.keywords:
            # strict= is an assertion about lengths that are equal by construction.
            if keyword.arg not in (None, "strict"):
                start, end = self._span(keyword)
                after = re.match(rb"\s*,\s*", self.data[end:])
                before = re.search(rb",\s*$", self.data[:start])
                if after:
                    end += after.end()
                elif before:
                    start = before.start()
                self.changes.add((start, end, b""))
        for child in (node.func, *node.args, *node.keywords):
            if not (isinstance(child, ast.keyword) and child.arg == "strict"):
                self.visit(child)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Leave messages alone."""

    def visit_Constant(self, node: ast.Constant) -> None:
        match node.value:
            case bool(x):
                self._replace(node, repr(not x))
            case int(x):
                self._replace(node, repr(x + 1))
                if x > 0:
                    self._replace(node, repr(x - 1))
            case float(x):
                self._replace(node, repr(2 * x or 1.0))

"""Dtypes are compared in one file, where None is no float64."""

import ast
import re
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import gradstep as gs
from every_dtype import DTYPES, is_steppable
from gradstep import dtypes

SOURCE = Path(__file__).parent.parent / "src" / "gradstep"
# What NumPy reads as float64 in a comparison, and None most of all.
ACCIDENTS = [None, "float64", "d", float, np.float64]


@pytest.mark.parametrize("other", ACCIDENTS)
def test_numpy_takes_other_things_for_float64(other: object) -> None:
    """The reason for all this: if it ends, this file may go."""
    assert np.dtype(np.float64) == other


@pytest.mark.parametrize("other", [*ACCIDENTS, 3, "no dtype", object()])
def test_only_dtypes_are_compared(other: object) -> None:
    for pair in ((dtypes.FLOAT64, other), (other, dtypes.FLOAT64)):
        with pytest.raises(TypeError, match=r"is_same compares numpy.dtype obj"):
            dtypes.is_same(*pair)


def test_arithmetic_is_a_word_that_equals_no_dtype() -> None:
    found = {name: dtypes.arithmetic(dtype) for name, dtype in DTYPES.items()}
    stepped = {name: word for name, word in found.items() if word is not None}
    assert stepped == {
        "float64": "f64",
        "float64 with metadata": "f64",
        "float32": "f32",
        "float16": "f32",
        "bfloat16": "f32",
        "ml bfloat16": "f32",
    }
    assert stepped.keys() == {k for k, dtype in DTYPES.items() if is_steppable(dtype)}
    for word in ("f32", "f64"):
        assert not any(word == dtype for dtype in DTYPES.values())


def test_only_native_half_precision_has_a_storage_code() -> None:
    codes = {name: dtypes.code_of(dtype) for name, dtype in DTYPES.items()}
    assert {k: v for k, v in codes.items() if v} == {
        "float16": "f16",
        "bfloat16": "bf16",
        "ml bfloat16": "bf16",
    }
    swapped = np.dtype(ml_dtypes.bfloat16).newbyteorder("S")
    assert dtypes.code_of(swapped) is None


@pytest.mark.parametrize("given", ["f4", np.float32, np.dtype("f4"), "float32"])
def test_every_name_of_float32_is_accepted(given: object) -> None:
    assert dtypes.checked_float("dtype", given) == np.float32


@pytest.mark.parametrize("given", [None, ">f4", "f2", int, "f4,f4", "no", 3, gs])
def test_other_floats_are_refused(given: object) -> None:
    with pytest.raises(TypeError, match="who: dtype must be float32 or float64, got"):
        dtypes.checked_float("who: dtype", given)


# ---- the sources ---------------------------------------------------------------------

SCALARS = {"float16", "float32", "float64", "longdouble", "uint8", "uint16", "int64"}
COMPARISONS = (ast.Eq, ast.NotEq, ast.In, ast.NotIn)


def is_dtype(node: ast.expr) -> bool:
    """Return whether an expression is a dtype, as far as its words tell."""
    if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        return any(map(is_dtype, node.elts))
    if isinstance(node, ast.Attribute):
        is_scalar = node.attr in SCALARS and isinstance(node.value, ast.Name)
        return node.attr.endswith("dtype") or (is_scalar and node.value.id == "np")
    if isinstance(node, ast.Name):
        return node.id.endswith("dtype")
    if isinstance(node, ast.Call):
        called = node.func
        return isinstance(called, ast.Attribute) and called.attr in (
            *("dtype", "newbyteorder", "result_type"),
        )
    return False


def comparisons(path: Path) -> list[str]:
    """Return where a Python file compares dtypes otherwise than by identity."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Compare):
            operands = [node.left, *node.comparators]
            compares = any(isinstance(op, COMPARISONS) for op in node.ops)
            if compares and any(map(is_dtype, operands)):
                found.append(f"{path.name}:{node.lineno}: {ast.unparse(node)}")
    return found


# torch's own dtypes equal no None: of them, only comparisons with NumPy's are found.
def test_no_other_file_compares_dtypes() -> None:
    found = [
        text
        for path in sorted(SOURCE.rglob("*.py"))
        if path.name != "dtypes.py"
        for text in comparisons(path)
        if "kernel.dtype" not in text  # one of C's words
        and not (path.parent.name == "torch" and "np." not in text)
    ]
    assert found == []


def test_no_extension_module_compares_dtypes() -> None:
    compared = re.compile(r"\bdtype\s*[!=]=|[!=]=\s*[\w.]*\bdtype\b(?!\.)")
    found = [
        f"{path.name}: {line.strip()}"
        for path in sorted([*SOURCE.glob("*.pyx"), *SOURCE.glob("*.pxi")])
        for line in path.read_text().splitlines()
        if compared.search(line) and "kernel.dtype ==" not in line
    ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "dtype.newbyteorder('=') != kind",
        "a.dtype == None",
        "dtype in (np.float32, None)",
        "kind == np.dtype(x)",
        "(a.shape, a.dtype) != (b.shape, b.dtype)",
        "found != np.float64",
    ],
)
def test_comparisons_of_dtypes_are_recognised(text: str, tmp_path: Path) -> None:
    path = tmp_path / "some.py"
    path.write_text(f"if {text}:\n    pass\n")
    assert len(comparisons(path)) == 1

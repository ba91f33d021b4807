"""The changes that a mutation run makes: see mutate.py."""

import ast
import tomllib
from pathlib import Path

import pytest

import mutate
from mutations import mutations

ROOT = Path(__file__).parent.parent


def changes(text: str) -> set[tuple[str, str]]:
    return {(x.before, x.after) for x in mutations("a.py", text)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = x < y", {"a = x <= y"}),
        ("a = (x) not in (y)", {"a = (x) in (y)"}),
        ("a = x is not None", {"a = x is None"}),
        ("a = x == 'b'", {"a = x != 'b'", "a = x == 'b_'"}),
        ("a = p and q and r", {"a = p or q and r", "a = p and q or r"}),
        ("a = not x", {"a = (x)"}),
        ("a = -x", {"a = (x)"}),
        ("a = x - y", {"a = x + y"}),
        ("a = x // y", {"a = x * y"}),
        ("a += x", {"a -= x"}),
        ("a = x[2]", {"a = x[1]", "a = x[3]"}),
        ("a = 0.5", {"a = 1.0"}),
        ("a = True", {"a = False"}),
        ("a = x if y else z", {"a = (x)", "a = (z)"}),
        ("a = f(x, b=y)", {"a = f(x)"}),
        ("a = f(b=y, c=z)", {"a = f(c=z)", "a = f(b=y)"}),
        ("f(x)", {"pass"}),
        ("raise E('x', 3)", {"pass"}),
        # What no behaviour depends on, or only that of messages.
        ("a: Literal[3] = x", set()),
        ("a = f'{x:3}' + 'y'", set()),
        ("assert x == 3", set()),
        ("__all__ = ['a', 3]", set()),
        ("a = zip(x, y, strict=True)", set()),
        ("if TYPE_CHECKING:\n    a = 3", set()),
        ("def f():\n    'Three: 3 < 4.'", set()),
    ],
)
def test_each_change_is_made_by_itself(text: str, expected: set[str]) -> None:
    assert {after for _, after in changes(text)} == expected


def test_changes_are_told_by_their_lines_and_are_valid_python() -> None:
    text = "é = 'ä' ; a = [\n  x <\n  y, 1]\nif a:\n    raise E(\n  3)\n"
    listed = mutations("a.py", text)
    assert ("x <", "x <=") in {(x.before, x.after) for x in listed}
    assert ("raise E(\n3)", "pass") in {(x.before, x.after) for x in listed}
    assert ("if a:", "if not a:") in {(x.before, x.after) for x in listed}
    for x in listed:
        ast.parse(x.text)
        assert x.diff().startswith(f"a.py:{x.line}\n-")


def test_every_module_exists_and_has_tests() -> None:
    for module in mutate.TESTS:
        assert (ROOT / "src" / "gradstep" / module).exists()
        if not module.startswith("torch/"):
            assert mutate.related(module)


def test_what_is_listed_as_equivalent_is_in_the_code() -> None:
    with (Path(__file__).parent / "equivalent_mutations.toml").open("rb") as file:
        entries = tomllib.load(file)["equivalent"]
    for x in entries:
        lines = (ROOT / "src" / "gradstep" / x["module"]).read_text().split("\n")
        assert x["before"].split("\n")[0] in [line.strip() for line in lines]
        assert x["after"] != x["before"]
        assert x["why"]


@pytest.mark.parametrize("argument", ["--seed", "--count"])
def test_a_run_is_the_same_by_the_same_seed(
    argument: str, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = []
    for value in ("1", "1", "2"):
        assert (
            mutate.main(["--list", "--modules", "structure.py", argument, value]) == 0
        )
        chosen.append(capsys.readouterr().out)
    assert chosen[0] == chosen[1] != chosen[2]

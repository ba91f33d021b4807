"""What NVRTC makes of the kernels, by its text and its log: for all rules."""

import re
from collections import Counter

import pytest

import matrix
from gradstep.torch import kernels
from interpreted import Programs
from matrix import MATRIX, RULES, plain

# A multiprocessor has 65536: room for 4 blocks of 256 threads at once, for 2 that step
# arrays in code, for one of gs_gather's 512.
STEP, CODED_STEP, GATHER, PREPARE = 64, 128, 128, 64
# The only ones whose prepare() calls what calls fma() in host_math.h.
RECTIFIED = {"adabelief", "adabelief_amsgrad", "radam", "schedulefree_radam"}
# Others have no gs_step, or one that leaves a state or the parameter as it is.
OTHERS = "norm|adan_moved|sam_climb|schedulefree_(average|point)|sgd_lookahead"
STEPPING = [rule for rule in RULES if not re.match(OTHERS, rule)]


@pytest.fixture(scope="module", autouse=True)
def _soon(programs: Programs) -> None:
    programs.want(kernels.source(plain(rule)) for rule in RULES)
    programs.want_used(matrix.wanted())


def bodies(text: str) -> dict[str, str]:
    """Return the text of each kernel of a module."""
    found = re.finditer(r"\.entry (\w+)\(.*?\n}\n", text, re.DOTALL)
    return {m[1]: m[0] for m in found}


@pytest.mark.parametrize("rule", RULES)
def test_nothing_is_spilled(rule: str, programs: Programs) -> None:
    for kind, arch in MATRIX:
        if kind.rule == rule:
            most = {
                "gs_step": STEP if kind == plain(rule) else CODED_STEP,
                "gs_gather": GATHER,
                "gs_prepare": PREPARE,
            }
            for name, used in programs.used(kernels.source(kind), arch).items():
                assert not used.spills, (kind, arch, name)
                assert used.registers <= most[name], (kind, arch, name)
                # gs_prepare puts lr in its place among the others.
                assert name == "gs_prepare" or not used.stack, (kind, arch, name)


@pytest.mark.parametrize("rule", RULES)
def test_operations_round_once(rule: str, programs: Programs) -> None:
    for name, body in bodies(programs.text(kernels.source(plain(rule)))).items():
        found = set(re.findall(r"\b(?:fma|mad)\.(?!lo|hi|wide)\S+", body))
        fused = name == "gs_prepare" and rule in RECTIFIED
        assert found == ({"fma.rn.f64"} if fused else set()), name
        for word in (".approx", ".full", ".ftz"):
            assert word not in body


@pytest.mark.parametrize("rule", STEPPING)
def test_arrays_move_as_vectors(rule: str, programs: Programs) -> None:
    """A load for each array that is read, and a store for each but the gradient."""
    body = bodies(programs.text(kernels.source(plain(rule))))["gs_step"]
    moved = Counter(re.findall(r"\b(ld|st)\.global\.v4\.f32", body))
    states = len(RULES[rule].state)
    assert moved["st"] == 1 + states
    # Where gather() has moved the states on, update() may not look at the gradient.
    assert moved["ld"] in {2 + states, 2 + states - bool(RULES[rule].sums)}

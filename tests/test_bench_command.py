"""The benchmark's command line, its tables, its pictures, and the README's table."""

import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import pytest

import gradstep as gs
from gradstep.bench import command, report, rules, table
from gradstep.bench.apart import Contestant, Places
from gradstep.bench.row import Row
from gradstep.bench.suites import SUITES, Chosen, Job
from gradstep.bench.suites.scaling import fits

mpl.use("Agg")

from gradstep.bench import pictures  # after the choice of a backend

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "bench" / "results.json"


def row(subject: str = "adam", **other: object) -> Row:
    fields = {
        "suite": "step",
        "subject": subject,
        "case": "DRAM, float32, peers",
        "threads": 2,
        "seconds": {"gradstep": (1e-3, 1e-3, 1e-3), "torch fused": (2e-3, 2e-3, 2e-3)},
        "ratio": {"gradstep": (1.0, 1.0, 1.0), "torch fused": (1.9, 2.0, 2.1)},
        "facts": {"elements": 1_000_000, "bytes": 28},
    }
    return Row(**(fields | other))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stp"], "SUITE: stp is not one of step, small"),
        (["--rules", "adamw", "adan2"], "--rules: adan2 is not one of"),
        (["--peers", "tensorflow"], "--peers: tensorflow is not one of torch"),
        (["--threads", "0"], "--threads: 0 is less than 1"),
        (["--json", "no/such/folder/x.json"], "--json: no/such/folder is not a folder"),
        (["--threads", "two"], "invalid int value: 'two'"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_timed(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(arguments, quick=True)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_quick_run_from_the_command_line_saves_what_it_prints(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "gradstep", "bench", "small", "clip", "schedule"),
            *("--rules", "adamw", "--peers", "--threads", "1"),
            *("--json", str(path), "--plot", str(tmp_path)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    saved = json.loads(path.read_text())
    rows = [Row.of(found) for found in saved["rows"]]
    assert {row.suite for row in rows} == {"small", "clip", "schedule"}
    assert (
        "gcc" in saved["machine"]["gradstep"] or "clang" in saved["machine"]["gradstep"]
    )
    for found in rows:
        assert 0 < found.seconds["gradstep"][0] <= found.seconds["gradstep"][1] < 1
        assert "\n".join(table.lines(found)) in ran.stdout
    assert f"{len(rows)} cases in" in ran.stdout


def test_an_interrupted_run_keeps_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> Row:
        raise KeyboardInterrupt

    def suite(_: Chosen) -> Iterator[Job]:
        yield Job("one", lambda _: row("one"))
        yield Job("two", interrupted)
        yield Job("three", lambda _: row("three"))

    monkeypatch.setitem(SUITES, "step", suite)
    chosen = Chosen(quick=True, rules=None, packages=(), threads=(1,))
    rows, whole = command.run(["step"], chosen)
    assert [row.subject for row in rows] == ["one"]
    assert not whole


def test_rows_are_shown_as_soon_as_they_are_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[str] = []
    before: list[int] = []

    def measured(subject: str) -> Row:
        before.append(len(shown))
        return row(subject)

    def suite(_: Chosen) -> Iterator[Job]:
        for subject in ("one", "two", "three"):
            yield Job(subject, lambda _, subject=subject: measured(subject))

    monkeypatch.setitem(SUITES, "step", suite)
    chosen = Chosen(quick=True, rules=None, packages=(), threads=(1,))
    command.run(["step"], chosen, show=shown.append)
    assert before == [1, 2, 3]  # the suite's name, and the rows before
    assert [line.split()[0] for line in shown] == ["step", "one:", "two:", "three:"]


def test_a_quick_run_ends_in_time_and_measures_something_of_every_suite(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a machine so busy that each of 300 cases takes 3 seconds."""
    seconds = 0.0

    def slow(_: object) -> Row:
        nonlocal seconds
        seconds += 3
        return row()

    for name in SUITES:
        monkeypatch.setitem(SUITES, name, lambda _: [Job("case", slow)] * 40)
    monkeypatch.setattr(command.time, "monotonic", lambda: seconds)
    shown: list[str] = []
    chosen = Chosen(quick=True, rules=None, packages=(), threads=(1,))
    rows, whole = command.run(
        list(SUITES), chosen, seconds=command.QUICK_SECONDS, show=shown.append
    )
    assert whole
    assert len(SUITES) <= len(rows)
    assert command.QUICK_SECONDS - 10 < seconds < 60
    assert [line.strip() for line in shown if line.strip() in SUITES] == list(SUITES)
    assert (
        f"{40 * len(SUITES) - len(rows)} more cases did not fit into 50 sec"
        in shown[-1]
    )


def test_the_full_form_has_no_limit_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float] = []

    def run(*_: object, seconds: float, **__: object) -> tuple[list[Row], bool]:
        limits.append(seconds)
        return [], True

    monkeypatch.setattr(command, "run", run)
    command.main(["clip"])
    command.main(["clip"], quick=True)
    assert limits == [math.inf, command.QUICK_SECONDS]


def test_every_suite_has_jobs_for_every_choice() -> None:
    for quick in (True, False):
        chosen = Chosen(quick=quick, rules=None, packages=(), threads=(1, 2))
        for name, suite in SUITES.items():
            titles = [job.title for job in suite(chosen)]
            assert titles, name
            assert all(title.startswith(f"{name}: ") for title in titles)
    every = [job.title for job in SUITES["step"](chosen)]
    for rule in (*rules.in_build(two_pass=False), *rules.in_build(two_pass=True)):
        for case in ("DRAM, float32", "L2, float32", "L3, float32", "DRAM, float64"):
            assert f"step: {rule}, {case}, 2 threads" in every


@pytest.mark.parametrize(
    ("package", "suites"),
    [
        ("torch", {"step", "small", "clip", "schedule", "import", "scaling"}),
        ("schedulefree", {"step", "small"}),
        ("sklearn", {"lls"}),
    ],
)
def test_a_package_has_its_contestants_where_it_was_chosen_and_only_there(
    monkeypatch: pytest.MonkeyPatch, package: str, suites: set[str]
) -> None:
    def names(*packages: str) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {name: set() for name in SUITES}

        def seen(row: Row, contestants: list[Contestant], *_: object) -> Row:
            found[row.suite] |= {contestant.name for contestant in contestants}
            return row

        monkeypatch.setattr("gradstep.bench.suites.job.measure", seen)
        chosen = Chosen(quick=False, rules=None, packages=packages, threads=(2,))
        with Places() as places:
            for suite in SUITES.values():
                for job in suite(chosen):
                    job.run(places)
        return found

    without, there = names(), names(package)
    assert {name for name in SUITES if there[name] > without[name]} == suites
    assert all(there[name] == without[name] for name in SUITES.keys() - suites)


def test_rows_survive_json() -> None:
    found = row(absent={"optax": "ImportError: none"}, asked={"torch fused": 1.0})
    assert Row.of(json.loads(json.dumps(found.as_dict()))) == found


def test_verdicts_tell_what_holds_what_does_not_and_what_is_uncertain() -> None:
    loose = {"gradstep": (1.0, 1.0, 1.0), "torch fused": (1.0, 2.0, 3.0)}
    rows = [
        row("holds", asked={"torch fused": 1.5}),
        row("misses", asked={"torch fused": 2.5}),
        row("is loose", asked={"torch fused": 1.5}, ratio=loose),
        row("by the fastest", asked={"fastest peer": 1.5}),
        row("by one that is absent", asked={"optax": 1.5}),
    ]
    told = "\n".join(table.verdicts(rows))
    assert re.search(r"holds, .* torch fused +>= 1.5: 2.000 holds", told)
    assert re.search(r"misses, .* torch fused +>= 2.5: 2.000 MISSED", told)
    assert re.search(r"is loose, .* torch fused +>= 1.5: not certain", told)
    assert re.search(r"by the fastest, .* torch fused +>= 1.5: 2.000 holds", told)
    assert "absent" not in told
    assert "  2 of 4 hold" in told


def test_a_row_tells_rates_and_ratios_or_that_they_are_uncertain() -> None:
    head, ours, theirs = table.lines(row())
    assert head == "  adam: DRAM, float32, peers, 2 threads"
    assert ours.split() == ["gradstep", "1", "ms", "28", "GB/s"]
    assert theirs.split()[2:] == ["2", "ms", "14", "GB/s", "2.000", "[1.900,", "2.100]"]
    *_, theirs = table.lines(row(others=0.5))
    assert theirs.split()[6:] == ["~", "[1.900,", "2.100]"]


def test_absences_are_told_once_for_each_reason() -> None:
    rows = [row(name, absent={"optax": "ImportError: none"}) for name in ("a", "b")]
    assert list(table.absences(rows)) == [
        "",
        "absent",
        "  optax: ImportError: none  (a, b)",
    ]


def test_lines_are_fitted_to_what_was_measured() -> None:
    rows = []
    for x in (1, 16, 256, 1024):
        seconds = {
            name: (t, t, t)
            for name, t in (
                ("gradstep", 1e-6 + 2e-9 * x),
                ("torch fused", 5e-5 + 4e-9 * x),
            )
        }
        for against in ("elements", "arrays of 1000"):
            rows.append(
                row(
                    f"adam against {against}",
                    suite="scaling",
                    seconds=seconds,
                    facts={"x": x},
                )
            )
    for found in fits(rows).values():
        assert found["gradstep"] == pytest.approx((1e-6, 2e-9))
        assert found["torch fused"] == pytest.approx((5e-5, 4e-9))


def saved() -> list[Row]:
    return [Row.of(found) for found in json.loads(RESULTS.read_text())["rows"]]


def test_the_readme_has_the_table_of_the_committed_results() -> None:
    readme = (ROOT / "README.md").read_text()
    made = report.table(json.loads(RESULTS.read_text()))
    assert report.replaced(readme, made) == readme


def test_every_row_of_the_readme_is_measured_by_the_command_that_it_names() -> None:
    readme = (ROOT / "README.md").read_text()
    between = readme.partition(report.BEGIN)[2].partition(report.END)[0]
    lines = [line for line in between.splitlines() if line.startswith("| ")][1:]
    assert len(lines) == len(report.SHOWN)
    for line, shown in zip(lines, report.SHOWN):
        named = line.split("|")[4].strip(" `").split()
        found = command.parser(quick=False).parse_args(named)
        _, chosen = command.choose(command.parser(quick=False), found)
        titles = [job.title for job in SUITES[found.suites[0]](chosen)]
        suite, subject, case = shown[:3]
        # GPT-2 is timed where there is memory for it.
        assert any(t.startswith(f"{suite}: {subject}, {case}, ") for t in titles) or (
            "GPT-2" in case
        )


def test_the_committed_results_are_of_all_rules_and_suites() -> None:
    rows = saved()
    assert {row.suite for row in rows} == set(SUITES)
    build = {*rules.in_build(two_pass=False), *rules.in_build(two_pass=True)}
    assert {row.subject for row in rows if row.suite == "step"} == build
    facts = json.loads(RESULTS.read_text())["machine"]
    assert float(facts["minutes"]) < 20
    assert "quick" not in facts["suites"]


def test_a_text_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must have the lines <!-- bench: begin -->"):
        report.replaced("no marks", "made")


def test_the_roofline_shows_every_rule_and_peers_as_hollow_marks(
    tmp_path: Path,
) -> None:
    rows = saved()
    paths = pictures.draw(rows, tmp_path)
    names = ["roofline.png", "roofline.svg", "overhead.png", "overhead.svg"]
    assert [path.name for path in paths] == names
    assert all(path.stat().st_size > 1000 for path in paths)
    figure = pictures.roofline(rows)
    assert figure is not None
    for ax in figure.axes:
        lines = {line.get_label(): line for line in ax.get_lines()}
        assert len(lines["gradstep"].get_xdata()) == len(rules.RULES)
        hollow = [
            line for line in lines.values() if line.get_markerfacecolor() == "none"
        ]
        of_peers = lines.keys() - {"gradstep", "traffic: only moves the bytes"}
        assert len(hollow) == len(of_peers)
    assert len(of_peers) >= 5


def test_there_is_no_picture_of_what_was_not_measured(tmp_path: Path) -> None:
    assert pictures.draw([row(suite="clip")], tmp_path) == []


def test_the_number_of_threads_is_as_before() -> None:
    before = gs.get_num_threads()
    chosen = Chosen(quick=True, rules=("adamw",), packages=(), threads=(1,))
    command.run(["clip"], chosen)
    assert gs.get_num_threads() == before

"""The tutorial's network, trained by ours under one of torch's schedulers."""

import re
import subprocess
import sys

import pytest
import torch

from gradstep.torch import demo

EPOCH = re.compile(
    r"Epoch (\d+) completed\n"
    r"Loss: (\d+\.\d+(?:e-\d+)?)\. Accuracy: (\d+\.\d+)\n"
    r"-{20}\n"
)


def test_the_digits_held_out_are_recognised(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0.95 <= demo.main() <= 1
    capsys.readouterr()


def test_lines_are_printed_as_the_tutorial_prints_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    reached = demo.main()
    printed = capsys.readouterr().out
    epochs = EPOCH.findall(printed)
    assert EPOCH.sub("", printed) == ""  # nothing else
    assert [int(number) for number, _, _ in epochs] == [*range(demo.EPOCHS)]
    assert float(epochs[-1][2]) == pytest.approx(100 * reached, rel=1e-12)
    losses = [float(loss) for _, loss, _ in epochs]
    assert losses[-1] < losses[0] / 3


def test_a_second_run_prints_the_same_and_moves_no_random_numbers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = torch.random.get_rng_state()
    demo.main()
    first = capsys.readouterr().out
    demo.main()
    assert capsys.readouterr().out == first
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_network_is_the_tutorials_with_the_digits_inputs() -> None:
    shapes = [tuple(p.shape) for p in demo.Network().parameters()]
    assert shapes == [(100, 64), (100,), (10, 100), (10,)]


def test_the_held_out_part_is_not_trained_on() -> None:
    split = demo.digits()
    rows = {
        name: {bytes(x.numpy()) for images, _ in part for x in images}
        for name, part in split._asdict().items()
    }
    assert len(rows["test"]) == demo.HELD_OUT
    assert len(rows["train"]) == 1797 - demo.HELD_OUT
    assert not rows["train"] & rows["test"]


@pytest.mark.parametrize(
    ("package", "remedy"),
    [("sklearn", "pip install scikit-learn"), ("torch", "pip install")],
)
def test_what_is_missing_is_named_with_what_to_install(
    package: str, remedy: str
) -> None:
    code = (
        "import sys\n"
        f"sys.modules[{package!r}] = None\n"  # as if it were not installed
        "import gradstep.torch.demo\n"
    )
    run = subprocess.run(  # imports are once for all in a process
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: ")
    assert remedy in last

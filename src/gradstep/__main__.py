"""Command line: ``python -m gradstep info | demo``."""

import argparse
import sys


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m gradstep",
        description="Optimizer steps on arrays, with the same bits on every machine.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    info = commands.add_parser("info", help="versions, CPU level, threads, build")
    info.add_argument("--json", action="store_true", help="for programs")
    demo = commands.add_parser(
        "demo", help="a fit of real data, and the speed of each rule"
    )
    demo.add_argument("--torch", action="store_true", help="a network, by PyTorch")
    chosen = parser.parse_args(arguments)
    if chosen.command == "info":
        from gradstep.info import show  # noqa: PLC0415  # pay for one command

        show(chosen.json)
    elif chosen.torch:
        from gradstep.torch.demo import main as train  # noqa: PLC0415

        train()
    else:
        from gradstep.demo import main as fit  # noqa: PLC0415

        fit()
    return 0


if __name__ == "__main__":
    sys.exit(main())

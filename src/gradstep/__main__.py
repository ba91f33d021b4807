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
    commands.add_parser("demo", help="a fit of real data, and the speed of each rule")
    chosen = parser.parse_args(arguments)
    if chosen.command == "info":
        from gradstep.info import show  # noqa: PLC0415  # pay for one command

        show(chosen.json)
    else:
        from gradstep.demo import main as demo  # noqa: PLC0415

        demo()
    return 0


if __name__ == "__main__":
    sys.exit(main())

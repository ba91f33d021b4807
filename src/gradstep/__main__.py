"""Command line: ``python -m gradstep info | demo | bench | gallery``."""

import argparse
import sys


def _lacks(command: str, error: ImportError) -> int:
    """Print in one line which package a command lacks; return the exit status."""
    print(f"python -m gradstep {command}: {error}", file=sys.stderr)
    return 1


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
    commands.add_parser(
        "bench", help="times beside memory and peers, in a minute", add_help=False
    )
    gallery = commands.add_parser("gallery", help="the tutorial's pictures")
    gallery.add_argument("folder", metavar="OUT", help="where to write them")
    chosen, rest = parser.parse_known_args(arguments)
    if chosen.command == "bench":
        from gradstep.bench.command import main as bench  # noqa: PLC0415

        return bench(rest, quick=True)
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if chosen.command == "info":
        from gradstep.info import show  # noqa: PLC0415  # pay for one command

        show(chosen.json)
    elif chosen.command == "gallery":
        try:
            from gradstep.plot.gallery import write  # noqa: PLC0415
        except ImportError as error:
            return _lacks("gallery", error)
        write(chosen.folder, progress=print)
    elif chosen.torch:
        try:
            from gradstep.torch.demo import main as train  # noqa: PLC0415
        except ImportError as error:
            return _lacks("demo --torch", error)
        train()
    else:
        from gradstep.demo import main as fit  # noqa: PLC0415

        fit()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The command ``hippflow``."""

import argparse
import logging
import sys
from pathlib import Path

from hippflow import __version__
from hippflow.errors import HippflowError
from hippflow.progress import format_duration


def _demo(arguments: argparse.Namespace) -> None:
    from hippflow.day.selection import parse_channels
    from hippflow.demo.behaviour import BehaviourOptions
    from hippflow.demo.day import EXERCISE_CHANNELS, write_demo_day
    from hippflow.demo.faults import parse_fault

    if arguments.channels is None:
        channels = EXERCISE_CHANNELS
    elif arguments.channels.isdigit():
        channels = int(arguments.channels)
    else:
        singles, ranges = parse_channels(arguments.channels)
        channels = tuple(sorted(singles.union(*ranges)))
    faults = tuple(parse_fault(text) for text in arguments.fault)
    day = write_demo_day(
        arguments.folder,
        channels=channels,
        seconds=arguments.seconds,
        seed=arguments.seed,
        n_navigation=arguments.sessions,
        behaviour=arguments.behaviour,
        options=BehaviourOptions(faults=faults) if faults or arguments.behaviour else None,
    )
    print(
        f"A recording day of {format_duration(arguments.seconds)} + half as long is in {day}; what is true of it is in"
    )
    print(f"truth.json and truth.npz there. Process it: snakemake -c2 --config data={arguments.folder}")


def _example(arguments: argparse.Namespace) -> None:
    from hippflow.example import lay_out_example

    config = lay_out_example(arguments.folder)
    print(f"A real recording is in {Path(arguments.folder) / 'data'}.")
    print(f"Process it: snakemake -c2 --configfile {config}")


def _serve(arguments: argparse.Namespace) -> None:
    from hippflow.demo.bucket import serve

    sys.exit(serve(arguments.folder, arguments.command))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hippflow", description="A recording day from raw files to finished, checked products."
    )
    parser.add_argument("--version", action="version", version=f"hippflow {__version__}")
    parser.add_argument("--debug", action="store_true", help="show where in the code an error was raised")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="write a small recording day with known truth")
    demo.add_argument("folder", metavar="DIR", help="raw root to write it to, as DIR/picasso/20181105")
    demo.add_argument(
        "--channels",
        metavar="N|LIST",
        help="how many channels, or which: 124, or 9,31,56-60 (default: the eight of the exercise)",
    )
    demo.add_argument(
        "--seconds", type=float, default=60.0, help="length of session01; sessioneye has half (default 60)"
    )
    demo.add_argument("--seed", type=int, default=20181105, help="seed of everything random (default 20181105)")
    demo.add_argument("--sessions", type=int, default=1, help="how many navigation sessions (default 1)")
    demo.add_argument(
        "--no-behaviour", dest="behaviour", action="store_false", help="leave out maze, gaze and the place-tuned unit"
    )
    demo.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="FAULT",
        help="something that a device gets wrong, may be given several times: drop:eye:session01:2:cue, "
        "double:ripple:session01:-1:end, drop:maze:session01:0:trial, abort:eye:session01",
    )
    demo.set_defaults(run=_demo)

    example = commands.add_parser("example", help="download a small real recording and lay it out as a day")
    example.add_argument("folder", metavar="DIR", help="folder for its raw root, DIR/data, and its DIR/config.yaml")
    example.set_defaults(run=_example)

    serve = commands.add_parser("serve", help="put a raw tree into a local S3 endpoint while a command runs")
    serve.add_argument("folder", metavar="DIR", help="raw root; the command finds it as data=s3://hippflow-demo")
    serve.add_argument("command", nargs="+", help="after --, for example: -- snakemake -c2 --config data=...")
    serve.set_defaults(run=_serve)
    return parser


def main() -> None:
    """Run the command line."""
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        arguments.run(arguments)
    except HippflowError as error:
        if arguments.debug:
            raise
        sys.exit(f"hippflow: {error}")

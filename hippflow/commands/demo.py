"""``hippflow demo``, ``example`` and ``serve``: recordings to try the workflow on."""

import argparse
import sys
from pathlib import Path
from typing import Any

from hippflow.progress import format_duration


def add(commands: Any) -> None:
    """Add the commands."""
    demo = commands.add_parser("demo", help="write a small recording day and a two-photon movie with known truth")
    demo.add_argument(
        "folder", metavar="DIR", help="raw root to write them to, as DIR/picasso/20181105 and DIR/zebrafish/20220104"
    )
    demo.add_argument(
        "--channels",
        metavar="N|LIST",
        help="how many channels, or which: 124, or 9,31,56-60 (default: the eight of the exercise)",
    )
    demo.add_argument(
        "--seconds", type=float, default=60.0, help="length of session01; sessioneye has half (default 60)"
    )
    demo.add_argument("--seed", type=int, help="seed of everything random (default: each day's date)")
    demo.add_argument("--sessions", type=int, default=1, help="how many navigation sessions (default 1)")
    demo.add_argument(
        "--no-behaviour", dest="behaviour", action="store_false", help="leave out maze, gaze and the place-tuned unit"
    )
    demo.add_argument("--no-imaging", dest="imaging", action="store_false", help="leave out the two-photon movie")
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
    example.add_argument(
        "--recording",
        metavar="NAME",
        default="blackrock",
        help="blackrock: 65 channels of a microelectrode array at 30 kHz (default); "
        "optinist: a two-photon movie of a mouse, 2000 frames of 128 x 128",
    )
    example.set_defaults(run=_example)

    serve = commands.add_parser("serve", help="put a raw tree into a local S3 endpoint while a command runs")
    serve.add_argument("folder", metavar="DIR", help="raw root; the command finds it as data=s3://hippflow-demo")
    serve.add_argument("command", nargs="+", help="after --, for example: -- snakemake -c2 --config data=...")
    serve.set_defaults(run=_serve)


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
    seed = {} if arguments.seed is None else {"seed": arguments.seed}
    day = write_demo_day(
        arguments.folder,
        channels=channels,
        seconds=arguments.seconds,
        **seed,
        n_navigation=arguments.sessions,
        behaviour=arguments.behaviour,
        options=BehaviourOptions(faults=faults) if faults or arguments.behaviour else None,
    )
    print(f"A recording day of {format_duration(arguments.seconds)} + half as long is in {day};")
    print("what is true of it is in truth.json and truth.npz there.")
    command = f"snakemake -c2 --config data={arguments.folder}"
    if arguments.imaging:
        command += f" {_demo_imaging(arguments.folder, seed)}"
    print(f"Process {'both' if arguments.imaging else 'it'}: {command}")


def _demo_imaging(folder: str, seed: dict[str, int]) -> str:
    """Write the two-photon recording; return the settings that it needs."""
    from hippflow.demo.imaging import write_demo_imaging
    from hippflow.demo.imaging_truth import load_imaging_truth

    day = write_demo_imaging(folder, **seed).parent
    truth = load_imaging_truth(day)
    seconds = len(truth.planes[0].motion) / truth.rate
    print(f"A two-photon recording of {format_duration(seconds)} is in {day}, with what is true of it.")
    return f"'suite2p={{fs: {truth.rate:g}, tau: {truth.tau:g}}}'"


def _example(arguments: argparse.Namespace) -> None:
    from hippflow.example import lay_out_example

    config = lay_out_example(arguments.folder, arguments.recording)
    print(f"A real recording is in {Path(arguments.folder) / 'data'}.")
    print(f"Process it: snakemake -c2 --configfile {config}")


def _serve(arguments: argparse.Namespace) -> None:
    from hippflow.demo.bucket import serve

    sys.exit(serve(arguments.folder, arguments.command))

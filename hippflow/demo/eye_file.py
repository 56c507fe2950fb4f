"""What the EyeLink tracker recorded, as the text (.asc) that its maker's converter writes of an .edf.

Writes blocks from START to END: messages, samples of one eye (time, x, y, pupil; dots
where the eye is closed), and fixations, saccades and blinks where they begin and end.
"""

import datetime
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hippflow.demo.gaze import PIXELS_PER_DEGREE, Gaze
from hippflow.demo.timeline import CUE_OFFSET, REWARDED, SESSION_START, TIMEOUT
from hippflow.io.atomic import whole_file

#: Bits that a fixation session sends: trial start, reward, trial end; and failure instead of reward.
FIXATION_BITS = ("10000000", "00000110", "00100000")
FAILED_BITS = "00000111"

#: Samples of a block that are written at once.
_PIECE = 100_000


@dataclass(frozen=True, eq=False)
class EyeBlock:
    """What was recorded between one start of the tracker and its stop: `gaze`, and messages (ms, text) in order."""

    gaze: Gaze
    messages: Sequence[tuple[int, str]]


def navigation_message(code: int) -> str:
    """Return the text of a marker in a navigation session.

    Examples
    --------
    >>> [navigation_message(code) for code in (84, 13, 23, 33, 43)]
    ['Trigger Version 84', 'Start Trial 13', 'Cue Offset 23', 'End Trial 33', 'Timeout 43']
    """
    if code == SESSION_START:
        return f"Trigger Version {code}"
    if code < CUE_OFFSET:
        return f"Start Trial {code}"
    if code < REWARDED:
        return f"Cue Offset {code}"
    return f"End Trial {code}" if code < TIMEOUT else f"Timeout {code}"


def fixation_message(marker: int, rewarded: bool) -> str:
    """Return the text of marker 0, 1 or 2 of a trial in a fixation session: its start, reward or failure, its end.

    Examples
    --------
    >>> fixation_message(1, rewarded=True)
    '0  0  0  0  0  1  1  0'
    """
    bits = FAILED_BITS if marker == 1 and not rewarded else FIXATION_BITS[marker]
    return "  ".join(bits)


def _preamble(name: str, start: datetime.datetime) -> str:
    return (
        f"** CONVERTED FROM {name}.edf using edfapi 3.1\n"
        f"** DATE: {start:%a %b} {start.day:2d} {start:%H:%M:%S %Y}\n"
        "** TYPE: EDF_FILE BINARY EVENT SAMPLE TAGGED\n"
        "** VERSION: EYELINK II 1\n"
        "** SOURCE: EYELINK CL\n"
        "** EYELINK II CL v5.12 May 12 2017\n"
        "**\n\n"
    )


def _opening(time: int) -> str:
    settings = "GAZE\tLEFT\tRATE\t1000.00\tTRACKING\tCR\tFILTER\t2\n"
    return (
        f"MSG\t{time} RECCFG CR 1000 2 1 L\n"
        f"MSG\t{time} ELCLCFG MTABLER\n"
        f"MSG\t{time} GAZE_COORDS 0.00 0.00 1919.00 1079.00\n"
        f"MSG\t{time} !MODE RECORD CR 1000 2 1 L\n"
        f"START\t{time} \tLEFT\tSAMPLES\tEVENTS\n"
        f"PRESCALER\t1\nVPRESCALER\t1\nPUPIL\tAREA\nEVENTS\t{settings}SAMPLES\t{settings}"
    )


def _pupil(milliseconds: np.ndarray) -> np.ndarray:
    """Return the pupil's area in the tracker's units: a slow wave."""
    return np.round(1100 + 150 * np.sin(milliseconds / 2100) + 40 * np.sin(milliseconds / 370))


def _other_lines(block: EyeBlock) -> list[tuple[int, int, str]]:
    """Return all lines that are no samples, in order, as (ms of the sample that comes next, rank, text)."""
    gaze = block.gaze
    lines = [(time, 2, f"MSG\t{time} {text}\n") for time, text in block.messages]
    # a blink begins after its saccade and ends before it; ends are told before what begins at the next sample
    for name, spans in (("FIX", gaze.fixations), ("SACC", gaze.saccades), ("BLINK", gaze.blinks)):
        end_rank, start_rank = (0, 4) if name == "BLINK" else (1, 3)
        for start, stop in spans.tolist():
            seen = gaze.pixels[start - gaze.first : stop - gaze.first + 1]
            text = f"E{name} L  {start}\t{stop}\t{stop - start + 1}"
            if name == "FIX":
                x, y = seen.mean(0, dtype=np.float64)
                text += f"\t {x:6.1f}\t {y:6.1f}\t {_pupil(np.arange(start, stop + 1)).mean():6.0f}"
            elif name == "SACC":
                size = np.hypot(*(seen[-1] - seen[0])) / PIXELS_PER_DEGREE
                places = "\t".join(f" {value:6.1f}" for value in (*seen[0], *seen[-1]))
                text += f"\t{places}\t {size:6.2f}\t {1500 * size / (stop - start + 1):6.0f}"
            lines.append((start, start_rank, f"S{name} L  {start}\n"))
            lines.append((stop + 1, end_rank, text + "\n"))
    return sorted(lines, key=lambda line: line[:2])


def _sample_lines(gaze: Gaze, begin: int, stop: int) -> list[str]:
    """Return the lines of samples `begin` to `stop`, counted from 0."""
    pixels = gaze.pixels[begin:stop]
    times = gaze.first + begin + np.arange(len(pixels))
    values = (times.tolist(), *(axis.tolist() for axis in pixels.T), _pupil(times).tolist())
    lines = [f"{time}\t{x:7.1f}\t{y:7.1f}\t{size:7.1f}\t...\n" for time, x, y, size in zip(*values, strict=True)]
    for i in np.flatnonzero(np.isnan(pixels[:, 0])).tolist():
        lines[i] = f"{times[i]}\t   .\t   .\t    0.0\t...\n"
    return lines


def _block_text(block: EyeBlock) -> Iterator[str]:
    """Yield the block's text in pieces."""
    gaze, others = block.gaze, deque(_other_lines(block))
    last = gaze.first + len(gaze.pixels) - 1
    yield _opening(gaze.first)
    for begin in range(0, len(gaze.pixels), _PIECE):
        samples = _sample_lines(gaze, begin, begin + _PIECE)
        pieces, done = [], 0
        while others and others[0][0] <= gaze.first + begin + len(samples):
            time, _, text = others.popleft()
            pieces += samples[done : time - gaze.first - begin]
            pieces.append(text)
            done = time - gaze.first - begin
        yield "".join(pieces + samples[done:])
    yield f"END\t{last} \tSAMPLES\tEVENTS\tRES\t  {PIXELS_PER_DEGREE:.2f}\t  {PIXELS_PER_DEGREE:.2f}\n"


def write_eye_file(path: Path, blocks: Iterable[EyeBlock], start: datetime.datetime) -> None:
    """Write blocks, which follow each other in time, as one file; `start` is the date in it."""
    with whole_file(path) as part, open(part, "w", encoding="ascii", newline="\n") as file:
        file.write(_preamble(path.stem, start))
        for block in blocks:
            file.writelines(_block_text(block))

"""EyeLink recordings of gaze: .edf through the vendor's library, .asc as text.

The library and its bindings are eyelinkio's. Its `read_edf` is not used: it counts times
from the number of samples, so that the pauses of a recording and the EyeLink's own clock
are lost, and reads the file twice.
"""

import ctypes
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hippflow.errors import ConfigError, FormatError
from hippflow.io.eyelink_asc import EYES, EyeFile, EyeFileBuilder, read_asc

logger = logging.getLogger(__name__)

#: What the vendor's library returns as the kind of the next item; 0 is the end of the file.
_SAMPLE, _RECORDING, _MESSAGE, _BLOCK_START, _BLOCK_END = 200, 30, 24, 15, 16
_EVENTS = {8: "fixations", 6: "saccades", 4: "blinks"}
#: Bits of a sample and of a block: gaze was recorded; half a ms is to be added to the time.
_GAZE, _HALF_MS = 0x0400, 0x0002
#: The library writes missing values as 1e8, and older files have -32768.
_MISSING = 1e8 - 1
#: How a .edf begins, and what ends its text; the library does not survive a file without it.
_MAGIC, _PREAMBLE_END, _PREAMBLE_BYTES = b"SR_RESEARCH", b"ENDP:", 1 << 16
_BLOCK_SAMPLES = 1 << 16


@dataclass(frozen=True)
class EyeRecording:
    """Gaze of one eye, and what was written beside it.

    Attributes
    ----------
    times : ndarray of float64
        Shape (n_samples,), s on the EyeLink clock, increasing; pauses of the recording are gaps.
    gaze : ndarray of float32
        Shape (n_samples, 2), pixels from the top left; NaN where missing (blinks).
    sampling_rate : float
        Hz.
    eye : {'left', 'right'}
    messages : list of (float, str)
        Time, s, and text, in the file's order.
    fixations, saccades, blinks : ndarray of float64
        Shape (n, 2): start and end, s.
    """

    times: np.ndarray
    gaze: np.ndarray
    sampling_rate: float
    eye: str
    messages: list[tuple[float, str]]
    fixations: np.ndarray
    saccades: np.ndarray
    blinks: np.ndarray


def read_eye_file(path: str | Path, eye: str = "auto") -> EyeRecording:
    """Read an EyeLink recording.

    Parameters
    ----------
    path : path
        A .edf or .asc file.
    eye : {'auto', 'left', 'right'}
        'auto' takes the eye that was recorded; of two the one with more valid samples.

    Returns
    -------
    EyeRecording

    Raises
    ------
    FormatError
        The file is missing, empty, cut off, no EyeLink recording, or lacks the eye.
    ConfigError
        `eye` is none of the three.

    Examples
    --------
    >>> from eyelinkio.utils import _get_test_fnames
    >>> recording = read_eye_file(_get_test_fnames()[1], eye="left")
    >>> recording.eye, recording.sampling_rate, recording.gaze.shape
    ('left', 1000.0, (66827, 2))
    """
    path = Path(path)
    if eye not in ("auto", *EYES):
        raise ConfigError(f"config.yaml: edfsplit.eye: expected auto, left or right, found {eye!r}")
    readers = {".edf": _read_edf, ".asc": read_asc}
    if path.suffix.lower() not in readers:
        raise FormatError(f"{path}: expected an EyeLink file, .edf or .asc, found the ending {path.suffix!r}")
    if not path.is_file():
        raise FormatError(f"{path}: expected an EyeLink file, found none; check the path")
    if path.stat().st_size == 0:
        raise FormatError(f"{path}: expected an EyeLink file, found an empty one; copy it again")
    return _of_one_eye(readers[path.suffix.lower()](path), eye, path)


def _of_one_eye(file: EyeFile, eye: str, path: Path) -> EyeRecording:
    """Choose the eye and keep what belongs to it."""
    valid = {name: int(np.isfinite(file.gaze[:, EYES.index(name)]).all(1).sum()) for name in file.recorded}
    if eye == "auto":
        eye = max(file.recorded, key=lambda name: valid[name])  # the left one of two equal ones
    if not valid.get(eye):
        counts = ", ".join(f"{name} {count}" for name, count in valid.items())
        raise FormatError(
            f"{path}: expected gaze of the {eye} eye, found valid samples of: {counts}; "
            "choose the other eye in config.yaml (edfsplit.eye), or leave the recording out"
        )
    index = EYES.index(eye)
    events = {name: rows[rows[:, 0] == index, 1:] for name, rows in file.events.items()}
    return EyeRecording(
        file.times, np.ascontiguousarray(file.gaze[:, index]), file.sampling_rate, eye, file.messages, **events
    )


class _Log:
    """What the library writes about the file that is being opened."""

    def __init__(self, library: Any):
        self.lines: list[str] = []
        kind = ctypes.CFUNCTYPE(None, ctypes.c_char_p)
        self._callback = kind(lambda line: self.lines.append(line.decode(errors="replace").strip()))
        function = library.edf_set_log_function
        function.argtypes, function.restype = [kind], None
        function(self._callback)


#: One for the process: the library keeps a pointer to its callback.
_logs: list[_Log] = []


def _bindings(path: Path) -> tuple[Any, _Log]:
    """Import eyelinkio's bindings of the vendor's library."""
    try:
        from eyelinkio.edf import _edf2py as bindings
    except OSError as error:
        raise FormatError(
            f"{path}: the vendor's library, which reads .edf, does not load here ({error}); "
            "convert the file to .asc with edf2asc"
        ) from error
    if not _logs:
        _logs.append(_Log(bindings.edfapi))
    return bindings, _logs[0]


def _read_edf(path: Path) -> EyeFile:
    """Read an EyeLink .edf file once, from its beginning to its end."""
    with path.open("rb") as file:
        head = file.read(_PREAMBLE_BYTES)
    end = head.find(_PREAMBLE_END)
    if not head.startswith(_MAGIC) or end < 0 or len(head) <= end + len(_PREAMBLE_END) + 1:
        raise FormatError(
            f"{path}: expected an EyeLink .edf (SR_RESEARCH ... ENDP:), found {head[:16]!r} and "
            f"{'no end of its header' if end < 0 else 'nothing after its header'}; copy the file again"
        )
    bindings, log = _bindings(path)
    log.lines.clear()
    error = ctypes.c_int(1)
    handle = bindings.edf_open_file(os.fsencode(path.resolve()), 2, 1, 1, ctypes.byref(error))
    if not handle or error.value:
        raise FormatError(
            f"{path}: expected a whole EyeLink .edf, but the vendor's library stopped with "
            f"{'; '.join(filter(None, log.lines)) or error.value!r}; the file is cut off or damaged, copy it again"
        )
    try:
        recording = _read_items(bindings, handle, EyeFileBuilder(path)).finish()
    finally:
        bindings.edf_close_file(handle)
    if log.lines:
        logger.warning("%s: the vendor's library says: %s", path, "; ".join(log.lines[:4]))
    return recording


def _read_items(bindings: Any, handle: Any, file: EyeFileBuilder) -> EyeFileBuilder:
    """Walk over the items of an open .edf."""
    next_item, get_item, copy = bindings.edf_get_next_data, bindings.edf_get_float_data, ctypes.memmove
    block = np.empty(_BLOCK_SAMPLES, np.dtype(bindings.FSAMPLE))
    address, size, filled, recording = block.ctypes.data, block.itemsize, 0, False
    while kind := next_item(handle):
        item = get_item(handle)
        if not item:
            break
        if kind == _SAMPLE:
            copy(address + filled * size, item, size)
            filled += 1
            if filled == _BLOCK_SAMPLES:
                _keep_samples(block, file)
                filled = 0
        elif kind == _MESSAGE:
            event = item.contents.fe
            text = ctypes.string_at(ctypes.addressof(event.message.contents) + 2, event.message.contents.len)
            file.messages.append((event.sttime / 1000, text.rstrip(b"\0").decode(errors="replace").rstrip("\n")))
        elif kind in _EVENTS:
            event = item.contents.fe
            file.events[_EVENTS[kind]].append((float(event.eye), event.sttime / 1000, event.entime / 1000))
        elif kind == _RECORDING and item.contents.rec.state:
            _keep_settings(item.contents.rec, file)
        elif kind in (_BLOCK_START, _BLOCK_END):
            recording = kind == _BLOCK_START
    if recording or kind:
        raise FormatError(
            f"{file.path}: expected the end of the last block of samples, found the end of what can be read; "
            "the file is cut off or damaged, copy it again"
        )
    _keep_samples(block[:filled], file)
    return file


def _keep_settings(block: Any, file: EyeFileBuilder) -> None:
    """Note rate and eyes at the start of a recorded block."""
    if not block.sflags & _GAZE:
        raise FormatError(
            f"{file.path}: expected gaze samples in every block, found a block at {block.time / 1000:.3f} s with other "
            "data only; set the EyeLink to write GAZE into the file's samples"
        )
    file.rates.add(float(block.sample_rate))
    file.recorded.update(eye for bit, eye in enumerate(EYES) if block.eye & (1 << bit))


def _keep_samples(block: np.ndarray, file: EyeFileBuilder) -> None:
    """Copy times and gaze out of the library's records."""
    if not len(block):
        return
    gaze = np.stack([block["gx"], block["gy"]], axis=-1)
    gaze[(gaze >= _MISSING) | (gaze <= -32768)] = np.nan
    file.gaze.append(gaze)
    file.times.append(block["time"] + np.where(block["flags"] & _HALF_MS, 0.5, 0.0))

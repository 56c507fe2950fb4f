"""signal_quality: levels and noise of one channel's signals of a session, and what is wrong with them."""

import json
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np

from hippflow.ephys.clock import sample_times
from hippflow.ephys.problems import signal_problems
from hippflow.ephys.quality import highpass_quality, lfp_quality, line_ratios, raw_quality, strongest_tone
from hippflow.ephys.runs import Stretches
from hippflow.io.atomic import whole_file
from hippflow.io.products import read_product
from hippflow.io.signals import Signal, open_signal
from hippflow.steps.sorting import session_name

log = logging.getLogger(__name__)


def make_signal_quality(
    raw: str | Path,
    lfp: str | Path,
    highpass: str | Path,
    lfp_spectrum: str | Path,
    highpass_spectrum: str | Path,
    quality: str | Path,
    *,
    line_frequency: float,
    saturation_samples: int,
    flat_samples: int,
    artifact_threshold: float,
    **limits: float,
) -> None:
    """Measure one channel's signals of a session and say what is wrong with them.

    Parameters
    ----------
    raw, lfp, highpass : path
        ``rplraw``, ``rpllfp`` and ``rplhighpass``; read block by block, raw once.
    lfp_spectrum, highpass_spectrum : path
        The ``freqspectrum`` of both.
    quality : path
        ``quality.json``.
    line_frequency : float
        Hz; see :func:`hippflow.ephys.quality.line_ratios`.
    saturation_samples, flat_samples : int
        See :func:`hippflow.ephys.quality.raw_quality`.
    artifact_threshold : float
        See :func:`hippflow.ephys.quality.highpass_quality`.
    **limits : float
        Of :func:`hippflow.ephys.problems.signal_problems`.
    """
    with open_signal(raw) as signal:
        found = raw_quality(signal, saturation_samples=saturation_samples, flat_samples=flat_samples)
        rate, seconds = signal.sampling_rate, len(signal) / signal.sampling_rate
        stretches = {kind: _stretches(found[kind], signal) for kind in ("saturated", "flat")}
    with open_signal(lfp) as signal:
        low, highest = lfp_quality(signal), float(signal.info["LowFreqCorner"])
    with open_signal(highpass) as signal:
        high = highpass_quality(signal, signal.sampling_rate, artifact_threshold=artifact_threshold)
        band = float(signal.info["HighFreqCorner"]), float(signal.info["LowFreqCorner"])
    harmonics = line_ratios(*_spectrum(lfp_spectrum), line_frequency, highest)
    tone = strongest_tone(*_spectrum(highpass_spectrum), band)
    folder = Path(raw).parent
    fields: dict[str, Any] = {
        "session": session_name(raw),
        "array": int(folder.parent.name.removeprefix("array")),
        "channel": int(folder.name.removeprefix("channel")),
        "seconds": seconds,
        "num_samples": found["num_samples"],
        "sampling_rate": rate,
        "raw_offset": found["offset"],
        "raw_rms": found["rms"],
        "raw_minimum": found["minimum"],
        "raw_maximum": found["maximum"],
        "raw_not_finite": found["num_not_finite"],
        "lfp_rms": low["rms"],
        "lfp_not_finite": low["num_not_finite"],
        "highpass_noise": high["noise"],
        "highpass_rms": high["rms"],
        "highpass_not_finite": high["num_not_finite"],
        "line_frequency": line_frequency,
        "line_ratio": max((ratio for _, ratio in harmonics if not math.isnan(ratio)), default=math.nan),
        "tone_frequency": tone[0],
        "tone_ratio": tone[1],
    }
    for kind in stretches:
        n = found[kind].num_samples
        fields[f"{kind}_count"] = found[kind].count
        fields[f"{kind}_seconds"] = n / rate
        fields[f"{kind}_share"] = n / found["num_samples"] if found["num_samples"] else math.nan
    fields |= {
        "artifact_level": high["artifact_level"],
        "artifact_count": high["num_artifacts"],
        "artifacts_per_minute": high["num_artifacts"] / seconds * 60 if seconds else math.nan,
        "line_harmonics": [{"frequency": frequency, "ratio": ratio} for frequency, ratio in harmonics],
        **stretches,
    }
    fields = _plain(fields)
    fields["problems"] = signal_problems(fields, **limits)
    with whole_file(quality) as part:
        part.write_text(json.dumps(fields, indent=1, allow_nan=False) + "\n")
    log.info("%s: %s", quality, "; ".join(fields["problems"]) or "no problems")


def _spectrum(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Return frequencies and mean amplitudes of a spectrum."""
    fields = read_product(path)
    return fields["freq"][0], fields["magnitude"][0]


def _stretches(found: Stretches, signal: Signal) -> list[dict[str, Any]]:
    """Return stretches with the time at which they start, in s on the recording's clock."""
    firsts = np.array([first for first, _ in found.listed], np.int64)
    times = sample_times(firsts, signal.segments, signal.tick_rate)
    return [
        {"first": first, "number": number, "time": time}
        for (first, number), time in zip(found.listed, times.tolist(), strict=True)
    ]


def _plain(value: Any) -> Any:
    """Return a value with six digits of numbers (times to the microsecond), None for what could not be measured."""
    if isinstance(value, dict):
        return {key: round(part, 6) if key == "time" else _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value

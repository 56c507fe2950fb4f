"""What is wrong with a channel's signals, in words, by limits that a configuration sets.

What this does: compares what was measured (:mod:`hippflow.ephys.quality`) with limits.

What it does not: measure, or leave a channel out: that is for a person to decide.
"""

from typing import Any


def signal_problems(
    quality: dict[str, Any],
    *,
    max_offset_uv: float,
    min_noise_uv: float,
    max_noise_uv: float,
    max_line_ratio: float,
    max_tone_ratio: float,
    max_saturated_share: float,
    max_flat_share: float,
    max_artifacts_per_minute: float,
) -> list[str]:
    """List what exceeds its limit, each in a short sentence with both numbers and the setting's name.

    Parameters
    ----------
    quality : dict
        The fields of ``quality.json``; a measure that is None speaks neither for nor against a channel.
    max_offset_uv : float
        Of the raw signal, in either direction, uV.
    min_noise_uv, max_noise_uv : float
        Noise of the high-pass signal, uV.
    max_line_ratio : float
        Amplitude at the line frequency or a harmonic, over that of its neighbours.
    max_tone_ratio : float
        Amplitude of any frequency of the high-pass signal, over that of its neighbours.
    max_saturated_share, max_flat_share : float
        Of the raw signal's samples.
    max_artifacts_per_minute : float

    Returns
    -------
    list of str
        Samples that are not finite first; those that hardly leave a signal before others.

    Examples
    --------
    >>> from collections import defaultdict
    >>> fields = defaultdict(lambda: 0, highpass_noise=35.25, line_harmonics=[], artifacts_per_minute=None)
    >>> signal_problems(
    ...     fields, max_offset_uv=500, min_noise_uv=1, max_noise_uv=30, max_line_ratio=5, max_tone_ratio=10,
    ...     max_saturated_share=0.001, max_flat_share=0.001, max_artifacts_per_minute=10,
    ... )
    ['noise of 35.2 uV, more than 30 (quality.max_noise_uv)']
    """
    found = []
    for signal in ("raw", "lfp", "highpass"):
        if quality[f"{signal}_not_finite"]:
            found.append(f"{quality[f'{signal}_not_finite']} samples of the {signal} signal are not finite")

    def check(value: float | None, limit: float, text: str, setting: str, low: bool = False) -> None:
        if value is not None and (value < limit if low else value > limit):
            found.append(f"{text}, {'less' if low else 'more'} than {limit:g} (quality.{setting})")

    for kind in ("flat", "saturated"):
        share, limit = quality[f"{kind}_share"], {"flat": max_flat_share, "saturated": max_saturated_share}[kind]
        text = f"{kind} for {quality[f'{kind}_seconds']:.3g} s, a share of {share or 0:.3g}"
        check(share, limit, text, f"max_{kind}_share")
    noise = quality["highpass_noise"]
    check(noise, min_noise_uv, f"noise of {noise or 0:.3g} uV", "min_noise_uv", low=True)
    check(noise, max_noise_uv, f"noise of {noise or 0:.3g} uV", "max_noise_uv")
    offset = quality["raw_offset"]
    check(offset and abs(offset), max_offset_uv, f"offset of {offset or 0:.3g} uV", "max_offset_uv")
    for harmonic in quality["line_harmonics"]:
        text = f"{harmonic['frequency']:g} Hz is {harmonic['ratio'] or 0:.3g} times its neighbours"
        check(harmonic["ratio"], max_line_ratio, text, "max_line_ratio")
    text = f"a tone of {quality['tone_frequency'] or 0:.0f} Hz, {quality['tone_ratio'] or 0:.3g} times its neighbours"
    check(quality["tone_ratio"], max_tone_ratio, text, "max_tone_ratio")
    artifacts = quality["artifacts_per_minute"]
    check(artifacts, max_artifacts_per_minute, f"{artifacts or 0:.3g} artifacts a minute", "max_artifacts_per_minute")
    return found

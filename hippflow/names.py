"""Names of levels and products, as PyHipp and its students know them.

The levels are subject / day / session / array / channel / cell. A product's name
carries a hash of its arguments (:func:`argument_hash`), so that a changed
parameter is a new file and DataProcessingTools objects find ours.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import Any

#: How many path components name an object of each level.
LEVEL_DEPTH = {"subject": 1, "day": 2, "session": 3, "array": 4, "channel": 5, "cell": 6}

#: What the folders of the raw tree are called.
SUBJECT, DAY, SESSION = re.compile(r"[A-Za-z]+"), re.compile(r"\d{8}"), re.compile(r"session(\d{2}|eye)")
IMAGING = re.compile(r"imaging\d{2}")


def argument_hash(args: dict[str, Any]) -> str:
    """Return the four hex digits that DataProcessingTools puts into a file name.

    It is the md5 of every key and value in argument order.

    Examples
    --------
    >>> argument_hash({"ResampleRate": 1000, "LFPOrder": 8, "LowPassFrequency": [1, 150]})
    '6eca'
    """
    digest = hashlib.md5(usedforsecurity=False)
    for key, value in args.items():
        digest.update(str(key).encode())
        digest.update(str(value).encode())
    return digest.hexdigest()[:4]


def product_name(stem: str, args: dict[str, Any] | None = None) -> str:
    """Return the file name of a product made with `args`.

    Examples
    --------
    >>> product_name("rplraw")
    'rplraw_d41d.hkl'
    """
    return f"{stem}_{argument_hash(args or {})}.hkl"


def lfp_args(rpllfp: dict[str, Any]) -> dict[str, Any]:
    """Return RPLLFP's arguments from the `rpllfp` block of the configuration."""
    return {
        "ResampleRate": rpllfp["resample_rate"],
        "LFPOrder": rpllfp["order"],
        "LowPassFrequency": list(rpllfp["band"]),
    }


def highpass_args(rplhighpass: dict[str, Any]) -> dict[str, Any]:
    """Return RPLHighPass's arguments from the `rplhighpass` block of the configuration."""
    return {"HighOrder": rplhighpass["order"], "HighPassFrequency": list(rplhighpass["band"])}


def spectrum_args(signal: str, freqspectrum: dict[str, Any]) -> dict[str, Any]:
    """Return FreqSpectrum's arguments for the spectrum of `signal`.

    Parameters
    ----------
    signal : {'lfp', 'highpass'}
    freqspectrum : dict
        The `freqspectrum` block of the configuration.

    Examples
    --------
    >>> argument_hash(spectrum_args("highpass", {"highpass_points_per_window": 3000}))
    '660e'
    """
    return {
        "loadHighPass": signal == "highpass",
        "loadRaw": False,
        "pointsPerWindow": freqspectrum[f"{signal}_points_per_window"],
    }


def umaze_args(grid_steps: int, overall_grid_size: float, min_obs: int) -> dict[str, Any]:
    """Return Umaze's arguments in PyHipp's order.

    Examples
    --------
    >>> product_name("umaze", umaze_args(40, 25, 5))
    'umaze_fd09.hkl'
    """
    return {"GridSteps": grid_steps, "OverallGridSize": overall_grid_size, "MinObs": min_obs}


def eyelink_args(screen: Sequence[int] = (1920, 1080)) -> dict[str, Any]:
    """Return Eyelink's arguments in PyHipp's order; only the screen is a setting.

    Examples
    --------
    >>> product_name("eyelink", eyelink_args())
    'eyelink_24d5.hkl'
    """
    return {
        "FileName": ".edf",
        "CalibFileNameChar": "P",
        "NavDirName": "session0",
        "DirName": "session*",
        "CalibDirName": "sessioneye",
        "ScreenX": screen[0],
        "ScreenY": screen[1],
        "NumTrialMessages": 3,
        "TriggerMessage": "Trigger Version 84",
    }

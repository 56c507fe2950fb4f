"""suite2p's settings as the user may give them: checked by name, type and range before anything runs.

What this does: refuses what is not offered (:mod:`hippflow.imaging.offered`) by name, and merges the user's blocks
over suite2p's own defaults for a plane of a given size. suite2p itself ignores misspelt names, runs another
algorithm where it does not know one, merges one level deep only, and fails in the middle of a registration on
fields of view that are not larger than its blocks.

What it does not: import suite2p to check a configuration, which would take seconds in every dry run.
"""

import difflib
from collections.abc import Iterator
from typing import Any

from hippflow.errors import ConfigError
from hippflow.imaging.memory import SUITE2P, cells_memory, count_bins, default_blocks, fit_bins, registration_memory
from hippflow.imaging.offered import DEFAULTS, GROUPS, NOT_OFFERED, REGISTRATION, SETTINGS, Setting

#: What the settings are that everyone must give.
_MEANING = {
    "fs": "frames per second of one plane (with several planes the volumes per second)",
    "tau": "the indicator's decay in seconds (about 0.7 for GCaMP6f, 1.25 to 1.5 for GCaMP6s, 2 for its nuclear form)",
}


def _leaves(block: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every setting of nested blocks by its whole name; a group that is null is empty."""
    for key, value in block.items():
        name = f"{prefix}{key}"
        if name in GROUPS and not isinstance(value, dict | None):
            raise ConfigError(f"suite2p.{name}: expected a block of settings, found {value!r}")
        if isinstance(value, dict) and (value or name in GROUPS):
            yield from _leaves(value, f"{name}.")
        elif name not in GROUPS:
            yield name, value


def _nest(flat: dict[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        *groups, key = name.split(".")
        block = nested
        for group in groups:
            block = block.setdefault(group, {})
        block[key] = value
    return nested


def _refuse_unknown(name: str) -> None:
    """Raise an error for a setting that is not offered, with the reason or the nearest one that is."""
    for refused, reason in NOT_OFFERED.items():
        if name == refused or name.startswith(f"{refused}."):
            raise ConfigError(f"suite2p.{name} cannot be set: {reason}; take it out of config.yaml")
    key = name.rpartition(".")[2]
    same = [valid for valid in SETTINGS if valid.rpartition(".")[2] == key]
    valid = same or difflib.get_close_matches(name, SETTINGS, n=1, cutoff=0)
    raise ConfigError(f"suite2p.{name}: suite2p 1.1.0 has no such setting; nearest: suite2p.{valid[0]}")


def _describe(setting: Setting) -> str:
    if setting.choices:
        return " or ".join(setting.choices)
    word = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}[setting.kind]
    if setting.least is not None:
        word += f" from {setting.least:g}"
    if setting.most is not None:
        word += f" to {setting.most:g}"
    return f"[height, width], each {word}" if setting.pair else word + (", or null" if setting.optional else "")


def _is(value: Any, setting: Setting) -> bool:
    if setting.kind in (bool, str):
        return isinstance(value, setting.kind) and (not setting.choices or value in setting.choices)
    allowed = (int, float) if setting.kind is float else int
    if isinstance(value, bool) or not isinstance(value, allowed) or not abs(value) < 2**63:  # NaN neither
        return False
    return (setting.least is None or value >= setting.least) and (setting.most is None or value <= setting.most)


def _check(name: str, value: Any) -> Any:
    """Return the value of a setting in its own type, so that 2 and 2.0 are the same parameter."""
    setting = SETTINGS.get(name)
    if setting is None:
        _refuse_unknown(name)
    if value is None and setting.optional:
        return None
    values = value if setting.pair and isinstance(value, (list, tuple)) and len(value) == 2 else [value]
    if len(values) != 1 + setting.pair or not all(_is(item, setting) for item in values):
        reason = ""
        if (name, value) == ("detection.algorithm", "cellpose"):
            reason = f"; {NOT_OFFERED['detection.cellpose_settings']}"
        raise ConfigError(f"suite2p.{name}: expected {_describe(setting)}, found {value!r}{reason}")
    values = [setting.kind(item) for item in values]
    return values if setting.pair else values[0]


def _flatten(block: dict[str, Any], *, complete: bool) -> dict[str, Any]:
    given = {name: value for name, value in _leaves(block) if value is not None or name not in _MEANING}
    if complete:
        for name, meaning in _MEANING.items():
            if name not in given:
                raise ConfigError(f"suite2p.{name} is not set: give {meaning} in config.yaml")
    flat = DEFAULTS | {name: _check(name, value) for name, value in given.items()}
    device = flat["torch_device"]
    if device not in ("cpu", "cuda") and not (device.startswith("cuda:") and device[5:].isdigit()):
        raise ConfigError(f"suite2p.torch_device: expected cpu, cuda or cuda:N, found {device!r}")
    if not flat["classification.use_builtin_classifier"]:
        raise ConfigError(
            "suite2p.classification.use_builtin_classifier: expected true, found false; "
            f"{NOT_OFFERED['classification.classifier_path']}"
        )
    return flat


def check_suite2p(block: dict[str, Any], *, complete: bool = True) -> None:
    """Check the user's suite2p block; takes well under a millisecond.

    Parameters
    ----------
    block : dict
        suite2p's groups with their own names, as in config.yaml.
    complete : bool
        Whether `fs` and `tau` must be there, as they must where a recording is to be processed.

    Raises
    ------
    ConfigError
        An unknown name (with the nearest that is known), one that is not offered, a value that cannot be, or
        no `fs` or `tau`.

    Examples
    --------
    >>> check_suite2p({"fs": 15, "tau": 1.25, "detection": {"threshold_scaling": 0.8}})
    """
    _flatten(block, complete=complete)


def registration_settings(block: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that concern registration, whose change registers again.

    Examples
    --------
    >>> registration_settings({"fs": 15, "tau": 1.25, "registration": {"nonrigid": False}})
    {'torch_device': 'cpu', 'registration': {'nonrigid': False}}
    """
    flat = _flatten(block, complete=False)
    return _nest({name: value for name, value in flat.items() if name.startswith(REGISTRATION)})


def cell_settings(block: dict[str, Any]) -> dict[str, Any]:
    """Return all that detection and the stages after it are made with.

    Those of registration are among them, since suite2p's ``settings.npy`` has them all; a change in those makes
    cells anew in any case.

    Examples
    --------
    >>> cell_settings({"fs": 15, "tau": 1.25})
    {'torch_device': 'cpu', 'classification': {'use_builtin_classifier': True}, 'fs': 15.0, 'tau': 1.25}
    """
    return _nest(_flatten(block, complete=True))


def resolve_blocks(flat: dict[str, Any], height: int, width: int) -> dict[str, Any]:
    """Return `nonrigid` and `block_size` as they are possible for a field of view."""
    nonrigid, given = flat.get("registration.nonrigid"), flat.get("registration.block_size")
    if nonrigid is False:
        return {"nonrigid": False}
    blocks = tuple(given) if given else default_blocks(height, width)
    fits = blocks is not None and blocks[0] < height and blocks[1] < width
    if not fits and (nonrigid or given):
        raise ConfigError(
            f"suite2p.registration: non-rigid registration needs blocks smaller than the frames on both sides; frames "
            f"are {height} x {width}, block_size is {given or 'not set'}; set a smaller block_size or nonrigid: false"
        )
    return {"nonrigid": True, "block_size": blocks} if fits else {"nonrigid": False}


def resolve_registration(block: dict[str, Any], *, height: int, width: int) -> dict[str, Any]:
    """Return suite2p's complete group `registration` for frames of a size.

    Parameters
    ----------
    block : dict
        The user's blocks, or those of :func:`registration_settings`.
    height, width : int
        Of a frame, in pixels.

    Raises
    ------
    ConfigError
        See :func:`check_suite2p`; and blocks that are not smaller than a frame, or no shift allowed at all.
    """
    from hippflow.imaging.suite2p import suite2p

    flat = _flatten(block, complete=False)
    group = suite2p.default_settings()["registration"]
    group |= {name.partition(".")[2]: value for name, value in flat.items() if name.startswith("registration.")}
    group |= resolve_blocks(flat, height, width)
    group["block_size"] = tuple(group["block_size"])
    if round(group["maxregshift"] * min(height, width)) < 1:
        raise ConfigError(
            f"suite2p.registration.maxregshift: expected a share of the frame that is a pixel or more, found "
            f"{group['maxregshift']:g} of {min(height, width)} pixels; to leave out registration set "
            "suite2p.run.do_registration: 0"
        )
    return group


def build_settings(
    block: dict[str, Any], *, height: int, width: int, n_frames: int, memory_mb: float | None = None
) -> dict[str, Any]:
    """Return suite2p's whole settings for a plane.

    Parameters
    ----------
    block : dict
        The user's blocks by suite2p's names; see :func:`check_suite2p`.
    height, width, n_frames : int
        Of the plane's movie.
    memory_mb : float, optional
        What detection may take. Where its bins would take more they are made longer, which changes what is found a
        little; give the same number on every machine.

    Returns
    -------
    dict
        As ``suite2p.default_settings()``.

    Raises
    ------
    ConfigError
        Settings that are wrong, or impossible for this movie.
    """
    from hippflow.imaging.suite2p import suite2p

    flat = _flatten(block, complete=True)
    settings = _merge(suite2p.default_settings(), _nest(flat))
    settings["run"]["do_regmetrics"] = False
    settings["registration"] = resolve_registration(block, height=height, width=width)
    settings["detection"]["bin_size"] = fit_bins(flat, height, width, n_frames, memory_mb)
    settings["detection"]["block_size"] = tuple(settings["detection"]["block_size"])
    return settings


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    return base | {key: _merge(base[key], value) if isinstance(value, dict) else value for key, value in over.items()}


def stage_memory(
    block: dict[str, Any], *, height: int, width: int, n_frames: int, memory_mb: float | None = None
) -> tuple[int, int]:
    """Return what registration and what the stages after it take for a plane, MB, with the user's settings.

    Parameters
    ----------
    block : dict
        The user's blocks.
    height, width, n_frames : int
        Of the plane's movie.
    memory_mb : float, optional
        As of :func:`build_settings`.

    Examples
    --------
    >>> stage_memory({"fs": 15, "tau": 1.25}, height=256, width=256, n_frames=9000)
    (1874, 1469)
    """
    flat = _flatten(block, complete=True)
    registration = registration_memory(
        height,
        width,
        flat.get("registration.batch_size", SUITE2P["registration.batch_size"]),
        nimg_init=flat.get("registration.nimg_init", SUITE2P["registration.nimg_init"]),
        **resolve_blocks(flat, height, width),
    )
    size = fit_bins(flat, height, width, n_frames, memory_mb)
    _, n_bins = count_bins(flat | {"detection.bin_size": size}, n_frames)
    return registration, cells_memory(flat, height, width, n_bins, n_frames)

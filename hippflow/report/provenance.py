"""Provenance: versions, parameters, and the files that were recorded, with a checksum of each."""

import hashlib
import json
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hippflow import __version__
from hippflow.day.config import load_schema, schema_defaults
from hippflow.report.material import Material, Section
from hippflow.report.rendering import render

#: Packages whose versions can change numbers.
PACKAGES = (
    "snakemake", "numpy", "scipy", "pandas", "h5py", "hickle", "scikit-learn", "spikeinterface", "mountainsort5",
    "isosplit6", "eyelinkio", "networkx", "suite2p", "torch", "tifffile",
)  # fmt: skip

#: Bytes of a block, and how many of a large file are looked at.
BLOCK, BLOCKS = 1 << 20, 16

#: What the checksum of a large file is made of, for who wants to compute it again.
RECIPE = (
    f"SHA-256 of the whole file up to {BLOCKS} MiB; of larger files (marked ≈) of the size in bytes as text, and of "
    f"{BLOCKS} blocks of 1 MiB that begin at (size - 1 MiB) * k // {BLOCKS - 1} for k = 0 ... {BLOCKS - 1}"
)


def section(material: Material) -> Section:
    """Make the section."""
    config, defaults = material.config, _defaults(material.folder)
    files = [_file(material, name, path) for name, path in _raw_files(material)]
    blocks = []
    for name, block in sorted(config.items()):
        values, usual = (block, defaults.get(name)) if isinstance(block, dict) else ({name: block}, defaults)
        blocks.append({"name": name, "rows": _block_rows(values, usual)})
    changed = [
        (f"{block['name']}.{key}" if key != block["name"] else key, value)
        for block in blocks
        for key, value, differs in block["rows"]
        if differs
    ]
    html = render(
        "provenance.html.j2",
        versions=[("hippflow", __version__), ("Python", platform.python_version()), *_versions()],
        blocks=blocks,
        changed=changed,
        files=files,
        recipe=RECIPE,
    )
    return Section("Provenance", "provenance", [], html)


def checksum(path: str | Path) -> tuple[str, bool]:
    """Return a file's checksum; of a large one, of its size and 16 blocks of it.

    Reading ten gigabytes again would take as long as the pass that splits the recording.

    Returns
    -------
    digest : str
        Hex digits of a SHA-256; see :data:`RECIPE`.
    whole : bool
        It is of every byte.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "a.nev")
    >>> _ = path.write_bytes(b"BREVENTS")
    >>> checksum(path)[0] == hashlib.sha256(b"BREVENTS").hexdigest()
    True
    """
    n_bytes = Path(path).stat().st_size
    with open(path, "rb") as file:
        if n_bytes <= BLOCK * BLOCKS:
            return hashlib.file_digest(file, "sha256").hexdigest(), True
        digest = hashlib.sha256(str(n_bytes).encode())
        for k in range(BLOCKS):
            file.seek((n_bytes - BLOCK) * k // (BLOCKS - 1))
            digest.update(file.read(BLOCK))
    return digest.hexdigest(), False


def _raw_files(material: Material) -> Iterator[tuple[str, str]]:
    """Yield every recorded file once: its name from the subject on, and where it is."""
    seen = set()
    for session in material.catalog.sessions:
        for path in (session.nev, session.nsx, *session.maze_logs, session.eye):
            if path and path not in seen:
                seen.add(path)
                yield _name(path, material.name), path
    for recording in material.catalog.recordings:
        for path in recording.files:
            yield _name(path, material.name), path


def _name(path: str, day: str) -> str:
    """Return a path from the subject on, wherever the raw tree is."""
    _, found, after = path.rpartition(f"{day}/")
    return f"{found}{after}" if found else Path(path).name


def _file(material: Material, name: str, path: str) -> dict[str, Any]:
    where = material.folder / path
    if not where.is_file():
        return {"name": name, "size": None, "checksum": "", "whole": True}
    digest, whole = checksum(where)
    return {"name": name, "size": where.stat().st_size, "checksum": digest, "whole": whole}


def _versions() -> list[tuple[str, str]]:
    found = []
    for package in PACKAGES:
        try:
            found.append((package, version(package)))
        except PackageNotFoundError:  # of a branch that is not installed here
            continue
    return found


def _defaults(folder: Path) -> dict[str, Any]:
    """Return the defaults of the configuration; empty where the workflow is not."""
    schema = folder / "schemas/config.schema.yaml"
    return schema_defaults(load_schema(schema)) if schema.exists() else {}


def _block_rows(block: dict[str, Any], defaults: Any) -> list[tuple[str, str, bool]]:
    return [(key, _text(value), _differs(value, defaults, key)) for key, value in block.items()]


def _differs(value: Any, defaults: Any, key: str) -> bool:
    return isinstance(defaults, dict) and key in defaults and defaults[key] != value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)

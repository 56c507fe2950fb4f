"""The snapshot that a cluster's configuration starts from: changed in the text, and nothing else of it.

The YAML is parsed to find the place, and the place alone is written anew, so that comments, order and layout stay.
What comes out is parsed again and compared before it replaces the file.
"""

import copy
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hippflow.errors import ConfigError
from hippflow.io.atomic import whole_file


@dataclass(frozen=True)
class Change:
    """What has to become of a cluster's configuration.

    Attributes
    ----------
    path : Path
        The file, not a link to it.
    old, new : bytes
        Its content; the same where nothing is to be changed.
    kept_volume : str or None
        The volume that the configuration names instead of a snapshot, for which nothing is changed.
    """

    path: Path
    old: bytes
    new: bytes
    kept_volume: str | None = None


def plan_change(path: str | Path, snapshot_id: str, storage: str) -> Change:
    r"""Find out how to let a cluster start from a snapshot, and write nothing.

    Parameters
    ----------
    path : path
        Configuration for ``pcluster create-cluster``.
    snapshot_id : str
        To be in ``SnapshotId``; the line is added where it is missing.
    storage : str
        ``Name`` of the entry in ``SharedStorage``; empty for the only one that is EBS.

    Raises
    ------
    ConfigError
        The file cannot be read, is no YAML, has no such EBS storage, or says it in a way that cannot be changed alone.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "cluster.yaml"
    >>> _ = file.write_text(
    ...     "SharedStorage:\n- Name: data\n  StorageType: Ebs\n  EbsSettings:\n    SnapshotId: snap-1  # ours\n")
    >>> plan_change(file, "snap-2", "data").new.decode().splitlines()[-1]
    '    SnapshotId: snap-2  # ours'
    """
    path = Path(path).resolve()  # a link to the file stays one
    text, root = _parse(path)
    number, settings_key, settings = _find_settings(path, root, storage)
    data = yaml.safe_load(text)
    now = data["SharedStorage"][number]["EbsSettings"]
    if now.get("VolumeId"):
        return Change(path, text.encode(), text.encode(), str(now["VolumeId"]))
    entry = _value(path, settings, "SnapshotId")
    if entry is None:
        changed = _insert(text, settings_key, settings, f"SnapshotId: {snapshot_id}")
    else:
        start, end = entry.start_mark.index, entry.end_mark.index
        quote = entry.style if entry.style in ("'", '"') else ""
        changed = f"{text[:start]}{' ' if start == end else ''}{quote}{snapshot_id}{quote}{text[end:]}"
    wanted = copy.deepcopy(data)
    wanted["SharedStorage"][number]["EbsSettings"]["SnapshotId"] = snapshot_id
    if _load(changed) != wanted:  # an anchor or an alias: another place would change with it, or point nowhere
        raise ConfigError(
            f"{path}: expected a SnapshotId that can be changed alone, found one that is shared with another place of "
            f"the file; write it out, or set SnapshotId: {snapshot_id} by hand"
        )
    return Change(path, text.encode(), changed.encode())


def backup_of(path: Path) -> Path:
    """Return where the former content of a configuration is kept, beside it.

    Examples
    --------
    >>> backup_of(Path("cluster/parallelcluster.yaml")).name
    'parallelcluster.yaml.bak'
    """
    return path.with_name(f"{path.name}.bak")


def apply_change(change: Change) -> bool:
    """Write a change, after a copy of what was there; say whether there was anything to write.

    Both files are whole at any time, and keep their permissions.

    Raises
    ------
    ConfigError
        The folder cannot be written.
    """
    if change.new == change.old:
        return False
    try:
        for path, content in ((backup_of(change.path), change.old), (change.path, change.new)):
            with whole_file(path) as part:
                part.write_bytes(content)
                shutil.copymode(change.path, part)
    except OSError as error:
        raise ConfigError(
            f"{change.path}: expected a file and a folder that can be written, found: {error.strerror}; make them "
            "writable and run this again"
        ) from error
    return True


def named_snapshots(path: str | Path) -> set[str]:
    """List the snapshots that a configuration names anywhere, in comments, too."""
    return set(re.findall(r"\bsnap-[0-9a-f]+\b", Path(path).read_text(encoding="utf-8")))


def _load(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return None


def _parse(path: Path) -> tuple[str, yaml.Node | None]:
    try:
        text = path.read_bytes().decode("utf-8")  # line ends as they are
        yaml.safe_load(text)
        return text, yaml.compose(text, Loader=yaml.SafeLoader)
    except OSError as error:
        raise ConfigError(
            f"{path}: expected the cluster's configuration, found: {error.strerror}; give --file, or --no-file to "
            "leave it out"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        said = " ".join(str(error).split())
        raise ConfigError(f"{path}: expected YAML, found: {said}; correct it and run this again") from error


def _pairs(path: Path, node: yaml.Node | None, what: str) -> list[tuple[yaml.Node, yaml.Node]]:
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{path}: expected keys in {what}, found none; compare it with cluster/parallelcluster.yaml")
    return node.value


def _value(path: Path, node: yaml.Node | None, key: str, what: str = "EbsSettings") -> yaml.Node | None:
    found = [value for name, value in _pairs(path, node, what) if name.value == key]
    if len(found) > 1:
        raise ConfigError(f"{path}: expected {key} once in {what}, found it {len(found)} times; leave one")
    return found[0] if found else None


def _find_settings(path: Path, root: yaml.Node | None, storage: str) -> tuple[int, yaml.Node, yaml.MappingNode]:
    """Find the EBS storage of a name: its place in the list, and key and value of ``EbsSettings``."""
    shared = _value(path, root, "SharedStorage", "the file")
    volumes = {}
    for number, entry in enumerate(shared.value if isinstance(shared, yaml.SequenceNode) else ()):
        scalars = {key.value: value.value for key, value in _pairs(path, entry, "SharedStorage")}
        if scalars.get("StorageType") == "Ebs":
            volumes[str(scalars.get("Name"))] = number, entry
    if not storage and len(volumes) == 1:
        (storage,) = volumes
    if storage not in volumes:
        raise ConfigError(
            f"{path}: expected the EBS storage {storage or '(a single one)'} in SharedStorage, as the cluster's volume "
            f"is called, found {', '.join(volumes) or 'none'}; give the file that it was made from with --file"
        )
    number, entry = volumes[storage]
    for key, value in entry.value:
        if key.value == "EbsSettings" and isinstance(value, yaml.MappingNode) and value.value:
            return number, key, value
    raise ConfigError(
        f"{path}: expected EbsSettings in the storage {storage}, found none; without them the volume would be deleted "
        "with the cluster: add EbsSettings with DeletionPolicy: Retain"
    )


def _insert(text: str, key: yaml.Node, settings: yaml.MappingNode, entry: str) -> str:
    """Put an entry first into a block, where comments of the other entries stay with these."""
    first = settings.value[0][0].start_mark
    if settings.flow_style:
        return f"{text[: first.index]}{entry}, {text[first.index :]}"
    at = text.index("\n", key.end_mark.index) + 1
    line_end = "\r\n" if text[at - 2 : at] == "\r\n" else "\n"
    return f"{text[:at]}{' ' * first.column}{entry}{line_end}{text[at:]}"

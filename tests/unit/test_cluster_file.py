"""The cluster's configuration is changed in one place, and is whole at any time."""

import multiprocessing
import os
import re
import signal
from pathlib import Path

import pytest
import yaml

from hippflow.cloud.clusters.cluster_file import apply_change, backup_of, named_snapshots, plan_change
from hippflow.errors import ConfigError

TEXT = (Path(__file__).parents[2] / "cluster" / "parallelcluster.yaml").read_text()
NEW = "snap-0feedfacecafe0001"
BLOCK = "SharedStorage:\n- Name: data\n  StorageType: Ebs\n  EbsSettings:\n{}    Size: 500 # GB\n"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "cluster.yaml"
    path.write_text(TEXT)
    return path


def settings(data):
    return data["SharedStorage"][0]["EbsSettings"]


def test_the_configuration_of_the_repository_changes_by_one_word(file):
    assert apply_change(plan_change(file, NEW, "data")) is True
    assert file.read_text() == TEXT.replace("snap-0123456789abcdef0", NEW)
    assert backup_of(file).read_text() == TEXT
    assert sorted(path.name for path in file.parent.iterdir()) == ["cluster.yaml", "cluster.yaml.bak"]


@pytest.mark.parametrize(
    ("line", "changed"),
    [
        ("    SnapshotId: snap-1\n", f"    SnapshotId: {NEW}\n"),
        ("    SnapshotId:   snap-1   # mine\n", f"    SnapshotId:   {NEW}   # mine\n"),
        ("    SnapshotId: 'snap-1'\n", f"    SnapshotId: '{NEW}'\n"),
        ('    "SnapshotId": "snap-1"# mine\n', f'    "SnapshotId": "{NEW}"# mine\n'),
        ("    SnapshotId:\n      snap-1\n", f"    SnapshotId:\n      {NEW}\n"),
        ("    SnapshotId:\n", f"    SnapshotId: {NEW}\n"),
        ("    SnapshotId: ~\n", f"    SnapshotId: {NEW}\n"),
        ("", f"    SnapshotId: {NEW}\n"),
        ("    # The first volume is empty.\n", f"    SnapshotId: {NEW}\n    # The first volume is empty.\n"),
    ],
)
def test_every_way_to_write_it_is_changed_alone(file, line, changed):
    file.write_text(BLOCK.format(line))
    apply_change(plan_change(file, NEW, "data"))
    assert file.read_text() == BLOCK.format(changed)
    assert settings(yaml.safe_load(file.read_text())) == {"SnapshotId": NEW, "Size": 500}


@pytest.mark.parametrize("settings_before", ["{Size: 500}", "{SnapshotId: snap-1, Size: 500}"])
def test_a_block_in_braces_is_changed(file, settings_before):
    file.write_text(f"SharedStorage: [{{Name: data, StorageType: Ebs, EbsSettings: {settings_before}}}]\n")
    apply_change(plan_change(file, NEW, ""))
    assert f"EbsSettings: {{SnapshotId: {NEW}, Size: 500}}}}]" in file.read_text()


def test_line_ends_letters_and_permissions_stay(file):
    text = BLOCK.format("    # Größe\n    SnapshotId: snap-1\n").replace("\n", "\r\n")
    file.write_bytes(text.encode())
    file.chmod(0o640)
    apply_change(plan_change(file, NEW, "data"))
    assert file.read_bytes() == text.replace("snap-1", NEW).encode()
    file.write_bytes(text.replace("    SnapshotId: snap-1\r\n", "").encode())
    apply_change(plan_change(file, NEW, "data"))
    assert file.read_bytes().count(b"\r\n") == file.read_bytes().count(b"\n") == 7
    assert file.stat().st_mode & 0o777 == backup_of(file).stat().st_mode & 0o777 == 0o640


def test_the_storage_of_the_name_is_changed_among_several(file):
    text = "".join(
        f"- Name: {name}\n  StorageType: Ebs\n  EbsSettings: {{SnapshotId: snap-{name}}}\n" for name in ("a", "b", "c")
    )
    file.write_text(f"SharedStorage:\n- Name: b\n  StorageType: Efs\n{text}")
    apply_change(plan_change(file, NEW, "b"))
    assert file.read_text().endswith(text.replace("snap-b", NEW))
    with pytest.raises(ConfigError, match=re.escape("(a single one) in SharedStorage")):
        plan_change(file, NEW, "")


def test_the_same_snapshot_changes_no_file(file):
    assert apply_change(plan_change(file, "snap-0123456789abcdef0", "data")) is False
    assert not backup_of(file).exists()


def test_a_configuration_that_names_the_volume_is_left(file):
    file.write_text(BLOCK.format("    VolumeId: vol-1\n"))
    change = plan_change(file, NEW, "data")
    assert change.kept_volume == "vol-1" and apply_change(change) is False


def test_a_link_stays_a_link(file, tmp_path):
    link = tmp_path / "link.yaml"
    link.symlink_to(file)
    apply_change(plan_change(link, NEW, "data"))
    assert link.is_symlink() and NEW in file.read_text() and backup_of(file).exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "expected the cluster's configuration, found: No such file"),
        ("a: [", "expected YAML, found"),
        ("a: !Sub b\n", "expected YAML, found"),
        (b"a: \xff\n", "expected YAML, found"),
        ("[]", "expected keys in the file, found none"),
        ("SharedStorage: []\n", "expected the EBS storage data .*found none"),
        (BLOCK.format("").replace("Name: data", "Name: scratch"), "expected the EBS storage data .*found scratch"),
        (BLOCK.format("").split("  EbsSettings")[0], "expected EbsSettings in the storage data, found none"),
        (BLOCK.format("    SnapshotId: a\n    SnapshotId: b\n"), "expected SnapshotId once in EbsSettings, found it 2"),
        (BLOCK.format("    SnapshotId: &it snap-1\n") + "Other: *it\n", "shared with another place"),
        ("It: &it snap-1\n" + BLOCK.format("    SnapshotId: *it\n"), "shared with another place"),
    ],
)
def test_what_cannot_be_changed_alone_is_refused(file, text, said):
    if text is None:
        file.unlink()
    else:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    before = {path.name: path.read_bytes() for path in file.parent.iterdir()}
    with pytest.raises(ConfigError, match=said) as caught:
        plan_change(file, NEW, "data")
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)
    assert {path.name: path.read_bytes() for path in file.parent.iterdir()} == before


def apply_until(change, n_renames):
    """Apply a change, and be killed at the rename of that number, before it."""
    rename, count = os.replace, iter(range(99))

    def replace(*arguments):
        if next(count) == n_renames:
            os.kill(os.getpid(), signal.SIGKILL)
        rename(*arguments)

    os.replace = replace  # in this process, which ends here
    apply_change(change)


@pytest.mark.parametrize("n_renames", [0, 1])
def test_killed_at_any_rename_both_files_are_whole(file, n_renames):
    change = plan_change(file, NEW, "data")
    process = multiprocessing.get_context("fork").Process(target=apply_until, args=(change, n_renames))
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    assert file.read_text() == TEXT and backup_of(file).exists() is (n_renames == 1)
    assert n_renames == 0 or backup_of(file).read_text() == TEXT
    assert apply_change(plan_change(file, NEW, "data")) is True
    assert backup_of(file).read_text() == TEXT and NEW in file.read_text()
    assert sorted(path.name for path in file.parent.iterdir()) == ["cluster.yaml", "cluster.yaml.bak"]


def test_every_snapshot_that_a_configuration_names_is_found(file):
    file.write_text(TEXT + "# before: snap-00000000000000abc\n")
    assert named_snapshots(file) == {"snap-0123456789abcdef0", "snap-00000000000000abc"}

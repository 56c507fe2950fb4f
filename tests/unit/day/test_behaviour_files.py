"""Maze logs and eye recordings in a raw tree: found by name, and never guessed."""

import pytest

from hippflow.day.behaviour import check_eye_files, find_eye_files, find_maze_logs
from hippflow.day.raw import LocalTree
from hippflow.errors import CatalogError

DAY, SESSION = "picasso/20181105", "picasso/20181105/session01"
UNITY = {"folder": "RawData*", "logs": "session*.txt"}
EDFSPLIT = {"navigation": r"\d{6}\.(edf|asc)", "fixation": r"P\d+_\d+\.(edf|asc)", "other_files": "error"}


@pytest.fixture
def tree(tmp_path):
    """A tree to which `add` adds empty files."""
    (tmp_path / SESSION).mkdir(parents=True)
    tree = LocalTree(tmp_path)

    def add(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        return tree

    tree.add = add
    return tree


def test_logs_are_in_the_order_of_their_numbers(tree, tmp_path):
    folder = f"{SESSION}/RawData_T1-400"
    tree.add(
        *(f"{folder}/{name}" for name in ("session_10_1.txt", "session_2_1.txt", "session_1_5112018.txt", "notes"))
    )
    found = find_maze_logs(tree, SESSION, UNITY)
    assert found == tuple(
        f"{tmp_path}/{folder}/{name}" for name in ("session_1_5112018.txt", "session_2_1.txt", "session_10_1.txt")
    )


def test_a_session_without_a_folder_of_logs_has_none(tree):
    assert find_maze_logs(tree, SESSION, UNITY) == ()


def test_two_folders_of_logs_are_an_error(tree):
    tree.add(f"{SESSION}/RawData_T1-400/session_1.txt", f"{SESSION}/RawData_T2/session_1.txt")
    with pytest.raises(CatalogError, match=r"session01: expected one folder .* found 2 \(RawData_T1-400, RawData_T2\)"):
        find_maze_logs(tree, SESSION, UNITY)


def test_a_folder_without_logs_is_an_error(tree):
    tree.add(f"{SESSION}/RawData_T1-400/notes")
    with pytest.raises(CatalogError, match=r"RawData_T1-400: expected maze logs session\*\.txt \(unity\.logs\)"):
        find_maze_logs(tree, SESSION, UNITY)


@pytest.mark.parametrize("name", ["rawdata_T1-400/session_1.txt", "RAWDATA/session_1.txt"])
def test_a_folder_that_is_almost_one_of_logs(tree, name):
    """It would be passed over, and the session have no maze."""
    tree.add(f"{SESSION}/{name}", f"{SESSION}/data/other.txt")
    with pytest.raises(CatalogError, match=rf"{name.split('/')[0]}: expected a name as RawData\* \(unity\.folder\)"):
        find_maze_logs(tree, SESSION, UNITY)


@pytest.mark.parametrize("name", ["Session_2_1.txt", "session_2_1.TXT"])
def test_a_log_that_is_almost_called_one(tree, name):
    """It would be passed over, with the trials in it."""
    folder = f"{SESSION}/RawData_T1-400"
    tree.add(f"{folder}/session_1_1.txt", f"{folder}/{name}", f"{folder}/notes.txt")
    with pytest.raises(CatalogError, match=rf"{name}: expected a name as session\*\.txt \(unity\.logs\)"):
        find_maze_logs(tree, SESSION, UNITY)


@pytest.mark.parametrize("name", ["181105.EDF", "20181105.edf", "181105 .edf", "181105.edf ", "p11_5.edf", "P11.asc"])
def test_an_eye_file_that_is_almost_called_one_is_an_error_unless_allowed(tree, tmp_path, name):
    """It would be passed over, and the day have no eye data."""
    tree.add(f"{DAY}/{name}", f"{DAY}/notes.txt", f"{DAY}/._181105.edf")
    with pytest.raises(CatalogError, match=rf"{name}: expected an eye recording's name as .* found '{name}'; rename"):
        find_eye_files(tree, DAY, EDFSPLIT)
    tree.add(f"{DAY}/181105.edf")
    found = find_eye_files(tree, DAY, EDFSPLIT | {"other_files": "allow"})
    assert found == {"navigation": f"{tmp_path}/{DAY}/181105.edf", "fixation": None}


def test_eye_files_are_told_apart_by_their_names(tree, tmp_path):
    tree.add(f"{DAY}/181105.edf", f"{DAY}/P11_5.edf", f"{DAY}/notes.txt")
    assert find_eye_files(tree, DAY, EDFSPLIT) == {
        "navigation": f"{tmp_path}/{DAY}/181105.edf",
        "fixation": f"{tmp_path}/{DAY}/P11_5.edf",
    }


def test_a_day_may_lack_one_or_both(tree, tmp_path):
    assert find_eye_files(tree, DAY, EDFSPLIT) == {"navigation": None, "fixation": None}
    tree.add(f"{DAY}/181105.asc")
    assert find_eye_files(tree, DAY, EDFSPLIT) == {"navigation": f"{tmp_path}/{DAY}/181105.asc", "fixation": None}


def test_two_of_a_kind_are_an_error(tree):
    tree.add(f"{DAY}/181105.edf", f"{DAY}/181105.asc")
    with pytest.raises(CatalogError, match=r"expected one eye recording of navigation .* \(181105\.asc, 181105\.edf\)"):
        find_eye_files(tree, DAY, EDFSPLIT)


def test_a_file_of_both_kinds_is_an_error(tree):
    tree.add(f"{DAY}/181105.edf")
    with pytest.raises(CatalogError, match="make the two patterns disjoint"):
        find_eye_files(tree, DAY, EDFSPLIT | {"navigation": r".*\.edf", "fixation": r"\d+\.edf"})


BOTH = ["session01", "sessioneye"]


@pytest.mark.parametrize(("there", "lacking"), [("181105.edf", "fixation"), ("P11_5.edf", "navigation")])
def test_a_day_with_one_kind_of_eye_recording_lacks_the_other(tree, there, lacking):
    tree.add(f"{DAY}/{there}")
    found = find_eye_files(tree, DAY, EDFSPLIT)
    with pytest.raises(CatalogError, match=f"expected an eye recording of {lacking} .* found only .*{there}; copy it"):
        check_eye_files(tree.name(DAY), found, BOTH, EDFSPLIT | {"missing_file": "error"})
    check_eye_files(tree.name(DAY), found, BOTH, EDFSPLIT | {"missing_file": "allow"})
    others = ["session01"] if lacking == "fixation" else ["sessioneye"]
    check_eye_files(tree.name(DAY), found, others, EDFSPLIT | {"missing_file": "error"})


def test_a_day_without_eye_recordings_lacks_none(tree):
    check_eye_files(tree.name(DAY), find_eye_files(tree, DAY, EDFSPLIT), BOTH, EDFSPLIT | {"missing_file": "error"})

"""What a raw tree holds: found by names and headers, with nothing guessed and no sample read."""

import builtins
import io
from pathlib import Path

import pytest
import yaml

from hippflow.day.catalog import Catalog, build_catalog
from hippflow.day.channels import raw_channels
from hippflow.demo import ripple
from hippflow.demo.ripple import analog_channel, raw_channel
from hippflow.errors import CatalogError, ConfigError, FormatError
from hippflow.io.nsx_header import read_nsx_header

CONFIG = yaml.safe_load((Path(__file__).parents[3] / "config.yaml").read_text())
FOLDERS = {9: "array01/channel009", 34: "array02/channel034", 120: "array04/channel120"}


def add_session(root, path, channels=tuple(FOLDERS), nev=True, seconds=0, **options):
    """Write a session whose recording consists of headers, made longer by a hole of `seconds`."""
    folder = root / path
    folder.mkdir(parents=True)
    if nev:
        ripple.write_nev(folder / "b.nev", [])
    if channels:
        described = [analog_channel(1), *map(raw_channel, channels)]
        ripple.write_nsx(folder / "b.ns5", described, [], **options)
        header = 314 + 66 * len(described)
        with open(folder / "b.ns5", "r+b") as file:
            file.truncate(header + 9 + seconds * 30_000 * 2 * len(described))
    return folder


def catalog(root, **options):
    config = CONFIG | {"data": str(root)} | options
    return build_catalog(config)


def paths(found):
    return [session.path for session in found.sessions]


@pytest.fixture
def tree(tmp_path):
    """Two subjects, three days, navigation and fixation."""
    add_session(tmp_path, "picasso/20181105/session01", seconds=10)
    add_session(tmp_path, "picasso/20181105/sessioneye", channels=(9, 34), seconds=5)
    add_session(tmp_path, "picasso/20181101/session01")
    add_session(tmp_path, "wimsey/20181102/session01", channels=())
    return tmp_path


def test_sessions_in_order_with_their_files(tree):
    found = catalog(tree)
    assert paths(found) == [
        "picasso/20181101/session01",
        "picasso/20181105/session01",
        "picasso/20181105/sessioneye",
        "wimsey/20181102/session01",
    ]
    first = found.by_path["picasso/20181105/session01"]
    folder = tree / "picasso/20181105/session01"
    assert (first.nev, first.nsx, first.day) == (str(folder / "b.nev"), str(folder / "b.ns5"), "picasso/20181105")
    assert first.channels == FOLDERS
    assert first.sampling_rate == 30_000
    assert first.n_bytes == (folder / "b.ns5").stat().st_size
    assert first.seconds == pytest.approx(10, abs=0.001)
    assert [session.path[-10:] for session in found.days["picasso/20181105"]] == ["/session01", "sessioneye"]
    assert list(found.days) == ["picasso/20181101", "picasso/20181105", "wimsey/20181102"]


def test_a_session_of_events_alone(tree):
    session = catalog(tree).by_path["wimsey/20181102/session01"]
    assert (session.nsx, session.n_bytes, session.seconds, session.sampling_rate, session.channels) == (
        None,
        0,
        0,
        0,
        {},
    )
    assert session.nev.endswith("b.nev")


def test_a_session_of_a_recording_alone(tmp_path):
    add_session(tmp_path, "picasso/20181105/session01", nev=False)
    (session,) = catalog(tmp_path).sessions
    assert session.nev is None and session.channels == FOLDERS


def test_a_session_folder_with_nothing_in_it_yet(tree):
    (tree / "picasso/20181105/session02").mkdir()
    session = catalog(tree).by_path["picasso/20181105/session02"]
    assert (session.nev, session.nsx) == (None, None)


@pytest.mark.parametrize("spec", ["2.2", "2.3", "3.0"])
def test_the_clock_of_specification_3_0_needs_the_nev(tmp_path, spec):
    folder = add_session(tmp_path, "picasso/20181105/session01", spec=spec)
    (session,) = catalog(tmp_path).sessions
    assert session.clock == (str(folder / "b.nev") if spec == "3.0" else None)


def test_json_round_trip(tree):
    found = catalog(tree)
    assert Catalog.from_json(found.to_json()) == found


def test_other_files_and_folders_are_not_looked_at(tree):
    (tree / "notes.txt").touch()
    (tree / "picasso/20181105/mountains/channel009").mkdir(parents=True)
    (tree / "picasso/20181105/181105.eds").touch()
    (tree / "picasso/20181105/session01.txt").touch()
    (tree / "picasso/old").mkdir()
    (tree / "2018").mkdir()
    assert len(catalog(tree).sessions) == 4


def test_behaviour_is_found_beside_recordings(tree):
    day = tree / "picasso/20181105"
    for name in ("181105.edf", "P11_5.edf", "session01/RawData_T1-400/session_1_5112018.txt"):
        (day / name).parent.mkdir(exist_ok=True)
        (day / name).touch()
    navigation, fixation = catalog(tree, days="20181105").sessions
    assert (navigation.eye, fixation.eye) == (str(day / "181105.edf"), str(day / "P11_5.edf"))
    assert navigation.maze_logs == (str(day / "session01/RawData_T1-400/session_1_5112018.txt"),)
    assert fixation.maze_logs == ()
    assert Catalog.from_json(catalog(tree).to_json()) == catalog(tree)


def test_an_eye_recording_of_one_kind_alone_is_an_error_unless_allowed(tree):
    (tree / "picasso/20181105/181105.edf").touch()
    with pytest.raises(CatalogError, match="20181105: expected an eye recording of fixation .* for sessioneye"):
        catalog(tree)
    assert len(catalog(tree, edfsplit=CONFIG["edfsplit"] | {"missing_file": "allow"}).sessions) == 4
    assert len(catalog(tree, sessions="session01").sessions) == 3


def test_hidden_files_are_not_recordings(tree):
    folder = tree / "picasso/20181105/session01"
    for name in (".b.ns5.node1-77.part", "._b.ns5", "._b.nev", ".b.ns5"):
        (folder / name).touch()
    session = catalog(tree).by_path["picasso/20181105/session01"]
    assert (session.nev, session.nsx) == (str(folder / "b.nev"), str(folder / "b.ns5"))


@pytest.mark.parametrize("suffix", ["nev", "ns5"])
def test_two_candidates_are_an_error(tree, suffix):
    (tree / f"picasso/20181105/session01/a.{suffix}").touch()
    with pytest.raises(
        CatalogError, match=rf"session01: expected one \.{suffix} file, found 2 \(a\.{suffix}, b\.{suffix}\)"
    ):
        catalog(tree)
    assert len(catalog(tree, days=20181101).sessions) == 1


def test_the_recording_is_found_by_its_suffix(tree):
    folder = tree / "picasso/20181105/session01"
    (folder / "b.ns2").touch()
    assert catalog(tree).by_path["picasso/20181105/session01"].nsx.endswith("b.ns5")
    (folder / "b.ns5").rename(folder / "b.ns6")
    found = catalog(tree, rplsplit=CONFIG["rplsplit"] | {"suffix": "ns6"})
    assert [bool(session.nsx) for session in found.sessions] == [False, True, False, False]


@pytest.mark.parametrize("name", ["session1", "session001", "Session01", "session_01", "sessionEye", "session01 copy"])
def test_a_folder_that_is_almost_a_session(tree, name):
    (tree / "picasso/20181105" / name).mkdir()
    with pytest.raises(CatalogError, match=rf"expected session01 \.\.\. session99 or sessioneye, found '{name}'"):
        catalog(tree)


def test_a_missing_root(tmp_path):
    with pytest.raises(
        CatalogError, match=r"nowhere: expected the folder of raw recordings .*, found none; set data in"
    ):
        catalog(tmp_path / "nowhere")


def test_a_root_without_recordings(tmp_path):
    with pytest.raises(CatalogError, match="found 0 session folders with none"):
        catalog(tmp_path)
    (tmp_path / "picasso/20181105/session01").mkdir(parents=True)
    with pytest.raises(CatalogError, match=r"expected \.nev or \.ns5 files .*, found 1 session folders with none"):
        catalog(tmp_path)


@pytest.mark.parametrize(
    "options, expected",
    [
        ({"subjects": "wimsey"}, ["wimsey/20181102/session01"]),
        ({"subjects": ["picasso"], "days": [20181105]}, ["picasso/20181105/session01", "picasso/20181105/sessioneye"]),
        ({"days": "20181101"}, ["picasso/20181101/session01"]),
        ({"sessions": "sessioneye"}, ["picasso/20181105/sessioneye"]),
        (
            {"sessions": ["session01"], "days": [20181105, 20181102]},
            ["picasso/20181105/session01", "wimsey/20181102/session01"],
        ),
    ],
)
def test_selected_names(tree, options, expected):
    assert paths(catalog(tree, **options)) == expected


@pytest.mark.parametrize(
    "options, message",
    [
        ({"subjects": "picaso"}, r"subjects: picaso is not in .* \(2 there; nearest: picasso\)"),
        ({"days": 20181106}, r"days: 20181106 is not in .* \(3 there; nearest: 20181105\)"),
        # a day of another subject than the one that was asked for
        (
            {"subjects": "picasso", "days": 20181102},
            r"days: 20181102 is not in .*picasso \(2 there; nearest: 20181101\)",
        ),
        ({"sessions": "session02"}, r"sessions: session02 is not in .* \(2 there; nearest: session01\)"),
        ({"sessions": "session"}, r"sessions: session is not in .* \(2 there; nearest: session01\)"),
        (
            {"days": 20181101, "sessions": ["sessioneye"]},
            r"sessions: sessioneye is not in .* \(1 there; nearest: session01\)",
        ),
    ],
)
def test_a_selected_name_that_is_not_there(tree, options, message):
    with pytest.raises(ConfigError, match=message):
        catalog(tree, **options)


def test_selected_channels(tree):
    found = catalog(tree, subjects="picasso", days=20181105, channels=["100-124", 9])
    assert [list(session.channels) for session in found.sessions] == [[9, 120], [9]]
    assert found.sessions[0].channels[120] == "array04/channel120"


def test_a_selected_channel_that_is_not_there(tree):
    with pytest.raises(
        ConfigError, match=r"channels: 33 is not in the recording of picasso/20181101 \(3 channels; nearest: 34\)"
    ):
        catalog(tree, channels=[9, 33])
    with pytest.raises(ConfigError, match=r"channels: none of 40-50 is in the recording of picasso/20181101"):
        catalog(tree, channels="40-50")


def test_a_day_without_neural_data_has_no_channels_to_miss(tree):
    found = catalog(tree, subjects="wimsey", channels=9)
    assert [session.channels for session in found.sessions] == [{}]


def test_headers_are_read_and_no_sample(tree, monkeypatch):
    """The furthest byte that is read of any file is the last of its headers."""
    furthest = {}
    open_really = builtins.open

    class Watched(io.FileIO):
        def readinto(self, buffer):
            n = super().readinto(buffer)
            furthest[self.name] = max(furthest.get(self.name, 0), self.tell())
            return n

        def read(self, size=-1):
            data = super().read(size)
            furthest[self.name] = max(furthest.get(self.name, 0), self.tell())
            return data

    def watch(file, mode="r", *args, **options):
        if str(file).startswith(str(tree)):
            assert mode == "rb", f"{file} opened to be written"
            return Watched(str(file))
        return open_really(file, mode, *args, **options)

    monkeypatch.setattr(builtins, "open", watch)
    found = catalog(tree)
    monkeypatch.undo()
    recordings = [session for session in found.sessions if session.nsx]
    assert furthest == {session.nsx: read_nsx_header(session.nsx).n_bytes for session in recordings}
    assert len(furthest) == 3


def test_a_damaged_header_names_the_file(tree):
    path = tree / "picasso/20181105/session01/b.ns5"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(FormatError, match=r"picasso/20181105/session01/b\.ns5: 100 bytes, too short"):
        catalog(tree)


def header_of(folder, channels):
    ripple.write_nsx(folder / "b.ns5", channels, [])
    return read_nsx_header(folder / "b.ns5")


def blackrock(number, label, connector, units="uV"):
    return ripple.Channel(number, label, connector, 1, units, 32764, 8191)


def test_channels_by_label_and_unit_wherever_they_are(tmp_path):
    channels = [raw_channel(34), analog_channel(1), raw_channel(9), blackrock(7, "raw 7", 0, "mV")]
    found = raw_channels(header_of(tmp_path, channels), r"raw (\d+)", 0)
    assert found == {9: (2, "array01/channel009"), 34: (0, "array02/channel034")}
    assert list(found) == [9, 34]


def test_a_label_must_match_as_a_whole(tmp_path):
    channels = [raw_channel(3), blackrock(4, "raw 33 ref", 0), blackrock(5, "lraw 5", 0)]
    assert list(raw_channels(header_of(tmp_path, channels), r"raw (\d+)", 0)) == [3]


def test_labels_and_front_ends_of_blackrock(tmp_path):
    header = header_of(tmp_path, [blackrock(1, "chan1", 1), blackrock(40, "chan40", 2), analog_channel(1)])
    assert raw_channels(header, r"chan(\d+)", 1) == {1: (0, "array01/channel001"), 40: (1, "array02/channel040")}
    assert raw_channels(header, r"chan(\d+)", 0)[1] == (0, "array02/channel001")


def test_front_ends_that_count_from_less(tmp_path):
    header = header_of(tmp_path, [raw_channel(9)])
    with pytest.raises(
        CatalogError, match=r"front-ends from 1 \(.*\), found 0 at 'raw 9'; set rplsplit\.first_connector to 0"
    ):
        raw_channels(header, r"raw (\d+)", 1)


def test_no_channel_of_that_label(tmp_path):
    header = header_of(tmp_path, [analog_channel(1), raw_channel(9)])
    with pytest.raises(
        CatalogError, match=r"expected channels in uV labelled 'chan.*' .*, found 'analog 1', 'raw 9' \.\.\."
    ):
        raw_channels(header, r"chan(\d+)", 0)


def test_one_number_twice(tmp_path):
    header = header_of(tmp_path, [raw_channel(9), blackrock(10, "raw 9", 1)])
    with pytest.raises(CatalogError, match=r"b\.ns5: two channels are labelled 'raw 9'"):
        raw_channels(header, r"raw (\d+)", 0)


@pytest.mark.parametrize("pattern", [r"(raw) \d+", r"raw (\w*)9", r"(?:raw|(\d)) \d+"])
def test_a_group_that_is_no_number(tmp_path, pattern):
    header = header_of(tmp_path, [raw_channel(9)])
    with pytest.raises(
        CatalogError, match="to be a channel number, found .* in 'raw 9'; put the group around the digits"
    ):
        raw_channels(header, pattern, 0)

"""Days that are not as they should be: what a run says of them before it starts anything, and what lets it go on.

Recordings that are damaged inside are in test_bad_recordings.py; folders and other runs in test_bad_surroundings.py.
Two candidates, damaged headers, and selections of what is not there are in tests/unit/day/test_catalog.py.
"""

import logging
import os
import shutil
import time
from pathlib import Path

import pytest
import yaml

from hippflow.day.catalog import build_catalog
from hippflow.day.config import check_config, load_schema
from hippflow.day.products import Products
from hippflow.demo import ripple
from hippflow.errors import CatalogError, ConfigError

REPOSITORY = Path(__file__).parents[2]
CONFIG = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
SCHEMA = load_schema(REPOSITORY / "schemas/config.schema.yaml")
DAY = "picasso/20181105"


@pytest.fixture
def data(tmp_path):
    """A day of headers: navigation with a maze log, fixation, and an eye recording of each."""
    day = tmp_path / "data" / DAY
    for session, stem in (("session01", "181105_Block1"), ("sessioneye", "181105_DST")):
        (day / session).mkdir(parents=True)
        ripple.write_nev(day / session / f"{stem}.nev", [])
        ripple.write_nsx(day / session / f"{stem}.ns5", [ripple.raw_channel(9)], [])
    (day / "session01/RawData_T1-400").mkdir()
    (day / "session01/RawData_T1-400/session_1_5112018105911.txt").write_text("log")
    (day / "181105.edf").write_bytes(b"eye")
    (day / "P11_5.edf").write_bytes(b"eye")
    return tmp_path / "data"


def catalog(data, **settings):
    return build_catalog(check_config({"data": str(data)} | settings, SCHEMA))


def test_a_whole_day_is_read_without_a_word(data, caplog):
    assert [session.name for session in catalog(data).sessions] == ["session01", "sessioneye"]
    assert caplog.text == ""


def test_an_empty_session_is_named_and_the_others_are_read(data, caplog):
    (data / DAY / "session02").mkdir()
    found = catalog(data)
    assert [session.name for session in found.sessions] == ["session01", "session02", "sessioneye"]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        f"{data}/{DAY}/session02: a session without a recording; nothing is made of it. Copy its files there."
    )
    products = Products(CONFIG | {"data": str(data)}, found)
    assert [product for product in products.of_session(found.by_path[f"{DAY}/session02"])] == []


@pytest.mark.parametrize(
    "session, stem, behaviour",
    [("session01", "181105_Block1", "session_1_5112018105911.txt"), ("sessioneye", "181105_DST", "P11_5.edf")],
)
def test_behaviour_without_markers_is_an_error_unless_allowed(data, session, stem, behaviour):
    """Its products would otherwise not be made, without a word."""
    (data / DAY / session / f"{stem}.nev").unlink()
    with pytest.raises(
        CatalogError, match=rf"{session}: expected a .nev with the trial markers .*{behaviour} is aligned"
    ):
        catalog(data)
    found = catalog(data, rplparallel={"no_markers": "allow"})
    assert found.by_path[f"{DAY}/{session}"].nev is None
    assert found.by_path[f"{DAY}/{session}"].channels


@pytest.mark.parametrize(
    "path, renamed, date",
    [
        ("session01/181105_Block1.nev", "session01/181106_Block1.nev", "20181106"),
        ("session01/181105_Block1.ns5", "session01/20171105.ns5", "20171105"),
        ("181105.edf", "181104.edf", "20181104"),
    ],
)
def test_a_file_of_another_day_is_an_error_unless_allowed(data, path, renamed, date):
    (data / DAY / path).rename(data / DAY / renamed)
    words = f"{Path(renamed).name}: expected a file of 20181105, as its folder, found the date {date} in its name"
    with pytest.raises(CatalogError, match=words):
        catalog(data)
    assert len(catalog(data, raw={"wrong_day": "allow"}).sessions) == 2


@pytest.mark.parametrize("name", ["Block1.nev", "991399_Block1.nev", "1811050_Block1.nev", "18.nev"])
def test_a_name_without_a_date_is_as_good(data, name):
    (data / DAY / "session01/181105_Block1.nev").rename(data / DAY / "session01" / name)
    assert catalog(data).by_path[f"{DAY}/session01"].nev.endswith(name)


@pytest.mark.parametrize("name", ["20181399", "20181105 ", "2018-11-06", "2018_11_06", "２０１８１１０６"])
def test_a_folder_that_is_almost_a_day_is_refused(data, name):
    """It would be passed over."""
    (data / "picasso" / name).mkdir()
    with pytest.raises(CatalogError, match="expected a day as YYYYMMDD, found"):
        catalog(data)
    assert len(catalog(data, days="20181105").sessions) == 2


@pytest.mark.parametrize("name", ["picasso2", "Émile", "two words"])
def test_a_folder_with_days_that_is_almost_a_subject_is_refused(data, name):
    (data / name / "20181105/session01").mkdir(parents=True)
    with pytest.raises(CatalogError, match=f"{name}: expected the name of a subject in letters from A to Z"):
        catalog(data)
    assert len(catalog(data, subjects="picasso").sessions) == 2
    shutil.rmtree(data / name)
    (data / name / "notes").mkdir(parents=True)  # nothing of ours
    assert len(catalog(data).sessions) == 2


def test_a_link_that_leads_nowhere_is_named_with_where_it_leads(data):
    for path in (f"{DAY}/session01/181105_Block1.ns5", f"{DAY}/sessioneye/181105_DST.nev", f"{DAY}/181105.edf"):
        whole = (data / path).read_bytes()
        (data / path).unlink()
        (data / path).symlink_to("/not/mounted/here")
        with pytest.raises(
            CatalogError, match=f"{path}: expected a file, a link to /not/mounted/here, found: No such file"
        ):
            catalog(data)
        (data / path).unlink()
        (data / path).write_bytes(whole)


@pytest.mark.parametrize(
    "folder, others",
    [
        ("nessie", {"subjects": "picasso"}),
        ("picasso/20181106", {"days": "20181105"}),
        (f"{DAY}/session02", {"sessions": ["session01"]}),
        (f"{DAY}/imaging01", {"sessions": ["session01"]}),
        (f"{DAY}/session03/RawData_T1-400", {"sessions": ["session01"]}),
    ],
)
@pytest.mark.parametrize("target", ["/not/mounted/here", "itself"])
def test_a_link_to_a_folder_that_leads_nowhere_is_named_where_it_was_asked_for(data, folder, others, target):
    """Its subject, day or session would otherwise not be there, without a word."""
    link = data / folder
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(link if target == "itself" else target)
    leads = link.name if target == "itself" else target
    with pytest.raises(CatalogError, match=f"{folder}: expected a folder, a link to .*{leads}, found none"):
        catalog(data)
    assert catalog(data, edfsplit={"missing_file": "allow"}, **others).sessions[0].path == f"{DAY}/session01"


def test_links_of_other_names_that_lead_nowhere_are_none_of_ours(data):
    """Nor are maze logs of a fixation session, where nobody looks for any."""
    fixation_logs = f"{DAY}/sessioneye/RawData_T1-400"
    for name in ("old 2017", "picasso/notes", f"{DAY}/figures", f"{DAY}/session01/spikes", fixation_logs):
        (data / name).symlink_to("/not/mounted/here")
    assert len(catalog(data).sessions) == 2


def test_a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for(data):
    path = data / DAY / "session01/181105_Block1.nev"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(CatalogError, match="181105_Block1.nev: expected a file, found something else"):
        catalog(data)


def test_a_file_that_may_not_be_read_is_refused_before_a_job_fails(data, monkeypatch):
    """Root may read everything, so the system's answer is another's."""
    answers = os.access

    def access(path, mode):
        return not (mode & os.R_OK and "DST.nev" in str(path)) and answers(path, mode)

    monkeypatch.setattr(os, "access", access)
    with pytest.raises(CatalogError, match="181105_DST.nev: expected a file that can be read, found no permission"):
        catalog(data)


def test_a_file_from_the_future_is_an_error_unless_allowed(data):
    """Clocks that are off by hours: every run would make everything of it again."""
    path = data / DAY / "session01/181105_Block1.ns5"
    os.utime(path, (time.time() + 2.5 * 3600,) * 2)
    with pytest.raises(
        CatalogError, match="181105_Block1.ns5: expected a file that was changed in the past, found 2.5 h in"
    ):
        catalog(data)
    assert len(catalog(data, raw={"future": "allow"}).sessions) == 2
    os.utime(path, (time.time() + 30,) * 2)  # clocks of two machines
    assert len(catalog(data).sessions) == 2


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    "block, key",
    [("sorting", "detect_threshold"), ("units", "min_snr"), ("quality", "max_offset_uv"), ("raycast", "vertical_fov")],
)
def test_a_number_that_is_none_is_refused(block, key, number):
    """No bound of a schema refuses NaN: it is neither less nor more than anything."""
    with pytest.raises(ConfigError, match=rf"{block}\.{key}: expected"):
        check_config({block: {key: number}}, SCHEMA)


def test_numbers_that_are_none_are_refused_in_lists_and_as_text():
    for band in ([float("nan"), 150], [1, float("inf")], [".nan", 150], ["nan", 150]):
        with pytest.raises(ConfigError, match=r"rpllfp\.band"):
            check_config({"rpllfp": {"band": band}}, SCHEMA)


def test_an_address_in_the_place_of_the_raw_folder_is_told_what_to_write_instead():
    with pytest.raises(CatalogError, match=r"https://lab/raw: expected a folder or s3://bucket/prefix") as error:
        build_catalog(CONFIG | {"data": "https://lab/raw?X-Amz-Signature=0123"})
    assert "0123" not in str(error.value)

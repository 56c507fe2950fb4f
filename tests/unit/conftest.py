import pytest

from hippflow.demo.day import write_demo_day
from hippflow.demo.truth import load_truth
from hippflow.names import highpass_args, product_name
from hippflow.steps.rplhighpass import make_rplhighpass
from hippflow.steps.rplsplit import make_rplraw

#: A channel on the first front-end, and one on the second.
DAY_CHANNELS = {9: "array01/channel009", 34: "array02/channel034"}


@pytest.fixture(scope="session")
def short_day(tmp_path_factory):
    """Channels 9 and 34; session01 of 8 s, sessioneye of 4 s."""
    return write_demo_day(tmp_path_factory.mktemp("raw"), channels=list(DAY_CHANNELS), seconds=8, behaviour=False)


@pytest.fixture(scope="session")
def short_day_truth(short_day):
    return load_truth(short_day)


@pytest.fixture(scope="session")
def short_day_results(short_day, tmp_path_factory):
    """Raw and high-pass signals of the short day; the folder of the day's results."""
    results = tmp_path_factory.mktemp("results") / "picasso" / "20181105"
    band = {"order": 8, "band": [500, 7500]}
    for session, stem in (("session01", "181105_Block1"), ("sessioneye", "181105_DST")):
        folders = [results / session / folder for folder in DAY_CHANNELS.values()]
        make_rplraw(
            short_day / session / f"{stem}.ns5",
            [str(folder / product_name("rplraw")) for folder in folders],
            nev=short_day / session / f"{stem}.nev",
            raw_label=r"raw (\d+)",
            first_connector=0,
            on_gap="error",
            dtype="float32",
        )
        for folder in folders:
            highpass = folder / product_name("rplhighpass", highpass_args(band))
            make_rplhighpass(folder / product_name("rplraw"), highpass, **band, dtype="float32")
    return results

"""The page of a day of 124 channels in a headless Chromium: what a reader sees, and what the page must never do."""

import json
import re
import time
from itertools import pairwise

import pytest
from chromium_page import Page
from debian import require
from made_days import make_day

from hippflow.report.page import make_page

#: Ratio of the luminances of every text and what is behind it, and the text, for those below 4.5.
CONTRAST = """(() => {
  const rgb = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = rgb(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), bad = [];
  let n = 0;
  for (let node; (node = walk.nextNode()); ) {
    const e = node.parentElement, style = getComputedStyle(e);
    const unseen = !node.textContent.trim() || !e.getClientRects().length;
    if (unseen || ["SCRIPT", "STYLE", "NOSCRIPT"].includes(e.tagName)) continue;
    const front = light(rgb(e.closest("svg") ? style.fill : style.color)), back = light(behind(e));
    const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    n++;
    if (ratio < 4.5) bad.push([node.textContent.trim().slice(0, 40), ratio]);
  }
  return JSON.stringify({ n, bad });
})()"""

#: Pixels of the figures in the panel of details that are drawn on.
DRAWN = "[...document.querySelectorAll('#{panel} svg')].map((s) => s.querySelectorAll('g path').length)"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The day, with two channels that have problems."""
    day = make_day(tmp_path_factory.mktemp("wide"), {n: (n - 1) // 32 + 1 for n in range(1, 125)})
    for number in (7, 99):
        path = next(day.folder.glob(f"session01/array*/channel{number:03d}/quality.json"))
        quality = json.loads(path.read_text()) | {"saturated_seconds": 1.25, "highpass_noise": 7.9}
        quality["problems"] = ["saturated for 1.25 s, a share of 0.03, more than 0.001 (quality.max_saturated_share)"]
        quality["saturated"] = [{"first": 0, "number": 300, "time": 1.5}]
        path.write_text(json.dumps(quality))
    return day


@pytest.fixture(scope="module")
def path(made):
    report, started = made.folder / "report.html", time.perf_counter()
    report.write_text(make_page(made.material()))
    print(f"{report.stat().st_size / 1e6:.1f} MB in {time.perf_counter() - started:.1f} s")
    return report


@pytest.fixture(scope="module")
def page(path, tmp_path_factory):
    chromium = require({"chromium": "chromium"})["chromium"]
    with Page(chromium, tmp_path_factory.mktemp("profile")) as page:
        page.open(path)
        yield page


@pytest.fixture
def fresh(page, path):
    """The page as it is when it was just opened."""
    page.resize(1280, 800)
    page.open(path)
    return page


@pytest.mark.slow
def test_a_day_of_124_channels_is_a_page_of_at_most_15_mb(path):
    assert 1e6 < path.stat().st_size < 15e6


def test_it_opens_at_once_and_asks_nobody_for_anything(fresh):
    milliseconds = fresh.run("performance.timing.loadEventEnd - performance.timing.navigationStart")
    assert milliseconds < 8000
    assert fresh.complaints == [] and fresh.requests == []
    assert not re.search(r"(src|href)=\"(?!data:|#)", fresh.run("document.documentElement.outerHTML"))


def test_all_sections_are_there_with_their_figures(fresh):
    headings = json.loads(fresh.run("JSON.stringify([...document.querySelectorAll('h2')].map((h) => h.innerText))"))
    assert headings[0] == "▲ 1 problem"
    assert headings[1:] == ["Overview", "Alignment", "Signals", "Units", "Behaviour", "Provenance"]
    assert "2 channels: saturated (007 and 099)" in fresh.run("document.querySelector('.problems').innerText")
    shown = "[...document.querySelectorAll('.draw[data-figure]')].filter((d) => d.dataset.figure !== 'later')"
    assert fresh.run(f"{shown}.length") == 19  # residuals, spectra, way, trials, gaze, and the first twelve maps
    assert fresh.run(f"{shown}.every((d) => d.querySelector('svg path, svg image') && d.clientHeight > 60)")


def test_the_table_of_contents_leads_to_every_section(fresh):
    assert fresh.run("[...document.querySelectorAll('nav a')].every((a) => document.querySelector(a.hash + ' h2'))")
    levels = json.loads(
        fresh.run("JSON.stringify([...document.querySelectorAll('h1,h2,h3,h4')].map((h) => +h.tagName[1]))")
    )
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("width", [1280, 1440, 800])
def test_nothing_is_wider_than_the_window(fresh, width):
    fresh.resize(width, 800)
    fresh.run("document.querySelector('[data-grid=signals] .cell').click()")
    fresh.run("document.querySelector('#units-table .show').click()")
    assert fresh.run("document.documentElement.scrollWidth") <= width


def test_a_channel_chosen_by_keyboard_shows_its_figures(fresh):
    fresh.run("""document.querySelector('[data-grid="signals"] [data-channel="99"]').focus()""")
    assert fresh.run("document.getElementById('signals-details').hidden")
    fresh.press("Enter", 13)
    text = fresh.run("document.getElementById('signals-details').innerText")
    assert "Channel 099" in text and "saturated for 1.25 s" in text and "1.5 s (for 10 ms)" in text
    drawn = fresh.run(DRAWN.format(panel="signals-details"))
    assert len(drawn) == 6 and all(drawn)  # two spectra, and two signals of two sessions
    assert fresh.run("""document.querySelector('[data-channel="99"]').getAttribute('aria-expanded')""") == "true"
    fresh.run("[...document.querySelectorAll('#signals-details button')].find((b) => b.innerText === 'Close').click()")
    assert fresh.run("document.activeElement.dataset.channel") == "99"
    assert fresh.complaints == []


def test_channels_are_coloured_by_what_is_chosen(fresh):
    cell = """document.querySelector('[data-grid="signals"] [data-channel="7"]')"""
    value = f"{cell}.querySelector('.value').innerText"
    assert fresh.run(value) == "7.9"
    before = fresh.run(f"getComputedStyle({cell}).backgroundColor")
    fresh.run(
        "(() => { const s = document.querySelector('[data-controls=signals] [name=metric]');"
        "s.value = 'saturated_seconds';"
        "s.dispatchEvent(new Event('change', { bubbles: true })); })()"
    )
    assert fresh.run(value) == "1.25" and fresh.run(f"getComputedStyle({cell}).backgroundColor") != before
    assert "has a problem" in fresh.run(f"{cell}.textContent")


def test_a_unit_shows_its_figures_and_leads_to_the_next(fresh):
    fresh.run("""document.querySelector('[data-unit="040/2"]').click()""")
    panel = "document.getElementById('units-details')"
    assert "Channel 040, unit 2" in fresh.run(f"{panel}.innerText")
    drawn = fresh.run(DRAWN.format(panel="units-details"))
    assert len(drawn) == 4 and all(drawn)
    fresh.run(f"{panel}.querySelector('details').open = true")
    assert "num_spikes\n300" in fresh.run(f"{panel}.innerText")
    fresh.run(f"[...{panel}.querySelectorAll('button')].find((b) => b.innerText.startsWith('Next')).click()")
    assert "Channel 040, unit 3" in fresh.run(f"{panel}.innerText")


def test_units_sort_by_a_heading_and_filter(fresh):
    column = "[...document.querySelectorAll('#units-table thead th')].findIndex((h) => h.innerText.startsWith('SNR'))"
    values = (
        "JSON.stringify([...document.querySelectorAll('#units-table tbody tr')].filter((r) => !r.hidden)"
        f".map((r) => +r.cells[{column}].dataset.value))"
    )
    heading = f"document.querySelectorAll('#units-table thead th')[{column}]"
    fresh.run(f"{heading}.querySelector('button').click()")
    found = json.loads(fresh.run(values))
    assert len(found) == 620 and found == sorted(found) and found[0] != found[-1]
    assert fresh.run(f"{heading}.getAttribute('aria-sort')") == "ascending"
    fresh.run(f"{heading}.querySelector('button').click()")
    assert json.loads(fresh.run(values)) == sorted(found, reverse=True)
    fresh.run(
        "(() => { const s = document.querySelector('[data-filter] [name=quality]'); s.value = 'multi-unit';"
        "s.dispatchEvent(new Event('input', { bubbles: true })); })()"
    )
    assert len(json.loads(fresh.run(values))) == 124
    assert fresh.run("document.querySelector('[data-filter] output').innerText") == "124 of 620 shown"
    fresh.run("""document.querySelector('[data-grid="waveforms"] [data-channel="041"]').click()""")
    assert len(json.loads(fresh.run(values))) == 1  # its one multi-unit


def test_a_single_trial_can_be_drawn_and_all_maps_be_shown(fresh):
    length = (
        "[...document.querySelectorAll('[data-figure=way] g path')].reduce((n, p) => n + p.getAttribute('d').length, 0)"
    )
    whole = fresh.run(length)
    fresh.run(
        "(() => { const s = document.querySelector('[data-controls=way] select'); s.value = '1';"
        "s.dispatchEvent(new Event('change', { bubbles: true })); })()"
    )
    assert 0 < fresh.run(length) < whole
    shown = "[...document.querySelectorAll('.map')].filter((m) => m.querySelector('image') && m.clientHeight).length"
    assert fresh.run(shown) == 12
    fresh.run("document.querySelector('[data-more]').click()")
    assert fresh.run(shown) == 124 * 4


def test_the_pointer_tells_the_values_of_a_point(fresh):
    fresh.run("document.querySelector('[data-figure=trials]').scrollIntoView({ block: 'center', behavior: 'instant' })")
    place = json.loads(
        fresh.run(
            "(() => { const s = document.querySelector('[data-figure=trials] svg'), r = s.getBoundingClientRect();"
            "const m = [...s.querySelectorAll('g[clip-path] path')][0].getAttribute('d').match(/M([\\d.]+) ([\\d.]+)/);"
            "return JSON.stringify([r.left + +m[1], r.top + +m[2]]); })()"
        )
    )
    fresh.call("Input.dispatchMouseEvent", type="mouseMoved", x=place[0] + 2, y=place[1] + 1)
    shown = "document.querySelector('[data-figure=trials] .readout text').textContent"
    assert fresh.run(shown) == "reward, trial: 1, duration (s): 5"


def test_text_stands_out_from_what_is_behind_it(fresh):
    fresh.run("document.querySelector('[data-grid=signals] .flagged').click()")
    fresh.run("document.querySelector('#units-table .show').click()")
    fresh.run("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    found = json.loads(fresh.run(CONTRAST))
    assert found["n"] > 2000 and found["bad"] == []


def test_figures_and_controls_have_names_for_who_cannot_see_them(fresh):
    fresh.run("document.querySelector('[data-grid=signals] .cell').click()")
    fresh.run("document.querySelector('#units-table .show').click()")
    assert fresh.run("[...document.querySelectorAll('img')].every((i) => i.alt.length > 10)")
    unnamed = (
        "[...document.querySelectorAll('svg')].filter((s) => !s.closest('button') && "
        "!((s.ariaLabel || s.parentElement.closest('[aria-label]')?.ariaLabel || '').length > 10)).length"
    )
    assert fresh.run(unnamed) == 0
    assert fresh.run("[...document.querySelectorAll('select, input')].every((f) => f.labels.length === 1)")
    assert fresh.run("[...document.querySelectorAll('button')].every((b) => b.ariaLabel || b.textContent.trim())")
    assert fresh.run("[...document.querySelectorAll('th')].every((h) => h.scope && h.textContent.trim())")
    assert fresh.run("document.documentElement.lang") == "en"


def test_it_prints_with_whole_tables_and_without_controls(fresh, tmp_path):
    fresh.call("Emulation.setEmulatedMedia", media="print")
    try:
        assert fresh.run("getComputedStyle(document.querySelector('nav')).display") == "none"
        assert fresh.run("getComputedStyle(document.querySelector('[data-filter]')).display") == "none"
        scroll = "document.querySelector('.scroll')"
        assert fresh.run(f"{scroll}.scrollHeight - {scroll}.clientHeight") <= 1
    finally:
        fresh.call("Emulation.setEmulatedMedia", media="")
    fresh.pdf(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().count(b"/Type /Page\n") >= 10

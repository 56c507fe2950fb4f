// What is drawn when somebody asks for it: the signals of a channel, the figures of a unit.
"use strict";

/** A figure with a heading inside a panel. */
function panelFigure(parent, title, draw) {
  const host = html("div", { class: "draw" });
  parent.append(html("figure", {}, html("figcaption", {}, title), host));
  draw(host, title);
}

/** Fill a panel with a heading, buttons to the ones beside it, and figures. */
function openPanel(panel, title, note, beside, fill) {
  const head = html("header", {}, html("h3", {}, title), note);
  for (const [label, open] of beside) {
    const button = html("button", { type: "button" }, label);
    if (open) button.addEventListener("click", open); else button.disabled = true;
    head.append(button);
  }
  const close = html("button", { type: "button" }, "Close");
  const grid = html("div", { class: "grid" });
  head.append(close);
  panel.replaceChildren(head, grid);
  panel.hidden = false;
  const opener = document.querySelector(`[aria-controls="${panel.id}"][aria-expanded="true"]`);
  close.addEventListener("click", () => {
    panel.hidden = true;
    opener?.setAttribute("aria-expanded", "false");
    opener?.closest("tr")?.removeAttribute("aria-selected");
    opener?.focus();
  });
  fill(grid);
}

function markOpened(panel, button) {
  for (const other of document.querySelectorAll(`[aria-controls="${panel.id}"]`)) {
    other.setAttribute("aria-expanded", String(other === button));
    other.closest("tr")?.toggleAttribute("aria-selected", false);
  }
  button.closest("tr")?.setAttribute("aria-selected", "true");
}

/** The buttons before and after one, of those that are shown. */
function neighbours(button, selector) {
  const all = [...document.querySelectorAll(selector)].filter((one) => !one.closest("tr")?.hidden), k = all.indexOf(button);
  return [["‹ Previous", all[k - 1]], ["Next ›", all[k + 1]]].map(([label, other]) => [label, other && (() => other.click())]);
}

function openChannel(data, button) {
  const number = button.dataset.channel, channel = data.channels[number], panel = document.getElementById("signals-details");
  markOpened(panel, button);
  const beside = neighbours(button, '[data-grid="signals"] .cell');
  openPanel(panel, `Channel ${number.padStart(3, "0")}`, html("span", { class: "of" }, channel.array), beside, (grid) => {
    const sessions = Object.entries(channel.sessions), table = html("table", {}, html("thead", {}, html("tr", {}, html("td"),
      ...sessions.map(([name]) => html("th", { scope: "col", class: "number" }, name)))), html("tbody"));
    for (const metric of data.metrics)
      table.tBodies[0].append(html("tr", {}, html("th", { scope: "row" }, metric.label, ...(metric.unit ? [" ", html("span", { class: "unit" }, metric.unit)] : [])),
        ...sessions.map(([, found]) => html("td", { class: "number" }, written(found.values[metric.key])))));
    const first = html("div", {}, table);
    for (const [name, found] of sessions)
      for (const problem of found.problems) first.append(html("p", {}, html("span", { class: "flag", "aria-hidden": "true" }, "▲ "), `${name}: ${problem}`));
    for (const [name, found] of sessions)
      for (const kind of ["saturated", "flat"]) if (found[kind]) {
        const listed = found[kind].slice(0, 6).map(([time, seconds]) => `${written(time, 5)} s (for ${written(1000 * seconds)} ms)`);
        first.append(html("p", {}, `${name}, ${kind} at ${listed.join(", ")}${found[kind].length > 6 ? ` and ${found[kind].length - 6} more` : ""}`));
      }
    grid.append(first);
    for (const [signal, title] of [["lfp", "LFP spectrum"], ["highpass", "High-pass spectrum"]]) {
      const x = unpack(data.frequencies[signal]), series = [];
      sessions.forEach(([name, found], k) => found[`${signal}_spectrum`] && series.push({ name, x, y: unpack(found[`${signal}_spectrum`]).map((v) => 10 ** v), colour: COLOURS[k], dash: k ? "5 3" : "" }));
      if (series.length) panelFigure(grid, title, (host, label) => chart(host, { label: `${label} of channel ${number}`, x: { title: "frequency (Hz)", log: true }, y: { title: "µV · samples", log: true }, series, height: 210 }));
    }
    for (const [name, found] of sessions)
      for (const [signal, title] of [["lfp", "LFP"], ["highpass", "High-pass signal"]]) if (found[signal]) {
        const { start, rate, uv } = found[signal], y = unpack(uv);
        panelFigure(grid, `${title}, ${name}`, (host, label) => chart(host, { label: `${label}, of channel ${number}, ${written(y.length / rate)} s`, series: [{ x: y.map((_, k) => start + k / rate), y, width: 0.9 }],
          x: { title: "time (s)", limits: [start, start + y.length / rate] }, y: { title: "µV" }, height: 170 }));
      }
  });
  panel.scrollIntoView({ block: "nearest" });
}

function openUnit(data, button) {
  const key = button.dataset.unit, unit = data.units[key], panel = document.getElementById("units-details");
  markOpened(panel, button);
  const title = `Channel ${key.replace("/", ", unit ")}`, beside = neighbours(button, "#units-table .show");
  openPanel(panel, title, html("span", { class: `quality ${unit.quality}` }, `${unit.quality}${unit.note ? ` (${unit.note})` : ""}, ${unit.array}`), beside, (grid) => {
    if (!unit.waveform) grid.append(html("p", {}, "Its sorting and templates are not there."));
    else drawUnit(grid, data, unit, title);
    const list = html("dl", { class: "settings" });
    for (const [name, value] of Object.entries(unit.metrics)) list.append(html("div", {}, html("dt", {}, name), html("dd", {}, written(value, 4))));
    panel.append(html("details", {}, html("summary", {}, "All its numbers"), list));
  });
  panel.scrollIntoView({ block: "nearest" });
}

/** Waveform, intervals, amplitude and rate of a unit. */
function drawUnit(grid, data, unit, title) {
  const wave = unpack(unit.waveform), [from, to] = unit.ms, bounds = unit.seconds;
  const marks = unit.sessions.map((name, k) => ({ x: bounds[k], text: name }));
  const day = { title: "time, sessions joined (s)", limits: [0, bounds[bounds.length - 1]] };
  panelFigure(grid, "Mean waveform", (host, label) => chart(host, { label: `${label} of ${title}`, x: { title: "ms" }, y: { title: "µV" }, rules: [{ y: 0 }], height: 200,
    series: [{ x: wave.map((_, k) => from + ((to - from) * k) / (wave.length - 1)), y: wave, width: 2 }] }));
  panelFigure(grid, "Intervals between spikes", (host, label) => chart(host, { label: `${label} of ${title}`, x: { title: "ms", limits: [0, unit.intervals.length] }, y: { title: "intervals", zero: true },
    series: [{ x: [...Array(unit.intervals.length + 1).keys()], y: unit.intervals, kind: "bars" }], height: 200,
    rules: data.limits.isi_ms ? [{ x: data.limits.isi_ms, text: `${data.limits.isi_ms} ms`, colour: ORANGE }] : [] }));
  panelFigure(grid, `Amplitude over time (${unit.amplitude.s.n} spikes)`, (host, label) => chart(host, { label: `${label} of ${title}`, x: day, y: { title: "µV", zero: true }, rules: marks, height: 200,
    series: [{ x: unpack(unit.amplitude.s), y: unpack(unit.amplitude.uv), kind: "dots", mark: "circle" }] }));
  const rate = unpack(unit.rate);
  panelFigure(grid, "Rate over time", (host, label) => chart(host, { label: `${label} of ${title}`, x: day, y: { title: "Hz", zero: true }, rules: marks, height: 200,
    series: [{ x: [...Array(rate.length + 1).keys()].map((k) => (day.limits[1] * k) / rate.length), y: rate, kind: "steps" }] }));
}

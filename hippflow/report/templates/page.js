// Starts the page: draws figures, colours the grids, and listens to what is chosen.
"use strict";

const DATA = JSON.parse(document.getElementById("data").textContent);

function draw(host) {
  const section = host.closest("main > section").id, name = host.dataset.figure;
  if (FIGURES[name]) FIGURES[name](host, DATA[section], host.dataset.key, Number(host.dataset.height) || undefined);
}

/** How light a colour is to the eye, from 0 to 1. */
function luminance(colour) {
  const [red, green, blue] = colour.map((value) => (value <= 10 ? value / 3294 : ((value / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** Colour the channels by what is chosen; the values stand in them, too. */
function paintChannels(data) {
  const form = document.querySelector('[data-controls="signals"]');
  const { value: session } = form.elements.session, metric = data.metrics.find((one) => one.key === form.elements.metric.value);
  if (!metric) return;
  const cells = [...document.querySelectorAll('[data-grid="signals"] .cell')];
  const values = cells.map((cell) => data.channels[cell.dataset.channel].sessions[session]?.values[metric.key] ?? NaN);
  let [low, high] = extent([values]);
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b), usual = sorted[Math.floor(sorted.length * 0.95)];
  const clipped = sorted.length > 20 && high > 1.5 * Math.abs(usual) && usual > low; // a few must not make all others look alike
  if (clipped) high = usual;
  if (low > 0 && low / high > 0.7) low = 0.7 * high; // what hardly differs looks alike
  cells.forEach((cell, k) => {
    const share = high > low ? Math.min(1, (values[k] - low) / (high - low)) : 0, colour = Number.isFinite(values[k]) ? shade(0.75 * share) : [255, 255, 255];
    cell.style.background = `rgb(${colour})`;
    cell.style.color = luminance(colour) < 0.179 ? "#fff" : "#000"; // whichever of the two is easier to read
    cell.querySelector(".value").textContent = written(values[k]);
    cell.title = `channel ${cell.dataset.channel}: ${metric.label} ${written(values[k])} ${metric.unit}`;
  });
  const legend = document.querySelector('[data-legend="signals"]');
  const ramp = [0, 0.25, 0.5, 0.75].map((share) => `rgb(${shade(share)})`).join(",");
  legend.replaceChildren(written(low), html("i", { style: `background: linear-gradient(90deg, ${ramp})`, "aria-hidden": "true" }), `${written(high)} ${metric.unit}${clipped ? " and more" : ""}`);
}

/** Mean waveforms of every channel's units, all on one scale. */
function drawWaveforms(data) {
  const styles = { good: { stroke: BLUE, "stroke-width": 2 }, "multi-unit": { stroke: ORANGE, "stroke-width": 1.6, "stroke-dasharray": "4 2" }, noise: { stroke: GREY, "stroke-width": 0.8 } };
  const waves = {};
  for (const [key, unit] of Object.entries(data.units)) if (unit.waveform) (waves[key.slice(0, 3)] ||= []).push([unit.quality, unpack(unit.waveform)]);
  const all = Object.values(waves).flat().filter(([quality]) => quality !== "noise").map(([, wave]) => wave);
  const sizes = (all.length ? all : Object.values(waves).flat().map(([, wave]) => wave)).map((wave) => Math.max(...wave.map(Math.abs))).sort((a, b) => a - b);
  const most = sizes[Math.floor(sizes.length * 0.97)] || 1; // one giant must not flatten the others
  for (const cell of document.querySelectorAll('[data-grid="waveforms"] .cell')) {
    const units = waves[cell.dataset.channel] || [], root = svg("svg", { viewBox: "0 0 60 44", preserveAspectRatio: "none", "aria-hidden": "true" });
    for (const [quality, wave] of units.sort((a) => (a[0] === "noise" ? -1 : 1)))
      root.append(svg("path", { d: [...wave].map((value, k) => `${k ? "L" : "M"}${((60 * k) / (wave.length - 1)).toFixed(1)} ${(22 - (20 * value) / most).toFixed(1)}`).join(""), fill: "none", "vector-effect": "non-scaling-stroke", ...styles[quality] }));
    cell.append(root);
    const kinds = units.map(([quality]) => quality);
    cell.setAttribute("aria-label", `Channel ${cell.dataset.channel}: ${kinds.length ? kinds.join(", ") : "no units"}`);
  }
}

function start() {
  document.querySelectorAll(".draw[data-figure]").forEach(draw);
  document.querySelectorAll("table.sortable").forEach(makeSortable);
  const filters = Object.fromEntries([...document.querySelectorAll("form[data-filter]")].map((form) => [form.dataset.filter, [form, makeFilter(form)]]));
  if (DATA.signals) {
    const form = document.querySelector('[data-controls="signals"]');
    paintChannels(DATA.signals);
    form.addEventListener("change", () => { paintChannels(DATA.signals); document.querySelectorAll('[data-figure="spectra"]').forEach(draw); });
    document.querySelectorAll('[data-grid="signals"] .cell').forEach((cell) => cell.addEventListener("click", () => openChannel(DATA.signals, cell)));
  }
  if (DATA.units && document.getElementById("units-table")) {
    drawWaveforms(DATA.units);
    document.querySelectorAll("#units-table .show").forEach((button) => button.addEventListener("click", () => openUnit(DATA.units, button)));
    const [form, apply] = filters["units-table"], cells = [...document.querySelectorAll('[data-grid="waveforms"] .cell')];
    cells.forEach((cell) => cell.addEventListener("click", () => {
      const chosen = cell.getAttribute("aria-pressed") !== "true";
      cells.forEach((other) => other.setAttribute("aria-pressed", String(chosen && other === cell)));
      form.elements.channel.value = chosen ? cell.dataset.channel : "";
      apply();
      if (chosen) document.querySelector("#units-table tbody tr:not([hidden]) .show")?.click();
    }));
  }
  document.querySelectorAll('[data-controls="way"]').forEach((form) => form.addEventListener("change", () => {
    const host = form.parentElement.querySelector('[data-figure="way"]'), trial = form.elements.trial.value;
    drawWay(host, DATA.behaviour, form.dataset.session, trial === "" ? null : Number(trial));
  }));
  document.querySelectorAll("[data-more]").forEach((button) => button.addEventListener("click", () => {
    document.querySelectorAll(`[data-maps="${button.dataset.more}"] .map[hidden]`).forEach((map) => {
      map.hidden = false;
      const host = map.querySelector(".draw");
      host.dataset.figure = "map";
      draw(host);
    });
    button.remove();
  }));
  document.querySelectorAll("details.animations").forEach((details) => details.addEventListener("toggle", () => // they move only where they are wanted
    details.querySelectorAll("img").forEach((image) => details.open ? (image.src = image.dataset.src) : image.removeAttribute("src"))));
  followReading();
}

/** Mark the section that is being read in the table of contents. */
function followReading() {
  const links = Object.fromEntries([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const watcher = new IntersectionObserver((entries) => entries.forEach((entry) => {
    if (!entry.isIntersecting) return;
    Object.values(links).forEach((link) => link.removeAttribute("aria-current"));
    links[entry.target.id]?.setAttribute("aria-current", "true");
  }), { rootMargin: "-10% 0px -75% 0px" });
  document.querySelectorAll("main > section[id]").forEach((section) => watcher.observe(section));
}

start();

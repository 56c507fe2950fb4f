// Figures as SVG: axes with series on them, and pictures of matrices. Nothing here knows what is drawn.
"use strict";

const INK = "#1b2530", SOFT = "#55616d", LINE = "#d5dbe1";
const BLUE = "#1d5c9b", ORANGE = "#a84a00", GREEN = "#1b7340", PURPLE = "#6a3d9a", GREY = "#77828d";
const COLOURS = [BLUE, ORANGE, GREEN, PURPLE, "#8a6d00", "#9c1f5c", "#00707a", INK];

/** Values of an array that Python's pack() made; missing ones are NaN. */
function unpack(packed) {
  const text = atob(packed.d), values = new Float64Array(packed.n);
  for (let k = 0; k < packed.n; k++) {
    const step = ((text.charCodeAt(2 * k) | (text.charCodeAt(2 * k + 1) << 8)) << 16) >> 16;
    values[k] = step === -32768 ? NaN : packed.o + packed.s * step;
  }
  return values;
}

/** An element of SVG. */
function svg(name, attributes = {}, text = null) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== null) element.textContent = text;
  return element;
}

/** An element of HTML; children are elements or text. */
function html(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** A number as text, with some significant digits. */
function written(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e6)) return value.toExponential(Math.max(0, digits - 2)).replace("e+", "e");
  return String(Number(value.toPrecision(digits)));
}

/** Round values between two limits for the ticks of an axis. */
function ticks(low, high, most, log) {
  if (low > high) [low, high] = [high, low];
  if (log) {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high) + 1e-9; power++)
      for (const digit of [1, 2, 5]) {
        const value = digit * 10 ** power;
        if (value >= low * 0.999 && value <= high * 1.001) found.push(value);
      }
    return found.length > most + 2 ? found.filter((value) => /^1/.test(value.toExponential())) : found;
  }
  const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
  const found = [];
  for (let value = Math.ceil(low / step - 1e-9) * step; value <= high + step * 1e-9; value += step)
    found.push(Math.abs(value) < step * 1e-6 ? 0 : value);
  return found;
}

/** The ticks of an axis as text, with as many decimals as tell them apart. */
function tickTexts(values) {
  const step = values.length > 1 ? Math.abs(values[1] - values[0]) : 0;
  const even = values.length > 2 && Math.abs(Math.abs(values[2] - values[1]) - step) < step * 1e-6;
  if (!even || step >= 1) return values.map((value) => written(value));
  return values.map((value) => value.toFixed(Math.min(9, Math.ceil(-Math.log10(step) - 1e-9))));
}

/** Least and largest of all finite numbers. */
function extent(arrays) {
  let low = Infinity, high = -Infinity;
  for (const values of arrays)
    for (const value of values)
      if (Number.isFinite(value)) { if (value < low) low = value; if (value > high) high = value; }
  return low <= high ? [low, high] : [0, 1];
}

/** Limits of an axis: as they are given, or a little beyond the values. */
function limits(axis, arrays) {
  if (axis.limits) return axis.limits;
  let [low, high] = extent(arrays);
  if (axis.log) return [Math.max(low, 1e-12), Math.max(high, low * 1.001)];
  if (axis.zero) { low = Math.min(0, low); high = Math.max(0, high); }
  const margin = (high - low || Math.abs(high) || 1) * 0.04;
  return [axis.zero && low === 0 ? 0 : low - margin, axis.zero && high === 0 ? 0 : high + margin];
}

const scaled = (low, high, from, to, log) => log
  ? (value) => from + (Math.log(value / low) / Math.log(high / low)) * (to - from)
  : (value) => from + ((value - low) / (high - low)) * (to - from);

const MARKS = {
  circle: (x, y) => `M${x - 2.5} ${y}a2.5 2.5 0 1 0 5 0a2.5 2.5 0 1 0 -5 0`,
  square: (x, y) => `M${x - 2.1} ${y - 2.1}h4.2v4.2h-4.2z`,
  cross: (x, y) => `M${x - 3} ${y - 3}l6 6M${x - 3} ${y + 3}l6 -6`,
};

function path(series, sx, sy, base) {
  const { x, y } = series, parts = [], f = (value) => value.toFixed(1);
  if (series.kind === "dots") {
    for (let k = 0; k < x.length; k++)
      if (Number.isFinite(x[k]) && Number.isFinite(y[k])) parts.push(MARKS[series.mark || "circle"](+f(sx(x[k])), +f(sy(y[k]))));
  } else if (series.kind === "bars") { // x has one edge more than y has bars
    for (let k = 0; k < y.length; k++)
      if (y[k]) parts.push(`M${f(sx(x[k]))} ${f(base)}V${f(sy(y[k]))}H${f(Math.max(sx(x[k + 1]) - 0.6, sx(x[k]) + 0.5))}V${f(base)}z`);
  } else if (series.kind === "steps") {
    for (let k = 0; k < y.length; k++) parts.push(`${k ? "L" : "M"}${f(sx(x[k]))} ${f(sy(y[k]))}H${f(sx(x[k + 1]))}`);
  } else {
    let pen = "M";
    for (let k = 0; k < x.length; k++) {
      if (!Number.isFinite(x[k]) || !Number.isFinite(y[k])) { pen = "M"; continue; }
      parts.push(`${pen}${f(sx(x[k]))} ${f(sy(y[k]))}`);
      pen = "L";
    }
  }
  return parts.join("");
}

/** Tell the values of the point beneath the pointer. */
function readout(root, series, x, y, sx, sy, middle) {
  const ring = svg("circle", { r: 4, fill: "none", stroke: "#e08a00", "stroke-width": 2 });
  const text = svg("text", { fill: INK, stroke: "#fff", "stroke-width": 4, "paint-order": "stroke" });
  const group = svg("g", { class: "readout", "pointer-events": "none", visibility: "hidden" });
  group.append(ring, text);
  root.append(group);
  root.addEventListener("pointerleave", () => group.setAttribute("visibility", "hidden"));
  root.addEventListener("pointermove", (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(root.getScreenCTM().inverse());
    let best = null, least = 15 ** 2;
    for (const one of series)
      for (let k = 0; k < one.y.length; k++) {
        const value = one.x.length > one.y.length ? (one.x[k] + one.x[k + 1]) / 2 : one.x[k]; // bars and steps have edges
        const [px, py] = [sx(value), sy(one.y[k])], distance = (px - at.x) ** 2 + (py - at.y) ** 2;
        if (distance < least) [best, least] = [[px, py, value, one.y[k], one.name], distance];
      }
    group.setAttribute("visibility", best ? "visible" : "hidden");
    if (!best) return;
    const [px, py, value, height, name] = best, right = px > middle;
    for (const [key, to] of [["cx", px], ["cy", py]]) ring.setAttribute(key, to);
    for (const [key, to] of [["x", px + (right ? -8 : 8)], ["y", Math.max(12, py - 7)], ["text-anchor", right ? "end" : "start"]]) text.setAttribute(key, to);
    text.textContent = `${name ? `${name}, ` : ""}${x.title}: ${written(value, 4)}, ${y.title}: ${written(height)}`;
  });
}

/**
 * Draw series on axes into an element.
 *   x, y      {title, log, limits, zero, ticks}
 *   series    [{x, y, kind: line | dots | bars | steps, colour, dash, mark, name, width}]
 *   rules     [{x | y, text}]    lines across, with a word
 *   under     (group, sx, sy)    draws beneath the series
 *   equal     one unit is as long on both axes
 *   silent    the pointer tells no values
 */
function chart(host, { x, y, series, rules = [], under = null, height = 200, width = 0, equal = false, bare = false, silent = false, label = "" }) {
  width = width || Math.max(220, Math.min(760, host.clientWidth || 420));
  const named = series.filter((one) => one.name);
  const left = bare ? 4 : 52, right = 10, top = bare ? 4 : named.length > 1 ? 22 : 8, bottom = bare ? 4 : 38;
  const xs = limits(x, series.map((one) => one.x)), ys = limits(y, series.map((one) => one.y));
  if (equal) height = top + bottom + ((width - left - right) * (ys[1] - ys[0])) / (xs[1] - xs[0]);
  const sx = scaled(...xs, left, width - right, x.log), sy = scaled(...ys, height - bottom, top, y.log);
  const root = svg("svg", { viewBox: `0 0 ${width} ${height.toFixed(0)}`, width, height: height.toFixed(0), "font-size": 11, "font-family": "inherit", role: "img" });
  if (label) root.setAttribute("aria-label", label); else root.setAttribute("aria-hidden", "true");
  if (!bare) {
    const across = x.ticks || ticks(...xs, Math.max(2, width / 75), x.log), up = y.ticks || ticks(...ys, Math.max(2, height / 45), y.log);
    tickTexts(across).forEach((text, k) => {
      root.append(svg("path", { d: `M${sx(across[k])} ${top}V${height - bottom}`, stroke: "#eceff2" }));
      root.append(svg("text", { x: sx(across[k]), y: height - bottom + 14, "text-anchor": "middle", fill: SOFT }, text));
    });
    tickTexts(up).forEach((text, k) => {
      root.append(svg("path", { d: `M${left} ${sy(up[k])}H${width - right}`, stroke: "#eceff2" }));
      root.append(svg("text", { x: left - 5, y: sy(up[k]) + 4, "text-anchor": "end", fill: SOFT }, text));
    });
    root.append(svg("text", { x: (left + width - right) / 2, y: height - 5, "text-anchor": "middle", fill: INK }, x.title || ""));
    root.append(svg("text", { transform: `translate(11 ${(top + height - bottom) / 2}) rotate(-90)`, "text-anchor": "middle", fill: INK }, y.title || ""));
    root.append(svg("path", { d: `M${left} ${top}V${height - bottom}H${width - right}`, stroke: "#9aa5af", fill: "none" }));
  }
  const clip = `clip${chart.count = (chart.count || 0) + 1}`;
  const hole = svg("clipPath", { id: clip });
  hole.append(svg("rect", { x: left, y: top - 3, width: width - left - right, height: height - top - bottom + 6 }));
  const group = svg("g", { "clip-path": `url(#${clip})` });
  root.append(hole, group);
  if (under) under(group, sx, sy);
  for (const rule of rules) {
    const across = "x" in rule;
    const d = across ? `M${sx(rule.x)} ${top}V${height - bottom}` : `M${left} ${sy(rule.y)}H${width - right}`;
    root.append(svg("path", { d, stroke: rule.colour || GREY, "stroke-dasharray": "3 3", fill: "none" }));
    if (rule.text) root.append(svg("text", across
      ? { x: sx(rule.x) + 3, y: top + 10, fill: SOFT } : { x: width - right - 3, y: sy(rule.y) - 4, "text-anchor": "end", fill: SOFT }, rule.text));
  }
  for (const one of series) {
    const solid = one.kind === "bars" || (one.kind === "dots" && one.mark !== "cross");
    const attributes = solid ? { fill: one.colour || BLUE } : { fill: "none", stroke: one.colour || BLUE, "stroke-width": one.width || 1.3, "stroke-linejoin": "round" };
    if (one.dash) attributes["stroke-dasharray"] = one.dash;
    if (one.opacity) attributes.opacity = one.opacity;
    group.append(svg("path", { d: path(one, sx, sy, Math.min(sy(y.log ? ys[0] : Math.max(0, ys[0])), height - bottom)), ...attributes }));
  }
  let place = left;
  if (named.length > 1 && !bare) for (const one of named) {
    const mark = one.kind === "dots" ? MARKS[one.mark || "circle"](place + 6, 9) : `M${place} 9h14`;
    const filled = one.kind === "dots" && one.mark !== "cross";
    root.append(svg("path", { d: mark, fill: filled ? one.colour : "none", stroke: filled ? "none" : one.colour, "stroke-width": 2, "stroke-dasharray": one.dash || "none" }));
    root.append(svg("text", { x: place + 18, y: 13, fill: INK }, one.name));
    place += 34 + one.name.length * 6.2;
  }
  if (!bare && !silent) readout(root, series, x, y, sx, sy, (left + width - right) / 2);
  host.replaceChildren(root);
  return { root, sx, sy, left, right: width - right, top, bottom: height - bottom };
}

/** White to dark blue, for numbers from 0 to 1; missing is grey. */
function shade(share) {
  if (!Number.isFinite(share)) return [233, 236, 239];
  const stops = [[255, 255, 255], [190, 214, 236], [107, 162, 209], [33, 102, 172], [8, 40, 88]];
  const place = Math.max(0, Math.min(0.9999, share)) * (stops.length - 1), k = Math.floor(place);
  return stops[k].map((value, channel) => Math.round(value + (stops[k + 1][channel] - value) * (place - k)));
}

/** A matrix as a picture: rows from below (or from above), values from low to high, as the URL of a PNG. */
function picture(values, columns, low, high, fromAbove = false) {
  const rows = values.length / columns, canvas = html("canvas", { width: columns, height: rows });
  const context = canvas.getContext("2d"), image = context.createImageData(columns, rows);
  for (let k = 0; k < values.length; k++) {
    const row = Math.floor(k / columns), place = ((fromAbove ? row : rows - 1 - row) * columns + (k % columns)) * 4;
    image.data.set([...shade((values[k] - low) / (high - low || 1)), 255], place);
  }
  context.putImageData(image, 0, 0);
  return canvas.toDataURL();
}

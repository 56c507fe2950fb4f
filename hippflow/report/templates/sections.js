// What the sections draw as soon as the page is there. A figure gets its element, the section's data and a key.
"use strict";

/** Channels of the signals section by array, in order. */
function channelsByArray(data) {
  const arrays = {};
  for (const [number, channel] of Object.entries(data.channels).sort((a, b) => a[0] - b[0]))
    (arrays[channel.array] ||= []).push(number);
  return Object.entries(arrays).sort();
}

/** The maze from above, beneath what happens in it. */
function floorPlan(plan) {
  return (group, sx, sy) => {
    const square = (x, z, half, attributes) => group.append(svg("rect", {
      x: sx(x - half), y: sy(z + half), width: sx(x + half) - sx(x - half), height: sy(z - half) - sy(z + half), ...attributes }));
    group.append(svg("rect", { x: sx(plan.lower[0]), y: sy(plan.upper[1]), width: sx(plan.upper[0]) - sx(plan.lower[0]),
      height: sy(plan.lower[1]) - sy(plan.upper[1]), fill: "none", stroke: INK, "stroke-width": 2 }));
    for (const pillar of plan.pillars) {
      square(...pillar.centre, pillar.width / 2, { fill: "#e4e8ec", stroke: GREY });
      group.append(svg("text", { x: sx(pillar.centre[0]), y: sy(pillar.centre[1]) + 4, "text-anchor": "middle", fill: SOFT, "font-size": 10 }, pillar.name));
    }
    for (const poster of plan.posters) {
      const [[x0, z0], [x1, z1]] = poster.ends, [dx, dz] = poster.facing;
      group.append(svg("path", { d: `M${sx(x0)} ${sy(z0)}L${sx(x1)} ${sy(z1)}`, stroke: GREEN, "stroke-width": 4 }));
      group.append(svg("text", { x: sx((x0 + x1) / 2 + dx * 0.8), y: sy((z0 + z1) / 2 + dz * 0.8) + 4, "text-anchor": "middle",
        "font-weight": 700, fill: GREEN, stroke: "#fff", "stroke-width": 3, "paint-order": "stroke" }, poster.target));
    }
  };
}

/** Axes over the floor; without a scene as far as the animal went. */
function floorAxes(plan, x, z) {
  const room = plan ? [[plan.lower[0] - 0.4, plan.upper[0] + 0.4], [plan.lower[1] - 0.4, plan.upper[1] + 0.4]] : [extent([x]), extent([z])];
  return { x: { title: "x (maze units)", limits: room[0] }, y: { title: "z (maze units)", limits: room[1] } };
}

function drawWay(host, data, session, trial = null) {
  const { way, trials } = data.sessions[session], [time, x, z] = [way.time, way.x, way.z].map(unpack);
  const parts = { between: [[], []], reward: [[], []], timeout: [[], []] };
  let k = 0, last = null;
  for (let frame = 0; frame < time.length; frame++) {
    while (trials && k < trials.end.length && time[frame] > trials.end[k]) k++;
    const inside = trials && k < trials.end.length && time[frame] >= trials.start[k];
    const kind = inside ? (trials.outcome[k] === "reward" ? "reward" : "timeout") : "between";
    if (trial !== null && !(inside && k === trial)) { last = null; continue; }
    if (last && last !== kind) { parts[kind][0].push(NaN, x[frame - 1]); parts[kind][1].push(NaN, z[frame - 1]); }
    if (!last) { parts[kind][0].push(NaN); parts[kind][1].push(NaN); }
    parts[kind][0].push(x[frame]); parts[kind][1].push(z[frame]);
    last = kind;
  }
  const series = [
    { x: parts.between[0], y: parts.between[1], colour: "#a3adb7", width: 1 },
    { x: parts.reward[0], y: parts.reward[1], colour: BLUE, width: trial === null ? 1 : 2, opacity: trial === null && trials && trials.end.length > 30 ? 0.5 : 1 },
    { x: parts.timeout[0], y: parts.timeout[1], colour: ORANGE, width: trial === null ? 1.3 : 2, dash: "5 3" },
  ].filter((one) => one.x.length);
  chart(host, { ...floorAxes(data.plan, x, z), series, equal: true, width: Math.min(520, host.clientWidth || 480), under: data.plan && floorPlan(data.plan) });
}

/** A picture on axes, stretched over [left, right], [low, high]. */
function density(host, { x, y, values, columns, fromAbove = false, under = null, width = 0, equal = true, height = 200, most = null }) {
  const known = [...values].filter(Number.isFinite).sort((a, b) => a - b);
  const top = most ?? known[Math.floor(known.length * 0.995)] ?? 1;
  const url = picture(values, columns, 0, top || 1, fromAbove);
  chart(host, { x, y, series: [{ x: [], y: [] }], equal, width, height, under: (group, sx, sy) => {
    group.append(svg("image", { href: url, x: sx(x.picture[0]), y: sy(y.picture[1]), width: sx(x.picture[1]) - sx(x.picture[0]),
      height: sy(y.picture[0]) - sy(y.picture[1]), preserveAspectRatio: "none", style: "image-rendering: pixelated" }));
    if (under) under(group, sx, sy);
  } });
}

const FIGURES = {
  residuals(host, data, session, height) {
    const devices = Object.values(data[session]);
    const series = devices.map((device, k) => ({ name: device.name, x: unpack(device.time), y: unpack(device.ms), kind: "dots",
      colour: COLOURS[k], mark: ["circle", "square"][k % 2] }));
    chart(host, { x: { title: "time (s)" }, y: { title: "residual (ms)" }, series, rules: [{ y: 0 }], height });
  },

  way: drawWay,

  trials(host, data, session, height) {
    const { trials } = data.sessions[session], kinds = { reward: [[], []], other: [[], []] };
    trials.end.forEach((end, k) => {
      const place = kinds[trials.outcome[k] === "reward" ? "reward" : "other"];
      place[0].push(k + 1); place[1].push(end - trials.start[k]);
    });
    chart(host, { x: { title: "trial" }, y: { title: "duration (s)", zero: true }, height, series: [
      { name: "reward", x: kinds.reward[0], y: kinds.reward[1], kind: "dots", colour: BLUE },
      { name: "timeout", x: kinds.other[0], y: kinds.other[1], kind: "dots", mark: "cross", colour: ORANGE }] });
  },

  "gaze-screen"(host, data, session) {
    const { width, height, columns, density: counts } = data.sessions[session].screen;
    density(host, { x: { title: "x (px)", limits: [0, width], picture: [0, width] }, values: unpack(counts), columns, fromAbove: true,
      y: { title: "y (px)", limits: [height, 0], picture: [height, 0] }, equal: false, height: 250, width: Math.min(430, host.clientWidth || 430) });
  },

  "gaze-floor"(host, data, session) {
    const { columns, density: counts } = data.sessions[session].floor, axes = floorAxes(data.plan);
    axes.x.picture = [data.plan.lower[0] - 0.1, data.plan.upper[0] + 0.1];
    axes.y.picture = [data.plan.lower[1] - 0.1, data.plan.upper[1] + 0.1];
    const outline = { ...data.plan, pillars: [] };
    density(host, { ...axes, values: unpack(counts), columns, under: floorPlan(outline), width: Math.min(430, host.clientWidth || 430) });
  },

  map(host, data, key) {
    const [session, unit] = key.split("|"), { columns, rates } = data.sessions[session].maps[unit];
    const values = unpack(rates), [, peak] = extent([values]);
    const half = data.plan ? data.plan.grid.width / 2 : columns / 2, [cx, cz] = data.plan ? [0, 0] : [half, half];
    const span = [[cx - half, cx + half], [cz - half, cz + half]];
    const url = picture(values, columns, 0, peak || 1);
    chart(host, { x: { limits: span[0] }, y: { limits: span[1] }, series: [], bare: true, equal: true, width: 150, under: (group, sx, sy) => {
      group.append(svg("image", { href: url, x: sx(span[0][0]), y: sy(span[1][1]), width: sx(span[0][1]) - sx(span[0][0]),
        height: sy(span[1][0]) - sy(span[1][1]), preserveAspectRatio: "none", style: "image-rendering: pixelated" }));
      for (const pillar of data.plan?.pillars || [])
        group.append(svg("rect", { x: sx(pillar.centre[0] - pillar.width / 2), y: sy(pillar.centre[1] + pillar.width / 2),
          width: sx(pillar.width) - sx(0), height: sy(0) - sy(pillar.width), fill: "#c3cad1", stroke: GREY }));
      group.append(svg("rect", { x: sx(span[0][0]), y: sy(span[1][1]), width: sx(span[0][1]) - sx(span[0][0]), height: sy(span[1][0]) - sy(span[1][1]), fill: "none", stroke: "#9aa5af" }));
    } });
  },

  spectra(host, data, signal) {
    const session = document.querySelector('[data-controls="signals"] [name="session"]').value;
    const grid = unpack(data.frequencies[signal]), rows = [], bounds = [];
    for (const [array, numbers] of channelsByArray(data)) {
      bounds.push([rows.length, array]);
      for (const number of numbers) {
        const packed = data.channels[number].sessions[session]?.[`${signal}_spectrum`];
        const values = packed ? unpack(packed) : new Float64Array(grid.length).fill(NaN);
        const middle = [...values].sort((a, b) => a - b)[values.length >> 1];
        rows.push(values.map((value) => value - middle));
      }
    }
    const flat = Float64Array.from(rows.flatMap((row) => [...row]));
    const known = [...flat].filter(Number.isFinite).sort((a, b) => a - b);
    if (!known.length) { host.textContent = "No spectra."; return; }
    const [low, high] = [known[Math.floor(known.length * 0.01)], known[Math.floor(known.length * 0.998)]];
    const url = picture(flat, grid.length, low, high, true), height = Math.max(150, Math.min(460, 70 + rows.length * 12));
    chart(host, { x: { title: "frequency (Hz)", log: true, limits: [grid[0], grid[grid.length - 1]] },
      y: { title: "", limits: [rows.length, 0], ticks: [] }, series: [], height, under: (group, sx, sy) => {
        group.append(svg("image", { href: url, x: sx(grid[0]), y: sy(0), width: sx(grid[grid.length - 1]) - sx(grid[0]), height: sy(rows.length) - sy(0), preserveAspectRatio: "none", style: "image-rendering: pixelated" }));
        for (const [row] of bounds.slice(1)) group.append(svg("path", { d: `M0 ${sy(row)}H2000`, stroke: "#fff", "stroke-width": 2 }));
      } });
    const frame = host.querySelector("svg"), each = (height - 46) / rows.length;
    bounds.forEach(([row, array]) => frame.append(svg("text", { x: 47, y: 8 + row * each + 11, "text-anchor": "end", fill: INK }, array.replace("array", "arr. "))));
  },

  clusters(host, data, plane) {
    const { rate, traces, colours } = data[plane], names = Object.keys(traces), series = [];
    names.forEach((name, k) => {
      const values = unpack(traces[name]), [, high] = extent([values]);
      series.push({ x: Float64Array.from(values, (_, i) => i / rate), y: values.map((value) => (value / (high || 1)) * 0.9 + names.length - 1 - k), colour: INK, width: 1 });
    });
    const end = Math.max(...series.map((one) => one.x[one.x.length - 1])), bar = -0.03 * end;
    const { root, sy } = chart(host, { x: { title: "time (s)", limits: [bar, end], ticks: ticks(0, end, 5) }, y: { title: "cluster", ticks: [] }, series, height: 60 + 55 * names.length, silent: true,
      under: (group, sx, sy) => names.forEach((name, k) => {
        const low = names.length - 1 - k;
        group.append(svg("rect", { x: sx(bar) + 1, y: sy(low + 0.7), width: sx(bar * 0.35) - sx(bar), height: sy(low) - sy(low + 0.7), fill: colours[k] || GREY, stroke: SOFT }));
      }),
      rules: names.map((name, k) => ({ y: names.length - 1 - k, colour: LINE })) });
    names.forEach((name, k) => root.append(svg("text", { x: 46, y: sy(names.length - 0.7 - k) + 2, "text-anchor": "end", fill: INK }, name)));
  },
};

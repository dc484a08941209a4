// The two charts, each made once. Their colours are those of the style sheet, in the scheme of the moment.

import uPlot from "./vendor/uPlot.esm.js";

export const MOST_KEYS = 7;
const charts = new Set();
const scheme = matchMedia("(prefers-color-scheme: dark)");
let colours = {};

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const value = (name) => style.getPropertyValue(name).trim();
  colours = {
    ink: value("--muted"), rule: value("--rule"), ground: value("--ground"),
    keys: Array.from({ length: MOST_KEYS }, (_, at) => value(`--key-${at + 1}`)),
    anthropic: value("--anthropic"), bedrock: value("--bedrock"), litellm: value("--litellm"),
  };
}
readColours();
scheme.addEventListener("change", () => {
  readColours();
  for (const chart of charts) chart.redraw();
});

// An upstream has its colour wherever it is; "other" and nameless keys are grey.
const UPSTREAMS = ["anthropic", "bedrock", "litellm"];
export function colourOf(by, keys, at) {
  if (by === "upstream" && UPSTREAMS.includes(keys[at])) return `--${keys[at]}`;
  return keys[at] === "other" && at === keys.length - 1 ? `--key-${MOST_KEYS}` : `--key-${(at % (MOST_KEYS - 1)) + 1}`;
}
const paint = (name) => (name.startsWith("--key-") ? colours.keys[Number(name.slice(6)) - 1] : colours[name.slice(2)]);

function axes(label, value) {
  const font = "12px system-ui, sans-serif";
  const common = { stroke: () => colours.ink, font, ticks: { show: false } };
  return [
    {
      ...common, size: 28, gap: 6, grid: { show: false },
      splits: (chart) => thinned(chart.data[0].length, chart.bbox.width / devicePixelRatio),
      values: (_, at) => at.map(label),
    },
    {
      ...common, size: 58, gap: 6, space: 36, grid: { stroke: () => colours.rule, width: 1 },
      values: (_, at) => at.map(value),
    },
  ];
}

// Which steps have a label: all if there is room, else each second, third …, counted from the last one.
function thinned(length, width) {
  const every = Math.max(1, Math.ceil(length / Math.max(1, Math.floor(width / 64))));
  const found = [];
  for (let at = length - 1; at >= 0; at -= every) found.unshift(at);
  return found;
}

function make(host, options, data, onPoint) {
  const chart = new uPlot(
    {
      width: Math.max(200, host.clientWidth), height: host.clientHeight, padding: [8, 22, 0, 0], legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
      hooks: { setCursor: [(self) => onPoint(self.cursor.idx ?? null)] },
      ...options,
    },
    data,
    host,
  );
  charts.add(chart);
  new ResizeObserver(() => {
    if (host.clientWidth && host.clientWidth !== chart.width) chart.setSize({ width: host.clientWidth, height: host.clientHeight });
  }).observe(host);
  return chart;
}

const steps = (count) => Array.from({ length: count }, (_, at) => at);
const fromZero = (least) => (_, __, most) => [0, most > 0 ? most * 1.08 : least];
const wholeSteps = (chart) => [-0.6, Math.max(0.6, chart.data[0].length - 0.4)];

// Bars, each stacked of the parts of a step. Every bar reaches down to zero, and the lower ones lie over the higher ones.
export function stackChart(host, onPoint) {
  let label = () => "";
  let value = () => "";
  let names = [];
  const bars = uPlot.paths.bars({ size: [0.74, 56] });
  const series = [{}, ...Array.from({ length: MOST_KEYS }, (_, at) => {
    const key = MOST_KEYS - 1 - at;
    return { paths: bars, points: { show: false }, width: 1, stroke: () => colours.ground, fill: () => (names[key] ? paint(names[key]) : colours.ground) };
  })];
  const empty = [[0], ...Array.from({ length: MOST_KEYS }, () => [null])];
  const chart = make(
    host,
    { scales: { x: { time: false, range: wholeSteps }, y: { range: fromZero(1) } }, axes: axes((at) => label(at), (at) => value(at)), series },
    empty,
    onPoint,
  );
  return ({ rows, colours: wanted, label: newLabel, value: newValue }) => {
    [label, value, names] = [newLabel, newValue, wanted];
    const data = [steps(rows.length), ...Array.from({ length: MOST_KEYS }, () => [])];
    for (const row of rows) {
      let sum = 0;
      for (let key = 0; key < MOST_KEYS; key += 1) {
        sum += row[key] ?? 0;
        data[MOST_KEYS - key].push(key < names.length && row[key] ? sum : null);
      }
    }
    chart.setData(data);
  };
}

// A line for half of the requests of an upstream, and a dashed one for 90 % of them.
export function latencyChart(host, onPoint) {
  let label = () => "";
  const series = [{}];
  for (const upstream of UPSTREAMS) {
    const common = { stroke: () => colours[upstream], spanGaps: true, points: { show: (chart) => chart.data[0].length <= 31, size: 5, fill: () => colours[upstream], width: 0 } };
    series.push({ ...common, width: 2 }, { ...common, width: 1.5, dash: [5, 4] });
  }
  const chart = make(
    host,
    { scales: { x: { time: false, range: wholeSteps }, y: { range: fromZero(1000) } }, axes: axes((at) => label(at), (ms) => `${Number((ms / 1000).toPrecision(6))} s`), series },
    [[0], ...Array.from({ length: 6 }, () => [null])],
    onPoint,
  );
  return ({ begins, byUpstream, label: newLabel }) => {
    label = newLabel;
    const place = new Map(begins.map((begin, at) => [begin, at]));
    const data = [steps(begins.length)];
    for (const upstream of UPSTREAMS) {
      const [half, most] = [begins.map(() => null), begins.map(() => null)];
      for (const [begin, p50, p90] of byUpstream[upstream] ?? []) {
        const at = place.get(begin);
        if (at !== undefined) [half[at], most[at]] = [p50, p90];
      }
      data.push(half, most);
    }
    chart.setData(data);
  };
}

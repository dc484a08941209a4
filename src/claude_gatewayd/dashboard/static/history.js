// What was used: figures, bars, fallbacks and latency of a window of days. Read again once a minute.

import { colourOf, latencyChart, stackChart } from "./charts.js";
import { $, command, each, el, mark, show, table, text } from "./dom.js";
import { clock, compact, count, counted, day, hour, month, NONE, percent, project, reason, seconds, upstream, usd, usdFine, usdRound, weekday } from "./format.js";
import { showTimeline } from "./timeline.js";

const EVERY = 60_000; // ms
const MOST_SPANS = 200; // rows of a table

let found = null;
let asked = null; // what ends the request under way
let budget = null;
let drawStack = null;
let drawLatency = null;

const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`).value;

export function startHistory() {
  drawStack = stackChart($("usage-chart"), stackReadout);
  drawLatency = latencyChart($("latency-chart"), latencyReadout);
  for (const input of document.querySelectorAll("#history input")) {
    input.addEventListener("change", () => (input.name === "days" ? readHistory() : showUsage()));
  }
  setInterval(() => document.hidden || readHistory(), EVERY);
  document.addEventListener("visibilitychange", () => document.hidden || (found && Date.now() / 1000 - found.now > 60 && readHistory()));
  readHistory();
}

export function knowBudget(usageMonth) {
  if (budget?.budget === usageMonth.budget && budget?.bedrock_cost === usageMonth.bedrock_cost) return;
  budget = usageMonth;
  if (found?.state === "ok") figures();
}

export async function readHistory() {
  asked?.abort();
  const mine = (asked = new AbortController());
  mark($("history"), "aria-busy", "true");
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "UTC";
  try {
    const answer = await fetch(`history?days=${chosen("days")}&zone=${encodeURIComponent(zone)}`, { signal: mine.signal });
    if (!answer.ok) throw new Error(String(answer.status));
    const received = await answer.json();
    if (mine.signal.aborted) return;
    note(...excuse(received));
    if (received.state === "ok" || received.first_at != null) {
      found = received;
      showHistory();
    }
    mark($("history"), "data-state", received.state);
  } catch (error) {
    if (error.name === "AbortError") return;
    note(found ? `The history below is of ${clock(found.now, Date.now() / 1000)}: the gateway did not answer. It is tried again.` : "The gateway did not answer. It is tried again.");
  } finally {
    if (asked === mine) mark($("history"), "aria-busy", "false");
  }
}

// Why there is none, or no more of it, with the command that helps.
function excuse({ state, why, hint, first_at: first }) {
  if (state === "ok") return [""];
  const sentence = `${why.charAt(0).toUpperCase()}${why.slice(1)}.`;
  if (state !== "off") return [sentence, hint];
  return [first == null ? `There is no history: ${why}. Requests above are still live.` : `${sentence} Below is what was recorded before.`, hint];
}

function note(words, hint = "") {
  const place = $("history-note");
  show(place, Boolean(words));
  if (place.dataset.words === words + hint) return;
  place.dataset.words = words + hint;
  const line = el("div", { class: "command" });
  place.replaceChildren(el("p", {}, words), line);
  command(line, hint);
}

function showHistory() {
  text($("history-window"), `${clock(found.since, found.now)} to now`);
  figures();
  showUsage();
  fallbacks();
  latency();
}

function figures() {
  const { total, month: so, unpriced_models: unpriced } = found;
  const ends = (estimate) => (estimate == null ? "too little data to estimate" : `about ${usdRound(estimate)} by its end`);
  const rows = [
    ["Subscription worth", usd(total.subscription), "at list price, not billed"],
    ["Billed", usd(total.billed), total.billed ? by({ AWS: total.aws, "API key": total.api, others: total.other }) : "nothing"],
    ["Fallback cost", usd(total.fallback_cost), `part of it, ${counted(total.fallbacks, "request")}`],
    ["Tokens", compact(total.input_tokens + total.output_tokens + total.cache_read_tokens + total.cache_write_tokens), total.cache_hit_ratio == null ? "none yet" : `${percent(total.cache_hit_ratio)} cache hits`],
    ["Requests", count(total.requests), `${count(total.failures)} failed, ${count(total.aborted)} left early`],
    [`Billed, ${month(so.month)}`, usd(so.billed), ends(so.billed_estimate)],
    [`Worth, ${month(so.month)}`, usd(so.subscription), ends(so.subscription_estimate)],
    budget?.budget
      ? ["Budget for Bedrock", `${Math.round((budget.bedrock_cost / budget.budget) * 100)} %`, `${usd(budget.bedrock_cost)} of ${usd(budget.budget)}`]
      : ["Budget for Bedrock", "none", "[bedrock] monthly_budget sets one"],
  ];
  each($("figures"), rows, () => el("div", {}, el("dt"), el("dd", { class: "figure" }), el("dd", { class: "detail" })), (node, parts) => {
    parts.forEach((part, at) => text(node.children[at], part));
  });
  text($("unpriced"), unpriced.length ? `In no cost, as the price is not known: ${unpriced.slice(0, 8).join(", ")}. [ledger.prices] sets one.` : "");
}

const by = (parts) => Object.entries(parts).filter(([, amount]) => amount).map(([name, amount]) => `${name} ${usd(amount)}`).join(", ");

const NAMES = { upstream: "upstream", model: "model", project: "project" };
const names = { upstream, model: (key) => key || "no model", project: (key) => (key === "other" ? key : project(key) || "no project") };
const label = (at) => (found.steps[at] ? (found.step === "hour" ? hour : day)(found.steps[at].begin) : "");
const whole = (at) => (found.step === "hour" ? `${clock(found.steps[at].begin, found.now)} to ${hour(found.steps[at].end)}` : weekday(found.steps[at].begin));

function usage() {
  const [measure, divided] = [chosen("measure"), chosen("by")];
  const stack = found.stacks[divided];
  return { measure, divided, keys: stack.keys, rows: stack[measure], value: measure === "cost" ? usd : compact };
}

function showUsage() {
  if (!found) return;
  const { measure, divided, keys, rows, value } = usage();
  const title = `${measure === "cost" ? "Cost at list price" : "Tokens"} by ${found.step} and ${NAMES[divided]}`;
  text($("usage-title"), title);
  mark($("usage-chart"), "aria-label", `${title}, as bars. The table below has the numbers.`);
  const most = Math.max(0, ...rows.map((row) => row.reduce((sum, one) => sum + one, 0)));
  const money = most < 0.2 ? (amount) => (amount ? usdFine(amount) : "$0") : usdRound; // one number of digits on an axis
  drawStack({ rows: keys.length ? rows : found.steps.map(() => []), colours: keys.map((_, at) => colourOf(divided, keys, at)), label, value: measure === "cost" ? money : (amount) => compact(amount).replace(/\.0+(?=\D)/, "") });
  stackReadout(null);
  ranking(divided, keys);
  const columns = [{ name: found.step === "hour" ? "Hour" : "Day" }, ...keys.map((key) => ({ name: names[divided](key), isNumber: true })), { name: "Total", isNumber: true }];
  table($("steps"), columns, rows.map((row, at) => [whole(at), ...keys.map((_, key) => value(row[key] ?? 0)), value(row.reduce((sum, one) => sum + one, 0))]).reverse());
}

function ranking(divided, keys) {
  const all = found[`${divided}s`];
  const columns = [NAMES[divided].replace(/^./, (first) => first.toUpperCase()), "Requests", "Fallbacks", "Tokens in", "Out", "Cached", "Billed", "Subscription"].map((name, at) => ({ name, isNumber: at > 0 }));
  const cells = (name, row) => [
    name, count(row.requests), count(row.fallbacks), compact(row.input_tokens + row.cache_read_tokens + row.cache_write_tokens),
    compact(row.output_tokens), percent(row.cache_hit_ratio), usd(row.billed), usd(row.subscription),
  ];
  const rows = all.slice(0, 50).map((row) => {
    const at = keys.indexOf(row.key);
    const place = at < 0 ? keys.indexOf("other") : at;
    const swatch = el("span", { class: "swatch", "aria-hidden": "true" });
    if (place >= 0) swatch.style.background = `var(${colourOf(divided, keys, place)})`;
    const name = el("span", { class: "keyed" }, swatch, names[divided](row.key));
    if (divided === "project") mark(name, "title", row.key);
    return cells(name, row);
  });
  if (all.length > 50) rows.push([`${count(all.length - 50)} more`, ...Array(7).fill("")]);
  table($("ranking"), columns, [...rows, cells("All", found.total)]);
}

function stackReadout(at) {
  if (!found) return;
  const { keys, rows, value, divided } = usage();
  if (at === null || !rows[at] || !keys.length) {
    return text($("usage-readout"), keys.length ? "Point at a bar for its numbers." : "Bars appear here with the first requests that use tokens.");
  }
  const parts = keys.map((key, place) => [key, rows[at][place]]).filter(([, amount]) => amount);
  const total = rows[at].reduce((sum, one) => sum + one, 0);
  text($("usage-readout"), `${whole(at)}: ${value(total)}${parts.length > 1 ? ` (${parts.map(([key, amount]) => `${names[divided](key)} ${value(amount)}`).join(", ")})` : ""}`);
}

function fallbacks() {
  const { reasons, line } = found.fallbacks;
  const span = { since: found.since, until: Math.min(found.until, Math.max(found.now, found.since + 1)), now: found.now };
  showTimeline($("timeline"), found.fallbacks, span);
  show($("no-fallbacks"), !reasons.length);
  show($("fallbacks-details"), reasons.length > 0);
  text($("fallbacks-aside"), reasons.length ? `${clock(span.since, found.now)} on the left, now on the right` : "");
  const columns = [{ name: "From" }, { name: "To" }, { name: "Why" }, { name: "Requests", isNumber: true }, { name: "Cost", isNumber: true }];
  table($("spans"), columns, line.slice(-MOST_SPANS).reverse().map((one) => [clock(one.begin, found.now), clock(one.end, found.now), reason(one.reason), count(one.requests), usd(one.cost)]));
}

function latency() {
  drawLatency({ begins: found.steps.map((one) => one.begin), byUpstream: found.latency_steps, label });
  latencyReadout(null);
  const columns = ["Upstream", "What", "Requests", "50 %", "90 %", "99 %"].map((name, at) => ({ name, isNumber: at > 1 }));
  const rows = [];
  for (const one of found.latencies) {
    for (const [name, what] of [["first event", one.first_event], ["whole answer", one.duration]]) {
      if (!what) continue;
      const swatch = el("span", { class: "swatch", "aria-hidden": "true" });
      swatch.style.background = `var(--${["anthropic", "bedrock", "litellm"].includes(one.upstream) ? one.upstream : "muted"})`;
      rows.push([el("span", { class: "keyed" }, swatch, upstream(one.upstream)), name, count(what.requests), seconds(what.p50), seconds(what.p90), seconds(what.p99)]);
    }
  }
  if (!rows.length) rows.push(["No answer yet", "", NONE, NONE, NONE, NONE]);
  table($("latencies"), columns, rows);
}

function latencyReadout(at) {
  if (!found) return;
  const parts = [];
  if (at !== null && found.steps[at]) {
    for (const [name, steps] of Object.entries(found.latency_steps)) {
      const one = steps.find(([begin]) => begin === found.steps[at].begin);
      if (one) parts.push(`${upstream(name)} ${seconds(one[1])}, 90 % ${seconds(one[2])}`);
    }
  }
  const empty = Object.keys(found.latency_steps).length ? "Point at the lines for their numbers." : "Lines appear here with the first streams.";
  text($("latency-readout"), parts.length ? `${whole(at)}: ${parts.join("; ")}` : empty);
}

// The last 200 requests, newest first, in rows that are used again; and the last errors in plain words.

import { $, each, el, mark, show, text } from "./dom.js";
import { clock, count, counted, isToday, kind, NONE, percent, project, reason, seconds, upstream, usdFine } from "./format.js";

const MOST = 200;
const MOST_ERRORS = 20;
const CELLS = ["time", "model", "project", "lane", "number first", "number took", "number prompt", "number cached", "number answer", "number cost", "number status"];

const known = new Set(); // ids of the rows shown or held: after a reconnect some come again
const shown = []; // ids, newest first
let held = []; // rows, newest last
let errors = [];
let isPaused = false;
let isPlanned = false;
let missed = 0;
let clockNow = () => Date.now() / 1000;

export function startRequests(now) {
  clockNow = now;
  $("pause").addEventListener("click", () => {
    isPaused = !isPaused;
    mark($("pause"), "aria-pressed", String(isPaused));
    text($("pause"), isPaused ? "Resume" : "Pause");
    if (!isPaused) plan();
    counts();
  });
  counts();
}

export function addRequests(received) {
  const fresh = received.filter((row) => !known.has(row.id)).slice(-MOST);
  for (const row of fresh) known.add(row.id);
  noteErrors(fresh);
  held.push(...fresh);
  while (held.length > MOST) known.delete(held.shift().id);
  if (isPaused) counts();
  else plan();
}

export function addMissed(number) {
  missed += number;
  counts();
}

// Once a frame at most; a page in the background draws nothing.
function plan() {
  if (isPlanned) return;
  isPlanned = true;
  requestAnimationFrame(() => {
    isPlanned = false;
    if (!isPaused) draw();
  });
}

function draw() {
  const body = $("rows");
  const scroller = $("scroller");
  const isScrolled = scroller.scrollTop > 0;
  const before = scroller.scrollHeight;
  const isNews = shown.length > 0 && held.length <= 20; // of very many, none is news
  for (const row of held) {
    let node = null;
    if (shown.length >= MOST) {
      known.delete(shown.pop());
      node = body.lastElementChild;
    }
    node ??= makeRow();
    fill(node, row);
    node.classList.toggle("odd", !body.firstElementChild?.classList.contains("odd"));
    node.classList.remove("new");
    body.prepend(node);
    if (isNews) requestAnimationFrame(() => node.classList.add("new"));
    shown.unshift(row.id);
  }
  held = [];
  // Who reads further down stays where he is; at the top the newest is in sight.
  if (isScrolled) scroller.scrollTop += scroller.scrollHeight - before;
  show($("no-rows"), !shown.length);
  counts();
}

function makeRow() {
  const cells = CELLS.map((name) => el("td", { role: "cell", class: name }));
  cells[3].append(el("span", { class: "dot", "aria-hidden": "true" }), el("span"));
  cells[10].append(el("span"), el("span", { class: "hidden" }));
  return el("tr", { role: "row" }, ...cells);
}

function fill(node, row) {
  const [time, model, from, lane, first, took, prompt, cached, answer, cost, status] = node.children;
  const isFailed = row.status >= 400;
  mark(node, "data-tone", isFailed ? "bad" : row.is_aborted ? "warn" : "");
  text(time, clock(row.started_at, clockNow(), { seconds: isToday(row.started_at, clockNow()) }));
  const name = row.model_asked || row.model_served;
  const title = row.kind === "messages" || !name ? name || kind(row.kind) : `${name}, ${kind(row.kind)}`;
  text(model, title);
  mark(model, "title", row.model_served && row.model_served !== name ? `${title}, served by ${row.model_served}` : title);
  text(from, project(row.project));
  mark(from, "title", row.project);
  mark(lane.children[0], "data-upstream", row.upstream || "none");
  text(lane.children[1], row.fallback ? `${upstream(row.upstream)}: ${reason(row.fallback)}` : upstream(row.upstream));
  text(first, seconds(row.first_event_ms));
  text(took, seconds(row.duration_ms));
  const read = row.cache_read_tokens;
  const all = row.input_tokens + read + row.cache_write_5m_tokens + row.cache_write_1h_tokens;
  text(prompt, all ? count(all) : NONE);
  text(cached, all ? percent(read / all) : NONE);
  text(answer, row.output_tokens ? count(row.output_tokens) : NONE);
  text(cost, all || row.cost ? usdFine(row.cost) : NONE);
  text(status.children[0], row.is_aborted && !isFailed ? "left" : String(row.status));
  text(status.children[1], row.words ? `: ${row.words}` : "");
}

function counts() {
  const parts = [];
  if (isPaused) parts.push(held.length ? `paused, ${counted(held.length, "new request")} wait` : "paused");
  else if (shown.length) parts.push(shown.length === MOST ? `the last ${MOST}` : counted(shown.length, "request"));
  if (missed) parts.push(`${count(missed)} not shown: they came too fast`);
  text($("requests-count"), parts.join(" · "));
}

// The same sentence again and again is one entry, with how often.
function noteErrors(rows) {
  for (const row of rows) {
    if (!row.words || row.status < 400) continue; // who leaves before the end has met no error
    const newest = errors[0];
    if (newest && newest.words === row.words && newest.model === row.model_asked) {
      newest.times += 1;
      newest.at = row.started_at;
    } else {
      errors.unshift({ words: row.words, model: row.model_asked, status: row.status, project: row.project, at: row.started_at, times: 1 });
    }
  }
  errors = errors.slice(0, MOST_ERRORS);
  refreshErrors();
}

export function refreshErrors() {
  show($("no-errors"), !errors.length);
  each($("error-list"), errors, () => el("li", {}, el("time"), el("p"), el("span", { class: "detail" })), (node, one) => {
    const [time, words, detail] = node.children;
    text(time, clock(one.at, clockNow()));
    mark(time, "datetime", new Date(one.at * 1000).toISOString());
    text(words, one.words);
    const parts = [one.model, one.project && project(one.project), one.status >= 400 && `status ${one.status}`];
    if (one.times > 1) parts.push(`${one.times} times`);
    text(detail, parts.filter(Boolean).join(" · "));
  });
}

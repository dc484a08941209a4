// The gateway itself: generations, version, doctor's findings, and the configuration with where each value comes from.

import { $, command, each, el, mark, show, table, text } from "./dom.js";
import { clock, count, counted, duration, mebibytes } from "./format.js";
import { pairs } from "./now.js";

let status = null;
let loadedAt = null;
let isReading = false;

export function showMachine(received) {
  status = received;
  // Another generation may have another configuration.
  const at = received.config.loaded_at;
  if (at !== loadedAt) {
    loadedAt = at;
    readConfiguration();
  }
}

export function refreshMachine(now, receivedAt) {
  if (!status) return;
  text($("machine-aside"), `version ${status.version} on ${status.address}`);
  const { ledger, litellm, memory, last_reload: reload } = status;
  const rows = [
    ["Up", `${duration(status.uptime + Math.max(0, now - receivedAt))}, pid ${status.pid}${status.inherited ? ", port held by the service manager" : ""}`],
    ["Configuration", status.config.path ?? "built-in defaults"],
    ["Loaded", status.config.loaded_at == null ? "not yet" : clock(status.config.loaded_at, now)],
    ["Last reload", reload ? `${reload.applied ? "applied" : "refused, nothing has changed"}, ${clock(reload.at, now)}` : "none since the start"],
    ["LiteLLM", { ready: `${litellm.version}, loaded in ${litellm.seconds.toFixed(1)} s`, loading: `${litellm.version} is being loaded`, failed: `has failed: ${litellm.why}`, off: `not loaded: ${litellm.why}` }[litellm.state] ?? litellm.state],
    ["Ledger", ledgerWords(ledger)],
    ["Memory", `supervisor ${mebibytes(memory.supervisor)}, generations ${mebibytes(memory.workers)}`],
    ["Answers", answers(status.requests)],
  ];
  if (status.predecessors.length) rows.push(["From before the restart", `pid ${status.predecessors.join(", ")} finish their requests`]);
  pairs($("facts"), rows);
  const columns = ["Number", "State", "Since", "Connections", "Streams", "Memory", "Process"].map((name, at) => ({ name, isNumber: at > 2 }));
  table($("generations"), columns, status.generations.map((one) => [
    String(one.number), one.at_rest && one.state === "serving" ? "serving, at rest" : one.state, clock(one.since, now),
    count(one.connections), count(one.streams), mebibytes(one.memory), (one.pids ?? [one.pid]).join(", "),
  ]));
  show($("no-generations"), !status.generations.length);
}

function ledgerWords({ state, why, database, waiting, spilled, dropped, written }) {
  if (state === "off") return `off: ${why}`;
  const parts = [state === "waiting" ? `cannot be written: ${why}; ${counted(waiting + spilled, "row waits", "rows wait")}` : database, `${counted(written, "row")} written`];
  if (dropped) parts.push(`${counted(dropped, "row")} lost`);
  return parts.join(", ");
}

const answers = (requests) => Object.entries(requests).map(([code, number]) => `${count(number)} × ${code}`).join(", ") || "none since the start";

async function readConfiguration() {
  try {
    const answer = await fetch("configuration");
    if (!answer.ok) return;
    const { path, values, problems = [] } = await answer.json();
    const [set, defaults] = [[], []];
    for (const one of values) {
      const value = one.is_secret ? "(secret)" : one.value === "" ? "(empty)" : String(one.value);
      (one.source === "default" ? defaults : set).push([one.key, value, one.source]);
    }
    text($("configuration-path"), path);
    const columns = [{ name: "Key" }, { name: "Value" }, { name: "From" }];
    table($("configuration-set"), columns, set);
    show($("configuration-set").parentElement, set.length > 0);
    show($("nothing-set"), !set.length && !problems.length);
    const wrong = problems.map(({ where, message, hint }) => ({ check: where, state: "fail", found: message, why: hint, mend: "claude-gatewayctl config check" }));
    each($("configuration-problems"), wrong, makeFinding, fillFinding);
    table($("configuration-default"), columns.slice(0, 2), defaults.map((row) => row.slice(0, 2)));
    text($("defaults-title"), counted(defaults.length, "default"));
  } catch {
    loadedAt = null; // the next status tries again
  }
}

const STATES = { fail: ["bad", "Mend"], note: ["warn", "Note"], ok: ["ok", "Fine"] };
const ORDER = ["fail", "note", "ok"];

// Doctor takes some seconds: it is asked again until it is done.
export async function readFindings() {
  if (isReading) return;
  isReading = true;
  try {
    for (let attempt = 0; attempt < 60; attempt += 1) {
      const answer = await fetch("findings");
      if (!answer.ok) break;
      const { state, at, findings, why } = await answer.json();
      text($("doctor-aside"), why ? why : state === "running" ? "examining this machine …" : at == null ? "" : `examined at ${clock(at, Date.now() / 1000)}`);
      if (findings.length || state === "done") showFindings(findings);
      if (state === "done") break;
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
  } catch {
    text($("doctor-aside"), "the gateway did not answer");
  } finally {
    isReading = false;
  }
}

function showFindings(all) {
  const sorted = [...all].sort((one, other) => ORDER.indexOf(one.state) - ORDER.indexOf(other.state));
  const [needed, fine] = [sorted.filter((one) => one.state !== "ok"), sorted.filter((one) => one.state === "ok")];
  each($("findings"), needed, makeFinding, fillFinding);
  each($("findings-ok"), fine, makeFinding, fillFinding);
  show($("findings-fine"), fine.length > 0);
  text($("findings-fine-title"), `${counted(fine.length, "check is", "checks are")} fine`);
  show($("no-findings"), !needed.length);
  text($("no-findings"), all.length ? "Doctor found nothing to mend. What it finds appears here, with the command." : "Doctor examines this machine; what it finds appears here.");
}

const makeFinding = () => el("li", {}, el("span", { class: "tag" }), el("p", {}, el("strong"), " ", el("span")), el("p", { class: "detail" }), el("div", { class: "command" }));

function fillFinding(node, one) {
  const [tone, word] = STATES[one.state] ?? ["idle", one.state];
  mark(node, "data-tone", tone);
  const [tag, line, why, mend] = node.children;
  text(tag, word);
  text(line.children[0], one.check);
  text(line.children[1], one.found);
  text(why, one.why);
  show(why, Boolean(one.why));
  command(mend, one.mend);
}

// What matters now: who serves and why, what needs a person, how long the login lasts, what was spent.

import { $, announce, command, each, el, mark, show, text } from "./dom.js";
import { ago, clock, compact, count, duration, NONE, usd } from "./format.js";
import { verdict } from "./verdict.js";

let status = null;
let known = null; // the events of the notices that have been there

export function showNow(received) {
  status = received;
  const fresh = received.notices.filter((one) => known !== null && !known.has(one.event));
  if (fresh.length) announce(fresh.map((one) => `${one.title}: ${one.message}`).join(". "));
  known = new Set(received.notices.map((one) => one.event));
}

// Called after each status, and once a second for what counts up or down. *seen* is when the status was last known to
// be true: what is known of the upstreams does not grow old while nobody is asked.
export function refreshNow(now, seen) {
  if (!status) return;
  const found = verdict(status, seen);
  mark($("verdict-box"), "data-tone", found.tone);
  text($("verdict"), found.title);
  text($("verdict-why"), found.why);
  text(document.querySelector("title"), `${found.title} · claude-gatewayd`);
  route(seen, found);
  notices(now);
  login(now);
  spent();
}

function route(now, { title }) {
  const { anthropic, bedrock, circuits, state } = status;
  const serves = state !== "serving" ? "" : { "Bedrock serves": "bedrock", "Anthropic serves": "anthropic" }[title] ?? "";
  const isSkipped = circuits.length > 0;
  stop("anthropic", {
    tone: anthropic.state === "failing" || isSkipped ? "bad" : anthropic.state === "ok" ? "ok" : "idle",
    state: isSkipped ? "is skipped" : serves === "anthropic" ? "" : { ok: "answers", failing: "is failing", unknown: "not asked yet" }[anthropic.state],
    detail: last(anthropic, now),
    lines: circuits.map((one) => `${one.model}: skipped until ${clock(one.until, now)}, in ${duration(one.until - now)} (${one.why}; credential ${one.credential})`),
    isServing: serves === "anthropic",
  });
  const isUsable = bedrock.enabled && !bedrock.unreachable && !["login-needed", "down"].includes(status.credentials?.state);
  const isFailing = (bedrock.last_failure ?? 0) > (bedrock.last_success ?? 0);
  stop("bedrock", {
    tone: !bedrock.enabled ? "idle" : !isUsable ? "warn" : isFailing ? "bad" : "ok",
    state: !bedrock.enabled ? "is off" : isFailing ? "is failing" : serves === "bedrock" ? "" : isUsable ? "stands by" : "needs a login",
    detail: bedrock.enabled ? [bedrock.region, through(), last(bedrock, now)].filter(Boolean).join(" · ") : bedrock.why,
    lines: [
      bedrock.unreachable,
      ...(bedrock.denied_models ?? []).map((one) => `no access to ${one.model}: ${one.why}`),
      ...(bedrock.refused ?? []).map((one) => `${one.model} is asked without ${one.feature}`),
    ].filter(Boolean),
    isServing: serves === "bedrock",
  });
}

function through() {
  const { bedrock, litellm } = status;
  if (bedrock.transport !== "direct") return bedrock.transport ? "through LiteLLM" : "";
  const why = { off: "is not loaded", loading: "is being loaded", failed: "has failed" }[litellm.state];
  return bedrock.through === "direct" || !why ? "asked directly" : `asked directly: LiteLLM ${why}`;
}

function last({ last_success: success, last_failure: failure, failure: words }, now) {
  const parts = [];
  if (success != null) parts.push(`answered ${ago(success, now)}`);
  if (failure != null) parts.push(`failed ${ago(failure, now)}: ${words}`);
  if (failure != null && failure > (success ?? 0)) parts.reverse();
  return parts.join(" · ");
}

function stop(id, { tone, state, detail, lines, isServing }) {
  const node = $(id);
  mark(node, "data-tone", tone);
  mark(node, "data-serving", String(isServing));
  text(node.querySelector(".state"), state);
  text(node.querySelector(".detail"), detail);
  show(node.querySelector(".circuits"), lines.length > 0);
  each(node.querySelector(".circuits"), lines.slice(0, 12), () => el("li"), text);
}

function notices(now) {
  const problems = status.problems.map((one) => ({ title: one.where, message: one.message, hint: "", why: one.hint, is_urgent: true }));
  const found = [...problems, ...status.notices].slice(0, 20);
  show($("no-notices"), !found.length);
  each($("notices"), found, makeNotice, (node, one) => {
    const [title, words, line] = node.children;
    const rest = one.until != null && one.until > now ? `, in ${duration(one.until - now)}` : "";
    mark(node, "data-tone", one.is_urgent ? "bad" : "warn");
    text(title, `${one.title}${rest}`);
    text(words, one.why ? `${one.message}: ${one.why}` : one.message);
    command(line, one.hint);
  });
}

const makeNotice = () => el("li", {}, el("strong"), el("p"), el("div", { class: "command" }));

function login(now) {
  const how = status.credentials;
  show($("login"), how !== null);
  show($("no-login"), how === null);
  if (!how) return command($("login-command"), "");
  const works = ["ok", "expiring"].includes(how.state);
  // What a login ends with differs by its kind; without any end the credentials do not end.
  const ends = how.works_until ?? how.token_ends ?? how.keys_end;
  const renews = works && how.refreshable;
  const isOver = ends !== null && ends <= now;
  const isLogin = how.kind.startsWith("sso") || how.kind === "role-chain";
  text($("login-title"), isLogin ? "AWS login" : "AWS credentials");
  text($("login-left"), isOver ? "ended" : ends !== null ? duration(ends - now) : works ? "valid" : NONE);
  text($("login-words"), ends === null ? "without a known end" : isOver ? clock(ends, now) : `left, until ${clock(ends, now)}`);
  mark($("login-left"), "data-tone", isOver || how.state === "down" ? "bad" : !works || (!renews && ends !== null && ends - now < 3600) ? "warn" : "ok");
  text($("login-detail"), [how.source || how.kind, how.account && `account ${how.account}`, how.role].filter(Boolean).join(", "));
  text($("login-renews"), renewal(how, { works, renews, ends, now }));
  command($("login-command"), how.hint || (isLogin ? "claude-gatewayctl sso-login" : ""));
}

function renewal({ why, next_check: next, registration_ends: last }, { works, renews, ends, now }) {
  if (why) return why;
  if (!works || ends === null) return "";
  if (!renews) return "It does not renew itself.";
  const when = next == null ? "" : next > now ? `, next at ${clock(next, now)}` : ", at this moment";
  return `It renews itself${when}${last ? `, until ${clock(last, now)}` : ""}.`;
}

function spent() {
  const { usage } = status;
  const rows = [
    ["Requests", count(usage.requests) + (status.under_way ? `, ${count(status.under_way)} under way` : "")],
    ["Tokens", compact(usage.tokens)],
    ["Worth at list price", usd(usage.cost) + (usage.unpriced ? `, ${count(usage.unpriced)} unpriced` : "")],
    ["Billed", usd(usage.billed) + (usage.fallback_cost ? `, fallback ${usd(usage.fallback_cost)}` : "")],
  ];
  if (!usage.is_complete) rows.push(["Counted", "since this generation started"]);
  pairs($("today"), rows);
  const { budget, bedrock_cost: cost } = usage.month;
  show($("budget"), budget > 0);
  if (!budget) return;
  text($("budget-title"), "Bedrock’s budget");
  text($("budget-words"), `${usd(cost)} of ${usd(budget)}`);
  const meter = $("budget-meter");
  const share = Math.min(1, cost / budget);
  if (meter.value !== share) meter.value = share;
  mark(meter, "data-tone", share >= 1 ? "bad" : share >= 0.8 ? "warn" : "ok");
}

export function pairs(host, rows) {
  each(host, rows, () => el("div", {}, el("dt"), el("dd")), (node, [name, value]) => {
    text(node.children[0], name);
    text(node.children[1], value);
  });
}

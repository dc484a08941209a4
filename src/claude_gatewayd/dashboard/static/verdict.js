// Who serves now, and why. Pure: of a status, {tone, title, why}. A tone is "ok", "warn", "bad" or "idle".

import { clock, counted } from "./format.js";

const STATES = {
  starting: ["idle", "The gateway is starting", "Callers wait until it serves."],
  recovering: ["warn", "The gateway is recovering", "Callers wait until a new generation serves."],
  waiting: ["bad", "The configuration is invalid", "Callers wait until it is mended."],
  refusing: ["bad", "The configuration is invalid", "Callers are refused until it is mended."],
  stopping: ["warn", "The gateway is stopping", "Open requests are finished first."],
};

export function verdict(status, now) {
  if (status.state !== "serving") {
    const [tone, title, why] = STATES[status.state] ?? ["warn", status.state, ""];
    return { tone, title, why };
  }
  const found = Object.fromEntries(status.notices.map((notice) => [notice.event, notice]));
  const { anthropic, bedrock, circuits } = status;
  if (found["nobody-serves"]) {
    return { tone: "bad", title: "Nobody serves", why: `${found["nobody-serves"].title}: ${found["nobody-serves"].message}.` };
  }
  if (found["bedrock-serves"]) {
    const { since, message } = found["bedrock-serves"];
    const when = since == null ? "" : `Since ${clock(since, now)}: `;
    return { tone: "warn", title: "Bedrock serves", why: `${when}${message}.` };
  }
  if (circuits.length) {
    const who = counted(circuits.length, "model");
    return bedrock.enabled
      ? { tone: "warn", title: "Bedrock serves in part", why: `Anthropic is not asked for ${who} at the moment (${circuits[0].why}).` }
      : { tone: "bad", title: "Anthropic is failing", why: `It is not asked for ${who} at the moment (${circuits[0].why}).` };
  }
  if (anthropic.state === "failing") {
    return { tone: "warn", title: "Anthropic is failing", why: `The last answer: ${anthropic.failure}. ${stepsIn(status, now)}` };
  }
  if (anthropic.state === "unknown") {
    return { tone: "idle", title: "Ready", why: `No request has come yet. Anthropic is asked first. ${stepsIn(status, now)}` };
  }
  return { tone: "ok", title: "Anthropic serves", why: stepsIn(status, now) };
}

function stepsIn({ bedrock, credentials }, now) {
  if (!bedrock.enabled) return `Bedrock is off: ${bedrock.why}.`;
  if (bedrock.unreachable) return `Bedrock cannot step in: ${bedrock.unreachable}.`;
  if (credentials && ["login-needed", "down"].includes(credentials.state)) {
    const until = credentials.works_until;
    return until && until > now
      ? `Bedrock can step in until ${clock(until, now)}.`
      : `Bedrock cannot step in: ${credentials.why || "its credentials do not work"}.`;
  }
  return "Bedrock is ready to step in.";
}

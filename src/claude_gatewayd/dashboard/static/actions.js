// The three buttons, and what came of them.

import { $, command, el, mark, plain, show, text } from "./dom.js";

const BEGUN = {
  reload: "Reloading …",
  "check-credentials": "Asking AWS …",
  "log-in": "Starting the login …",
};

export function startActions() {
  for (const button of document.querySelectorAll("[data-do]")) {
    button.addEventListener("click", () => press(button));
  }
}

export function allowActions({ isConnected, hasCredentials }) {
  for (const button of document.querySelectorAll("[data-do]")) {
    const isAllowed = isConnected && (hasCredentials || button.dataset.do === "reload");
    mark(button, "aria-disabled", String(!isAllowed));
  }
}

// Not the attribute `disabled`: a button that has the focus keeps it.
async function press(button) {
  if (button.getAttribute("aria-disabled") === "true" || button.getAttribute("aria-busy") === "true") return;
  const loginsBefore = button.dataset.do === "log-in" ? logins : Infinity;
  button.setAttribute("aria-busy", "true");
  result({ tone: "idle", words: BEGUN[button.dataset.do] });
  try {
    const answer = await fetch(`do/${button.dataset.do}`, {
      method: "POST",
      headers: { "x-gateway-page": "1" },
      signal: AbortSignal.timeout(120_000),
    });
    if (answer.status === 401) {
      result({ tone: "bad", words: "This page’s session has ended. Open a new one:", hint: "claude-gatewayctl dashboard" });
      return;
    }
    const { ok, message, hint } = await answer.json();
    if (ok && logins > loginsBefore) return; // how it goes on has come before this answer
    result({ tone: ok ? "ok" : "bad", words: message, hint });
  } catch {
    result({ tone: "bad", words: "The gateway did not answer. See what it says:", hint: "claude-gatewayctl status" });
  } finally {
    button.removeAttribute("aria-busy");
  }
}

// Whether the person waits for something: a login's other half is in another tab.
export const isActing = () => isLoggingIn || document.querySelector("[data-do][aria-busy]") !== null;

// How a login goes on that somebody has started, here or on another page.
let logins = 0;
let isLoggingIn = false;
export function showLogin({ state, message, url, code }) {
  logins += 1;
  isLoggingIn = state === "running";
  result({ tone: { running: "idle", done: "ok", failed: "bad" }[state] ?? "idle", words: message, url, code });
}

function result({ tone, words, hint = "", url = "", code = "" }) {
  mark($("result"), "data-tone", tone);
  text($("result-words"), words);
  const place = $("result-link");
  show(place, Boolean(url || code));
  place.replaceChildren();
  if (url) place.append(isWeb(url) ? el("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, url) : plain(url));
  if (code) place.append(url ? " with the code " : "The code is ", el("code", { class: "code" }, code));
  command($("result-command"), hint);
}

// A link leads to the web and runs nothing, whatever it was sent.
function isWeb(url) {
  try {
    return new URL(url).protocol === "https:";
  } catch {
    return false;
  }
}

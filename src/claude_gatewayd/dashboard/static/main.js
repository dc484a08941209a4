// The page: what is received goes to the parts that show it.

import { allowActions, isActing, showLogin, startActions } from "./actions.js";
import { $, command, copyOnClick, mark, text } from "./dom.js";
import { clock } from "./format.js";
import { knowBudget, readHistory, startHistory } from "./history.js";
import { connect } from "./live.js";
import { readFindings, refreshMachine, showMachine } from "./machine.js";
import { refreshNow, showNow } from "./now.js";
import { addMissed, addRequests, startRequests } from "./requests.js";

let skew = 0; // seconds that the gateway's clock is ahead of the browser's, which may be on another machine
let receivedAt = 0;
let wasLost = false;
let hasCredentials = false;
let isConnected = false;

const now = () => Date.now() / 1000 + skew;

function refresh() {
  const seen = isConnected ? now() : receivedAt;
  refreshNow(now(), seen);
  refreshMachine(seen, receivedAt);
}

function onStatus(status) {
  skew = Math.abs(status.now - Date.now() / 1000) < 2 ? 0 : status.now - Date.now() / 1000;
  receivedAt = status.now;
  hasCredentials = status.credentials !== null;
  showNow(status);
  showMachine(status);
  knowBudget(status.usage.month);
  allowActions({ isConnected, hasCredentials });
  refresh();
}

function onConnection({ state, since, words: reason = "" }) {
  isConnected = state === "live";
  const when = since === null ? "" : clock(since, Date.now() / 1000);
  const [tone, words, line] = {
    live: ["ok", "live", ""],
    lost: ["bad", `no connection to the gateway since ${when}; trying again`, ""],
    refused: ["bad", `${reason}; trying again`, ""],
    away: ["idle", "connecting to the gateway", ""],
    locked: ["bad", "this page’s session has ended; open a new one:", "claude-gatewayctl dashboard"],
    off: ["bad", "the dashboard is off here: [dashboard] remote is false", ""],
  }[state];
  mark($("connection"), "data-tone", tone);
  text($("connection-words"), words);
  command($("connection-command"), line);
  mark(document.body, "data-connection", state);
  if (state === "away") text(document.querySelector("title"), "claude-gatewayd"); // not who served then
  allowActions({ isConnected, hasCredentials });
  if (isConnected && wasLost) {
    readHistory();
    readFindings();
  }
  wasLost = !isConnected;
}

copyOnClick();
startActions();
startRequests(now);
startHistory();
connect(
  { status: onStatus, requests: addRequests, missed: ({ requests }) => addMissed(requests), login: showLogin },
  onConnection,
  isActing,
);
readFindings();
setInterval(() => document.hidden || refresh(), 1000);
setInterval(() => document.hidden || readFindings(), 600_000); // doctor's are good for so long
document.addEventListener("visibilitychange", () => document.hidden || refresh());

// The fallbacks of a window: a track for each reason, a mark for each time.

import { each, el, mark, text } from "./dom.js";
import { clock, counted, reason, usd } from "./format.js";

const MOST_MARKS = 240; // on a track: more would be narrower than a pixel or two

export function showTimeline(host, { reasons, line }, { since, until, now }) {
  each(host, reasons, makeTrack, (node, one) => {
    const [name, track, words] = node.children;
    text(name, reason(one.reason));
    text(words, `${counted(one.requests, "request")}, ${usd(one.cost)}`);
    const spans = merged(line.filter((span) => span.reason === one.reason), since, until);
    each(track, spans, () => el("span"), (piece, span) => {
      piece.style.left = `min(${span.left * 100}%, 100% - 3px)`; // what is of this moment is in sight, too
      piece.style.width = `${span.width * 100}%`;
      mark(piece, "title", `${clock(span.begin, now)} to ${clock(span.end, now)}: ${counted(span.requests, "request")}`);
    });
  });
}

const makeTrack = () => el("div", { class: "track-row" }, el("span", { class: "track-name" }), el("div", { class: "track", "aria-hidden": "true" }), el("span", { class: "track-words number" }));

// Marks that would share a place become one. Exported for its test.
export function merged(spans, since, until) {
  const size = Math.max(1, until - since);
  const found = [];
  for (const { begin, end, requests } of [...spans].sort((one, other) => one.begin - other.begin)) {
    if (end < since || begin > until) continue;
    const [from, to] = [Math.max(begin, since), Math.min(end, until)];
    const before = found.at(-1);
    if (before && from - before.end < size / MOST_MARKS) {
      before.end = Math.max(before.end, to);
      before.requests += requests;
    } else {
      found.push({ begin: from, end: to, requests });
    }
  }
  return found.map((span) => ({ ...span, left: (span.begin - since) / size, width: (span.end - span.begin) / size }));
}

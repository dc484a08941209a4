// The connection to the gateway. It comes back by itself: after a reload, a restart, sleep, and a new session's link.

const SILENCE = 40_000; // ms: a status comes every 15 s at least
const PAUSES = [500, 1000, 2000, 3000, 5000]; // ms between attempts
const NOTICED_AFTER = 1500; // ms: a reload's end of the stream is over before anybody needs to know

const AWAY_AFTER = 5000; // ms in the background

// Hand events to *handlers* by their name. *onChange* gets {state, since, words}: "live"; "lost", with since when;
// "refused", with the words that say why; "locked", which only a new link ends; "off"; or "away". All but the first mean
// that what is shown may be old. A page in the background leaves, unless *isNeeded*: a browser has six connections to a
// server, and where each tab keeps one, the seventh waits for ever.
export function connect(handlers, onChange, isNeeded) {
  let source = null;
  let isLive = false;
  let lostAt = 0; // seconds since the epoch, 0 while nothing is lost
  let failures = 0;
  let heard = 0;
  let retry = 0;
  let leaving = 0;
  let isAway = false;

  function open() {
    clearTimeout(retry);
    source?.close();
    source = new EventSource("live");
    heard = performance.now();
    source.addEventListener("open", alive);
    source.addEventListener("error", lost);
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => {
        alive();
        handle(JSON.parse(event.data));
      });
    }
  }

  function alive() {
    heard = performance.now();
    if (isLive) return;
    isLive = true;
    failures = 0;
    lostAt = 0;
    onChange({ state: "live", since: null });
  }

  async function lost() {
    // The browser would try again by itself, but gives up for good after an answer like 401 or 503.
    source.close();
    if (isAway) return;
    isLive = false;
    lostAt ||= Date.now() / 1000;
    const pause = PAUSES[Math.min(failures, PAUSES.length - 1)];
    failures += 1;
    clearTimeout(retry);
    retry = setTimeout(open, pause);
    const { state, words } = await why();
    const left = lostAt * 1000 + NOTICED_AFTER - Date.now();
    if (state === "lost" && left > 0) await new Promise((resolve) => setTimeout(resolve, left));
    if (!isLive && !isAway) onChange({ state, since: lostAt, words }); // meanwhile it may have come back
  }

  // After an error of its connection the browser does not say which; a request does.
  async function why() {
    const asking = new AbortController();
    const timer = setTimeout(() => asking.abort(), 4000);
    try {
      const answer = await fetch("live", { signal: asking.signal });
      if (answer.status === 503) return { state: "refused", words: (await answer.json()).message };
      return { state: [401, 403].includes(answer.status) ? "locked" : answer.status === 404 ? "off" : "lost" };
    } catch {
      return { state: "lost" };
    } finally {
      clearTimeout(timer);
      asking.abort(); // where it is answered, by a stream
    }
  }

  function leave() {
    if (isNeeded()) {
      leaving = setTimeout(leave, AWAY_AFTER);
      return;
    }
    isAway = true;
    isLive = false;
    lostAt = 0;
    clearTimeout(retry);
    source.close();
    onChange({ state: "away", since: null });
  }

  function seen() {
    clearTimeout(leaving);
    if (document.hidden) {
      leaving = setTimeout(leave, AWAY_AFTER);
    } else if (isAway) {
      isAway = false;
      open();
    }
  }

  setInterval(() => {
    if (isLive && performance.now() - heard > SILENCE) lost();
  }, 5000);
  addEventListener("online", () => isLive || isAway || open());
  addEventListener("pageshow", ({ persisted }) => persisted && !isAway && open()); // "back" may show a page that was put away
  document.addEventListener("visibilitychange", seen);
  open();
  seen();
}

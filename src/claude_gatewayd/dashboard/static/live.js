// The connection to the gateway. It comes back by itself: after a reload, a restart, sleep, and a new session's link.

const SILENCE = 40_000; // ms: a status comes every 15 s at least
const PAUSES = [500, 1000, 2000, 3000, 5000]; // ms between attempts
const NOTICED_AFTER = 1500; // ms: a reload's end of the stream is over before anybody needs to know

// Hand events to *handlers* by their name. *onChange* gets {state, since}: "live"; "lost", with since when; "locked",
// which only a new link ends; or "off". All but the first mean that what is shown may be old.
export function connect(handlers, onChange) {
  let source = null;
  let isLive = false;
  let lostAt = 0; // seconds since the epoch, 0 while nothing is lost
  let failures = 0;
  let heard = 0;
  let retry = 0;

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
    isLive = false;
    lostAt ||= Date.now() / 1000;
    const pause = PAUSES[Math.min(failures, PAUSES.length - 1)];
    failures += 1;
    clearTimeout(retry);
    retry = setTimeout(open, pause);
    const state = await why();
    const left = lostAt * 1000 + NOTICED_AFTER - Date.now();
    if (state === "lost" && left > 0) await new Promise((resolve) => setTimeout(resolve, left));
    if (!isLive) onChange({ state, since: lostAt }); // meanwhile it may have come back
  }

  // After an error of its connection the browser does not say which; a request does.
  async function why() {
    try {
      const { status } = await fetch("./", { signal: AbortSignal.timeout(4000) });
      return status === 401 || status === 403 ? "locked" : status === 404 ? "off" : "lost";
    } catch {
      return "lost";
    }
  }

  setInterval(() => {
    if (isLive && performance.now() - heard > SILENCE) lost();
  }, 5000);
  addEventListener("online", () => isLive || open());
  addEventListener("pageshow", ({ persisted }) => persisted && open()); // "back" may show a page that was put away
  open();
}

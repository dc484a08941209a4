// The connection to the gateway. It comes back by itself: after a reload, a restart, sleep, and a new session's link.

const SILENCE = 40_000; // ms: a status comes every 15 s at least
const PAUSES = [1000, 1000, 2000, 3000, 5000]; // ms between attempts

// What a page may be told of its connection: {state: "live" | "lost" | "locked" | "off", since}.
export function connect(handlers, onChange) {
  let source = null;
  let failures = 0;
  let heard = 0;
  let retry = 0;
  let lostAt = null;

  const change = (state) => onChange({ state, since: lostAt });

  function open() {
    clearTimeout(retry);
    source?.close();
    heard = performance.now();
    source = new EventSource("live");
    source.addEventListener("open", alive);
    source.addEventListener("error", lost);
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => {
        heard = performance.now();
        alive();
        handle(JSON.parse(event.data));
      });
    }
  }

  function alive() {
    if (lostAt === null && failures === 0 && state === "live") return;
    failures = 0;
    lostAt = null;
    state = "live";
    change("live");
  }
  let state = "";

  async function lost() {
    // The browser would try again by itself, but gives up for good after an answer like 401 or 503.
    source.close();
    state = "lost";
    lostAt ??= Date.now() / 1000;
    const pause = PAUSES[Math.min(failures++, PAUSES.length - 1)];
    clearTimeout(retry);
    retry = setTimeout(open, pause);
    change(await why());
  }

  // After an error of its connection the browser does not say which; a request does.
  async function why() {
    try {
      const { status } = await fetch("./", { method: "GET", signal: AbortSignal.timeout(4000) });
      return status === 401 || status === 403 ? "locked" : status === 404 ? "off" : "lost";
    } catch {
      return "lost";
    }
  }

  setInterval(() => {
    if (state === "live" && performance.now() - heard > SILENCE) lost();
  }, 5000);
  addEventListener("online", () => state !== "live" && open());
  open();
}

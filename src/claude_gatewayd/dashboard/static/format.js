// Numbers and times as a person reads them. Pure. Times are seconds since the epoch.

const clockFormat = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const secondsFormat = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const dayFormat = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const weekdayFormat = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short" });
const monthFormat = new Intl.DateTimeFormat("en-GB", { month: "long", year: "numeric" });
const grouped = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const cents = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });
const fine = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD", minimumFractionDigits: 4, maximumFractionDigits: 4 });
const dollars = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD", maximumFractionDigits: 0 });

export const NONE = "–";

export const isToday = (at, now) => new Date(at * 1000).toDateString() === new Date(now * 1000).toDateString();

// A time, with its date where it is not today, and its year where it is not this one.
export function clock(at, now, { seconds = false } = {}) {
  const [then, today] = [new Date(at * 1000), new Date(now * 1000)];
  const time = (seconds ? secondsFormat : clockFormat).format(then);
  if (isToday(at, now)) return time;
  const year = then.getFullYear() === today.getFullYear() ? "" : ` ${then.getFullYear()}`;
  return `${dayFormat.format(then)}${year} ${time}`;
}

export const weekday = (at) => weekdayFormat.format(new Date(at * 1000));
export const day = (at) => dayFormat.format(new Date(at * 1000));
export const hour = (at) => clockFormat.format(new Date(at * 1000));
export function month(name) {
  const [year, number] = name.split("-").map(Number);
  return year && number ? monthFormat.format(new Date(year, number - 1, 1)) : name;
}

// A duration in its two largest units, as the command line has it.
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  for (const [size, unit, smaller, smallUnit] of [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]]) {
    if (whole >= size) return `${Math.floor(whole / size)} ${unit} ${Math.floor((whole % size) / smaller)} ${smallUnit}`;
  }
  return `${whole} s`;
}

export const ago = (at, now) => `${duration(now - at)} ago`;
export const count = (number) => grouped.format(number);
export const counted = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;
export const usd = (amount) => (amount == null ? NONE : amount && Math.abs(amount) < 0.01 ? fine.format(amount) : cents.format(amount));
export const usdFine = (amount) => (amount == null ? NONE : fine.format(amount));
export const usdRound = (amount) => (amount && Math.abs(amount) < 10 ? usd(amount) : dollars.format(amount));
export const percent = (ratio) => (ratio == null ? NONE : `${(ratio * 100).toFixed(1)} %`);
export const seconds = (ms) => (ms == null ? NONE : `${(ms / 1000).toFixed(2)} s`);
export const mebibytes = (size) => `${Math.round(size / 1048576)} MiB`;

// Three digits and a unit: 931, 12.3k, 1.24M.
export function compact(number) {
  for (const [size, unit] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (number >= size * 0.9995) {
      const scaled = number / size;
      return `${scaled.toFixed(scaled < 9.995 ? 2 : scaled < 99.95 ? 1 : 0)}${unit}`;
    }
  }
  return String(Math.round(number));
}

const UPSTREAMS = { anthropic: "Anthropic", bedrock: "Bedrock", litellm: "LiteLLM", none: "the gateway", "": "the gateway" };
export const upstream = (name) => UPSTREAMS[name] ?? name;

const REASONS = {
  limit: "limit reached", billing: "credit used up", overloaded: "overloaded", timeout: "no answer in time",
  unreachable: "unreachable", error: "error", circuit: "circuit open",
};
export const reason = (word) => REASONS[word] ?? word;

const KINDS = { count_tokens: "count of tokens", models: "list of models", other: "other request" };
export const kind = (word) => KINDS[word] ?? word;
export const project = (path) => path.split("/").filter(Boolean).at(-1) ?? path;

// Elements, and numbers, sizes and times as people read them.

export const $ = (id) => document.getElementById(id);

const SVG = "http://www.w3.org/2000/svg";

// Attributes that are null or false are left out.
function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

export const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
export const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

// Texts and attributes are touched only where they change: screen readers, selections and layout stay calm.
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function set(node, name, value) {
  if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

// Fills `list` with one child per item. A child whose key was there before is kept, so that focus stays where it is.
export function fillList(list, items, keyOf, make) {
  const old = new Map([...list.children].map((child) => [child.dataset.key, child]));
  items.forEach((item, place) => {
    const key = keyOf(item), node = old.get(key) ?? make(item);
    old.delete(key);
    node.dataset.key = key;
    if (list.children[place] !== node) list.insertBefore(node, list.children[place] ?? null);
  });
  while (list.children.length > items.length) list.lastElementChild.remove();
}

// Pairs of a term and what is said of it, in a <dl>.
export function fillPairs(list, pairs) {
  fillList(list, pairs, ([term, words, mark]) => `${term}|${words}|${mark ?? ""}`, ([term, words, mark]) =>
    el("div", { class: mark }, el("dt", {}, term), el("dd", {}, words)));
}

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const rough = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

const known = (value) => typeof value === "number" && Number.isFinite(value);

export const count = (value) => (known(value) ? grouped.format(value) : "–");
export const rate = (value) => (known(value) ? rough.format(value) : "–");
export const compact = (value) => (known(value) ? short.format(value) : "–");
export const percent = (share) =>
  known(share) ? `${share > 0 && share < 0.1 ? (share * 100).toFixed(1) : Math.round(share * 100)}%` : "–";
export function signed(value) {
  if (!known(value)) return "–";
  const digits = Math.abs(value).toFixed(2);
  return digits === "0.00" ? digits : (value < 0 ? "−" : "+") + digits;
}
export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

export function bytes(value) {
  if (!known(value)) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${rough.format(value)} ${units[unit]}`;
}

export function duration(seconds) {
  if (!known(seconds)) return "–";
  const whole = Math.max(0, Math.floor(seconds));
  const [days, hours, minutes] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60];
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min` : `${whole} s`;
}

// A span that is only guessed, in its largest unit and rounded up.
export function guess(seconds) {
  const [unit, name] = seconds < 60 ? [1, "s"] : seconds < 5400 ? [60, "min"] : seconds < 129600 ? [3600, "h"] : [86400, "d"];
  return `about ${Math.ceil(seconds / unit)} ${name}`;
}

// How long ago a time in seconds since 1970 was by the daemon's clock, which may differ from ours.
let ahead = 0;
export function daemonNow(unix) {
  if (known(unix)) ahead = unix - Date.now() / 1000;
  return Date.now() / 1000 + ahead;
}
export const ago = (unix) => (known(unix) ? `${duration(daemonNow() - unix)} ago` : "–");

export const clock = (date) => date.toLocaleTimeString();

// The token that this tab was given, if any: it opens control, and reading where that needs it.
export const access = { token: sessionStorage.getItem("token") };

export function keepToken(token) {
  access.token = token;
  if (token) sessionStorage.setItem("token", token);
  else sessionStorage.removeItem("token");
}

const authorised = (token = access.token) => (token ? { Authorization: `Bearer ${token}` } : {});

// JSON, or null where there is none; errors are the caller's.
export async function ask(path, { token, ...options } = {}) {
  const response = await fetch(path, { cache: "no-store", headers: authorised(token), ...options });
  if (response.status === 204) return null;
  const answer = await response.json().catch(() => null);
  if (!response.ok) {
    const words = [answer?.error ?? `${response.status}`, answer?.hint].filter(Boolean).join(": ");
    throw Object.assign(new Error(words), { status: response.status });
  }
  return answer;
}

// Reads events for as long as they come, which an EventSource could not where reading needs a token. `heard` is called with the
// name and the data of each. Ends with the HTTP status where there are none, else with null.
export async function readEvents(path, signal, heard) {
  const response = await fetch(path, { cache: "no-store", headers: authorised(), signal });
  if (!response.ok) return response.status;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ; ) {
    const { done, value } = await reader.read();
    if (done) return null;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const field = (name) => event.split("\n").filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2)).join("\n");
      if (field("data")) heard(field("event"), JSON.parse(field("data")));
    }
  }
}

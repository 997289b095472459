// Curves by model version with axes, and values where one points. Colours are those of page.css.

import { el, say, set, svg } from "./dom.js";

const WIDTH = 320, HEIGHT = 150, LEFT = 36, RIGHT = 8, TOP = 8, BOTTOM = 20;

const known = (value) => typeof value === "number" && Number.isFinite(value);

// Round steps that divide a range into at most `most` parts.
export function ticks(low, high, most) {
  const rough = (high - low) / most || 1, size = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * size).find((each) => each >= rough * 0.999);
  const first = Math.floor(low / step + 1e-9), last = Math.ceil(high / step - 1e-9);
  return Array.from({ length: Math.max(last - first, 1) + 1 }, (_, place) => Number(((first + place) * step).toPrecision(12)));
}

// What an axis says: no more digits than its step needs.
const label = (value, step) => value.toLocaleString("en", { maximumFractionDigits: Math.max(0, Math.ceil(-Math.log10(step) - 1e-9)), useGrouping: Math.abs(value) >= 1e4 });

// A figure with a curve for each of `lines` (`{name, of, margin, words}`) over `rows`, by their version.
export class Chart {
  constructor({ title, lines, from = null, to = null }, pointed) {
    Object.assign(this, { title, lines, from, to, pointed, rows: [] });
    this.svg = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", tabindex: 0 });
    this.read = el("p", { class: "read", "aria-hidden": "true" });
    this.node = el("figure", { class: "card chart" }, el("figcaption", {}, title), this.svg, this.read);
    this.svg.addEventListener("pointermove", (event) => this.pointAt(event));
    this.svg.addEventListener("pointerleave", () => this.pointed(null));
    this.svg.addEventListener("blur", () => this.pointed(null));
    this.svg.addEventListener("keydown", (event) => this.step(event));
  }

  // Points at the version that is nearest.
  pointAt({ clientX }) {
    const { left, width } = this.svg.getBoundingClientRect(), x = ((clientX - left) / width) * WIDTH;
    const distance = ({ version }) => Math.abs(this.x(version) - x);
    const nearest = this.rows.reduce((best, row) => (best && distance(best) <= distance(row) ? best : row), null);
    if (nearest) this.pointed(nearest.version);
  }

  step(event) {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!way || !this.rows.length) return;
    event.preventDefault();
    const at = this.rows.findIndex(({ version }) => version === this.at);
    const next = at < 0 ? this.rows.length - 1 : Math.min(Math.max(at + way, 0), this.rows.length - 1);
    this.pointed(this.rows[next].version);
  }

  // Draws the curves anew; `chosen`: versions that are marked.
  show(rows, chosen) {
    this.rows = rows.filter((row) => this.lines.some(({ of }) => known(of(row))));
    const all = this.rows.flatMap((row) => this.lines.flatMap(({ of, margin }) => {
      const value = of(row), around = margin?.(row) ?? 0;
      return known(value) ? [value - around, value + around] : [];
    }));
    const ends = [...all, this.from, this.to].filter(known);
    const ys = ticks(Math.min(...(ends.length ? ends : [0])), Math.max(...(ends.length ? ends : [1])), 4);
    const versions = this.rows.map(({ version }) => version);
    const [first, last] = [versions[0] ?? 0, versions.at(-1) ?? 1];
    const xs = first === last ? [first] : ticks(first, last, 5).filter((each) => Number.isInteger(each) && each >= first && each <= last);
    this.x = (version) => LEFT + (first === last ? 0.5 : (version - first) / (last - first)) * (WIDTH - LEFT - RIGHT);
    this.y = (value) => HEIGHT - BOTTOM - ((value - ys[0]) / (ys.at(-1) - ys[0] || 1)) * (HEIGHT - TOP - BOTTOM);
    const step = { x: xs[1] - xs[0] || 1, y: ys[1] - ys[0] || 1 };
    this.mark = svg("line", { class: "at", y1: TOP, y2: HEIGHT - BOTTOM, visibility: "hidden" });
    this.svg.replaceChildren(
      ...ys.flatMap((value) => [
        svg("line", { class: "grid-line", x1: LEFT, x2: WIDTH - RIGHT, y1: this.y(value), y2: this.y(value) }),
        svg("text", { x: LEFT - 4, y: this.y(value) + 3, "text-anchor": "end" }, label(value, step.y))]),
      ...xs.map((version) => svg("text", { x: this.x(version), y: HEIGHT - 6, "text-anchor": "middle" }, label(version, step.x))),
      ...chosen.filter((version) => versions.includes(version)).map((version) =>
        svg("line", { class: "at chosen", x1: this.x(version), x2: this.x(version), y1: TOP, y2: HEIGHT - BOTTOM })),
      ...this.lines.flatMap((line, place) => this.curve(line, place)),
      this.mark,
    );
    set(this.svg, "aria-label", `${this.title} by model version. ${this.words(this.rows.at(-1))}`);
    this.point(null);
  }

  curve({ of, margin }, place) {
    const shown = this.rows.filter((row) => known(of(row))), at = (row) => [this.x(row.version).toFixed(1), this.y(of(row)).toFixed(1)];
    const dots = shown.length <= 60 ? shown.map((row) => svg("circle", { class: `line-${place}`, cx: at(row)[0], cy: at(row)[1], r: 1.8 })) : [];
    const margins = margin ? shown.filter((row) => known(margin(row))).map((row) =>
      svg("line", { class: "margin", x1: at(row)[0], x2: at(row)[0], y1: this.y(of(row) - margin(row)), y2: this.y(of(row) + margin(row)) })) : [];
    return [...margins, svg("polyline", { class: `line-${place}`, points: shown.map((row) => at(row).join(",")).join(" ") }), ...dots];
  }

  words(row) {
    return row ? `Version ${row.version}: ${this.lines.map(({ name, of, words }) => `${name} ${words(of(row))}`).join(", ")}` : "No figures yet";
  }

  // Shows the values of a version, or without one those of the newest.
  point(version) {
    const row = version === null ? this.rows.at(-1) : this.rows.find((each) => each.version === version);
    this.at = version;
    set(this.mark, "visibility", version !== null && row ? "visible" : "hidden");
    if (row) ["x1", "x2"].forEach((end) => set(this.mark, end, this.x(row.version)));
    this.lines.forEach(({ name, of, words }, place) => {
      const node = this.read.children[place] ?? this.read.appendChild(el("span", { class: `line-${place}` }));
      say(node, `${name} ${row ? words(of(row)) : "–"}`);
    });
  }
}

// What comes of values: a curve of `[value, result, plies]` for each of `sets`, in a box of 220 × 200 from −1 to 1.
export function calibration(node, sets, words) {
  const x = (value) => 30 + ((value + 1) / 2) * 182, y = (value) => 176 - ((value + 1) / 2) * 168;
  set(node, "aria-label", words);
  node.replaceChildren(
    ...[-1, -0.5, 0, 0.5, 1].flatMap((value) => [
      svg("line", { class: "grid-line", x1: x(-1), x2: x(1), y1: y(value), y2: y(value) }),
      svg("text", { x: 26, y: y(value) + 3, "text-anchor": "end" }, value),
      svg("text", { x: x(value), y: 190, "text-anchor": "middle" }, value)]),
    svg("line", { class: "ideal", x1: x(-1), x2: x(1), y1: y(-1), y2: y(1) }),
    ...sets.flatMap((points, place) => [
      svg("polyline", { class: `line-${place}`, points: points.map(([value, result]) => `${x(value).toFixed(1)},${y(result).toFixed(1)}`).join(" ") }),
      ...points.map(([value, result, plies]) => svg("circle", { class: `line-${place}`, cx: x(value), cy: y(result), r: 2.4 },
        svg("title", {}, `${value.toFixed(2)}: ${result.toFixed(2)}, ${Math.round(plies)} plies`)))]),
  );
}

// Boards, curves and sparklines as SVG. Colours are those of page.css.

import { el, percent, set, svg } from "./dom.js";

// The points along a line, in a box of `width` × `height` with 0 at `low` and the top at `high`.
function points(values, width, height, low, high, steps = values.length - 1) {
  const x = (place) => (steps > 0 ? (place / steps) * width : width);
  const y = (value) => height - ((value - low) / (high - low || 1)) * height;
  return values.map((value, place) => `${x(place).toFixed(1)},${y(value).toFixed(1)}`);
}

// A line over time in a box of 300 × 56, on the right as new as it gets.
export function sparkline(node, values, words) {
  set(node, "aria-label", words);
  const top = Math.max(...values, 0) * 1.08 || 1;
  const line = points(values, 300, 54, 0, top);
  node.replaceChildren(
    svg("polygon", { class: "area", points: ["0,56", ...line, "300,56"].join(" ") }),
    svg("polyline", { class: "line", points: line.join(" ") }),
  );
}

// Values from −`scale` to `scale` over the plies, with the ply at hand marked; null where a ply has none.
export function valueCurve(node, values, scale, at, words) {
  set(node, "aria-label", words);
  const steps = Math.max(values.length - 1, 1);
  const filled = values.map((value, place) => value ?? (place > 0 ? values[place - 1] : 0) ?? 0);
  const line = points(filled, 300, 84, -scale, scale, steps);
  const x = (at / steps) * 300;
  node.replaceChildren(
    svg("polygon", { class: "area", points: ["0,42", ...line, `${line.at(-1).split(",")[0]},42`].join(" ") }),
    svg("line", { class: "zero", x1: 0, x2: 300, y1: 42, y2: 42 }),
    svg("line", { class: "at", x1: x, x2: x, y1: 0, y2: 84 }),
    svg("polyline", { class: "line", points: line.join(" ") }),
  );
}

// Shapes that a board is made of, by their middle, in units of which a cell has 10.
const CELL = 10;
const HEXAGON = [[0, -5.6], [4.85, -2.8], [4.85, 2.8], [0, 5.6], [-4.85, 2.8], [-4.85, -2.8]];
const TONES = { plain: "cell", dark: "cell dark", goal: "cell goal" };

function shape({ at, shape: kind, tone }) {
  const [x, y] = at.map((place) => place * CELL), half = kind === "tile" ? 4 : 4.9;
  if (kind === "hole") return svg("circle", { class: TONES[tone], cx: x, cy: y, r: 4.4 });
  if (kind !== "hexagon") return svg("rect", { class: TONES[tone], x: x - half, y: y - half, width: 2 * half, height: 2 * half, rx: 0.6 });
  return svg("polygon", { class: TONES[tone], points: HEXAGON.map(([dx, dy]) => `${x + dx},${y + dy}`).join(" ") });
}

function segment({ from, to, player }, name, opacity = null) {
  const [x1, y1, x2, y2] = [...from, ...to].map((place) => place * CELL);
  return svg("line", { class: player ? `${name} of-${player}` : name, x1, y1, x2, y2, opacity });
}

function stone({ at, player, kind }) {
  const [x, y] = at.map((place) => place * CELL), down = player === "first" ? 1 : -1;
  const cross = `M${x - 2.8} ${y - 2.8}l5.6 5.6m0 -5.6l-5.6 5.6`, tip = `M${x - 1.6} ${y - 0.8 * down}h3.2l-1.6 ${2.2 * down}z`;
  if (kind === "pawn") {
    return svg("g", { class: `stone pawn of-${player}` }, svg("circle", { cx: x, cy: y, r: 3.4 }), svg("path", { class: "tip", d: tip }));
  }
  if (kind === "sign" && player === "first") return svg("path", { class: "stone sign of-first", d: cross });
  return svg("circle", { class: `stone ${kind} of-${player}`, cx: x, cy: y, r: kind === "sign" ? 3 : 3.6 });
}

// A move: a dot where it ends, with a line from where it begins, or a wall. What takes place nowhere is told in words.
function mark(move, attributes) {
  if (move.wall) return [segment(move.wall, `${attributes.class} along`, attributes.opacity)];
  const [from, to] = move.cell ? [null, move.cell] : [move.step?.from, move.step?.to];
  if (!to) return [];
  const dot = svg("circle", { cx: to[0] * CELL, cy: to[1] * CELL, r: 1.6, ...attributes });
  return from ? [svg("line", { x1: from[0] * CELL, y1: from[1] * CELL, x2: to[0] * CELL, y2: to[1] * CELL, ...attributes }), dot] : [dot];
}

// Draws a position on a board that the API describes by shapes. `last`: where the last move was, `top`: what the search thinks.
export function board(node, { cells, edges, labels }, { stones, walls }, { last = null, top = [], labelled = false } = {}) {
  const points = [...cells, ...(labelled ? labels : [])].map(({ at }) => at), edge = 0.7;
  const [left, above] = [0, 1].map((axis) => Math.min(...points.map((at) => at[axis])) - edge);
  const [right, below] = [0, 1].map((axis) => Math.max(...points.map((at) => at[axis])) + edge);
  set(node, "font-size", 4.2);
  set(node, "viewBox", [left, above, right - left, below - above].map((length) => length * CELL).join(" "));
  node.replaceChildren(
    ...cells.map(shape),
    ...edges.map((each) => segment(each, "side")),
    ...(labelled ? labels : []).map(({ at, text }) => svg("text", { x: at[0] * CELL, y: at[1] * CELL + 1.5 }, text)),
    ...walls.map((each) => segment(each, "barrier")),
    ...stones.map(stone),
    ...(last ? mark(last, { class: "played-here" }) : []),
    ...[...top].reverse().flatMap(({ mark: move, share }) => mark(move, { class: "idea-here", opacity: (0.2 + 0.8 * share).toFixed(2) })),
  );
}

// Ratings with their intervals in a box of 300 × 110: players that never change first, then models, joined by a line.
export function ratings(node, rated, words) {
  set(node, "aria-label", words);
  const low = Math.min(0, ...rated.map(({ elo, margin }) => elo - margin)), high = Math.max(1, ...rated.map(({ elo, margin }) => elo + margin));
  const step = [10, 25, 50, 100, 200, 500].find((size) => (high - low) / size <= 5) ?? 1000;
  const [bottom, top] = [Math.floor(low / step) * step, Math.ceil(high / step) * step];
  const x = (place) => 30 + ((place + 0.5) / rated.length) * 266, y = (elo) => 92 - ((elo - bottom) / (top - bottom)) * 86;
  const lines = Array.from({ length: Math.round((top - bottom) / step) + 1 }, (_, line) => bottom + line * step);
  const every = Math.ceil(rated.length / 12), models = rated.map((each, place) => [each, place]).filter(([{ version }]) => version != null);
  node.replaceChildren(
    ...lines.flatMap((elo) => [
      svg("line", { class: "grid-line", x1: 30, x2: 298, y1: y(elo), y2: y(elo) }),
      svg("text", { x: 27, y: y(elo) + 3, "text-anchor": "end" }, elo)]),
    svg("polyline", { points: models.map(([{ elo }, place]) => `${x(place).toFixed(1)},${y(elo).toFixed(1)}`).join(" ") }),
    ...rated.flatMap(({ player, version, elo, margin }, place) => [
      svg("line", { class: "interval", x1: x(place), x2: x(place), y1: y(elo - margin), y2: y(elo + margin) }),
      svg("circle", { class: version == null ? "anchor" : null, cx: x(place), cy: y(elo), r: 2.4 },
        svg("title", {}, `${player}: ${Math.round(elo)} ± ${Math.round(margin)}`)),
      ...(place % every === 0 || place === rated.length - 1 ? [svg("text", { x: x(place), y: 106, "text-anchor": "middle" }, player)] : [])]),
  );
}

// A bar whose filled part is a share; `words` stand beside it.
export function bar(share, mark = "") {
  const inner = el("span", { class: mark || null });
  inner.style.inlineSize = percent(share);
  return el("span", { class: "meter", "aria-hidden": "true" }, inner);
}

// Boards, curves and sparklines as SVG. Colours are those of page.css.

import { el, percent, set, svg } from "./dom.js";

const CELL = 10, GAP = 2.4, STEP = CELL + GAP;

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

const middle = (place) => place * STEP + CELL / 2;

// The first player walks down, the second up: the mark on the pawn points there.
function pawn([row, column], player) {
  const [x, y, down] = [middle(column), middle(row), player === 0 ? 1 : -1];
  return svg("g", { class: `pawn player-${player}` },
    svg("circle", { cx: x, cy: y, r: 3.9 }),
    svg("path", { d: `M${x - 1.9} ${y - 0.9 * down}h3.8l-1.9 ${2.6 * down}z` }));
}

function wall({ r, c, o }, attributes) {
  const box = o === "h"
    ? { x: c * STEP, y: r * STEP + CELL, width: CELL + STEP, height: GAP }
    : { x: c * STEP + CELL, y: r * STEP, width: GAP, height: CELL + STEP };
  return svg("rect", { rx: 0.9, ...box, ...attributes });
}

// A move as the API names it: `e2` is a pawn's destination, `e2h` and `e2v` are walls by the cell above and left of their middle.
export function parseMove(name) {
  const found = /^([a-i])(\d)([hv])?$/.exec(name ?? "");
  return found && { r: Number(found[2]) - 1, c: found[1].charCodeAt(0) - 97, o: found[3] ?? null };
}

// Draws a position. `last`: the move that led to it, `from`: where the pawn that moved stood, `top`: what the search thinks.
export function board(node, size, position, { last = null, from = null, top = [], labels = false } = {}) {
  // Letters and numbers are as large on every board, whatever the size of its cells.
  const extent = size * STEP - GAP, letters = size * 0.4, edge = labels ? letters * 1.8 : 1;
  set(node, "font-size", letters);
  set(node, "viewBox", `${-edge} ${-edge} ${extent + edge + 1} ${extent + edge + 1}`);
  const parts = [];
  for (let row = 0; row < size; row += 1) {
    for (let column = 0; column < size; column += 1) {
      const goal = row === 0 || row === size - 1 ? " goal" : "";
      parts.push(svg("rect", { class: `cell${goal}`, x: column * STEP, y: row * STEP, width: CELL, height: CELL, rx: 1.4 }));
    }
    if (labels) {
      parts.push(svg("text", { x: -letters, y: middle(row) + letters * 0.36 }, String(row + 1)));
      parts.push(svg("text", { x: middle(row), y: -letters * 0.7 }, String.fromCharCode(97 + row)));
    }
  }
  const played = parseMove(last);
  if (played && !played.o) {
    parts.push(svg("rect", { class: "arrived", x: played.c * STEP, y: played.r * STEP, width: CELL, height: CELL, rx: 1.4 }));
    if (from) parts.push(svg("circle", { class: "left", cx: middle(from[1]), cy: middle(from[0]), r: 1.4 }));
  }
  for (const each of position.walls) {
    const fresh = played && played.o === each.o && played.r === each.r && played.c === each.c;
    parts.push(wall(each, { class: fresh ? "wall fresh" : "wall" }));
  }
  for (const { action, share } of [...top].reverse()) {
    const move = parseMove(action), opacity = (0.2 + 0.8 * share).toFixed(2);
    if (!move) continue;
    parts.push(move.o
      ? wall(move, { class: "idea", opacity })
      : svg("circle", { class: "idea", cx: middle(move.c), cy: middle(move.r), r: 2.2, opacity }));
  }
  position.pawns.forEach((place, player) => parts.push(pawn(place, player)));
  node.replaceChildren(...parts);
}

// Shapes that a board is made of, by their middle, in units of which a cell has 10.
const HEXAGON = [[0, -5.6], [4.85, -2.8], [4.85, 2.8], [0, 5.6], [-4.85, 2.8], [-4.85, -2.8]];
const TONES = { plain: "cell", dark: "cell dark", goal: "cell goal" };

function shape({ at, shape: kind, tone }) {
  const [x, y] = at.map((place) => place * CELL), half = kind === "tile" ? 4 : 4.9;
  if (kind === "hole") return svg("circle", { class: TONES[tone], cx: x, cy: y, r: 4.4 });
  if (kind !== "hexagon") return svg("rect", { class: TONES[tone], x: x - half, y: y - half, width: 2 * half, height: 2 * half, rx: 0.6 });
  return svg("polygon", { class: TONES[tone], points: HEXAGON.map(([dx, dy]) => `${x + dx},${y + dy}`).join(" ") });
}

function segment({ from, to, player }, name) {
  const [x1, y1, x2, y2] = [...from, ...to].map((place) => place * CELL);
  return svg("line", { class: player ? `${name} of-${player}` : name, x1, y1, x2, y2 });
}

function stone({ at, player, kind }) {
  const [x, y] = at.map((place) => place * CELL), down = player === "first" ? 1 : -1;
  const cross = `M${x - 2.8} ${y - 2.8}l5.6 5.6m0 -5.6l-5.6 5.6`, arrow = `M${x - 3.2} ${y - 2.4 * down}h6.4l-3.2 ${5.2 * down}z`;
  if (kind === "pawn") return svg("path", { class: `stone of-${player}`, d: arrow });
  if (kind === "sign" && player === "first") return svg("path", { class: "stone sign of-first", d: cross });
  return svg("circle", { class: `stone ${kind} of-${player}`, cx: x, cy: y, r: kind === "sign" ? 3 : 3.6 });
}

// A move: a dot where it ends, with a line from where it begins. What takes place nowhere is told in words.
function mark(move, attributes) {
  const [from, to] = move.cell ? [null, move.cell] : [(move.step ?? move.wall)?.from, (move.step ?? move.wall)?.to];
  if (!to) return [];
  const dot = svg("circle", { cx: to[0] * CELL, cy: to[1] * CELL, r: 1.6, ...attributes });
  return from ? [svg("line", { x1: from[0] * CELL, y1: from[1] * CELL, x2: to[0] * CELL, y2: to[1] * CELL, ...attributes }), dot] : [dot];
}

// Draws a position on a board that the API describes by shapes. `last`: where the last move was, `top`: what the search thinks.
export function shapes(node, { cells, edges, labels }, { stones, walls }, { last = null, top = [], labelled = false } = {}) {
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

// A bar whose filled part is a share; `words` stand beside it.
export function bar(share, mark = "") {
  const inner = el("span", { class: mark || null });
  inner.style.inlineSize = percent(share);
  return el("span", { class: "meter", "aria-hidden": "true" }, inner);
}

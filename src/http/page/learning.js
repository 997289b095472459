// The view Learning: what the games of each model version teach, and any two versions side by side.

import { Chart, calibration } from "./chart.js";
import { $, ask, count, el, fillList, percent, plural, say, set } from "./dom.js";
import { sentence } from "./figures.js";

const EVERY_MS = 5000;

const digits = (most) => (value) => (value == null ? "–" : value.toFixed(most));
const elo = (value) => (value == null ? "–" : `${value < 0 ? "−" : "+"}${count(Math.abs(value))}`);
const line = (name, of, words, margin) => ({ name, of, words, margin });

// What is shown, in curves and in the table.
const FIGURES = [
  { title: "Rating, Elo above search without a network", lines: [line("Elo", (row) => row.elo, elo, (row) => row.elo_margin)] },
  { title: "Results", from: 0, to: 1, lines: [
    line("first", (row) => row.first_share, percent), line("second", (row) => row.second_share, percent), line("drawn", (row) => row.draw_share, percent)] },
  { title: "Game length, plies", from: 0, lines: [line("plies", (row) => row.plies, digits(1))] },
  { title: "Value error, squared", from: 0, lines: [
    line("search", (row) => row.value_error, digits(3)), line("network", (row) => row.raw_value_error, digits(3)), line("guessing", (row) => row.guess_error, digits(3))] },
  { title: "What the search adds: target to network, nats", from: 0, lines: [line("KL", (row) => row.policy_kl, digits(3))] },
  { title: "Certainty of targets", from: 0, to: 1, lines: [
    line("entropy", (row) => row.entropy_share, percent), line("one-hot", (row) => row.one_hot_share, percent)] },
  { title: "Repeated", from: 0, to: 1, lines: [
    line("games", (row) => row.repeated_games, percent), line("openings", (row) => row.repeated_openings, percent), line("step limit", (row) => row.step_limit_share, percent)] },
  { title: "What the model changed", from: 0, lines: [
    line("policy KL", (row) => row.change?.policy_kl, digits(3)), line("values", (row) => row.change?.value_change, digits(3))] },
  { title: "Largest logit in probe positions", from: 0, lines: [line("logit", (row) => row.largest_logit, digits(1))] },
  { title: "Depth of the search, plies", from: 0, lines: [line("depth", (row) => row.depth, digits(2))] },
  { title: "Share of full searches", from: 0, to: 1, lines: [line("full", (row) => row.full_share, percent)] },
  { title: "Finished games", from: 0, lines: [line("games", (row) => row.games, count)] },
];

let timer = null, versions = [], charts = null, drawn = null;
// What was chosen by hand: it stays when newer versions come.
const chosen = { a: null, b: null };

export function showLearning(shown) {
  clearTimeout(timer);
  if (shown) look();
}

async function look() {
  clearTimeout(timer);
  timer = setTimeout(look, EVERY_MS);
  const answer = await ask("v1/learning").catch(() => null); // That nothing is heard, the page says already.
  if (answer) show(answer);
}

function show({ versions: all = [], recent, verdicts = [], trouble }) {
  versions = all;
  const span = recent && (recent.from === recent.version ? `version ${recent.version}` : `versions ${recent.from} to ${recent.version}`);
  say($("verdicts-of"), recent ? `${plural(recent.games, "game")} of ${span}` : "");
  const said = [...verdicts, ...(trouble ? [{ kind: "trouble", statement: trouble, advice: "" }] : [])];
  fillList($("verdicts"), said, ({ kind, statement, advice }) => `${kind}|${statement}|${advice}`, ({ statement, advice }) =>
    el("li", {}, el("p", { class: "statement" }, sentence(statement)), el("p", { class: "advice" }, sentence(advice))));
  if (!said.length) {
    const words = recent ? (recent.games < 100 ? "Too few games to tell yet." : "Nothing speaks against it.") : "No game has finished yet.";
    $("verdicts").replaceChildren(el("li", { class: "muted" }, words));
  }
  $("learning-empty").hidden = versions.length > 0;
  $("curves").hidden = $("compare").hidden = !versions.length;
  if (!versions.length) return;
  choose("a", versions.at(-2) ?? versions.at(-1));
  choose("b", versions.at(-1));
  draw();
}

// Options of a list; the one that is chosen stays, else it is `usual`.
function choose(which, usual) {
  const list = $(`version-${which}`), kept = chosen[which];
  fillList(list, [...versions].reverse(), ({ version }) => version, ({ version }) => el("option", { value: version }, `${version}`));
  const wanted = versions.some(({ version }) => version === kept) ? kept : usual.version;
  if (list.value !== `${wanted}`) list.value = `${wanted}`;
}

const picked = (which) => versions.find(({ version }) => `${version}` === $(`version-${which}`).value);

function draw() {
  const [a, b] = [picked("a"), picked("b")];
  const now = JSON.stringify([versions, a?.version, b?.version]);
  if (drawn === now) return;
  drawn = now;
  if (!charts) {
    charts = FIGURES.map((figure) => new Chart(figure, point));
    $("curves").replaceChildren(...charts.map(({ node }) => node));
  }
  const at = charts.find((chart) => chart.at != null)?.at ?? null;
  charts.forEach((chart, place) => {
    chart.show(versions, [a, b].map((row) => row?.version));
    chart.node.hidden = !chart.rows.length && place !== FIGURES.length - 1;
  });
  if (at !== null) point(at);
  compare(a, b);
}

// The same version in all curves.
function point(version) {
  charts.forEach((chart) => chart.point(version));
  const row = versions.find((each) => each.version === version);
  say($("hovered"), row ? `Version ${row.version}: ${plural(row.games, "game")}` : "");
}

function compare(a, b) {
  say($("name-a"), a ? `${a.version}` : "");
  say($("name-b"), b ? `${b.version}` : "");
  const rows = FIGURES.flatMap(({ title, lines }) => lines.map(({ name, of, words, margin }) => ({ title: lines.length > 1 ? `${title}: ${name}` : title, of, words, margin })));
  fillList($("compared"), rows, ({ title }) => title, ({ title }) => el("tr", {}, el("th", { scope: "row" }, title), el("td"), el("td"), el("td")));
  rows.forEach(({ of, words, margin }, place) => {
    const cells = $("compared").children[place].children, [left, right] = [a && of(a), b && of(b)];
    const text = (row, value) => words(value) + (row && value != null && margin?.(row) != null ? ` ± ${count(margin(row))}` : "");
    say(cells[1], text(a, left));
    say(cells[2], text(b, right));
    const change = left != null && right != null ? right - left : null;
    say(cells[3], change === null ? "–" : `${change < 0 ? "−" : "+"}${words(Math.abs(change)).replace(/^\+/, "")}`);
  });
  const sets = [a, b].map((row) => row?.calibration ?? []);
  const off = (row) => (row?.calibration_error == null ? "unknown" : row.calibration_error.toFixed(2));
  calibration($("calibration"), sets, `Version ${a?.version}: values are ${off(a)} from results on average; version ${b?.version}: ${off(b)}`);
  set($("name-a"), "class", "line-0");
  set($("name-b"), "class", "line-1");
}

for (const which of ["a", "b"]) {
  $(`version-${which}`).addEventListener("change", () => {
    chosen[which] = Number($(`version-${which}`).value);
    draw();
  });
}

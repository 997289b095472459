// Games in play as small boards, finished games as a list, and one of either, large, to go through ply by ply.

import { $, ago, ask, count, el, fillList, percent, plural, say, set, signed, svg } from "./dom.js";
import { bar, board, valueCurve } from "./draw.js";

const EVERY_MS = 2000, FEW = 6, PAGE = 48;
// How far the value curve reaches: untrained networks hardly leave 0.
const SCALES = [0.1, 0.25, 0.5, 1];
const PLAYERS = ["first", "second"];

// What the large board shows: a slot's game in play, or a finished game by its id. `follow`: always the newest position.
const shown = { slot: null, id: null, game: null, at: 0, follow: true };
// `asked` counts what people chose, so that no answer to an older question takes its place.
let more = false, first = 0, playing = [], rules = null, timer = null, visible = true, asked = 0;

// The value of a ply from the first player's view.
const valueOf = ({ value, player }) => (value == null ? null : player === 0 ? value : -value);

const resultWords = (result) => (result === "draw" ? "a draw" : result ? `the ${result} player won` : "no result yet");

export function startGames() {
  $("slider").addEventListener("input", () => step(Number($("slider").value)));
  for (const [id, move] of Object.entries({ first: () => 0, back: (at) => at - 1, forward: (at) => at + 1, last: () => Infinity })) {
    $(id).addEventListener("click", () => step(move(shown.at)));
  }
  $("viewer").addEventListener("keydown", onKey);
  $("value-curve").addEventListener("click", (event) => {
    const box = $("value-curve").getBoundingClientRect();
    step(Math.round(((event.clientX - box.left) / box.width) * Number($("slider").max)));
  });
  $("viewer-follow").addEventListener("click", () => {
    watch(shown.slot);
  });
  $("boards-more").addEventListener("click", () => {
    [more, first] = [!more, 0];
    refresh();
  });
  for (const [id, by] of [["boards-before", -PAGE], ["boards-after", PAGE]]) {
    $(id).addEventListener("click", () => {
      first = Math.max(0, first + by);
      refresh();
    });
  }
  for (const event of ["pointerleave", "focusout"]) $("recent").addEventListener(event, () => setTimeout(showRecent));
  new IntersectionObserver((entries) => {
    visible = entries.some((entry) => entry.isIntersecting);
    if (visible) refresh();
  }, { rootMargin: "300px" }).observe($("viewer").parentElement);
  document.addEventListener("visibilitychange", refresh);
  refresh();
}

function onKey(event) {
  if (event.target === $("slider") || event.ctrlKey || event.metaKey || event.altKey) return;
  const to = { ArrowLeft: shown.at - 1, ArrowRight: shown.at + 1, Home: 0, End: Infinity }[event.key];
  if (to === undefined || !shown.game) return;
  event.preventDefault();
  step(to);
}

// Looks again now, and from then on every two seconds while somebody can see it.
export async function refresh() {
  clearTimeout(timer);
  if (document.hidden || !visible) return;
  const choice = asked;
  try {
    rules = await ask(`v1/games?offset=${first}&limit=${more ? PAGE : FEW}`);
    playing = rules.games;
    if (first > 0 && first >= rules.total) first = Math.max(0, PAGE * (Math.ceil(rules.total / PAGE) - 1));
    const slot = shown.slot ?? (shown.game ? null : playing[0]?.slot ?? null);
    if (slot !== null && shown.follow) await open({ slot }, choice);
  } catch (error) {
    if (error.status === 401) return; // The page is locked, and asks again once it is not.
    // Whether the daemon answers at all is told elsewhere. A slot that is gone is not waited for.
    if (!shown.game) shown.slot = null;
  }
  showBoards();
  clearTimeout(timer);
  timer = setTimeout(refresh, EVERY_MS);
}

// Whether somebody is about to choose from the list: then it holds still.
function held() {
  const pointed = matchMedia("(hover: hover)").matches && $("recent").matches(":hover");
  return pointed || $("recent").matches(":focus-within");
}

export async function showRecent() {
  const rows = $("recent").querySelector(".row") !== null;
  $("recent-held").hidden = !(rows && held());
  if (rows && held()) return;
  const { games } = await ask("v1/recent").catch(() => ({ games: [] }));
  const words = ({ result, plies }) => `${result === "draw" ? "draw" : `${result} won`}, ${plural(plies, "ply", "plies")}`;
  fillList($("recent"), games, (game) => game.id, (game) => {
    const button = el("button", { type: "button", class: "row", "data-id": game.id },
      el("strong", {}, `Game ${game.game}`), el("span", { class: "words" }, words(game)),
      el("span", { class: "muted" }, game.model == null ? "" : `model ${game.model}`), el("span", { class: "muted when" }));
    button.addEventListener("click", () => look(game.id));
    return el("li", {}, button);
  });
  games.forEach((game, place) => say($("recent").children[place].querySelector(".when"), ago(game.unix)));
  if (!games.length) $("recent").replaceChildren(el("li", { class: "muted" }, "No game has ended yet."));
  markShown();
}

// Shows a finished game because somebody asked for it.
async function look(id) {
  asked += 1;
  try {
    await open({ id }, asked);
  } catch (error) {
    say($("viewer-words"), error.message);
    return;
  }
  bringToFront();
}

// Shows the games of a slot from now on because somebody asked for it: of null, the first that has a game.
async function watch(slot) {
  asked += 1;
  Object.assign(shown, { slot, id: null, game: null, follow: true });
  say($("viewer-words"), "Waiting for the next game.");
  await refresh();
  bringToFront();
}

function bringToFront() {
  markShown();
  $("viewer").focus({ preventScroll: true });
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if ($("viewer").getBoundingClientRect().top < 0 || innerWidth < 900) {
    $("viewer").scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "start" });
  }
}

async function open({ slot = null, id = null }, choice) {
  const game = await ask(id === null ? `v1/games/${slot}` : `v1/recent/${encodeURIComponent(id)}`);
  // A slot may be between two games: one that is followed is asked again.
  if (game === null || choice !== asked || (slot !== null && !shown.follow)) return;
  Object.assign(shown, { slot, id, game, follow: id === null, at: id === null ? game.plies.length - 1 : 0 });
  draw();
}

function step(to) {
  if (!shown.game) return;
  const last = shown.game.plies.length - 1;
  shown.at = Math.max(0, Math.min(to, last));
  shown.follow = shown.slot !== null && shown.at === last;
  draw();
  markShown();
}

function draw() {
  const { game, at, slot, follow } = shown, { plies } = game;
  const [ply, before, last] = [plies[at], plies[at - 1], plies.length - 1];
  $("viewer-body").hidden = false;
  say($("viewer-title"), `Game ${game.game}, ${slot === null ? resultWords(game.result) : `in play in slot ${slot}`}`);
  $("viewer-follow").hidden = slot !== null && follow;
  board($("viewer-board"), game.board, ply, { last: before?.mark, top: ply.top, labelled: true });
  set($("viewer-board"), "aria-label", boardWords(ply, before));

  set($("slider"), "max", last);
  $("slider").value = at;
  set($("slider"), "aria-valuetext", `ply ${at} of ${last}`);
  $("first").disabled = $("back").disabled = at === 0;
  $("forward").disabled = $("last").disabled = at === last;

  const played = before ? `${PLAYERS[before.player]} player played ${before.action}` : "the start";
  const model = ply.model ?? before?.model;
  say($("viewer-words"), `After ply ${at} of ${last}: ${played}${model == null ? "" : `, model ${model}`}.`);
  showPlayers(ply, game.result !== null && at === last);
  const value = valueOf(ply) ?? (before ? valueOf(before) : null);
  say($("value-now"), signed(value));
  const values = plies.map(valueOf), scale = SCALES.find((bound) => values.every((each) => Math.abs(each ?? 0) <= bound)) ?? 1;
  say($("value-scale"), `±${scale}`);
  valueCurve($("value-curve"), values, scale, at, `Value over ${plural(last, "ply", "plies")}, for the first player: now ${signed(value)}`);
  showTop(ply, before);
}

function boardWords({ stones, walls }, before) {
  const barriers = walls.length ? `, ${plural(walls.length, "wall")}` : "";
  return `${plural(stones.length, "stone")}${barriers}${before ? `, last move ${before.action}` : ""}`;
}

function showPlayers(ply, over) {
  const stones = (player) => ply.stones.filter((stone) => stone.player === PLAYERS[player]).length;
  const words = (player) => `${ply.beside[player] || plural(stones(player), "stone")}${!over && ply.player === player ? ", to move" : ""}`;
  fillList($("players"), PLAYERS, (name) => name, (name) =>
    el("div", { class: name }, el("dt", {}, svg("svg", { viewBox: "0 0 8 8", "aria-hidden": "true" }, svg("circle", { cx: 4, cy: 4, r: 3.6 })), `${name} player`), el("dd")));
  PLAYERS.forEach((_, player) => {
    const pair = $("players").children[player];
    say(pair.lastElementChild, words(player));
    pair.classList.toggle("to-move", !over && ply.player === player);
  });
}

// What the search thinks of the position, or thought of the one before while it is still at work.
function showTop(now, before) {
  const ply = now.top.length || !before ? now : before;
  say($("top-title"), ply === now ? "The search's top moves" : "The search's top moves before that ply");
  const moves = ply.top.length ? ply.top : [null];
  const key = (move) => (move ? `${move.action}|${move.share}|${move.visits}|${move.action === ply.action}` : "none");
  fillList($("top-moves"), moves, key, (move) => {
    if (!move) return el("li", { class: "muted" }, ply.action ? "Nothing was searched here." : "The search is at work.");
    const visits = move.visits ? `, ${plural(move.visits, "visit")}` : "";
    return el("li", { class: move.action === ply.action ? "played" : null },
      el("strong", {}, move.action), bar(move.share), el("span", {}, `${percent(move.share)}${visits}${move.action === ply.action ? ", played" : ""}`));
  });
}

function showBoards() {
  const few = playing, all = rules?.total ?? 0;
  say($("games-count"), all ? count(all) : "none");
  $("boards-more").hidden = all <= FEW;
  say($("boards-more"), more ? "Show fewer" : all > PAGE ? "Show more" : `Show all ${count(all)}`);
  $("boards-pages").hidden = !more || all <= PAGE;
  say($("boards-range"), `${count(first + 1)} to ${count(first + few.length)} of ${count(all)}`);
  $("boards-before").disabled = first === 0;
  $("boards-after").disabled = first + few.length >= all;
  fillList($("boards"), few, ({ slot }) => `${slot}`, ({ slot }) => {
    const button = el("button", { type: "button", class: "mini", "data-slot": slot },
      svg("svg", { class: "board", "aria-hidden": "true" }), el("span", { class: "words" }), el("span", { class: "muted value" }));
    button.addEventListener("click", () => watch(slot));
    return el("li", {}, button);
  });
  few.forEach((game, place) => {
    const button = $("boards").children[place].firstElementChild, [picture, words, value] = button.children;
    const key = `${game.game}|${game.ply}`;
    if (button.dataset.position !== key) {
      board(picture, rules.board, game, { last: game.last_mark });
    }
    button.dataset.position = key;
    say(words, `Game ${game.game}`);
    say(value, `ply ${game.ply}, ${signed(game.value)}`);
  });
  markShown();
}

function markShown() {
  for (const button of document.querySelectorAll(".mini")) set(button, "aria-pressed", shown.slot !== null && button.dataset.slot === String(shown.slot));
  for (const button of document.querySelectorAll(".row")) set(button, "aria-pressed", button.dataset.id === shown.id);
}

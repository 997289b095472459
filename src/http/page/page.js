// Keeps the page up to date from the daemon's events, says when there is no daemon, and gives it commands.

import { $, access, ask, clock, keepToken, readEvents, say, set } from "./dom.js";
import { sentence, showFigures, stateWords } from "./figures.js";
import { refresh, showRecent, startGames } from "./games.js";
import { showLearning } from "./learning.js";

// The status comes every second: without one for so long, something is wrong.
const SILENCE_MS = 6000, LONGEST_WAIT_S = 15, RECENT_EVERY_MS = 1500;

let events = null, status = null, heard = null, wait = 1, silence = null, retry = null, recentDue = null;

const HEARD = {
  status: (next) => take(next),
  game: () => (recentDue ??= setTimeout(lookAtRecent, RECENT_EVERY_MS)),
  swap: (swap) => tellSwap(swap),
};

async function connect() {
  clearTimeout(retry);
  events?.abort();
  const mine = (events = new AbortController());
  set($("link"), "data-link", "connecting");
  expect();
  const refused = await readEvents("v1/events", mine.signal, (name, data) => mine === events && HEARD[name]?.(data)).catch(() => null);
  if (mine !== events) return;
  if (refused === 401) locked();
  else lost();
}

// The daemon answers, but only holders of its token may read.
function locked() {
  clearTimeout(silence);
  keepToken(null);
  set($("link"), "data-link", "lost");
  say($("link-words"), "locked");
  say($("state"), "Locked");
  say($("state-line"), "This daemon shows itself to holders of its token only.");
  say(document.querySelector("title"), "Locked · selfplayd");
  $("gone").hidden = true;
  $("controls").hidden = true;
  $("locked").hidden = false;
}

// Events must go on coming.
function expect() {
  clearTimeout(silence);
  silence = setTimeout(lost, SILENCE_MS);
}

function take(next) {
  const returned = status === null || !$("gone").hidden;
  if (status && status.version !== next.version) {
    location.reload(); // This page is that of another version.
    return;
  }
  if (status && status.started_unix !== next.started_unix) said(`Another daemon answers here since ${clock(new Date())}.`);
  [status, heard, wait] = [next, new Date(), 1];
  expect();
  $("gone").hidden = true;
  document.body.classList.remove("stale");
  set($("link"), "data-link", "live");
  say($("link-words"), "live");
  showFigures(next);
  const well = next.health?.ok !== false && next.ready?.ok !== false;
  say(document.querySelector("title"), `${well ? "" : "⚠ "}${stateWords(next.state)} · ${next.run?.name ?? "selfplayd"}`);
  if (access.token && !next.control) keepToken(null); // It opens nothing any more.
  showControls(next.control);
  if (returned) {
    refresh();
    lookAtRecent();
  }
}

// No events: says so, and tries again after a wait that grows.
function lost() {
  clearTimeout(silence);
  events?.abort();
  events = null;
  set($("link"), "data-link", "lost");
  say($("link-words"), "no answer");
  document.body.classList.add("stale");
  const ended = status?.state === "draining";
  const since = heard ? ` since ${clock(heard)}` : "";
  say($("gone-words"), ended ? `The daemon has ended: it was draining, and nothing is heard${since}.` : `The daemon at ${location.host} does not answer${since}.`);
  say(document.querySelector("title"), ended ? "Ended · selfplayd" : "No answer · selfplayd");
  say($("gone-retry"), `Trying again every ${wait} s.`);
  $("gone").hidden = false;
  clearTimeout(retry);
  retry = setTimeout(connect, wait * 1000);
  wait = Math.min(wait * 2, LONGEST_WAIT_S);
}

function lookAtRecent() {
  recentDue = null;
  showRecent();
}

function tellSwap({ version, outcome, reason }) {
  said(outcome === "served" ? `Model ${version} took over.` : `Model ${version ?? "?"} was ${outcome}: ${reason ?? "no reason given"}.`);
}

const said = (words) => say($("said"), words);

function showControls(allowed) {
  if (allowed !== null) {
    $("controls").hidden = !allowed;
    $("locked").hidden = allowed;
  }
  const { paused, draining } = { paused: status.state === "paused", draining: status.state === "draining", ...status.control_state };
  say($("pause"), paused ? "Resume" : "Pause");
  $("pause").disabled = $("drain").disabled = $("reload").disabled = draining;
}

async function command(name, done) {
  try {
    const answer = await ask(`v1/${name}`, { method: "POST" });
    if (answer?.state) status = { ...status, control_state: { ...status.control_state, ...answer.state } };
    said(answer?.words ? answer.words.split("\n").map(sentence).join(". ") + "." : done);
    showControls(null);
  } catch (error) {
    said(`Not done: ${error.message}`);
  }
}

// Whether a token opens control; keeps it if it does.
async function tryToken(candidate) {
  const { control } = await ask("v1/status", { token: candidate }).catch((error) => (error.status === 401 ? { control: false } : Promise.reject(error)));
  if (control) {
    keepToken(candidate);
    connect();
  }
  return control;
}

$("pause").addEventListener("click", () => {
  const resume = $("pause").textContent === "Resume";
  command(resume ? "resume" : "pause", resume ? "Resumed." : "Paused: no batch is run and no game starts.");
});
$("reload").addEventListener("click", () => command("reload", "Reading the settings and looking for a model."));
$("drain").addEventListener("click", () => $("drain-dialog").showModal());
$("drain-dialog").addEventListener("close", () => {
  if ($("drain-dialog").returnValue === "yes") command("drain", "Draining: the daemon ends when the games in play are over.");
  $("drain-dialog").returnValue = "no";
});
$("unlock").addEventListener("click", () => {
  say($("token-said"), "");
  $("token-dialog").showModal();
});
$("token-cancel").addEventListener("click", () => $("token-dialog").close());
$("token-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    if (await tryToken($("token").value.trim())) $("token-dialog").close();
    else say($("token-said"), "This token does not open control here.");
  } catch (error) {
    say($("token-said"), error.message);
  }
  $("token").value = "";
});
$("retry").addEventListener("click", connect);

// One of the two views, by the part of the address after #.
function showView() {
  const learning = location.hash === "#learning";
  document.querySelectorAll(".of-play").forEach((part) => part.toggleAttribute("hidden", learning));
  document.querySelectorAll(".of-learning").forEach((part) => part.toggleAttribute("hidden", !learning));
  for (const [name, shown] of [["tab-play", !learning], ["tab-learning", learning]]) {
    if (shown) set($(name), "aria-current", "page");
    else $(name).removeAttribute("aria-current");
  }
  showLearning(learning);
}

addEventListener("hashchange", showView);
showView();
say($("instance"), location.host);
connect();
startGames();

// The status document as words, figures and bars.

import { $, ago, bytes, compact, count, daemonNow, duration, guess, el, fillList, fillPairs, percent, plural, rate, say, set, svg } from "./dom.js";
import { bar, ratings, sparkline } from "./draw.js";

const STATES = {
  starting: "Starting",
  waiting_for_model: "Waiting for a model",
  playing: "Playing",
  paused: "Paused",
  draining: "Draining",
  writer_blocked: "Blocked by the disk",
};

const ACTIVITIES = {
  working: "working",
  waiting_evaluations: "waiting for evaluations",
  waiting_work: "waiting for work",
  writer_blocked: "blocked by the writer",
  swap: "without a model in service",
  paused: "paused",
};

const SPEEDS = [
  ["evaluations_per_s", "Evaluations per second", ({ rates }) => `${rate(rates?.simulations_per_s)} simulations per second`],
  ["games_per_s", "Games per second", ({ games }) => `${count(games?.finished)} finished, ${count(games?.mean_plies)} plies on average`],
  ["positions_per_s", "Positions per second", ({ writer }) => `${bytes(writer?.bytes_written)} written`],
];

// The daemon's words are fragments; here they stand alone.
export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

export const stateWords = (state) => STATES[state] ?? state;

export function showFigures(status) {
  daemonNow(status.unix);
  showRun(status);
  showVerdict(status);
  showSpeed(status);
  showBatches(status);
  showSwaps(status.model?.swaps ?? [], status.model?.change);
  showMatches(status.matches);
  showTrainer(status.trainer);
  showThreads(status.threads ?? []);
  showPairs(status);
  showChildren(status.children ?? []);
  const { device, version, pid, settings_hash: hash, uptime_seconds: uptime } = status;
  const runtime = device?.onnxruntime ? `, ONNX Runtime ${device.onnxruntime}` : "";
  const precision = device?.precision ? ` in ${device.precision}` : "";
  const note = device?.note ? ` (${device.requested}: ${device.note})` : "";
  say($("about"), `selfplayd ${version}, process ${pid}, up ${duration(uptime)}, on ${device?.actual ?? "–"}${precision}${note}${runtime}, settings ${hash}`);
}

function showRun({ run, siblings = [] }) {
  say($("run"), run?.name ?? "");
  say($("places"), run ? `Plays ${run.rules}. Games go to ${run.output_dir}${run.model_source ? `; models come from ${run.model_source}` : ""}.` : "");
  $("siblings").hidden = !siblings.length;
  // One that listens everywhere is reached by the name under which this page was.
  const place = (url) => Object.assign(new URL(url), /^(0\.0\.0\.0|\[::\])$/.test(new URL(url).hostname) ? { hostname: location.hostname } : {}).href;
  fillList($("siblings-words"), siblings, ({ pid, host, url, run: its }) => `${host}|${pid}|${url}|${its}`, ({ pid, host, url, run: its }) =>
    el("span", { class: "sibling" }, url ? el("a", { href: place(url) }, `process ${pid}`) : `process ${pid}`,
      ` on ${host}${its === run?.name ? "" : `, for run ${its}`}`));
}

function mark(node, level) {
  set(node, "data-level", level);
}

function showVerdict(status) {
  const { state, health, ready, bottleneck, model, games, mode } = status;
  say($("state"), stateWords(state));
  mark($("state"), state === "playing" ? "good" : state === "writer_blocked" ? "bad" : "warn");
  const play = games ? `${count(games.active)} of ${plural(games.target, "game")} in play` : "";
  const waiting = games?.parked ? `, ${count(games.parked)} parked` : "";
  const { batch } = status, left = batch?.seconds_left;
  const far = batch && `${count(batch.written)} of ${plural(batch.games, "game")} written${left == null ? "" : `, ${guess(left)} left`}`;
  const end = far ?? (mode === "batch" ? "until its games are played" : "until told to stop");
  const pause = status.control_state?.paused && status.control_state.unloaded ? "; the device is free for others" : "";
  say($("state-line"), state === "playing" ? `${play}${waiting}${far ? "; " : ", "}${end}.` : `${play}${waiting}${far ? `; ${far}` : ""}${pause}.`);

  const warnings = status.warnings ?? [];
  const reasons = [...new Set([...(health?.reasons ?? []), ...(ready?.reasons ?? []), ...warnings])];
  const well = health?.ok !== false, fit = ready?.ok !== false;
  mark($("health"), !well ? "bad" : fit && !warnings.length ? "good" : "warn");
  const verdict = !well ? "Not healthy" : fit ? "Healthy, and ready" : "Healthy, but not ready";
  say($("health-words"), reasons.length ? `${verdict}: ${reasons.join("; ")}` : verdict);

  mark($("bottleneck"), ["writer", "memory", "model", "endless"].includes(bottleneck?.kind) ? "warn" : "plain");
  say($("bottleneck-words"), sentence(bottleneck?.statement ?? "not known yet"));
  say($("advice"), sentence(bottleneck?.advice ?? ""));

  const last = model?.swaps?.[0], found = model?.found;
  const incomplete = found?.outcome === "incomplete" && `version ${found.version} is not complete yet: ${found.reason}`;
  const newest = incomplete || (found?.outcome === "unreadable" && found.reason);
  const trouble = newest || (last && last.outcome !== "served");
  mark($("model"), model?.version == null || trouble ? "warn" : "plain");
  const serving = model?.version == null ? "None yet" : `Version ${model.version}, for ${duration(model.age_seconds)}`;
  const after = newest ? `; ${newest}` : trouble ? `; ${last.version == null ? "one" : `version ${last.version}`} was ${last.outcome}` : "";
  say($("model-words"), serving + after);
}

function showSpeed(status) {
  fillList($("rates"), SPEEDS, ([key]) => key, ([key, title]) =>
    el("figure", { class: "rate card" },
      el("figcaption", {}, title),
      el("p", { class: "now" }),
      svg("svg", { class: "spark", role: "img", viewBox: "0 0 300 56", preserveAspectRatio: "none" }),
      el("p", { class: "muted more" })));
  SPEEDS.forEach(([key, title, more], place) => {
    const node = $("rates").children[place], values = status.history?.[key] ?? [];
    const [now, minutes] = [rate(status.rates?.[key]), duration(values.length * (status.history?.step_seconds ?? 2))];
    say(node.querySelector(".now"), now);
    say(node.querySelector(".more"), more(status));
    const range = values.length ? `, between ${rate(Math.min(...values))} and ${rate(Math.max(...values))} in the last ${minutes}` : "";
    sparkline(node.querySelector("svg"), values, `${title}: now ${now}${range}`);
  });
}

function showBatches({ batch_sizes: bins, rates }) {
  const shown = (bins ?? []).map((bin, place) => ({ ...bin, over: place > 0 ? bins[place - 1].le : 0 }));
  while (shown.length > 1 && shown.at(-1).count === 0) shown.pop();
  const [all, top] = [shown.reduce((sum, bin) => sum + bin.count, 0), Math.max(...shown.map((bin) => bin.count), 1)];
  say($("batches-mean"), all ? `${rate(rates?.mean_batch)} on average in the last 10 s` : "no batch yet");
  const range = ({ le, over }) => (le === null ? `over ${over}` : le === over + 1 ? `${le}` : `${over + 1} to ${le}`);
  fillList($("batches"), shown, (bin) => `${bin.le}`, (bin) =>
    el("li", {}, el("span", { class: "words" }), el("span", { class: "bar", "aria-hidden": "true" }),
      el("span", { class: "size", "aria-hidden": "true" }, bin.le === null ? `>${bin.over}` : `${bin.le}`)));
  shown.forEach((bin, place) => {
    const [words, inner] = $("batches").children[place].children, share = all ? bin.count / all : 0;
    const text = `Batches of ${range(bin)}: ${count(bin.count)}, ${percent(share)}`;
    say(words, text);
    set(inner.parentElement, "title", text);
    inner.style.blockSize = `${(100 * bin.count) / top}%`;
  });
}

function showSwaps(swaps, change) {
  const shown = swaps.slice(0, 6);
  const words = ({ outcome, seconds, reason }) =>
    outcome === "served" ? (seconds == null ? "took over" : `took over, ready in ${seconds.toFixed(2)} s`) : `${outcome}: ${reason ?? "no reason given"}`;
  const against = change?.against;
  say($("swaps-change"), against ? `Model ${change.version}: policy KL ${against.policy_kl.toFixed(3)} nats, values ${against.value_change.toFixed(3)} from those of model ${against.version}` : "");
  fillList($("swaps"), shown, (swap) => `${swap.unix}|${swap.version}|${swap.outcome}`, (swap) =>
    el("li", { "data-outcome": swap.outcome },
      el("strong", {}, swap.version == null ? "?" : `${swap.version}`), el("span", { class: "words" }, words(swap)), el("span", { class: "muted when" })));
  shown.forEach((swap, place) => say($("swaps").children[place].lastElementChild, ago(swap.unix)));
  if (!shown.length) $("swaps").replaceChildren(el("li", { class: "muted" }, "No model yet."));
}

// What is drawn, so that the picture changes only with it.
let drawn = null;

function showMatches(matches) {
  $("matches").hidden = !matches;
  if (!matches) return;
  const { playing, newest, rated = [], gate, trouble } = matches;
  const elo = ({ elo: value, margin }) => `${value < 0 ? "−" : "+"}${count(Math.abs(value))} ± ${count(margin)} Elo`;
  $("ratings").toggleAttribute("hidden", !rated.length);
  if (rated.length && drawn !== JSON.stringify(rated)) {
    drawn = JSON.stringify(rated);
    ratings($("ratings"), rated, `Elo above search without a network: ${rated.map((each) => `${each.player} ${elo(each)}`).join(", ")}`);
  }
  say($("matches-now"), playing ? `${playing.players[0]} plays ${playing.players[1]}: ${2 * playing.pairs} of ${plural(2 * playing.of, "game")}` : "");
  const before = newest?.against == null ? [] : [[`${newest.version} against ${newest.against}`, `${percent(newest.score)} of the points`, newest.score < 0.5 ? "warn" : undefined]];
  const decided = gate ? [[`${gate.version} against ${gate.against}`, `${percent(gate.score)}: ${gate.promoted ? "promoted" : "not promoted"}`, gate.promoted ? undefined : "warn"]] : [];
  fillPairs($("matches-pairs"), [
    ...(newest ? [[`Version ${newest.version}`, `${elo(newest)} above search without a network`]] : []),
    ...before,
    ...decided,
    ...(trouble ? [["Trouble", sentence(trouble), "warn"]] : []),
    ...(newest || gate || trouble ? [] : [["Matches", "none is over yet"]]),
  ]);
}

function showTrainer(trainer) {
  $("trainer").hidden = !trainer;
  if (!trainer) return;
  const { age_seconds: age, trouble, figures } = trainer;
  const number = (value) => (value == null ? null : value !== 0 && Math.abs(value) < 0.01 ? value.toExponential(1) : rate(value));
  const pair = (name, value) => (value == null ? [] : [[name, value]]);
  const parts = [["policies", figures?.policy_loss], ["values", figures?.value_loss]].filter(([, part]) => part != null);
  const loss = figures?.loss == null ? null : `${number(figures.loss)}${parts.length ? ` (${parts.map(([name, part]) => `${name} ${number(part)}`).join(", ")})` : ""}`;
  say($("trainer-now"), age == null ? "" : `${duration(age)} ago`);
  fillPairs($("trainer-pairs"), [
    ["State", sentence(figures?.state ?? "not said")],
    ...(trouble ? [["Trouble", sentence(trouble), "warn"]] : []),
    ...pair("Published", figures?.version == null ? null : `version ${figures.version}`),
    ...pair("Steps", figures?.step == null ? null : count(figures.step)),
    ...pair("Loss", loss),
    ...pair("Learning rate", number(figures?.learning_rate)),
    ...pair("Gradient", number(figures?.gradient_norm)),
    ...pair("Window", figures?.window_rows == null ? null : plural(figures.window_rows, "row")),
    ...pair("Rows so far", figures?.rows == null ? null : count(figures.rows)),
    ...pair("Speed", figures?.samples_per_second == null ? null : `${rate(figures.samples_per_second)} samples per second`),
    ...pair("Samples per row", number(figures?.samples_per_row)),
  ]);
}

function showThreads(threads) {
  const text = ({ shares }) => Object.entries(shares ?? {})
    .filter(([, share]) => share >= 0.005)
    .sort(([, a], [, b]) => b - a)
    .map(([activity, share]) => `${percent(share)} ${ACTIVITIES[activity] ?? activity}`)
    .join(", ") || "not measured yet";
  const name = ({ role, count: number }) => (number > 1 ? `${role} × ${number}` : role);
  fillPairs($("threads"), threads.map((thread) => [name(thread), text(thread)]));
  threads.forEach((thread, place) => {
    const pair = $("threads").children[place];
    if (!pair.querySelector(".meter")) pair.lastElementChild.append(bar(thread.shares?.working ?? 0));
  });
}

function showPairs({ cache, rates, games, writer, run, state }) {
  // Of two limits the one that binds.
  const [part, whole] = cache?.limit === "entries" ? [cache.entries, cache.capacity_entries] : [cache?.bytes, cache?.capacity_bytes];
  const share = whole ? part / whole : 0;
  $("cache-meter").firstElementChild.style.inlineSize = `${100 * Math.min(share, 1)}%`;
  set($("cache-meter"), "aria-valuenow", Math.round(100 * share));
  say($("cache-rate"), `${percent(rates?.cache_hit_rate)} of leaves known`);
  const most = cache?.capacity_entries == null ? "" : ` of ${compact(cache.capacity_entries)}`;
  const gone = rates?.evictions_per_s > 0 ? [["Evicted", `${rate(rates.evictions_per_s)} per second`]] : [];
  fillPairs($("cache"), [
    ["Entries", `${compact(cache?.entries)}${most}`],
    ["Memory", cache?.capacity_bytes ? `${bytes(cache.bytes)} of ${bytes(cache.capacity_bytes)}` : "no cache"],
    ["Limit", cache?.limit ? `${cache.limit === "entries" ? "entries" : "memory"}, ${percent(share)} full` : "–"],
    ...gone,
  ]);
  const trouble = (number) => [count(number), number > 0 ? "warn" : undefined];
  fillPairs($("data"), [
    ["Finished", `${count(games?.finished)} of ${count(games?.started)} started`],
    ["Plies per game", games?.mean_plies == null ? "–" : games.mean_plies.toFixed(1)],
    ["Draws", percent(games?.draw_share)],
    ...(games?.adjudicated > 0 ? [["Adjudicated", count(games.adjudicated)]] : []),
    ...(games?.resigned > 0 ? [["Resigned", count(games.resigned)]] : []),
    ["Resumed", count(games?.resumed)],
    ["Set aside", ...trouble(games?.rejected)],
    ["Given up", ...trouble(games?.given_up)],
  ]);
  const { disk_free_bytes: free, disk_floor_bytes: floor } = writer ?? {};
  const low = free != null && free < (floor ?? 0);
  // All games that may be in play are: none waits for the writer.
  const held = state === "writer_blocked" || (writer?.credits === 0 && games?.active < games?.target);
  fillPairs($("writer"), [
    ["Written", plural(writer?.written ?? 0, "game")],
    ["To", run?.output_dir ?? "–"],
    ["Waiting", `${plural(writer?.queued ?? 0, "game")}${held ? ": no new game starts" : ""}`, held ? "warn" : undefined],
    ["Failed writes", ...trouble(writer?.errors)],
    ["Disk free", low ? `${bytes(free)}, but ${bytes(floor)} are needed` : `${bytes(free)}${floor ? `, plays down to ${bytes(floor)}` : ""}`, low ? "warn" : undefined],
    ["Journal", bytes(writer?.journal_bytes)],
  ]);
}

function showChildren(children) {
  const restarts = ({ restarts: of }) => Object.values(of ?? {}).reduce((sum, number) => sum + number, 0);
  const weight = (child) => (["hung", "restarting", "stopped"].includes(child.state) ? 1e6 : 0) + restarts(child) + (child.last_exit ? 0.5 : 0);
  const sorted = children.map((child, place) => [child, place]).sort(([a, i], [b, j]) => weight(b) - weight(a) || i - j).map(([child]) => child);
  const all = children.reduce((sum, child) => sum + restarts(child), 0);
  // Where nothing ever failed there is nothing to tell.
  $("trouble").hidden = !children.some((child) => restarts(child) > 0 || child.last_exit || ["hung", "restarting"].includes(child.state));
  say($("children-sum"), plural(all, "restart"));
  const why = (child) => Object.entries(child.restarts ?? {}).filter(([, number]) => number > 0).map(([reason, number]) => `${number} × ${reason}`).join(", ");
  const trouble = (child) => (child.last_exit ? `${child.last_exit}, ${duration(child.last_exit_seconds_ago)} ago` : "");
  fillList($("children"), sorted, (child) => child.name, (child) =>
    el("tr", {}, el("th", { scope: "row" }, child.name), el("td"), el("td"), el("td"), el("td", { class: "muted" }, child.cost)));
  sorted.forEach((child, place) => {
    const row = $("children").children[place], [, state, number, last] = row.children;
    mark(row, weight(child) >= 1e6 ? "bad" : weight(child) > 0 ? "warn" : "plain");
    say(state, child.running > 1 ? `${child.state} × ${child.running}` : child.state);
    say(number, restarts(child) ? `${why(child)} (${child.restarts_allowed} allowed in ${duration(child.window_seconds)})` : "none");
    say(last, trouble(child));
  });
}

// The page of a hub: looks at the fleet every second, and steers the roll-out.

import { $, access, ask, bytes, compact, count, duration, el, fillList, fillPairs, keepToken, plural, rate, say, set } from "./dom.js";

const LOOK_EVERY_MS = 1000, LOST_AFTER = 4;

let missed = 0, status = null;

async function look() {
  try {
    take(await ask("v1/fleet"));
    missed = 0;
  } catch (error) {
    if (error.status === 401) {
      keepToken(null);
      say($("state"), "Locked");
      say($("state-line"), "This hub shows itself to holders of its token only.");
      $("locked").hidden = false;
    } else if (++missed >= LOST_AFTER) {
      set($("link"), "data-link", "lost");
      say($("link-words"), "not connected");
      say($("gone-words"), "The hub does not answer.");
      $("gone").hidden = false;
      document.body.classList.add("stale");
    }
  }
  setTimeout(look, LOOK_EVERY_MS);
}

function take(next) {
  if (status && status.version !== next.version) {
    location.reload(); // This page is that of another version.
    return;
  }
  status = next;
  $("gone").hidden = true;
  document.body.classList.remove("stale");
  set($("link"), "data-link", "live");
  say($("link-words"), "live");
  say($("run"), next.run);
  say($("instance"), `process ${next.pid}, up ${duration(next.uptime_seconds)}`);
  say($("version"), `selfplayd ${next.version}`);
  const there = next.workers.filter((worker) => worker.present).length;
  const well = next.health.ok && next.ready.ok;
  say($("state"), next.publisher ? `${plural(there, "worker")} at play` : "Collecting");
  set($("state"), "data-level", next.health.ok ? (next.ready.ok ? "good" : "warn") : "bad");
  say($("state-line"), next.collector ? `${rate(next.games_per_second)} games a second, ${count(next.games)} in all${next.games_refused ? `, ${count(next.games_refused)} refused` : ""}` : "");
  say(document.querySelector("title"), `${well ? "" : "⚠ "}${plural(there, "worker")} · ${next.run}`);
  const reasons = [...next.health.reasons, ...next.ready.reasons];
  say($("health-words"), reasons.length ? reasons.join("; ") : "good");
  const part = next.publisher;
  $("rollout").hidden = !part;
  if (part) say($("rollout-words"), part.rollout + (part.waits_for.length ? `; waits for ${part.waits_for.join(", ")}` : ""));
  $("lag").hidden = !next.collector;
  if (next.collector) say($("lag-words"), lagWords(next.collector));
  $("look").hidden = next.warnings.length === 0;
  fillList($("warnings"), next.warnings, (words) => words, (words) => el("li", {}, words));
  showWorkers(next.workers, there);
  fillPairs($("ways"), ways(next));
  const steers = next.control && part;
  $("controls").hidden = !steers;
  $("locked").hidden = Boolean(next.control);
  if (part) {
    say($("hold"), part.held ? "Go on" : "Hold");
    $("promote").disabled = !["underway", "ready", "held"].includes(part.stage);
    $("withdraw").disabled = part.stage === "withdrawn" || part.previous === null;
  }
}

function lagWords(part) {
  if (part.frames_waiting === null) return "the broker has not said how much waits";
  const waiting = part.frames_waiting + part.frames_in_hand;
  return waiting === 0 ? "nothing waits at the broker" : `${plural(waiting, "frame")} on the way`;
}

function showWorkers(workers, there) {
  say($("workers-words"), `${count(there)} of ${count(workers.length)} are there`);
  $("none").hidden = workers.length > 0;
  fillList($("workers"), workers, (worker) => worker.name, () => el("tr", {}, el("th", { scope: "row" }), ...Array.from({ length: 8 }, () => el("td"))));
  workers.forEach((worker, place) => {
    const row = $("workers").children[place];
    const newest = worker.newest === null ? "–" : `${worker.newest} ${worker.standing.startsWith("bad") ? "bad" : worker.standing}${worker.canary ? " (first)" : ""}`;
    const box = worker.outbox ? `${bytes(worker.outbox.bytes)} of ${bytes(worker.outbox.most_bytes)}` : "–";
    const last = worker.last_word_seconds === null ? (worker.present === null ? "–" : "not there") : duration(worker.last_word_seconds);
    const back = worker.blocked ?? worker.trouble ?? worker.bottleneck ?? "–";
    const cells = [worker.name, last, worker.model ?? "–", newest, count(worker.games), rate(worker.games_per_second), compact(worker.simulations_per_second), box, back];
    cells.forEach((text, column) => say(row.children[column], String(text)));
    set(row, "data-level", worker.blocked || worker.trouble || worker.present === false ? "warn" : "good");
  });
}

function ways(next) {
  const pairs = [];
  if (next.collector) {
    pairs.push(["Games go to", next.collector.ready]);
    pairs.push(["The collector is", next.collector.link.words]);
    pairs.push(["Frames", `${count(next.collector.frames)} collected, ${count(next.collector.duplicates)} had come before, ${count(next.collector.messages_refused)} were none of this fleet`]);
  }
  if (next.publisher) {
    pairs.push(["The publisher is", next.publisher.link.words]);
    pairs.push(["Settings", next.publisher.settings_hash || "any"]);
  }
  return pairs;
}

async function steer(what, body) {
  try {
    const headers = { "Content-Type": "application/json", ...(access.token ? { Authorization: `Bearer ${access.token}` } : {}) };
    await ask(`v1/rollout/${what}`, { method: "POST", headers, body: body ? JSON.stringify(body) : null });
    say($("said"), "Done: it shows in a moment.");
  } catch (error) {
    say($("said"), error.message);
  }
}

$("hold").addEventListener("click", () => steer(status?.publisher?.held ? "resume" : "hold"));
$("promote").addEventListener("click", () => {
  if (confirm(`Have all workers serve model ${status?.publisher?.model} now?`)) steer("promote");
});
$("withdraw").addEventListener("click", () => {
  const why = prompt(`Have all workers go back to model ${status?.publisher?.previous}? The reason:`);
  if (why) steer("withdraw", { why });
});
$("unlock").addEventListener("click", () => {
  const token = prompt("The token of http.token_file:");
  if (token) {
    keepToken(token);
  }
});

look();

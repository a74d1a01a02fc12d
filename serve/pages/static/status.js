import { $, age, ask, element, start, table, time } from "./common.js";

const SECONDS = 3, KEPT = 60;
const SVG = "http://www.w3.org/2000/svg";
const samples = [];

function p99(now, before) {
  const below = now.below_ns.map((n, b) => n - (before ? before.below_ns[b] : 0));
  const all = below.reduce((sum, n) => sum + n, 0);
  let sum = 0;
  for (let b = 0; b < below.length; b++) if (all && (sum += below[b]) >= 0.99 * all) return 2 ** b / 1e6;
  return null;
}

/** Figures between two answers, or since the start of the server. */
function figures(now, before) {
  const n = (name) => now.counts[name] - (before ? before.counts[name] : 0);
  const seconds = before ? (Date.parse(now.at) - Date.parse(before.at)) / 1000 : 0;
  return {
    "Requests / s": seconds ? n("answers") / seconds : null,
    "Success": n("answers") ? 1 - n("failed") / n("answers") : null,
    "p99 of lists, below": p99(now.counts, before && before.counts),
    "Personalised": n("lists") ? n("personal") / n("lists") : null,
    "Age of lists": now.age_seconds,
  };
}

const share = (value) => (value === null ? "–" : `${(100 * value).toFixed(value === 1 ? 0 : 2)} %`);
const FORMATS = {
  "Requests / s": (v) => (v === null ? "–" : v.toFixed(1)), "Success": share, "Personalised": share,
  "p99 of lists, below": (v) => (v === null ? "–" : `${v.toPrecision(2)} ms`), "Age of lists": age,
};

function sparkline(values) {
  const drawn = document.createElementNS(SVG, "svg"), line = document.createElementNS(SVG, "polyline");
  drawn.setAttribute("viewBox", "0 0 100 20");
  drawn.setAttribute("preserveAspectRatio", "none");
  drawn.setAttribute("aria-hidden", "true");
  const known = values.map((v, i) => [i, v]).filter(([, v]) => v !== null);
  const top = Math.max(...known.map(([, v]) => v), 1e-9);
  line.setAttribute("points", known.map(([i, v]) => `${(100 * i) / Math.max(values.length - 1, 1)},${19 - (18 * v) / top}`).join(" "));
  drawn.append(line);
  return drawn;
}

function details(now) {
  const flips = now.publishes.map((one) => [time(one.at), one.what, one.generation, ...(now.is_operator ? [one.why] : [])]);
  const blocks = [
    table("Publishes, latest first", ["time, UTC", "what", "generation", ...(now.is_operator ? ["why"] : [])], flips),
    table("Workers", ["slot", "ready", "heartbeat"], now.workers.map((w) => [w.slot, w.ready ? "yes" : "no", `${w.heartbeat_seconds} s ago`])),
    table("Answers since the start", ["source", "number"], Object.entries(now.counts.by_source).filter(([, n]) => n)),
    table("Events of the supervisor", ["event", "number"], Object.entries(now.events)),
  ];
  if (now.experiment) {
    blocks.unshift(table(`Experiment ${now.experiment.name}`, ["arm", "share", "generation", "lists", "fresh", "other"],
      now.experiment.arms.map((arm) => [arm.name, arm.share, arm.generation, arm.list, arm.fresh, arm.other])));
  }
  return blocks.map((block) => element("section", {}, block));
}

async function show() {
  try {
    const now = await ask("/pages/data/status");
    samples.push(now);
    if (samples.length > KEPT) samples.shift();
    const last = figures(now, samples.length > 1 ? samples[0] : null);
    const drawn = samples.slice(1).map((one, i) => figures(one, samples[i]));
    $("figures").replaceChildren(...Object.entries(last).map(([name, value]) => element("div", { className: "figure" },
      element("dl", {}, element("dt", {}, name), element("dd", {}, FORMATS[name](value))), sparkline(drawn.map((one) => one[name])))));
    const held = now.pin ? `, pinned to ${now.pin}` : "";
    const said = now.alarms.length ? now.alarms.join("; ") : `All right: generation ${now.generation} is served${held}, ${now.n_takedowns} films taken down.`;
    if ($("verdict").textContent !== said) $("verdict").textContent = said;
    $("verdict").className = `verdict ${now.alarms.length ? "bad" : "good"}`;
    $("details").replaceChildren(...details(now));
    $("updated").textContent = `Updated ${now.at}; figures cover the time this page is open, at most ${KEPT * SECONDS} s.`;
  } catch (error) {
    $("verdict").textContent = `No answer: ${error.message}`;
    $("verdict").className = "verdict bad";
  }
}

start(show);
setInterval(show, SECONDS * 1000);

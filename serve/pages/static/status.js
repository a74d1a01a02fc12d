import { $, age, ask, element, GROUPS, groupsVerdict, start, table, time, verdict } from "./common.js";

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
    "99 % of lists within": p99(now.counts, before && before.counts),
    "Personalised": n("lists") ? n("personal") / n("lists") : null,
    "Age of lists": now.age_seconds,
  };
}

const share = (value) => (value === null ? "–" : `${(100 * value).toFixed(value === 1 ? 0 : 2)} %`);
const FORMATS = {
  "Requests / s": (v) => (v === null ? "measuring …" : v.toFixed(1)), "Success": share, "Personalised": share,
  "99 % of lists within": (v) => (v === null ? "–" : `${v.toPrecision(2)} ms`), "Age of lists": age,
};

function drawing(viewBox, ...shapes) {
  const drawn = document.createElementNS(SVG, "svg");
  drawn.setAttribute("viewBox", viewBox);
  drawn.setAttribute("preserveAspectRatio", "none");
  for (const [tag, points, name] of shapes) {
    const shape = document.createElementNS(SVG, tag);
    shape.setAttribute("points", points.map(([x, y]) => `${x.toFixed(2)},${y.toFixed(2)}`).join(" "));
    if (name) shape.setAttribute("class", name);
    drawn.append(shape);
  }
  return drawn;
}

function sparkline(values) {
  const known = values.map((v, i) => [i, v]).filter(([, v]) => v !== null);
  const top = Math.max(...known.map(([, v]) => v), 1e-9);
  const drawn = drawing("0 0 100 20", ["polyline", known.map(([i, v]) => [(100 * i) / Math.max(values.length - 1, 1), 19 - (18 * v) / top])]);
  drawn.setAttribute("aria-hidden", "true");
  return drawn;
}

/** The differences of an arm over the looks: a line, its interval as a band, and zero. */
function sequence(arm, { metric_words: metric, looks, difference_level: level }) {
  const found = looks.map((look) => look.differences.find((one) => one.arm === arm)).filter(Boolean);
  const top = Math.max(...found.flatMap((one) => [Math.abs(one.low), Math.abs(one.high)]), 1e-9);
  const x = (i) => (found.length > 1 ? (100 * i) / (found.length - 1) : 50), y = (value) => 20 - (19 * value) / top;
  const line = found.map((one, i) => [x(i), y(one.effect)]);
  const band = [...found.map((one, i) => [x(i), y(one.high)]), ...found.map((one, i) => [x(i), y(one.low)]).reverse()];
  const drawn = drawing("0 0 100 40", ["polygon", band, "band"], ["polyline", [[0, 20], [100, 20]], "zero"], ["polyline", line]);
  drawn.setAttribute("class", "sequence");
  drawn.setAttribute("role", "img");
  const last = found.at(-1);
  const label = `${capital(metric)} of arm “${arm}” minus that of the control, in ${found.length} ${found.length === 1 ? "look" : "looks"}, with its ${level} interval; in the last one ${interval(last.effect, last.low, last.high)}`;
  drawn.setAttribute("aria-label", label);
  return element("figure", {}, element("figcaption", {}, label), drawn);
}

const short = (value) => Number(value.toPrecision(4));
const interval = (value, low, high) => (value === null ? "–" : low === null ? `${short(value)}` : `${short(value)} (${short(low)} to ${short(high)})`);
const when = (iso) => (iso ? element("span", { className: "time" }, time(iso)) : "–");

const capital = (text) => text[0].toUpperCase() + text.slice(1);
const LOOK = "A look is one evaluation of the experiment on its users so far; “python -m stream experiment check” takes it.";
const lastLook = (last) => (last ? ` The last one was at ${time(last.at)} UTC.` : "");

/** What users are served, and whether it is good, by the report of each generation. */
function lists(found) {
  return [table("By the reports of their generations", ["generation", "its report in short", "a group served worse?", "served to"],
    found.lists.map((one) => [one.generation, verdict(one.report), groupsVerdict(one.report), one.arms.length ? `arm ${one.arms.map((arm) => `“${arm}”`).join(", ")}` : "all users"])),
  element("p", { className: "quiet" }, `${GROUPS} A report opens from `, element("a", { href: "/generations" }, "Generations"), ".")];
}

function experiment(found) {
  if (!found) return [element("p", {}, "No experiment runs.")];
  const last = found.last;
  const rate = (arm) => last?.arms.find((one) => one.name === arm.name);
  const arms = [...new Set(found.looks.flatMap((look) => look.differences.map((one) => one.arm)))];
  return [
    element("dl", {}, element("dt", {}, "Which arm is ahead?"), element("dd", {}, found.ahead),
      element("dt", {}, "May one stop?"), element("dd", {}, found.stop)),
    element("p", { className: "quiet" }, LOOK + lastLook(last)),
    table(`${found.name} (${found.kind}), since ${time(found.started_at)}`, ["arm", `${found.metric_words}${last ? `, ${found.level} interval` : ""}`, "users in the look", "share", "generation", "stored lists sent", "fresh lists sent", "other answers"],
      found.arms.map((arm) => [arm.name, rate(arm) ? interval(rate(arm).rate, rate(arm).low, rate(arm).high) : "–", rate(arm)?.n_users, `${short(100 * arm.share)} %`, arm.generation, arm.list, arm.fresh, arm.other])),
    ...arms.map((arm) => sequence(arm, found)),
    last?.guardrails.length ? table("Guardrails", ["arm", "verdict", "metric", "margin"], last.guardrails.map((one) => [one.arm, one.verdict, one.metric_words, one.margin])) : "",
  ];
}

function collector(found) {
  const known = found.at ? [[found.is_running ? "running" : "stopped", found.lag_messages, `${found.lag_seconds} s`, found.n_gaps, found.n_lost, when(found.flushed_at)]] : [];
  return [element("p", {}, found.summary),
    known.length ? table("Collector", ["state", "messages behind", "lag", "lost ranges", "messages lost", "last flush, UTC"], known) : ""];
}

function jobs(found, isOperator) {
  const alarms = found.alarms.map((one) => [one.name, one.level > 1 ? "urgent" : "open", when(one.since), ...(isOperator ? [one.text] : [])]);
  return [element("p", {}, found.summary),
    found.jobs.length ? table("Jobs", ["job", "last result", "began, UTC", "took", "last success, UTC", "next, UTC"],
      found.jobs.map((job) => [job.name, job.result, when(job.began), `${Math.round(job.seconds)} s`, when(job.last_success), job.next ? when(job.next) : job.when])) : "",
    alarms.length ? table("Open alarms", ["alarm", "level", "since, UTC", ...(isOperator ? ["text"] : [])], alarms) : ""];
}

const EVENTS = {
  respawns: "a worker ended and was replaced", swaps: "a snapshot was verified and is served",
  refusals: "a snapshot was damaged and was refused", retreats: "the snapshot before was served again",
};

const WIDE = ["Quality of the lists", "Experiment", "Jobs"];

function details(now) {
  const flips = now.publishes.map((one) => [when(one.at), one.what, one.generation, ...(now.is_operator ? [one.why] : [])]);
  const blocks = {
    "Quality of the lists": lists(now),
    Experiment: experiment(now.experiment),
    Publishes: [table("Latest first", ["time, UTC", "what", "generation", ...(now.is_operator ? ["why"] : [])], flips)],
    Collector: collector(now.collector),
    Jobs: jobs(now.cron, now.is_operator),
    Workers: [table(`${now.workers.length} alive; a replaced worker may leave its place empty`, ["place", "ready", "heartbeat"], now.workers.map((w) => [w.slot, w.ready ? "yes" : "no", `${w.heartbeat_seconds} s ago`]))],
    Answers: [table("Since the server started; a malformed request (400, 404) is the client's error, no failure", ["source", "number"], Object.entries(now.counts.by_source).filter(([, n]) => n))],
    Events: [table("Since the server started", ["event", "number"], Object.entries(now.events).map(([name, n]) => [EVENTS[name] ?? name, n]))],
  };
  return Object.entries(blocks).map(([name, parts]) => element("section", { className: WIDE.includes(name) ? "wide" : "" }, element("h2", {}, name), ...parts));
}

/** What is all right: who answers with what. */
function allRight(now) {
  const held = now.pin ? ` (pinned to ${now.pin})` : "", n = now.workers.filter((worker) => worker.ready).length;
  const arms = (now.experiment?.arms ?? []).filter((arm) => arm.generation !== now.generation)
    .map((arm) => `; ${short(100 * arm.share)} % of the users get generation ${arm.generation}, by the experiment`);
  return `All right: no alarm is open. ${n} ${n === 1 ? "worker answers" : "workers answer"} with generation ${now.generation}${held}, made ${age(now.age_seconds)} ago${now.data_until ? ` from events until ${time(now.data_until)}` : ""}${arms.join("")}. ` +
    `Films taken down: ${now.n_takedowns}.`;
}

/** Replace what has changed alone: the rest keeps the focus and its place. */
function update(parent, children) {
  children.forEach((child, i) => {
    const old = parent.children[i];
    if (!old) parent.append(child);
    else if (!old.isEqualNode(child)) old.replaceWith(child);
  });
}

async function show() {
  try {
    const now = await ask("/pages/data/status");
    samples.push(now);
    if (samples.length > KEPT) samples.shift();
    const before = samples.length > 1 ? samples[0] : null;
    const isQuiet = before !== null && before.counts.answers === now.counts.answers;
    const last = figures(now, isQuiet ? null : before);
    if (isQuiet) last["Requests / s"] = 0;
    const drawn = samples.slice(1).map((one, i) => figures(one, samples[i]));
    $("figures").replaceChildren(...Object.entries(last).map(([name, value]) => element("div", { className: "figure" },
      element("dl", {}, element("dt", {}, name), element("dd", {}, FORMATS[name](value))), sparkline(drawn.map((one) => one[name])))));
    const said = now.alarms.length ? `Needs attention: ${now.alarms.join("; ")}.` : allRight(now);
    if ($("verdict").textContent !== said) $("verdict").textContent = said;
    $("verdict").className = `verdict ${now.alarms.length ? "bad" : "good"}`;
    $("scope").textContent = `${now.collector.summary} ${now.cron.summary}`;
    update($("details"), details(now));
    $("updated").textContent = `Updated ${now.at}; figures cover ${isQuiet ? "the time since the server started, for no request has come while this page was open" : `the time this page is open, at most ${KEPT * SECONDS} s`}.`;
  } catch (error) {
    $("verdict").textContent = `No answer: ${error.message}`;
    $("verdict").className = "verdict bad";
  }
}

start(show);
setInterval(show, SECONDS * 1000);

import { $, ask, element, film, onSubmit, remember, start, state, table, time } from "./common.js";

/** Numbers of a tree of metrics, by their path. */
function flat(tree, path = "") {
  return Object.entries(tree ?? {}).flatMap(([name, value]) =>
    value !== null && typeof value === "object" ? flat(value, `${path}${name} `) : [[path + name, value]]);
}

const PARTS = { gate: ["Gate", true], counts: ["Counts", true], metrics: ["Metrics", true], parameters: ["Parameters", false], build: ["Build", false] };
const short = (value) => (typeof value === "number" && !Number.isInteger(value) ? value.toPrecision(4) : value);

/** Opens a report: the server gives an address that needs no token, for a minute. */
function reportButton(generation) {
  return element("button", { type: "button", ariaLabel: `Open the report of generation ${generation}`, onclick: async () => {
    try {
      location.assign((await ask(`/pages/data/report?${new URLSearchParams({ generation })}`)).address);
    } catch (error) {
      $("message").textContent = error.message;
    }
  } }, "open");
}

const shown = (value) => (value === null || value === undefined ? "–" : typeof value === "object" ? JSON.stringify(value) : short(value));

function change({ a, b }) {
  const isNumber = typeof a === "number" && typeof b === "number";
  return isNumber && a ? `${b > a ? "+" : ""}${short((100 * (b - a)) / Math.abs(a))} %` : "";
}

/** A table of each part of the manifests that differs. */
function manifests(found) {
  return Object.entries(PARTS).map(([part, [name, open]]) => {
    const entries = found.entries.filter((entry) => entry.part === part);
    return entries.length === 0 ? "" : element("details", { open }, element("summary", {}, `${name}: ${entries.length} differ`),
      table(name, ["name", `generation ${found.before}`, `generation ${found.after}`, "change"],
        entries.map((entry) => [entry.name, shown(entry.a), shown(entry.b), change(entry)])));
  });
}

async function show() {
  try {
    const found = await ask("/pages/data/generations");
    $("message").textContent = found.current ? `Generation ${found.current} is current${found.pin ? ", pinned" : ""}.` : "Nothing is served.";
    const rows = found.generations.map((one) => {
      if (one.error) return [one.generation, "damaged: " + one.error, "", "", "", "", "", ""];
      const quality = element("details", {}, element("summary", {}, "metrics"),
        element("ul", {}, ...flat(one.metrics).map(([name, value]) => element("li", {}, `${name}: ${short(value)}`))));
      const gate = element("details", {}, element("summary", {}, one.gate.result ?? "unknown"),
        element("ul", {}, ...(one.gate.checks ?? []).map((check) => element("li", {}, `${check.is_ok === false ? "failed" : "passed"}: ${check.rule}: ${check.note}`))));
      const mark = one.generation === found.current ? " (current)" : "";
      return [`${one.generation}${mark}`, one.has_report ? reportButton(one.generation) : "none", element("span", { className: "time" }, time(one.finished_at)), one.n_users, one.n_items, (one.n_bytes / 1e6).toFixed(1), gate, quality];
    });
    $("generations").replaceChildren(table("Newest first", ["generation", "report", "finished, UTC", "users", "items", "MB", "gate", "quality"], rows));
    const newest = found.generations.map((one) => one.generation);
    if (!$("before").value && newest.length > 1) [$("after").value, $("before").value] = newest;
  } catch (error) {
    $("message").textContent = error.message;
  }
}

async function compare() {
  const before = $("before").value.trim(), after = $("after").value.trim();
  remember({ before, after });
  try {
    const found = await ask(`/pages/data/compare?${new URLSearchParams({ before, after })}`);
    const moved = (name, one) => table(name, ["film", "lists"], one.map((item) => [film(item), (item.change > 0 ? "+" : "") + item.change]));
    const stayed = found.mean_overlap === null ? "–" : `${(100 * found.mean_overlap).toFixed(0)} %`;
    $("compared").replaceChildren(
      element("p", {}, `From ${found.before} to ${found.after}: ${found.n_changed} users' lists changed, ${found.n_same} stayed, ` +
        `${found.n_gained} new, ${found.n_lost} gone. On average ${stayed} of a list's films stayed in it.`),
      element("div", { className: "columns" }, moved("In more lists", found.rose), moved("In fewer lists", found.fell)),
      element("h3", {}, "What they were built with, and how good they are"),
      element("p", { className: "quiet" }, `${found.entries.length} entries of the manifests differ, ${found.n_equal_entries} are equal.`),
      ...manifests(found).filter(Boolean));
  } catch (error) {
    $("compared").replaceChildren(element("p", {}, error.message));
  }
}

async function act() {
  const body = { why: $("why").value };
  if ($("action").value !== "unpin" && $("to").value.trim()) body.to = Number($("to").value);
  try {
    const done = await ask(`/admin/${$("action").value}`, body);
    $("act-message").textContent = `Done: generation ${done.generation} is current.`;
    show();
  } catch (error) {
    $("act-message").textContent = error.message;
  }
}

const given = state();
for (const name of ["before", "after"]) $(name).value = given.get(name) ?? "";
onSubmit("compare-form", compare);
onSubmit("act-form", act);
start(() => { show(); if (given.get("before")) compare(); });

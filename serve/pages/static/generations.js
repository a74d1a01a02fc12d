import { $, ask, element, film, onSubmit, remember, start, state, table, time } from "./common.js";

/** Numbers of a tree of metrics, by their path. */
function flat(tree, path = "") {
  return Object.entries(tree ?? {}).flatMap(([name, value]) =>
    value !== null && typeof value === "object" ? flat(value, `${path}${name} `) : [[path + name, value]]);
}

const short = (value) => (typeof value === "number" && !Number.isInteger(value) ? value.toPrecision(4) : value);

async function show() {
  try {
    const found = await ask("/pages/data/generations");
    $("message").textContent = found.current ? `Generation ${found.current} is current${found.pin ? ", pinned" : ""}.` : "Nothing is served.";
    const rows = found.generations.map((one) => {
      if (one.error) return [one.generation, "damaged: " + one.error, "", "", "", "", ""];
      const quality = element("details", {}, element("summary", {}, "metrics"),
        element("ul", {}, ...flat(one.metrics).map(([name, value]) => element("li", {}, `${name}: ${short(value)}`))));
      const gate = element("details", {}, element("summary", {}, one.gate.result ?? "unknown"),
        element("ul", {}, ...(one.gate.checks ?? []).map((check) => element("li", {}, `${check.is_ok === false ? "failed" : "passed"}: ${check.rule}: ${check.note}`))));
      const mark = one.generation === found.current ? " (current)" : "";
      return [`${one.generation}${mark}`, time(one.finished_at), one.n_users, one.n_items, (one.n_bytes / 1e6).toFixed(1), gate, quality];
    });
    $("generations").replaceChildren(table("Newest first", ["generation", "finished, UTC", "users", "items", "MB", "gate", "quality"], rows));
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
    const overlap = found.mean_overlap === null ? "–" : found.mean_overlap.toFixed(3);
    $("compared").replaceChildren(
      element("p", {}, `From ${found.before} to ${found.after}: ${found.n_changed} users' lists changed, ${found.n_same} stayed, ` +
        `${found.n_gained} new, ${found.n_lost} gone; mean overlap of 20 items ${overlap}.`),
      element("div", { className: "columns" }, moved("In more lists", found.rose), moved("In fewer lists", found.fell)));
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

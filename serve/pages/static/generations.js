import { $, ask, element, film, GROUPS, groupsVerdict, onSubmit, remember, start, state, table, time, verdict } from "./common.js";

/** Figures of a tree of metrics, by their path; an interval is one, and a group has its name. */
function flat(tree, path = "") {
  return Object.entries(tree ?? {}).flatMap(([name, value]) => {
    const isTree = value !== null && typeof value === "object" && !isInterval(value);
    return isTree ? flat(value, `${path}${value.group ?? name} `) : [[path + name, value]];
  });
}

const short = (value) => (typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value);

/** Opens a report: the server gives an address that needs no token, for a minute. */
function reportButton(generation) {
  return element("button", { type: "button", ariaLabel: `Open the report of generation ${generation}`, onclick: async () => {
    try {
      location.assign((await ask(`/pages/data/report?${new URLSearchParams({ generation })}`)).address);
    } catch (error) {
      $("message").textContent = error.message;
    }
  } }, "Open report");
}

const isInterval = (value) => Array.isArray(value) && value.length === 3 && value[1] <= value[0] && value[0] <= value[2];
const shown = (value, part) => (value === null || value === undefined || value === "" ? "–" : part === "metrics" && isInterval(value) ? `${short(value[0])} (${short(value[1])} to ${short(value[2])})`
  : typeof value === "object" ? JSON.stringify(value) : short(value));

/** What changed, in words: on one side alone, by how much, and whether that is significant. */
function change({ part, a, b, presence, n_intervals: n, is_comparable: isComparable }, { before, after }) {
  if (presence === "only a") return `only in ${before}`;
  if (presence === "only b") return `only in ${after}`;
  if (!isComparable) return "of another day or other users";
  const [one, other] = [a, b].map((value) => (part === "metrics" && isInterval(value) ? value[0] : value));
  const isNumber = typeof one === "number" && typeof other === "number";
  const share = isNumber && one * other > 0 ? `${other > one ? "+" : ""}${((100 * (other - one)) / Math.abs(one)).toFixed(1)} %` : "";
  return [share, n === null ? "" : n > 1 ? "significant" : "n.s."].filter(Boolean).join(", ");
}

const EXPLAINED = {
  "quality on the last day": "NDCG@20 says how well a list of 20 ranks what its user watched on the last day, which was not trained on: 1 is perfect, 0 found nothing.",
  "quality by group": `${GROUPS} Groups overlap: a user is in one of age, of gender and of activity, as far as these are known.`,
};
const OPEN = ["quality on the last day"];
const capital = (text) => text[0].toUpperCase() + text.slice(1);

/** A table of each subject in which the manifests differ, in the server's order. */
function manifests(found) {
  return [...new Set(found.entries.map((entry) => entry.subject))].map((subject) => {
    const entries = found.entries.filter((entry) => entry.subject === subject), name = capital(subject);
    return element("details", { open: OPEN.includes(subject) }, element("summary", {}, `${name}: ${entries.length} differ`),
      EXPLAINED[subject] ? element("p", { className: "quiet" }, EXPLAINED[subject]) : "",
      table(name, ["figure", "change", `generation ${found.before}`, `generation ${found.after}`],
        entries.map((entry) => [entry.words, change(entry, found), shown(entry.a, entry.part), shown(entry.b, entry.part)])));
  });
}

/** A check of the gate in words: what could not be measured neither passed nor failed. */
const checked = ({ rule, figure, is_ok: isOk, note }) =>
  (isOk && figure === null ? `${rule}: ${note.startsWith("not evaluated") ? note : `not evaluated: ${note}`}` : `${isOk ? "passed" : "failed"}: ${rule}: ${note}`);

function quality({ metrics }) {
  const ndcg = metrics?.last_day?.ndcg?.new;
  return element("details", {}, element("summary", {}, ndcg === undefined ? "all figures" : `NDCG@20 ${shown(ndcg, "metrics")}`),
    element("ul", {}, ...flat(metrics).map(([name, value]) => element("li", {}, `${name.replaceAll("_", " ")}: ${shown(value, "metrics")}`))));
}

/** The change against the lists that were served before, of the same users on the same day. */
function gain({ metrics }) {
  const found = metrics?.last_day?.change?.served;
  return isInterval(found) ? `${shown(found, "metrics")}, ${found[1] > 0 ? "better" : found[2] < 0 ? "worse" : "n.s."}` : "–";
}

const gate = ({ gate: { result, checks } }) => element("details", {}, element("summary", {}, result ?? "unknown"),
  element("ul", {}, ...(checks ?? []).map((check) => element("li", {}, checked(check)))));

/** Whether a group is served worse; the groups that are too small to tell, by number of users. */
function groups({ report, small_groups: small }) {
  if (!small.length) return groupsVerdict(report);
  return element("details", {}, element("summary", {}, groupsVerdict(report)), element("p", { className: "quiet" }, "Evaluated users of those too small to tell:"),
    element("ul", {}, ...small.map((one) => element("li", {}, `${one.group}: ${one.n_users}`))));
}

const HEAD = ["generation", "its report in short", "a group served worse?", "report", "gate", "quality on its own last day, 95 % interval", "against those served before", "data until, UTC", "finished, UTC", "users", "items", "MB"];

function row(one, current) {
  if (one.error) return [one.generation, `damaged: ${one.error}`, ...HEAD.slice(2).map(() => "")];
  const marks = [one.generation === current ? "current" : "", one.arm ? `built for arm “${one.arm}”` : ""].filter(Boolean).join(", ");
  const when = (iso) => (iso ? element("span", { className: "time" }, time(iso)) : "–");
  return [`${one.generation}${marks ? ` (${marks})` : ""}`, verdict(one.report), groups(one), one.has_report ? reportButton(one.generation) : "none", gate(one), quality(one), gain(one), when(one.data_until), when(one.finished_at), one.n_users, one.n_items, (one.n_bytes / 1e6).toFixed(1)];
}

async function show() {
  try {
    const found = await ask("/pages/data/generations");
    $("message").textContent = found.current ? `Generation ${found.current} is current${found.pin ? ", pinned" : ""}.` : "Nothing is served.";
    $("generations").replaceChildren(table("Newest first", HEAD, found.generations.map((one) => row(one, found.current))),
      element("p", { className: "quiet" }, `Quality of two rows is of two days and other users: only the change against those served before compares like with like; n.s. = not significant. ${GROUPS}`));
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
      element("p", {}, `From ${found.before} to ${found.after}: ${found.n_changed} ${found.n_changed === 1 ? "user's list" : "users' lists"} changed in films or in their order, ${found.n_same} stayed as they were, ` +
        `${found.n_gained} new, ${found.n_lost} gone. On average ${stayed} of a list's films stayed in it.`),
      element("div", { className: "columns" }, moved("In more lists", found.rose), moved("In fewer lists", found.fell)),
      element("h3", {}, "What they were built with, and how good they are"),
      element("p", { className: "quiet" }, `${found.entries.length} figures and parameters differ, ${found.n_equal_entries} are equal. By subject, first what changed most for its interval. In brackets are 95 % intervals; n.s. = not significant. Raw names are in the `, element("a", { href: `/pages/data/compare?${new URLSearchParams({ before, after })}` }, "JSON"), "."),
      ...manifests(found));
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

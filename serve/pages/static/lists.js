import { $, age, ask, element, film, genres, onSubmit, remember, start, state, table } from "./common.js";
import { explanation } from "./explained.js";

const FIELDS = ["user", "generation", "beside", "query", "item"];
let added = [];  // films added to the history on this page, the latest first
let item = "";

const known = (value) => value !== null && value !== undefined;
const words = (one) => [genres(one), known(one.rating) ? `predicted rating ${one.rating}` : "", known(one.score) ? `score ${one.score}` : ""]
  .filter(Boolean).join(" · ");
const RULES = { explore: "drawn at random by the rule “explore”", spare: "moved up for a film that was taken down" };

function reasons(one, found) {
  return [RULES[one.rule], nearness(one, found)].filter(Boolean).join("; ");
}

function nearness(one, { source, history }) {
  if (source === "popular") return "from the popular list";
  if (history === null) return "no reason: the snapshot holds no history";
  if (one.why.length === 0) return "resembles no watched film closely";
  const place = (seen, n) => `no. ${seen.rank}${n ? "" : " of its nearest films"}${known(seen.score) ? `, ${n ? "" : "similarity "}${seen.score}` : ""}`;
  return "resembles the watched " + one.why.map((seen, n) => `“${seen.title || seen.item_id}” (${place(seen, n)})`).join(", ");
}

const WITHOUT_TRACE = {
  deny: "items denied by the operator", deny_file: "items denied by a file", availability: "only available items",
  adult_filter: "no adult titles for minors", boosts: "boosts", cost_weight: "licence cost",
  diversity: "diversity within a list", cap: "a cap on the lists with one item",
};

/** Which rules may have moved, added or removed a film: the snapshot does not record which, `explained` finds out. */
function untraced({ rules_without_trace: rules }) {
  return `Rules also in force for this generation: ${rules.map((name) => WITHOUT_TRACE[name]).join(", ")}. ` +
    "The snapshot does not record which films they moved, added or removed: “Why these, in this order?” runs them again.";
}

const ORDERS = {
  list: "In the order of the model's scores and of the rules, made by the refresh.",
  fresh: "In the order of the model's scores and of the rules, made again when the user's last events came.",
  history: "In the order of the model's scores and of the rules, made for this request from the history that it named.",
};

/** What orders the films. */
function order(found) {
  return `${ORDERS[found.source] ?? "In the order of the list that stands in for one of the user's own."} Neither predicted ratings nor resemblance to watched films order it${found.source === "list" || found.source === "fresh" ? ": the button says what does" : ""}.`;
}

function shown(found) {
  const isServed = found.generation === found.served;
  const head = `Generation ${found.generation}${isServed ? ", served to this user" : ""}`;
  const facts = [`source ${found.source}`, found.source === "popular" && found.n_history === 0 && "this user has no list of their own in it", isServed && found.arm && `arm “${found.arm}” of the experiment`, `${age(found.age_seconds)} old`,
    found.source === "fresh" && `made again after new events${known(found.n_since) ? `; ${found.n_since} ${found.n_since === 1 ? "film" : "films"} watched since the refresh` : ""}`];
  const lines = found.items.map((one) => element("div", { className: "quiet" }, reasons(one, found)));
  const list = element("ol", {}, ...found.items.map((one, n) => element("li", {}, film(one),
    element("div", { className: "quiet" }, words(one)), lines[n])));
  const history = found.history === null
    ? element("p", { className: "quiet" }, "The snapshot does not hold histories.")
    : element("ul", {}, ...found.history.map((one) => element("li", {}, film(one))));
  const json = `/pages/data/list?${new URLSearchParams({ user: found.user_id, generation: found.generation })}`;
  return element("section", {}, element("h2", {}, head), element("p", { className: "quiet" }, facts.filter(Boolean).join(" · "), " · ",
    element("a", { href: json }, "as JSON")), element("p", { className: "quiet" }, order(found)), explanation(found, lines), list,
    found.rules_without_trace.length ? element("p", { className: "quiet" }, untraced(found)) : "",
    found.withheld.length ? element("p", {}, "Taken down: " + found.withheld.map((one) => one.title || one.item_id).join(", ")) : "",
    element("h3", {}, `Watched (${found.n_history})`), history);
}

/** The list after the films that were added, by the server's own endpoint. */
async function changed(user) {
  const answer = await fetch(`/recommend/${encodeURIComponent(user || "nobody")}?format=json&history=${added.map(encodeURIComponent).join(",")}`);
  const found = await answer.json();
  if (!answer.ok) throw new Error(`${answer.status}: ${found.title}`);
  const clear = element("button", { type: "button", onclick: () => { added = []; show(); } }, "Remove them");
  return element("section", {}, element("h2", {}, "After the added films"),
    element("p", { className: "quiet" }, `after ${added.join(", ")} · source ${answer.headers.get("X-Marquee-Source")} `), clear,
    element("ol", {}, ...found.items.map((one) => element("li", {}, film(one)))));
}

async function show() {
  const fields = Object.fromEntries(FIELDS.map((name) => [name, name === "item" ? item : $(name).value.trim()]));
  remember(fields);
  const { user, generation, beside } = fields;
  $("lists").replaceChildren();
  $("message").textContent = user ? "" : "Type a user id to see the list, and why each film is in it.";
  try {
    const sections = [];
    if (user) {
      for (const one of beside ? [generation, beside] : [generation]) {
        sections.push(shown(await ask(`/pages/data/list?${new URLSearchParams({ user, generation: one })}`)));
      }
    }
    if (added.length) sections.push(await changed(user));
    $("lists").replaceChildren(...sections);
  } catch (error) {
    $("message").textContent = error.message;
  }
}

async function search() {
  const q = $("query").value.trim();
  if (!q) return;
  try {
    const found = await ask(`/pages/data/search?${new URLSearchParams({ q })}`);
    $("search-message").textContent = `${found.n_found} found`;
    $("found").replaceChildren(element("ul", {}, ...found.items.map((one) => {
      const name = one.title || one.item_id;
      const look = element("button", { type: "button", ariaLabel: `Look at ${name}`, onclick: () => { item = one.item_id; lookAt(); } }, "look");
      const add = element("button", { type: "button", ariaLabel: `Add ${name} to the history`, onclick: () => { added.unshift(one.item_id); show(); } }, "add to the history");
      return element("li", {}, film(one), " ", look, " ", add);
    })));
  } catch (error) {
    $("search-message").textContent = error.message;
  }
}

async function lookAt() {
  if (!item) return;
  remember({ ...Object.fromEntries(FIELDS.map((name) => [name, name === "item" ? item : $(name).value.trim()])) });
  try {
    const found = await ask(`/pages/data/film?${new URLSearchParams({ item })}`);
    const why = element("input", { required: true, autocomplete: "off" });
    const said = element("p", {});
    said.setAttribute("role", "status");
    const form = element("form", { className: "row", onsubmit: async (event) => {
      event.preventDefault();
      try {
        await ask("/admin/takedown", { items: [found.item_id], why: why.value });
        said.textContent = "Taken down.";
        show();
      } catch (error) { said.textContent = error.message; }
    } }, element("label", {}, "Reason ", why), element("button", {}, "Take it down"));
    $("film").replaceChildren(element("h3", {}, film(found)),
      element("p", {}, found.n_lists === null ? `Generation ${found.generation} has no report, which counts the lists. `
        : `In ${found.n_lists} of ${found.n_users} lists of generation ${found.generation}. `, genres(found)),
      table("Nearest films", ["rank", "film", "genres"], found.neighbours.map((one, n) => [n + 1, film(one), genres(one)])), form, said);
  } catch (error) {
    $("film").replaceChildren(element("p", {}, error.message));
  }
}

const given = state();
for (const name of FIELDS.slice(0, 4)) $(name).value = given.get(name) ?? "";
item = given.get("item") ?? "";
onSubmit("user-form", show);
onSubmit("search-form", search);
start(() => { show(); search(); lookAt(); });

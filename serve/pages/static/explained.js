// What places each film of a list: its score, its way through the rules, and the watched films that speak for it.

import { ask, element } from "./common.js";

const POLL_MILLISECONDS = 500;
const known = (value) => value !== null && value !== undefined;

const STEPS = {
  hidden: "without films that must not be shown", boosts: "by boosts", cost_weight: "by licence cost",
  diversity: "by diversity", cap: "by the cap",
};

/** The way of a film from its place by the model alone to that in the list. */
function way({ places }, rank) {
  if (!known(places.model)) return "the model does not rank it";
  const steps = [`no. ${places.model} by the model alone`];
  let before = places.model;
  for (const [rule, place] of Object.entries(places).slice(1)) {
    if (known(place) && place !== before) steps.push(`no. ${before = place} ${STEPS[rule] ?? `by ${rule}`}`);
  }
  if (before !== rank) steps.push(`no. ${rank} here, by exploration, the cap of all lists or a takedown`);
  return steps.length === 1 ? `${steps[0]}, and no rule moved it` : steps.join(", then ");
}

function spokenFor({ because }) {
  const share = ({ share }) => share < 0.005 ? "under 1\u00a0%" : `${Math.round(100 * share)}\u00a0%`;
  const others = 1 - because.reduce((sum, seen) => sum + seen.share, 0);
  const rest = others < 0.005 ? "" : ` and others (${share({ share: others })})`;
  return because.length ? "its score comes from the watched " + because.map((seen) => `“${seen.title || seen.item_id}” (${share(seen)})`).join(", ") + rest
    : "nothing watched speaks for it: it is popular";
}

/** Put in the place of the nearest films what places each film, which a process of its own computes in some seconds. */
async function explain(found, button, said, lines) {
  button.disabled = true;
  said.textContent = "Computing …";
  try {
    const path = `/pages/data/reasons?${new URLSearchParams({ user: found.user_id, generation: found.generation })}`;
    let why = await ask(path);
    for (; why.state === "running"; why = await ask(path)) await new Promise((go) => setTimeout(go, POLL_MILLISECONDS));
    if (why.state === "failed") throw new Error(why.problem);
    found.items.forEach((one, n) => {
      const its = why.items[one.item_id];
      lines[n].className = "";
      lines[n].textContent = its ? [known(its.score) ? `score ${its.score.toPrecision(3)}` : "", way(its, one.rank), spokenFor(its)].filter(Boolean).join("; ")
        : "the list has changed since: show it again";
    });
    said.textContent = "Scores are of this model and this user: they compare the films of one list, and nothing else.";
  } catch (error) {
    said.textContent = error.message;
    button.disabled = false;
  }
}

/** The button that explains a list, and where its words come; nothing for a list of nobody's own. */
export function explanation(found, lines) {
  if (found.source !== "list" && found.source !== "fresh") return "";
  const said = element("span", { className: "quiet" });
  said.setAttribute("role", "status");
  const button = element("button", { type: "button", onclick: () => explain(found, button, said, lines) }, "Why these, in this order?");
  return element("p", { className: "row" }, button, said);
}

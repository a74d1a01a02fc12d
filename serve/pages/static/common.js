// What the three pages share. Text becomes text nodes only: no markup of a title is ever parsed.

const MAX_NARROW_COLUMNS = 3;

export const $ = (id) => document.getElementById(id);

/** An element with properties and children; strings become text nodes. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children.filter((child) => child !== null && child !== ""));
  return made;
}

const token = () => sessionStorage.getItem("token") || "";

/** The JSON of a path; throws an Error in the server's words. */
export async function ask(path, body) {
  const headers = token() ? { Authorization: `Bearer ${token()}` } : {};
  const options = { headers, cache: "no-store" };
  if (body) {
    Object.assign(options, { method: "POST", body: JSON.stringify(body) });
    headers["Content-Type"] = "application/json";
  }
  const answer = await fetch(path, options);
  const found = await answer.json().catch(() => ({}));
  if (answer.status === 401) throw new Error("This needs the token: type it at the top, then “Use”.");
  if (!answer.ok) throw new Error([answer.status, found.title, found.detail].filter(Boolean).join(": "));
  return found;
}

export const state = () => new URLSearchParams(location.search);

/** Put the fields that are not empty into the address, as a permalink. */
export function remember(fields) {
  const kept = Object.entries(fields).filter(([, value]) => value);
  const query = new URLSearchParams(kept).toString();
  history.replaceState(null, "", query ? `?${query}` : location.pathname);
}

export function age(seconds) {
  if (seconds === null) return "unknown";
  for (const [unit, length] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= 2 * length) return `${Math.floor(seconds / length)} ${unit}`;
  }
  return `${seconds} s`;
}

/** A time without its offset, which is UTC's. */
export const time = (iso) => iso.slice(0, 16).replace("T", " ");

export const film = (item) =>
  element("span", {}, element("span", { className: "title" }, item.title || item.item_id),
    item.year ? ` (${item.year})` : "");

export const genres = (item) =>
  Array.isArray(item.genres) ? item.genres.map((one) => one.name ?? one).join(", ") : String(item.genres ?? "");

/** A table that scrolls in itself. On a narrow screen one of many columns shows each row as a card (pages.css). */
export function table(caption, head, rows) {
  const cells = (tag, row) => element("tr", { role: "row" }, ...row.map((cell, i) => {
    const isHead = tag === "th", made = element(tag, { role: isHead ? "columnheader" : "cell" }, cell instanceof Node ? cell : String(cell ?? "–"));
    if (isHead) made.scope = "col"; else made.dataset.label = head[i];
    return made;
  }));
  const group = (tag, ...children) => element(tag, { role: "rowgroup" }, ...children);
  const made = element("table", { role: "table", className: head.length > MAX_NARROW_COLUMNS ? "cards" : "" }, element("caption", {}, caption),
    group("thead", cells("th", head)), group("tbody", ...rows.map((row) => cells("td", row))));
  return element("div", { className: "scroll", role: "region", ariaLabel: caption, tabIndex: 0 }, made);
}

const KINDS = { good: "good", "look at it": "look", refused: "bad" };

/** A report in short: “good”, or what to look at and why. */
export const verdict = ({ word, why }) =>
  element("span", {}, element("strong", { className: KINDS[word] ?? "quiet" }, word), why ? `: ${why}` : "");

export const GROUPS = "A group is served worse if its quality is significantly below that of all users. “Activity 1” are the users with one film in their history, “activity 5–19” those with 5 to 19.";

/** Whether a group of users is served worse, in words. */
export const groupsVerdict = ({ worse_groups: worse, groups }) =>
  element("span", { className: worse?.length ? "look" : "" }, groups);

export function onSubmit(id, act) {
  $(id).addEventListener("submit", (event) => { event.preventDefault(); act(); });
}

/** Mark the page in the navigation; call `show` now and whenever a token is used. */
export function start(show) {
  for (const link of document.querySelectorAll("nav a")) {
    if (link.pathname === location.pathname) link.setAttribute("aria-current", "page");
  }
  onSubmit("token-form", () => { sessionStorage.setItem("token", $("token").value); $("token").value = ""; show(); });
  show();
}

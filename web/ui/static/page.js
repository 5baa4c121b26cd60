"use strict";

// Everything on the pages works without this file, except for deleting, copying, pausing and
// sending once more. It keeps what is shown up to date.

const byId = (id) => document.getElementById(id);
const dialog = byId("confirm");

// root is where the paths of the gateway begin: told by it, or else where the page is.
const root = new URL(document.documentElement.dataset.root || ".", document.baseURI);

let answered = Promise.resolve(); // the question before

// ask resolves to whether the user wants what the question says. That the dialog was closed is
// told a moment later: until then it does not open again, or that would be the next answer.
async function ask(title, question, { lines = [], yes = "Delete" } = {}) {
  await answered;
  byId("confirm-title").textContent = title;
  byId("confirm-text").textContent = question;
  byId("confirm-yes").textContent = yes;
  const list = byId("confirm-list");
  list.replaceChildren(...lines.map((line) => {
    const item = document.createElement("li");
    item.textContent = line;
    return item;
  }));
  list.hidden = lines.length === 0;
  dialog.returnValue = "no"; // what closing with Escape means
  dialog.showModal();
  answered = new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
  return answered;
}

// request sends something, and throws what went wrong as text.
async function request(method, path) {
  const answer = await fetch(new URL(path, root), { method });
  if (!answer.ok) {
    throw new Error(`${answer.status} ${(await answer.text()).trim()}`);
  }
  return answer;
}

function fail(what, err) {
  const message = byId("message");
  message.textContent = `${what}: ${err.message}`;
  message.hidden = false;
  message.scrollIntoView({ block: "nearest" });
}

function say(text) {
  byId("message").hidden = true;
  byId("done").textContent = text;
}

async function deleteGroup(button) {
  const { path, text, then } = button.dataset;
  if (!await ask("Delete this group?", text)) {
    return;
  }
  button.disabled = true;
  try {
    await request("DELETE", path);
  } catch (err) {
    button.disabled = false;
    fail("The group was not deleted", err);
    return;
  }
  if (then) {
    location.assign(new URL(then, root));
    return;
  }
  const row = button.closest(".group");
  const neighbour = row.nextElementSibling ?? row.previousElementSibling;
  row.remove();
  neighbour?.querySelector("a")?.focus();
  const total = byId("total");
  total.textContent = String(Math.max(0, Number(total.textContent) - 1));
  say(`Group ${text} was deleted.`);
}

async function deleteAll() {
  const total = byId("total").textContent;
  if (!await ask("Delete all groups?", `All ${total} groups go.`)) {
    return;
  }
  try {
    await request("PUT", "api/v1/admin/wipe");
    location.reload();
  } catch (err) {
    fail("The groups were not deleted", err);
  }
}

const words = (labels) => Object.entries(labels)
  .sort(([a], [b]) => (a === "job" ? -1 : b === "job" ? 1 : a < b ? -1 : 1))
  .map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(" ");

// deleteMatching deletes exactly what its question has shown or counted.
async function deleteMatching(button) {
  let deleted = 0;
  try {
    const { data } = await (await request("GET", button.dataset.preview)).json();
    const { groups } = data;
    const shown = groups.slice(0, 20).map((g) => words(g.labels));
    if (groups.length > shown.length) {
      shown.push(`and ${groups.length - shown.length} more`);
    }
    const rest = data.matching > groups.length ? ` The other ${data.matching - groups.length} stay for a next time.` : "";
    if (groups.length > 0 && await ask(`Delete ${groups.length} groups?`, `These match the filter, and go.${rest}`, { lines: shown })) {
      button.disabled = true;
      const left = groups.map((g) => g.path);
      const worker = async () => {
        while (left.length > 0) {
          await request("DELETE", left.pop());
          deleted++;
        }
      };
      await Promise.all([worker(), worker(), worker(), worker()]);
      location.reload();
    }
  } catch (err) {
    fail(`${deleted} groups were deleted, then it went wrong`, err);
  }
  button.disabled = false;
}

async function pause(button) {
  const title = button.textContent.trim();
  if (!await ask(`${title} this destination?`, byId("destination-title").textContent, { yes: title })) {
    return;
  }
  try {
    await request("POST", button.dataset.path);
    location.reload();
  } catch (err) {
    fail("Nothing was changed", err);
  }
}

async function replay(button) {
  if (!await ask("Send these once more?", button.dataset.text, { yes: "Send" })) {
    return;
  }
  try {
    const { data } = await (await request("POST", button.dataset.path)).json();
    button.disabled = true;
    button.textContent = "Being sent";
    say(`${data.letters} dead letters are being sent once more.`);
  } catch (err) {
    fail("Nothing is sent", err);
  }
}

async function copy(button) {
  const text = byId(button.dataset.copy).textContent.trim();
  try {
    await navigator.clipboard.writeText(text);
  } catch { // not in pages without TLS
    const range = document.createRange();
    range.selectNodeContents(byId(button.dataset.copy));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    document.execCommand("copy");
  }
  button.textContent = "Copied";
  say("Copied.");
}

const actions = { "button.delete": deleteGroup, "#delete-matching": deleteMatching, "#wipe": deleteAll, "button.pause": pause, "button.replay": replay, "button.copy": copy };

// dress gives what was loaded its actions.
function dress(part) {
  for (const [selector, action] of Object.entries(actions)) {
    for (const button of part.querySelectorAll(selector)) {
      button.hidden = false;
      button.addEventListener("click", () => action(button));
    }
  }
  for (const base of part.querySelectorAll("[data-base]")) {
    base.textContent = root.href;
  }
}
dress(document);

// A slash goes to the filter.
document.addEventListener("keydown", (e) => {
  const typing = e.target.closest?.("input, textarea, dialog");
  if (e.key === "/" && !typing && !e.ctrlKey && !e.metaKey && byId("q")) {
    e.preventDefault();
    byId("q").focus();
    byId("q").select();
  }
});

// Times go on.
const units = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]];
function span(seconds) {
  const at = units.findIndex(([size]) => seconds >= size);
  if (at < 0) {
    return "0s";
  }
  const [size, name] = units[at];
  const rest = at + 1 < units.length ? Math.floor(seconds % size / units[at + 1][0]) : 0;
  return `${Math.floor(seconds / size)}${name}${rest > 0 ? ` ${rest}${units[at + 1][1]}` : ""}`;
}
// The clock of the browser may be another one than that of the server.
let ahead = 0;
function tellTimes() {
  const now = Date.now() - ahead;
  for (const time of document.querySelectorAll("time[datetime]")) {
    const seconds = (now - Date.parse(time.dateTime)) / 1000;
    const text = seconds >= 0 ? `${span(seconds)} ago` : `in ${span(-seconds)}`;
    if (time.textContent !== text) {
      time.textContent = text;
    }
  }
}

// showHealth brings the line above, the title and the icon up to date.
function showHealth(health) {
  const state = byId("state");
  const line = state.querySelector("a");
  if (line.textContent !== health.text) {
    line.textContent = health.text;
  }
  state.className = `state ${health.level}`;
  const problems = health.findings.filter((f) => f.level === "warn" || f.level === "bad").length;
  const title = document.title.replace(/^\(\d+\) /, "");
  document.title = problems ? `(${problems}) ${title}` : title;
  const icon = byId("icon");
  const href = icon.getAttribute("href").replace(/icon-\w+\.svg/, `icon-${health.level}.svg`);
  if (icon.getAttribute("href") !== href) {
    icon.setAttribute("href", href);
  }
}

// busy says whether somebody does something in a part of the page, which must stay
// under their fingers then.
function busy(part) {
  const selection = getSelection();
  return part.contains(document.activeElement) || dialog.open ||
    (!selection.isCollapsed && part.contains(selection.anchorNode));
}

// renew replaces the parts of the page that have changed.
function renew(text) {
  const fresh = new DOMParser().parseFromString(text, "text/html");
  for (const part of fresh.querySelectorAll("[data-live]")) {
    const old = byId(part.id);
    if (!old || busy(old)) {
      continue;
    }
    const scrolled = [...old.querySelectorAll(".scroll")].map((s) => s.scrollLeft);
    old.replaceWith(part);
    part.querySelectorAll(".scroll").forEach((s, i) => { s.scrollLeft = scrolled[i] ?? 0; });
    dress(part);
  }
  for (const link of fresh.querySelectorAll("header nav a")) {
    const old = document.querySelector(`header nav a[href=${JSON.stringify(link.getAttribute("href"))}]`);
    if (old && !old.contains(document.activeElement)) {
      old.replaceChildren(...link.childNodes);
    }
  }
  tellTimes();
}

// A page asks how things are, and for itself so seldom that it is in no push's way: a
// fiftieth of the time at most.
const everyMs = 2500;
let nextPage = Date.now() + everyMs;
async function look() {
  try {
    const answer = await fetch(new URL("live", root), { cache: "no-cache" });
    if (answer.ok) {
      ahead = Date.now() - Date.parse(answer.headers.get("Date"));
      if (Math.abs(ahead) < 2000) {
        ahead = 0; // the header has whole seconds
      }
      showHealth(await answer.json());
    }
    if (!document.hidden && Date.now() >= nextPage && document.querySelector("[data-live]")) {
      const began = performance.now();
      const page = await fetch(location.href, { cache: "no-store" });
      if (page.ok) {
        renew(await page.text());
      }
      nextPage = Date.now() + Math.max(everyMs - 100, 50 * (performance.now() - began));
    }
    byId("state").classList.remove("lost");
  } catch {
    byId("state").classList.add("lost");
    byId("state").querySelector("a").textContent = "The gateway does not answer: what is shown is old.";
  }
  setTimeout(look, everyMs);
}
setTimeout(look, everyMs);
setInterval(tellTimes, 1000);

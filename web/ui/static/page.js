"use strict";

// Everything on the page works without this file, except for deleting.

const dialog = document.getElementById("confirm");
const message = document.getElementById("message");

// ask resolves to whether the user wants what the question says.
function ask(title, question) {
  document.getElementById("confirm-title").textContent = title;
  document.getElementById("confirm-text").textContent = question;
  dialog.returnValue = "no"; // what closing with Escape means
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

// root is where the paths of the gateway begin: told by it, or else where the page is.
const root = new URL(document.documentElement.dataset.root || ".", document.baseURI);

// request sends a change, and throws what went wrong as text.
async function request(method, path) {
  const answer = await fetch(new URL(path, root), { method });
  if (!answer.ok) {
    throw new Error(`${answer.status} ${(await answer.text()).trim()}`);
  }
}

function fail(what, err) {
  message.textContent = `${what}: ${err.message}`;
  message.hidden = false;
  message.scrollIntoView({ block: "nearest" });
}

async function deleteGroup(button) {
  const { path, text } = button.dataset;
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
  const group = button.closest(".group");
  const neighbour = group.nextElementSibling ?? group.previousElementSibling;
  group.remove();
  neighbour?.querySelector("summary")?.focus();
  message.hidden = true;
  const total = document.getElementById("total");
  total.textContent = String(Math.max(0, Number(total.textContent) - 1));
  document.getElementById("done").textContent = `Group ${text} was deleted.`;
}

async function deleteAll() {
  const total = document.getElementById("total").textContent;
  if (!await ask("Delete all groups?", `All ${total} groups go, whatever the filter shows.`)) {
    return;
  }
  try {
    await request("PUT", "api/v1/admin/wipe");
    location.assign("?");
  } catch (err) {
    fail("The groups were not deleted", err);
  }
}

for (const button of document.querySelectorAll("button.delete")) {
  button.hidden = false;
  button.addEventListener("click", () => deleteGroup(button));
}
const wipe = document.getElementById("wipe");
if (wipe) {
  wipe.hidden = false;
  wipe.addEventListener("click", deleteAll);
}

// The example shows the address of the gateway.
for (const base of document.querySelectorAll("[data-base]")) {
  base.textContent = root.href;
}

// Groups that were open stay open when the page is loaded again.
const openKey = "pushbridge.open";
const open = new Set(JSON.parse(sessionStorage.getItem(openKey) ?? "[]"));
for (const group of document.querySelectorAll(".group")) {
  const details = group.querySelector("details");
  if (open.has(group.dataset.group)) {
    details.open = true;
  }
  details.addEventListener("toggle", () => {
    open[details.open ? "add" : "delete"](group.dataset.group);
    sessionStorage.setItem(openKey, JSON.stringify([...open].slice(-1000)));
  });
}

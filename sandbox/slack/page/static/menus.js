// Menus, the World, the jump dialog, colours, tables that sort: what belongs to the page and not to a message.

import { act, say } from "./acts.js";
import { offer } from "./composer.js";
import { go } from "./frame.js";

const byId = (id) => document.getElementById(id);

/** Open a menu beside its button, inside the window, its first entry focused. */
export function openMenu(menu, button) {
  if (menu.matches(":popover-open")) return menu.hidePopover();
  menu.showPopover();
  const at = button.getBoundingClientRect();
  const size = menu.getBoundingClientRect();
  const below = at.bottom + 4 + size.height < innerHeight;
  menu.style.top = `${Math.max(8, below ? at.bottom + 4 : at.top - size.height - 4)}px`;
  menu.style.left = `${Math.max(8, Math.min(at.left, innerWidth - size.width - 8))}px`;
  button.setAttribute("aria-expanded", "true");
  menu.addEventListener("toggle", () => button.setAttribute("aria-expanded", "false"), { once: true });
  (menu.querySelector("[aria-current], [role=menuitem]") ?? menu.querySelector("button"))?.focus();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-menu]");
  if (button && !button.closest(".overflow")) openMenu(byId(button.dataset.menu), button);
});
document.addEventListener("keydown", (event) => {
  const menu = event.target.closest("[role=menu]");
  if (!menu || !["ArrowDown", "ArrowUp", "Home", "End"].includes(event.key)) return;
  event.preventDefault();
  const items = [...menu.querySelectorAll("[role=menuitem]")];
  const at = items.indexOf(document.activeElement);
  const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
  items[(next + items.length) % items.length]?.focus();
});

// Shortcuts: a message's own menu, and those that are used anywhere

let about = null;

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-menu=message-menu], [data-menu=shortcut-menu]");
  if (opener) about = opener.closest(".message");
}, { capture: true });

document.addEventListener("click", async (event) => {
  const item = event.target.closest("[data-shortcut]");
  if (!item) return;
  const menu = item.closest("[popover]");
  const on = menu.id === "message-menu" ? about : null;
  menu.hidePopover();
  const channel = on ? on.dataset.channel : byId("main").dataset.channel;
  const answer = await act("shortcut", { shortcut: item.dataset.shortcut, channel, ts: on?.dataset.ts ?? "", tab: document.body.dataset.tab });
  if (!answer.ok) say(answer.said);
});

// World

async function pressed(button, verb, asked, { quiet = false } = {}) {
  button.disabled = true;
  button.setAttribute("aria-busy", "true");
  const answer = await act(verb, asked, `/world/${verb}`);
  button.disabled = false;
  button.removeAttribute("aria-busy");
  if (!quiet || !answer.ok) say(answer.said, { wrong: !answer.ok });
  return answer.ok;
}

/** Break it; what is to be typed then is put into the message box. */
async function broken(button) {
  const done = await pressed(button, "break", { kind: button.dataset.break });
  if (!done || !button.dataset.then) return;
  byId("world").hidePopover();
  offer(button.dataset.then);
}

document.addEventListener("click", async (event) => {
  const target = event.target.closest("[data-break], [data-switch], [data-reset], [data-copy], [data-try], [data-jump], [data-theme-choice]");
  if (!target) return;
  if (target.dataset.break) broken(target);
  else if (target.dataset.switch) pressed(target, target.ariaChecked === "true" ? "off" : "on", { kind: target.dataset.switch }, { quiet: true });
  else if ("reset" in target.dataset) pressed(target, "reset", {});
  else if (target.dataset.copy) copy(target);
  else if (target.dataset.try) {
    byId("world").hidePopover();
    offer(target.dataset.try);
  }
  else if ("jump" in target.dataset) openJump();
  else if (target.dataset.themeChoice) theme(target.dataset.themeChoice);
});

async function copy(button) {
  try {
    await navigator.clipboard.writeText(byId(button.dataset.copy).textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(byId(button.dataset.copy));
    button.textContent = "Selected";
  }
  setTimeout(() => (button.textContent = "Copy"), 2000);
}

// Jump

function openJump() {
  byId("jump-text").value = "";
  filterJump();
  byId("jump").showModal();
}

const jumps = () => [...byId("jump-list").querySelectorAll("[role=option]:not([hidden])")];

function filterJump() {
  const wanted = byId("jump-text").value.trim().toLowerCase();
  for (const one of byId("jump-list").children) one.hidden = !one.textContent.toLowerCase().includes(wanted);
  mark(jumps()[0]);
}

function mark(option) {
  for (const one of byId("jump-list").children) one.removeAttribute("aria-selected");
  option?.setAttribute("aria-selected", "true");
  option?.scrollIntoView({ block: "nearest" });
  byId("jump-text").setAttribute("aria-activedescendant", option?.id ?? "");
}

function jump(option) {
  byId("jump").close();
  if (option) go(option.dataset.url, { focus: "composer-text" });
}

document.addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    if (byId("jump").open) byId("jump").close();
    else openJump();
  } else if (event.target.id === "jump-text" && ["ArrowDown", "ArrowUp", "Enter"].includes(event.key)) {
    event.preventDefault();
    const options = jumps();
    const at = options.findIndex((one) => one.hasAttribute("aria-selected"));
    if (event.key === "Enter") jump(options[at]);
    else mark(options[(at + (event.key === "ArrowDown" ? 1 : -1) + options.length) % options.length]);
  } else if (event.key === "Escape" && !document.querySelector("dialog[open], :popover-open")) {
    if (document.body.classList.contains("side-open")) document.body.classList.remove("side-open");
    else if (!event.defaultPrevented) document.querySelector("#thread:not([hidden]) [data-close-thread]")?.click();
  }
});
document.addEventListener("input", (event) => event.target.id === "jump-text" && filterJump());
byId("jump").addEventListener("click", (event) => {
  const option = event.target.closest("[role=option]");
  if (option) jump(option);
  else if (event.target === byId("jump")) byId("jump").close();
});

// Colours

function theme(name) {
  document.documentElement.dataset.theme = name;
  document.cookie = `theme=${name}; path=/; max-age=31536000; samesite=strict`;
  for (const one of document.querySelectorAll("[data-theme-choice]")) {
    one.setAttribute("aria-checked", String(one.dataset.themeChoice === name));
  }
}

// Tables that their reader sorts, filters and turns over

const pages = new WeakMap();

function lay(table) {
  const size = Number(table.dataset.pageSize);
  const wanted = table.querySelector(".data-table-filter").value.trim().toLowerCase();
  const rows = [...table.querySelectorAll("tbody tr")];
  const fit = rows.filter((row) => row.textContent.toLowerCase().includes(wanted));
  const last = Math.max(Math.ceil(fit.length / size) - 1, 0);
  const at = Math.min(Math.max(pages.get(table) ?? 0, 0), last);
  pages.set(table, at);
  for (const row of rows) row.hidden = true;
  for (const row of fit.slice(at * size, (at + 1) * size)) row.hidden = false;
  const from = fit.length ? at * size + 1 : 0;
  table.querySelector("[data-count]").textContent = `${from}–${Math.min((at + 1) * size, fit.length)} of ${fit.length}`;
  const [back, on] = table.querySelectorAll("[data-step]");
  back.disabled = at === 0;
  on.disabled = at === last;
}

function sort(table, head) {
  const at = [...head.closest("tr").children].indexOf(head);
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const one of head.closest("tr").children) one.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const worth = (row) => row.children[at]?.dataset.value ?? row.children[at]?.textContent.trim() ?? "";
  const rows = [...table.querySelectorAll("tbody tr")].sort((a, b) => worth(a).localeCompare(worth(b), undefined, { numeric: true }));
  table.querySelector("tbody").append(...(down ? rows.reverse() : rows));
  lay(table);
}

document.addEventListener("click", (event) => {
  const table = event.target.closest("[data-table]");
  if (!table) return;
  const step = event.target.closest("[data-step]");
  if (step) {
    pages.set(table, (pages.get(table) ?? 0) + Number(step.dataset.step));
    lay(table);
  } else if (event.target.closest(".sort")) sort(table, event.target.closest("th"));
});
document.addEventListener("input", (event) => {
  if (event.target.matches(".data-table-filter")) lay(event.target.closest("[data-table]"));
});
new MutationObserver(() => {
  for (const table of document.querySelectorAll("[data-table]:not([data-laid])")) {
    table.dataset.laid = "yes";
    lay(table);
  }
}).observe(document.body, { childList: true, subtree: true });
for (const table of document.querySelectorAll("[data-table]")) lay(table);

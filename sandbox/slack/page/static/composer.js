// The composer: completion of commands and names, the history of what was sent, drafts.

import { act, say } from "./acts.js";
import { toEnd } from "./frame.js";

const drafts = new Map();
const sent = JSON.parse(sessionStorage.getItem("sent") ?? "[]");
let back = -1;

const composers = () => document.querySelectorAll("[data-composer]");
const draftKey = (form) => `${document.body.dataset.who} ${form.dataset.channel} ${form.dataset.thread}`;

export function keepDraft() {
  for (const form of composers()) drafts.set(form.dataset.key, form.querySelector("textarea").value);
}

export function putDraft() {
  for (const form of composers()) {
    form.dataset.key = draftKey(form);
    const area = form.querySelector("textarea");
    if (!area.value) area.value = drafts.get(form.dataset.key) ?? "";
    fit(area);
  }
}

function fit(area) {
  area.style.height = "auto";
  area.style.height = `${Math.min(area.scrollHeight, 240)}px`;
  area.form.querySelector(".send").disabled = !area.value.trim();
}

/** Put a text into the channel's composer, for the person to look at and send. */
export function offer(text) {
  const area = document.getElementById("composer-text");
  if (!area) return;
  area.value = text;
  fit(area);
  area.focus();
  close(area.form);
}

// Completion

const listOf = (form) => form.querySelector(".completion");
const shownOf = (list) => [...list.querySelectorAll("[role=option]:not([hidden])")];

function close(form) {
  const list = listOf(form);
  list.hidden = true;
  const area = form.querySelector("textarea");
  area.setAttribute("aria-expanded", "false");
  area.removeAttribute("aria-activedescendant");
}

function choose(form, option) {
  const list = listOf(form);
  for (const one of list.querySelectorAll("[aria-selected]")) one.removeAttribute("aria-selected");
  option.setAttribute("aria-selected", "true");
  form.querySelector("textarea").setAttribute("aria-activedescendant", option.id);
  option.scrollIntoView({ block: "nearest" });
}

/** Which of the list fit what is typed: `/`, `/omnicare de`, or `@ma` at the end. */
function fits(form, text) {
  const slash = form.dataset.slash;
  const mention = /(?:^|\s)@([\w.-]*)$/.exec(text);
  return (option) => {
    const { kind, name } = option.dataset;
    if (kind === "person") return mention !== null && name.startsWith(mention[1].toLowerCase());
    if (kind === "root") return text.startsWith("/") && text !== slash && slash.startsWith(text);
    if (!text.startsWith(`${slash} `) && text !== slash) return false;
    const rest = text.slice(slash.length).trimStart();
    return !rest.includes(" ") && name.startsWith(rest.toLowerCase()) && !(name === rest && text.endsWith(" "));
  };
}

function complete(form) {
  const area = form.querySelector("textarea");
  const list = listOf(form);
  const text = area.value.slice(0, area.selectionStart);
  const whole = area.selectionStart === area.value.length;
  const fit = fits(form, text);
  let first = null;
  for (const option of list.querySelectorAll("[role=option]")) {
    option.hidden = !(whole && fit(option));
    if (!option.hidden) first ??= option;
  }
  if (!first) return close(form);
  list.hidden = false;
  area.setAttribute("aria-expanded", "true");
  choose(form, first);
}

function take(form, option) {
  const area = form.querySelector("textarea");
  const { kind, insert } = option.dataset;
  area.value = kind === "person" ? area.value.replace(/@[\w.-]*$/, insert) : insert;
  close(form);
  fit(area);
  area.focus();
  if (kind === "root") complete(form);
}

// Sending

async function send(form) {
  const area = form.querySelector("textarea");
  const text = area.value.trim();
  if (!text || form.hasAttribute("aria-busy")) return;
  close(form);
  area.value = "";
  fit(area);
  sent.push(text);
  sessionStorage.setItem("sent", JSON.stringify(sent.slice(-50)));
  back = -1;
  toEnd(form.closest(".channel, .thread").querySelector(".scroll")); // the answer comes there, also one that only they see
  form.setAttribute("aria-busy", "true");
  const words = form.querySelector("[data-composer-words]");
  const slow = setTimeout(() => (words.textContent = "Sending…"), 300);
  const { channel, thread } = form.dataset;
  const answer = await act("type", { channel, thread, text, tab: document.body.dataset.tab });
  clearTimeout(slow);
  words.textContent = "";
  form.removeAttribute("aria-busy");
  if (answer.ok) return;
  say(answer.said);
  if (!area.value) area.value = text;
  fit(area);
}

function recall(area, step) {
  const at = Math.min(Math.max(back + step, -1), sent.length - 1);
  if (at === back) return;
  back = at;
  area.value = at < 0 ? "" : sent[sent.length - 1 - at];
  fit(area);
  area.setSelectionRange(area.value.length, area.value.length);
}

function keys(event) {
  const area = event.target.closest("[data-composer] textarea");
  if (!area || event.isComposing) return;
  const form = area.form;
  const list = listOf(form);
  const open = !list.hidden;
  const options = open ? shownOf(list) : [];
  const at = options.findIndex((one) => one.getAttribute("aria-selected") === "true");
  if (open && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    event.preventDefault();
    const step = event.key === "ArrowDown" ? 1 : -1;
    choose(form, options[(at + step + options.length) % options.length]);
  } else if (open && event.key === "Tab" && !event.shiftKey) {
    event.preventDefault();
    take(form, options[at]);
  } else if (open && event.key === "Escape") {
    event.preventDefault();
    event.stopPropagation();
    close(form);
  } else if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    const typed = area.value.trim();
    const chosen = open ? options[at] : null;
    // the command alone is whole too: it asks for the menu, unless somebody has moved to a line of the list
    const whole = chosen && (chosen.dataset.insert.trim() === typed || (typed === form.dataset.slash && at === 0));
    if (chosen && !whole) take(form, chosen);
    else send(form);
  } else if (event.key === "ArrowUp" && (!area.value || back >= 0)) {
    event.preventDefault();
    recall(area, 1);
  } else if (event.key === "ArrowDown" && back >= 0) {
    event.preventDefault();
    recall(area, -1);
  }
}

document.addEventListener("keydown", keys);
document.addEventListener("input", (event) => {
  const area = event.target.closest("[data-composer] textarea");
  if (!area) return;
  back = -1;
  fit(area);
  complete(area.form);
});
document.addEventListener("submit", (event) => {
  const form = event.target.closest("[data-composer]");
  if (!form) return;
  event.preventDefault();
  send(form);
});
document.addEventListener("mousedown", (event) => {
  const option = event.target.closest(".completion [role=option]");
  if (option) {
    event.preventDefault();
    take(option.closest("[data-composer]"), option);
  } else {
    for (const form of composers()) if (!form.contains(event.target)) close(form);
  }
});

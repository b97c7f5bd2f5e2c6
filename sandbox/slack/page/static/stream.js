// The stream: the server sends pieces of the page, this puts them in their places.

import { atEnd, go, scroller, toEnd } from "./frame.js";

const byId = (id) => document.getElementById(id);
let socket = null;
let tries = 0;

/** Claim the stream of the page that is shown; the one before ends when this one stands. */
export function begin() {
  const tab = document.body.dataset.tab;
  const before = socket;
  const mine = new WebSocket(`ws://${location.host}/live/${tab}`);
  socket = mine;
  mine.addEventListener("open", () => {
    before?.close();
    seen();
  });
  mine.addEventListener("message", (event) => {
    const order = JSON.parse(event.data);
    if (order.op === "stale") {
      if (mine === socket) socket = null;
      again();
      return;
    }
    connected();
    if (mine === socket || order.op !== "go") obey(order);
  });
  mine.addEventListener("close", () => {
    if (mine !== socket) return;
    socket = null;
    lost();
  });
}

function connected() {
  tries = 0;
  byId("connection").hidden = true;
  document.body.classList.remove("disconnected");
}

function lost() {
  setTimeout(() => {
    if (socket) return;
    byId("connection").hidden = false;
    document.body.classList.add("disconnected");
  }, 400);
  again();
}

/** The page may have missed something: draw it again, which begins a new stream. */
async function again() {
  const wait = Math.min(300 * 2 ** tries++, 5000);
  await new Promise((done) => setTimeout(done, wait));
  if (socket) return;
  if (!(await go(location.href, { push: false }))) again();
}

/** Tell how far the channel was read, if somebody looks. */
export function seen() {
  const list = byId("messages");
  const latest = [...(list?.children ?? [])].at(-1)?.dataset.order;
  if (latest && document.visibilityState === "visible" && socket?.readyState === WebSocket.OPEN) {
    socket.send(JSON.stringify({ seen: latest }));
  }
}
document.addEventListener("visibilitychange", seen);

function piece(html) {
  const template = document.createElement("template");
  template.innerHTML = html.trim();
  return template.content.firstElementChild;
}

/** What a person did to the old piece stays: what they opened, where they stand. */
export function carryOver(old, fresh) {
  for (const one of old.querySelectorAll("details[data-keep]")) {
    const other = fresh.querySelector(`details[data-keep="${CSS.escape(one.dataset.keep)}"]`);
    if (other) other.open = one.open;
  }
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  if (!focused) return () => {};
  const key = (element) => ["data-action", "href", "id"].map((name) => element.getAttribute(name)).join("|");
  return () => [...fresh.querySelectorAll("a,button,input,select,textarea")].find((one) => key(one) === key(focused))?.focus();
}

// A browser makes no click of a press and a release on two elements, so nothing is drawn anew while a finger or the mouse
// is down on something to press: a card that changes twice a second could not be pressed otherwise.
const LONGEST_PRESS = 1000;
const later = [];
let pressed = 0;

function obey(order) {
  if (pressed) later.push(order);
  else orders[order.op]?.(order);
}

function released() {
  clearTimeout(pressed);
  pressed = 0;
  for (const order of later.splice(0)) orders[order.op]?.(order);
}
document.addEventListener("pointerdown", (event) => {
  if (!event.target.closest("a,button,label,summary")) return;
  clearTimeout(pressed);
  pressed = setTimeout(released, LONGEST_PRESS);
});
// The click comes after the release: what waited is drawn behind it.
for (const name of ["pointerup", "pointercancel"]) document.addEventListener(name, () => pressed && setTimeout(released));

const orders = {
  put({ id, list: listId, order, html, new: isNew }) {
    const list = byId(listId);
    if (!list) return;
    const fresh = piece(html);
    const box = list.closest(".scroll");
    const end = atEnd(box);
    const old = byId(id);
    if (old) {
      if (old.querySelector(".new-line") && !fresh.querySelector(".new-line")) {
        fresh.prepend(old.querySelector(".new-line"));
      }
      const focus = carryOver(old, fresh);
      old.replaceWith(fresh);
      focus();
    } else {
      if (!isNew) return;
      const after = [...list.children].reverse().find((one) => one.dataset.order < order);
      if (after) after.after(fresh);
      else list.prepend(fresh);
      fresh.classList.add("arrives");
      if (!end && listId === "messages" && !fresh.hasAttribute("data-own")) byId("newest").hidden = false;
    }
    if (end || (isNew && fresh.hasAttribute("data-own"))) toEnd(box);
    if (isNew) seen();
  },
  drop({ id }) {
    byId(id)?.remove();
  },
  swap({ id, html }) {
    const place = byId(id);
    if (!place) return;
    if (place.querySelector(":popover-open")) {
      // An open menu is not taken away under somebody's hand; the next change brings the rest.
      place.querySelector(":popover-open").addEventListener("toggle", () => orders.swap({ id, html }), { once: true });
      return;
    }
    const box = scroller();
    const end = box?.contains(place) && atEnd(box);
    const template = document.createElement("div");
    template.innerHTML = html;
    const focus = carryOver(place, template);
    place.replaceChildren(...template.childNodes);
    const key = focus && document.activeElement === document.body;
    if (key) focus();
    if (end) toEnd(box);
  },
  modal({ html }) {
    document.dispatchEvent(new CustomEvent("form", { detail: html }));
  },
  go({ url }) {
    go(url, { focus: document.activeElement?.id ?? "" });
  },
};

// Going from place to place without loading the page anew: the server draws the whole page, this takes its parts.

import { keepDraft, putDraft } from "./composer.js";
import { begin } from "./stream.js";
import { say } from "./acts.js";

const byId = (id) => document.getElementById(id);
export const scroller = () => byId("scroll");
export const atEnd = (box) => !box || box.scrollHeight - box.scrollTop - box.clientHeight < 80;
export const toEnd = (box) => box && (box.scrollTop = box.scrollHeight);

let going = 0;

/** Show the page at `url`. What stands already (the same channel) keeps its place on the screen. */
export async function go(url, { push = true, focus = "" } = {}) {
  const mine = ++going;
  const slow = setTimeout(() => document.body.classList.add("loading"), 150);
  let fresh;
  try {
    const response = await fetch(url, { headers: { "X-Part": "frame" } });
    if (!response.ok) throw new Error(await response.text());
    fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    url = response.url;
  } catch (error) {
    if (mine === going && push) say(error instanceof TypeError ? "The sandbox could not be reached." : error.message);
    return false;
  } finally {
    clearTimeout(slow);
    if (mine === going) document.body.classList.remove("loading");
  }
  if (mine !== going) return true;
  if (push && url !== location.href) history.pushState(null, "", url);
  put(fresh, focus);
  return true;
}

function put(fresh, focus) {
  keepDraft();
  const main = byId("main");
  const next = fresh.getElementById("main");
  const same = main.dataset.place === next.dataset.place && main.dataset.base === next.dataset.base &&
    main.hasAttribute("data-home") === next.hasAttribute("data-home");
  const box = scroller();
  const from = box && !atEnd(box) ? box.scrollTop : null;
  const writing = document.activeElement?.closest("[data-composer]")?.dataset.thread;
  document.title = fresh.title;
  document.body.dataset.tab = fresh.body.dataset.tab;
  document.body.dataset.who = fresh.body.dataset.who;
  document.body.classList.remove("side-open");
  byId("frame").dataset.person = fresh.getElementById("frame").dataset.person;
  for (const id of ["side", "main", "thread", "world-body", "world-nights", "jump-list", "app-status"]) swapWhole(id, fresh);
  swapWhole("modal", fresh, { keep: true });
  if (same && from !== null) scroller().scrollTop = from;
  else toEnd(scroller());
  toEnd(byId("thread-scroll"));
  putDraft();
  begin();
  arrived();
  const wanted = focus || (writing === undefined ? "" : "composer-text");
  if (wanted && matchMedia("(min-width: 700px)").matches) byId(wanted)?.focus({ preventScroll: true });
}

/** Take one part and its attributes from the fresh page. */
function swapWhole(id, fresh, { keep = false } = {}) {
  const old = byId(id);
  const next = fresh.getElementById(id);
  if (!old || !next) return;
  if (keep) {
    // A dialog is kept, since replacing it would close it.
    const same = old.querySelector("[data-modal]")?.dataset.modal === next.querySelector("[data-modal]")?.dataset.modal;
    if (!same) document.dispatchEvent(new CustomEvent("form", { detail: next.innerHTML }));
    return;
  }
  old.replaceWith(document.adoptNode(next));
}

/** What a newly shown place needs once. */
export function arrived() {
  const box = scroller();
  if (box && !box.dataset.watched) {
    box.dataset.watched = "yes";
    box.addEventListener("scroll", () => {
      if (atEnd(box)) byId("newest").hidden = true;
      if (box.scrollTop < 160) byId("older")?.querySelector("button")?.click();
    });
  }
}

/** A hundred older messages above those that are there; what one reads stays where it is. */
export async function older(button) {
  const list = byId("messages");
  const first = list?.querySelector("[data-order]");
  if (!first || button.disabled) return;
  button.disabled = true;
  button.textContent = "Loading…";
  const main = byId("main");
  try {
    const url = `${main.dataset.base}/${main.dataset.place}/older?before=${first.dataset.order}`;
    const { html, more } = await (await fetch(url)).json();
    const box = scroller();
    const below = box.scrollHeight - box.scrollTop;
    list.insertAdjacentHTML("afterbegin", html);
    if (!more) {
      byId("older").remove();
      byId("beginning").hidden = false;
    }
    box.scrollTop = box.scrollHeight - below;
  } catch {
    say("Older messages could not be loaded.");
  }
  button.disabled = false;
  button.textContent = "Older messages";
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-go]");
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  link.closest("[popover]")?.hidePopover();
  const focus = link.matches("[data-thread-link], .message-tools a") ? "reply-text" : "composer-text";
  go(link.href, { focus });
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-older]");
  if (button) older(button);
  if (event.target.closest("#newest")) toEnd(scroller());
  if (event.target.closest("[data-show-side]")) document.body.classList.toggle("side-open");
  if (event.target.closest("[data-hide-side]")) document.body.classList.remove("side-open");
});
addEventListener("popstate", () => go(location.href, { push: false }));

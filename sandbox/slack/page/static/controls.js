// The controls inside blocks: buttons, selects and fields of messages, forms and Home.

import { act, say } from "./acts.js";
import { openMenu } from "./menus.js";

const surfaceOf = (element) => element.closest("[data-view], .message");

/** Where a control stands, as the server wants to know it. */
function whereIs(element) {
  const surface = surfaceOf(element);
  if (!surface) return {};
  if (surface.dataset.view) return { view: surface.dataset.view };
  return { channel: surface.dataset.channel, ts: surface.dataset.ts };
}

/** What a field holds now; undefined for what holds nothing (buttons, menus). */
export function valueOf(control) {
  switch (control.dataset.control) {
    case "value":
    case "select":
      return control.value;
    case "moment":
      return control.value ? Math.floor(new Date(control.value).getTime() / 1000) : null;
    case "several":
      return [...control.querySelectorAll("input:checked")].map((one) => one.value);
    case "radio":
      return control.querySelector("input:checked")?.value ?? null;
    case "external": {
      const chosen = control.querySelector("[data-chosen]").value;
      return chosen ? JSON.parse(chosen) : null;
    }
    default:
      return undefined;
  }
}

/** All fields of a message or form: {block_id: {action_id: value}}. */
export function valuesOf(surface) {
  const values = {};
  for (const control of surface?.querySelectorAll("[data-control]") ?? []) {
    const value = valueOf(control);
    if (value === undefined) continue;
    (values[control.dataset.block] ??= {})[control.dataset.action] = value;
  }
  return values;
}

/** Ask first, if the control wants that. */
export function confirmed(control) {
  if (!control.dataset.confirm) return Promise.resolve(true);
  const asked = JSON.parse(control.dataset.confirm);
  const dialog = document.getElementById("confirm");
  dialog.querySelector("h2").textContent = asked.title;
  dialog.querySelector("#confirm-text").innerHTML = asked.text;
  const yes = dialog.querySelector("[data-yes]");
  yes.textContent = asked.confirm;
  yes.className = `button ${asked.style === "danger" ? "danger filled" : "primary"}`;
  dialog.querySelector("[data-deny]").textContent = asked.deny;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((done) => dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true }));
}

/** Use a control: pressed at once, quiet while it waits, the sandbox's word if it went wrong. */
async function use(control, value, pressed = control) {
  if (pressed.hasAttribute("aria-busy") || !(await confirmed(control))) return;
  pressed.setAttribute("aria-busy", "true");
  if ("disabled" in pressed) pressed.disabled = true;
  const neighbours = pressed.closest(".b-actions")?.querySelectorAll("button:not([disabled])") ?? [];
  for (const one of neighbours) one.disabled = true;
  const answer = await act("click", {
    ...whereIs(control),
    block: control.dataset.block,
    action: control.dataset.action,
    value: value ?? null,
    values: valuesOf(surfaceOf(control)),
    tab: document.body.dataset.tab,
  });
  pressed.removeAttribute("aria-busy");
  for (const one of [pressed, ...neighbours]) if ("disabled" in one) one.disabled = false;
  if (!answer.ok) say(answer.said);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-control=button]");
  if (button) {
    use(button, button.dataset.value);
    return;
  }
  const more = event.target.closest(".overflow > [data-menu]");
  if (more) {
    openMenu(document.getElementById(more.dataset.menu), more);
    return;
  }
  const option = event.target.closest(".overflow .menu-item");
  if (option) {
    const control = option.closest("[data-control]");
    option.closest("[popover]").hidePopover();
    use(control, option.dataset.option, control.querySelector("button"));
  }
});

document.addEventListener("change", (event) => {
  const control = event.target.closest("[data-control]");
  if (!control) return;
  if (control.dataset.most) limit(control);
  if (control.hasAttribute("data-live") && control.dataset.control !== "external") use(control, valueOf(control));
});

function limit(control) {
  const full = control.querySelectorAll("input:checked").length >= Number(control.dataset.most);
  for (const box of control.querySelectorAll("input")) box.disabled = full && !box.checked;
}

// Selects whose options the app gives

const waiting = new WeakMap();

function suggest(control) {
  const input = control.querySelector("[role=combobox]");
  control.querySelector("[data-chosen]").value = "";
  clearTimeout(waiting.get(control));
  if (input.value.length < Number(control.dataset.least)) return shut(control);
  waiting.set(control, setTimeout(async () => {
    const typed = input.value;
    const { block, action } = control.dataset;
    const answer = await act("suggest", { ...whereIs(control), block, action, typed });
    if (input.value !== typed) return;
    draw(control, answer.options ?? []);
  }, 150));
}

function draw(control, options) {
  const list = control.querySelector("[role=listbox]");
  list.replaceChildren(...options.map((option, at) => {
    const item = document.createElement("li");
    item.role = "option";
    item.id = `${list.id}-${at}`;
    item.dataset.option = JSON.stringify(option);
    item.textContent = option.text.text;
    return item;
  }));
  if (!options.length) {
    const none = document.createElement("li");
    none.className = "quiet";
    none.textContent = "Nothing fits.";
    list.append(none);
  }
  list.hidden = false;
  control.querySelector("[role=combobox]").setAttribute("aria-expanded", "true");
  list.querySelector("[role=option]")?.setAttribute("aria-selected", "true");
}

function shut(control) {
  control.querySelector("[role=listbox]").hidden = true;
  control.querySelector("[role=combobox]").setAttribute("aria-expanded", "false");
}

function pick(control, item) {
  const option = JSON.parse(item.dataset.option);
  control.querySelector("[role=combobox]").value = option.text.text;
  control.querySelector("[data-chosen]").value = item.dataset.option;
  shut(control);
  if (control.hasAttribute("data-live")) use(control, option);
}

document.addEventListener("input", (event) => {
  const control = event.target.closest("[data-control=external]");
  if (control) suggest(control);
});
document.addEventListener("focusout", (event) => {
  const control = event.target.closest("[data-control=external]");
  if (control && !control.contains(event.relatedTarget)) shut(control);
});
document.addEventListener("mousedown", (event) => {
  const item = event.target.closest("[data-control=external] [role=option]");
  if (!item) return;
  event.preventDefault();
  pick(item.closest("[data-control]"), item);
});
document.addEventListener("keydown", (event) => {
  const control = event.target.closest("[data-control=external]");
  const list = control?.querySelector("[role=listbox]");
  if (!control || list.hidden) return;
  const items = [...list.querySelectorAll("[role=option]")];
  const at = items.findIndex((one) => one.hasAttribute("aria-selected"));
  if (event.key === "Escape") {
    event.preventDefault();
    event.stopPropagation();
    shut(control);
  } else if (items.length && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    event.preventDefault();
    const next = items[(at + (event.key === "ArrowDown" ? 1 : -1) + items.length) % items.length];
    items[at]?.removeAttribute("aria-selected");
    next.setAttribute("aria-selected", "true");
    next.scrollIntoView({ block: "nearest" });
    control.querySelector("[role=combobox]").setAttribute("aria-activedescendant", next.id);
  } else if (items.length && event.key === "Enter") {
    event.preventDefault();
    pick(control, items[at]);
  }
});

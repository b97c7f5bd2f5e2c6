// Modals: shown, kept while they change, submitted, closed.

import { act, say, who } from "./acts.js";
import { valuesOf } from "./controls.js";

const dialog = () => document.getElementById("modal");
const form = () => dialog().querySelector("[data-modal]");

/** Show this form, or none. What was entered in a form that only changed stays in it. */
function show(html) {
  const box = dialog();
  const old = form();
  const template = document.createElement("template");
  template.innerHTML = html.trim();
  const next = template.content.firstElementChild;
  if (!next) {
    box.replaceChildren();
    if (box.open) box.close();
    return;
  }
  if (old?.dataset.modal === next.dataset.modal) keepEntries(old, next);
  box.replaceChildren(next);
  if (!box.open) box.showModal();
  const first = next.querySelector("[autofocus], .modal-body .field, .modal-body input, .modal-body button");
  (first ?? next.querySelector("[type=submit]") ?? next.querySelector(".button"))?.focus();
}

function keepEntries(old, next) {
  for (const control of old.querySelectorAll("[data-control] , [data-control] input")) {
    if (!control.id && !control.closest("[id]")) continue;
    const other = control.id ? next.querySelector(`#${CSS.escape(control.id)}`) : null;
    if (other && "value" in other && control.type !== "checkbox" && control.type !== "radio") other.value = control.value;
  }
  for (const box of old.querySelectorAll("input:is([type=checkbox],[type=radio])")) {
    const owner = box.closest("[data-control]");
    const twin = next.querySelector(`#${CSS.escape(owner.id)} input[value="${CSS.escape(box.value)}"]`);
    if (twin) twin.checked = box.checked;
  }
}

function busy(on) {
  const own = form();
  if (!own) return;
  own.toggleAttribute("aria-busy", on);
  for (const button of own.querySelectorAll(".modal-foot button")) button.disabled = on;
}

function showErrors(errors, said) {
  const own = form();
  if (!own) return;
  let first = null;
  for (const block of own.querySelectorAll("[data-input]")) {
    const words = errors[block.dataset.input] ?? "";
    const place = block.querySelector(".field-error");
    place.textContent = words;
    place.hidden = !words;
    block.classList.toggle("has-error", Boolean(words));
    const field = block.querySelector(".field, input");
    field?.toggleAttribute("aria-invalid", Boolean(words));
    if (words) first ??= field;
  }
  const whole = own.querySelector(".modal-error");
  whole.hidden = !said;
  whole.lastElementChild.textContent = said ?? "";
  first?.focus();
}

document.addEventListener("form", (event) => show(event.detail));

document.addEventListener("submit", async (event) => {
  const own = event.target.closest("[data-modal]");
  if (!own) return;
  event.preventDefault();
  if (own.hasAttribute("aria-busy")) return;
  const asked = { view: own.dataset.modal, values: valuesOf(own) };
  busy(true);
  const answer = await act("submit", asked);
  busy(false);
  if (!answer.ok) showErrors(answer.errors ?? {}, answer.said);
});

async function close(clear) {
  const own = form();
  if (!own) return;
  const answer = await act("close", { view: own.dataset.modal, clear });
  if (!answer.ok) {
    say(answer.said);
    show("");
  }
}

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-close-modal]")) close(false);
  if (event.target.closest("[data-close-all]")) close(true);
});
dialog().addEventListener("cancel", (event) => {
  if (event.target !== dialog()) return;
  event.preventDefault();
  close(false);
});
if (form()) dialog().showModal();

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-join]");
  if (!button) return;
  button.disabled = true;
  const answer = await act("join", { channel: button.dataset.join }, `/act/${who()}/join`);
  if (answer.ok) location.reload();
  else say(answer.said);
});

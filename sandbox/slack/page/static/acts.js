// What the page tells the server, and what the sandbox itself has to say.

export const who = () => document.body.dataset.who;

/** Post one act. Never throws: a lost connection is an answer too. */
export async function act(verb, asked, path = `/act/${who()}/${verb}`) {
  try {
    const response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(asked),
    });
    if (!response.ok) return { ok: false, said: `The sandbox refused this (${response.status}).` };
    return await response.json();
  } catch {
    return { ok: false, said: "The sandbox could not be reached. Is it still running?" };
  }
}

/** A word of the sandbox's own: never in the bot's place, never in its look. */
export function say(words, { wrong = true } = {}) {
  if (!words) return;
  const toast = document.createElement("div");
  toast.className = wrong ? "toast wrong" : "toast";
  const mark = document.createElement("span");
  mark.className = "sandbox-word";
  mark.textContent = "Sandbox";
  const text = document.createElement("span");
  text.textContent = words;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "close";
  close.setAttribute("aria-label", "Dismiss");
  close.textContent = "✕";
  close.addEventListener("click", () => toast.remove());
  toast.append(mark, text, close);
  document.getElementById("toasts").append(toast);
  setTimeout(() => toast.remove(), wrong ? 12000 : 6000);
}

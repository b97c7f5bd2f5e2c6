// Where the page begins. Each module listens for its own part; nothing is fetched from anywhere but this server.

import { putDraft } from "./composer.js";
import "./controls.js";
import "./forms.js";
import { arrived, go, scroller, toEnd } from "./frame.js";
import "./menus.js";
import { begin } from "./stream.js";
import "./tables.js";

// The reader's own time zone is known only here; the server writes all times in it.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const known = document.cookie.split("; ").includes(`zone=${zone}`);
if (zone && !known) {
  document.cookie = `zone=${zone}; path=/; max-age=31536000; samesite=strict`;
}

putDraft();
toEnd(scroller());
toEnd(document.getElementById("thread-scroll"));
arrived();
begin();
if (zone && !known) go(location.href, { push: false });
if (matchMedia("(min-width: 700px)").matches && !document.querySelector("dialog[open]")) {
  document.getElementById("composer-text")?.focus({ preventScroll: true });
}

/** Ages move on while nobody does anything. */
setInterval(() => {
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000;
    if (seconds < 60) continue;
    const [size, unit] = seconds < 3600 ? [60, "min"] : seconds < 86400 ? [3600, "h"] : [86400, "days"];
    const count = Math.floor(seconds / size);
    time.textContent = `${count} ${unit === "days" && count === 1 ? "day" : unit} ago`;
  }
}, 30000);

// A table whose short cells do not fit side by side breaks them; in one that fits each keeps its line.

import { atEnd, toEnd } from "./frame.js";

const rooms = new ResizeObserver((entries) => tighten(entries.flatMap(({ target }) => [...target.querySelectorAll(".b-table")])));

/** Broken cells make a table longer: who reads the newest message goes on reading it. */
function tighten(tables) {
  const ends = new Set(tables.map((table) => table.closest(".scroll")).filter((box) => box && atEnd(box)));
  for (const table of tables) {
    table.classList.remove("tight");
    table.classList.toggle("tight", table.scrollWidth > table.clientWidth);
  }
  ends.forEach(toEnd);
}

/** What counts is the room of its message; a message that is drawn anew is a new one. */
function watch() {
  const tables = [...document.querySelectorAll(".b-table:not([data-watched])")];
  if (!tables.length) return;
  tighten(tables);
  for (const table of tables) {
    table.dataset.watched = "";
    rooms.observe(table.closest(".message") ?? table);
  }
}

new MutationObserver(watch).observe(document.body, { childList: true, subtree: true });
watch();

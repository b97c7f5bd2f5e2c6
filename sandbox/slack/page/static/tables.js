// A table whose short cells do not fit side by side breaks them; in one that fits each keeps its line.
// Where even that is too wide, as on a phone, each row stands as a paragraph of its own, every value behind its column's name.

import { atEnd, toEnd } from "./frame.js";

const rooms = new ResizeObserver((entries) => tighten(entries.flatMap(({ target }) => [...target.querySelectorAll(".b-table")])));

/** Broken cells make a table longer: who reads the newest message goes on reading it. */
function tighten(tables) {
  const ends = new Set(tables.map((table) => table.closest(".scroll")).filter((box) => box && atEnd(box)));
  for (const table of tables) {
    table.classList.remove("tight", "folded");
    table.classList.toggle("tight", tooWide(table));
    if (tooWide(table)) fold(table);
  }
  ends.forEach(toEnd);
}

const tooWide = (table) => table.scrollWidth > table.clientWidth;
const COUNT = /^[\d,.]+$/;

function fold(table) {
  if (table.closest("[data-table]")) return; // its columns are sorted by their heads, which have to stay
  const [head, ...rows] = table.querySelectorAll("tr");
  for (const row of rows) {
    [...row.cells].forEach((cell, place) => {
      const words = cell.textContent.trim();
      const named = place > 0 || COUNT.test(words); // what a row is about speaks for itself, a bare number does not
      cell.dataset.column = named ? (head.cells[place]?.textContent.trim() ?? "") : "";
      cell.toggleAttribute("data-empty", words === "" || words === "–");
    });
  }
  table.classList.add("folded");
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

// A table whose short cells do not fit side by side breaks them; in one that fits each keeps its line.
// Where even that is too wide, as on a phone, each row stands as a paragraph of its own, every value behind its column's name.

import { atEnd, toEnd } from "./frame.js";

const widths = new WeakMap(); // room → its width when its tables were fitted to it
const rooms = new ResizeObserver((entries) => {
  const changed = entries.map(({ target }) => target).filter((room) => widths.get(room) !== room.clientWidth);
  tighten(changed.flatMap((room) => [...room.querySelectorAll(".b-table")]));
});

/** Broken cells make a table longer: who reads the newest message goes on reading it. */
function tighten(tables) {
  const ends = new Set(tables.map((table) => table.closest(".scroll")).filter((box) => box && atEnd(box)));
  for (const table of tables) {
    widths.set(roomOf(table), roomOf(table).clientWidth);
    table.style.display = "none"; // in Chromium, cells that were folded a frame ago keep that padding until they are laid out anew
    table.classList.remove("tight", "folded");
    void table.offsetWidth;
    table.style.display = "";
    table.classList.toggle("tight", tooWide(table));
    if (tooWide(table)) fold(table);
  }
  ends.forEach(toEnd);
}

const roomOf = (table) => table.closest(".message") ?? table.parentElement;
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
    rooms.observe(roomOf(table));
  }
}

new MutationObserver(watch).observe(document.body, { childList: true, subtree: true });
watch();

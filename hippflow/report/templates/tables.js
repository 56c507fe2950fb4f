// Tables that sort by a click on a heading, and filter by what is chosen above them.
"use strict";

/** What a cell is sorted by: its data-value, or its text, as a number where it is one. */
function sortKey(row, column) {
  const cell = row.cells[column], text = cell.dataset.value ?? cell.textContent.trim();
  const number = Number(text.replace(/[ ,]/g, ""));
  return text === "" || text === "–" ? null : Number.isNaN(number) ? text.toLowerCase() : number;
}

function sortTable(table, column, ascending) {
  const body = table.tBodies[0], sign = ascending ? 1 : -1;
  const rows = [...body.rows].map((row) => [sortKey(row, column), row]);
  rows.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null); // without a value: last, either way
    return sign * (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
  });
  body.append(...rows.map(([, row]) => row));
}

function makeSortable(table) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => heading.querySelector("button")?.addEventListener("click", () => {
    const ascending = heading.getAttribute("aria-sort") !== "ascending";
    headings.forEach((other) => other.setAttribute("aria-sort", "none"));
    heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    sortTable(table, column, ascending);
  }));
}

function makeFilter(form) {
  const table = document.getElementById(form.dataset.filter), said = form.querySelector("output");
  const apply = () => {
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      row.hidden = [...form.elements].some((field) => field.name && field.value.trim() !== ""
        && (field.name === "channel" ? Number(field.value) !== Number(row.dataset.channel) : field.value !== row.dataset[field.name]));
      shown += !row.hidden;
    }
    said.textContent = `${shown} of ${table.tBodies[0].rows.length} shown`;
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  apply();
  return apply;
}

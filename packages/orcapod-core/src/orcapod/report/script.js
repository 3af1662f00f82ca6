
"use strict";

/* A field with data-filters="items" hides those elements of class "item" below the element with that id that
   do not have all of its words, and groups of which nothing is left; few that are left are opened. Without this
   script all of them are seen. */
const FEW = 3;
for (const field of document.querySelectorAll("input[data-filters]")) {
  const list = document.getElementById(field.dataset.filters);
  const entries = [...list.querySelectorAll(".item")];
  const texts = entries.map((entry) => entry.textContent.toLowerCase());
  const groups = [...list.querySelectorAll(".group")];
  const wereOpen = new Map([...entries, ...groups].map((fold) => [fold, fold.open]));
  const told = document.getElementById(field.getAttribute("aria-describedby"));
  const filter = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    entries.forEach((entry, at) => {
      entry.hidden = !words.every((word) => texts[at].includes(word));
      count += !entry.hidden;
    });
    for (const group of groups) group.hidden = !group.querySelector(".item:not([hidden])");
    for (const [fold, wasOpen] of wereOpen)
      fold.open = words.length ? groups.includes(fold) || (count <= FEW && !fold.hidden) : wasOpen;
    told.textContent = words.length ? `${count.toLocaleString("en")} of ${entries.length.toLocaleString("en")}` : "";
  };
  field.addEventListener("input", filter);
  field.closest("form").addEventListener("submit", (event) => event.preventDefault());
  field.closest("form").hidden = false;
  filter(); /* the browser may have kept what was typed */
}


"use strict";

/* Every page is whole without this script; with it, parts of a page are asked for again and put in their places. */

const state = document.getElementById("state");

const answered = async (address) => (await fetch(address, { credentials: "same-origin" })).text();
const parsed = (text) => new DOMParser().parseFromString(text, "text/html");
const asked = async (address) => parsed(await answered(address));
const reason = (page) => page.querySelector("main p").textContent; /* why it is not the page that was asked for */

/* Change an element from what the server said it was to what it says now, and nothing else of it: what its reader has
   opened, selected, moved or is at stays. */
const change = (shown, said, now) => {
  for (const name of new Set([...said.getAttributeNames(), ...now.getAttributeNames()])) {
    if (said.getAttribute(name) === now.getAttribute(name)) continue;
    if (now.hasAttribute(name)) shown.setAttribute(name, now.getAttribute(name));
    else shown.removeAttribute(name);
  }
  const old = [...said.childNodes], next = [...now.childNodes], nodes = [...shown.childNodes];
  if (nodes.length !== old.length) { /* somebody else changed it */
    shown.replaceChildren(...next.map((node) => document.importNode(node, true)));
    return;
  }
  const few = Math.min(old.length, next.length);
  let start = 0, end = 0;
  while (start < few && old[start].isEqualNode(next[start])) start++;
  while (end < few - start && old[old.length - 1 - end].isEqualNode(next[next.length - 1 - end])) end++;
  const behind = nodes[old.length - end] ?? null;
  for (let at = start; at < Math.max(old.length, next.length) - end; at++) {
    const isGone = at >= next.length - end, isNew = at >= old.length - end;
    if (isNew) shown.insertBefore(document.importNode(next[at], true), behind);
    else if (isGone) nodes[at].remove();
    else if (old[at].nodeType === Node.ELEMENT_NODE && old[at].nodeName === next[at].nodeName)
      change(nodes[at], old[at], next[at]);
    else nodes[at].replaceWith(document.importNode(next[at], true));
  }
};

/* What the server said last of parts of the page that change, by their ids. */
const said = new Map();
for (const part of document.querySelectorAll("[data-live]")) said.set(part.id, part.cloneNode(true));
for (const form of document.querySelectorAll("form[data-into]")) {
  const part = document.getElementById(form.dataset.into);
  if (part) said.set(part.id, part.cloneNode(true));
}
const show = (now) => {
  change(document.getElementById(now.id), said.get(now.id), now);
  said.set(now.id, now);
};

/* An element with data-live is asked for again as long as the page has it with that attribute: less and less often while
   nothing changes, or where a store takes long to answer, and never while nobody sees the page. */
const SHORTEST = 1500, LONGEST = 30000;
let pause = SHORTEST, timer = 0, latest = "", told = "";
const follow = async () => {
  clearTimeout(timer);
  if (document.hidden || !document.querySelector("[data-live]")) return;
  const began = performance.now();
  pause = Math.min(2 * pause, LONGEST);
  try {
    const text = await answered(location.href);
    if (text !== latest) {
      const page = parsed(text);
      told = "";
      for (const part of document.querySelectorAll("[data-live]")) {
        const now = page.getElementById(part.id);
        if (!now) told = reason(page);
        if (!now || now.isEqualNode(said.get(part.id))) continue;
        show(now);
        pause = SHORTEST;
      }
    }
    latest = text;
    state.textContent = told;
  } catch {
    state.textContent = "The server gives no answer; what is shown may be old.";
  }
  clearTimeout(timer);
  timer = setTimeout(follow, Math.max(pause, 10 * (performance.now() - began)));
};
const wake = () => {
  pause = SHORTEST;
  follow();
};
if (said.size) timer = setTimeout(follow, SHORTEST);
document.addEventListener("visibilitychange", wake);

/* A form with data-into="rows" puts what it finds into the element with that id, as somebody types. */
for (const form of document.querySelectorAll("form[data-into]")) {
  let turns = 0, waiting = 0;
  const find = async () => {
    const turn = ++turns;
    const filled = [...new FormData(form)].filter(([, value]) => value);
    const address = `${form.getAttribute("action")}?${new URLSearchParams(filled)}`;
    try {
      const page = await asked(address);
      if (turn !== turns) return;
      const now = page.getElementById(form.dataset.into);
      if (now) show(now);
      state.textContent = now ? "" : reason(page);
      history.replaceState(null, "", address);
    } catch {
      state.textContent = "The server gives no answer.";
    }
  };
  form.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(find, 200); });
  form.addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(waiting); find(); });
}

/* A link of class "unfold" gives way to what it leads to: the list with the id "tree" of that page. */
const unfold = async (way) => {
  const place = way.closest("li, p");
  if (place.dataset.asked) return;
  place.dataset.asked = "yes";
  try {
    const tree = (await asked(way.href)).getElementById("tree");
    const found = place.matches("li") ? [...tree.querySelector("ul").children] : [...tree.children];
    const wasHere = place.contains(document.activeElement);
    place.replaceWith(...found);
    if (wasHere) {
      found[0].tabIndex = -1;
      found[0].focus();
    }
  } catch {
    delete place.dataset.asked;
    state.textContent = "The server gives no answer.";
  }
};
document.addEventListener("click", (event) => {
  const way = event.target.closest("a.unfold");
  if (way && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) {
    event.preventDefault();
    unfold(way);
  }
});
document.addEventListener("toggle", (event) => {
  const way = event.target.open && event.target.querySelector(":scope > p > a.unfold");
  if (way) unfold(way);
}, true);

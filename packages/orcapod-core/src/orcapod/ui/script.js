
"use strict";

/* Every page is whole without this script; with it, parts of a page are asked for again and put in their places. */

const state = document.getElementById("state");

const asked = async (address) => {
  const answer = await fetch(address, { credentials: "same-origin" });
  return new DOMParser().parseFromString(await answer.text(), "text/html");
};

/* An element with data-live is asked for again as long as the page has it with that attribute; a store that takes long
   to answer is asked less often. */
const follow = async () => {
  const began = performance.now();
  if (!document.hidden) {
    try {
      const page = await asked(location.href);
      for (const part of document.querySelectorAll("[data-live]")) {
        const now = page.getElementById(part.id);
        if (now && now.outerHTML !== part.outerHTML) {
          const target = part.contains(document.activeElement) && document.activeElement.getAttribute("href");
          part.replaceWith(now);
          if (target) now.querySelector(`a[href="${CSS.escape(target)}"]`)?.focus();
        }
      }
      state.textContent = "";
    } catch {
      state.textContent = "The server gives no answer; what is shown may be old.";
    }
  }
  if (document.querySelector("[data-live]")) setTimeout(follow, Math.max(1500, 4 * (performance.now() - began)));
};
if (document.querySelector("[data-live]")) setTimeout(follow, 1500);

/* A form with data-into="rows" puts what it finds into the element with that id, as somebody types. */
for (const form of document.querySelectorAll("form[data-into]")) {
  let latest = 0, waiting = 0;
  const show = async () => {
    const turn = ++latest;
    const filled = [...new FormData(form)].filter(([, value]) => value);
    const address = `${form.getAttribute("action")}?${new URLSearchParams(filled)}`;
    try {
      const page = await asked(address);
      if (turn !== latest) return;
      const now = page.getElementById(form.dataset.into);
      if (now) document.getElementById(form.dataset.into).replaceWith(now);
      state.textContent = now ? "" : page.querySelector("main").textContent;
      history.replaceState(null, "", address);
    } catch {
      state.textContent = "The server gives no answer.";
    }
  };
  form.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(show, 200); });
  form.addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(waiting); show(); });
}

/* A link of class "unfold" gives way to what it leads to: the list with the id "tree" of that page. */
const unfold = async (way) => {
  const place = way.closest("li, p");
  if (place.dataset.asked) return;
  place.dataset.asked = "yes";
  try {
    const tree = (await asked(way.href)).getElementById("tree");
    tree.removeAttribute("id");
    if (place.matches("li")) place.replaceWith(...tree.children);
    else place.replaceWith(tree);
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

// Everything works without this file. With it: copy buttons, regions that follow the store, keys, fresh relative times.
"use strict";

const LIVE_AGAIN_MS = 5000;

function showCopyButtons(root) {
  if (!navigator.clipboard) return;
  for (const button of root.querySelectorAll("[data-copy]")) button.hidden = false;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  }
  for (const open of document.querySelectorAll("details.menu[open], details.confirm[open]")) {
    if (!open.contains(event.target)) open.open = false;
  }
});

// A region with data-live="/live/topic?query" is replaced by what the server sends: the same HTML as on the page.
const streams = new Map();

function isBusy(region) {
  const selected = document.getSelection();
  const marked = selected && !selected.isCollapsed && region.contains(selected.anchorNode);
  return region.contains(document.activeElement) || marked || region.querySelector("details.confirm[open]") !== null;
}

function replaceWhenIdle(region) {
  const html = region.dataset.next;
  if (html === undefined || isBusy(region)) return;
  delete region.dataset.next;
  const opened = [...region.querySelectorAll("details[open][id]")].map((each) => each.id);
  region.innerHTML = html;
  for (const id of opened) region.querySelector(`#${CSS.escape(id)}`)?.setAttribute("open", "");
  showCopyButtons(region);
  showTimes();
}

function follow(region) {
  if (streams.has(region)) return;
  const stream = new EventSource(region.dataset.live);
  streams.set(region, stream);
  stream.onmessage = (event) => { region.dataset.next = event.data; replaceWhenIdle(region); };
  stream.addEventListener("ended", () => { stop(region); location.reload(); });
  stream.onerror = () => {
    if (stream.readyState !== EventSource.CLOSED) return;
    stop(region);
    setTimeout(followAll, LIVE_AGAIN_MS);
  };
}

function stop(region) {
  streams.get(region)?.close();
  streams.delete(region);
}

// A hidden tab follows nothing: browsers open few connections to one host.
function followAll() {
  for (const region of document.querySelectorAll("[data-live]")) {
    if (document.hidden) stop(region); else follow(region);
  }
}

const STEPS = [[60, "s", 1], [3600, "min", 60], [86400, "h", 3600], [5184000, "d", 86400]];

function showTimes() {
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const away = Math.floor((Date.now() - Date.parse(time.dateTime)) / 1000);
    const step = STEPS.find(([most]) => Math.abs(away) < most);
    if (!step || away === 0) continue;
    const amount = `${Math.floor(Math.abs(away) / step[2])} ${step[1]}`;
    time.textContent = away > 0 ? `${amount} ago` : `in ${amount}`;
  }
}

// `/` goes to the search field, `g` and a letter to an area, Escape closes what is open.
let afterG = false;

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    for (const open of document.querySelectorAll("details.menu[open], details.confirm[open]")) {
      open.open = false;
      open.querySelector("summary").focus();
    }
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, select, textarea, [contenteditable]")) return;
  if (event.key === "/") {
    const search = document.querySelector("[data-search]");
    if (search) { event.preventDefault(); search.focus(); }
  } else if (afterG) {
    const area = [...document.querySelectorAll(".areas a")].find((each) => each.dataset.key === event.key);
    if (area) area.click();
  }
  afterG = event.key === "g";
});

document.addEventListener("visibilitychange", followAll);
addEventListener("pagehide", () => { for (const region of [...streams.keys()]) stop(region); });
addEventListener("pageshow", followAll);
setInterval(showTimes, 30000);
setInterval(() => { for (const region of streams.keys()) replaceWhenIdle(region); }, 1000);
showCopyButtons(document);

// A form that is a step of something longer goes on by itself.
document.querySelector("form[data-goes-on]")?.requestSubmit();

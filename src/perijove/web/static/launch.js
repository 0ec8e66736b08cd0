// Follows one launch: begins it on a launch link's page, or resumes the one this tab began; shows what it tells.
// How it ended is told by its own page. Its key is in a cookie that no script sees.
// Log lines are strangers' text: they only ever become textContent.

import { copied } from "./copy.js";

const { base } = document.documentElement.dataset;
const view = document.getElementById("launch");
const status = document.getElementById("status");
const log = document.getElementById("log");
const elapsed = document.getElementById("elapsed");
const search = document.getElementById("search");
const stages = [...document.querySelectorAll(".stages li")];
const icon = document.querySelector("link[rel=icon]");
const memory = `perijove ${location.pathname}${location.search}`;
const SHOWN_LINES = 5000;
const isLink = !view.dataset.number;
const RETRY = 2000; // milliseconds
const WATCH = 5000;
let number = Number(view.dataset.number);
let seen = 0;
let began = 0;
let clock;
let stage = Math.max(0, stages.findIndex((item) => item.className === "now"));
let stageBegan = 0;
let shown = log.querySelectorAll("details > div").length;
let sought = 0;

function remembered() {
  try {
    return JSON.parse(sessionStorage.getItem(memory));
  } catch {
    return null;
  }
}

function remember(launch) {
  try {
    if (launch) sessionStorage.setItem(memory, JSON.stringify(launch));
    else sessionStorage.removeItem(memory);
  } catch {
    // Without storage a reload begins anew, and that is all.
  }
}

function lasted(seconds) {
  if (seconds < 9.95) return `${Math.max(0, seconds).toFixed(1)} s`;
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

function mark(state) {
  view.dataset.state = state;
  icon.href = `${icon.dataset.icons}/${state}.svg`;
  document.title = `${{ working: "…", ready: "✓", failed: "✗" }[state]} ${view.dataset.title}`;
  stages.forEach((item, index) => {
    const now = index === stage;
    item.className =
      state === "ready" || index < stage ? "done" : now ? (state === "failed" ? "broken" : "now") : "";
    if (now && state === "working") item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  });
}

function come(name, at) {
  const next = stages.findIndex((item) => item.dataset.stage === name);
  if (next < 0 || (next === stage && stageBegan)) return;
  if (next > stage && stageBegan) {
    stages[stage].querySelector(".took").textContent = lasted(at - stageBegan);
    const left = log.querySelector(`[data-fold=${stages[stage].dataset.stage}]`);
    if (left) left.open = false;
  }
  stage = next;
  stageBegan = at;
}

function tick(at) {
  if (!began) began = at;
  if (clock) return;
  clock = setInterval(() => {
    elapsed.textContent = `${Math.max(0, Math.round(Date.now() / 1000 - began))} s`;
  }, 1000);
}

// Which letters look how: a row is one text beside its number, however many colours it has.
function painted(row, text, colours) {
  const letters = [...text];
  const whole = document.createElement("span");
  whole.append(letters.slice(0, colours[0][0]).join(""));
  colours.forEach(([at, look], index) => {
    const piece = document.createElement("span");
    if (look) piece.className = look.split(";").map((code) => `sgr-${code}`).join(" ");
    piece.textContent = letters.slice(at, colours[index + 1]?.[0]).join("");
    whole.append(piece);
  });
  row.append(whole);
}

function line(phase, text, colours) {
  const follows = log.scrollTop + log.clientHeight >= log.scrollHeight - 40;
  const name = phase === "session" ? phase : (stages[stage]?.dataset.stage ?? phase);
  const fold = log.querySelector(`[data-fold=${name}]`);
  const row = document.createElement("div");
  if (colours) painted(row, text, colours);
  else row.textContent = text;
  row.hidden = !matches(row);
  if (fold.hidden) fold.open = true;
  fold.hidden = false;
  fold.append(row);
  const count = fold.querySelector(".count");
  count.textContent = Number(count.textContent) + 1;
  if (++shown > SHOWN_LINES) {
    log.querySelector("details > div").remove();
    shown -= 1;
  }
  if (follows) log.scrollTop = log.scrollHeight;
}

function matches(row) {
  return !search.value || row.textContent.toLowerCase().includes(search.value.toLowerCase());
}

function seek() {
  let found = 0;
  for (const fold of log.querySelectorAll("details")) {
    let here = 0;
    for (const row of fold.querySelectorAll(":scope > div")) {
      row.hidden = !matches(row);
      here += !row.hidden;
    }
    if (search.value && here) fold.open = true;
    found += here;
  }
  document.getElementById("found").textContent = search.value ? `${found} lines` : "";
}

// What the link opens can be read while one waits; never before its launch has a number, whose cookie lets it be seen.
function preview() {
  const part = document.getElementById("preview");
  if (!part?.hidden || !number) return;
  part.querySelector("iframe").src = `${base}launch/${number}/preview`;
  part.hidden = false;
}

function own(launch) {
  number = launch;
  const named = document.getElementById("number");
  if (named) named.textContent = `launch ${number}`;
  for (const [id, end] of [["permanent", ""], ["raw", "/log"], ["download", "/log"]]) {
    const link = document.getElementById(id);
    link.href = `${base}launch/${number}${end}`;
    link.hidden = false;
  }
  const cancel = document.getElementById("cancel");
  cancel.action = `${base}launch/${number}/cancel`;
  cancel.hidden = false;
}

function destination(url, token) {
  const start = new URL(url, location.href);
  let target = start;
  try {
    target = new URL(view.dataset.urlpath.replace(/^\/+/, ""), start);
  } catch {
    // Not an address: the session's start will do.
  }
  if (target.origin !== start.origin || !target.pathname.startsWith(start.pathname)) target = start;
  target.searchParams.set("token", token);
  return target.href;
}

function open(url, token) {
  const there = destination(url, token);
  const button = document.getElementById("open");
  button.href = there;
  button.hidden = false;
  location.replace(there);
}

function notify(words) {
  if (document.hidden && "Notification" in window && Notification.permission === "granted") {
    const note = new Notification(view.dataset.title, { body: words, tag: `perijove ${number}` });
    note.addEventListener("click", () => window.focus());
  }
}

function explain(failure) {
  const box = document.getElementById("failure-template").content.cloneNode(true);
  box.querySelector("h2").textContent = failure.title;
  box.querySelector(".cause").textContent = failure.sentence;
  box.querySelector(".remedy").textContent = failure.remedy;
  box.querySelector(".code").textContent = failure.code;
  document.getElementById("failure").replaceChildren(box);
}

function offer(id, anew) {
  const button = document.getElementById(id);
  if (isLink) {
    const link = new URL(location.href);
    if (anew) link.searchParams.set("again", "true");
    else link.searchParams.delete("again");
    button.href = link.pathname + link.search;
  }
  button.hidden = !button.getAttribute("href");
}

// A launch's own page tells its end, and stays the same: unless nothing began, or this browser keeps no cookies.
async function toOwnPage() {
  const answer = number ? await fetch(`${base}api/launches/${number}`).catch(() => null) : null;
  const told = answer?.ok ? await answer.json() : {};
  if (!("link" in told) && isLink) return false;
  const urlpath = view.dataset.urlpath ? `?${new URLSearchParams({ urlpath: view.dataset.urlpath })}` : "";
  location.replace(`${base}launch/${number}${urlpath}`);
  return true;
}

async function over(event) {
  clearInterval(clock);
  document.getElementById("cancel").hidden = true;
  document.getElementById("notify").hidden = true;
  if (event.phase === "ready" && event.url) {
    mark("ready");
    status.textContent = "It is ready";
    notify(status.textContent);
    if (isLink) {
      open(event.url, event.token);
      return;
    }
  }
  if (event.phase === "failed") {
    remember(null);
    notify(event.failure.title);
  }
  if (await toOwnPage()) return;
  mark(event.phase);
  status.textContent = event.phase === "failed" ? "" : event.message.trim();
  if (event.phase === "failed") explain(event.failure);
  offer("again", false);
}

function take(message, source) {
  const event = JSON.parse(message.data);
  seen = parseInt(message.lastEventId, 10);
  if (event.at) tick(event.at);
  if (event.launch) {
    own(event.launch);
    if (isLink) remember(event.launch);
  }
  if (event.phase === "ready" || event.phase === "failed") {
    source.close();
    over(event);
    return;
  }
  line(event.phase, event.message.replace(/\n$/, ""), event.colours);
  if (event.urlpath && isLink) view.dataset.urlpath = event.urlpath;
  if (event.note) {
    const note = Object.assign(document.createElement("li"), { textContent: event.note });
    document.getElementById("notes").append(note);
  }
  if (event.retrying) document.getElementById("notes").replaceChildren();
  if (event.stage) come(event.stage, event.at);
  if (event.builds || event.position) preview();
  if (event.builds) stages[stage].dataset.builds = "1";
  if (event.now) status.textContent = event.now;
  mark("working");
}

function follow(url) {
  mark("working");
  const source = new EventSource(url);
  source.addEventListener("message", (message) => take(message, source));
  source.addEventListener("error", () => {
    const closed = source.readyState === EventSource.CLOSED;
    status.textContent =
      closed && !number
        ? "The service does not answer. Reload the page to try again."
        : "The connection broke; trying again. Nothing is lost.";
    if (closed && number) setTimeout(comeBack, RETRY);
  });
}

// A browser gives up on an event stream for good when the service is away; the launch goes on all the same.
async function comeBack() {
  const answer = await fetch(`${base}api/launches/${number}`).catch(() => null);
  if (answer?.ok) follow(`${base}api/launches/${number}/events?after=${seen}`);
  else setTimeout(comeBack, RETRY);
}

// Whoever asks for an environment anew asks each time; a page that is reloaded does not.
function asksAnew() {
  const [navigation] = performance.getEntriesByType("navigation");
  return new URL(location.href).searchParams.get("again") === "true" && navigation?.type === "navigate";
}

async function begin() {
  const before = asksAnew() ? null : remembered();
  if (before) {
    const answer = await fetch(`${base}api/launches/${before}`).catch(() => null);
    const launch = answer?.ok ? await answer.json() : null;
    if (launch && !launch.ended_at) {
      began = launch.started_at;
      own(before);
      return follow(`${base}api/launches/${before}/events`);
    }
    if (launch?.urlpath) view.dataset.urlpath = launch.urlpath;
    if (launch?.url) return open(launch.url, launch.token);
    remember(null);
  }
  follow(view.dataset.events);
}

// What happens to a session that runs is told on its launch's page.
async function watch() {
  const answer = await fetch(`${base}api/launches/${number}`).catch(() => null);
  const session = answer?.ok ? (await answer.json()).session : null;
  if (session) {
    const said = session.troubles.map((trouble) => `${trouble.title}: ${trouble.cause}. ${trouble.remedy}`);
    if (session.state === "ended") said.push(`The session is over: ${session.detail.replace(/[. ]+$/, "")}.`);
    const fate = document.getElementById("fate");
    if (said.length !== fate.childElementCount) {
      fate.replaceChildren(...said.map((text) => Object.assign(document.createElement("p"), { textContent: text })));
    }
    if (session.state === "ended") {
      document.getElementById("open").hidden = true;
      return offer("again", false);
    }
  }
  setTimeout(watch, WATCH);
}

search.hidden = false;
search.addEventListener("input", () => {
  clearTimeout(sought);
  sought = setTimeout(seek, 150);
});
const copyLog = document.getElementById("copy-log");
copyLog.hidden = !navigator.clipboard;
copyLog.addEventListener("click", async () => {
  const lines = [...log.querySelectorAll("details > div:not([hidden])")].map((row) => row.textContent);
  const done = await copied(lines.join("\n"));
  document.getElementById("found").textContent = done ? `${lines.length} lines copied` : "Not copied: use Download.";
});

const ended = ["ready", "failed"].includes(view.dataset.state);
const asks = document.getElementById("notify");
asks.hidden = ended || !window.isSecureContext || !("Notification" in window) || Notification.permission !== "default";
asks.addEventListener("click", async () => {
  asks.hidden = (await Notification.requestPermission()) !== "default";
});

log.scrollTop = log.scrollHeight;
if (isLink) {
  if (view.dataset.events) begin();
} else if (!ended) follow(view.dataset.events);
else if (document.getElementById("fate").dataset.open) watch();

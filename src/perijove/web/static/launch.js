// Follows one launch: begins it on a launch link's page, or resumes the one this tab began; shows what it tells.
// Its key is in a cookie that no script sees.
// Log lines are strangers' text: they only ever become textContent.

const view = document.getElementById("launch");
const status = document.getElementById("status");
const log = document.getElementById("log");
const elapsed = document.getElementById("elapsed");
const stages = [...document.querySelectorAll(".stages li")];
const icon = document.querySelector("link[rel=icon]");
const title = document.title;
const memory = `perijove ${location.pathname}${location.search}`;
const STAGE = { fetching: 0, building: 1, built: 1, launching: 2 };
const SHOWN_LINES = 5000;
const isLink = !view.dataset.number;
const RETRY = 2000; // milliseconds
const WATCH = 5000;
let number = Number(view.dataset.number);
let seen = 0;
let began = 0;
let clock;
let stage = 0;

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

function mark(state) {
  view.dataset.state = state;
  icon.href = `${icon.dataset.icons}/${state}.svg`;
  document.title = `${{ working: "…", ready: "✓", failed: "✗" }[state]} ${title}`;
  stages.forEach((item, index) => {
    const now = index === stage;
    item.className =
      state === "ready" || index < stage ? "done" : now ? (state === "failed" ? "broken" : "now") : "";
    if (now && state === "working") item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  });
}

function tick(at) {
  if (!began) began = at;
  if (clock) return;
  clock = setInterval(() => {
    elapsed.textContent = `${Math.max(0, Math.round(Date.now() / 1000 - began))} s`;
  }, 1000);
}

function line(phase, text) {
  const follows = log.scrollTop + log.clientHeight >= log.scrollHeight - 40;
  const row = document.createElement("div");
  row.dataset.phase = phase;
  row.textContent = text;
  log.append(row);
  while (log.childElementCount > SHOWN_LINES) log.firstElementChild.remove();
  if (follows) log.scrollTop = log.scrollHeight;
}

function own(launch) {
  number = launch;
  document.getElementById("heading").textContent = `Launch ${number}`;
  for (const [id, end] of [["permanent", ""], ["raw", "/log"]]) {
    const link = document.getElementById(id);
    link.href = `/launch/${number}${end}`;
    link.hidden = false;
  }
}

function destination(url, token) {
  const base = new URL(url, location.href);
  let target = base;
  try {
    target = new URL(view.dataset.urlpath.replace(/^\/+/, ""), base);
  } catch {
    // Not an address: the session's start will do.
  }
  if (target.origin !== base.origin || !target.pathname.startsWith(base.pathname)) target = base;
  target.searchParams.set("token", token);
  return target.href;
}

function open(url, token) {
  const there = destination(url, token);
  const button = document.getElementById("open");
  button.href = there;
  button.hidden = false;
  if (isLink) location.replace(there);
}

function explain(failure) {
  const owners = JSON.parse(document.getElementById("owners").textContent);
  const box = document.getElementById("failure-template").content.cloneNode(true);
  box.querySelector("h2").textContent = failure.title;
  box.querySelector(".cause").textContent =
    failure.cause.charAt(0).toUpperCase() + failure.cause.slice(1).replace(/[. ]+$/, "") + ".";
  box.querySelector(".remedy strong").textContent = `${owners[failure.owner]}.`;
  box.querySelector(".remedy span").textContent = failure.remedy;
  box.querySelector(".code").textContent = failure.code;
  const list = box.querySelector("dl");
  for (const seen of failure.evidence) {
    const saw = document.createElement("pre");
    saw.textContent = seen.saw;
    saw.tabIndex = 0;
    list.append(Object.assign(document.createElement("dt"), { textContent: seen.where }));
    list.appendChild(document.createElement("dd")).append(saw);
  }
  if (!failure.evidence.length) {
    box.querySelector("h3").remove();
    list.remove();
  }
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

function over(event) {
  clearInterval(clock);
  offer("anew", true);
  if (began && event.at) elapsed.textContent = `${(event.at - began).toFixed(1)} s`;
  mark(event.phase);
  if (event.phase === "failed") {
    document.getElementById("heading").textContent = "The launch failed";
    status.textContent = "";
    explain(event.failure);
    remember(null);
    offer("again", false);
  } else {
    const closed = event.imageName ? "The environment stands" : "It is ready, for whoever began it";
    status.textContent = event.url ? "It is ready" : closed;
    if (event.url) open(event.url, event.token);
    if (!isLink) setTimeout(watch, WATCH);
  }
}

function take(message, source) {
  const event = JSON.parse(message.data);
  seen = parseInt(message.lastEventId, 10);
  const text = event.message.replace(/\n$/, "");
  if (event.at) tick(event.at);
  if (event.launch) {
    own(event.launch);
    if (isLink) remember(event.launch);
  }
  line(event.phase, text);
  if (event.phase === "ready" || event.phase === "failed") {
    source.close();
    over(event);
    return;
  }
  if (event.phase in STAGE) stage = Math.max(stage, STAGE[event.phase]);
  if (event.position) stage = 2;
  if (event.phase !== "session") status.textContent = text;
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
  const answer = await fetch(`/api/launches/${number}`).catch(() => null);
  if (answer?.ok) follow(`/api/launches/${number}/events?after=${seen}`);
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
    const answer = await fetch(`/api/launches/${before}`).catch(() => null);
    const launch = answer?.ok ? await answer.json() : null;
    if (launch && !launch.ended_at) {
      began = launch.started_at;
      own(before);
      return follow(`/api/launches/${before}/events`);
    }
    if (launch?.url) return open(launch.url, launch.token);
    remember(null);
  }
  follow(view.dataset.events);
}

// What happens to a session that runs is told on its launch's page.
async function watch() {
  const answer = await fetch(`/api/launches/${number}`).catch(() => null);
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

log.scrollTop = log.scrollHeight;
if (isLink) {
  if (view.dataset.events) begin();
} else if (!["ready", "failed"].includes(view.dataset.state)) follow(view.dataset.events);
else if (document.getElementById("fate").dataset.open) watch();

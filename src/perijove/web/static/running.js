// Leads from the front page back to the sessions that this visitor has running.

const { base } = document.documentElement.dataset;
const section = document.getElementById("running");

function row({ spec, since, url }) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.href = url;
  link.textContent = spec;
  item.append(link, `, since ${since}`);
  return item;
}

async function show() {
  let sessions;
  try {
    ({ sessions } = await (await fetch(`${base}launch/running`, { headers: { Accept: "application/json" } })).json());
  } catch {
    return; // The service is away for a moment; the page is of use without.
  }
  section.querySelector("ul").replaceChildren(...sessions.map(row));
  section.querySelector("h2").textContent = `You have ${sessions.length} ${sessions.length === 1 ? "session" : "sessions"} running`;
  section.hidden = !sessions.length;
}

addEventListener("pageshow", show);

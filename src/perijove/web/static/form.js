// Shows what a pasted link means, its branches, and what to share, while the form is filled in. What a link means is the
// server's to say.

import "./copy.js";

const { base } = document.documentElement.dataset;
const form = document.getElementById("form");
const share = document.getElementById("share");
const error = document.getElementById("link-error");
const recognised = document.getElementById("recognised");
const refs = document.getElementById("refs");
let asked = 0;
let listed = "";
let timer;

function say(wrong) {
  error.textContent = wrong;
  if (wrong) form.link.setAttribute("aria-invalid", "true");
  else form.link.removeAttribute("aria-invalid");
}

async function ask(address) {
  const answer = await fetch(`${address}?${new URLSearchParams(new FormData(form))}`);
  return [answer.ok, await answer.json()];
}

function recognise(told) {
  const parts = [told.host, told.repository, told.ref === "HEAD" ? "default branch" : told.ref];
  if (told.opens) parts.push(`opens ${told.opens}`);
  recognised.textContent = parts.join(" · ");
}

async function offer(repository) {
  if (listed === repository) return;
  listed = repository;
  const [ok, told] = await ask(`${base}api/refs`).catch(() => [false]);
  if (listed !== repository) return;
  const names = ok ? [...told.branches, ...told.tags] : [];
  refs.replaceChildren(...names.map((name) => Object.assign(document.createElement("option"), { value: name })));
}

async function show() {
  const question = ++asked;
  let ok = false;
  let told = {};
  if (form.link.value.trim()) {
    try {
      [ok, told] = await ask(`${base}api/link`);
    } catch {
      return; // The service is away for a moment; launching will say so.
    }
  }
  if (question !== asked) return;
  share.hidden = recognised.hidden = !ok;
  say(ok || !told.failure ? "" : `${told.failure.sentence} ${told.failure.remedy}`);
  if (!ok) return;
  for (const name of ["link", "markdown", "rst"]) document.getElementById(`share-${name}`).value = told[name];
  recognise(told);
  offer(`${told.host} ${told.repository}`);
}

form.addEventListener("input", () => {
  document.getElementById("failure").replaceChildren();
  clearTimeout(timer);
  timer = setTimeout(show, 250);
});

if (!document.getElementById("failure").childElementCount) show();

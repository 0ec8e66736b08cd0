// Shows those parts of the operator's page anew that have changed, as soon as something happens; no part that is in use.

const told = new EventSource(`${document.documentElement.dataset.base}admin/events`);
let busy = false;
let again = false;

function refresh() {
  again = busy;
  if (busy) return;
  busy = true;
  const asked = new XMLHttpRequest();
  asked.open("GET", location.pathname);
  asked.responseType = "document";
  asked.addEventListener("load", () => {
    const fresh = [...(asked.response?.querySelectorAll("[data-part]") || [])];
    if (!fresh.length) return location.reload(); // It is closed by now, and says why.
    fresh.forEach(show);
  });
  asked.addEventListener("loadend", () => {
    busy = false;
    if (again) refresh();
  });
  asked.send();
}

function show(fresh) {
  const part = document.querySelector(`[data-part=${fresh.dataset.part}]`);
  if (part.contains(document.activeElement) || part.innerHTML === fresh.innerHTML) return;
  part.replaceChildren(...document.importNode(fresh, true).childNodes);
}

told.addEventListener("message", refresh);
told.addEventListener("error", () => {
  if (told.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000); // The page says why.
});

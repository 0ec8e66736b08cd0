// Asks whether a code was typed at its Git host, as often as that allows; then the page says what came of it.

const form = document.getElementById("device");

async function ask() {
  let wait = 10;
  try {
    const answer = await fetch(form.action, { method: "POST", headers: { Accept: "application/json" } });
    wait = answer.ok ? (await answer.json()).wait : 0;
  } catch {
    // Offline for a moment.
  }
  if (wait) setTimeout(ask, wait * 1000);
  else location.assign(form.dataset.here);
}

setTimeout(ask, form.dataset.wait * 1000);

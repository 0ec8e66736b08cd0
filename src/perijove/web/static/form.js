// Shows the link to share, and badges for it, while the form is filled in. What a link means is the server's to say.

const form = document.getElementById("form");
const share = document.getElementById("share");
const error = document.getElementById("link-error");
let asked = 0;
let timer;

async function show() {
  const question = ++asked;
  if (!form.link.value.trim()) {
    share.hidden = true;
    error.textContent = "";
    return;
  }
  let answer, told;
  try {
    answer = await fetch(`/api/link?${new URLSearchParams(new FormData(form))}`);
    told = await answer.json();
  } catch {
    return; // The service is away for a moment; launching will say so.
  }
  if (question !== asked) return;
  share.hidden = !answer.ok;
  error.textContent = answer.ok ? "" : told.message;
  if (answer.ok) {
    for (const name of ["link", "markdown", "rst"]) document.getElementById(`share-${name}`).value = told[name];
  }
}

form.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(show, 250);
});

for (const button of document.querySelectorAll("[data-copies]")) {
  button.addEventListener("click", async () => {
    const field = document.getElementById(button.dataset.copies);
    field.select();
    let copied = false;
    try {
      await navigator.clipboard.writeText(field.value);
      copied = true;
    } catch {
      copied = document.execCommand("copy"); // Without https there is no clipboard object.
    }
    document.getElementById("copied").textContent = copied ? "Copied." : "Select the text and copy it.";
  });
}

show();

// Buttons that copy what a field holds.

export async function copied(text, field) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    field?.select();
    return document.execCommand("copy"); // Without https there is no clipboard object.
  }
}

for (const button of document.querySelectorAll("[data-copies]")) {
  button.addEventListener("click", async () => {
    const field = document.getElementById(button.dataset.copies);
    field.select();
    const done = await copied(field.value, field);
    document.getElementById("copied").textContent = done ? "Copied." : "Select the text and copy it.";
  });
}

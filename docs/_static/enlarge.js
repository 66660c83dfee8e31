// A click on a picture shows it at its full size; another click, or Escape, closes it.
document.addEventListener("click", (event) => {
  const open = document.querySelector("dialog.enlarged");
  if (open) { open.remove(); return; }
  const picture = event.target.closest("article img");
  if (!picture || picture.closest("a")) return;
  const dialog = document.createElement("dialog");
  dialog.className = "enlarged";
  const copy = document.createElement("img");
  copy.src = picture.currentSrc || picture.src;
  copy.alt = picture.alt;
  dialog.append(copy);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
});

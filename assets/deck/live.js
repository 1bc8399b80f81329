// What the live deck adds to deck.js.
(() => {
  // Other lessons are not served here.
  for (const link of document.querySelectorAll('#deck-cells a[href*=".ipynb"]')) link.removeAttribute("href");

  // Escape leaves a slider, so that the arrows turn the page again; without a slider it is the overview's.
  addEventListener("keydown", (event) => {
    const held = event.key === "Escape" && document.activeElement?.closest(".deck-widget") ? document.activeElement : null;
    if (!held) return;
    held.blur();
    event.stopPropagation();
  }, true);
})();

// What the live deck adds to deck.js.
(() => {
  // Other lessons are not served here.
  for (const link of document.querySelectorAll('#deck-cells a[href*=".ipynb"]')) link.removeAttribute("href");
})();

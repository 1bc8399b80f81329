// What the live deck adds to deck.js: it asks how the kernel is, and tells what that means for the labs.
const Live = (() => {
  // Other lessons are not served here.
  for (const link of document.querySelectorAll('#deck-cells a[href*=".ipynb"]')) link.removeAttribute("href");

  const EVERY = 1000; // ms
  const own = JSON.parse(document.getElementById("jupyter-config-data").textContent).kernelId;
  const notice = document.getElementById("deck-notice"), dialog = document.getElementById("deck-restart");
  let cut = false; // what was sent to the kernel since then may be lost
  window.WebSocket = class extends WebSocket {
    constructor(...how) {
      super(...how);
      this.addEventListener("close", () => { cut = true; });
    }
  };

  let state = { kernel: "alive", id: own, leads: true, moves: true };

  const tell = (text, passes = false) => {
    if (notice.textContent !== text) notice.textContent = text; // a reader says it once
    notice.hidden = !text;
    notice.classList.toggle("deck-passes", passes); // it goes when the page turns
  };

  const LOOKS_ON = "This page looks on. The browser that opened the deck first moves the labs; there, M shares them.";
  const trouble = ({ kernel, doing, leads }) => {
    const asks = leads ? " Press R to start it again." : " The instructor can start it again.";
    if (kernel === "lost") return "The deck does not answer, and the labs stand still. Is the network there? Was the deck closed in its terminal?";
    if (kernel === "starting") return `The kernel starts again: ${doing} …`;
    if (kernel === "failed") return `The labs stand still: ${doing}.${asks}`;
    return kernel === "dead" ? `The kernel has died, and the labs stand still.${asks}` : "";
  };

  function take(next) {
    const before = state;
    state = next;
    if (state.kernel === "alive" && (cut || state.id !== own)) return location.reload(); // a new kernel knows other widgets
    const said = trouble(state);
    document.documentElement.classList.toggle("deck-still", !!said);
    document.documentElement.classList.toggle("deck-looks-on", !said && !state.moves);
    if (said) tell(said);
    else if (!notice.classList.contains("deck-passes")) tell("");
    if (!said && !before.moves && state.moves) tell("Here, too, you may move the labs now.", true);
    return undefined;
  }

  async function ask() {
    try {
      const answer = await fetch("progress", { cache: "no-store", signal: AbortSignal.timeout(5000) });
      take(await answer.json());
    } catch {
      take({ ...state, kernel: "lost" });
    }
    setTimeout(ask, EVERY);
  }

  const post = (what) => fetch(what, { method: "POST", headers: { "X-XSRFToken": document.cookie.match(/_xsrf=([^;]*)/)?.[1] ?? "" } });

  function start() {
    Reveal.addKeyBinding({ keyCode: 82, key: "R", description: "Start the kernel of the labs again" }, () => state.leads && dialog.showModal());
    dialog.addEventListener("submit", ({ submitter }) => submitter.value === "restart" && post("restart"));
    Reveal.addKeyBinding({ keyCode: 77, key: "M", description: "Others move the labs, too, or no longer" }, async () => {
      if (!state.leads) return tell(LOOKS_ON, true);
      const { shared } = await (await post("share")).json();
      return tell(shared ? "Everybody who has the address moves the labs now. M ends it." : "Only this browser moves the labs now.", true);
    });
    Reveal.on("slidechanged", () => notice.classList.contains("deck-passes") && tell(""));
    // A control that could do nothing would say what its picture does not show.
    const idle = () => /deck-still|deck-looks-on/.test(document.documentElement.className);
    for (const type of ["focusin", "pointerdown"]) addEventListener(type, ({ target }) => {
      if (!idle() || !target.closest?.(".deck-widget")) return;
      Keys.release();
      if (!trouble(state)) tell(LOOKS_ON, true);
    }, true);
    ask();
  }

  return { start };
})();

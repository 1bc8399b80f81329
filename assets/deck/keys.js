// Who takes a key: a control has those that it uses, the deck all others. A clicker sends PageDown and PageUp, or arrows;
// it has no Escape with which to leave a slider.
const Keys = (() => {
  const settings = { hold: 3000 }; // ms after its last move until a control gives its keys back
  const TEXT = ":read-write", DIALOG = "dialog, dialog *";
  const USES = [ // the first that matches says which
    [TEXT, /./],
    [DIALOG, /^(?!Page)/],
    ["select", /^(?!Page)/],
    ["[type=range], [type=radio], [role=slider]", /^(Arrow|Home|End)/],
    ["button, input, a[href], summary", /^( |Enter)$/],
  ];
  const NEVER_THE_DECKS = /^(Tab|Shift|Control|Alt|Meta)/;
  const uses = (control, key) => USES.find(([kind]) => control.matches(kind))?.[1].test(key) ?? false;
  // A button in a dialog that has just closed has the focus until the browser draws the page again.
  const held = () => (document.activeElement.matches("body, dialog:not([open]) *") ? null : document.activeElement);
  const release = () => held()?.blur();

  addEventListener("keydown", (event) => {
    const control = held(), { key } = event;
    if (!control || event.ctrlKey || event.metaKey || event.altKey || NEVER_THE_DECKS.test(key)) return;
    const turn = control.matches(TEXT) ? undefined : { PageDown: "next", PageUp: "prev" }[key];
    if (turn || (key === "Escape" && !control.matches(DIALOG))) { // else it is the browser's, the slider's or the overview's
      event.preventDefault();
      event.stopImmediatePropagation();
      control.closest("dialog")?.close();
      release();
      Reveal[turn]?.();
    } else if (!uses(control, key)) release();
  }, true);

  let waiting = 0;
  const hold = ({ type }) => {
    clearTimeout(waiting);
    const control = held();
    if (!control || control.matches(`${TEXT}, ${DIALOG}`)) return;
    if (type === "pointerdown") return; // a drag may take its time
    if (control.matches("select") && type !== "change") return; // it may be open
    waiting = setTimeout(() => { if (held() === control) release(); }, settings.hold);
  };
  for (const type of ["focusin", "pointerdown", "pointerup", "keydown", "change"]) addEventListener(type, hold, true);

  // For reveal.js. A key that comes from the speaker view has no name, and no control of this page can mean it.
  const condition = ({ key }) => (key ? !held() || !uses(held(), key) : (release(), true));
  return { settings, condition, release };
})();

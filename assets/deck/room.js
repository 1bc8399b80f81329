// What the room answers: bars beside the choices of a question, dots for numbers, and both again beside the measured answer.
// A vote is the place of a choice, from 0 on, or a number. The votes of a question stay for this browser's session.
const Room = (() => {
  const HANDS = "88 of 88 said so."; // has its room from the start: nothing moves when a hand is counted
  const questions = {}; // name → the texts of its choices; none for a number
  const marked = (element, name, choice) => Object.assign(element.dataset, { room: name, choice });
  const stored = (name) => `room ${name}`;

  // ---- what deck.js makes of a prediction and of a quick question ------------------------------------------------------

  function asks(block, name) {
    const choices = [...block.querySelectorAll("li")];
    questions[name] = choices.map((each) => each.textContent);
    block.dataset.asks = name;
    choices.forEach((each, i) => marked(each, name, i));
    if (!choices.length) numbers(block, name);
  }

  // The answers of a prediction: a line for each wrong choice, so the choice without one is the measured one.
  function answers(block, name) {
    const lines = [...block.querySelectorAll("li")], head = block.querySelector("p"), choices = questions[name] ?? [];
    const places = lines.map((each) => choices.indexOf(each.querySelector("em")?.textContent.replace(/:$/, "")));
    lines.forEach((each, i) => places[i] >= 0 && marked(each, name, places[i]));
    const right = choices.map((_, i) => i).filter((i) => !places.includes(i));
    if (questions[name] && !choices.length) numbers(block, name, +head.querySelector("strong").textContent.match(/[\d.]+(e[-+]?\d+)?(?=\D*$)/)?.[0]);
    else if (right.length === 1) marked(head, name, right[0]);
    else return;
    const said = document.createElement("span");
    Object.assign(said.dataset, { roomSays: name, choice: right[0], said: HANDS });
    head.querySelector("strong").after(said);
  }

  function option(card, name, choice) {
    const summary = card.querySelector(".deck-summary");
    (questions[name] ??= [])[choice] = summary.textContent;
    summary.dataset.letter = "ABCDEFGHI"[choice];
    card.dataset.asks = name;
    marked(card, name, choice);
  }

  // ---- votes ------------------------------------------------------------------------------------------------------------

  function votes(name) {
    try {
      return JSON.parse(sessionStorage.getItem(stored(name))) ?? [];
    } catch { // a browser that stores nothing
      return [];
    }
  }

  // The one way in: from now on these are the room's votes on the question. Keys come here, and a server may, which
  // collects the votes of the students' own devices. All views of the deck show them.
  function take(name, all) {
    if (leader) leader.postMessage(JSON.stringify({ room: { [name]: all } }), "*");
    else keep({ [name]: all });
  }

  function keep(taken) {
    for (const [name, told] of Object.entries(taken)) {
      const all = told.filter(Number.isFinite); // any page may send a message
      try {
        sessionStorage.setItem(stored(name), JSON.stringify(all));
      } catch { /* it is shown all the same, as long as nothing changes */ }
      show(name, all);
    }
    for (const view of views) view.postMessage(JSON.stringify({ room: taken }), "*");
  }

  // The speaker view holds this deck twice more. Files share no storage in every browser, so views send messages: each of
  // them to the deck that opened the speaker view, and that one to all.
  const leader = new URLSearchParams(location.search).has("receiver") && window.parent.opener;
  const views = new Set();

  function listen() {
    addEventListener("message", ({ data, source }) => {
      const told = typeof data === "string" && data.startsWith('{"room":') && JSON.parse(data).room;
      if (!told || (leader && source !== leader)) return;
      if (!leader && source !== window) views.add(source);
      const all = Object.keys(told).length ? told : Object.fromEntries(Object.keys(questions).map((name) => [name, votes(name)]));
      keep(all);
    });
    leader?.postMessage?.(JSON.stringify({ room: {} }), "*");
  }

  // ---- what is seen -----------------------------------------------------------------------------------------------------

  function show(name, all) {
    if (!questions[name]) return; // of another deck
    const named = (attribute) => document.querySelectorAll(`.slides [data-${attribute}="${CSS.escape(name)}"]`);
    const hands = questions[name].map((_, choice) => all.filter((vote) => vote === choice).length);
    for (const row of named("room")) {
      const count = hands[row.dataset.choice];
      row.style.setProperty("--share", count / Math.max(1, ...hands));
      if (all.length) row.dataset.hands = count;
      else delete row.dataset.hands;
    }
    for (const axis of named("room-numbers")) draw(axis, all);
    for (const said of named("room-says")) {
      const middle = all.toSorted((a, b) => a - b)[all.length >> 1];
      said.dataset.said = !all.length ? HANDS : hands.length ? `${hands[said.dataset.choice]} of ${all.length} said so.` : `The room's middle: ${middle}.`;
      said.classList.toggle("deck-seen", all.length > 0);
    }
  }

  function numbers(block, name, measured = 0) {
    const axis = document.createElement("div");
    axis.className = "deck-numbers";
    Object.assign(axis.dataset, { roomNumbers: name, measured });
    block.append(axis);
  }

  // Dots on a logarithmic axis, since a number counts as right by the factor that it is off.
  function draw(axis, all) {
    const measured = +axis.dataset.measured, every = [...all, measured].filter(Boolean), seen = {};
    const low = Math.min(...every) / 1.5, high = Math.max(...every) * 1.5;
    const place = (value) => 100 * Math.log(value / low) / Math.log(high / low);
    const column = (value) => Math.round(place(value) / 1.5) * 1.5, most = Math.max(...all.map((one) => all.filter((each) => column(each) === column(one)).length));
    const dot = (value) => {
      const x = column(value), above = (seen[x] = (seen[x] ?? -1) + 1);
      return `<circle cx="${x}%" cy="${52 - above * Math.min(12, 46 / most)}" r="6"></circle>`;
    };
    const ticks = [...Array(30).keys()].flatMap((k) => [1, 2, 5].map((digit) => digit * 10 ** (k - 15))).filter((tick) => tick > low && tick < high);
    const tick = (value) => `<text x="${place(value)}%" y="90">${+value.toPrecision(1)}</text><line x1="${place(value)}%" x2="${place(value)}%" y1="60" y2="65"></line>`;
    const line = measured ? `<line class="deck-measured" x1="${place(measured)}%" x2="${place(measured)}%" y1="0" y2="60"></line>` : "";
    axis.innerHTML = all.length ? `<svg role="img" aria-label="the room: ${all.join(", ")}"><line x2="100%" y1="60" y2="60"></line>${line}${ticks.map(tick).join("")}${all.map(dot).join("")}</svg>` : "";
  }

  // ---- keys -------------------------------------------------------------------------------------------------------------

  // The question that is asked on this slide, and seen.
  const asked = () => [...Reveal.getCurrentSlide().querySelectorAll("[data-asks]")].findLast((each) => !each.closest(".fragment:not(.visible)"))?.dataset.asks;
  let typed = "";

  function type(text) {
    typed = text;
    document.querySelectorAll(".deck-numbers").forEach((each) => { each.dataset.typed = typed; });
  }

  function press(key, shift = false) {
    const name = asked();
    if (!name) return false;
    const all = votes(name), choices = questions[name].length;
    if (key === "Backspace") {
      if (typed) type(typed.slice(0, -1));
      else take(name, shift ? [] : all.slice(0, -1));
    } else if (!choices && /^[\d.]$/.test(key) && !shift && (typed || key !== ".")) type(typed + key);
    else if (!choices && key === "Enter") {
      if (+typed > 0) take(name, [...all, +typed]);
      type("");
    } else if (key >= 1 && key <= choices) {
      if (shift && all.includes(key - 1)) take(name, all.toSpliced(all.lastIndexOf(key - 1), 1));
      else if (!shift) take(name, [...all, key - 1]);
    } else return false;
    return true;
  }

  function start() {
    if (/[?&](print-pdf|handout)\b/.test(location.search)) return;
    // By their codes, since a key of the speaker view has nothing else.
    for (let digit = 0; digit <= 9; digit++) for (const first of [48, 96]) Reveal.addKeyBinding(first + digit, () => press(`${digit}`));
    Reveal.addKeyBinding(8, () => press("Backspace"));
    Reveal.addKeyBinding(13, () => press("Enter"));
    for (const point of [110, 190]) Reveal.addKeyBinding(point, () => press(".") || Reveal.togglePause());
    addEventListener("keydown", (event) => { // reveal.js leaves out what comes with Shift
      const key = event.code.match(/^Digit([1-9])$/)?.[1] ?? event.key;
      if (event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey && Keys.condition(event) && press(key, true)) event.preventDefault();
    });
    Reveal.registerKeyboardShortcut("1 … 9", "A hand for A … I; with Shift, one less. For a number: type it, Enter");
    Reveal.registerKeyboardShortcut("Backspace", "Take the last hand back; with Shift, all of this question");
    Reveal.on("slidechanged", () => type(""));
    listen();
    for (const name of Object.keys(questions)) show(name, votes(name));
  }

  return { start, asks, answers, option, votes, take };
})();

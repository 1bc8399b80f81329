// Slides from the flat list of cells that deck.html.j2 writes. Only a browser knows what fits on a slide, so the pages are
// made here: what a cell shows is cut into blocks, and the blocks of a section are spread over as few slides as read well.
const Deck = (() => {
  const WIDTH = 1180, TALL = 574, TALLER = 622, SHORT = 456, GAP = 16; // of a body: below a title, without one, first slide
  const SIDE = 400, SIDE_GAP = 28; // the text beside a narrow figure
  const TABLE = [22, 20, 19, 18, 17, 16]; // px; 16 is the smallest, then it is split
  const LINES = 14; // of code on a slide
  const LAB = ".deck-frames, [data-role=lab], .jupyter-widgets, [data-widget]"; // frames.py and live.html.j2 write the first two
  const KEEP = 0.9, GROW = 1.3; // how far a figure may leave its own size; the numbers at its axes then have 18 px

  const make = (tag, className, ...children) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    element.append(...children);
    return element;
  };

  // ---- cells → sections: a heading or a slide type begins one ------------------------------------------------------

  function sections(cells) {
    const found = [], folded = []; // the code of a cell that shows nothing waits for the next one that does
    let chapter = "", asked = false;
    for (const cell of cells) {
      const type = cell.dataset.slide, heading = cell.querySelector(":scope > h1, :scope > h2, :scope > h3, :scope > h4");
      const says = [...cell.querySelectorAll(":scope > [data-says]")];
      says.forEach((each) => each.remove());
      if (type === "notes") {
        if (found.length && !tags(cell).includes("slide-note")) found.at(-1).notes.push(cell); // those are said by their cell
        continue;
      }
      if (type === "slide" || type === "subslide" || heading || !found.length) {
        if (heading && heading.tagName <= "H2") chapter = heading.textContent;
        const first = cell.querySelector(":scope > [data-role=quiz] p") ?? cell.firstElementChild, asks = first?.matches("p") && first.textContent === first.querySelector("strong")?.textContent;
        const goesOn = !heading && !asks;
        found.push({ top: type === "slide" || !found.length, heading: heading ?? (goesOn && found.at(-1)?.heading), chapter, blocks: [], notes: [] });
      }
      asked ||= tags(cell).includes("predict");
      const code = folds(cell), all = blocks(cell, found.at(-1).heading);
      const shown = all.filter((block) => !(asksFor("handout") && tells(block, cell, asked)));
      for (const block of all) Object.assign(block, { says, ends: block === all.at(-1) });
      if (code) folded.push(code);
      if (shown.length && folded.length) shown[0].code = folded.splice(0);
      found.at(-1).blocks.push(...shown);
      found.at(-1).told ||= shown.length < all.length;
    }
    const last = found.at(-1)?.blocks.at(-1);
    if (last) last.code = [last.code ?? [], folded].flat();
    return found;
  }

  const asksFor = (word) => new URLSearchParams(location.search).has(word);
  const tags = (cell) => (cell.dataset.tags ?? "").split(" ");

  // Whether a block gives an answer away, which a hand-out leaves to the class. As in a student's copy, every output does that is
  // stored after the first question was asked.
  const tells = (block, cell, asked) => tags(cell).includes("reveal") || block.role === "saw" || (asked && block.output);

  // ---- a cell → blocks ----------------------------------------------------------------------------------------------

  function blocks(cell, heading) {
    const revealed = cell.dataset.slide === "fragment", found = [];
    const add = (role, ...children) => {
      const element = make("div", `deck-block deck-${role}`, ...children);
      found.push({ element, role, cell: cell.dataset.cell, fragment: revealed });
      return found.at(-1);
    };
    const folded = folds(cell), roles = marked(cell);
    for (const child of [...cell.children]) {
      if (child === heading) continue;
      if (child.matches(".deck-code") && folded) continue;
      if (child.matches(".deck-code")) add("code", ...child.children);
      else if (child.matches("[data-role=quiz]")) quiz(child, add);
      else if (child.matches(".deck-output")) output(child, add);
      else if (child.matches("details")) add("card-block", card(child));
      else if (child.matches("table")) add("table", child);
      else if (child.matches("img") || (child.matches("p:has(> img:only-child)") && !child.textContent.trim()))
        add("figure", child.matches("img") ? child : child.firstElementChild);
      else {
        const role = roles.get(child) ?? "text";
        const block = add(role, child);
        if (role !== "text") block.fragment = true;
      }
    }
    return found;
  }

  // Paragraph → role, in a cell that has this role as a tag: what was seen opens such a cell, what to predict ends it. Only
  // a paragraph that begins with words in bold stands out; a prediction in the middle of another one is read with it.
  function marked(cell) {
    const roles = new Map();
    const bold = [...cell.children].filter((child) => child.matches("p:has(> strong:first-child)") && child.firstChild.nodeName === "STRONG");
    if (!bold.length) return roles;
    if (tags(cell).includes("predict")) roles.set(bold.at(-1), "predict");
    if (tags(cell).includes("reveal")) roles.set(bold[0], "saw");
    return roles;
  }

  // On a slide stands code that is the lesson: what is tagged so, and short code whose output is text or that only defines.
  // All other code draws, sweeps, collects or judges: it stands behind the key C of the slide that shows what it gives.
  function folds(cell) {
    const code = cell.querySelector(":scope > .deck-code"), tagged = (...wanted) => wanted.some((tag) => tags(cell).includes(tag));
    if (!code || tagged("code")) return null;
    const shows = cell.querySelector(`.deck-output :is(img, table), .deck-widget, ${LAB}`);
    return shows || tagged("reveal", "claim") || code.textContent.trim().split("\n").length > LINES ? code : null;
  }

  function output(element, add) {
    const prediction = { question: "predict", result: "saw" }[element.dataset.role];
    const text = element.querySelector("p")?.parentElement;
    if (prediction && text && !text.querySelector("table")) {
      const block = add(prediction, ...text.children);
      const name = (block.element.dataset.prediction = element.dataset.prediction);
      Room[prediction === "predict" ? "asks" : "answers"](block.element, name);
      block.fragment = true;
      return;
    }
    element.querySelectorAll("details").forEach((each) => each.remove()); // a verdict folds what is wrong beside the first
    const lab = element.matches(LAB) || element.querySelector(LAB);
    const images = element.querySelectorAll("img"), table = element.querySelector("table");
    if (lab) {
      add("lab", element);
      return;
    }
    const shows = (role, ...children) => { add(role, ...children).output = true; };
    if (images.length === 1 && !element.textContent.trim()) shows("figure", images[0]);
    else if (table && element.querySelectorAll("table").length === 1 && [...images].every((image) => table.contains(image))) {
      const outside = [...element.querySelectorAll("p, ul, ol")].filter((e) => !table.contains(e) && !e.parentElement.closest("p, ul, ol"));
      const before = outside.filter((e) => e.compareDocumentPosition(table) & Node.DOCUMENT_POSITION_FOLLOWING);
      shows("table", ...before, table);
      if (outside.length > before.length) shows("text", ...outside.slice(before.length));
    } else shows("text-output deck-text", element);
  }

  // A question with its choices, each folded over what is said of it.
  function quiz(element, add) {
    let choice = 0;
    for (const child of [...element.querySelector("p").parentElement.children])
      if (child.matches("details")) Room.option(add("card-block", card(child)).element.firstElementChild, element.dataset.prediction, choice++);
      else add("text", child);
  }

  // A folded answer: its summary stands on the slide, the answer comes when it is asked for.
  function card(details) {
    const summary = details.querySelector(":scope > summary");
    const head = make("p", "deck-summary", ...(summary ? [...summary.childNodes] : ["Answer"]));
    summary?.remove();
    return make("div", "deck-card", head, ...(asksFor("handout") ? [] : [make("div", "deck-body-of fragment", ...details.childNodes)]));
  }

  // ---- how large is a block? ----------------------------------------------------------------------------------------

  const outer = (element) => element.getBoundingClientRect().height;

  function measure(block, bench) {
    const { element, role } = block;
    bench.append(element);
    if (role === "figure") {
      const image = element.querySelector("img");
      const width = +image.getAttribute("width") || image.naturalWidth, ratio = image.naturalHeight / image.naturalWidth || 0.4;
      image.dataset.own = width;
      image.removeAttribute("width");
      image.removeAttribute("height");
      image.removeAttribute("style");
      Object.assign(block, { ratio, own: Math.min(width, WIDTH), most: Math.min(WIDTH, GROW * width, TALL / ratio) });
      block.least = Math.min(KEEP * block.own, block.most);
    } else if (role === "code") {
      const pre = element.querySelector("pre");
      if (!pre.querySelector(".deck-line")) pre.replaceChildren(...byLine(pre));
      block.lines = pre.childElementCount;
    } else if (role === "table") {
      const table = element.querySelector("table");
      const size = TABLE.find((size) => {
        table.style.setProperty("--table", `${size}px`);
        return outer(element) <= 0.92 * TALL && table.scrollWidth <= WIDTH;
      });
      block.tooTall = size === undefined;
      if (block.tooTall) {
        table.style.setProperty("--table", "18px");
        if (outer(element) > 2 * TALL) table.style.setProperty("--table", `${TABLE.at(-1)}px`);
      }
    }
    block.height = outer(element);
    bench.classList.add("deck-narrow");
    block.narrow = role === "figure" ? 0 : shrunk(element) ? Infinity : outer(element);
    bench.classList.remove("deck-narrow");
    return block;
  }

  // Whether a formula would have to be set much smaller than the text here.
  const shrunk = (element) => [...element.querySelectorAll(".deck-math svg")].some((svg) =>
    svg.getBoundingClientRect().width < 0.7 * parseFloat(svg.style.width) * parseFloat(getComputedStyle(svg).fontSize));

  // ---- what is too tall for a slide is cut ---------------------------------------------------------------------------

  function cut(block, bench) {
    if (block.role === "table" && (block.tooTall || block.height > TALL)) return cutTable(block, bench);
    if (block.role === "code" && (block.lines > LINES || block.height > TALL)) return cutCode(block, bench);
    const list = block.element.querySelector(":scope > ul, :scope > ol");
    if (list && block.height > TALL && list.children.length > 1) return cutList(block, list, bench);
    return [block];
  }

  function cutTable(block, bench) {
    const table = block.element.querySelector("table"), head = table.tHead, parts = [];
    const rows = [...table.tBodies[0].rows], heights = rows.map(outer), room = 0.94 * TALL - outer(head ?? rows[0]);
    const number = Math.ceil(heights.reduce((a, b) => a + b, 0) / room), share = heights.reduce((a, b) => a + b, 0) / number;
    let filled = Infinity;
    const widths = [...rows[0].cells].map((cell) => cell.getBoundingClientRect().width);
    rows.forEach((row, i) => {
      if (filled + heights[i] > room || (filled >= share && parts.length < number)) {
        const part = table.cloneNode(false);
        if (head) part.append(head.cloneNode(true));
        part.append(document.createElement("tbody"));
        [...part.rows[0]?.cells ?? []].forEach((cell, k) => { cell.style.width = `${widths[k]}px`; });
        const element = make("div", block.element.className, part);
        parts.push({ ...block, element, tooTall: false, part: parts.length });
        filled = 0;
      }
      parts.at(-1).element.querySelector("tbody").append(row);
      filled += heights[i];
    });
    block.element.remove();
    return parts.map((part) => { bench.append(part.element); part.height = part.narrow = outer(part.element); return part; });
  }

  const indent = (line) => line.textContent.search(/\S/);

  // Each line of code as an element: where it is too long for the slide it goes on below, further in than it began.
  function byLine(pre) {
    return pre.innerHTML.trimEnd().split("\n").map((html) => {
      const line = make("span", "deck-line");
      line.innerHTML = `${html}\n`;
      line.style.setProperty("--indent", `${Math.max(0, indent(line)) + 4}ch`);
      return line;
    });
  }

  // Long code comes in parts. A later one begins with the lines, dimmed, that say what it is inside of.
  function cutCode(block, bench) {
    const all = [...block.element.querySelector("pre").children], heights = all.map(outer), parts = [];
    const inside = (at) => {
      const found = [];
      for (let i = at - 1, least = indent(all[at]); i >= 0; i--)
        if (indent(all[i]) >= 0 && indent(all[i]) < least && !/^\s*[)\]}]/.test(all[i].textContent)) {
          found.unshift(i);
          least = indent(all[i]);
        }
      return found;
    };
    const blank = (to) => to < all.length && indent(all[to]) < 0;
    for (let from = 0; from < all.length; ) {
      const head = from ? inside(from) : [], most = LINES - head.length, left = all.length - from;
      const share = Math.ceil(left / Math.ceil(left / most));
      const fits = (to) => [...head, ...all.keys()].reduce((sum, i, at) => sum + (at < head.length || (i >= from && i < to) ? heights[i] : 0), 0) <= TALL - 24;
      const ends = [...all.keys()].map((i) => i + 1).filter((to) => to > from && to <= from + most && (to === from + 1 || fits(to)));
      const far = (to) => Math.abs(to - from - share) + (blank(to) ? -3 : to < all.length ? indent(all[to]) / 4 : 0);
      const to = ends.sort((a, b) => far(a) - far(b))[0];
      const element = block.element.cloneNode(true);
      element.querySelector("pre").replaceChildren(...[...head, ...[...all.keys()].slice(from, to)].map((i) => all[i].cloneNode(true)));
      while (indent(element.querySelector("pre").lastElementChild) < 0) element.querySelector("pre").lastElementChild.remove();
      [...element.querySelectorAll(".deck-line")].slice(0, head.length).forEach((line) => line.classList.add("deck-dim"));
      parts.push({ ...block, element, part: parts.length });
      for (from = to; blank(from); ) from++;
    }
    block.element.remove();
    return parts.map((part) => measure(part, bench));
  }

  function cutList(block, list, bench) {
    const items = [...list.children], half = Math.ceil(items.length / 2);
    const other = make("div", block.element.className, list.cloneNode(false));
    other.firstChild.append(...items.slice(half));
    if (list.tagName === "OL") other.firstChild.start = (list.start || 1) + half;
    return [block, { ...block, element: other, part: 1 }].flatMap((part) => cut(measure(part, bench), bench));
  }

  // ---- which blocks share a slide? ------------------------------------------------------------------------------------

  const words = (block) => ["text", "saw", "predict"].includes(block.role);

  // What it costs to turn the page between two blocks: what belongs together should be seen together.
  function tear(before, after) {
    if (after.part) return 0;
    const shown = ["figure", "table", "lab"].includes(before.role);
    if (after.role === "saw") return shown ? 9 : 5;
    if (before.role === "code" && before.cell === after.cell) return after.role === "figure" ? 1 : 6;
    if (before.role === "text" && (after.cell === before.cell || after.role === "code")) return 7;
    if (after.role === "predict") return 6;
    return words(before) ? 2 : 0;
  }

  // What it costs to keep them on one: below code that it does not come from, an output would be taken for that code's.
  const foreign = (block, i, page) => i && page[i - 1].role === "code" && page[i - 1].cell !== block.cell && /output|table|figure/.test(block.role);

  // Whether a figure stands alone at first: until the words come it has all the room.
  const first = (page) => page[0]?.role === "figure" && page.slice(1).every((block) => block.fragment);

  // Beside words a figure soon becomes too small for its own words (18 px): that costs more than another page.
  function layout(page, tall) {
    const figures = page.filter((block) => block.role === "figure");
    const rest = page.filter((block) => block.role !== "figure");
    const fixed = rest.reduce((sum, block) => sum + block.height, 0) + GAP * (page.length - 1);
    const options = [];
    if (!figures.length) options.push({ fits: fixed <= tall, cost: 0 });
    else {
      const room = tall - fixed, own = figures.reduce((sum, f) => sum + f.own * f.ratio, 0), scale = room / own;
      const fits = figures.every((f) => scale * f.own >= f.least || (page.length === 1 && scale > 0));
      const [figure] = figures, small = (width) => (first(page) ? 8 * Math.max(0, 1 - width / figure.own) : 130 * Math.max(0, 1 - width / figure.most));
      options.push({ fits, scale, cost: small(scale * figure.own) });
      if (figures.length === 1 && rest.length && rest.every(words)) {
        const width = Math.min(WIDTH - SIDE - SIDE_GAP, figure.most, tall / figure.ratio);
        const text = rest.reduce((sum, block) => sum + block.narrow, 0) + GAP * (rest.length - 1);
        options.push({ fits: width >= figure.least && text <= tall, side: width, cost: small(width) });
      }
    }
    return options.filter((option) => option.fits).sort((a, b) => a.cost - b.cost)[0];
  }

  function paginate(all, tall) {
    const best = [{ cost: 0 }]; // best[n]: how to show the first n blocks
    for (let n = 1; n <= all.length; n++) {
      for (let from = n - 1; from >= 0; from--) {
        const page = all.slice(from, n), alone = page.length > 1 && page.some((block) => block.role === "lab" && !block.small);
        const crowded = page.length > 1 && page.reduce((sum, block) => sum + (block.lines ?? 0), 0) > LINES;
        const how = alone || crowded || page.slice(1).some((block) => block.part) ? undefined : layout(page, tall);
        if (!how && page.length > 1) continue;
        const cost = best[from].cost + 10 + (how ? how.cost : 100) + 12 * page.filter(foreign).length + (from ? tear(all[from - 1], all[from]) : 0);
        if (!best[n] || cost < best[n].cost) best[n] = { cost, from, page, how: how ?? {} };
      }
    }
    const pages = [];
    for (let n = all.length; n > 0; n = best[n].from) pages.unshift(best[n]);
    return pages;
  }

  // ---- a page → a slide ---------------------------------------------------------------------------------------------

  const room = ({ heading }) => (!heading ? TALLER : heading.tagName === "H1" ? SHORT : TALL);

  // A slide with nothing but a few words can say them louder.
  function loud(page, tall) {
    const height = page.reduce((sum, block) => sum + block.height, 0);
    const grow = page.some((block) => block.element.querySelector("li")) ? 2.6 : 1.7; // short lines may each become two
    return page.length && grow * height < tall && page.every(words); // a quarter larger: up to 1.25² times as tall
  }

  function slide(section, { page, how }, number) {
    const { heading, chapter } = section, element = make("section"), body = make("div", "deck-body");
    if (heading) {
      const title = heading.cloneNode(true);
      title.removeAttribute("id");
      element.append(title);
      if (title.textContent.length > 56) title.classList.add("deck-long");
      if (heading.tagName === "H1") element.classList.add("deck-title");
    } else element.classList.add("deck-untitled");
    if (chapter && chapter !== heading?.textContent) element.prepend(make("p", "deck-kicker", chapter));
    let step = 0;
    page.forEach((block, place) => {
      if (block.role === "figure") {
        const width = how.side ?? Math.min(block.most, block.own * (how.scale ?? 1));
        block.element.style.setProperty("--width", `${Math.floor(width)}px`);
      }
      const answers = place && page[place - 1].role === "code" && page[place - 1].cell === block.cell;
      if (place && (block.fragment || answers)) block.element.classList.add("fragment");
      for (const each of [block.element, ...block.element.querySelectorAll(".fragment")]) {
        if (each.matches(".fragment")) each.dataset.fragmentIndex = step++;
      }
    });
    const elements = page.map((block) => block.element);
    if (how.side) { // the words in a column of their own, on the side where the page begins
      const figure = page.findIndex((block) => block.role === "figure");
      const column = make("div", "deck-column", ...elements.filter((_, place) => place !== figure));
      body.append(...(figure ? [column, elements[figure]] : [elements[figure], column]));
    } else body.append(...elements);
    const code = page.flatMap((block) => block.code ?? []);
    if (code.length) element.append(make("div", "deck-folded", ...code));
    if (how.side) body.classList.add("deck-side");
    if (page.length > 1 && first(page)) {
      body.classList.add("deck-first");
      page[0].element.style.setProperty("--alone", `${Math.floor(page[0].most)}px`);
    }
    if (loud(page, room(section))) body.classList.add("deck-loud");
    element.append(body);
    return element;
  }

  // What is said at a page: what goes with the blocks that begin here, and what comes next. Each is said once.
  function own(page, { heading }) {
    const take = (says, ...roles) => says.filter((each) => !each.parentNode && roles.includes(each.dataset.says)).map((each) => make("div", "", each));
    const said = page.flatMap(({ says, role }) => take(says, "", role.split(" ")[0]));
    const last = page.at(-1), begins = page[0]?.element.textContent.trim().slice(0, 90);
    if (!said.length) said.push(make("p", "", last ? `This goes on from the slide before: ${begins} …` : `Here begins: ${heading.textContent}`));
    return last?.ends ? [...said, ...take(last.says, "next")] : said;
  }

  function build(all, bench, into) {
    const paces = []; // [slides, their minutes together]
    let stack = null, title = document.title, first = null, chapter = "", timed = [];
    for (const section of all) {
      if (section.chapter !== chapter) first = null;
      chapter = section.chapter;
      const tall = room(section);
      const cutUp = section.blocks.map((block) => measure(block, bench)).flatMap((block) =>
        cut(block, bench).map((part, i, parts) => Object.assign(part, { ends: block.ends && i === parts.length - 1 })));
      const pages = cutUp.length ? paginate(cutUp, tall) : section.heading && !section.told ? [{ page: [], how: {} }] : [];
      if (section.top || !stack) into.append((stack = make("section")));
      for (const [number, page] of pages.entries()) {
        const made = slide(section, page, number);
        made.append(make("aside", "notes", ...own(page.page, section)));
        stack.append(made);
        first ??= made;
        timed.push(made);
      }
      if (section.notes.length) { // they speak of all slides since the last ones, and are said at the first
        (first ?? timed.at(-1))?.querySelector("aside.notes").append(...section.notes.map((cell) => make("div", "deck-section-note", ...cell.cloneNode(true).childNodes)));
        first = null;
        const minutes = section.notes.reduce((sum, note) => sum + +(note.textContent.match(/\d+(?=\s*min(?:\b|ut))/gi)?.at(-1) ?? 0), 0);
        if (minutes) paces.push([timed, minutes]); // where there are none they are counted with a later note
        if (minutes) timed = [];
      }
    }
    for (const empty of into.querySelectorAll(":scope > :empty")) empty.remove();
    const slides = [...into.querySelectorAll("section section")];
    slides.forEach((each, place) => each.append(make("footer", "deck-foot", make("span", "", title), make("time", "deck-clock"), make("span", "deck-number", codeButton(each), `${place + 1} / ${slides.length}`))));
    for (const only of [...into.children]) if (only.children.length === 1) only.replaceWith(only.firstElementChild);
    paces.at(-1)?.[0].push(...timed); // what comes after the last note
    return pace(paces);
  }

  // Each slide's share of the minutes, from which the speaker view says how far ahead or behind one is, and where it stands in
  // the notes. Returns the minutes of the deck.
  function pace(paces) {
    const total = paces.reduce((sum, [, minutes]) => sum + minutes, 0);
    let past = 0;
    for (const [slides, minutes] of paces) for (const each of slides) {
      each.querySelector("aside.notes").prepend(make("p", "deck-minute", `Minute ${Math.round(past)} of ${total}.`));
      each.dataset.timing = Math.round((60 * minutes) / slides.length); // s
      past += minutes / slides.length;
    }
    return total;
  }

  function codeButton(slide) {
    if (!slide.querySelector(".deck-folded")) return "";
    const button = make("button", "deck-code-button", "code");
    button.title = "the code of what is shown (C)";
    button.addEventListener("click", showCode);
    return button;
  }

  function showCode() {
    const folded = Reveal.getCurrentSlide()?.querySelector(".deck-folded");
    if (!folded) return;
    const dialog = make("dialog", "deck-dialog reveal", folded.cloneNode(true));
    dialog.setAttribute("aria-label", "the code of what is shown");
    dialog.tabIndex = -1;
    dialog.addEventListener("keydown", (event) => { if (event.key.toLowerCase() === "c" && !event.ctrlKey && !event.metaKey) dialog.close(); });
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  }

  // A live lab grows when its widgets arrive: it is made smaller until it fits, never cut.
  function fit(block) {
    const content = block.firstElementChild, body = block.parentElement;
    const update = () => {
      content.style.zoom = 1;
      const room = body.clientHeight - [...body.children].reduce((sum, each) => sum + (each === block ? 0 : each.offsetHeight + GAP), 0);
      const need = content.offsetHeight, wide = content.scrollWidth;
      if (need) content.style.zoom = Math.min(1, room / need, WIDTH / wide);
    };
    new ResizeObserver(update).observe(block);
    Reveal.on("slidechanged", update);
    update();
  }

  // ---- what moves ------------------------------------------------------------------------------------------------------

  // A lab without its kernel: the slider chooses among pictures made when the deck was.
  function frames(root) {
    for (const figure of root.querySelectorAll(".deck-frames")) {
      const states = JSON.parse(figure.querySelector("script").textContent);
      const image = figure.querySelector("img"), slider = figure.querySelector("input"), told = figure.querySelector("output");
      const show = () => {
        const state = states[slider.value];
        image.src = state.src;
        image.alt = state.alt;
        told.textContent = state.value;
        slider.setAttribute("aria-valuetext", state.value);
      };
      slider.addEventListener("input", show);
      show();
    }
  }

  function look() {
    const system = matchMedia("(prefers-color-scheme: dark)");
    const dark = asksFor("dark") || (!asksFor("light") && !asksFor("print-pdf") && system.matches);
    document.documentElement.classList.toggle("dark", dark);
    document.documentElement.classList.toggle("deck-on-paper", asksFor("print-pdf"));
  }

  function clock() {
    const now = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    for (const each of document.querySelectorAll(".deck-clock")) each.textContent = now;
  }

  async function start(options = {}) {
    look();
    await document.fonts.ready;
    await Promise.all([...document.fonts].map((face) => face.load()));
    const source = document.getElementById("deck-cells");
    await Promise.all([...source.querySelectorAll("img")].map((image) => image.decode().catch(() => null)));
    for (const link of source.querySelectorAll("a[href]")) {
      const href = link.getAttribute("href");
      if (/^\w+:/.test(href)) Object.assign(link, { target: "_blank", rel: "noopener" });
      else if (document.body.dataset.deckLinks) link.setAttribute("href", href.replace(".ipynb", document.body.dataset.deckLinks));
    }
    const bench = make("div", "reveal deck-bench", make("div", "slides", make("section")));
    source.append(bench);
    frames(source);
    const minutes = build(sections([...source.querySelectorAll(".deck-cell")]), bench.querySelector("section"), document.querySelector("body > .reveal .slides"));
    clock();
    setInterval(clock, 5000);
    // For paper reveal.js goes on after `initialize` and says when all pages are there: printed before, slides are missing.
    const paper = asksFor("print-pdf") && new Promise((done) => document.addEventListener("pdf-ready", done, { once: true }));
    await Reveal.initialize({
      width: 1280, height: 720, margin: 0, minScale: 0.1, maxScale: 4, center: false, hash: true, fragmentInURL: true, navigationMode: "linear",
      transition: "none", backgroundTransition: "none", controls: false, progress: true, slideNumber: false,
      pdfSeparateFragments: false, pdfMaxPagesPerSlide: 1, plugins: [RevealNotes],
      defaultTiming: minutes ? 0 : null, // without a number the speaker view has no pace
      keyboardCondition: Keys.condition,
      ...options,
    });
    Reveal.on("slidechanged", Keys.release);
    Reveal.addKeyBinding({ keyCode: 68, key: "D", description: "Dark or light" }, () => document.documentElement.classList.toggle("dark"));
    // Forward from a section's first slide is the next one, also after a visit further down.
    Reveal.on("slidechanged", () => document.querySelectorAll("[data-previous-indexv]").forEach((each) => each.removeAttribute("data-previous-indexv")));
    Reveal.addKeyBinding({ keyCode: 67, key: "C", description: "The code of what is shown" }, showCode);
    Room.start();
    for (const lab of document.querySelectorAll(".slides .deck-lab")) fit(lab);
    await paper;
    document.documentElement.classList.add("deck-ready");
  }

  return { start, fit };
})();

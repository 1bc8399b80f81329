// The moving part of a lab: lines, dots and words in SVG over a picture. It knows nothing of scales or optimizers:
// Python sends places in picture coordinates, float32, and says how each line and word looks.
const BUTTONS = { "fa-play": "play or pause", "fa-pause": "play or pause", "fa-stop": "stop", "fa-retweet": "repeat" };
const CONTROLS = ".widget-slider, .widget-dropdown, .widget-checkbox, .jupyter-button";

const make = (parent, tag, attributes) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent.append(element);
  return element;
};

function render({ model, el }) {
  const [width, height] = model.get("size");
  const svg = make(el, "svg", { viewBox: `0 0 ${width} ${height}`, role: "img", class: "workshop-plot" });
  svg.style.cssText = `display: block; width: 100%; max-width: ${1.2 * width}px; font: 600 14px "DejaVu Sans", sans-serif`;
  const image = make(svg, "image", { width, height });
  const panels = model.get("panels").map(([x, y, w, h]) => // a nested svg clips what leaves its panel
    make(svg, "svg", { x, y, width: w, height: h, viewBox: `${x} ${y} ${w} ${h}` }));
  const lines = model.get("lines").map(({ panel, dot, hollow, by_step, ...look }) => ({
    by_step, path: make(panels[panel], "path", { fill: "none", "stroke-linejoin": "round", ...look }),
    dot: make(panels[panel], "circle", hollow ? { r: dot, fill: "white", stroke: look.stroke, "stroke-width": 2 }
      : { r: dot || 0, fill: look.stroke, stroke: "white", "stroke-width": 1.5 }) }));
  const words = model.get("words").map((look) =>
    make(svg, "text", { "paint-order": "stroke", stroke: "white", "stroke-width": 4, ...look }));

  const picture = () => {
    const url = URL.createObjectURL(new Blob([model.get("background")], { type: "image/png" }));
    setTimeout(() => URL.revokeObjectURL(url), 10_000); // not on load: with two in a row that would be the first one's
    image.setAttribute("href", url);
  };
  const numbers = ({ buffer, byteOffset, byteLength }) => new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
  let places, texts, alt; // the frame as it is by now: the points of each line, the words, and all of it in words
  const take = () => {
    const frame = model.get("frame"), all = numbers(frame.points);
    let at = 0;
    places = frame.lengths.map((length) => all.subarray(at, at += 2 * length));
    ({ texts, alt } = frame);
  };
  const change = ({ lines: told, ...said }, [buffer]) => { // what utils.labs.plot_widget.changed() says
    const all = numbers(buffer);
    let at = 0;
    for (const [line, start, count, length] of told) {
      const next = new Float32Array(2 * length);
      next.set(places[line].subarray(0, 2 * length));
      next.set(all.subarray(at, at += 2 * count), 2 * start);
      places[line] = next;
    }
    ({ texts = texts, alt = alt } = said);
  };
  const draw = () => {
    lines.forEach(({ by_step, path, dot }, i) => {
      const xy = places[i], points = xy.length / 2, shown = by_step ? Math.min(points, model.get("step") + 1) : points;
      let d = "", pen = "M", end = null;
      for (let k = 0; k < shown; k++) {
        if (Number.isNaN(xy[2 * k + 1])) { pen = "M"; continue; }
        d += pen + xy[2 * k].toFixed(1) + " " + xy[2 * k + 1].toFixed(1); pen = "L"; end = k;
      }
      path.setAttribute("d", d);
      dot.setAttribute("transform", end === null ? "scale(0)" : `translate(${xy[2 * end]} ${xy[2 * end + 1]})`);
    });
    words.forEach((word, i) => {
      word.setAttribute("transform", `translate(${texts[i][0]} ${texts[i][1]})`);
      word.textContent = texts[i][2];
    });
    svg.setAttribute("aria-label", alt);
  };
  // ipywidgets leaves handles and buttons without a name, a slider over options says the number of the option for its value,
  // and JupyterLab would take the arrow keys for shortcuts.
  const name = () => el.closest(".workshop-lab")?.querySelectorAll(".noUi-handle, .ui-slider-handle, button, select, input, .widget-readout").forEach((control) => {
    // The number beside a slider looks like a field, but a slider over options shows what is typed there and does not move.
    if (control.matches(".widget-readout")) { control.inert = true; return; }
    const slider = control.closest(".widget-slider"), row = control.closest(".workshop-row");
    const icon = Object.keys(BUTTONS).find((each) => control.querySelector("." + each));
    const label = slider ? slider.querySelector(".widget-label").textContent : BUTTONS[icon];
    if (label) control.setAttribute("aria-label", row ? `${row.querySelector(".widget-checkbox, .workshop-name").textContent.trim().replace("\u200b", "")}, ${label}` : label);
    if (control.matches(".ui-slider-handle")) control.setAttribute("role", "slider"); // ipywidgets 7, as on Colab
    if (slider) control.setAttribute("aria-valuetext", slider.querySelector(".widget-readout").textContent);
    control.dataset.lmSuppressShortcuts = "true";
  });
  const watch = (tries) => { // the controls come later than the plot, one by one
    const lab = el.closest(".workshop-lab");
    if (!lab) return tries && setTimeout(watch, 100, tries - 1); // and so may the page around it
    let soon = setTimeout(name);
    new MutationObserver((changes) => {
      if (changes.every(({ target }) => el.contains(target))) return; // the picture's own words
      clearTimeout(soon);
      soon = setTimeout(name, 30);
    }).observe(lab, { childList: true, subtree: true });
  };
  // The controls of a kernel that has ended look alive. Those of the steps are: the browser itself answers them.
  const stop = () => {
    const lab = el.closest(".workshop-lab");
    if (!lab || lab.classList.contains("workshop-stopped")) return;
    lab.classList.add("workshop-stopped");
    clearTimeout(rest);
    lab.querySelectorAll(CONTROLS).forEach((control) => { control.inert = !control.closest(".workshop-steps"); });
    const notice = document.createElement("div");
    notice.className = "workshop-notice";
    notice.setAttribute("role", "alert");
    notice.textContent = "The kernel of this lab has ended, and its sliders answer no more: " +
      (lab.closest(".deck-widget") ? "the presenter starts it again by the key R." : "run this cell again.");
    lab.prepend(notice);
  };
  // A goal counts where the sliders come to rest, not where a drag or a held key leads through.
  let dragged = false, moved = false, rest = 0;
  const settle = () => {
    clearTimeout(rest);
    if (moved && !dragged) rest = setTimeout(() => { moved = false; model.send({ rest: true }); }, 300);
  };
  const drags = ({ target }) => { dragged = !!target.closest?.(".noUi-target"); settle(); };
  const released = () => { dragged = false; settle(); };
  addEventListener("pointerdown", drags, true);
  for (const end of ["pointerup", "pointercancel"]) addEventListener(end, released, true);
  const kernel = model.widget_manager?.kernel, ENDS = ["restarting", "autorestarting", "terminating", "dead"];
  const heard = (_, status) => { if (ENDS.includes(status)) stop(); };
  kernel?.statusChanged?.connect(heard);
  kernel?.disposed?.connect(stop);
  watch(300);
  picture(); take(); draw();
  model.send({ shown: true });
  model.on("change:background", picture);
  const redraw = () => { draw(); name(); moved = true; settle(); };
  model.on("change:frame", () => { take(); redraw(); });
  model.on("msg:custom", (said, buffers) => { change(said, buffers); redraw(); });
  model.on("change:step", draw); // play has no time for names; they follow when the slider's number has changed
  return () => {
    removeEventListener("pointerdown", drags, true);
    for (const end of ["pointerup", "pointercancel"]) removeEventListener(end, released, true);
    kernel?.statusChanged?.disconnect(heard); kernel?.disposed?.disconnect(stop);
  };
}
export default { render };

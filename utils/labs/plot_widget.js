// The moving part of a lab: lines, dots and words in SVG over a picture. It knows nothing of scales or optimizers:
// Python sends places in picture coordinates, float32, and says how each line and word looks.
const BUTTONS = { "fa-play": "play or pause", "fa-pause": "play or pause", "fa-stop": "stop", "fa-retweet": "repeat" };

const make = (parent, tag, attributes) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent.append(element);
  return element;
};

function render({ model, el }) {
  const [width, height] = model.get("size");
  const svg = make(el, "svg", { viewBox: `0 0 ${width} ${height}`, role: "img", class: "workshop-plot" });
  svg.style.cssText = `display: block; width: 100%; max-width: ${1.2 * width}px; font: 600 13px "DejaVu Sans", sans-serif`;
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
  const draw = () => {
    const { points, lengths, texts, alt } = model.get("frame");
    const xy = new Float32Array(points.buffer.slice(points.byteOffset, points.byteOffset + points.byteLength));
    let at = 0;
    lines.forEach(({ by_step, path, dot }, i) => {
      const shown = by_step ? Math.min(lengths[i], model.get("step") + 1) : lengths[i];
      let d = "", pen = "M", end = null;
      for (let k = at; k < at + shown; k++) {
        if (Number.isNaN(xy[2 * k + 1])) { pen = "M"; continue; }
        d += pen + xy[2 * k].toFixed(1) + " " + xy[2 * k + 1].toFixed(1); pen = "L"; end = k;
      }
      path.setAttribute("d", d);
      dot.setAttribute("transform", end === null ? "scale(0)" : `translate(${xy[2 * end]} ${xy[2 * end + 1]})`);
      at += lengths[i];
    });
    words.forEach((word, i) => {
      word.setAttribute("transform", `translate(${texts[i][0]} ${texts[i][1]})`);
      word.textContent = texts[i][2];
    });
    svg.setAttribute("aria-label", alt);
  };
  // ipywidgets leaves handles and buttons without a name, a slider over options says the number of the option for its value,
  // and JupyterLab would take the arrow keys for shortcuts.
  const name = () => el.closest(".workshop-lab")?.querySelectorAll(".noUi-handle, button, select, input, .widget-readout").forEach((control) => {
    // The number beside a slider looks like a field, but a slider over options shows what is typed there and does not move.
    if (control.matches(".widget-readout")) { control.inert = true; return; }
    const slider = control.closest(".widget-slider"), row = control.closest(".workshop-row");
    const icon = Object.keys(BUTTONS).find((each) => control.querySelector("." + each));
    const label = slider ? slider.querySelector(".widget-label").textContent : BUTTONS[icon];
    if (label) control.setAttribute("aria-label", row ? `${row.querySelector(".widget-checkbox, .workshop-name").textContent.trim().replace("\u200b", "")}, ${label}` : label);
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
  watch(300);
  picture(); draw();
  model.send({ shown: true });
  model.on("change:background", picture);
  model.on("change:frame change:step", () => { draw(); name(); });
}
export default { render };

// The controls of a question and its button, as a browser makes them: arrow keys move within a group, a screen reader says
// whose choices they are. The press carries the answer. (ipywidgets holds a value back while the kernel is busy, but never
// a press: were they widgets of their own, the press could come first and note an answer that nobody sees.)
const make = (tag, properties, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

function render({ model, el }) {
  const { kind, options, legend, field } = model.get("asks");
  const group = `predict-${Math.random().toString(36).slice(2)}`, type = kind === "several" ? "checkbox" : "radio";
  const ticked = kind === "one" || kind === "several";
  const controls = kind === "number" ? [make("input", { type: "text", inputMode: "decimal", autocomplete: "off" })]
    : kind === "order" ? field.map(() => make("select", {}, ...["", ...options].map((value) => make("option", { value, textContent: value }))))
    : options.map((value) => make("input", { type, name: group, value }));
  const labels = controls.map((control, i) => ticked ? make("label", {}, control, make("span", { textContent: control.value }))
    : make("label", {}, make("span", { textContent: field[i] }), control));
  const button = make("button", { type: "button", className: "jupyter-button widget-button", textContent: model.get("button") });
  const noted = make("span", { role: "status" });
  el.append(make("fieldset", {}, make("legend", { textContent: legend }), ...labels), make("div", {}, button, noted));

  const chosen = () => ticked ? controls.filter((control) => control.checked).map((control) => control.value)
    : controls.map((control) => control.value);
  const show = () => controls.forEach((control, i) => {
    if (ticked) control.checked = model.get("chosen").includes(control.value);
    else control.value = model.get("chosen")[i] ?? "";
  });
  const say = () => { noted.innerHTML = model.get("noted"); };
  button.addEventListener("click", () => model.send({ chosen: chosen() }));
  el.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.type === "text" && !event.shiftKey) button.click();
    // JupyterLab would go to another cell, or edit this one
    if ([" ", "Home", "End"].includes(event.key) || event.key.startsWith("Arrow")) event.stopPropagation();
  });
  model.on("change:chosen", show);
  model.on("change:noted", say);
  show();
  say();
}

export default { render };

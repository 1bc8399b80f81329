// Radio buttons or checkboxes in a group of their own, as a browser makes them: arrow keys move within the group, and a
// screen reader says whose choices they are. (Those of ipywidgets are single buttons, without a group.)
const make = (tag, properties, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

function render({ model, el }) {
  const name = `predict-${Math.random().toString(36).slice(2)}`, type = model.get("several") ? "checkbox" : "radio";
  const inputs = model.get("options").map((value) => make("input", { type, name, value }));
  const labels = inputs.map((input) => make("label", {}, input, make("span", { textContent: input.value })));
  el.append(make("fieldset", {}, make("legend", { textContent: model.get("legend") }), ...labels));
  const show = () => inputs.forEach((input) => { input.checked = model.get("chosen").includes(input.value); });
  el.addEventListener("change", () => {
    model.set("chosen", inputs.filter((input) => input.checked).map((input) => input.value));
    model.save_changes();
  });
  el.addEventListener("keydown", (event) => {
    if (event.key === " " || event.key.startsWith("Arrow")) event.stopPropagation(); // JupyterLab would go to another cell
  });
  model.on("change:chosen", show);
  show();
}

export default { render };

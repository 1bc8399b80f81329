// Written by hand as JupyterLab wants an extension that is loaded from a folder; tests/tools/test_return_in_browser.py
// says if that is no longer so.
const opened = new WeakSet();
let asked = {}; // the link that was followed last: its file as `path`, its heading as `id`

const followed = (_commands, { id, args }) => {
  if (id === "rendermime:handle-local-link") asked = args;
};

const isUnder = (id) => ({ model }) =>
  model.sharedModel.getSource().split("\n").some((line) => `#${line.replace(/^#+ /, "").replaceAll(" ", "-")}` === id);

const place = ({ content, context }) => {
  if (asked.path === context.path) {
    // JupyterLab looks for the heading before the cells are drawn, and then never again.
    const heading = content.widgets.find(isUnder(decodeURIComponent(asked.id)));
    asked = {};
    if (heading) return heading;
  }
  const isACopy = /(^|\/)my-work\//.test(context.path); // the workshop's own have run to their end
  return isACopy ? content.widgets.filter(({ model }) => model.executionCount).at(-1) : undefined;
};

const scrollThere = async (_shell, { newValue: panel }) => {
  if (!panel?.setFragment || !panel.content?.model || opened.has(panel)) return;
  opened.add(panel);
  await panel.revealed;
  const cell = place(panel);
  if (cell) panel.setFragment(`#cell-id=${cell.model.id}`);
};

const plugin = {
  id: "workshop:where-one-was",
  autoStart: true,
  activate: (app) => {
    app.commands.commandExecuted.connect(followed);
    app.shell.currentChanged.connect(scrollThere);
  },
};

(globalThis._JUPYTERLAB ??= {}).workshop = {
  init: async () => {},
  get: async () => () => ({ __esModule: true, default: plugin }),
};

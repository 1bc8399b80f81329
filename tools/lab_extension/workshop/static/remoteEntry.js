// Written by hand as JupyterLab wants an extension that is loaded from a folder; tests/tools/test_return_in_browser.py
// says if that is no longer so.
const LINK = "rendermime:handle-local-link";
const opened = new WeakSet();
let asked = ""; // the file that a link is about to open: the link says where in it

// What is drawn late above a cell pushes it away, so we ask again for two seconds, or until the user does something.
const show = async (panel, cell) => {
  let left = false;
  for (const type of ["wheel", "pointerdown", "keydown"]) addEventListener(type, () => { left = true; }, { capture: true, once: true });
  for (let tries = 0; tries < 20 && !left; tries++) {
    await panel.content.setFragment(`#cell-id=${cell.model.id}`);
    await new Promise((next) => setTimeout(next, 100));
  }
};

const isUnder = (id) => ({ model }) =>
  model.sharedModel.getSource().split("\n").some((line) => `#${line.replace(/^#+ /, "").replaceAll(" ", "-")}` === id);

// JupyterLab looks for the heading before the cells are drawn, and then never again; and for `%22` where `"` stands.
const followed = async (shell, { id, args, result }) => {
  if (id !== LINK || !args.id) return;
  const find = () => [...shell.widgets("main")].find(({ context }) => context?.path === args.path);
  if (!find()) asked = args.path;
  await result;
  const panel = find();
  await panel?.revealed;
  const cell = panel?.content.widgets?.find(isUnder(decodeURIComponent(args.id)));
  if (cell) show(panel, cell);
};

const returned = async (_shell, { newValue: panel }) => {
  if (!panel?.setFragment || !panel.content?.model || opened.has(panel)) return;
  opened.add(panel);
  const { path } = panel.context, linked = path === asked;
  if (linked) asked = "";
  if (linked || !/(^|\/)my-work\//.test(path)) return; // the workshop's own have run to their end
  await panel.revealed;
  const last = panel.content.widgets.filter((cell) => cell.model.executionCount).at(-1);
  if (last) show(panel, last);
};

const plugin = {
  id: "workshop:where-one-was",
  autoStart: true,
  activate: (app) => {
    app.commands.commandExecuted.connect((_commands, executed) => { followed(app.shell, executed); });
    app.shell.currentChanged.connect(returned);
  },
};

(globalThis._JUPYTERLAB ??= {}).workshop = {
  init: async () => {},
  get: async () => () => ({ __esModule: true, default: plugin }),
};

"""axe-core (Deque) in a page: what a machine can check of WCAG 2; and the contrast of two colours."""

from pathlib import Path

import axe_playwright_python
import numpy as np
from matplotlib.colors import to_rgb
from playwright.sync_api import Page

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()


def findings(page: Page, within: str, *, without: tuple[str, ...] = (), rules_off: tuple[str, ...] = ()) -> list[str]:
    """What axe finds wrong, one line per rule with its first place."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    context = {"include": [within], "exclude": list(without)}
    options = {
        "rules": {rule: {"enabled": False} for rule in rules_off},
        "resultTypes": ["violations"],  # of what is right one place is told
        "preload": False,  # style sheets, for a rule that no page here needs
    }
    result = page.evaluate("([context, options]) => axe.run(context, options)", [context, options])
    looked = {each["id"] for kind in ("passes", "violations", "incomplete") for each in result[kind]}
    assert len(looked) >= 3, f"axe saw hardly anything: {looked}"
    wrong = [each for each in result["violations"] if each["impact"] in ("serious", "critical", "moderate")]
    return [f"{each['id']}: {each['help']}: {each['nodes'][0]['html'][:200]}" for each in wrong]


def contrast(a: str, b: str) -> float:
    """WCAG 2 contrast of two colours, 1 to 21."""

    def luminance(color):
        rgb = np.array(to_rgb(color))
        return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722)

    low, high = sorted([luminance(a), luminance(b)])
    return (high + 0.05) / (low + 0.05)

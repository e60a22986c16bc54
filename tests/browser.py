"""A page opened from disk in headless Chromium, and what it did."""

from __future__ import annotations

import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
PATIENCE = 120_000  # ms: a busy machine is slow, not broken
DRAWN = "html[data-drawn]"
IDLE = DRAWN + '[data-pending="0"]'
WIDE, PHONE = (1300, 900), (360, 740)


class Visit:
    """A page opened from disk without a network, and everything it complained about."""

    def __init__(self, browser, path, size=WIDE, scheme="light"):
        self.context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, offline=True
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.said, self.asked = [], []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append("dialog"), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.resolve().as_uri())
        self.page.wait_for_selector(DRAWN, state="attached")

    def run(self, code, *arguments):
        return self.page.evaluate(code, *arguments)

    def resize(self, width, height):
        """Another size of the window; waits until the page has seen it and drawn what it must."""
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.wait_for_function("w => innerWidth === w", arg=width)
        self.settled()

    def traces(self):
        """How many traces every figure has in the browser, by the name of the figure."""
        return self.run(
            "() => Object.fromEntries([...document.querySelectorAll('.plot')].map("
            "p => [p.id.slice(7), p.data.length]))"
        )

    def data(self, name):
        return self.run("id => JSON.stringify(document.getElementById(id).data)", f"figure-{name}")

    def settled(self):
        """Nothing is being drawn, and what was drawn is on the screen."""
        frames = "() => new Promise(ok => requestAnimationFrame(() => requestAnimationFrame(ok)))"
        self.run(frames)
        self.page.wait_for_selector(IDLE, state="attached")
        self.run(frames)

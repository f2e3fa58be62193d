"""A headless Chromium that looks at a stack's pages as a person does; for browser tests and screenshots."""

from __future__ import annotations

import base64
import io
import shutil
from typing import TYPE_CHECKING, Final

from PIL import Image
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions as expected
from selenium.webdriver.support.wait import WebDriverWait

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from selenium.webdriver.remote.webelement import WebElement

#: Seconds for which something is awaited that should be there in a moment.
PATIENCE: Final = 20.0
#: The name of our frame in Airflow's page.
FRAME: Final = 'iframe[title="Campaigns"]'


def missing() -> str:
    """Say which program is not installed; nothing where all are."""
    absent = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"no {' and no '.join(absent)}: apt-get install chromium chromium-driver" if absent else ""


class Browser:
    """One browser with a profile of its own; use as a context manager.

    :param url: address of Airflow.
    :param width: of the window, in pixels; narrow ones are telephones.
    """

    def __init__(self, url: str, width: int = 1280, height: int = 900) -> None:
        self.url = url
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or "chromium"
        # Root in a container has no sandbox, and /dev/shm is small there.
        for word in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "hide-scrollbars", "disable-gpu"):
            options.add_argument(f"--{word}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
        # Nothing grows or fades: what is seen is all that there is.
        calm = {"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", calm)
        self.resize(width, height)

    def __enter__(self) -> Browser:  # noqa: PYI034 - Self would need a newer typing for no gain here
        """Give the browser."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.driver.quit()

    def resize(self, width: int, height: int = 900) -> None:
        """Make the window so large; a window itself cannot be narrower than 500 pixels."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def open(self, path: str) -> None:
        """Go to a path of Airflow's host."""
        self.driver.switch_to.default_content()
        self.driver.get(self.url + path)

    def login(self, user: str, password: str) -> None:
        """Log in through Airflow's form, wherever the browser was sent to it."""
        self.find('input[name="username"]').send_keys(user)
        self.find('input[name="password"]').send_keys(password)
        self.find('button[type="submit"]').click()
        self.wait(lambda: "/login" not in self.driver.current_url)

    def into_frame(self) -> None:
        """Look at our page within Airflow's."""
        self.driver.switch_to.default_content()
        frame = (By.CSS_SELECTOR, FRAME)
        WebDriverWait(self.driver, PATIENCE).until(expected.frame_to_be_available_and_switch_to_it(frame))

    def find(self, selector: str) -> WebElement:
        """Wait for an element that is seen, and give it."""
        seen = expected.visibility_of_element_located((By.CSS_SELECTOR, selector))
        return WebDriverWait(self.driver, PATIENCE).until(seen)

    def link(self, text: str) -> WebElement:
        """Wait for a link with this text, and give it."""
        seen = expected.element_to_be_clickable((By.LINK_TEXT, text))
        return WebDriverWait(self.driver, PATIENCE).until(seen)

    def text(self) -> str:
        """Give what stands on the page."""
        return self.driver.find_element(By.TAG_NAME, "body").text

    def wait(self, ready: Callable[[], object], patience: float = PATIENCE) -> None:
        """Wait until something holds; a page that is just replaced by another one does not count."""
        WebDriverWait(self.driver, patience, 0.1, [StaleElementReferenceException]).until(lambda _: ready())

    def set_mode(self, mode: str) -> None:
        """Choose light or dark, as Airflow's own switch does; holds for every page that is opened from now on."""
        self.driver.execute_script("window.localStorage.setItem('theme', arguments[0])", mode)

    def complaints(self) -> list[str]:
        """Give what the browser's console said since the last time: refused scripts, missing files."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def picture(self, file: Path, most: int) -> None:
        """Write the page as a PNG of 256 colours, whole, but no higher than so many pixels."""
        height = self.driver.execute_script("return document.documentElement.scrollHeight")
        width = self.driver.execute_script("return window.innerWidth")
        clip = {"x": 0, "y": 0, "width": width, "height": min(height, most), "scale": 1}
        shot = {"format": "png", "captureBeyondViewport": True, "clip": clip, "optimizeForSpeed": False}
        raw = base64.b64decode(self.driver.execute_cdp_cmd("Page.captureScreenshot", shot)["data"])
        with Image.open(io.BytesIO(raw)) as taken:
            few = taken.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
            few.save(file, "PNG", optimize=True)

    def flaws(self) -> list[str]:
        """Name what no page should have: parts that stick out, empty charts, faint words, fields without a name."""
        found: list[str] = self.driver.execute_script(_FLAWS)
        return found


#: Elements in a box that scrolls may be as wide as they like. Words need the contrast that WCAG 2.2 asks for (1.4.3).
_FLAWS: Final = """
const wide = document.documentElement.clientWidth;
const named = (element) => `${element.tagName} ${element.className} ${element.textContent.trim().slice(0, 40)}`;
const scrolls = (element) =>
  element && (getComputedStyle(element).overflowX === "auto" || scrolls(element.parentElement));
const flaws = [...document.querySelectorAll("main *")].filter((element) => {
  const box = element.getBoundingClientRect();
  return box.width && box.right > wide + 1 && !scrolls(element) && !element.closest("[popover]");
}).map((element) => `sticks out: ${named(element)}`);

for (const figure of document.querySelectorAll("figure[data-chart]")) {
  const canvas = figure.querySelector("canvas");
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  if (!pixels.some((value) => value)) flaws.push(`empty chart: ${canvas.getAttribute("aria-label")}`);
}

const dot = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const rgba = (colour) => {
  dot.clearRect(0, 0, 1, 1);
  dot.fillStyle = colour;
  dot.fillRect(0, 0, 1, 1);
  return [...dot.getImageData(0, 0, 1, 1).data];
};
const light = (colour) => {
  const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const [r, g, b] = colour.map((value) => linear(value / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
  const colour = element ? rgba(getComputedStyle(element).backgroundColor) : [255, 255, 255, 255];
  return colour[3] > 250 ? colour : behind(element.parentElement);
};
for (const element of document.querySelectorAll("body *")) {
  const words = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  if (!words || !element.getClientRects().length) continue;
  const [dark, bright] = [light(rgba(getComputedStyle(element).color)), light(behind(element))].sort((a, b) => a - b);
  if ((bright + 0.05) / (dark + 0.05) < 4.5) flaws.push(`faint: ${named(element)}`);
}

for (const element of document.querySelectorAll("input:not([type=hidden]), select, button, a")) {
  if (element.labels?.length || element.textContent.trim() || element.ariaLabel) continue;
  flaws.push(`no name: ${named(element)}`);
}
return flaws;
"""

"""What is wrong with a page to look at: expressions of JavaScript, each a list of complaints."""

from __future__ import annotations

from typing import Any

from selenium.webdriver import Chrome

# What stands beyond the right edge, outside of a box that scrolls by itself or is cut on purpose.
_OVERFLOW = """
const width = document.documentElement.clientWidth, found = [];
if (document.documentElement.scrollWidth > width)
  found.push(`the page is ${document.documentElement.scrollWidth} wide in ${width}`);
for (const element of document.body.querySelectorAll("*")) {
  const box = element.getBoundingClientRect();
  if (!box.width || box.right <= width + 1 || box.left >= width) continue;
  let around = element.parentElement;
  while (around && getComputedStyle(around).overflowX === "visible") around = around.parentElement;
  if (!around || around === document.body || around === document.documentElement)
    found.push(`${element.tagName} .${element.className} ends at ${Math.round(box.right)}`);
}
return found;
"""

# A character without a glyph is drawn as one that no font has: compare the two drawings, in the
# font of the element where the character stands.
_GLYPHS = """
const canvas = document.createElement("canvas");
canvas.width = canvas.height = 48;
const pen = canvas.getContext("2d", {willReadFrequently: true});
function drawn(character, style) {
  pen.clearRect(0, 0, 48, 48);
  pen.font = `${style.fontWeight} 32px ${style.fontFamily}`;
  pen.fillText(character, 4, 36);
  return pen.getImageData(0, 0, 48, 48).data.join();
}
const found = new Set(), known = new Map();
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (element.closest("script, style, noscript, template")) continue;
  const style = getComputedStyle(element), font = style.fontWeight + style.fontFamily;
  if (!known.has(font))
    known.set(font, {
      seen: new Set(), missing: drawn("\\u{10fffd}", style), blank: drawn(" ", style)});
  const {seen, missing, blank} = known.get(font);
  for (const character of walker.currentNode.data) {
    if (seen.has(character) || /[\\s\\p{Cf}\\p{M}]/u.test(character)) continue;
    seen.add(character);
    const drawing = drawn(character, style);
    if (drawing === missing || drawing === blank)
      found.add(`${character} U+${character.codePointAt(0).toString(16)}`);
  }
}
return [...found];
"""

# Contrast by the rule of WCAG 2: 4.5 for what is read.
_CONTRAST = """
function parts(color) {
  const pen = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  pen.fillStyle = color; pen.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
  return {rgb: [r, g, b], alpha: a / 255};
}
function behind(element) {
  const layers = [];
  for (let around = element; around; around = around.parentElement) {
    const layer = parts(getComputedStyle(around).backgroundColor);
    if (layer.alpha) layers.push(layer);
    if (layer.alpha === 1) break;
  }
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  let below = dark && getComputedStyle(document.documentElement).colorScheme.includes("dark")
    ? [18, 18, 18] : [255, 255, 255];
  for (const {rgb, alpha} of layers.reverse())
    below = below.map((value, place) => value * (1 - alpha) + rgb[place] * alpha);
  return below;
}
function light(rgb) {
  const [r, g, b] = rgb.map(value => value / 255)
    .map(value => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
const found = [];
const read = "h1, h2, h3, p, li, td, th, pre, text, figcaption";
for (const element of document.querySelectorAll(read)) {
  if (!element.textContent.trim() || !element.getClientRects().length) continue;
  if (element.closest(".md-header, .md-sidebar, .md-footer, .md-search, .md-source")) continue;
  const ground = behind(element), {rgb, alpha} = parts(getComputedStyle(element).color);
  const text = rgb.map((value, place) => value * alpha + ground[place] * (1 - alpha));
  const [dim, bright] = [light(text), light(ground)].sort((one, other) => one - other);
  const ratio = (bright + 0.05) / (dim + 0.05);
  if (ratio < 4.5) found.push(`${ratio.toFixed(1)}: ${element.textContent.trim().slice(0, 40)}`);
}
return found;
"""

_ELSEWHERE = """
return performance.getEntriesByType("resource").map(entry => entry.name)
  .filter(name => !/^(data|blob|file):/.test(name) && new URL(name).host !== location.host);
"""


def overflow(driver: Chrome) -> list[str]:
    """What is wider than the window."""
    return _said(driver, _OVERFLOW)


def missing_glyphs(driver: Chrome) -> list[str]:
    """Characters of the page that no font of this machine draws."""
    return _said(driver, _GLYPHS)


def faint(driver: Chrome) -> list[str]:
    """Texts that are hard to tell from what is behind them, with their contrast."""
    return _said(driver, _CONTRAST)


def loaded_from_elsewhere(driver: Chrome) -> list[str]:
    """Addresses of other hosts that the page asked for."""
    return _said(driver, _ELSEWHERE)


def complaints(driver: Chrome) -> list[str]:
    """All of these."""
    looks = (overflow, missing_glyphs, faint, loaded_from_elsewhere)
    return [f"{look.__name__}: {said}" for look in looks for said in look(driver)]


def _said(driver: Chrome, script: str) -> list[str]:
    found: Any = driver.execute_script(script)
    return [str(each) for each in found]

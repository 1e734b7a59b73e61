"use strict";
// One scan's viewer. Everything shown comes from the page: pictures of all slices, and the numbers below.
const data = JSON.parse(document.getElementById("viewer-data").textContent);
const viewer = document.getElementById("viewer");
const slider = document.getElementById("slice");
const layers = viewer.querySelectorAll(".layer");
const outlines = viewer.querySelectorAll("path");
const cursor = document.getElementById("cursor");
const chart = document.getElementById("chart");
const last = data.slices.length - 1;
const NOTCH = 40;
let shown = data.first;
let turned = 0;

function part(index, count) {
  return count > 1 ? 100 * index / (count - 1) + "%" : "0%";
}

function show(index) {
  shown = Math.min(Math.max(index, 0), last);
  const slice = data.slices[shown];
  const place = part(shown % data.columns, data.columns) + " " + part(Math.floor(shown / data.columns), data.rows);
  layers.forEach((layer) => { layer.style.backgroundPosition = place; });
  outlines.forEach((path) => path.setAttribute("d", slice.outline));
  document.getElementById("caption").textContent = slice.caption;
  cursor.style.left = 100 * slice.place + "%";
  slider.value = shown;
  slider.setAttribute("aria-valuetext", slice.caption);
}

function nearest(place) {
  const distances = data.slices.map((slice) => Math.abs(slice.place - place));
  return distances.indexOf(Math.min(...distances));
}

const keys = {
  ArrowUp: () => shown + 1, ArrowRight: () => shown + 1, ArrowDown: () => shown - 1, ArrowLeft: () => shown - 1,
  PageUp: () => shown + 5, PageDown: () => shown - 5, Home: () => 0, End: () => last,
};

// Left and right work everywhere; keys that scroll a page do so unless the viewer was clicked or tabbed to.
document.addEventListener("keydown", (event) => {
  const sideways = event.key === "ArrowLeft" || event.key === "ArrowRight";
  const ours = viewer.contains(event.target) || (sideways && event.target.type !== "range");
  if (!ours || !(event.key in keys)) return;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  show(keys[event.key]());
});

// A notch of a wheel is one slice; the small steps of a touchpad add up to one. Beyond the ends the page scrolls.
viewer.addEventListener("wheel", (event) => {
  const next = shown - Math.sign(event.deltaY);
  if (event.ctrlKey || next < 0 || next > last) return;
  event.preventDefault();
  turned += event.deltaY * (event.deltaMode === 0 ? 1 : NOTCH);
  if (Math.abs(turned) < NOTCH) return;
  turned = 0;
  show(next);
}, { passive: false });

slider.addEventListener("input", () => show(Number(slider.value)));
chart.addEventListener("click", (event) => {
  const box = chart.getBoundingClientRect();
  show(nearest((event.clientX - box.left) / box.width));
});
document.querySelectorAll("[data-show]").forEach((button) => {
  button.addEventListener("click", () => show(Number(button.dataset.show)));
});
document.getElementById("outlined").addEventListener("input", (event) => {
  viewer.classList.toggle("plain", !event.target.checked);
});
document.getElementById("size").addEventListener("input", (event) => {
  viewer.style.setProperty("--size", event.target.value + "rem");
});
document.getElementById("opacity").addEventListener("input", (event) => {
  viewer.style.setProperty("--opacity", event.target.value / 100);
});
show(shown);

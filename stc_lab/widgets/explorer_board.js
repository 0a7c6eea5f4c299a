// Pictures of one size side by side: linked zoom and pan, a linked cross-hair, clicks and keys for the kernel.
const KEYS = new Set(["ArrowLeft", "ArrowRight", "n", "p", "[", "]", "d", " "]);
const MARKS = "http://www.w3.org/2000/svg";
const AIM = 280; // px: panels are about this wide
const WIDE = 320; // px: and no wider

function render({ model, el }) {
  const root = element("div", "stc-board", el);
  root.tabIndex = 0;
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", "Pictures of the pair. Click a pixel; arrow keys step, n and p go to the next and previous worst pair.");
  root.setAttribute("data-lm-suppress-shortcuts", "true"); // the lab's own keys would act on the cell
  const bar = element("div", "stc-board-bar", root);
  const grid = element("div", "stc-board-grid", root);
  const buttons = [["Zoom in", "+"], ["Zoom out", "-"], ["Whole picture", "0"]];
  for (const [name, key] of buttons) {
    const button = element("button", "", bar, name);
    button.title = `${name} (key ${key})`;
    button.addEventListener("click", () => zoomBy(key));
  }
  const place = element("span", "stc-board-place", bar);
  const status = element("span", "stc-board-status", bar);
  const busy = element("span", "stc-board-busy", bar, "working …");
  busy.setAttribute("role", "status");
  const view = { k: 1, u: 0, v: 0 }; // magnification; left upper corner as shares of the picture
  let cells = [];
  let clicks = 0;
  let keys = 0;
  let turn = 0;

  function zoomBy(key, u = 0.5, v = 0.5) {
    const before = view.k;
    view.k = key === "0" ? 1 : Math.min(16, Math.max(1, view.k * (key === "+" ? 1.5 : 1 / 1.5)));
    view.u += u / before - u / view.k;
    view.v += v / before - v / view.k;
    place_all();
  }

  function place_all() {
    view.u = Math.min(1 - 1 / view.k, Math.max(0, view.u));
    view.v = Math.min(1 - 1 / view.k, Math.max(0, view.v));
    for (const cell of cells) {
      const { width, height } = cell.panel;
      const enlarged = (cell.frame.clientWidth * view.k) / width;
      Object.assign(cell.image.style, {
        width: `${100 * view.k}%`,
        left: `${-100 * view.u * view.k}%`,
        top: `${-100 * view.v * view.k}%`,
        imageRendering: enlarged >= 2 ? "pixelated" : "auto",
      });
      const box = [view.u * width - 0.5, view.v * height - 0.5, width / view.k, height / view.k];
      cell.marks.setAttribute("viewBox", box.join(" "));
      draw_marks(cell, width / view.k / Math.max(1, cell.frame.clientWidth));
    }
    root.dataset.zoom = view.k.toFixed(2);
  }

  function draw_marks(cell, unit) {
    cell.marks.replaceChildren();
    for (const [kind, x, y, colour] of cell.panel.marks) {
      for (const [ink, width] of [["white", 5], [colour, 2]]) {
        const mark = document.createElementNS(MARKS, kind === "ring" ? "circle" : "path");
        if (kind === "ring") for (const [n, value] of [["cx", x], ["cy", y], ["r", 7 * unit]]) mark.setAttribute(n, value);
        else mark.setAttribute("d", cross(x, y, 6 * unit));
        mark.setAttribute("fill", "none");
        mark.setAttribute("stroke", ink);
        mark.setAttribute("stroke-width", width * unit);
        cell.marks.appendChild(mark);
      }
    }
    if (hover) {
      const mark = document.createElementNS(MARKS, "path");
      mark.setAttribute("d", `M${hover.x} ${hover.y - 9 * unit}V${hover.y + 9 * unit}M${hover.x - 9 * unit} ${hover.y}H${hover.x + 9 * unit}`);
      mark.setAttribute("stroke", "#ffffff");
      mark.setAttribute("style", "mix-blend-mode:difference");
      mark.setAttribute("stroke-width", unit);
      cell.marks.appendChild(mark);
    }
  }

  let hover = null;
  function spot(event, cell) {
    const box = cell.frame.getBoundingClientRect();
    const u = Math.min(0.999999, Math.max(0, (event.clientX - box.left) / box.width));
    const v = Math.min(0.999999, Math.max(0, (event.clientY - box.top) / box.height));
    const x = Math.floor((view.u + u / view.k) * cell.panel.width);
    const y = Math.floor((view.v + v / view.k) * cell.panel.height);
    return { u, v, x, y };
  }

  function new_cell() {
    const figure = element("figure", "stc-board-panel", grid);
    const cell = { figure, title: element("figcaption", "", figure), frame: element("div", "stc-board-frame", figure) };
    cell.image = element("img", "", cell.frame);
    cell.marks = document.createElementNS(MARKS, "svg");
    cell.frame.appendChild(cell.marks);
    cell.below = element("div", "stc-board-below", figure);
    cell.address = "";
    cell.name = ""; // of what it shows
    let drag = null;
    cell.frame.addEventListener("pointerdown", (event) => {
      drag = { x: event.clientX, y: event.clientY, u: view.u, v: view.v, moved: false };
      cell.frame.setPointerCapture(event.pointerId);
    });
    cell.frame.addEventListener("pointermove", (event) => {
      hover = spot(event, cell);
      place.textContent = `x ${hover.x}, y ${hover.y}`;
      if (drag && Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > 4) drag.moved = true;
      if (drag && drag.moved) {
        view.u = drag.u - (event.clientX - drag.x) / cell.frame.clientWidth / view.k;
        view.v = drag.v - (event.clientY - drag.y) / cell.frame.clientHeight / view.k;
      }
      place_all();
    });
    cell.frame.addEventListener("pointerleave", () => {
      hover = null;
      place.textContent = "";
      place_all();
    });
    cell.frame.addEventListener("pointerup", (event) => {
      const { x, y } = spot(event, cell);
      const still = drag && !drag.moved;
      drag = null;
      if (!still) return;
      clicks += 1;
      model.set("clicked", [x, y, clicks]);
      model.save_changes();
    });
    cell.frame.addEventListener("pointercancel", () => (drag = null));
    cell.frame.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.shiftKey) return; // the page scrolls as everywhere
      event.preventDefault();
      const { u, v } = spot(event, cell);
      zoomBy(event.deltaY + event.deltaX < 0 ? "+" : "-", u, v);
    }, { passive: false });
    return cell;
  }

  async function draw() {
    const own = ++turn;
    const panels = model.get("panels");
    while (cells.length < panels.length) cells.push(new_cell());
    while (cells.length > panels.length) {
      const cell = cells.pop();
      URL.revokeObjectURL(cell.address);
      cell.figure.remove();
    }
    const ready = panels.map((panel, i) => {
      const cell = cells[i];
      cell.panel = panel;
      cell.title.textContent = panel.title;
      cell.figure.classList.toggle("stale", panel.stale);
      cell.below.innerHTML = panel.below;
      cell.image.alt = panel.caption ? `${panel.title}: ${panel.caption}` : panel.title;
      cell.frame.style.aspectRatio = `${panel.width} / ${panel.height}`;
      if (cell.name === panel.name) return undefined; // it is there already
      cell.name = panel.name;
      URL.revokeObjectURL(cell.address);
      cell.address = URL.createObjectURL(new Blob([panel.picture], { type: `image/${panel.format}` }));
      cell.image.src = cell.address;
      return cell.image.decode().catch(() => undefined); // a newer picture took its place
    });
    place_all();
    await Promise.all(ready);
    if (own === turn) root.dataset.drawn = model.get("turn");
  }

  function say() {
    status.textContent = model.get("status");
    busy.classList.toggle("on", model.get("busy"));
  }

  root.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "BUTTON") return;
    const key = event.key === "=" ? "+" : event.key;
    if (["+", "-", "0"].includes(key)) zoomBy(key);
    else if (KEYS.has(key)) {
      keys += 1;
      model.set("pressed", [key, keys]);
      model.save_changes();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  const fit = new ResizeObserver(() => {
    const room = grid.clientWidth;
    const columns = Math.max(1, Math.round((room + 10) / (AIM + 10)));
    const width = Math.min(WIDE, Math.floor((room - 10 * (columns - 1)) / columns));
    grid.style.gridTemplateColumns = `repeat(${columns}, ${width}px)`;
    place_all();
  });
  fit.observe(root);
  model.on("change:panels", draw);
  model.on("change:status change:busy", say);
  say();
  draw();
  return () => {
    fit.disconnect();
    for (const cell of cells) URL.revokeObjectURL(cell.address);
  };
}

function element(kind, name, parent, text = "") {
  const made = document.createElement(kind);
  if (name) made.className = name;
  if (text) made.textContent = text;
  parent.appendChild(made);
  return made;
}

function cross(x, y, arm) {
  return `M${x - arm} ${y - arm}L${x + arm} ${y + arm}M${x - arm} ${y + arm}L${x + arm} ${y - arm}`;
}

export default { render };

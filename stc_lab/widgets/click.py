"""A picture that says where it was clicked."""

from typing import Any

import anywidget
import traitlets

_SCRIPT = """
function render({ model, el }) {
  const picture = document.createElement("img");
  picture.style.display = "block";
  picture.style.cursor = "crosshair";
  picture.alt = "picture: click to choose a pixel";
  let address = "";
  function draw() {
    URL.revokeObjectURL(address);
    address = URL.createObjectURL(new Blob([model.get("value")], { type: "image/" + model.get("format") }));
    picture.src = address;
    picture.style.width = model.get("width") + "px";
  }
  let clicks = 0;
  picture.addEventListener("click", (event) => {
    const box = picture.getBoundingClientRect();
    clicks += 1;
    model.set("clicked", [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height, clicks]);
    model.save_changes();
  });
  model.on("change:value", draw);
  draw();
  el.appendChild(picture);
  return () => URL.revokeObjectURL(address);
}
export default { render };
"""


class ClickPicture(anywidget.AnyWidget):
    """PNG or JPEG bytes as a picture; `clicked` holds the share of its width and height, and the number of clicks."""

    _esm = _SCRIPT
    value: Any = traitlets.Bytes(b"").tag(sync=True)
    format: Any = traitlets.Unicode("png").tag(sync=True)
    width: Any = traitlets.Int(300).tag(sync=True)  # px on screen
    clicked: Any = traitlets.List([]).tag(sync=True)

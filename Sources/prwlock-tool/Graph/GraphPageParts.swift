extension GraphPage {
    static let style = """
        :root { color-scheme: light dark; --back: #ffffff; --text: #1f2328; --quiet: #59636e; --line: #d1d9e0;
          --mark: #fff8c5; --link: #0969da }
        @media (prefers-color-scheme: dark) {
        :root { --back: #0d1117; --text: #f0f6fc; --quiet: #9198a1; --line: #3d444d; --mark: #3b2e0a; --link: #4493f8 }
        }
        html { height: 100%; background: var(--back); color: var(--text);
          font: 14px -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif }
        body { margin: 0; height: 100%; display: grid;
          grid-template: auto minmax(0, 3fr) minmax(0, 2fr) / minmax(0, 1fr) }
        header { padding: 8px 16px }
        h1 { font-size: 18px; margin: 0 0 4px; display: inline-block }
        h2 { font-size: 15px; margin: 12px 0 4px }
        p { margin: 2px 0 }
        .quiet { color: var(--quiet); display: inline-block; margin-left: 12px }
        dl { margin: 4px 0; display: grid; grid-template-columns: max-content 1fr; gap: 2px 12px; overflow-wrap: anywhere }
        dt { font-weight: 600 }
        dd { margin: 0 }
        #picture { position: relative; border: solid var(--line); border-width: 1px 0; overflow: hidden }
        #drawing { width: 100%; height: 100%; display: block; touch-action: none }
        #tools { position: absolute; right: 8px; top: 8px }
        #tables { overflow: auto; padding: 0 16px 16px }
        table { border-collapse: collapse; width: 100% }
        th, td { text-align: left; vertical-align: top; padding: 3px 12px 3px 0; border-bottom: 1px solid var(--line);
          overflow-wrap: anywhere }
        th { font-weight: 600; white-space: nowrap }
        td:first-child { white-space: nowrap }
        tr:target { background: var(--mark) }
        a { color: var(--link) }
        svg a:focus-visible rect, svg g:target rect { stroke-width: 3 }
        svg a:hover rect { stroke-width: 2 }
        svg a { cursor: pointer }
        @media print { html, body { height: auto; display: block } #tables { overflow: visible } }

        """

    /// Moves and scales the drawing: by the wheel, by dragging, by the buttons, and by the keys `+ - 0` and the arrows.
    ///
    /// It changes only the part of the drawing that is shown (`viewBox`), which needs no style that the policy would refuse.
    static let script = """
        "use strict";
        const drawing = document.getElementById("drawing");
        const whole = drawing.viewBox.baseVal;
        const full = { width: whole.width, height: whole.height };
        let view = { x: 0, y: 0, scale: 1 };

        function show() {
          const width = drawing.clientWidth / view.scale, height = drawing.clientHeight / view.scale;
          drawing.setAttribute("viewBox", [view.x, view.y, width, height].join(" "));
        }
        function showAll() {
          const fits = Math.min(1, drawing.clientWidth / full.width, drawing.clientHeight / full.height);
          center(full.width / 2, full.height / 2, fits);
        }
        function center(x, y, scale) {
          view = { x: x - drawing.clientWidth / scale / 2, y: y - drawing.clientHeight / scale / 2, scale };
          show();
        }
        function zoom(factor, x = drawing.clientWidth / 2, y = drawing.clientHeight / 2) {
          const scale = Math.min(4, Math.max(0.05, view.scale * factor));
          view = { x: view.x + x / view.scale - x / scale, y: view.y + y / view.scale - y / scale, scale };
          show();
        }
        function move(x, y) {
          view.x += x / view.scale;
          view.y += y / view.scale;
          show();
        }
        function showTarget() {
          const target = document.getElementById(location.hash.slice(1));
          if (!target) return;
          if (target.ownerSVGElement !== drawing) return target.focus({ preventScroll: true });
          const box = target.getBBox();
          center(box.x + box.width / 2, box.y + box.height / 2, Math.max(view.scale, 0.7));
          target.parentNode.focus({ preventScroll: true });
        }

        let drag = null;
        drawing.addEventListener("pointerdown", event => { drag = { x: event.clientX, y: event.clientY, moved: 0 }; });
        addEventListener("pointermove", event => {
          if (!drag || !event.buttons) return;
          drag.moved += Math.abs(event.clientX - drag.x) + Math.abs(event.clientY - drag.y);
          move(drag.x - event.clientX, drag.y - event.clientY);
          drag.x = event.clientX;
          drag.y = event.clientY;
        });
        drawing.addEventListener("click", event => { if (drag && drag.moved > 4) event.preventDefault(); });
        drawing.addEventListener("dragstart", event => event.preventDefault());
        drawing.addEventListener("wheel", event => {
          event.preventDefault();
          const area = drawing.getBoundingClientRect();
          zoom(Math.exp(-event.deltaY / 500), event.clientX - area.left, event.clientY - area.top);
        }, { passive: false });
        const keys = {
          "+": () => zoom(1.25), "-": () => zoom(0.8), "0": showAll, ArrowLeft: () => move(-60, 0),
          ArrowRight: () => move(60, 0), ArrowUp: () => move(0, -60), ArrowDown: () => move(0, 60),
        };
        drawing.addEventListener("keydown", event => {
          if (!keys[event.key] || event.ctrlKey || event.altKey || event.metaKey) return;
          event.preventDefault();
          keys[event.key]();
        });
        drawing.addEventListener("focusin", event => {
          const box = event.target.querySelector && event.target.querySelector("g[id]");
          if (!box || !event.target.matches(":focus-visible")) return;
          const area = box.getBBox();
          center(area.x + area.width / 2, area.y + area.height / 2, view.scale);
        });
        document.getElementById("in").onclick = () => zoom(1.25);
        document.getElementById("out").onclick = () => zoom(0.8);
        document.getElementById("all").onclick = showAll;
        document.getElementById("tools").hidden = false;
        addEventListener("hashchange", showTarget);
        addEventListener("resize", show);
        showAll();
        // In a large drawing begin with what blocks most, at a size to read.
        if (view.scale < 0.5) {
          const first = document.querySelector("#drawing g.strong");
          const box = first && first.getBBox();
          if (box) {
            view = { x: box.x - 40, y: box.y + box.height / 2 - drawing.clientHeight / 1.6, scale: 0.8 };
            show();
          }
        }
        showTarget();

        """
}

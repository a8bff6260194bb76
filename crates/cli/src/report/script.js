"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const tip = document.querySelector(".tip");
  const count = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
  const write = (value, unit) =>
    value === null ? "–" : unit === "percent" ? (value * 100).toFixed(1) + " %" : unit === "count" ? count.format(value) : String(value);

  // The numbers of a week: under the pointer, or with the arrow keys.
  for (const figure of document.querySelectorAll("figure[tabindex]")) {
    const svg = figure.firstElementChild;
    const { columns, rows } = data[figure.parentElement.id];
    const [start, step] = svg.dataset.place.split(" ").map(Number);
    const cursor = svg.querySelector(".cursor");
    const last = rows.length - 1;
    let week = last;
    const hide = () => {
      tip.hidden = true;
      cursor.style.visibility = "hidden";
    };
    const show = (to) => {
      week = Math.max(0, Math.min(last, to));
      // Tables have the newest week first.
      const row = rows[last - week];
      tip.textContent = columns.map(([name, unit], at) => name + "  " + write(row[at], unit)).join("\n");
      tip.hidden = false;
      cursor.setAttribute("x", start + step * (week + 0.5) - 0.5);
      cursor.style.visibility = "visible";
      const box = cursor.getBoundingClientRect();
      const left = box.left > innerWidth / 2 ? box.left - tip.offsetWidth - 12 : box.left + 12;
      tip.style.left = Math.max(4, Math.min(innerWidth - tip.offsetWidth - 4, left)) + "px";
      tip.style.top = Math.max(4, Math.min(innerHeight - tip.offsetHeight - 4, box.top)) + "px";
    };
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
      x < start || x > start + step * rows.length ? hide() : show(Math.floor((x - start) / step));
    });
    svg.addEventListener("pointerleave", hide);
    figure.addEventListener("focus", () => figure.matches(":focus-visible") && show(week));
    figure.addEventListener("blur", hide);
    figure.addEventListener("keydown", (event) => {
      const to = { ArrowLeft: week - 1, ArrowRight: week + 1, Home: 0, End: last }[event.key];
      if (event.key === "Escape") hide();
      if (to === undefined) return;
      event.preventDefault();
      show(to);
    });
  }

  // A heading sorts its table: numbers from the largest, texts from A.
  for (const heading of document.querySelectorAll("thead th")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const body = heading.closest("table").tBodies[0];
      const at = heading.cellIndex;
      const isNumber = heading.classList.contains("n");
      const was = heading.getAttribute("aria-sort");
      const order = was ? (was === "ascending" ? "descending" : "ascending") : isNumber ? "descending" : "ascending";
      const sign = order === "ascending" ? 1 : -1;
      const key = (row) => row.cells[at].dataset.v ?? row.cells[at].textContent;
      const compare = (a, b) => {
        const [x, y] = [key(a), key(b)];
        // What is not known comes last, in either order.
        if (x === "" || y === "") return (x === "") - (y === "");
        return sign * (isNumber ? x - y : x.localeCompare(y, "en", { numeric: true }));
      };
      for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", order);
      body.append(...[...body.rows].sort(compare));
    });
  }

  // On paper nothing can be opened.
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => (one.open = true)));
})();

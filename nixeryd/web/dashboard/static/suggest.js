// Type-ahead over package names: the combobox pattern of WAI-ARIA.
// https://www.w3.org/WAI/ARIA/apg/patterns/combobox/

const WAIT = 120; // milliseconds without a key, until the daemon is asked

export function suggest(input) {
  const list = document.createElement("ul");
  list.id = `${input.id}-suggestions`;
  list.className = "suggestions";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Packages");
  list.hidden = true;
  input.after(list);
  for (const [name, text] of Object.entries({
    role: "combobox",
    "aria-autocomplete": "list",
    "aria-expanded": "false",
    "aria-controls": list.id,
  })) input.setAttribute(name, text);

  let chosen = -1;
  let timer = 0;
  let asked = 0;

  const choose = (index) => {
    const rows = [...list.children];
    chosen = rows.length ? (index + rows.length) % rows.length : -1;
    rows.forEach((row, at) => row.setAttribute("aria-selected", String(at === chosen)));
    const row = rows[chosen];
    row?.scrollIntoView({ block: "nearest" });
    if (row) input.setAttribute("aria-activedescendant", row.id);
    else input.removeAttribute("aria-activedescendant");
  };
  const hide = () => {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    choose(-1);
    chosen = -1;
    input.removeAttribute("aria-activedescendant");
  };
  const take = (row) => {
    input.value = row.dataset.name;
    hide();
    input.form.requestSubmit();
  };
  const show = (found) => {
    list.replaceChildren(...found.map(({ name, description }, at) => {
      const row = document.createElement("li");
      row.id = `${list.id}-${at}`;
      row.dataset.name = name;
      row.setAttribute("role", "option");
      row.setAttribute("aria-selected", "false");
      const code = document.createElement("code");
      code.textContent = name;
      const about = document.createElement("span");
      about.className = "soft";
      about.textContent = description ?? "";
      row.append(code, about);
      return row;
    }));
    list.hidden = found.length === 0;
    input.setAttribute("aria-expanded", String(!list.hidden));
    chosen = -1;
  };
  const ask = async () => {
    const query = input.value.trim();
    const number = ++asked;
    if (!query) return hide();
    const answer = await fetch(`${input.dataset.search}?q=${encodeURIComponent(query)}`);
    if (!answer.ok) return;
    const found = await answer.json();
    if (number === asked) show(found.packages ?? found);
  };

  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => ask().catch(() => {}), WAIT);
  });
  input.addEventListener("keydown", (event) => {
    if (list.hidden) return;
    if (event.key === "ArrowDown") choose(chosen + 1);
    else if (event.key === "ArrowUp") choose(chosen - 1);
    else if (event.key === "Escape") hide();
    else if (event.key === "Enter" && chosen >= 0) take(list.children[chosen]);
    else return;
    event.preventDefault();
  });
  input.addEventListener("blur", hide);
  list.addEventListener("mousedown", (event) => {
    event.preventDefault(); // or the input loses the focus, and the list goes
    const row = event.target.closest("li");
    if (row) take(row);
  });
}

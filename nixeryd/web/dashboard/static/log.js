// A log as it is written: search, follow, and only so many lines in the page.

const MOST = 5000;

export class LogView {
  #lines;
  #search;
  #follow;
  #count;
  #next = 0;
  #shown = 0;
  #due = [];
  #isDrawing = false;

  constructor(section) {
    this.#lines = section.querySelector(".lines");
    this.#search = section.querySelector(".log-search");
    this.#follow = section.querySelector(".log-follow");
    this.#count = section.querySelector(".log-count");
    section.querySelector(".log-tools").hidden = false;
    this.#next = this.#shown = this.#lines.children.length;
    this.#search.addEventListener("input", () => this.#filter());
    if (this.#follow) {
      this.#follow.addEventListener("change", () => this.#scroll());
      // Who scrolls up wants to read; who scrolls to the end wants to follow.
      this.#lines.addEventListener("scroll", () => { this.#follow.checked = this.#isAtEnd(); });
    }
    this.#tell();
  }

  // Add a part of the log, as the API gives it.
  add({ start, total, lines }) {
    if (total < this.#next) { // another log under the same name
      this.#lines.replaceChildren();
      this.#due = [];
      this.#next = this.#shown = 0;
    }
    if (start > this.#next) this.#due.push({ gap: start - this.#next });
    this.#due.push(...lines.slice(Math.max(0, this.#next - start)));
    this.#next = total;
    if (!this.#isDrawing) {
      this.#isDrawing = true;
      requestAnimationFrame(() => this.#draw());
    }
  }

  #draw() {
    this.#isDrawing = false;
    const isFollowing = this.#follow?.checked;
    const wanted = this.#wanted();
    const batch = document.createDocumentFragment();
    for (const line of this.#due.splice(0).slice(-MOST)) {
      const row = document.createElement("div");
      if (typeof line === "string") row.textContent = line;
      else {
        row.className = "gap";
        row.textContent = `${line.gap.toLocaleString()} lines are left out here`;
      }
      row.hidden = wanted !== "" && !row.textContent.toLowerCase().includes(wanted);
      if (!row.hidden) this.#shown++;
      batch.append(row);
    }
    this.#lines.append(batch);
    while (this.#lines.childElementCount > MOST) {
      if (!this.#lines.firstElementChild.hidden) this.#shown--;
      this.#lines.firstElementChild.remove();
    }
    if (isFollowing) this.#scroll();
    this.#tell();
  }

  #wanted() {
    return this.#search.value.trim().toLowerCase();
  }

  #filter() {
    const wanted = this.#wanted();
    this.#shown = 0;
    for (const row of this.#lines.children) {
      row.hidden = wanted !== "" && !row.textContent.toLowerCase().includes(wanted);
      if (!row.hidden) this.#shown++;
    }
    if (this.#follow?.checked) this.#scroll();
    this.#tell();
  }

  #scroll() {
    if (this.#follow.checked) this.#lines.scrollTop = this.#lines.scrollHeight;
  }

  #isAtEnd() {
    const { scrollTop, scrollHeight, clientHeight } = this.#lines;
    return scrollHeight - scrollTop - clientHeight < 40;
  }

  #tell() {
    const all = this.#lines.childElementCount;
    this.#count.textContent = this.#wanted()
      ? `${this.#shown.toLocaleString()} of ${all.toLocaleString()} lines`
      : `${this.#next.toLocaleString()} lines`;
  }
}

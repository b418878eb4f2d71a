// Make one tree equal to another, and keep every node that may stay: so focus,
// selection, scroll positions and open details outlive an update.

export function morph(old, fresh) {
  copyAttributes(old, fresh);
  if (old.hasAttribute("data-keep")) return; // whoever filled it looks after it
  const named = new Map();
  for (const child of old.children) if (child.id) named.set(child.id, child);
  let here = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    const found = wanted.id ? named.get(wanted.id) : isLike(here, wanted) ? here : null;
    if (!found) {
      old.insertBefore(wanted, here);
      continue;
    }
    if (found === here) here = here.nextSibling;
    else old.insertBefore(found, here);
    if (found.nodeType === Node.ELEMENT_NODE) morph(found, wanted);
    else if (found.nodeValue !== wanted.nodeValue) found.nodeValue = wanted.nodeValue;
  }
  while (here) {
    const next = here.nextSibling;
    here.remove();
    here = next;
  }
}

function isLike(node, wanted) {
  return Boolean(node) && node.nodeName === wanted.nodeName && !node.id;
}

// What the reader, not the server, decides.
const OWN = { DETAILS: ["open"], BUTTON: ["hidden"] };

function copyAttributes(old, fresh) {
  const own = OWN[old.nodeName] ?? [];
  for (const { name, value } of fresh.attributes)
    if (!own.includes(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes])
    if (!own.includes(name) && !fresh.hasAttribute(name)) old.removeAttribute(name);
}

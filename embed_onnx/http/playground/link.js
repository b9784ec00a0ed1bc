/* What belongs to the same text is marked together: a row of a table and a point of a map. */

/** Mark all elements of a place that have the `data-index` of the one below the pointer. */
export function link(place) {
  let index = null;
  place.addEventListener("pointerover", ({ target }) => {
    const over = target.closest("[data-index]")?.dataset.index ?? null;
    if (over === index) return;
    toggle(place, index, false);
    toggle(place, (index = over), true);
  });
  place.addEventListener("pointerleave", () => {
    toggle(place, index, false);
    index = null;
  });
}

function toggle(place, index, linked) {
  if (index === null) return;
  for (const element of place.querySelectorAll(`[data-index="${index}"]`)) element.classList.toggle("linked", linked);
}

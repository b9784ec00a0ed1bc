/* What tokenizers put before some entries of their vocabularies, in words. */

const MARKS = { "##": "a part of a word", "▁": "the start of a word", "Ġ": "the start of a word" };

/** Sentences on the marks that there are in lists of entries. */
export function explainMarks(lists) {
  const entries = lists.flat();
  const marks = Object.keys(MARKS).filter((mark) => entries.some((each) => each.startsWith(mark)));
  return marks.map((mark) => ` ${mark} marks ${MARKS[mark]}.`).join("");
}

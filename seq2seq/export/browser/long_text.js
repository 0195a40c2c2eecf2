/** Texts longer than a sentence, by the rules of `seq2seq/serving/long_text.py`: pieces that put together are the text.
 *
 * The browser knows where sentences end, but not what an abbreviation is; a browser that does not know either has lines.
 */

const SPACE = "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]"; // as Python has it
const AROUND = new RegExp(`^(${SPACE}*)([^]*?)(${SPACE}*)$`);
const SPACES = new RegExp(`${SPACE}+`, "g");
const CLAUSE_ENDS = new RegExp(`(?<=[,;:–—،；：，、。．])${SPACE}*`, "g");

/** Words, without their full stop, behind which a sentence goes on; of languages that are often translated. */
const ABBREVIATIONS = new Set(
  ("Mr Mrs Ms Dr Prof St Mt Ft Gen Col Capt Lt Sgt Sen Rep Gov Rev Hon No Nos Fig Figs Vol Eq Sec Ch pp vs cf ca approx " +
  "Hr Hrn Fr Frl Nr Abb Tab Abs Art Kap Bd Str bzw vgl evtl ggf inkl exkl sog usf Dipl Ing Mag geb gest Jh Mio Mrd " +
  "Mme Mlle MM Me av env chap éd Sr Sra Srta Dra Ud Uds núm pág Sig Sigg Dott Avv pag dhr mevr mw bijv nl tel tzv " +
  "sv bl resp prof doc ing mgr np tj tzn ul prop").split(" "),
);
const INITIAL = new RegExp(`(?:^|${SPACE}|[.(])\\p{L}\\.${SPACE}*$`, "u"); // also the last of `z. B.` and `e.g.`
const ORDINAL = new RegExp(`(?:^|${SPACE})\\d{1,2}\\.${SPACE}+$`); // `3. Mai`, or the number of what a list holds
const LAST_WORD = new RegExp(`([\\p{L}\\p{M}]+)\\.${SPACE}*$`, "u");
/** Where the browser sees no end: behind a stop that is a word of its own, and in front of a number or a list's dash. */
const STOP = new RegExp(`(?:(?<=${SPACE}[.!?]${SPACE}+)|(?<=\\p{L}{4}\\.${SPACE}+)(?=[-–•\\d]))(?!${SPACE}|$)`, "u");
const QUOTED = new RegExp(`[!?]["'”’»“)]+${SPACE}*$`);

/** Whether a sentence that seems to have ended goes on with what follows. */
const goesOn = (text, next) =>
  INITIAL.test(text) || ORDINAL.test(text) || ABBREVIATIONS.has(LAST_WORD.exec(text)?.[1]) || (QUOTED.test(text) && /^\p{Ll}/u.test(next));

/** Return the sentences of a line, with the white space behind each. */
function sentencesOf(line, language) {
  if (!Intl.Segmenter) return [line]; // an old browser
  const found = [], segmenter = new Intl.Segmenter(known(language), {granularity: "sentence"});
  for (const part of [...segmenter.segment(line)].flatMap(({segment}) => segment.split(STOP)))
    if (found.length && goesOn(found.at(-1), part)) found.push(found.pop() + part);
    else found.push(part);
  return found;
}

/** Return a code that the browser knows; that of English for any other. */
function known(language) {
  try { return Intl.Segmenter.supportedLocalesOf((language ?? "").replaceAll("_", "-"))[0] ?? "en"; } catch { return "en"; }
}

function stripped(text, isCut = false) {
  const [, before, core, after] = AROUND.exec(text);
  return core ? {before, text: core, after, isCut} : {before: text, text: "", after: "", isCut: false};
}

/** Return parts that fit, cut where it hurts least and near the middle; a part of one character is what it is. */
function partsOf(text, fits) {
  const middle = text.length >> 1, start = middle - (/[\udc00-\udfff]/.test(text[middle] ?? "") ? 1 : 0);
  if ([...text].length < 2 || fits(stripped(text).text)) return [text];
  const ends = (pattern) => [...text.matchAll(pattern)].map((match) => match.index + match[0].length);
  const all = [ends(CLAUSE_ENDS), ends(SPACES)].find((places) => places.length) ?? [];
  const places = all.filter((place) => place > 0 && place < text.length);
  const place = (places.length ? places : [start || 2]).reduce((one, other) => (Math.abs(other - middle) < Math.abs(one - middle) ? other : one));
  return [...partsOf(text.slice(0, place), fits), ...partsOf(text.slice(place), fits)];
}

function fitting(sentence, fits) {
  const piece = stripped(sentence);
  return !piece.text || fits(piece.text) ? [piece] : partsOf(sentence, fits).map((part) => stripped(part, true));
}

/**
 * Return the pieces of a text: {before, text, after, isCut}, the last where a sentence had to be cut for it.
 *
 * @param {function} fits whether one search can hold a piece
 * @param {string} language code of the text's language, such as `de` or `deu_Latn`; undefined where it is not known
 */
export const piecesOf = (text, fits, language) =>
  text.split(/(?<=\n)/).flatMap((line) => (line.trim() ? sentencesOf(line, language) : [line])).flatMap((sentence) => fitting(sentence, fits));

/** Return a text as one piece, however long. */
export const wholeOf = (text) => [stripped(text)];

/** Return what pieces have become as one text, with the white space that was around them. */
export const joinedPieces = (pieces, texts) => pieces.map(({before, after}, place) => before + texts[place] + after).join("");

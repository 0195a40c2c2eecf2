/** What a model of SentencePiece makes of a text before its pieces are looked for, by the rules that its file holds.
 *
 * The rules are a trie of bytes in a double array (Darts), as the library stores it: each unit of 32 bits has a label,
 * an offset to its children and whether one of these is a value, which says where in a list the replacement begins.
 */

const SPACE = "\u2581";
const LABEL = 0x800000ff;

/** Return the characters of a text, none of which is half of one. */
export const charactersOf = (text) => Array.from(text);

/** Replacements of parts of texts, as a file of SentencePiece holds them. */
export class Rules {
  /** @param {string} charsmap in base64; of no rules "" */
  constructor(charsmap) {
    const bytes = Uint8Array.from(atob(charsmap), (character) => character.charCodeAt(0));
    const size = bytes.length ? new DataView(bytes.buffer).getUint32(0, true) : 0;
    this.units = new Uint32Array(bytes.buffer.slice(4, 4 + size)); // in the order of bytes of every browser
    this.replacements = bytes.subarray(4 + size);
  }

  /** Yield [length, replacement] of each rule for the beginning of a text, or for what follows a place; shortest first. */
  *at(text, place = 0) {
    const {units} = this;
    let node = units.length && offset(units[0]);
    for (let end = place; units.length && end < text.length; ) {
      const character = String.fromCodePoint(text.codePointAt(end));
      end += character.length;
      for (const byte of utf8(character)) {
        node ^= byte;
        const unit = units[node];
        if (unit === undefined || (unit & LABEL) >>> 0 !== byte) return;
        node ^= offset(unit);
        if ((unit >>> 8) & 1) yield [end - place, this.replacement(units[node] & 0x7fffffff)];
      }
    }
  }

  shortest(text) {
    return this.at(text).next().value;
  }

  longest(text, place) {
    return [...this.at(text, place)].at(-1);
  }

  replacement(start) {
    return new TextDecoder("utf-8", {ignoreBOM: true}).decode(this.replacements.subarray(start, this.replacements.indexOf(0, start)));
  }
}

const offset = (unit) => (unit >>> 10) << ((unit & 0x200) >>> 6);

const known = new Map();
function utf8(character) {
  if (!known.has(character)) known.set(character, [...new TextEncoder().encode(character)]);
  return known.get(character);
}

export class Normaliser {
  /**
   * @param {object} said of one model, in `pieces.json`; `charsmap` is its rules in base64, or nothing
   * @param {string[]} userDefined pieces that are found in a text before anything else
   */
  constructor(said, userDefined) {
    this.said = said;
    this.userDefined = [...userDefined].sort((one, other) => other.length - one.length);
    this.rules = new Rules(said.charsmap);
  }

  /** Return what the library's pieces are looked for in. */
  normalise(text) {
    if (!text) return "";
    const {add_dummy_prefix: hasPrefix, remove_extra_whitespaces: isTight, escape_whitespaces: isEscaped} = this.said;
    const space = isEscaped ? SPACE : " ", suffix = this.said.treat_whitespace_as_suffix;
    const parts = this.replaced(text.toWellFormed?.() ?? text);
    const first = isTight ? parts.findIndex((part) => part !== " ") : 0;
    if (first < 0) return "";
    let found = hasPrefix && !suffix ? space : "", wasSpace = isTight;
    for (const part of parts.slice(first)) {
      const own = wasSpace ? part.replace(/^ +/, "") : part;
      if (own) {
        found += isEscaped ? own.replaceAll(" ", SPACE) : own;
        wasSpace = own.endsWith(" ");
      }
      if (!isTight) wasSpace = false;
    }
    if (isTight) while (found.endsWith(space)) found = found.slice(0, -space.length);
    return hasPrefix && suffix ? found + space : found;
  }

  /** Return what stands in the place of each part of a text that a rule is for, and of each character without one. */
  replaced(text) {
    const parts = [];
    for (let place = 0; place < text.length; ) {
      const own = this.userDefinedAt(text, place);
      const character = String.fromCodePoint(text.codePointAt(place));
      const [length, replacement] = own === undefined ? this.rules.longest(text, place) ?? [character.length, character] : [own.length, own];
      parts.push(replacement);
      place += length;
    }
    return parts;
  }

  /** Return the longest of the user's pieces that stands in a text at a place, or undefined. */
  userDefinedAt(text, place) {
    return this.userDefined.find((piece) => text.startsWith(piece, place));
  }
}

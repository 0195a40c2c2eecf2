/** Text to ids and back by a model of SentencePiece, as the library does it: what it normalises, and its pieces.
 *
 * `pieces.json`, which the export writes, says what the model's file does (`seq2seq/export/browser_pieces.py`). Scores
 * are sums of numbers of 32 bits in the library's order, so that ties are broken as it breaks them.
 */

import {charactersOf, Normaliser} from "./normaliser.js";

const SPACE = "\u2581";
const UNKNOWN_PENALTY = 10, BONUS = 0.1; // of an unknown character, and of each byte but one of what the user defined

export class Pieces {
  /** @param {object} said of one model, in `pieces.json` */
  constructor(said) {
    this.said = said;
    const {pieces, bytes, controls, user_defined: userDefined, unused, unknown} = said;
    this.controls = new Set(controls);
    this.unused = new Set(unused);
    this.userDefined = new Set(userDefined);
    this.unknown = unknown;
    this.bytes = bytes; // ids of the 256 bytes, or nothing
    this.byteOf = new Map(bytes.map((id, byte) => [id, byte]));
    const reserved = new Set([...controls, ...bytes, unknown]);
    this.reserved = new Map([...reserved].map((id) => [pieces[id], id]));
    this.ids = new Map(pieces.map((piece, id) => [piece, id]).filter(([, id]) => !reserved.has(id)));
    this.scores = said.scores.map(Math.fround); // decimals are written as short as 32 bits allow
    this.longest = [...this.ids.keys()].reduce((longest, piece) => Math.max(longest, charactersOf(piece).length), 0);
    const normal = this.scores.filter((_, id) => !reserved.has(id) && !this.userDefined.has(id) && !this.unused.has(id));
    this.unknownScore = Math.fround(normal.reduce((one, other) => Math.min(one, other), Infinity) - UNKNOWN_PENALTY);
    this.normaliser = new Normaliser(said, userDefined.map((id) => pieces[id]));
  }

  /** Return [piece, id] of a text; an unknown character that is bytes is one of each, of others a run is one. */
  encode(text) {
    const normal = this.normaliser.normalise(text), found = [];
    let wasUnknown = false;
    for (const [piece, id] of this.said.model === "bpe" ? this.merged(normal) : this.likeliest(normal)) {
      const isUnknown = id === this.unknown;
      if (isUnknown && this.bytes.length)
        for (const byte of new TextEncoder().encode(piece)) found.push([this.said.pieces[this.bytes[byte]], this.bytes[byte]]);
      else if (isUnknown && wasUnknown) found.push([found.pop()[0] + piece, id]);
      else found.push([piece, id]);
      wasUnknown = isUnknown;
    }
    return found;
  }

  /** Return the pieces of the highest sum of scores. */
  likeliest(text) {
    const characters = charactersOf(text), {length} = characters;
    const best = Array.from({length: length + 1}, () => ({score: 0, start: -1, id: -1}));
    const offer = (end, start, id, sum) => {
      const score = Math.fround(sum);
      if (best[end].start === -1 || score > best[end].score) best[end] = {score, start, id};
    };
    for (let start = 0; start < length; start++) {
      const before = best[start].score;
      let piece = "", isKnown = false;
      for (let end = start + 1; end <= Math.min(length, start + this.longest); end++) {
        piece += characters[end - 1];
        const id = this.ids.get(piece);
        if (id === undefined || this.unused.has(id)) continue;
        // What the user defined wins always.
        offer(end, start, id, before + (this.userDefined.has(id) ? BONUS * (sizeOf(piece) - 1) : this.scores[id]));
        isKnown ||= end === start + 1;
      }
      if (!isKnown) offer(start + 1, start, this.unknown, before + this.unknownScore);
    }
    const found = [];
    for (let end = length; end > 0; end = best[end].start) found.push([characters.slice(best[end].start, end).join(""), best[end].id]);
    return found.reverse();
  }

  /** Return what is left when no two neighbours are a piece; the highest score first, then the leftmost. */
  merged(text) {
    const symbols = [], agenda = new Agenda(), parts = new Map();
    for (let place = 0; place < text.length; ) {
      const own = this.normaliser.userDefinedAt(text, place), piece = own ?? String.fromCodePoint(text.codePointAt(place));
      symbols.push({piece, previous: symbols.length - 1, next: symbols.length + 1, isFixed: own !== undefined});
      place += piece.length;
    }
    if (symbols.length) symbols.at(-1).next = -1;
    const pair = (left, right) => {
      if (left < 0 || right < 0 || symbols[left].isFixed || symbols[right].isFixed) return;
      const piece = symbols[left].piece + symbols[right].piece, id = this.ids.get(piece);
      if (id === undefined) return;
      agenda.add({left, right, score: this.scores[id], size: piece.length});
      if (this.unused.has(id)) parts.set(piece, [symbols[left].piece, symbols[right].piece]);
    };
    for (let place = 1; place < symbols.length; place++) pair(place - 1, place);
    for (let top = agenda.take(); top; top = agenda.take()) {
      const left = symbols[top.left], right = symbols[top.right];
      if (!left.piece || !right.piece || left.piece.length + right.piece.length !== top.size) continue;
      left.piece += right.piece;
      right.piece = "";
      left.next = right.next;
      if (left.next >= 0) symbols[left.next].previous = top.left;
      pair(left.previous, top.left);
      pair(top.left, left.next);
    }
    const apart = (piece) => {
      const id = this.idOf(piece);
      return this.unused.has(id) && parts.has(piece) ? parts.get(piece).flatMap(apart) : [[piece, id]];
    };
    return symbols.filter(({piece}) => piece).flatMap(({piece}) => apart(piece));
  }

  idOf(piece) {
    return this.reserved.get(piece) ?? this.ids.get(piece) ?? this.unknown;
  }

  /** Return the text of pieces; one that the model has not is what it is. */
  decode(pieces) {
    const {add_dummy_prefix: hasPrefix, remove_extra_whitespaces: isTight} = this.said;
    let text = "", bytes = [], isFirst = true, hadSpace = false;
    const flush = () => { text += fromUtf8(bytes); bytes = []; };
    for (const piece of pieces) {
      const id = this.idOf(piece);
      if (this.byteOf.has(id)) { bytes.push(this.byteOf.get(id)); continue; }
      flush();
      if (hadSpace || text) isFirst = false;
      const hasSpace = id !== this.unknown && isFirst && (hasPrefix || isTight) && piece.startsWith(SPACE);
      hadSpace = hasSpace && !isTight;
      if (id === this.unknown) text += piece;
      else if (!this.controls.has(id)) text += piece.slice(hasSpace ? 1 : 0).replaceAll(SPACE, " ");
    }
    flush();
    return text;
  }
}

/** A queue of pairs by score, then from the left. */
class Agenda {
  pairs = [];

  isBefore(one, other) {
    const a = this.pairs[one], b = this.pairs[other];
    return a.score > b.score || (a.score === b.score && a.left < b.left);
  }

  exchange(one, other) {
    [this.pairs[one], this.pairs[other]] = [this.pairs[other], this.pairs[one]];
  }

  add(pair) {
    let place = this.pairs.push(pair) - 1;
    for (let above; place > 0 && this.isBefore(place, (above = (place - 1) >> 1)); place = above) this.exchange(place, above);
  }

  take() {
    if (this.pairs.length < 2) return this.pairs.pop();
    const [top] = this.pairs;
    this.pairs[0] = this.pairs.pop();
    for (let place = 0, next; (next = 2 * place + 1) < this.pairs.length; place = next) {
      if (next + 1 < this.pairs.length && this.isBefore(next + 1, next)) next++;
      if (!this.isBefore(next, place)) break;
      this.exchange(next, place);
    }
    return top;
  }
}

const sizeOf = (text) => new TextEncoder().encode(text).length;

/** Return the text of bytes; each byte that begins no character is U+FFFD. */
function fromUtf8(bytes) {
  const strict = new TextDecoder("utf-8", {fatal: true, ignoreBOM: true});
  let text = "";
  for (let place = 0; place < bytes.length; ) {
    const lead = bytes[place], size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    try {
      text += strict.decode(new Uint8Array(bytes.slice(place, place + size)));
      place += size;
    } catch {
      text += "\uFFFD";
      place += 1;
    }
  }
  return text;
}

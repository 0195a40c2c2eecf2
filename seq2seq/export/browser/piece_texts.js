/** Tokenizers of SentencePiece's models: text to token ids and back, as `seq2seq/data/sentencepiece_tokenizer.py` does it. */

import {Pieces} from "./pieces.js";

/** One model whose pieces are the vocabulary, with what is added behind them. */
export class PieceTexts {
  constructor({model, added}) {
    this.model = new Pieces(model);
    this.vocabulary = [...model.pieces, ...added];
  }

  /** Return the ids of a text, without what stands before and behind every text. */
  encode(text) {
    return this.model.encode(text).map(([, id]) => id);
  }

  /** Return the text of ids; special tokens are skipped. */
  decode(ids) {
    const {unknown, said: {pieces}} = this.model;
    return this.model.decode(ids.filter((id) => id < pieces.length && id !== unknown).map((id) => pieces[id]));
  }

  /** Return the vocabulary's entry of each id. */
  tokens(ids) {
    return ids.map((id) => this.vocabulary[id]);
  }
}

const CODE = /^>>[^]*?<</; // of the language to translate to
const CLEANED = [
  [" .", "."], [" ?", "?"], [" !", "!"], [" ,", ","], [" ' ", "'"], [" n't", "n't"], [" 'm", "'m"], [" 's", "'s"], [" 've", "'ve"], [" 're", "'re"],
];

/** Marian's: a model for each side, and one vocabulary of the pieces of both. */
export class MarianTexts {
  constructor({source, target, vocabulary, specials, unknown, cleans}, side) {
    this.model = new Pieces(side === "target" ? target : source);
    this.speller = side === "source" ? this.model : new Pieces(source); // it spells outputs by that of sources
    this.ids = new Map(vocabulary.map((piece, id) => [piece, id]).filter(([piece]) => piece !== null));
    this.specials = new Set(specials);
    Object.assign(this, {vocabulary, unknown, cleans});
  }

  encode(text) {
    const [code] = CODE.exec(text) ?? [], pieces = this.model.encode(text.slice(code?.length ?? 0)).map(([piece]) => piece);
    const ids = [...(code === undefined ? [] : [code]), ...pieces].map((piece) => this.ids.get(piece) ?? this.unknown);
    return ids.map((id) => (this.specials.has(id) ? this.unknown : id)); // what merely looks like one is text
  }

  decode(ids) {
    const pieces = this.tokens(ids.filter((id) => !this.specials.has(id)));
    const text = this.speller.decode(pieces).replaceAll("\u2581", " ").replace(/^[\s\x1c-\x1f\x85]+|[\s\x1c-\x1f\x85]+$/g, "");
    return this.cleans ? CLEANED.reduce((found, [one, other]) => found.replaceAll(one, other), text) : text;
  }

  tokens(ids) {
    return ids.map((id) => this.vocabulary[id] ?? `<${id}>`);
  }
}

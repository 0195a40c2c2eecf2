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

/** M2M100's: a model, and a vocabulary of its pieces and of languages that is not the model's own. */
export class VocabularyTexts {
  constructor({source, vocabulary, specials, unknown, cleans}) {
    this.model = this.speller = new Pieces(source);
    this.specials = new Set(specials);
    Object.assign(this, {vocabulary, unknown, cleans});
    this.ids = idsOf(vocabulary);
  }

  /** Return the ids of a text, without what stands before and behind every text. */
  encode(text) {
    const ids = this.pieces(text).map((piece) => this.ids.get(piece) ?? this.unknown);
    return ids.map((id) => (this.specials.has(id) ? this.unknown : id)); // what merely looks like one is text
  }

  pieces(text) {
    return this.model.encode(text).map(([piece]) => piece);
  }

  /** Return the text of ids; special tokens are skipped. */
  decode(ids) {
    const text = this.spelled(this.tokens(ids.filter((id) => !this.specials.has(id)))).replace(/^[\s\x1c-\x1f\x85]+|[\s\x1c-\x1f\x85]+$/g, "");
    return this.cleans ? CLEANED.reduce((found, [one, other]) => found.replaceAll(one, other), text) : text;
  }

  spelled(pieces) {
    return this.speller.decode(pieces);
  }

  /** Return the vocabulary's entry of each id. */
  tokens(ids) {
    return ids.map((id) => this.vocabulary[id] ?? `<${id}>`);
  }
}

/** Marian's: a model for each side, and one vocabulary of the pieces of both, or one for each. */
export class MarianTexts extends VocabularyTexts {
  constructor(said, side) {
    super(said);
    if (side === "target") this.model = new Pieces(said.target);
    if (!said.target_vocabulary) return; // outputs are spelled by the model of sources then
    this.speller = this.model;
    if (side !== "target") return;
    this.vocabulary = said.target_vocabulary;
    this.ids = idsOf(this.vocabulary);
  }

  pieces(text) {
    const [code] = CODE.exec(text) ?? [];
    return [...(code === undefined ? [] : [code]), ...super.pieces(text.slice(code?.length ?? 0))];
  }

  spelled(pieces) {
    return super.spelled(pieces).replaceAll("\u2581", " ");
  }
}

const idsOf = (vocabulary) => new Map(vocabulary.map((piece, id) => [piece, id]).filter(([piece]) => piece !== null));

/** Text to token ids and back, as `seq2seq/data/json_tokenizer.py` does it, by the library that reads `tokenizer.json`. */

import {Rules} from "./normaliser.js";
import {MarianTexts, PieceTexts, VocabularyTexts} from "./piece_texts.js";
import {Tokenizer} from "./runtime/tokenizers.js";

/** What reads `pieces.json`, by the class that the tokenizer has in Python. */
const OF_PIECES = {SentencePieceBackend: PieceTexts, MarianTokenizer: MarianTexts, M2M100Tokenizer: VocabularyTexts};

/** Characters that a byte-level vocabulary has for the 256 bytes, in the order of the bytes. */
function byteCharacters() {
  const found = [];
  for (let byte = 0, others = 256; byte < 256; byte++) {
    const isShown = (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
    found.push(String.fromCodePoint(isShown ? byte : others++));
  }
  return found;
}

/** White space as the library in Python has it; that of JavaScript's patterns counts U+FEFF and not U+0085. */
const WHITE_SPACE = {type: "Split", pattern: {Regex: "\\p{White_Space}+"}, behavior: "Removed", invert: false};
const BYTE_LEVEL = {type: "Split", behavior: "Isolated", invert: false, pattern: {Regex:
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\p{White_Space}\\p{L}\\p{N}]+" +
  "|\\p{White_Space}+(?!\\P{White_Space})|\\p{White_Space}+"}};

/** Return a description of how text is split in which white space is what it is in Python. */
function splitting(part) {
  if (part?.type === "Sequence") return {...part, pretokenizers: part.pretokenizers.map(splitting)};
  if (part?.type === "ByteLevel" && part.use_regex !== false && !part.add_prefix_space)
    return {type: "Sequence", pretokenizers: [BYTE_LEVEL, {...part, use_regex: false}]};
  return part?.type === "WhitespaceSplit" ? WHITE_SPACE : part;
}

const FORMS = {
  NFC: (text) => text.normalize("NFC"),
  NFKC: (text) => text.normalize("NFKC"),
  // Letter by letter: of a whole word JavaScript writes the last sigma in another way.
  Lowercase: (text) => Array.from(text, (letter) => letter.toLowerCase()).join(""),
};

/** Return what applies rules of SentencePiece as the library in Python does: to whole graphemes, if they are short. */
function precompiled({precompiled_charsmap: charsmap}) {
  const rules = new Rules(charsmap), segmenter = new Intl.Segmenter("en", {granularity: "grapheme"});
  const isShort = (text) => new TextEncoder().encode(text).length < 6;
  const changed = (text) => rules.shortest(text)?.[1];
  return (text) => Array.from(segmenter.segment(text), ({segment}) =>
    (isShort(segment) ? changed(segment) : undefined) ?? Array.from(segment, (letter) => changed(letter) ?? letter).join("")).join("");
}

/** Return the normaliser of a vocabulary that was trained here or has rules, or undefined for any other. */
function normaliser(part) {
  const steps = part?.type === "Sequence" ? part.normalizers : [part ?? {}];
  const forms = steps.map((step) => (step.type === "Precompiled" ? precompiled(step) : FORMS[step.type]));
  return forms.includes(undefined) ? undefined : (text) => forms.reduce((found, form) => form(found), text);
}

/** Of what was trained here, whose vocabulary may hold text that looks like a special token. */
const OWN = Object.entries({bos_token: "<bos>", eos_token: "<eos>", pad_token: "<pad>", unk_token: "<unk>"});

export class Texts {
  /**
   * @param {object} json what `tokenizer.json` says
   * @param {object} config what `tokenizer_config.json` says
   */
  constructor(json, config) {
    const added = json.added_tokens ?? [];
    this.specials = new Set(added.filter((token) => token.special).map((token) => token.id));
    this.vocabulary = [];
    const {vocab} = json.model;
    for (const [token, id] of Array.isArray(vocab) ? vocab.map(([token], id) => [token, id]) : Object.entries(vocab))
      this.vocabulary[id] = token;
    for (const {id, content} of added) this.vocabulary[id] = content;
    // Text that merely looks like a special token is text: the library would find it. What belongs to texts stays.
    const textual = {...json, added_tokens: added.filter((token) => !token.special), post_processor: null};
    textual.pre_tokenizer = splitting(json.pre_tokenizer);
    const plain = {...config, clean_up_tokenization_spaces: false};
    this.tokenizer = new Tokenizer(textual, plain);
    const normalised = normaliser(json.normalizer);
    if (normalised) this.tokenizer.normalizer = normalised;
    const isOwn = OWN.every(([role, token]) => config[role] === token), unknown = config.unk_token?.content ?? config.unk_token;
    this.unknown = added.find(({content}) => content === unknown)?.id;
    this.reserved = new Set(isOwn ? [] : [...this.specials].filter((id) => id !== this.unknown));
    const decoder = json.decoder ?? {};
    this.bytes = decoder.type === "ByteLevel" ? new Map(byteCharacters().map((character, byte) => [character, byte])) : null;
    this.kept = new Set(added.filter((token) => !token.special).map((token) => token.id));
  }

  /** Return the ids of a text, without what stands before and behind every text. */
  encode(text) {
    if (text === "") return [];
    const {ids} = this.tokenizer.encode(text, {add_special_tokens: false});
    return ids.map((id) => (this.reserved.has(id) ? this.unknown : id)).filter((id) => id !== undefined);
  }

  /** Return the text of ids; special tokens are skipped. */
  decode(ids) {
    const shown = ids.filter((id) => !this.specials.has(id) && this.vocabulary[id] !== undefined); // models may have more
    if (shown.length === 0) return "";
    if (this.bytes) return this.fromBytes(shown);
    return this.tokenizer.decode(shown, {skip_special_tokens: false, clean_up_tokenization_spaces: false});
  }

  /** Return the vocabulary's entry of each id. */
  tokens(ids) {
    return ids.map((id) => this.vocabulary[id] ?? `<${id}>`);
  }

  fromBytes(ids) {
    const found = [];
    for (const id of ids) {
      const token = this.vocabulary[id];
      const own = this.kept.has(id) ? undefined : [...token].map((character) => this.bytes.get(character));
      found.push(...(own === undefined || own.includes(undefined) ? new TextEncoder().encode(token) : own));
    }
    return new TextDecoder("utf-8", {ignoreBOM: true}).decode(new Uint8Array(found));
  }
}

/** Load what a folder holds of a tokenizer, for texts of a side, `source` or `target`. */
export async function loadTexts(folder, side) {
  const read = async (name) => (await fetch(new URL(folder + name, import.meta.url))).json();
  const config = await read("tokenizer_config.json"), Own = OF_PIECES[config.tokenizer_class];
  return Own ? new Own(await read("pieces.json"), side) : new Texts(await read("tokenizer.json"), config);
}

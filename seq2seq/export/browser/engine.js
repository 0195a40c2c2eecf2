/** The page's engine without a server: sets `window.seq2seqEngine`, which runs this folder's model in the browser.
 *
 * A text is taken sentence by sentence or as a whole, as it is by a server. All that is loaded stands beside this file.
 */

import {alarmsOf} from "./alarms.js";
import {joinedPieces, piecesOf, wholeOf} from "./long_text.js";
import {beamSearch} from "./search.js";

const MOST_SUGGESTIONS = 8;
const PAUSE = 30; // milliseconds after which the page may draw

class BrowserEngine {
  /** Whether it can go sentence by sentence. */
  splits = true;

  /** Load everything once; a failure is said each time. */
  get loaded() {
    return this._loaded ??= this.load();
  }

  async load() {
    const response = await fetch(new URL("engine.json", import.meta.url));
    if (!response.ok) throw new Error("engine.json, which says what the model is, is not beside this page.");
    const said = await response.json();
    const [{Graphs}, {loadTexts}] = await Promise.all([import("./graphs.js"), import("./texts.js")]).catch((error) => {
      throw new Error(`The runtime is not beside this page (${error.message}); export it with --runtime.`);
    });
    const [graphs, sources, targets] = await Promise.all([
      Graphs.load(said), loadTexts(said.source_tokenizer, "source"), loadTexts(said.target_tokenizer, "target"),
    ]);
    return {said, graphs, sources, targets};
  }

  async describe() {
    const {said} = await this.loaded, {search} = said, longest = longestOf(said);
    const limits = {n_best: MOST_SUGGESTIONS, output_tokens: search.max_length}, {sources, targets} = said.languages;
    return {models: [{
      id: said.name, engine: "onnxruntime-web", generation_order: "l2r",
      source_languages: Object.keys(sources), target_languages: Object.keys(targets),
      max_source_tokens: longest === Infinity ? null : longest, search, split: "sentences", explains: true, limits,
    }]};
  }

  async generate({text, n_best = 1, split = "sentences", onText = () => {}, signal, ...languages}) {
    const started = performance.now(), loaded = await this.speaking(languages), {said} = loaded;
    const pieces = split === "none" ? wholeOf(text)
      : piecesOf(text, (part) => this.sourceIds(loaded, part).length <= longestOf(said), languages.source_language);
    const sources = pieces.map((piece) => (piece.text ? this.sourceIds(loaded, piece.text) : []));
    sources.forEach((ids) => checkLength(ids, said));
    const found = [];
    for (const [place, {before}] of pieces.entries()) {
      const told = joinedPieces(pieces.slice(0, place), found.map(([first]) => first.text)) + before;
      const heard = (part) => onText(told + part);
      found.push(sources[place].length ? await this.generatePiece(loaded, sources[place], n_best, heard, signal) : [EMPTY]);
    }
    const ranks = [...Array(Math.max(...found.map((own) => own.length))).keys()];
    const hypotheses = ranks.map((rank) => joined(pieces, found.map((own) => own[Math.min(rank, own.length - 1)])));
    const ends = sources.flatMap((ids) => ids.slice(0, -1)), [best] = hypotheses;
    const known = {isFinished: best.finished, isTranslation: isTranslator(said), isCut: pieces.some(({isCut}) => isCut)};
    return {
      hypotheses, source_tokens: ends.length, segments: pieces.length, alarms: alarmsOf(ends, best.token_ids, known),
      seconds: (performance.now() - started) / 1000,
    };
  }

  /** Return what is loaded, with what `engine.json` says of texts of these languages; undefined leaves a side as it is. */
  async speaking({source_language: source, target_language: target}) {
    const loaded = await this.loaded, {sources, targets} = loaded.said.languages;
    for (const [code, known] of [[source, sources], [target, targets]])
      if (code !== undefined && !Object.hasOwn(known, code))
        throw Object.assign(new Error(`${code} is none of the languages of this model.`), {reason: "unknown_language"});
    return {...loaded, said: {...loaded.said, ...sources[source], ...targets[target]}};
  }

  /** Return ids of a piece as the model was trained on it. */
  sourceIds({said, sources}, text) {
    const [before, behind] = said.source_frame;
    return [...before, ...sources.encode(said.source_prefix + text), ...behind];
  }

  async generatePiece({said, graphs, targets}, source, number, onText, signal) {
    const options = {...said.search, beam_width: Math.max(said.search.beam_width ?? 1, number)};
    let shown = "", drawn = performance.now();
    const heard = async (running, pool) => {
      signal?.throwIfAborted();
      const agreed = targets.decode(commonStart([...running, ...pool].map(({tokens}) => tokens))).replace(/\uFFFD+$/, "");
      if (agreed.length > shown.length && agreed.startsWith(shown)) onText(shown = agreed);
      if (performance.now() - drawn > PAUSE) {
        await new Promise((resolve) => setTimeout(resolve));
        drawn = performance.now();
      }
    };
    const ends = [said.eos_token_id, ...said.other_ends];
    const special = {start: said.decoder_start_token_id, ends, forced: said.target_start, rules: said.rules};
    const found = await beamSearch(graphs, source, options, special, heard);
    return found.slice(0, number).map((hypothesis) => ({
      ...hypothesis, token_ids: hypothesis.tokens, text: targets.decode(hypothesis.tokens),
      tokens: targets.tokens(hypothesis.tokens), direction: "l2r",
    }));
  }

  async explain({text, output, ...languages}) {
    const loaded = await this.speaking(languages), {said, graphs, sources, targets} = loaded, [piece] = wholeOf(text);
    const source = this.sourceIds(loaded, piece.text);
    checkLength(source, said);
    const target = [...said.target_start, ...targets.encode(output), said.eos_token_id];
    const given = [said.decoder_start_token_id, ...target.slice(0, -1)];
    return {
      source_tokens: sources.tokens(source), target_tokens: targets.tokens(target),
      attention: await graphs.attention(source, given), trace: null,
    };
  }
}

/** Return how many tokens one search can hold. */
const longestOf = (said) => Math.min(said.longest ?? Infinity, said.max_source_tokens ?? Infinity);

const isTranslator = ({languages: {sources, targets}}) => Boolean(Object.keys(sources).length && Object.keys(targets).length);

function checkLength(ids, said) {
  const longest = longestOf(said);
  if (ids.length <= longest) return;
  const message = `The text has ${ids.length} tokens, of which the model can read ${longest} at once; go sentence by sentence, or make it shorter.`;
  throw Object.assign(new Error(message), {reason: "too_many_tokens", limit: longest});
}

const EMPTY = {text: "", tokens: [], token_ids: [], token_log_probs: [], score: 0, normalized_score: 0, finished: true, direction: "l2r"};

/** Return the hypotheses of a text's pieces as one of the text. */
function joined(pieces, parts) {
  const text = joinedPieces(pieces, parts.map((part) => part.text));
  if (parts.length === 1) return {...parts[0], text};
  const tokens = parts.flatMap((part) => part.tokens), sum = (value) => parts.reduce((total, part) => total + value(part), 0);
  return {
    text, tokens, token_ids: parts.flatMap((part) => part.token_ids), token_log_probs: parts.flatMap((part) => part.token_log_probs),
    score: sum((part) => part.score), normalized_score: sum((part) => part.normalized_score * part.tokens.length) / (tokens.length || 1),
    finished: parts.every((part) => part.finished), direction: "l2r",
  };
}

function commonStart([first = [], ...others]) {
  let length = 0;
  while (length < first.length && others.every((tokens) => tokens[length] === first[length])) length++;
  return first.slice(0, length);
}

window.seq2seqEngine = new BrowserEngine();
window.dispatchEvent(new Event("seq2seq-engine-ready"));

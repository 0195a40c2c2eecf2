/** The page's engine without a server: sets `window.seq2seqEngine`, which runs this folder's model in the browser.
 *
 * A text is taken line by line, since a model learns lines. All that is loaded stands beside this file.
 */

import {beamSearch, divisorOf} from "./search.js";

const MOST_SUGGESTIONS = 8;
const PAUSE = 30; // milliseconds after which the page may draw

class BrowserEngine {
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
      Graphs.load(said), loadTexts(said.source_tokenizer), loadTexts(said.target_tokenizer),
    ]);
    return {said, graphs, sources, targets};
  }

  async describe() {
    const {said} = await this.loaded, {search} = said;
    const limits = {n_best: MOST_SUGGESTIONS, output_tokens: search.max_length};
    return {models: [{
      id: said.name, engine: "onnxruntime-web", source_languages: [], target_languages: [], generation_order: "l2r",
      max_source_tokens: said.longest ?? null, search, explains: true, limits,
    }]};
  }

  async generate({text, n_best = 1, onText = () => {}, signal}) {
    const started = performance.now();
    const lines = text.split(/\r\n?|\n/), found = [];
    for (const line of lines) {
      const before = found.map(([first]) => first.text + "\n").join("");
      found.push(line.trim() ? await this.generateLine(line, n_best, (part) => onText(before + part), signal) : [empty()]);
    }
    const {said, sources} = await this.loaded;
    const result = lines.length === 1 ? found[0] : [joined(found.map(([first]) => first), said.search)];
    return {
      hypotheses: result,
      source_tokens: lines.reduce((sum, line) => sum + sources.encode(line).length, 0),
      segments: lines.length,
      alarms: alarmsOf(found.map(([first]) => first)),
      seconds: (performance.now() - started) / 1000,
    };
  }

  /** Return ids of a line as the model was trained on it. */
  sourceIds({said, sources}, line) {
    const [before, behind] = said.source_frame, ids = sources.encode(said.source_prefix + line);
    const all = [...before, ...ids, ...behind], most = said.max_source_tokens;
    const cut = most && all.length > most ? [...all.slice(0, most - behind.length), ...behind] : all;
    if (said.longest && cut.length > said.longest)
      throw new Error(`A line has ${cut.length} tokens, and the model can read ${said.longest}; make it shorter.`);
    return cut;
  }

  async generateLine(line, number, onText, signal) {
    const loaded = await this.loaded, {said, graphs, targets} = loaded;
    const options = {...said.search, suppressed: said.suppressed, beam_width: Math.max(said.search.beam_width ?? 1, number)};
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
    const special = {eos: said.eos_token_id, start: said.decoder_start_token_id, forced: said.target_start};
    const found = await beamSearch(graphs, this.sourceIds(loaded, line), options, special, heard);
    return found.slice(0, number).map((hypothesis) => ({
      ...hypothesis, text: targets.decode(hypothesis.tokens), tokens: targets.tokens(hypothesis.tokens), direction: "l2r",
    }));
  }

  async explain({text, output}) {
    const loaded = await this.loaded, {said, graphs, sources, targets} = loaded;
    const source = this.sourceIds(loaded, text), target = [...said.target_start, ...targets.encode(output), said.eos_token_id];
    const given = [said.decoder_start_token_id, ...target.slice(0, -1)];
    return {
      source_tokens: sources.tokens(source), target_tokens: targets.tokens(target),
      attention: await graphs.attention(source, given), trace: null,
    };
  }
}

const empty = () => ({text: "", tokens: [], token_log_probs: [], score: 0, normalized_score: 0, finished: true, direction: "l2r"});

/** Return the best of each line as one. */
function joined(lines, search) {
  const tokens = lines.flatMap((line) => line.tokens), score = lines.reduce((sum, line) => sum + line.score, 0);
  return {
    text: lines.map((line) => line.text).join("\n"), tokens, token_log_probs: lines.flatMap((line) => line.token_log_probs),
    score, normalized_score: score / divisorOf(Math.max(tokens.length, 1), search),
    finished: lines.every((line) => line.finished), direction: "l2r",
  };
}

function alarmsOf(lines) {
  if (lines.every((line) => line.finished)) return [];
  return [{name: "length_limit", message: "The output was cut at the most tokens that the search allows."}];
}

function commonStart([first = [], ...others]) {
  let length = 0;
  while (length < first.length && others.every((tokens) => tokens[length] === first[length])) length++;
  return first.slice(0, length);
}

window.seq2seqEngine = new BrowserEngine();
window.dispatchEvent(new Event("seq2seq-engine-ready"));

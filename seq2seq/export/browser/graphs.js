/** The encoder's and the decoder's graph, run by onnxruntime-web: source ids enter, logits of the next tokens leave. */

import * as ort from "./runtime/onnxruntime.js";

ort.env.wasm.numThreads = 1; // several would need headers that a plain web server does not send
ort.env.wasm.wasmPaths = {wasm: new URL("./runtime/ort-wasm-simd-threaded.wasm", import.meta.url).href};

const ATTENTION = "cross_attentions";

const ids = (rows, length, values) => new ort.Tensor("int64", BigInt64Array.from(values, BigInt), [rows, length]);

export class Graphs {
  /** @param {object} said what `engine.json` says */
  constructor(said, encoder, decoder) {
    Object.assign(this, {said, encoder, decoder});
    const layers = [...Array(said.num_layers).keys()];
    const named = (start, side) => layers.flatMap((layer) => ["key", "value"].map((part) => `${start}.${layer}.${side}.${part}`));
    this.names = {past: side => named("past_key_values", side), present: side => named("present", side)};
  }

  static async load(said) {
    const open = (path) => ort.InferenceSession.create(new URL(path, import.meta.url).href, {executionProviders: ["wasm"]});
    return new Graphs(said, await open(said.encoder), await open(said.decoder));
  }

  /** Return the state before the first step, with one row. */
  async start(source) {
    const mask = Array(source.length).fill(1);
    const {last_hidden_state: states} = await this.encoder.run({
      input_ids: ids(1, source.length, source), attention_mask: ids(1, source.length, mask),
    });
    const {num_heads: heads, key_size, value_size} = this.said;
    const empty = (name) => new ort.Tensor("float32", new Float32Array(0), [1, heads, 0, name.endsWith("key") ? key_size : value_size]);
    const past = Object.fromEntries([...this.names.past("decoder"), ...this.names.past("encoder")].map((name) => [name, empty(name)]));
    return {rows: 1, length: source.length, states, past};
  }

  feeds({rows, length, states, past}, tokens) {
    const mask = ids(rows, length, Array(rows * length).fill(1));
    return {
      input_ids: ids(rows, tokens.length / rows, tokens),
      encoder_hidden_states: states,
      encoder_attention_mask: mask,
      ...past,
    };
  }

  /** Feed a token to each row; return logits, V of each row, and the state after it. */
  async step(state, tokens) {
    const isFirst = state.states.dims[1] > 0;
    const fetched = [...this.names.present("decoder"), ...(isFirst ? this.names.present("encoder") : [])];
    const found = await this.decoder.run(this.feeds(state, tokens), ["logits", ...fetched]);
    const past = {...state.past};
    for (const name of fetched) past[name.replace("present", "past_key_values")] = found[name];
    const states = new ort.Tensor("float32", new Float32Array(0), [state.rows, 0, this.said.d_model]);
    return {logits: found.logits.data, state: {...state, states, past}};
  }

  /** Return the state whose rows were those with these numbers. */
  reorder(state, rows) {
    if (rows.length === state.rows && rows.every((row, place) => row === place)) return state;
    const past = {...state.past};
    const moved = [...this.names.past("decoder"), ...(rows.length === state.rows ? [] : this.names.past("encoder"))];
    for (const name of moved) past[name] = rowsOf(state.past[name], rows);
    return {...state, rows: rows.length, past, states: rowsOf(state.states, rows)};
  }

  /** Return what each target token attends to in the source, the mean over heads of the last layer: target x source. */
  async attention(source, target) {
    const state = await this.start(source);
    const {[ATTENTION]: {data, dims}} = await this.decoder.run(this.feeds(state, target), [ATTENTION]);
    const [, length, width] = dims;
    return [...Array(length).keys()].map((row) => [...data.slice(row * width, (row + 1) * width)]);
  }
}

function rowsOf(tensor, rows) {
  const [, ...shape] = tensor.dims, size = shape.reduce((one, other) => one * other, 1);
  const data = new Float32Array(rows.length * size);
  rows.forEach((row, place) => data.set(tensor.data.subarray(row * size, (row + 1) * size), place * size));
  return new ort.Tensor("float32", data, [rows.length, ...shape]);
}

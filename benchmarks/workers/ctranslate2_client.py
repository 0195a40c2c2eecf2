"""A plain client of CTranslate2, for `command_speed.py`: lines on standard input to translations on standard output.

ctranslate2_client.py FOLDER COMPUTE_TYPE BEAM_WIDTH INTER_THREADS INTRA_THREADS
"""

import json
import sys
from pathlib import Path

import ctranslate2
from tokenizers import Tokenizer


def main() -> None:
    folder, compute_type, beam_width, inter_threads, intra_threads = sys.argv[1:]
    [file] = Path(folder).rglob("tokenizer.json")
    tokenizer = Tokenizer.from_file(str(file))
    options = json.loads((file.parent / "tokenizer_config.json").read_text(encoding="utf-8"))
    specials = {options[name] for name in ("bos_token", "eos_token", "pad_token")}
    translator = ctranslate2.Translator(
        folder, compute_type=compute_type, inter_threads=int(inter_threads), intra_threads=int(intra_threads)
    )
    lines = sys.stdin.read().splitlines()
    encodings = tokenizer.encode_batch_fast(lines, add_special_tokens=False)
    results = translator.translate_batch(
        [[tokenizer.id_to_token(index) for index in encoding.ids] for encoding in encodings],
        beam_size=int(beam_width),
        length_penalty=1.0,
        max_decoding_length=100,
        max_batch_size=32,
        batch_type="examples",
    )
    texts = []
    for result in results:
        tokens = [token for token in result.hypotheses[0] if token not in specials]
        texts.append([tokenizer.token_to_id(token) for token in tokens])
    print("\n".join(tokenizer.decode_batch(texts, skip_special_tokens=True)))


if __name__ == "__main__":
    main()

"""The handler that people write around CTranslate2: FastAPI, and one `translate_batch` for each request.

    python benchmarks/workers/serving_plainly.py FOLDER PORT

The folder is an export of this toolkit, whose tokenizer it uses, so that both servers do the same work for a text.
"""

import sys
from pathlib import Path

import ctranslate2
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.engines.ctranslate2_vocabulary import ctranslate2_vocabularies

app = FastAPI()
folder = Path(sys.argv[1])
translator = ctranslate2.Translator(str(folder), device="cpu", compute_type="int8")
tokenizer = TextTokenizer.load(folder / "tokenizer")
source_tokens, target_tokens = ctranslate2_vocabularies(tokenizer)
target_ids = {token: index for index, token in enumerate(target_tokens)}


class Request(BaseModel):
    inputs: str


@app.post("/translate")
def translate(request: Request) -> dict[str, str]:
    [source] = tokenizer.encode_sources([request.inputs])
    [result] = translator.translate_batch([[source_tokens[i] for i in source[:-1]]], beam_size=5)
    return {"translation": tokenizer.decode([target_ids[token] for token in result.hypotheses[0]])}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")

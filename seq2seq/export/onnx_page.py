"""A folder of ONNX as a site without a server: the page, our engine in JavaScript, and the runtime that it needs.

Enter the folder, the page's HTML and a folder of installed npm packages. All addresses are relative, no other host is
asked for anything, and any web server that sends files will do (`python -m http.server`).
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from seq2seq.data.tokenizer import SOURCE_FOLDER, TARGET_FOLDER
from seq2seq.export.browser_pieces import write_pieces
from seq2seq.files import read_object, written

BROWSER = Path(__file__).with_name("browser")
"""Our own part in JavaScript."""
ENGINE_SCRIPT = '<script type="module" src="engine.js"></script>'
RUNTIME = "runtime"
RUNTIME_FILES = {
    "onnxruntime.js": "onnxruntime-web/dist/ort.wasm.bundle.min.mjs",
    "ort-wasm-simd-threaded.wasm": "onnxruntime-web/dist/ort-wasm-simd-threaded.wasm",
    "tokenizers.js": "@huggingface/tokenizers/dist/tokenizers.min.mjs",
}
"""What is copied into the runtime's folder, and from where; all as `.js`, which every web server knows."""
LICENCES = {
    "onnxruntime-web": "MIT License, Copyright (c) Microsoft Corporation",
    "@huggingface/tokenizers": "Apache License 2.0, Copyright The HuggingFace Team",
}
HOW_TO_GET = (
    "npm install --prefix web onnxruntime-web@1.30 @huggingface/tokenizers@0.2",
    "seq2seq export … --page --runtime web",
)


@dataclass(frozen=True)
class Page:
    """What is written besides the model."""

    html: str
    packages: Path | None = None
    """Folder of installed npm packages; None leaves the runtime to the user."""


def packages_of(runtime: Path | None) -> Path | None:
    """Return the folder of packages that a user means; raise ValueError if anything is not there."""
    if runtime is None:
        return None
    packages = runtime / "node_modules" if (runtime / "node_modules").is_dir() else runtime
    absent = [name for name in RUNTIME_FILES.values() if not (packages / name).is_file()]
    if absent:
        raise ValueError(f"{packages} has no {absent[0]}; get it by `{HOW_TO_GET[0]}` and say `--runtime web`.")
    return packages


def write_page(folder: Path, page: Page) -> None:
    """Write the site's files beside those of the model.

    Raises:
        ValueError: the model's tokenizer is none that a browser reads, or its weights are too large for one.
    """
    make_browsable(folder)
    for file in BROWSER.glob("*.js"):
        shutil.copyfile(file, folder / file.name)
    with written(folder / "index.html") as index:
        index.write(page.html.replace("</head>", f"{ENGINE_SCRIPT}\n</head>", 1))
    if page.packages is None:
        return
    (folder / RUNTIME).mkdir()
    for name, origin in RUNTIME_FILES.items():
        shutil.copyfile(page.packages / origin, folder / RUNTIME / name)
    with written(folder / RUNTIME / "NOTICE.txt") as notice:
        for name, licence in LICENCES.items():
            notice.write(f"{name} {read_object(page.packages / name / 'package.json')['version']}: {licence}\n")


def make_browsable(folder: Path) -> None:
    """Write what a browser lacks of a folder's tokenizers; raise ValueError if it could not run the model."""
    if any(folder.glob("onnx/*_data")):
        raise ValueError(
            "A browser holds no weights of more than 2 GB; try `--quantization int8`, or leave out `--page`."
        )
    is_shared = not (folder / SOURCE_FOLDER).is_dir()
    for place in [folder] if is_shared else [folder / SOURCE_FOLDER, folder / TARGET_FOLDER]:
        write_pieces(place)

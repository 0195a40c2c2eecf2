import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from seq2seq.models import weights
from seq2seq.models.weights import read_as, read_outlines


@pytest.mark.parametrize("entries", [1, 2 * 5, 10**6])
@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float64])
def test_a_tensor_is_the_same_in_parts(
    dtype: torch.dtype | None, entries: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of seven rows of five, one, two or all at a time."""
    monkeypatch.setattr(weights, "ENTRIES_AT_A_TIME", entries)
    tensors = {"matrix": torch.randn(7, 5), "vector": torch.randn(3), "number": torch.tensor(2.5)}
    save_file(tensors, tmp_path / "file")
    for name, tensor in tensors.items():
        found = read_as(tmp_path / "file", name, dtype)
        assert found.dtype == (dtype or torch.float32)
        assert torch.equal(found, tensor.to(found.dtype))


def test_integers_stay_integers(tmp_path: Path) -> None:
    save_file({"ids": torch.arange(3)}, tmp_path / "file")
    assert torch.equal(read_as(tmp_path / "file", "ids", torch.bfloat16), torch.arange(3))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux says what is mapped")
def test_nothing_of_a_file_stays_in_memory(tmp_path: Path) -> None:
    save_file({"matrix": torch.randn(7, 5)}, tmp_path / "file")
    kept = read_as(tmp_path / "file", "matrix", None), read_outlines(tmp_path / "file")
    assert str(tmp_path / "file") not in Path("/proc/self/maps").read_text()
    assert kept[0].shape == kept[1]["matrix"].shape == (7, 5)
    assert kept[1]["matrix"].is_meta


@pytest.mark.parametrize("read", [lambda path: read_as(path, "matrix", None), read_outlines])
def test_damage_names_the_file(read: object, tmp_path: Path) -> None:
    assert callable(read)
    (tmp_path / "file").write_bytes(b"no weights at all")
    with pytest.raises(ValueError, match="file is damaged, or no file of weights"):
        read(tmp_path / "file")

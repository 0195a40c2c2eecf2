import torch

from seq2seq.data.batch import Batch

B, G, S, T, D = 3, 2, 5, 7, 11


def test_a_repeated_batch_keeps_the_rows_of_a_source_together() -> None:
    batch = Batch(
        input_ids=torch.randint(9, (B, S)),
        attention_mask=torch.rand(B, S) < 0.5,
        decoder_input_ids=torch.randint(9, (B * G, T)),
        labels=torch.randint(9, (B * G, T)),
        rows=torch.arange(B),
        sides=torch.arange(2).repeat(B),
        visible=torch.rand(B * G, T) < 0.5,
        target_perturbation=torch.randn(B * G, T, D),
    )
    twice = batch.repeated(2)
    assert len(twice) == 2 * B
    assert twice.source_perturbation is None
    assert twice.num_target_tokens == 2 * batch.num_target_tokens
    for name in ("input_ids", "attention_mask", "rows", "decoder_input_ids", "labels", "sides", "visible"):
        first, second = getattr(twice, name).chunk(2)
        assert torch.equal(first, getattr(batch, name)), name
        assert torch.equal(second, getattr(batch, name)), name
    perturbations = twice.model_inputs()["target_perturbation"]
    assert perturbations.shape == (2 * B * G, T, D)

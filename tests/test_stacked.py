"""What is written for all replicas at once gives what torch's own layers give one replica."""

import torch
from torch import nn

from utils.stacked import cross_entropy, draw_rows, linear, network, start_network


def stacked(lrs, seeds, *sizes):
    starts = [start_network(*sizes)(seed) for seed in seeds]
    noise = torch.Generator().manual_seed(0)
    return {
        key: torch.stack([torch.stack([s[key] for s in starts])] * lrs)
        + 0.1 * torch.randn(lrs, len(seeds), *starts[0][key].shape, generator=noise)
        for key in starts[0]
    }


def test_every_replica_has_a_network_of_its_own():
    p, x = stacked(2, (3, 4, 5), 6, 5, 4), torch.randn(3, 7, 6)
    found = network(p, x)
    assert found.shape == (2, 3, 7, 4)
    for g in range(2):
        for s in range(3):
            layers = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4))
            with torch.no_grad():
                for k, layer in ((0, layers[0]), (1, layers[2])):
                    layer.weight.copy_(p[f"W{k}"][g, s].T)
                    layer.bias.copy_(p[f"b{k}"][g, s])
            torch.testing.assert_close(found[g, s], layers(x[s]).detach())
    torch.testing.assert_close(network(p, x[0]), network(p, x[:1].expand(3, -1, -1)))  # the same rows for all seeds


def test_the_loss_is_torchs_mean_over_rows():
    logits, labels = torch.randn(2, 3, 7, 4), torch.randint(4, (3, 7))
    found = cross_entropy(logits, labels)
    assert found.shape == (2, 3)
    torch.testing.assert_close(found[1, 2], nn.functional.cross_entropy(logits[1, 2], labels[2]))
    torch.testing.assert_close(
        cross_entropy(logits, labels[0])[1, 2], nn.functional.cross_entropy(logits[1, 2], labels[0])
    )


def test_a_linear_model_is_a_product_per_replica():
    w, x = torch.randn(2, 3, 5), torch.randn(3, 7, 5)
    torch.testing.assert_close(linear(w, x)[1, 2], x[2] @ w[1, 2])
    torch.testing.assert_close(linear(w, x[0])[1, 2], x[0] @ w[1, 2])


def test_a_seed_draws_the_same_whoever_draws_beside_it():
    assert torch.equal(start_network(64, 24, 10)(7)["W0"], start_network(64, 24, 10)(7)["W0"])
    rows = draw_rows(100, 8, 5, [3, 4])
    assert rows.shape == (5, 2, 8) and rows.max() < 100
    assert torch.equal(rows[:, 1], draw_rows(100, 8, 5, [4])[:, 0]) and not torch.equal(rows[:, 0], rows[:, 1])


def test_weights_have_hes_spread_and_biases_are_zero():
    start = start_network(400, 300, 10)(0)
    assert abs(start["W0"].std().item() / (2 / 400) ** 0.5 - 1) < 0.02
    assert abs(start["W1"].std().item() / (2 / 300) ** 0.5 - 1) < 0.05
    assert not start["b0"].any() and start["b1"].shape == (10,)

"""Layers with PyTorch's weights: the same state, the same results."""

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.engine import nn
from fieldgrad.engine.errors import DataError, ShapeError


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.fixture
def torch():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    return torch


def both(torch, ours, theirs, *arrays, **settings):
    """Both modules' results, ours with their weights."""
    theirs = theirs.double().eval()
    ours.load_state_dict(fg.interop.from_torch_state_dict(ours, theirs.state_dict()))
    for p in theirs.parameters():  # ours are float32: give both the same numbers
        p.data = p.data.float().double()
    ours.eval()
    got = ours(*(fg.tensor(x) for x in arrays), **settings)
    with torch.no_grad():
        return got, theirs(*(torch.tensor(x) for x in arrays))


def agree(got, want):
    np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-5, atol=1e-6)


PAIRS = {
    "linear": (lambda: nn.Linear(4, 3), lambda t: t.nn.Linear(4, 3), (2, 4)),
    "conv": (
        lambda: nn.Conv2d(4, 6, (3, 2), stride=2, padding=1, groups=2, dilation=(1, 2)),
        lambda t: t.nn.Conv2d(4, 6, (3, 2), stride=2, padding=1, groups=2, dilation=(1, 2)),
        (2, 4, 7, 6),
    ),
    **{
        f"conv {mode}": (
            lambda m=mode: nn.Conv1d(2, 3, 4, padding="same", padding_mode=m),
            lambda t, m=mode: t.nn.Conv1d(2, 3, 4, padding="same", padding_mode=m),
            (2, 2, 9),
        )
        for mode in ("zeros", "reflect", "replicate", "circular")
    },
    "conv circular": (
        lambda: nn.Conv3d(2, 3, 3, padding=(1, 0, 1), padding_mode="circular"),
        lambda t: t.nn.Conv3d(2, 3, 3, padding=(1, 0, 1), padding_mode="circular"),
        (2, 2, 4, 5, 3),
    ),
    "transposed": (
        lambda: nn.ConvTranspose(4, 6, (3, 3), stride=2, padding=1, output_padding=1, groups=2),
        lambda t: t.nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2),
        (2, 4, 3, 5),
    ),
    "batch norm": (lambda: nn.BatchNorm(3), lambda t: t.nn.BatchNorm2d(3), (2, 3, 4, 5)),
    "layer norm": (lambda: nn.LayerNorm((4, 5)), lambda t: t.nn.LayerNorm((4, 5)), (2, 4, 5)),
    "rms norm": (lambda: nn.RMSNorm(5), lambda t: t.nn.RMSNorm(5), (2, 4, 5)),
    "prelu": (lambda: nn.PReLU(3), lambda t: t.nn.PReLU(3), (2, 3, 4)),
    "sequential": (
        lambda: nn.Sequential(nn.Linear(4, 8), nn.GELU("tanh"), nn.Linear(8, 2)),
        lambda t: t.nn.Sequential(t.nn.Linear(4, 8), t.nn.GELU("tanh"), t.nn.Linear(8, 2)),
        (3, 4),
    ),
    **{
        f"encoder layer {first} {activation}": (
            lambda f=first, a=activation: nn.TransformerEncoderLayer(
                8, 2, dim_feedforward=16, norm_first=f, activation=a
            ),
            lambda t, f=first, a=activation: t.nn.TransformerEncoderLayer(
                8, 2, 16, norm_first=f, activation=a, batch_first=True
            ),
            (2, 5, 8),
        )
        for first, activation in ((False, "relu"), (True, "gelu"))
    },
    "encoder": (
        lambda: nn.TransformerEncoder(8, 2, 3, dim_feedforward=16, final_norm=True),
        lambda t: t.nn.TransformerEncoder(
            t.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 3, t.nn.LayerNorm(8)
        ),
        (2, 5, 8),
    ),
}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # of PyTorch
@pytest.mark.parametrize("name", PAIRS)
def test_layers_take_the_weights_of_pytorch(torch, name):
    ours, theirs, shape = PAIRS[name]
    agree(*both(torch, ours(), theirs(torch), normal(*shape)))


def test_a_state_goes_back_to_pytorch(torch):
    ours = nn.Sequential(nn.Conv1d(2, 3, 3), nn.BatchNorm(3))
    theirs = torch.nn.Sequential(torch.nn.Conv1d(2, 3, 3), torch.nn.BatchNorm1d(3))
    state = fg.interop.to_torch_state_dict(ours)
    theirs.load_state_dict({name: torch.from_numpy(a) for name, a in state.items()})
    np.testing.assert_array_equal(theirs[0].weight.detach().numpy(), ours[0].weight.numpy())


def test_attention_with_masks_is_that_of_pytorch(torch):
    ours = nn.MultiheadAttention(8, 2, kdim=5, vdim=6)
    theirs = torch.nn.MultiheadAttention(8, 2, kdim=5, vdim=6, batch_first=True).double().eval()
    torch.nn.init.normal_(theirs.in_proj_bias)
    ours.load_state_dict(fg.interop.from_torch_state_dict(ours, theirs.state_dict()))
    for p in theirs.parameters():
        p.data = p.data.float().double()
    q, k, v = normal(3, 4, 8), normal(3, 6, 5, seed=1), normal(3, 6, 6, seed=2)
    real = np.arange(6) < np.array([[6], [3], [1]])
    seen = np.random.default_rng(3).random((4, 6)) < 0.8
    seen[:, 0] = True
    got, weights = ours(
        *map(fg.tensor, (q, k, v)), key_mask=real, attn_mask=seen, need_weights=True
    )
    want, theirs_weights = theirs(
        *map(torch.tensor, (q, k, v)),
        key_padding_mask=torch.tensor(~real),
        attn_mask=torch.tensor(~seen),
        average_attn_weights=False,
    )
    agree(got, want.detach())
    agree(weights, theirs_weights.detach())
    bias = normal(4, 6, seed=4)
    got = ours(*map(fg.tensor, (q, k, v)), attn_mask=bias, key_mask=real)
    hidden = torch.zeros((3, 1, 6), dtype=torch.float64).masked_fill(
        torch.tensor(~real)[:, None], -torch.inf
    )
    both_masks = (torch.tensor(bias) + hidden).repeat_interleave(2, dim=0)
    want = theirs(*map(torch.tensor, (q, k, v)), attn_mask=both_masks)[0]
    agree(got, want.detach())


def test_a_decoder_layer_is_that_of_pytorch(torch):
    for first in (False, True):
        ours = nn.TransformerDecoderLayer(8, 2, dim_feedforward=16, norm_first=first)
        theirs = torch.nn.TransformerDecoderLayer(8, 2, 16, norm_first=first, batch_first=True)
        theirs = theirs.double().eval()
        ours.load_state_dict(fg.interop.from_torch_state_dict(ours, theirs.state_dict()))
        ours.eval()
        x, memory = normal(2, 5, 8), normal(2, 3, 8, seed=1)
        causal = torch.nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64)
        want = theirs(torch.tensor(x), torch.tensor(memory), tgt_mask=causal, tgt_is_causal=True)
        got = ours(fg.tensor(x), fg.tensor(memory))
        np.testing.assert_allclose(got.numpy(), want.detach().numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_recurrent_layers_take_the_weights_of_pytorch(torch, kind):
    ours = getattr(nn, kind)(3, 4, 2, bidirectional=True)
    theirs = getattr(torch.nn, kind)(3, 4, 2, bidirectional=True, batch_first=True)
    x = normal(2, 5, 3).astype(np.float32)
    ours.load_state_dict(fg.interop.from_torch_state_dict(ours, theirs.state_dict()))
    got, want = ours(fg.tensor(x))[0], theirs(torch.tensor(x))[0]
    agree(got, want.detach())


def test_batch_norms_move_their_averages_as_pytorch_does(torch):
    ours, theirs = nn.BatchNorm(3), torch.nn.BatchNorm2d(3)
    for seed in range(3):
        x = normal(4, 3, 5, 2, seed=seed).astype(np.float32)
        agree(ours(fg.tensor(x)), theirs(torch.tensor(x)).detach())
    state = fg.interop.from_torch_state_dict(ours, theirs.state_dict())
    for name in ("running_mean", "running_var"):
        np.testing.assert_allclose(ours.state_dict()[name], state[name], rtol=1e-5, atol=1e-6)


def test_embeddings_take_the_weights_of_pytorch(torch):
    index = np.array([[1, 4], [0, 1]])
    for ours, theirs in (
        (nn.Embedding(5, 3, padding_idx=0), torch.nn.Embedding(5, 3, padding_idx=0)),
        (nn.EmbeddingBag(5, 3, mode="max"), torch.nn.EmbeddingBag(5, 3, mode="max")),
    ):
        ours.load_state_dict(fg.interop.from_torch_state_dict(ours, theirs.state_dict()))
        want = theirs(torch.tensor(index)).detach()
        np.testing.assert_array_equal(ours(index).numpy(), want.numpy())


def test_states_that_do_not_fit_are_refused():
    layer = nn.Linear(2, 1)
    with pytest.raises(DataError, match=r"lacks \['bias'\] and has unknown \['biases'\]"):
        fg.interop.from_torch_state_dict(layer, {"weight": np.zeros((1, 2)), "biases": np.zeros(1)})
    with pytest.raises(ShapeError, match=r"weight has shape \(2, 1\)"):
        fg.interop.from_torch_state_dict(layer, {"weight": np.zeros((2, 1)), "bias": np.zeros(1)})


def test_dropout_layers_act_while_training_only():
    x = fg.ones((50, 40, 3))
    for layer in (
        nn.Dropout(0.5),
        nn.DropoutChannels(0.5),
        nn.AlphaDropout(),
        nn.FeatureAlphaDropout(),
    ):
        assert not np.array_equal(layer(x).numpy(), x.numpy())
        assert layer.eval()(x) is x


def test_activation_layers_are_their_functions():
    x = fg.tensor(normal(2, 4))
    for name, function in (
        ("ReLU6", "relu6"), ("SELU", "selu"), ("Mish", "mish"), ("Hardswish", "hardswish"),
        ("Hardsigmoid", "hardsigmoid"), ("LogSigmoid", "logsigmoid"), ("Softsign", "softsign"),
        ("Tanhshrink", "tanhshrink"), ("CELU", "celu"), ("ELU", "elu"), ("GLU", "glu"),
        ("Hardshrink", "hardshrink"), ("Softshrink", "softshrink"), ("Softmax", "softmax"),
        ("LogSoftmax", "log_softmax"), ("Softmin", "softmin"), ("Hardtanh", "hardtanh"),
        ("Softplus", "softplus"), ("GELU", "gelu"), ("SiLU", "silu"), ("Tanh", "tanh"),
    ):  # fmt: skip
        np.testing.assert_array_equal(
            getattr(nn, name)()(x).numpy(), getattr(fg, function)(x).numpy()
        )


def test_containers_hold_modules():
    named = nn.ModuleDict({"a": nn.Linear(1, 1), "b": nn.ReLU()})
    assert list(named) == ["a", "b"]
    assert len(named) == 2
    assert sorted(named.state_dict()) == ["a.bias", "a.weight"]
    with pytest.raises(KeyError, match="no module 'c'"):
        named["c"]
    with pytest.raises(KeyError, match="no method of Module"):
        named["eval"] = nn.ReLU()
    layers = nn.ModuleList()
    layers.append(nn.ReLU())
    assert len(layers) == 1


def test_initial_values_have_their_variances():
    fg.manual_seed(0)
    shape = (60, 50, 3)
    for values, std in (
        (nn.init.xavier_uniform(shape), (2 / (150 + 180)) ** 0.5),
        (nn.init.xavier_normal(shape), (2 / (150 + 180)) ** 0.5),
        (nn.init.kaiming_uniform(shape), (2 / 150) ** 0.5),
        (nn.init.standard_normal(shape, std=0.3), 0.3),
    ):
        assert values.std() == pytest.approx(std, rel=0.02)
        assert values.dtype == np.float32
    assert abs(nn.init.truncated_normal(shape, std=2.0, limit=1.0)).max() <= 2
    for shape in ((4, 6), (6, 2, 2)):
        q = nn.init.orthogonal(shape, gain=2.0).reshape(shape[0], -1)
        small = q @ q.T if len(q) <= q.shape[1] else q.T @ q
        np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=1e-5)

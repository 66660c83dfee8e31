"""The feature-affinity loss against a double loop, against autograd of the direct form, and by its properties."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchmarks import affinity as bench
from dsrl_lib.losses import feature_affinity_numba, feature_affinity_tiled
from dsrl_lib.losses.feature_affinity import feature_affinity
from dsrl_lib.losses.pooling import average_pool

main = import_module("dsrl_lib.losses.feature_affinity")  # the package gives its function the same name
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def maps(*shapes, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=generator).to(**options).requires_grad_() for shape in shapes]


def stacked(batch, a, b, count, seed=0):
    """Normalised tokens as the implementations take them."""
    first, second = (F.normalize(x.detach(), dim=1) for x in maps((batch, a, count), (batch, b, count), seed=seed))
    return torch.cat((first, second), 1), torch.cat((first, -second), 1)


def double_loop(a, b, normalise, q, eps=1e-8):
    """The equations of the paper, one pair at a time, in float64."""
    total = 0.0
    for x, y in zip(a.detach().double().numpy(), b.detach().double().numpy(), strict=True):
        x, y = x.reshape(len(x), -1), y.reshape(len(y), -1)
        if normalise:
            x, y = (m / np.sqrt((m**2).sum(0) + eps) for m in (x, y))
        for i in range(x.shape[1]):
            for j in range(x.shape[1]):
                total += abs(x[:, i] @ x[:, j] - y[:, i] @ y[:, j]) ** q
    return total / (len(a) * x.shape[1] ** 2)


def direct_gradients(a, b, **settings):
    a, b = (x.detach().double().requires_grad_() for x in (a, b))
    return torch.autograd.grad(bench.direct(a, b, **settings), (a, b))


def assert_gradients(actual, expected, tolerance=2e-4):
    # D_ij of 1e-8 may have another sign in float32 than in float64. Such a pair moves a token's gradient by 2 / N^2.
    for x, y in zip(actual, expected, strict=True):
        assert (x - y).abs().max() <= tolerance * y.abs().max()


@pytest.mark.parametrize("channels", [(2, 3), (3, 3), (5, 4), (12, 30)])
@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("q", [1, 2])
def test_value_is_that_of_the_double_loop(channels, normalise, q):
    a, b = maps((2, channels[0], 3, 5), (2, channels[1], 3, 5))
    value = feature_affinity(a, b, normalise=normalise, q=q)
    assert value.shape == () and value.dtype == torch.float32
    assert value.item() == pytest.approx(double_loop(a, b, normalise, q), rel=2e-6)


def test_hand_example():
    a, b = (torch.tensor(x).view(1, 1, 1, 2).requires_grad_() for x in ([1.0, 2.0], [1.0, 0.0]))
    value = feature_affinity(a, b, normalise=False)  # S_a = [[1, 2], [2, 4]], S_b = [[1, 0], [0, 0]]
    value.backward()
    assert value.item() == 2  # (0 + 2 + 2 + 4) / 4
    assert a.grad.flatten().tolist() == [1.0, 1.5]  # 2/4 * (2, 1 + 2): the tie at (0, 0) counts nothing
    assert b.grad.flatten().tolist() == [0.0, -0.5]  # -2/4 * (0, 1 + 0)
    assert feature_affinity(a, b, normalise=False, q=2).item() == 6  # (0 + 4 + 4 + 16) / 4


@pytest.mark.parametrize("channels", [(3, 3), (2, 4), (4, 16)])
@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("q", [1, 2])
def test_gradients_are_those_of_the_direct_form(channels, normalise, q):
    pair = maps((2, channels[0], 13, 17), (2, channels[1], 13, 17))
    actual = torch.autograd.grad(3 * feature_affinity(*pair, normalise=normalise, q=q), pair)
    expected = direct_gradients(*pair, normalise=normalise, q=q)
    assert_gradients(actual, [3 * x for x in expected])


@pytest.mark.parametrize("channels", [3, 20])
@pytest.mark.parametrize("q", [1, 2])
def test_equal_maps_give_zero(channels, q):
    (a,) = maps((2, channels, 9, 11))
    assert 0 <= feature_affinity(a, a.detach().clone(), q=q).item() < 1e-7


@pytest.mark.parametrize("q", [1, 2])
@pytest.mark.parametrize("which", ["both maps", "one map", "one token"])
def test_zero_tokens_give_finite_value_and_gradients(which, q):
    a, b = (x.detach() for x in maps((1, 3, 4, 4), (1, 3, 4, 4)))
    if which == "one token":
        a[..., 0, 0] = 0
    else:
        a.zero_()
    if which == "both maps":
        b.zero_()
    a.requires_grad_(), b.requires_grad_()
    value = feature_affinity(a, b, q=q)
    value.backward()
    assert value.isfinite() and (value == 0) == (which == "both maps")
    assert a.grad.isfinite().all() and b.grad.isfinite().all()


def test_nan_is_not_hidden():
    a, b = maps((1, 3, 4, 4), (1, 3, 4, 4))
    assert feature_affinity(a * torch.nan, b).isnan()


def test_value_is_the_mean_over_the_batch():
    a, b = maps((3, 3, 6, 7), (3, 9, 6, 7))
    single = [feature_affinity(a[i : i + 1], b[i : i + 1]).item() for i in range(3)]
    assert feature_affinity(a, b).item() == pytest.approx(sum(single) / 3, rel=1e-6)


def test_normalised_value_ignores_the_scale_of_each_pixel():
    a, b = maps((2, 4, 6, 7), (2, 3, 6, 7))
    scale = torch.rand(2, 1, 6, 7, generator=torch.Generator().manual_seed(1)) * 10 + 0.1
    assert feature_affinity(a * scale, b).item() == pytest.approx(feature_affinity(a, b).item(), rel=1e-5)
    raw = feature_affinity(a, b, normalise=False).item()
    assert feature_affinity(a * scale, b, normalise=False).item() != pytest.approx(raw, rel=0.1)


def test_near_agreement_keeps_its_digits():
    (a,) = maps((1, 8, 12, 12))
    b = a.detach() + 1e-3 * torch.randn(a.shape, generator=torch.Generator().manual_seed(1))
    for q in (1, 2):
        exact = bench.direct(a.detach().double(), b.double(), q=q).item()
        assert feature_affinity(a, b, q=q).item() == pytest.approx(exact, rel=1e-3)


@pytest.mark.parametrize("count", [1, 255, 257, 600])
@pytest.mark.parametrize("channels", [(1, 1), (2, 3), (3, 3)])
def test_fused_loop_and_tiles_agree(channels, count, monkeypatch):
    monkeypatch.setattr(feature_affinity_tiled, "CPU_TILE", 128)  # several tiles, the last one ragged
    x, y = stacked(2, *channels, count)
    signs = torch.sign(x.double().mT @ y.double())
    expected = y.double() @ signs
    for implementation in (feature_affinity_numba, feature_affinity_tiled):
        g = implementation.signed_sums(x, y)
        # The diagonal of normalised tokens is a tie: rounding alone gives it a sign.
        assert (g - expected).abs().max() < 2 + 1e-4
        along = (x.double() * g).sum(1)  # ... which this sum does not see
        assert torch.allclose(along, (x.double() * expected).sum(1), rtol=1e-5, atol=1e-4)


def test_each_number_of_channels_has_its_implementation():
    assert main._implementation(torch.empty(1, 6, 4)) is feature_affinity_numba.signed_sums
    assert main._implementation(torch.empty(1, 7, 4)) is feature_affinity_tiled.signed_sums
    assert main._implementation(torch.empty(1, 6, 4, device="meta")) is feature_affinity_tiled.signed_sums


@pytest.mark.parametrize("channels", [3, 20])
def test_a_repeated_call_gives_the_same_bits(channels):
    pair = maps((2, channels, 30, 30), (2, 3, 30, 30))
    first, second = (torch.autograd.grad(feature_affinity(*pair), pair) for _ in range(2))
    assert all(map(torch.equal, first, second))


def test_the_fused_loop_gives_the_same_bits_with_any_threads_and_many_callers(monkeypatch):
    x, y = stacked(2, 3, 3, 900)
    results = []
    for threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        results.append(feature_affinity_numba.signed_sums(x, y))
    with ThreadPoolExecutor(4) as callers:
        results += callers.map(lambda _: feature_affinity_numba.signed_sums(x, y), range(8))
    assert all(torch.equal(result, results[0]) for result in results)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("q", [1, 2])
def test_half_precision_maps_are_raised_to_float32(dtype, q):
    pair = maps((2, 3, 8, 8), (2, 5, 8, 8), dtype=dtype)
    wide = [x.detach().float().requires_grad_() for x in pair]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = feature_affinity(*pair, q=q, tokens=(4, 4))
    expected = feature_affinity(*wide, q=q, tokens=(4, 4))
    assert value.dtype == torch.float32 and torch.equal(value, expected)
    for x, y in zip(torch.autograd.grad(value, pair), torch.autograd.grad(expected, wide), strict=True):
        assert x.dtype == dtype and torch.equal(x, y.to(dtype))


def test_tokens_are_averages_over_cells():
    a, b = maps((2, 3, 8, 12), (2, 4, 4, 4))
    value = feature_affinity(a, b, tokens=(4, 4))
    cells = torch.stack([
        torch.stack([a[:, :, 2 * i : 2 * i + 2, 3 * j : 3 * j + 3].mean((2, 3)) for j in range(4)], -1)
        for i in range(4)
    ], -2)  # fmt: skip
    assert value.item() == pytest.approx(feature_affinity(cells, b).item(), rel=1e-5)


@pytest.mark.parametrize("grid", [(4, 5), (3, 7), (8, 15), (16, 20)])  # even, overlapping, as it is, larger
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_pooling_and_its_gradient_are_those_of_pytorch(grid, memory_format):
    (x,) = maps((2, 3, 8, 15), memory_format=memory_format)
    ours, theirs = average_pool(x, grid), F.adaptive_avg_pool2d(x, grid)
    weight = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(ours, theirs, atol=1e-6)
    gradients = [torch.autograd.grad((pooled * weight).sum(), x)[0] for pooled in (ours, theirs)]
    assert torch.allclose(*gradients, atol=1e-6)


@pytest.mark.parametrize(
    ("shapes", "settings", "message"),
    [
        (((1, 3, 4, 4), (1, 3, 4, 5)), {}, r"different size need tokens.*\(1, 3, 4, 5\)"),
        (((1, 3, 4, 4), (2, 3, 4, 4)), {}, "the same B"),
        (((3, 4, 4), (3, 4, 4)), {}, r"must be \(B, C, h, w\)"),
        (((1, 1, 4, 4), (1, 3, 4, 4)), {}, "2 channels or more.*only a sign"),
        (((1, 3, 4, 4), (1, 3, 4, 4)), {"q": 3}, "q=3; allowed: 1, 2"),
        (((1, 3, 4, 4), (1, 3, 4, 4)), {"tokens": (0, 4)}, r"tokens=\(0, 4\)"),
        (((1, 3, 4, 4), (1, 3, 4, 4)), {"tokens": 4}, "tokens=4; allowed: None or positive integers"),
        (((1, 3, 4, 4), (1, 3, 4, 4)), {"tokens": (2.0, 4)}, r"tokens=\(2.0, 4\); allowed: None or positive integers"),
        (((1, 3, 4, 4), (1, 3, 4, 4)), {"eps": 0.0}, "eps = 0.0; allowed: a number above 0"),
        (((1, 3, 4, 4), (1, 3, 4, 4)), {"eps": float("nan")}, "eps = nan; allowed: a number above 0"),
        (((1, 3, 4, 4), (1, 3, 4, 4)), {"normalise": "false"}, "normalise = 'false'; allowed: "),
    ],
)
def test_errors_name_the_setting(shapes, settings, message):
    with pytest.raises(ValueError, match=message):
        feature_affinity(*maps(*shapes), **settings)


def test_whole_numbers_are_refused():
    with pytest.raises(ValueError, match=r"float types.*int64"):
        feature_affinity(torch.ones(1, 3, 4, 4, dtype=torch.int64), torch.ones(1, 3, 4, 4))


TRITON_CHECK = """
import torch
from dsrl_lib.losses import feature_affinity_tiled, feature_affinity_triton
from dsrl_lib.losses.feature_affinity import _triton_works
for batch, channels, count in ((2, 6, 100), (1, 42, 70), (1, 128, 33)):
    x = torch.randn(batch, channels, count, generator=torch.Generator().manual_seed(0))
    y = torch.cat((x[:, :3], -x[:, 3:]), 1)
    g = feature_affinity_triton.signed_sums(x, y)
    assert torch.allclose(g, feature_affinity_tiled.signed_sums(x, y), atol=1e-3), (batch, channels, count)
    assert _triton_works(x.device, channels)
"""


def test_triton_kernel_in_triton_s_interpreter():
    pytest.importorskip("triton")
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, "-c", TRITON_CHECK], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def tried():
    """`_triton_works`, which remembers nothing."""
    works = main._triton_works
    works.cache_clear()
    yield works
    works.cache_clear()


@pytest.fixture
def choose(tried, monkeypatch):
    """choose(signed_sums): who serves six channels on a GPU, if this is what the module of the kernel gives.

    The kernel is tried on the CPU.
    """

    def call(signed_sums):
        module = SimpleNamespace(signed_sums=signed_sums)
        monkeypatch.setitem(sys.modules, "dsrl_lib.losses.feature_affinity_triton", module)
        return main._implementation(SimpleNamespace(device=torch.device("cuda"), shape=(1, 6, 4)))

    monkeypatch.setattr(main, "find_spec", lambda name: name == "triton")
    monkeypatch.setattr(main, "_triton_works", lambda device, channels: tried(torch.device("cpu"), channels))
    return call


def test_a_kernel_that_fails_gives_way_to_the_tiles_with_one_warning(choose):
    calls = []

    def failing(x, y):
        calls.append(x.shape)
        raise RuntimeError("Failed to find C compiler")

    with pytest.warns(UserWarning, match="Triton kernel does not work .*: RuntimeError: Failed to find C c") as given:
        assert all(choose(failing) is feature_affinity_tiled.signed_sums for _ in range(3))
    assert len(given) == 1 and calls == [(1, 6, 16)]


def test_a_kernel_that_works_is_taken(choose):
    assert choose(torch.add) is torch.add


def test_the_true_kernel_does_not_work_on_a_cpu(tried):
    pytest.importorskip("triton")
    with pytest.warns(UserWarning, match="Triton kernel does not work on cpu"):
        assert not tried(torch.device("cpu"), 6)


def test_without_triton_the_tiles_are_taken_silently(tried, monkeypatch):
    monkeypatch.setattr(main, "find_spec", lambda name: None)
    assert not tried(torch.device("cpu"), 6)


@needs_cuda
@pytest.mark.parametrize("channels", [(3, 3), (10, 32), (100, 60)])
def test_cuda_agrees_with_the_direct_form(channels):
    pair = [x.detach().cuda().requires_grad_() for x in maps((2, channels[0], 33, 40), (2, channels[1], 33, 40))]
    value = feature_affinity(*pair)
    assert value.item() == pytest.approx(bench.direct(*(x.double() for x in pair)).item(), rel=1e-5)
    gradients = torch.autograd.grad(value, pair)
    assert_gradients(gradients, direct_gradients(*pair))
    assert all(map(torch.equal, gradients, torch.autograd.grad(feature_affinity(*pair), pair)))

"""Fine-tuning: what a run takes from a file of weights, class by class, and what it says about the rest."""

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_runs import tiny

from dsrl_lib import network, runs
from dsrl_lib.data.class_tables import CAMVID, CITYSCAPES
from dsrl_lib.data.split import load_split
from dsrl_lib.models.build import build_host
from dsrl_lib.models.dsrl import DSRL
from dsrl_lib.overrides import override
from dsrl_lib.training import begin, fit, start
from dsrl_lib.training.state import RunState
from study.catalogue import Run
from study.presets import parent_of, preset

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(start, "cache_dir", lambda: tmp_path / "cache")


def written(config, path):
    """A network of `config` with weights that no start gives, in a file."""
    model = network.build(config)
    generator = torch.Generator().manual_seed(1)
    for value in model.state_dict().values():
        if value.is_floating_point():
            value += 0.1 * torch.rand(value.shape, generator=generator)
    network.save(model, config, path)
    return model


@pytest.mark.parametrize("head", ["deconv", "subpixel"])
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_cuda)])
def test_a_class_keeps_its_rows_under_another_table(tmp_path, head, device):
    camvid = preset("camvid", "sssr", "espnetv2_s0.5", overrides=[f"model.sssr_head={head}"])
    path = tmp_path / "camvid.safetensors"
    source = written(override(camvid, "model.pretrained", "none"), path)
    config = override(tiny("sssr"), "model.sssr_head", head)
    model, fresh = network.build(config).to(device), network.build(config)
    done = start.start_from(model, path, config)
    model.cpu()
    assert done.classes["vegetation"] == "Tree" and done.classes["person"] == "Pedestrian"
    assert len(done.classes) == 11 and "train" in done.new_classes
    assert not (done.missing or done.misfits or done.unused)

    pairs = [(CITYSCAPES.classes.index(own), CAMVID.classes.index(theirs)) for own, theirs in done.classes.items()]
    old, new, plain = source.state_dict(), model.state_dict(), fresh.state_dict()
    name, group = ("sssr.steps.0.weight", 1) if head == "deconv" else ("sssr.conv.weight", 16)
    rows = dict(pairs)
    old, new, plain = (state[name].unflatten(0, (-1, group)) for state in (old, new, plain))  # (K, group, K, 3, 3)
    for k in range(19):
        for j in range(19):
            expected = old[rows[k], :, rows[j]] if k in rows and j in rows else plain[k, :, j]
            assert torch.equal(new[k, :, j], expected)

    x = torch.randn(1, 3, 32, 64)
    with torch.no_grad():
        ours, theirs = (m.host.classify(m.host.features(x).last) for m in (model.eval(), source.eval()))
    for k, row in pairs:
        torch.testing.assert_close(ours[:, k], theirs[:, row])


def test_classes_of_a_data_set_that_is_not_here_are_matched_by_their_names(tmp_path, monkeypatch):
    monkeypatch.setenv("DSRL_DATA", str(tmp_path))
    for dataset in ("mine", "mapillary"):  # the list of the second comes with its data
        assert start._matches(["road", "tree", "sky"], [0, None, 10], ["Tree", "Road"], dataset) == [1, 0, None]


def test_what_does_not_fit_is_listed(tmp_path):
    path = tmp_path / "dsrl.safetensors"
    written(replace(tiny("dsrl"), warm_start=None), path)
    config = tiny("sssr", "model.sssr_head=subpixel")
    done = start.start_from(network.build(config), path, config)
    assert done.missing == ["sssr.conv.weight", "sssr.conv.bias"]
    assert {key.split(".")[0] for key in done.unused} == {"sisr", "ftm", "sssr"}
    assert done.run.startswith("smoke-espnetv2_s0.5-dsrl-s0") and len(done.classes) == 19
    assert "not in the file: sssr.conv.weight, sssr.conv.bias\n" in str(done)
    assert "in the file alone: ftm (6), sisr (26), sssr (4); start.json names them" in str(done)


@pytest.mark.parametrize(("rows", "kept"), [(20, 11), (11, 11), (7, 0)])
def test_a_plain_state_dict_has_the_rows_of_cityscapes_or_those_of_the_run(tmp_path, rows, kept):
    host, path = build_host("espnetv2_s0.5", rows), tmp_path / "host.pth"
    torch.save({"state_dict": host.state_dict()}, path)
    config = override(preset("camvid", "lr", "espnetv2_s0.5"), "model.pretrained", "none")
    model = network.build(config)
    done = start.start_from(model, path, config)
    layer = "bu_dec_l4.merge_layer.3.weight"
    own, theirs = model.host.state_dict()[layer], host.state_dict()[layer]
    places = CAMVID.cityscapes_rows if rows == 20 else range(kept)
    assert all(torch.equal(own[k], theirs[row]) for k, row in enumerate(places))
    assert len(done.classes) == kept and (f"host.{layer}" in done.taken) and not done.misfits


def test_weights_that_cannot_start_a_run_are_refused(tmp_path):
    path, config = tmp_path / "w.safetensors", tiny("lr")
    model = written(config, path)
    other = tiny("lr", "model.host=espnetv2_s1.0")
    with pytest.raises(ValueError, match=r"weights of host espnetv2_s0.5; allowed: those of espnetv2_s1.0"):
        start.start_from(network.build(other), path, other)
    network.save(model, config, path, folded=True)
    with pytest.raises(ValueError, match="folded"):
        start.start_from(model, path, config)
    torch.save({"layer": torch.zeros(3)}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"nothing in .*w.pth fits the network of .*: host.layer"):
        start.start_from(model, tmp_path / "w.pth", config)
    model.host.bu_dec_l4.merge_layer[3].weight.data[0] = float("nan")
    network.save(model, config, path)
    with pytest.raises(ValueError, match="NaN or infinite"):
        start.start_from(model, path, config)
    with pytest.raises(FileNotFoundError, match="do not exist"):
        start.keep_weights(tmp_path / "nothing.pth")
    (tmp_path / "w.txt").write_text("")
    with pytest.raises(ValueError, match=r"allowed: files that end in .safetensors, .pth, .pt"):
        start.keep_weights(tmp_path / "w.txt")
    for suffix in runs.SUFFIXES:
        (tmp_path / f"cut{suffix}").write_bytes(b"weights")
        with pytest.raises(ValueError, match=rf"cut{suffix} is not a"):
            start.keep_weights(tmp_path / f"cut{suffix}")
    assert not list((tmp_path / "cache").glob("start/*"))  # nothing is kept that no run can read
    with pytest.raises(ValueError, match=r"model.start = 'mine'; allowed: none, or a SHA-256"):
        override(config, "model.start", "mine")
    frozen = override(tiny("sssr_sisr_frozen"), "model.start", "0" * 64)
    with pytest.raises(ValueError, match=r"model.start = .*; allowed: none with model.sisr_frozen"):
        frozen.checked()
    with pytest.raises(ValueError, match=r"none with downsampling.locations = mean"):
        tiny("adaptive_mean", f"model.start={'0' * 64}")


def test_weights_that_cannot_start_a_run_are_refused_before_data_is_read(tmp_path, results, monkeypatch):
    path = tmp_path / "w.safetensors"
    written(tiny("lr"), path)
    config = tiny("lr", f"model.start={start.keep_weights(path)}", "model.host=espnetv2_s1.0")
    monkeypatch.setattr(fit, "load_split", lambda *_: pytest.fail("data was read"))
    with pytest.raises(ValueError, match=r"weights of host espnetv2_s0.5; allowed: those of espnetv2_s1.0"):
        fit.fit(config, device="cpu", progress=False)


def test_a_run_finds_its_file_by_checksum_and_records_what_it_took(tmp_path, results, capsys):
    path = tmp_path / "w.safetensors"
    source = written(tiny("sssr"), path)
    config = tiny("sssr", f"model.start={start.keep_weights(path)}")
    path.unlink()
    assert config.run_id != tiny("sssr").run_id and network.build(config) is not None
    directory = tmp_path / "run"
    directory.mkdir()
    state = RunState(config, load_split("streets", "train"), torch.device("cpu"))
    begin.continue_or_start(state, directory)
    for key, value in source.state_dict().items():
        assert torch.equal(state.network.state_dict()[key], value)
    assert json.loads((directory / "start.json").read_text())["sha256"] == config.model.start
    assert f"({config.model.start[:8]})" in capsys.readouterr().err

    (kept,) = (path for path in (tmp_path / "cache" / "start").iterdir() if path.suffix != ".lock")
    kept.write_bytes(kept.read_bytes() + b" ")
    with pytest.raises(ValueError, match="is damaged: its SHA-256 is"):
        fit.fit(config, progress=False)
    kept.unlink()
    with pytest.raises(FileNotFoundError, match="give that file again with --start"):
        fit.fit(config, progress=False)


def test_a_stage_names_the_file_with_which_the_first_one_began():
    config = tiny("sssr_sisr", f"model.start={'0' * 64}")
    assert start.kept_weights(config) is None  # it starts from the weights of stage 1
    assert parent_of(config).model.start == "0" * 64 and config.warm_start == parent_of(config).run_id
    run = Run(runs.folder(config), config.to_dict(), {}, {})
    assert f"model.start={'0' * 64}" in run.overrides  # so it is not stale, and no run of the plain arm


def test_an_encoder_alone_starts_a_network_with_sisr(tmp_path):
    model = DSRL(build_host("espnetv2_s0.5", 19), sssr=True, sisr=True)
    torch.save(model.state_dict(), tmp_path / "all.pth")  # names with the prefix host., as a checkpoint of ours
    config = tiny("sssr")
    done = start.start_from(network.build(config), tmp_path / "all.pth", config)
    assert not (done.missing or done.misfits) and {key.split(".")[0] for key in done.unused} == {"sisr"}


@pytest.mark.parametrize("kind", ["complex64", "int8", "bool"])
def test_numbers_of_another_type_are_not_taken(tmp_path, kind):
    """Whole numbers for weights are those of a quantised file, without what they have to be multiplied with."""
    path, config = tmp_path / "w.safetensors", tiny("lr")
    model, key = written(config, path), "host.bu_dec_l4.merge_layer.3.weight"
    tensors = load_file(path)
    save_file(tensors | {key: tensors[key].to(getattr(torch, kind))}, path, network.metadata(path))
    done = start.start_from(model, path, config)
    assert done.misfits == {key: f"torch.{kind} instead of torch.float32"}
    with pytest.raises(ValueError, match=rf"type of {key}: torch.{kind} instead of torch.float32"):
        network.load(path)


def test_floats_of_8_bits_are_read(tmp_path):
    path, config = tmp_path / "w.safetensors", tiny("lr")
    model, key = written(config, path), "host.bu_dec_l4.merge_layer.3.weight"
    tensors, about = load_file(path), network.metadata(path)
    small = tensors[key].to(torch.float8_e4m3fn)
    save_file(tensors | {key: small}, path, about)
    start.start_from(model, path, config)
    for found in (model, network.load(path)[0]):
        torch.testing.assert_close(found.state_dict()[key], small.float(), rtol=0, atol=0)
    small[0] = float("nan")
    save_file(tensors | {key: small}, path, about)
    with pytest.raises(ValueError, match=f"{key} holds NaN or infinite values"):
        network.load(path)


def test_a_file_that_names_no_classes_is_refused(tmp_path):
    path, config = tmp_path / "w.safetensors", tiny("lr")
    model = written(config, path)
    about = {name: text for name, text in network.metadata(path).items() if name != "classes"}
    save_file(load_file(path), path, about)
    with pytest.raises(ValueError, match=r"w.safetensors cannot be read: classes = None; allowed: a list"):
        start.start_from(model, path, config)


def test_several_runs_keep_one_file_at_once(tmp_path, monkeypatch):
    torch.save({"a": torch.zeros(1)}, tmp_path / "w.pth")
    real, inside = shutil.copyfile, []

    def slow(source, target):
        inside.append(target)
        time.sleep(0.05)
        assert len(inside) == 1, "two copies were written at once"
        real(source, target)
        inside.pop()

    monkeypatch.setattr(shutil, "copyfile", slow)
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(lambda _: start.keep_weights(str(tmp_path / "w.pth")), range(4)))) == 1

"""peft: adapters are trained, the model under them is not; both go on from files."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

import gradstep.torch as gst
from tiny import assert_same_curve, language_model, parameters, same, sentences


def adapted() -> Any:
    model = language_model()
    torch.manual_seed(6)
    config = LoraConfig(
        r=4, lora_alpha=32, target_modules=["c_attn", "c_fc"], task_type="CAUSAL_LM"
    )
    return get_peft_model(model, config)


def train(model: Any, opt: Any, epochs: range) -> list[float]:
    rows = sentences(24)
    curve = []
    for _ in epochs:
        opt.zero_grad()
        batch = torch.stack([row["input_ids"] for row in rows])
        loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        opt.step()
        curve.append(loss.item())
    return curve


@pytest.mark.parametrize("name", ["AdamW", "SGD", "Adagrad"])
def test_losses_are_those_of_torch_and_the_model_under_adapters_stays(
    name: str,
) -> None:
    curves = []
    for module in (gst, torch.optim):
        model = adapted()
        frozen = {
            n: p.detach().clone()
            for n, p in model.named_parameters()
            if not p.requires_grad
        }
        # All of them, as many scripts do: those without a gradient stay.
        rate = {"AdamW": 0.02, "SGD": 3.0, "Adagrad": 0.02}[name]
        opt = getattr(module, name)(model.parameters(), lr=rate)
        curves.append(train(model, opt, range(10)))
        assert frozen
        now = dict(model.named_parameters())
        assert all(torch.equal(now[n], p) for n, p in frozen.items())
    assert_same_curve(*curves)


def test_adapters_and_optimizer_go_on_from_files(tmp_path: Path) -> None:
    straight = adapted()
    opt = gst.AdamW(straight.parameters(), lr=0.02)
    train(straight, opt, range(4))
    straight.save_pretrained(tmp_path)
    torch.save(opt.state_dict(), tmp_path / "optimizer.pt")
    resumed = PeftModel.from_pretrained(
        language_model(), str(tmp_path), is_trainable=True
    )
    other = gst.AdamW(resumed.parameters(), lr=0.02)
    other.load_state_dict(torch.load(tmp_path / "optimizer.pt", weights_only=True))
    for model, optimizer in ((straight, opt), (resumed, other)):
        train(model, optimizer, range(4, 8))
    assert same(parameters(straight), parameters(resumed))


def test_a_copy_of_model_and_optimizer_goes_on() -> None:
    model = adapted()
    opt = gst.ScheduleFreeAdamW(model.parameters(), lr=0.05)
    train(model, opt, range(4))
    opt.eval()
    other_model, other = copy.deepcopy((model, opt))
    for m, o in ((model, opt), (other_model, other)):
        o.train()
        train(m, o, range(4, 8))
    assert same(parameters(model), parameters(other_model))

# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""The factorised prior behind `entropy_bottleneck()` in PyTorch, and the losses and stages it is trained by (Ballé et al. 2018; Ladon, WACV 2025).

    prior = FactorisedPrior(24)
    latent = prior(encoder(x))                                  # noise while training, whole steps about the medians otherwise
    loss = rate_distortion(decoder(latent), teacher(x), prior.bits(latent), beta=0.32)
    prior.quantile_loss().backward()                            # an optimiser of its own for `quantiles`
    prior.update()                                              # integer tables, before the state_dict is saved

Names in the state_dict are CompressAI's EntropyBottleneck's, so that files of either serve the other.
"""
import contextlib
import math

import entropy_prior
import numpy
import torch
from distillation import feature_distance, mixed_loss
from torch import nn
from torch.nn import functional

MOST_STEPS = 32767      # of the codec, from a median
LEAST_LIKELIHOOD = 1e-9
TABLES = ("_quantized_cdf", "_offset", "_cdf_length")


class FactorisedPrior(nn.Module):
    """A cumulative function for each channel: layers of 1, 3, 3, 3, 3 and 1 values, monotone by construction."""

    def __init__(self, channels, filters=(3, 3, 3, 3), width=10.0, tail=1e-9):
        super().__init__()
        sizes, self.depth = (1, *filters, 1), len(filters) + 1
        scale = width ** (1 / self.depth)
        for k in range(self.depth):
            start = math.log(math.expm1(1 / scale / sizes[k + 1]))
            self.register_parameter(f"_matrix{k}", nn.Parameter(torch.full((channels, sizes[k + 1], sizes[k]), start)))
            self.register_parameter(f"_bias{k}", nn.Parameter(torch.rand(channels, sizes[k + 1], 1) - 0.5))
            if k + 1 < self.depth:
                self.register_parameter(f"_factor{k}", nn.Parameter(torch.zeros(channels, sizes[k + 1], 1)))
        self.quantiles = nn.Parameter(torch.tensor([-width, 0.0, width]).repeat(channels, 1, 1))
        self.end = math.log(2 / tail - 1)   # of a logit: half the tail is beyond it
        for name in TABLES:
            self.register_buffer(name, torch.zeros(0, dtype=torch.int32))

    def _load_from_state_dict(self, state, prefix, *rest):
        for name in TABLES:                 # as long as the prior that is loaded needs them
            if prefix + name in state:
                setattr(self, name, state[prefix + name].to(torch.int32).clone())
        super()._load_from_state_dict(state, prefix, *rest)

    def logits(self, x, frozen=False):
        """Of (channels, 1, n) values. `frozen`: its layers take no gradient."""
        for k in range(self.depth):
            parts = [getattr(self, f"_{word}{k}") for word in ("matrix", "bias", "factor") if hasattr(self, f"_{word}{k}")]
            matrix, bias, *factor = [p.detach() if frozen else p for p in parts]
            x = functional.softplus(matrix) @ x + bias
            if factor:
                x = x + torch.tanh(factor[0]) * torch.tanh(x)
        return x

    def medians(self, dimensions):
        return self.quantiles[:, 0, 1].detach().reshape(1, -1, *(1,) * (dimensions - 2))

    def forward(self, x):
        """(batch, channels, ...). While training, uniform noise of one step stands for rounding; else the nearest step from the median, whose gradient passes straight through."""
        if self.training:
            return x + torch.empty_like(x).uniform_(-0.5, 0.5)
        median = self.medians(x.dim())
        rounded = torch.clamp(torch.round(x.detach() - median), -MOST_STEPS, MOST_STEPS) + median
        return x + (rounded - x).detach() if x.requires_grad else rounded

    def likelihood(self, x):
        """The prior's mass within half a step of each value; in (batch, channels, ...) order."""
        values = x.transpose(0, 1).reshape(x.shape[1], 1, -1)
        lower, upper = self.logits(values - 0.5), self.logits(values + 0.5)
        sign = 1 - 2 * (lower + upper > 0).to(x.dtype)      # the side on which a sigmoid keeps its digits
        mass = (torch.sigmoid(sign * upper) - torch.sigmoid(sign * lower)).abs().clamp(min=LEAST_LIKELIHOOD)
        return mass.reshape(x.shape[1], x.shape[0], *x.shape[2:]).transpose(0, 1)

    def bits(self, x):
        """-log2 of the likelihoods, summed for each sample: what its payload takes, ideally."""
        return -torch.log2(self.likelihood(x)).flatten(1).sum(1)

    def quantile_loss(self):
        """Brings the quantiles to where their tails begin and the median to its place; the layers take no gradient of it."""
        target = torch.tensor([-self.end, 0.0, self.end], device=self.quantiles.device)
        return (self.logits(self.quantiles, frozen=True) - target).abs().sum()

    def update(self):
        """Computes the tables that coding reads from the layers as they are now."""
        state = {name: tensor.detach().cpu().numpy() for name, tensor in self.state_dict().items()}
        for name, table in entropy_prior.tables(state, "").items():
            setattr(self, name, torch.from_numpy(numpy.ascontiguousarray(table)).to(self.quantiles.device))


def rate_distortion(student, teacher, bits, beta):
    """Ladon's equation 1, mean over a batch: the squared differences' sums of one layer or a list of them, and beta times the rate in nats."""
    layers = ([student], [teacher]) if torch.is_tensor(student) else (student, teacher)
    return feature_distance(*layers) + beta * math.log(2) * bits.mean()


@contextlib.contextmanager
def frozen(*modules):
    """While it lasts, these modules are as deployed: no gradients, statistics that stay, rounding in place of noise. Raises RuntimeError if a value of theirs changed all the same."""
    before = [{n: t.detach().clone() for n, t in m.state_dict().items()} for m in modules]
    modes = [(part, part.training) for m in modules for part in m.modules()]
    wanted = [(p, p.requires_grad) for m in modules for p in m.parameters()]
    for m in modules:
        m.eval()
    for p, _ in wanted:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
        for p, needs in wanted:
            p.requires_grad_(needs)
    for m, state in zip(modules, before):
        changed = [n for n, t in m.state_dict().items() if not torch.equal(t, state[n])]
        if changed:
            raise RuntimeError("frozen weights changed: " + ", ".join(changed[:8]))


def stage1_step(encoder, prior, decoder, teacher, x, beta, optimiser, quantile_optimiser):
    """Encoder, prior and decoder learn the teacher's features under a rate; returns (loss, bits a sample)."""
    latent = prior(encoder(x))
    with torch.no_grad():
        wanted = teacher(x)
    bits = prior.bits(latent)
    loss = rate_distortion(decoder(latent), wanted, bits, beta)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    quantile_optimiser.zero_grad()
    prior.quantile_loss().backward()
    quantile_optimiser.step()
    return float(loss.detach()), float(bits.detach().mean())


def stage2_step(encoder, prior, behind, teacher, x, labels, optimiser, temperature=1.0, alpha=0.5):
    """Everything behind the frozen encoder and prior learns from labels and teacher. The encoder's bytes stay what devices in the field have."""
    with frozen(encoder, prior):
        with torch.no_grad():
            latent, wanted = prior(encoder(x)), teacher(x)
        loss = mixed_loss(behind(latent), wanted, labels, alpha, temperature)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return float(loss.detach())


def stage3_step(shared, head, loss_of, x, target, optimiser):
    """A new head learns over features that all tasks share and that stay as they are. `shared(x)`: the features; `loss_of(answer, target)`."""
    with frozen(shared):
        with torch.no_grad():
            features = shared(x)
        loss = loss_of(head(features), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return float(loss.detach())


def stage1_optimisers(parts, prior):
    """The published ones: Adam at 1e-3, a tenth of it from epoch 5 and again from 8; the quantiles have one of their own. Returns (optimiser, scheduler, quantile optimiser)."""
    quantiles = {id(prior.quantiles)}
    adam = torch.optim.Adam([p for part in (*parts, prior) for p in part.parameters() if id(p) not in quantiles], lr=1e-3)
    return adam, torch.optim.lr_scheduler.MultiStepLR(adam, [5, 8]), torch.optim.Adam([prior.quantiles], lr=1e-3)


def stage2_optimiser(parts):
    """SGD at 1e-3 for ten epochs, a tenth of it from epoch 5."""
    sgd = torch.optim.SGD([p for part in parts for p in part.parameters()], lr=1e-3)
    return sgd, torch.optim.lr_scheduler.MultiStepLR(sgd, [5])

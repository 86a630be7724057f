#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""The factorised prior's tables, losses and training stages, against values worked out by hand. Needs python3-torch."""
import math
import pathlib
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
sys.path.insert(0, str(ROOT / "tests" / "numeric"))
try:
    import numpy
    import torch
except ImportError as problem:
    print(f"SKIPPED: learned priors are trained with PyTorch (Debian: python3-torch): {problem}")
    sys.exit(0)
import entropy_prior  # noqa: E402
import export_weights  # noqa: E402
import prior_reference  # noqa: E402
from factorised_prior import FactorisedPrior, frozen, rate_distortion, stage1_optimisers, stage1_step, stage2_optimiser, stage2_step, stage3_step  # noqa: E402


def logistic_prior(medians, scales):
    """One layer: the cumulative function is the logistic one, so that masses are known."""
    prior = FactorisedPrior(len(medians), filters=())
    with torch.no_grad():
        prior._matrix0.copy_(torch.tensor([math.log(math.expm1(1 / s)) for s in scales])[:, None, None])
        prior._bias0.copy_(torch.tensor([-m / s for m, s in zip(medians, scales)])[:, None, None])
        prior.quantiles.copy_(torch.tensor([[[m - 10 * s, m, m + 10 * s]] for m, s in zip(medians, scales)]))
    return prior


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


class Tables(unittest.TestCase):
    def test_masses_become_a_rising_row_that_ends_at_65536(self):
        self.assertEqual(entropy_prior.cumulative([0.25, 0.5, 0.25]).tolist(), [0, 16384, 49152, 65536])
        # What has no mass takes one from the narrowest that has more than one.
        self.assertEqual(entropy_prior.cumulative([0.5, 0, 0.5 - 2 ** -12, 2 ** -12]).tolist(), [0, 32768, 32769, 65521, 65536])
        for wrong in ([], [0, 0], [-0.1, 1.1], [math.nan], [1e-9] * 70000):
            with self.assertRaises(entropy_prior.PriorError):
                entropy_prior.cumulative(numpy.array(wrong)) if wrong else entropy_prior.tables({"quantiles": numpy.zeros((1, 1, 3))}, "")

    def test_a_logistic_channel_has_the_rows_of_the_logistic_function(self):
        prior = logistic_prior([0.25, -3.0], [1.0, 0.125])
        prior.update()
        self.assertEqual(prior._offset.tolist(), [-10, -2])
        self.assertEqual(prior._cdf_length.tolist(), [23, 7])
        row = prior._quantized_cdf[0].tolist()
        masses = [sigmoid(k + 0.5) - sigmoid(k - 0.5) for k in range(-10, 11)]
        for k, mass in enumerate(masses):
            self.assertLess(abs(row[k + 1] - row[k] - 65536 * mass), 2.5)
        self.assertEqual(row[-1], 65536)
        self.assertEqual(prior._quantized_cdf[1].tolist()[7:], [0] * 16)

    def test_values_on_the_wire_take_what_the_likelihoods_say(self):
        torch.manual_seed(1)
        prior = logistic_prior([0.25, -3.0, 40.0], [1.0, 2.5, 9.0]).eval()
        prior.update()
        x = torch.stack([0.25 + torch.randn(900), -3 + 3 * torch.randn(900), 40 + 10 * torch.randn(900)])[None]
        rounded = prior(x)
        tables = prior_reference.Prior.of_state({n: t.detach().numpy() for n, t in prior.state_dict().items()}, "")
        payload = prior_reference.encode(tables, tables.steps(rounded[0].numpy()))
        self.assertTrue(numpy.array_equal(tables.values(prior_reference.decode(tables, payload, 900)), rounded[0].numpy()))
        self.assertLess(abs(8 * len(payload) / float(prior.bits(rounded)) - 1), 0.01)

    def test_layers_and_quantiles_that_do_not_fit_are_refused_by_name(self):
        state = {"codec.entropy_bottleneck." + n: t.detach().numpy() for n, t in FactorisedPrior(4).state_dict().items()}
        for name, value, part in (("quantiles", numpy.full((4, 1, 3), numpy.nan), "expected three finite numbers"), ("quantiles", numpy.zeros(4), "expected three finite numbers"),
                                  ("quantiles", numpy.tile([-1e30, 0, 1e30], (4, 1, 1)), "whole numbers in a channel"), ("_matrix0", numpy.full((4, 3, 1), numpy.inf), "another in layer 0"),
                                  ("_matrix1", numpy.zeros((4, 3, 2)), "another in layer 1"), ("_bias4", numpy.zeros(4), "another in layer 4"), ("_factor2", numpy.zeros((4, 2, 1)), "another in layer 2"),
                                  ("_matrix0", numpy.float32(1), "another in layer 0")):
            with self.assertRaisesRegex(entropy_prior.PriorError, part):
                entropy_prior.completed({**state, "codec.entropy_bottleneck." + name: value})

    def test_exporting_computes_tables_that_are_empty_and_keeps_others_as_integers(self):
        prior = logistic_prior([0.5], [1.0])
        state = {"codec.entropy_bottleneck." + n: t.detach().numpy() for n, t in prior.state_dict().items()}
        complete = entropy_prior.completed(state)
        prior.update()
        for name in ("_quantized_cdf", "_offset", "_cdf_length"):
            self.assertEqual(complete["codec.entropy_bottleneck." + name].tolist(), getattr(prior, name).tolist())
        complete["codec.entropy_bottleneck._offset"] = numpy.array([-3], numpy.int64)
        self.assertEqual(entropy_prior.completed(complete)["codec.entropy_bottleneck._offset"].tolist(), [-3])
        stored, wrong = export_weights.prepared(complete, True)
        self.assertEqual(wrong, [])
        self.assertEqual(stored["codec.entropy_bottleneck._quantized_cdf"].dtype, numpy.int32)
        self.assertEqual(stored["codec.entropy_bottleneck.quantiles"].dtype, numpy.float32)
        shapes = {"codec.entropy_bottleneck." + n: s for n, s in {"_cdf_length": (1,), "_offset": (1,), "quantiles": (1, 1, 3), "_quantized_cdf": (1, 16386)}.items()}
        lines, chosen = export_weights.differences(stored, shapes, [])
        self.assertEqual((lines, sorted(chosen)), ([], sorted(shapes)))


class Losses(unittest.TestCase):
    def test_likelihoods_of_a_logistic_channel(self):
        prior = logistic_prior([0.5, 2.0], [1.0, 0.5])
        x = torch.tensor([[[0.5, 3.5], [2.0, 60.0]]])
        want = [[sigmoid(0.5) - sigmoid(-0.5), sigmoid(3.5) - sigmoid(2.5)], [sigmoid(1) - sigmoid(-1), 1e-9]]
        torch.testing.assert_close(prior.likelihood(x)[0], torch.tensor(want), rtol=1e-5, atol=1e-12)
        torch.testing.assert_close(prior.bits(x), torch.tensor([-sum(math.log2(p) for row in want for p in row)]), rtol=1e-5, atol=0)

    def test_rate_distortion_is_the_sum_of_squares_and_beta_nats_a_bit(self):
        student, teacher = torch.tensor([[1.0, 2.0], [0.0, 4.0]]), torch.tensor([[0.0, 4.0], [0.0, 1.0]])
        bits = torch.tensor([10.0, 20.0])
        want = ((1 + 4) + (0 + 9)) / 2 + 0.32 * math.log(2) * 15
        self.assertAlmostEqual(float(rate_distortion(student, teacher, bits, 0.32)), want, places=5)
        both = rate_distortion([student, student], [teacher, student], bits, 0.32)
        self.assertAlmostEqual(float(both), want, places=5)

    def test_its_gradient_is_that_of_its_terms(self):
        prior = logistic_prior([0.0], [1.0])
        y = torch.tensor([[[0.75]]], requires_grad=True)
        rate_distortion(2 * y, torch.tensor([[[1.0]]]), prior.bits(y), 0.5).backward()
        mass = sigmoid(1.25) - sigmoid(0.25)
        slope = (sigmoid(1.25) * (1 - sigmoid(1.25)) - sigmoid(0.25) * (1 - sigmoid(0.25))) / mass
        self.assertAlmostEqual(float(y.grad), 2 * 2 * (1.5 - 1) - 0.5 * slope, places=5)

    def test_noise_while_training_and_rounding_with_a_gradient_of_one_otherwise(self):
        torch.manual_seed(2)
        prior = logistic_prior([0.25], [1.0]).train()
        x = torch.zeros(1, 1, 20000)
        noise = prior(x)
        self.assertLessEqual(float(noise.abs().max()), 0.5)
        self.assertAlmostEqual(float(noise.var()), 1 / 12, places=2)
        prior.eval()
        x = torch.tensor([[[0.75, 0.76, -0.26, 4e4]]], requires_grad=True)
        out = prior(x)
        self.assertEqual(out.tolist(), [[[0.25, 1.25, -0.75, 32767.25]]])
        out.sum().backward()
        self.assertEqual(x.grad.tolist(), [[[1, 1, 1, 1]]])

    def test_quantiles_find_their_tails(self):
        prior = logistic_prior([1.0], [2.0])
        end = 2 * math.log(2 / 1e-9 - 1)
        with torch.no_grad():
            prior.quantiles.copy_(torch.tensor([[[1 - end, 1.0, 1 + end]]]))
        self.assertLess(float(prior.quantile_loss()), 1e-3)
        with torch.no_grad():
            prior.quantiles += 2
        loss = prior.quantile_loss()
        self.assertAlmostEqual(float(loss), 3.0, places=3)
        loss.backward()
        self.assertIsNone(prior._matrix0.grad)


class Stages(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(3)
        self.encoder = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, 2, 1), torch.nn.BatchNorm2d(4))
        self.decoder = torch.nn.ConvTranspose2d(4, 5, 2, 2)
        self.teacher = torch.nn.Conv2d(3, 5, 1)
        self.prior, self.x = FactorisedPrior(4), torch.randn(8, 3, 8, 8)

    def bytes_of(self, *modules):
        return [t.detach().numpy().tobytes() for m in modules for t in m.state_dict().values()]

    def test_stage_1_brings_loss_and_rate_down_and_leaves_the_teacher(self):
        optimiser, schedule, quantiles = stage1_optimisers([self.encoder, self.decoder], self.prior)
        for group in optimiser.param_groups:
            self.assertEqual(group["lr"], 1e-3)
            group["lr"] = 2e-2  # a small problem in few steps
        before = self.bytes_of(self.teacher)
        seen = [stage1_step(self.encoder, self.prior, self.decoder, self.teacher, self.x, 0.32, optimiser, quantiles) for _ in range(60)]
        self.assertLess(seen[-1][0], 0.7 * seen[0][0])
        self.assertLess(seen[-1][1], seen[0][1])
        self.assertEqual(self.bytes_of(self.teacher), before)
        self.assertEqual(sorted(schedule.milestones), [5, 8])

    def test_stage_2_learns_behind_an_encoder_whose_bits_stay(self):
        behind = torch.nn.Sequential(self.decoder, torch.nn.Flatten(), torch.nn.LazyLinear(3))
        behind(torch.zeros(1, 4, 4, 4))
        optimiser, schedule = stage2_optimiser([behind, self.encoder, self.prior])  # even where the optimiser knows the frozen weights
        teacher, labels = (lambda x: torch.zeros(len(x), 3)), torch.arange(8) % 3
        before, moving = self.bytes_of(self.encoder, self.prior), self.bytes_of(behind)
        losses = [stage2_step(self.encoder, self.prior, behind, teacher, self.x, labels, optimiser) for _ in range(5)]
        self.assertEqual(self.bytes_of(self.encoder, self.prior), before)
        self.assertNotEqual(self.bytes_of(behind), moving)
        self.assertLess(losses[-1], losses[0])
        self.assertTrue(all(p.requires_grad for p in self.encoder.parameters()) and self.encoder.training)
        self.assertEqual(sorted(schedule.milestones), [5])

    def test_stage_3_trains_a_head_over_shared_features(self):
        head = torch.nn.Conv2d(4, 1, 1)
        optimiser = torch.optim.SGD(head.parameters(), lr=0.05)
        before = self.bytes_of(self.encoder)
        losses = [stage3_step(self.encoder, head, lambda a, t: (a - t).square().mean(), self.x, torch.ones(8, 1, 4, 4), optimiser) for _ in range(20)]
        self.assertLess(losses[-1], 0.8 * losses[0])
        self.assertEqual(self.bytes_of(self.encoder), before)

    def test_frozen_tells_when_something_changed_all_the_same(self):
        with self.assertRaisesRegex(RuntimeError, "frozen weights changed: 0.weight"):
            with frozen(self.encoder), torch.no_grad():
                self.encoder[0].weight += 1

    def test_tables_of_another_length_load(self):
        self.prior.update()
        other = FactorisedPrior(4)
        other.load_state_dict(self.prior.state_dict())
        self.assertEqual(other._quantized_cdf.tolist(), self.prior._quantized_cdf.tolist())


if __name__ == "__main__":
    unittest.main()

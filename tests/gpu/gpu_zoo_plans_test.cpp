// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file gpu_zoo_plans_test.cpp
/// NVIDIA's cuDNN, where it is installed, plans the zoo's networks for an H200 that is not there. Compiled by the full tests alone.
#include "deviceless.hpp"

#include <splitdsl/zoo/densenet.hpp>
#include <splitdsl/zoo/inception_v3.hpp>
#include <splitdsl/zoo/mobilenet_v3.hpp>
#include <splitdsl/zoo/resnet.hpp>

using namespace gpu_tests;
namespace cudnn = kernels::cudnn;

TEST_CASE("GPU: cuDNN itself runs every convolution of ResNet-50, DenseNet-169, Inception v3 and MobileNetV3-Large on an H200, with what follows it, and nothing is copied for it") {
    const auto real = deviceless_cudnn::load();
    if (!real) return;
    fake::now = {};
    {
        const cudnn::device on({fake::driver(), fake::compiler(), *real, ""}, options());
        const auto plans = [&](const char* name, const gpu::program& p, int hard_swishes) {
            for (const precision how : gpu::every_precision)
                for (const int images : {1, 8, 32}) {
                    const gpu::layers l(on, p, how, images);
                    const convolution_count n(p, l);
                    INFO(name << ", " << gpu::name_of(how) << ", " << images);
                    CHECK(n.unexpected == "");
                    CHECK(n.shifted == hard_swishes);
                    CHECK(n.ended + n.shifted == n.all);
                    CHECK(l.copied() == 0);
                    CHECK(l.workspace() <= std::size_t{256} << 20);
                }
        };
        using namespace zoo;
        plans("resnet50", gpu::program_of<resnet50<224, 224, 1000, no_cuts>>(), 0);
        plans("densenet169", gpu::program_of<densenet169<224, 224, 1000, no_cuts>>(), 0);
        plans("inception_v3", gpu::program_of<inception_v3<299, 299, 1000, false, no_cuts>>(), 0);
        plans("mobilenet_v3_large", gpu::program_of<mobilenet_v3_large<100, 224, 224, 1000, no_cuts>>(), 11);        // cuDNN has no hard swish
    }
    check_clean();
}

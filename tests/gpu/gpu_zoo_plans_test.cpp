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
        // Kernels are counted, and none runs: there is no memory behind the addresses.
        static int launched = 0;
        cudnn::driver_api driver = fake::driver();
        driver.launch = [](cudnn::handle, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, cudnn::handle, void**, void**) { return ++launched, 0; };
        fake::now.multiprocessors = 132;
        const cudnn::device on({driver, fake::compiler(), *real, ""}, options());
        const auto nodes = [&](const gpu::program& p, const gpu::layers& l) {
            const gpu::frame_addresses m{0x1000000, 0x2000000, 0x3000000, 0x4000000, 0x5000000, 0x6000000, std::vector<cudnn::device_address>(p.inputs.size(), 0x7000000)};
            const cudnn::device_stream stream{on};
            const gpu::recorder record{on, l, m, stream};
            launched = deviceless_cudnn::started = 0;
            for (std::size_t i = 0; i < p.steps.size(); ++i) record.start(i);
            return launched + deviceless_cudnn::started;
        };
        // `most_nodes`: kernels of a frame in 16 bits, without times.
        const auto plans = [&](const char* name, const gpu::program& p, int hard_swishes, int most_nodes, int lanes) {
            for (const precision how : gpu::every_precision)
                for (const int images : {1, 8, 32}) {
                    const gpu::layers l(on, p, how, images);
                    const convolution_count n(p, l);
                    INFO(name << ", " << gpu::name_of(how) << ", " << images);
                    CHECK(n.unexpected == "");
                    // Those of few pixels are in tiles, with their activation.
                    const bool is_short = how == precision::f16 || how == precision::bf16;
                    CHECK((is_short ? n.shifted <= hard_swishes : n.shifted == hard_swishes));
                    CHECK((is_short || n.in_tiles == 0));
                    CHECK(n.ended + n.shifted + n.in_tiles == n.all);
                    if (how == precision::f16 && images == 1) CHECK(nodes(p, l) <= most_nodes);
                    CHECK(l.lanes() == (images == 1 ? lanes : 1));
                    CHECK(l.copied() == 0);
                    CHECK(l.workspace() <= std::size_t{256} << 20);
                }
        };
        using namespace zoo;
        plans("resnet50", gpu::program_of<resnet50<224, 224, 1000, no_cuts>>(), 0, 57, 1);
        plans("densenet169", gpu::program_of<densenet169<224, 224, 1000, no_cuts>>(), 0, 176, 1);
        plans("inception_v3", gpu::program_of<inception_v3<299, 299, 1000, false, no_cuts>>(), 0, 110, 4);
        plans("mobilenet_v3_large", gpu::program_of<mobilenet_v3_large<100, 224, 224, 1000, no_cuts>>(), 11, 72, 1);     // cuDNN has no hard swish
    }
    check_clean();
}

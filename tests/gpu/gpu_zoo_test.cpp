// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file gpu_zoo_test.cpp
/// Networks of the zoo on the made-up device against the reference kernels, on small pictures. Compiled by the full tests alone.
#include "described_host.hpp"
#include "subjects.hpp"

#include <splitdsl/zoo/bottlefit.hpp>
#include <splitdsl/zoo/cifar_resnet.hpp>
#include <splitdsl/zoo/deeplab.hpp>
#include <splitdsl/zoo/densenet.hpp>
#include <splitdsl/zoo/entropic_student.hpp>
#include <splitdsl/zoo/inception_v3.hpp>
#include <splitdsl/zoo/inception_v4.hpp>
#include <splitdsl/zoo/keyword_spotting.hpp>
#include <splitdsl/zoo/lraspp.hpp>
#include <splitdsl/zoo/mnasnet.hpp>
#include <splitdsl/zoo/mobilenet_v2.hpp>
#include <splitdsl/zoo/mobilenet_v3.hpp>
#include <splitdsl/zoo/resnest.hpp>
#include <splitdsl/zoo/resnet.hpp>
#include <splitdsl/zoo/squeezenet.hpp>

using namespace gpu_tests;

namespace {

/// In 32 bits with our own kernels and with cuDNN's convolutions, and in 16 bits. `has_codec`: a value on the edge between two levels may fall to either side.
template <class Network>
void agrees(const char* name, bool has_codec = false) {
    INFO(name);
    const graph::description d = graph::description_of<Network>();
    const gpu::program p = gpu::program_of<Network>();
    const described_host host(d, p);
    const auto weights = random_weights(d, 1);
    const frame f(d, host.net, 1);
    const std::vector<float> wanted = run_reference(d, weights, f.named);
    REQUIRE(wanted.size() == p.output_floats);
    for (const bool has_cudnn : {false, true})
        for (const precision how : {precision::f32, precision::f16}) {
            if (how == precision::f16 && !has_cudnn) continue;
            fake::now = {};
            {
                const kernels::cudnn::device on(has_cudnn ? with_cudnn() : without_cudnn(), options());
                const gpu::gpu_engine engine(on, p, host.net, {.precision = how});
                const loaded n(d, engine.net_here());
                const double error = error_of(host.net, wanted, n.whole(f));
                const double limit = how == precision::f32 ? 1e-4 : 1e-2;
                INFO("cuDNN " << has_cudnn << ", " << gpu::name_of(how));
                CHECK(error <= (has_codec ? 2e-2 : limit));
                if (std::getenv("SPLITDSL_SHOW")) std::printf("%-24s cuDNN %d %s %.2g\n", name, has_cudnn, gpu::name_of(how), error);
                CHECK(engine.counters().on_cpu == 0);
                CHECK(engine.counters().reason == "");
            }
            check_clean();
        }
}

} // namespace

TEST_CASE("GPU: networks of the zoo agree with the reference, in 32 bits and in 16") {
    using namespace zoo;
    agrees<resnet50<64, 64, 10, no_cuts>>("resnet50");
    agrees<densenet169<64, 64, 10, no_cuts>>("densenet169");
    agrees<mobilenet_v3_large<100, 64, 64, 10, no_cuts>>("mobilenet_v3_large");
    agrees<inception_v3<97, 131, 10, false, no_cuts>>("inception_v3");
    agrees<inception_v4<97, 131, 10, no_cuts>>("inception_v4");
    agrees<squeezenet1_1<64, 64, 10, no_cuts>>("squeezenet1_1");
    agrees<mobilenet_v2<100, 64, 64, 10, no_cuts>>("mobilenet_v2");
    agrees<mnasnet<50, 64, 64, 10, no_cuts>>("mnasnet0_5");
    agrees<resnest14d<64, 64, 10, no_cuts>>("resnest14d");
    agrees<cifar_resnet20<32, 32, 10, no_cuts>>("cifar_resnet20");
    agrees<cnn_trad_fpool3<99, 40, 12, no_cuts>>("cnn_trad_fpool3");
    agrees<lraspp_mobilenet_v3_large<64, 64, 21, no_cuts>>("lraspp_mobilenet_v3_large");
    agrees<deeplabv3_mobilenet_v3_large<64, 64, 21, no_cuts>>("deeplabv3_mobilenet_v3_large");
    agrees<bottlefit_resnet34<bottleneck_choice{3, 1, codec_id::affine8}, 64, 64, 10>>("bottlefit_resnet34", true);
    agrees<entropic_student_resnet50<64, 64, 10>>("entropic_student_resnet50", true);
}

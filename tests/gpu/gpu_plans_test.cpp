// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file gpu_plans_test.cpp
/// How convolutions are planned: NVIDIA's cuDNN, where it is installed, takes the graphs that we make for it; and a plan is made in its device's context.
#include "deviceless.hpp"

#include <thread>

using namespace gpu_tests;
namespace cudnn = kernels::cudnn;

TEST_CASE("GPU: cuDNN itself has quick plans for an H200 for every convolution of the test networks, alone and in batches, in slices too") {
    const auto real = deviceless_cudnn::load();
    if (!real) return;
    fake::now = {};
    {
        const cudnn::device on({fake::driver(), fake::compiler(), *real, ""}, options()), made_up(with_cudnn(), options());
        int convolutions = 0;
        deviceless_cudnn::started = 0;
        for (const bool whole : {false, true})
            for (const subject& s : whole ? shapes_here() : words_here())
                for (const precision how : gpu::every_precision)
                    for (const int images : {1, 4}) {
                        const gpu::layers l(on, s.program, how, images);
                        const convolution_count n(s.program, l);
                        INFO(s.host.network << ", " << gpu::name_of(how) << ", " << images);
                        CHECK(n.unexpected == "");
                        CHECK(l.copied() == gpu::layers(made_up, s.program, how, images).copied());
                        // What a run hands over is taken too; nothing runs.
                        for (std::size_t i = 0; i < s.program.steps.size(); ++i)
                            if (l.at(i).way.plan) {
                                ++convolutions;
                                CHECK(l.at(i).way.plan->run(on.network_handle(), {0x1000, 0x2000, 0x3000, 0x4000, 0x5000, l.workspace() > 0 ? 0x6000U : 0U}) == 0);
                            }
                    }
        CHECK(convolutions > 300);
        CHECK(deviceless_cudnn::started == convolutions);
    }
    check_clean();
}

TEST_CASE("GPU: a device plans in its own context, on whichever thread and whatever device was opened last") {
    const subject s = small_shapes().front();
    fake::now = {};
    fake::now.devices = 2;
    {
        cudnn::device_options second = options();
        second.ordinal = 1;
        const cudnn::device first(with_cudnn(), options()), other(with_cudnn(), second);
        const gpu::layers here(first, s.program, precision::f16);
        CHECK(here.planned() == here.convolutions());
        std::thread([&] { CHECK(gpu::layers(other, s.program, precision::f32).planned() == here.planned()); }).join();
    }
    check_clean();
}

TEST_CASE("GPU: a convolution's plans come in the order of cuDNN's heuristics, with those that someone has already among them") {
    fake::now = {};
    {
        const cudnn::device on(with_cudnn(), options());
        cudnn::convolution_shape s{.in_channels = 8, .in_height = 4, .in_width = 4, .out_channels = 16, .out_height = 4, .out_width = 4, .in_pixel = 8, .out_pixel = 16, .addend_pixel = 16};
        const auto first = on.plans_for(s), all = on.plans_for(s, 12);
        REQUIRE(first.size() == 1);
        REQUIRE(all.size() == 2);
        CHECK(all[0] == first[0]);
        CHECK(all[0]->workspace() < all[1]->workspace());
        const int before = fake::now.descriptors;
        CHECK(on.plans_for(s) == first);
        CHECK(on.plans_for(s, 2) == all);
        CHECK(fake::now.descriptors == before);         // nobody was asked again
        s.images = 2;
        CHECK(on.plans_for(s, 12).front() != first[0]);
        fake::now.takes_any = false;
        s.images = 3;
        CHECK(on.plans_for(s, 12).empty());
    }
    check_clean();
}

TEST_CASE("GPU: engines that round otherwise than the precision says are left out") {
    namespace dnn = cudnn::dnn;
    struct row {
        precision how;
        int note;
        bool is_taken;
    };
    for (const row& r : {row{precision::f32, dnn::note_tensor_core, false}, row{precision::f32, dnn::note_short_inputs, false}, row{precision::f32, dnn::note_short_sums, false}, row{precision::f32, 5, true},
                         row{precision::tf32, dnn::note_tensor_core, true}, row{precision::tf32, dnn::note_short_inputs, false}, row{precision::tf32, dnn::note_short_sums, false},
                         row{precision::f16, dnn::note_tensor_core, true}, row{precision::f16, dnn::note_short_inputs, true}, row{precision::f16, dnn::note_short_sums, false}}) {
        fake::now = {};
        fake::now.first_note = r.note;
        {
            const cudnn::device on(with_cudnn(), options());
            const gpu::layers l(on, small_shapes().front().program, r.how);
            INFO(gpu::name_of(r.how) << ", " << r.note);
            CHECK(l.planned() == l.convolutions());
            CHECK(fake::now.engine == (r.is_taken ? 0 : 1));
        }
        check_clean();
    }
}

TEST_CASE("GPU: an engine that would be compiled for each layer is taken only where there is no other") {
    for (const int compiled : {0, 1, 2}) {
        fake::now = {};
        fake::now.compiled_first = compiled;
        {
            const cudnn::device on(with_cudnn(), options());
            const gpu::layers l(on, small_shapes().front().program, precision::f16);
            INFO(compiled << " of two");
            CHECK(l.planned() == l.convolutions());
            CHECK(fake::now.engine == compiled % 2);
        }
        check_clean();
    }
}

TEST_CASE("GPU: cuDNN is asked for no activation that it would have to compile") {
    using graph::activation_kind;
    for (const activation_kind a : {activation_kind::none, activation_kind::relu, activation_kind::leaky_relu}) CHECK(cudnn::fuses(static_cast<int>(a)));
    for (const activation_kind a : {activation_kind::relu6, activation_kind::hard_swish, activation_kind::hard_sigmoid, activation_kind::sigmoid, activation_kind::tanh}) CHECK(!cudnn::fuses(static_cast<int>(a)));
}

// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file gpu_zoo_detect_test.cpp
/// Detectors of the zoo on the made-up device, from the picture to boxes, with nothing but candidates and regions coming back. Compiled by the full tests alone.
#include "described_host.hpp"
#include "subjects.hpp"

#include <splitdsl/gpu/candidate_finding.hpp>
#include <splitdsl/gpu/region_sampling.hpp>
#include <splitdsl/zoo/faster_rcnn.hpp>
#include <splitdsl/zoo/ssdlite.hpp>

using namespace gpu_tests;

namespace {

bool same(std::span<const detect::detection> a, std::span<const detect::detection> b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const detect::detection& x, const detect::detection& y) { return x.where == y.where && x.score == y.score && x.label == y.label; });
}

/// A network with a random frame on the device.
template <class Network>
struct network_there {
    graph::description d{graph::description_of<Network>()};
    described_host host{d, gpu::program_of<Network>()};
    gpu::gpu_engine engine;
    const pipeline& p{engine.net_here()};
    loaded weights{d, p};
    frame picture{d, host.net, 1};
    side here{p, weights.packed, 0};

    /// `predicts`: weights of the layers so called are made `by` as large, for random ones move boxes out of the picture.
    explicit network_there(const kernels::cudnn::device& on, std::string_view predicts = "", float by = 1) : engine{on, gpu::program_of<Network>(), host.net, {.precision = precision::f32, .outputs_stay = true}} {
        std::vector<const float*> pointers;
        for (const parameter& q : graph::list_parameters(d)) {
            if (q.name.find(predicts) != std::string::npos)
                for (float& x : weights.weights[q.name]) x *= by;
            pointers.push_back(weights.weights[q.name].data());
        }
        p.pack(pointers.data(), weights.packed.data());
        here.memory.inputs = picture.pointers.data();
    }
    const float* run() {
        REQUIRE(p.run(here.memory, 0, p.stages, nullptr));
        CHECK_FALSE(here.wrote(0));
        return here.outputs.data();
    }
    /// What stayed on the device so far.
    const float* fetched() {
        engine.fetch_outputs(here.memory.arena);
        return here.outputs.data();
    }
};

} // namespace

TEST_CASE("GPU: a single-shot detector of the zoo finds on the device what the processor finds in its outputs") {
    fake::now = {};
    {
        const kernels::cudnn::device on(with_cudnn(), options());
        network_there<zoo::ssdlite320_mobilenet_v3_large<91, zoo::no_cuts>> network(on);
        zoo::ssd_postprocess find = zoo::ssdlite320_postprocess(), wanted = zoo::ssdlite320_postprocess();
        gpu::candidate_finding finder(network.engine, network.here.memory.arena, find.shot.plan());
        const auto found = find(network.run(), &finder);
        CHECK(found.size() == 300);
        CHECK_FALSE(network.here.wrote(0));
        CHECK(same(found, wanted(network.fetched())));
        CHECK(error_of(network.host.net, network.weights.reference(network.picture), network.here.outputs) <= 1e-4);
        CHECK(network.engine.counters().on_cpu == 0);
    }
    check_clean();
}

TEST_CASE("GPU: a two-stage detector of the zoo proposes, samples and classifies on the device as the processor does") {
    fake::now = {};
    {
        constexpr int height = 64, width = 96, regions = 30;
        const kernels::cudnn::device on(with_cudnn(), options());
        network_there<zoo::faster_rcnn_resnet50_fpn<height, width, zoo::no_cuts>> first(on, "bbox_pred", 1e-6F);
        network_there<zoo::faster_rcnn_regions<regions>> second(on, "bbox_pred", 1e-6F);
        zoo::faster_rcnn_postprocess post(height, width, regions), wanted(height, width, regions);
        gpu::candidate_finding proposing(first.engine, first.here.memory.arena, post.proposal_plan()), classifying(second.engine, second.here.memory.arena, post.detection_plan());
        gpu::region_sampling sampling(first.engine, first.here.memory.arena, {.regions = regions}, {&second.engine, second.here.memory.arena});
        std::vector<float> columns(second.p.inputs[0].bytes / sizeof(float)), there = columns;
        const void* const input = columns.data();
        second.here.memory.inputs = &input;

        const auto proposals = post.regions(first.run(), columns.data(), &sampling, &proposing);
        CHECK(proposals.size() > 10);
        CHECK_FALSE(first.here.wrote(0));
        const auto found = post.detections(second.run(), &classifying);
        CHECK_FALSE(second.here.wrote(0));

        // The second network's arena is open now: the samples of the same frame go straight into it.
        const std::vector<detect::detection> before{found.begin(), found.end()};
        const std::vector<float> sampled = columns;
        std::fill(columns.begin(), columns.end(), 7.0F);
        CHECK(post.regions(first.here.outputs.data(), columns.data(), &sampling, &proposing).size() == proposals.size());
        CHECK(std::all_of(columns.begin(), columns.end(), [](float x) { return x == 7.0F; }));
        CHECK(same(post.detections(second.run(), &classifying), before));

        const auto same_regions = wanted.regions(first.fetched(), there.data());
        CHECK(std::equal(proposals.begin(), proposals.end(), same_regions.begin(), same_regions.end()));
        double most = 0, worst = 0;
        for (std::size_t i = 0; i < there.size(); ++i) {
            most = std::max(most, std::abs(static_cast<double>(there[i])));
            worst = std::max(worst, std::abs(static_cast<double>(there[i]) - static_cast<double>(sampled[i])));
        }
        CHECK(worst <= 1e-5 * most);
        CHECK(!before.empty());
        CHECK(same(before, wanted.detections(second.fetched())));
        CHECK(error_of(first.host.net, first.weights.reference(first.picture), first.here.outputs) <= 1e-4);
        CHECK(first.engine.counters().on_cpu + second.engine.counters().on_cpu == 0);
    }
    check_clean();
}

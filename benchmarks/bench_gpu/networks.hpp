// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file networks.hpp
/// What bench_gpu times: networks without candidate cuts, as peers have none, and split networks whose tails a GPU runs.
#pragma once

#include <splitdsl/gpu/program.hpp>
#include <splitdsl/runtime/parameters.hpp>
#include <splitdsl/runtime/pipeline.hpp>

// X(name, header, network...), networks of the zoo or int8 of one; the build reads this list and writes a source for each line.
#define SPLITDSL_ON_GPU_FEW(X)                                                                                           \
    X(resnet50, splitdsl/zoo/resnet.hpp, resnet50<224, 224, 1000, splitdsl::zoo::no_cuts>)                               \
    X(densenet169, splitdsl/zoo/densenet.hpp, densenet169<224, 224, 1000, splitdsl::zoo::no_cuts>)                       \
    X(mobilenet_v3_large, splitdsl/zoo/mobilenet_v3.hpp, mobilenet_v3_large<100, 224, 224, 1000, splitdsl::zoo::no_cuts>) \
    X(inception_v3, splitdsl/zoo/inception_v3.hpp, inception_v3<299, 299, 1000, false, splitdsl::zoo::no_cuts>)          \
    X(bottlefit_resnet152, splitdsl/zoo/bottlefit.hpp, bottlefit_resnet152<splitdsl::zoo::bottleneck_choice{3, 1, splitdsl::codec_id::affine8}>)

// Compiled only with -DSPLITDSL_ZOO_ALL=ON, as tools/gpu_check.sh does.
#define SPLITDSL_ON_GPU_MORE(X) \
    X(sage_resnet34, benchmarks/bench_gpu/sage.hpp, imitation<splitdsl::zoo::bottlefit_resnet34<splitdsl::zoo::bottleneck_choice{3, 1, splitdsl::codec_id::affine8}, 88, 200, 512>>) \
    X(mobilenet_v2_int8, splitdsl/zoo/mobilenet_v2.hpp, mobilenet_v2_int8<100, 224, 224, 1000, splitdsl::zoo::no_cuts>)                                                             \
    X(resnet50_int8, splitdsl/zoo/resnet.hpp, int8<splitdsl::zoo::resnet50<224, 224, 1000, splitdsl::zoo::no_cuts>>)

#if defined(SPLITDSL_ZOO_ALL)
#define SPLITDSL_ON_GPU(X) SPLITDSL_ON_GPU_FEW(X) SPLITDSL_ON_GPU_MORE(X)
#else
#define SPLITDSL_ON_GPU(X) SPLITDSL_ON_GPU_FEW(X)
#endif

namespace on_gpu {

struct network {
    const char* name{};
    splitdsl::gpu::program (*program)(){};
    const splitdsl::pipeline& (*host)(){};
    std::vector<splitdsl::parameter> (*parameters)(){};
};
template <class Network>
network entry();

#define SPLITDSL_ON_GPU_ROW(name, header, ...) \
    struct name;                               \
    template <>                                \
    network entry<name>();
SPLITDSL_ON_GPU(SPLITDSL_ON_GPU_ROW)
#undef SPLITDSL_ON_GPU_ROW

} // namespace on_gpu

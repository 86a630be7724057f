// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file compared.hpp
/// What bench_peers.py compares beside the zoo's list: networks without candidate cuts, as peers have none, and heads of split networks alone.
///
/// The build reads the list below and writes a source for each line; so bench_zoo has them whatever the zoo was compiled with.
#pragma once

#include <examples/zoo/network.hpp>

// X(name, header, network...)
#define SPLITDSL_COMPARED(X)                                                                                                      \
    X(resnet18_no_cuts, splitdsl/zoo/resnet.hpp, resnet18<224, 224, 1000, splitdsl::zoo::no_cuts>)                                \
    X(resnet34_no_cuts, splitdsl/zoo/resnet.hpp, resnet34<224, 224, 1000, splitdsl::zoo::no_cuts>)                                \
    X(resnet18_direct, benchmarks/bench_zoo/heads.hpp, direct<splitdsl::zoo::resnet18<224, 224, 1000, splitdsl::zoo::no_cuts>>)   \
    X(resnet34_direct, benchmarks/bench_zoo/heads.hpp, direct<splitdsl::zoo::resnet34<224, 224, 1000, splitdsl::zoo::no_cuts>>)   \
    X(resnet50_no_cuts, splitdsl/zoo/resnet.hpp, resnet50<224, 224, 1000, splitdsl::zoo::no_cuts>)                                \
    X(densenet169_no_cuts, splitdsl/zoo/densenet.hpp, densenet169<224, 224, 1000, splitdsl::zoo::no_cuts>)                        \
    X(mobilenet_v2_no_cuts, splitdsl/zoo/mobilenet_v2.hpp, mobilenet_v2<100, 224, 224, 1000, splitdsl::zoo::no_cuts>)             \
    X(mobilenet_v2_int8_no_cuts, splitdsl/zoo/mobilenet_v2.hpp, mobilenet_v2_int8<100, 224, 224, 1000, splitdsl::zoo::no_cuts>)   \
    X(mobilenet_v3_large_no_cuts, splitdsl/zoo/mobilenet_v3.hpp, mobilenet_v3_large<100, 224, 224, 1000, splitdsl::zoo::no_cuts>) \
    X(mobilenet_v3_large_int8_no_cuts, splitdsl/zoo/mobilenet_v3.hpp, mobilenet_v3_large_int8<100, 224, 224, 1000, splitdsl::zoo::no_cuts>) \
    X(inception_v3_no_cuts, splitdsl/zoo/inception_v3.hpp, inception_v3<299, 299, 1000, false, splitdsl::zoo::no_cuts>)           \
    X(sage_carlanet_head_88x200, benchmarks/bench_zoo/heads.hpp, sage_head<88, 200>)                                              \
    X(sage_resnet34_head_88x200, benchmarks/bench_zoo/heads.hpp, bottlefit_head<3, 1, 88, 200>)                                   \
    X(bottlefit_head_224x224, benchmarks/bench_zoo/heads.hpp, bottlefit_head<3, 1, 224, 224>)                                     \
    X(bottlefit_sp2_head_224x224, benchmarks/bench_zoo/heads.hpp, bottlefit_head<9, 2, 224, 224>)                                 \
    X(sage_resnet34_head_720x1280, benchmarks/bench_zoo/heads.hpp, bottlefit_head<3, 1, 720, 1280>)

namespace zoo_networks {
#define SPLITDSL_COMPARED_ROW(name, header, ...) \
    struct name;                                 \
    template <>                                  \
    const network& entry<name>();
SPLITDSL_COMPARED(SPLITDSL_COMPARED_ROW)
#undef SPLITDSL_COMPARED_ROW
} // namespace zoo_networks

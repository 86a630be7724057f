// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file odd_networks.hpp
/// Six networks of the zoo at 97x131: sizes that no stride divides.
#pragma once

#include <examples/zoo/network.hpp>
#include <splitdsl/zoo/densenet.hpp>
#include <splitdsl/zoo/inception_v3.hpp>
#include <splitdsl/zoo/mobilenet_v2.hpp>
#include <splitdsl/zoo/mobilenet_v3.hpp>
#include <splitdsl/zoo/resnet.hpp>
#include <splitdsl/zoo/squeezenet.hpp>

#define SPLITDSL_ODD_NETWORKS(X)                                               \
    X(resnet50_odd, resnet50<97, 131>)                                         \
    X(densenet169_odd, densenet169<97, 131>)                                   \
    X(squeezenet1_1_odd, squeezenet1_1<97, 131>)                               \
    X(mobilenet_v2_tf_odd, mobilenet_v2_tf<100, 97, 131>)                      \
    X(mobilenet_v3_large_odd, mobilenet_v3_large<100, 97, 131>)                \
    X(inception_v3_odd, inception_v3<97, 131>)

namespace zoo_networks {
#define SPLITDSL_ODD(name, ...) struct name : splitdsl::zoo::__VA_ARGS__ {};
SPLITDSL_ODD_NETWORKS(SPLITDSL_ODD)
#undef SPLITDSL_ODD

std::span<const network* const> odd_sizes();
} // namespace zoo_networks

#define SPLITDSL_ODD(name, ...) SPLITDSL_DISPATCHED(zoo_networks::name)
SPLITDSL_ODD_NETWORKS(SPLITDSL_ODD)
#undef SPLITDSL_ODD

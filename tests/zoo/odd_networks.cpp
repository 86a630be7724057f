// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// The code of the networks at 97x131, and their rows; in one file, as they share their kernels.
#include "odd_networks.hpp"

#include <splitdsl/runtime/define_pipeline.hpp>

#define SPLITDSL_ODD(name, ...) SPLITDSL_DEFINE_PIPELINE(zoo_networks::name)
SPLITDSL_ODD_NETWORKS(SPLITDSL_ODD)
#undef SPLITDSL_ODD

#if defined(SPLITDSL_PIPELINE_DISPATCHER)
#include <examples/zoo/entry.hpp>

std::span<const zoo_networks::network* const> zoo_networks::odd_sizes() {
#define SPLITDSL_ODD(name, ...) make_entry<name>(#name, labels::none, 0),
    static const network rows[]{SPLITDSL_ODD_NETWORKS(SPLITDSL_ODD)};
#undef SPLITDSL_ODD
    static const auto pointers = [] {
        std::array<const network*, std::size(rows)> all{};
        for (std::size_t i = 0; i < all.size(); ++i) all[i] = &rows[i];
        return all;
    }();
    return pointers;
}
#endif

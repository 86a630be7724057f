// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file networks.cpp
/// The list of networks as rows.
#include <examples/zoo/networks.hpp>

namespace zoo_networks {

#define SPLITDSL_ZOO_ROW(name, ...) \
    struct name;                    \
    template <>                     \
    const network& entry<name>();
SPLITDSL_ZOO_NETWORKS(SPLITDSL_ZOO_ROW)
#undef SPLITDSL_ZOO_ROW

std::span<const network* const> all() {
#define SPLITDSL_ZOO_ROW(name, ...) &entry<name>(),
    static const network* const rows[]{SPLITDSL_ZOO_NETWORKS(SPLITDSL_ZOO_ROW)};
#undef SPLITDSL_ZOO_ROW
    return rows;
}

const network* find(std::string_view name) {
    for (const network* n : all())
        if (n->name == name) return n;
    return nullptr;
}

} // namespace zoo_networks

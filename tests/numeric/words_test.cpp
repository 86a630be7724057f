// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file words_test.cpp
/// Every word of the language in a network of its own, at odd sizes, on every instruction set that runs here.
#include "../catch.hpp"
#include "case_runner.hpp"
#include "compiled_networks.hpp"

#include <set>

namespace {
using namespace numeric;

/// Calls `body(description, pipeline)` for every word on every set that runs here.
template <class Body>
void for_every_word(Body body) {
    const auto described = word_descriptions();
    bool ran = false;
    for (const compiled_row& row : word_rows()) {
        if (!runs_here(row.set)) continue;
        REQUIRE(row.count == described.size());
        for (std::size_t i = 0; i < row.count; ++i) body(described[i], *row.first[i]);
        ran = true;
    }
    REQUIRE(ran);
}
} // namespace

TEST_CASE("the test networks hold every word of the language") {
    std::set<op_kind> seen;
    for (const auto list : {word_descriptions(), shape_descriptions()})
        for (const graph::description& d : list)
            for (const op& o : d.ops) seen.insert(o.kind);
    for (int k = 0; k < op_kinds; ++k) {
        INFO(std::string(graph::word_of(static_cast<op_kind>(k))));
        CHECK(seen.count(static_cast<op_kind>(k)) == 1);
    }
}

TEST_CASE("every word is within 1e-5 of its output's range of the reference") {
    for_every_word([](const graph::description& d, const pipeline& p) {
        const loaded n(d, p);
        for (unsigned seed = 1; seed <= 2; ++seed) {
            const frame f(d, p, seed);
            INFO(p.network << ", " << p.instruction_set << ", frame " << seed);
            CHECK(error_of(p, n.reference(f), n.whole(f)) <= (n.has_codec() ? codec_tolerance : tolerance));
        }
    });
}

TEST_CASE("every word's network gives the same bits cut in two as in one piece") {
    int cuts = 0;
    for_every_word([&](const graph::description& d, const pipeline& p) {
        const loaded n(d, p);
        const frame f(d, p, 3);
        const auto unsplit = n.whole(f);
        for (std::size_t c = 0; c < p.cuts.size(); ++c, ++cuts) CHECK(split_fault(n, f, static_cast<int>(c), unsplit) == "");
    });
    CHECK(cuts > 0);
}

TEST_CASE("no word's result depends on how its tasks are spread over threads, or on the frames it is run with") {
    for_every_word([](const graph::description& d, const pipeline& p) {
        const loaded n(d, p);
        const frame f(d, p, 4);
        CHECK(runner_fault(n, f, n.whole(f)) == "");
        CHECK(batch_fault(n) == "");
    });
}

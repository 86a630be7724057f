// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file held_answer.hpp
/// What an edge's caller is given: a frame's own values, or those of the answer before with their age.
#pragma once

#include <splitdsl/runtime/answer.hpp>
#include <splitdsl/units.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace splitdsl::detail {

/// Caller's thread.
class held_answer {
public:
    /// `preset` is what is given before there is any answer: as many values as it has, zeros behind them.
    held_answer(std::size_t output_floats, std::span<const float> preset) : values(output_floats), floats{output_floats} {
        std::copy_n(preset.begin(), std::min(preset.size(), values.size()), values.begin());
    }

    /// Copies the frame's own values into `a`, and holds them from here on.
    void renew(answer& a, std::span<const float> own, instant submitted, instant answered) noexcept {
        std::copy(own.begin(), own.end(), values.begin());
        floats = own.size();
        ever = true;
        from = submitted;
        give(a, own, answered);
    }
    /// Copies what is held into `a`, whose source becomes `preset` if nothing was ever answered.
    void repeat(answer& a, instant submitted, instant answered) noexcept {
        if (!ever) {
            a.source = answer_source::preset;
            from = submitted;
        }
        give(a, std::span{values}.first(floats), answered);
    }
    /// Of the values given last.
    std::size_t copied() const noexcept { return given; }

private:
    void give(answer& a, std::span<const float> what, instant answered) noexcept {
        given = std::min(what.size(), a.values.size());
        std::copy_n(what.begin(), given, a.values.begin());
        a.age = answered - from;
    }
    std::vector<float> values;
    std::size_t floats, given{};
    instant from{}; // when the frame they are of was submitted
    bool ever{};
};

} // namespace splitdsl::detail

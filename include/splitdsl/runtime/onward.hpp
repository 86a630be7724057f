// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file onward.hpp
/// What a cloud asks of whoever finishes its requests in its stead: a tier that may ask the next one (runtime/middle_core.hpp).
#pragma once

#include <splitdsl/runtime/pipeline.hpp>
#include <splitdsl/units.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

namespace splitdsl {

/// A request whose payload lies in the frame's memory already.
struct onward_request {
    int cut{};                            ///< it came in behind; -1: the whole input
    int codec{};                          ///< in which it came
    std::span<const std::byte> payload{}; ///< as it came
    instant due{};                        ///< when its answer should leave: behind that whoever asked begins an answer of its own
};

/// What came of it.
struct onward_end {
    enum class kind : std::uint8_t { unanswered, answered, failed };
    kind what{};
    int tier{};   ///< which one answered: 0 this one, 1 the one behind it ...
    bool alone{}; ///< every stage ran here and nothing was sent: the time is that of computing
};

/// Called on connections' threads; of one place, by one at a time.
class onward_hooks {
public:
    /// Runs the stages behind the request's cut, here or elsewhere; the values are then in `memory.outputs`.
    virtual onward_end finish(int place, const onward_request& r, const frame_memory& memory) = 0;
    /// No answer comes from elsewhere in less time.
    virtual duration least_elsewhere(int place) const = 0;

protected:
    ~onward_hooks() = default;
};

} // namespace splitdsl

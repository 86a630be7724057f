// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file link_watch.hpp
/// Tells a frame machine what became of its link since it was last told.
#pragma once

#include <splitdsl/runtime/frame_machine.hpp>
#include <splitdsl/runtime/session_setup.hpp>

namespace splitdsl::detail {

/// Whoever drives the machine keeps one.
class link_watch {
public:
    /// A link that went and came back between two looks was down in between: a frame that waited for its old connection waits no longer.
    template <class Machine, class View>
    command news(link_status found, Machine& machine, instant now, View&& view) {
        if (found == known) return {};
        const bool was_up = known.up;
        known = found;
        command c{};
        if (was_up) c = machine.link_changed(false, now, view());
        if (found.up) {
            const command d = machine.link_changed(true, now, view());
            if (c.what == command::kind::nothing) c = d;
        }
        return c;
    }

private:
    link_status known{};
};

} // namespace splitdsl::detail

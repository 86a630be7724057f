// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file squeezenet1_1.cpp
/// What calibration runs of zoo::squeezenet1_1: its tensors in f32, and as bytes. Cuts make no difference to them.
#include <splitdsl/runtime/define_pipeline.hpp>
#include <splitdsl/zoo/squeezenet.hpp>

namespace calibration::networks {
struct squeezenet1_1 : splitdsl::zoo::squeezenet1_1<224, 224, 1000, splitdsl::zoo::no_cuts> {};
struct squeezenet1_1_bytes : splitdsl::int8<squeezenet1_1> {};
using squeezenet1_1_in_floats = splitdsl::observed<squeezenet1_1_bytes, true>;
using squeezenet1_1_in_bytes = splitdsl::observed<squeezenet1_1_bytes, false>;
} // namespace calibration::networks

SPLITDSL_DISPATCHED(calibration::networks::squeezenet1_1_in_floats)
SPLITDSL_DISPATCHED(calibration::networks::squeezenet1_1_in_bytes)
SPLITDSL_DEFINE_PIPELINE(calibration::networks::squeezenet1_1_in_floats)
SPLITDSL_DEFINE_PIPELINE(calibration::networks::squeezenet1_1_in_bytes)

#if defined(SPLITDSL_PIPELINE_DISPATCHER)
#include <examples/calibrate/network.hpp>

const calibration::network& calibration::squeezenet1_1() {
    static const network all = row<networks::squeezenet1_1_bytes>("squeezenet1_1", 256);
    return all;
}
#endif

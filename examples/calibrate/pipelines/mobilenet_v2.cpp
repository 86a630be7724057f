// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file mobilenet_v2.cpp
/// What calibration runs of zoo::mobilenet_v2: its tensors in f32, and as bytes. Cuts make no difference to them.
#include <splitdsl/runtime/define_pipeline.hpp>
#include <splitdsl/zoo/mobilenet_v2.hpp>

namespace calibration::networks {
struct mobilenet_v2 : splitdsl::zoo::mobilenet_v2<100, 224, 224, 1000, splitdsl::zoo::no_cuts> {};
struct mobilenet_v2_bytes : splitdsl::int8<mobilenet_v2> {};
using mobilenet_v2_in_floats = splitdsl::observed<mobilenet_v2_bytes, true>;
using mobilenet_v2_in_bytes = splitdsl::observed<mobilenet_v2_bytes, false>;
} // namespace calibration::networks

SPLITDSL_DISPATCHED(calibration::networks::mobilenet_v2_in_floats)
SPLITDSL_DISPATCHED(calibration::networks::mobilenet_v2_in_bytes)
SPLITDSL_DEFINE_PIPELINE(calibration::networks::mobilenet_v2_in_floats)
SPLITDSL_DEFINE_PIPELINE(calibration::networks::mobilenet_v2_in_bytes)

#if defined(SPLITDSL_PIPELINE_DISPATCHER)
#include <examples/calibrate/network.hpp>

const calibration::network& calibration::mobilenet_v2() {
    static const network all = row<networks::mobilenet_v2_bytes>("mobilenet_v2", 256);
    return all;
}
#endif

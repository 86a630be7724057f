// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file mobilenet_v2_tf_split.cpp
/// zoo::mobilenet_v2_tf with a calibrated codec behind its seventh block: what calibration runs to find the codec's range.
#include <splitdsl/graph/measured.hpp>
#include <splitdsl/runtime/define_pipeline.hpp>
#include <splitdsl/zoo/mobilenet_v2.hpp>

namespace calibration::networks {
struct mobilenet_v2_tf_split : splitdsl::zoo::mobilenet_v2_tf<100, 224, 224, 1001, splitdsl::zoo::only_cut(7, splitdsl::affine_u8(splitdsl::calibrated))> {};
using mobilenet_v2_tf_measured = splitdsl::measured<mobilenet_v2_tf_split>;
} // namespace calibration::networks

SPLITDSL_DISPATCHED(calibration::networks::mobilenet_v2_tf_measured)
SPLITDSL_DEFINE_PIPELINE(calibration::networks::mobilenet_v2_tf_measured)

#if defined(SPLITDSL_PIPELINE_DISPATCHER)
#include <examples/calibrate/network.hpp>

const calibration::network& calibration::mobilenet_v2_tf_split() {
    static const network all = row_of_codecs<networks::mobilenet_v2_tf_split>("mobilenet_v2_tf_split", 256);
    return all;
}
#endif

// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file detect_exports.cpp
/// Detection's arithmetic behind a C interface, for the comparison with torchvision in detect_reference.py. No part of the test programs.
#include <splitdsl/detect/single_shot.hpp>
#include <splitdsl/detect/two_stage.hpp>

#include <cstring>

using namespace splitdsl::detect;

namespace {
std::span<const box> boxes_at(const float* p, std::size_t n) { return {reinterpret_cast<const box*>(p), n}; }
std::size_t give(std::span<const box> from, float* to, std::size_t room) {
    if (from.size() <= room) std::memcpy(to, from.data(), from.size_bytes());
    return from.size();
}
std::size_t give(std::span<const detection> from, float* boxes, float* scores, int* labels) {
    for (std::size_t i = 0; i < from.size(); ++i) {
        std::memcpy(boxes + 4 * i, &from[i].where, sizeof(box));
        scores[i] = from[i].score;
        labels[i] = from[i].label;
    }
    return from.size();
}
std::vector<head_level> head_of(const int* rows_columns_shapes, int levels) {
    std::vector<head_level> out;
    for (int i = 0; i < levels; ++i) out.push_back({rows_columns_shapes[3 * i], rows_columns_shapes[3 * i + 1], rows_columns_shapes[3 * i + 2]});
    return out;
}
} // namespace

extern "C" {

void splitdsl_encode(const float* to, const float* from, std::size_t n, const float* w, float* out) {
    for (std::size_t i = 0; i < n; ++i) {
        const box_offset o = encode(boxes_at(to, n)[i], boxes_at(from, n)[i], {w[0], w[1], w[2], w[3]});
        std::memcpy(out + 4 * i, &o, sizeof o);
    }
}
void splitdsl_decode(const float* by, const float* from, std::size_t n, const float* w, float* out) {
    for (std::size_t i = 0; i < n; ++i) {
        const box b = decode({by[4 * i], by[4 * i + 1], by[4 * i + 2], by[4 * i + 3]}, boxes_at(from, n)[i], {w[0], w[1], w[2], w[3]});
        std::memcpy(out + 4 * i, &b, sizeof b);
    }
}
std::size_t splitdsl_suppress(const float* boxes, const float* scores, const int* labels, std::size_t n, float most, int* kept) {
    suppressor s(n);
    const auto r = labels ? s(boxes_at(boxes, n), {scores, n}, {labels, n}, most) : s(boxes_at(boxes, n), {scores, n}, most);
    std::copy(r.begin(), r.end(), kept);
    return r.size();
}
void splitdsl_roi_align(const float* values, int channels, int height, int width, float scale, const float* regions, std::size_t n, int size, int samples, int aligned, float* out) {
    roi_align align(size, samples, aligned != 0);
    for (std::size_t i = 0; i < n; ++i) align({values, channels, height, width, scale}, boxes_at(regions, n)[i], out + i * static_cast<std::size_t>(channels * size * size));
}
void splitdsl_pyramid_levels(const float* regions, std::size_t n, int* out) {
    for (std::size_t i = 0; i < n; ++i) out[i] = pyramid_level(boxes_at(regions, n)[i]);
}
std::size_t splitdsl_default_boxes(const int* cells, const double* scales, const double* ratios, const int* ratio_counts, const double* steps, int levels, int width, int height, float* out, std::size_t room) {
    std::vector<default_box_level> l;
    for (int i = 0; i < levels; ++i) {
        l.push_back({{cells[2 * i], cells[2 * i + 1]}, scales[i], scales[i + 1], {ratios, ratios + ratio_counts[i]}, steps ? steps[i] : 0});
        ratios += ratio_counts[i];
    }
    return give(default_boxes(l, width, height), out, room);
}
std::size_t splitdsl_anchors(const int* cells, const float* sizes, const float* ratios, int ratio_count, int levels, int width, int height, float* out, std::size_t room) {
    std::vector<anchor_level> l;
    for (int i = 0; i < levels; ++i) l.push_back({{cells[2 * i], cells[2 * i + 1]}, {sizes[i]}, {ratios, ratios + ratio_count}});
    return give(anchors(l, width, height), out, room);
}
std::size_t splitdsl_single_shot(const int* head, int levels, const float* starts, std::size_t boxes, int width, int height, int classes, float score, int candidates, float overlap, int detections,
                                 const float* const* logits, const float* const* offsets, float* out_boxes, float* out_scores, int* out_labels) {
    const auto s = boxes_at(starts, boxes);
    single_shot post(head_of(head, levels), {s.begin(), s.end()}, width, height, {classes, score, candidates, overlap, detections, {10, 10, 5, 5}});
    const auto n = static_cast<std::size_t>(levels);
    return give(post({logits, n}, {offsets, n}), out_boxes, out_scores, out_labels);
}
std::size_t splitdsl_proposals(const int* head, int levels, const float* starts, std::size_t boxes, int width, int height, int candidates, int proposals, float overlap,
                               const float* const* logits, const float* const* offsets, float* out, std::size_t room) {
    const auto s = boxes_at(starts, boxes);
    proposal_finder find(head_of(head, levels), {s.begin(), s.end()}, width, height, {candidates, proposals, overlap, 1e-3F});
    const auto n = static_cast<std::size_t>(levels);
    return give(find({logits, n}, {offsets, n}), out, room);
}
std::size_t splitdsl_regions(const float* logits, const float* offsets, std::size_t capacity, const float* regions, std::size_t n, int classes, int width, int height, float* out_boxes, float* out_scores, int* out_labels) {
    region_classifier classify(capacity, width, height, {.classes = classes});
    return give(classify(logits, offsets, boxes_at(regions, n)), out_boxes, out_scores, out_labels);
}

} // extern "C"

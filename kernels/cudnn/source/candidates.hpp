// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file candidates.hpp
/// Device code: a detector's outputs to the boxes that suppression looks at, bit for bit as splitdsl/detect/ (exponential, levels, box, single_shot, two_stage).
///
/// Which boxes, and in which order, depends on nothing but their values and indices: atomic additions only count, places come from prefix sums.
#pragma once

#include "codec.hpp"

namespace splitdsl::kernels::cudnn {

SPLITDSL_DEVICE_CODE(candidates_text,

SPLITDSL_DEVICE float exact_subtract(float a, float b) { return exact_add(a, -b); }
SPLITDSL_DEVICE float exact_power(int k) { return float_from_bits((k + 127) << 23); }
SPLITDSL_DEVICE float exact_exponential(float x) {
    if (!(x == x)) return x;
    x = x > 89.0f ? 89.0f : (x < -104.0f ? -104.0f : x);
    const float n = exact_subtract(exact_add(exact_multiply(x, 1.44269504f), 12582912.0f), 12582912.0f);
    const float r = exact_add(exact_subtract(x, exact_multiply(n, 0.693359375f)), exact_multiply(n, 2.12194440e-4f));
    float p = exact_add(exact_multiply(0.001381432f, r), 0.008368851f);
    p = exact_add(exact_multiply(p, r), 0.0416684f);
    p = exact_add(exact_multiply(p, r), 0.1666652f);
    p = exact_add(exact_multiply(p, r), 0.49999994f);
    p = exact_add(exact_add(exact_multiply(p, exact_multiply(r, r)), r), 1.0f);
    const int whole = (int)n;
    const int half = whole >> 1;
    return exact_multiply(exact_multiply(p, exact_power(half)), exact_power(whole - half));
}

SPLITDSL_DEVICE int part_of_box(const head_part* parts, int count, int box) {
    int k = 0;
    while (k + 1 < count && box >= parts[k + 1].first) ++k;
    return k;
}
SPLITDSL_KERNEL score_classes(class_score_job j) {
    for (long long i = first_item(); i < j.boxes; i += item_step()) {
        const head_part& part = j.parts[part_of_box(j.parts, j.part_count, (int)i)];
        const int at = (int)i - part.first;
        const float* in = part.logits + (long long)(at % part.shapes) * j.classes * part.cells + at / part.shapes;
        float largest = in[0];
        for (int k = 1; k < j.classes; ++k) largest = largest < in[k * part.cells] ? in[k * part.cells] : largest;
        float* out = j.scores + i * j.box_step;
        float sum = 0.0f;
        for (int k = 0; k < j.classes; ++k) {
            const float e = exact_exponential(exact_subtract(in[k * part.cells], largest));
            out[k * j.class_step] = e;
            sum = exact_add(sum, e);
        }
        out[0] = float_from_bits(0x7fc00000);
        for (int k = 1; k < j.classes; ++k) out[k * j.class_step] = exact_divide(out[k * j.class_step], sum);
    }
}

SPLITDSL_DEVICE int block_total_before(int value, int* room) {
    const int me = thread_here();
    room[me] = value;
    wait_for_block();
    for (int n = 1; n < threads_here(); n *= 2) {
        const int more = me >= n ? room[me - n] : 0;
        wait_for_block();
        room[me] += more;
        wait_for_block();
    }
    const int before = room[me] - value;
    wait_for_block();
    return before;
}

struct group_values {           // what a group is chosen from
    const float* at;
    long long step;             // value i at [i % inner * step + i / inner]
    int inner;
    int count;
};
SPLITDSL_DEVICE float group_value(const group_values& g, int i) { return g.at[(long long)(i % g.inner) * g.step + i / g.inner]; }
SPLITDSL_DEVICE int is_looked_at(const choice_job& j, float v) { return !j.has_least || v > j.least; }
SPLITDSL_DEVICE unsigned int rank_of(float v) { return (unsigned int)order_of_bits(bits_of(exact_add(v, 0.0f))) ^ 0x80000000u; }

SPLITDSL_WIDE_KERNEL choose_candidates(choice_job j) {
    SPLITDSL_SHARED int room[1024];
    SPLITDSL_SHARED int digits[256];
    SPLITDSL_SHARED int chosen_digit[2];
    const int group = block_here();
    const int me = thread_here();
    const int threads = threads_here();
    group_values g;
    g.at = j.scores ? j.scores + (long long)group * j.items : j.parts[group].logits;
    g.inner = j.scores ? 1 : j.parts[group].shapes;
    g.step = j.scores ? 0 : j.parts[group].cells;
    g.count = j.scores ? j.items : (int)(j.parts[group].cells * j.parts[group].shapes);

    int mine = 0;
    for (int i = me; i < g.count; i += threads) mine += is_looked_at(j, group_value(g, i));
    const int all = block_total(mine, room);

    int takes_all = 1;
    int ties = 0;               // of those at the border: as many, the first ones
    unsigned int border = 0u;
    if (all > j.most) {
        takes_all = 0;
        ties = j.most;
        unsigned int known = 0u;
        for (int shift = 24; shift >= 0; shift -= 8) {
            for (int d = me; d < 256; d += threads) digits[d] = 0;
            wait_for_block();
            for (int i = me; i < g.count; i += threads) {
                const float v = group_value(g, i);
                const unsigned int rank = rank_of(v);
                if (is_looked_at(j, v) && (rank & known) == border) count_one(digits + (rank >> shift & 255u));
            }
            wait_for_block();
            if (me == 0) {
                int d = 255;
                while (digits[d] < ties) ties -= digits[d--];
                chosen_digit[0] = d;
                chosen_digit[1] = ties;
            }
            wait_for_block();
            border |= (unsigned int)chosen_digit[0] << shift;
            known |= 255u << shift;
            ties = chosen_digit[1];
        }
    }

    const int share = (g.count + threads - 1) / threads;
    const int begin = smaller(g.count, me * share);
    const int end = smaller(g.count, begin + share);
    int above = 0;
    int level = 0;
    for (int i = begin; i < end; ++i) {
        const float v = group_value(g, i);
        if (!is_looked_at(j, v)) continue;
        const unsigned int rank = rank_of(v);
        above += takes_all || rank > border;
        level += !takes_all && rank == border;
    }
    above = block_total_before(above, room);
    level = block_total_before(level, room);
    long long to = (long long)group * j.most + above + smaller(level, ties);
    for (int i = begin; i < end; ++i) {
        const float v = group_value(g, i);
        if (!is_looked_at(j, v)) continue;
        const unsigned int rank = rank_of(v);
        const int is_level = !takes_all && rank == border;
        if (takes_all || rank > border || (is_level && level < ties)) {
            j.chosen[to] = i;
            j.values[to] = v;
            ++to;
        }
        level += is_level;
    }
    if (me == 0) j.counts[group] = smaller(all, j.most);
}

SPLITDSL_DEVICE float cut_to(float v, float limit) {
    const float above = v < 0.0f ? 0.0f : v;
    return limit < above ? limit : above;
}
SPLITDSL_DEVICE float half_size(float by, float weight, float size) {
    const float growth = exact_divide(by, weight);
    return exact_multiply(0.5f, exact_multiply(exact_exponential(4.135166556742356f < growth ? 4.135166556742356f : growth), size));
}
SPLITDSL_DEVICE float moved_centre(float by, float weight, float begin, float size) {
    return exact_add(exact_multiply(exact_divide(by, weight), size), exact_add(begin, exact_multiply(0.5f, size)));
}
SPLITDSL_KERNEL decode_candidates(decode_job j) {
    SPLITDSL_SHARED int room[256];
    const int group = block_here();
    int mine = 0;
    for (int k = thread_here(); k < group; k += threads_here()) mine += j.counts[k];
    const int first = block_total(mine, room);
    const int count = j.counts[group];
    for (int k = thread_here(); k < count; k += threads_here()) {
        const int index = j.chosen[(long long)group * j.most + k];
        const head_part& part = j.parts[j.group_is_part ? group : part_of_box(j.parts, j.part_count, index)];
        const int at = j.group_is_part ? index : index - part.first;
        const int cell = at / part.shapes;
        const float* by = part.offsets + (long long)(at % part.shapes) * 4 * part.cells + cell;
        const float* from = j.starts + 4LL * (j.starts_are_cells ? cell : part.first + at);
        const float width = exact_subtract(from[2], from[0]);
        const float height = exact_subtract(from[3], from[1]);
        const float x = moved_centre(by[0], j.weight[0], from[0], width);
        const float y = moved_centre(by[part.cells], j.weight[1], from[1], height);
        const float half_width = half_size(by[2 * part.cells], j.weight[2], width);
        const float half_height = half_size(by[3 * part.cells], j.weight[3], height);
        found_candidate& to = j.out[first + k];
        to.box[0] = cut_to(exact_subtract(x, half_width), j.width);
        to.box[1] = cut_to(exact_subtract(y, half_height), j.height);
        to.box[2] = cut_to(exact_add(x, half_width), j.width);
        to.box[3] = cut_to(exact_add(y, half_height), j.height);
        to.value = j.values[(long long)group * j.most + k];
        to.index = index;
    }
}

)

} // namespace splitdsl::kernels::cudnn

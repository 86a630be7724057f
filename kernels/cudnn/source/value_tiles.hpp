// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file value_tiles.hpp
/// Device code: convolutions of 16-bit values as products of matrices on tensor cores (compute capability 8.0 and later), for few pixels.
///
/// The tiles are those of bytes (byte_tiles.hpp): a slice of 64 bytes is 32 values, a multiplication 16 deep, sums are in 32 bits. What makes them quick for
/// one frame is that the warps of a block divide the depth as well, so a map of 7x7 has as many blocks as there are multiprocessors and no second kernel that
/// adds shares. A batch norm with its activation, or factors of channels, in front of a window of one tap is done to the fragments on their way from shared
/// memory, rounded as if it had been stored.
#pragma once

#include "byte_tiles.hpp"

namespace splitdsl::kernels::cudnn {

SPLITDSL_DEVICE_CODE(value_tiles_text,

struct alignas(8) four_shorts {
    unsigned short of[4];
};
struct value_end {
    four_sums<float> bias;
    four_shorts addend;
};

template <class T>
struct value_entry {
    const value_tile_job& j;
    float scale[8];             // of a slice: two channels in each of its four quarters
    float shift[8];

    SPLITDSL_DEVICE_MEMBER void begin(int slice, int lane) {
        if (!j.scale && !j.factor) return;
        SPLITDSL_UNROLL
        for (int k = 0; k < 8; ++k) {
            const int c = smaller(32 * slice + 8 * (k / 2) + 2 * (lane % 4) + k % 2, j.window.in_channels - 1);        // behind the last one weights are 0
            scale[k] = j.scale ? j.scale[c] : read((const T*)j.factor + c);
            shift[k] = j.scale ? j.shift[c] : 0.0f;
        }
    }
    SPLITDSL_DEVICE_MEMBER unsigned int changed(unsigned int bits, int k) const {
        T value;
        value.bits = (unsigned short)bits;
        const float x = read(&value) * scale[k] + shift[k];
        write(&value, j.entry_rectifies && x < 0.0f ? 0.0f : x);
        return value.bits;
    }
    SPLITDSL_DEVICE_MEMBER void change(unsigned int* a, int half) const {
        if (!j.scale && !j.factor) return;
        SPLITDSL_UNROLL
        for (int r = 0; r < 4; ++r) {
            const int k = 4 * half + 2 * (r / 2);
            a[r] = changed(a[r] & 65535u, k) | changed(a[r] >> 16, k + 1) << 16;
        }
    }
};

template <class T, int Rows, int Columns, int Down, int Across, int Stages>
SPLITDSL_DEVICE void convolve_value_tiles(const value_tile_job& j) {
    SPLITDSL_SHARED sixteen_bytes room[tile_room];
    const window_job& w = j.window;
    const int pixels = w.out_height * w.out_width;
    const auto at = [&](const device_tensor& of, int row, int o) { return (T*)of.at + row / pixels * of.image + (long long)(row % pixels) * of.pixel + o; };
    const auto prepare = [&](int row, int o) {
        value_end end = {};
        end.bias = *(const four_sums<float>*)(w.bias + o);
        if (w.then.addend.at) end.addend = *(const four_shorts*)at(w.then.addend, row, o);
        return end;
    };
    const value_entry<T> entry = {j, {}, {}};
    multiply_tiles<T, float, Rows, Columns, Down, Across, Stages, false>(j, 0u, room, entry, prepare, [&](int row, int o, const four_sums<float>& total, const value_end& end) {
        four_shorts values;
        for (int k = 0; k < 4; ++k) {
            T value;
            value.bits = end.addend.of[k];
            write(&value, activated(total.of[k] + (w.then.addend.at ? read(&value) : 0.0f), w.then.activation, w.then.slope));
            values.of[k] = value.bits;
        }
        *(four_shorts*)at(w.out, row, o) = values;
    });
}
SPLITDSL_SHORT_TILES(128x64, 128, 64, 4, 2, 4)
SPLITDSL_SHORT_TILES(64x64, 64, 64, 2, 2, 3)
SPLITDSL_SHORT_TILES(64x32, 64, 32, 2, 2, 4)
SPLITDSL_SHORT_TILES(32x32, 32, 32, 1, 2, 3)
SPLITDSL_SHORT_TILES(16x32, 16, 32, 1, 2, 4)
SPLITDSL_SHORT_TILES(16x16, 16, 16, 1, 1, 3)

)

} // namespace splitdsl::kernels::cudnn

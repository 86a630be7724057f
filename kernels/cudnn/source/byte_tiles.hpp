// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file byte_tiles.hpp
/// Device code: convolutions as products of matrices on tensor cores, of bytes (compute capability 7.5 and later) and of 16-bit values
/// (value_tiles.hpp); dense layers of bytes.
///
/// Rows are output pixels of all images, columns output channels; the depth is (tap, input channel), in slices of 64 bytes. A block makes a tile of
/// rows x columns: its eight warps divide the tile, and `shares` groups of them the depth, whose sums are added in shared memory at the end. A
/// slice of the tile's operands lies there as rows of four 16-byte pieces, a piece at (piece ^ row / 2 % 4): eight rows' pieces of one number, which a
/// load of a fragment reads at once and which eight threads copy at once, are in different banks. No window is ever laid out in memory: each piece is
/// copied from where its tap reads the input; around the input it is written as the bytes that stand for 0.
///
/// Buffers: `Stages` of them, each of one step (`shares` slices). A step's copies are begun `Stages - 1` steps before it is multiplied. One barrier a step
/// stands between the last reading of a buffer (in the step before) and the copies that fill it again (behind the barrier), and between the end of
/// a thread's own copies (waited for in front of it) and the others' reading (behind it). The last step waits for the last copies; the sums take the
/// buffers' place behind a barrier, are read behind another one, and a third one stands in front of the next tile's copies.
#pragma once

#include "bytes.hpp"

namespace splitdsl::kernels::cudnn {

SPLITDSL_DEVICE_CODE(byte_tiles_text,

template <class Sum>
struct alignas(8) two_sums {
    Sum of[2];
};
template <class Sum>
struct alignas(16) four_sums {
    Sum of[4];
};
struct tile_end {           // of four columns of a row, what their sums meet
    four_sums<int> bias;
    four_sums<float> factor;
    unsigned int addend;
};
enum tile_size { tile_threads = 256, tile_room = 3072 };         // 16-byte pieces: 48 KiB, what a block has without asking for more

SPLITDSL_DEVICE int quotient_by(int i, unsigned int reciprocal) { return (int)((unsigned long long)(unsigned int)i * reciprocal >> 31); }
SPLITDSL_DEVICE int place_of_piece(int row, int piece) { return 4 * row + (piece ^ (row / 2 % 4)); }

SPLITDSL_DEVICE void multiply_in_tile(unsigned char, int* sum, const unsigned int* a, const unsigned int* b) { multiply_fragments(sum, a, b); }
SPLITDSL_DEVICE void multiply_in_tile(half_bits, float* sum, const unsigned int* a, const unsigned int* b) { multiply_halves(sum, a, b); }
SPLITDSL_DEVICE void multiply_in_tile(bfloat_bits, float* sum, const unsigned int* a, const unsigned int* b) { multiply_bfloats(sum, a, b); }

struct tile_row {           // where a row's window begins
    const unsigned char* image;
    int top;
    int left;
};
template <int Each, class Job>
SPLITDSL_DEVICE tile_row tile_row_of(const Job& j, int row) {
    const auto& w = j.window;
    const int pixels = w.out_height * w.out_width;
    const int image = row / pixels;
    const int pixel = row % pixels;
    tile_row r;
    r.image = (const unsigned char*)w.in.at + image * w.in.image * Each;
    r.top = pixel / w.out_width * w.stride_h - w.pad_top;
    r.left = pixel % w.out_width * w.stride_w - w.pad_left;
    return r;
}
// Null around the input.
template <int Each, class Job>
SPLITDSL_DEVICE const unsigned char* read_by(const Job& j, const tile_row& from, int tap) {
    const auto& w = j.window;
    const int r = quotient_by(tap, j.by_width);
    const int y = from.top + r * w.dilation_h;
    const int x = from.left + (tap - r * w.kernel_w) * w.dilation_w;
    const bool inside = y >= 0 && x >= 0 && y < w.in_height && x < w.in_width;
    return inside ? from.image + (y * w.in_width + x) * w.in.pixel * Each : (const unsigned char*)0;
}
// Of a tensor a piece is 16 bytes of one tap's channels. What lies behind the last tap is left as it is where whole numbers of bytes are multiplied by weights of 0;
// of values it may be no number, so it is 0 too.
template <int Each, class Job>
SPLITDSL_DEVICE void fetch_piece(const Job& j, const tile_row& from, int piece, unsigned int around, sixteen_bytes* to) {
    if (Each == 1 && piece >= j.pieces) return;
    const int tap = quotient_by(piece, j.by_tap);
    const unsigned char* const at = piece < j.pieces ? read_by<Each>(j, from, tap) : (const unsigned char*)0;
    if (at) begin_copy_of_16(to, at + 16 * (piece - tap * j.tap_pieces));
    else
        for (int k = 0; k < 4; ++k) to->of[k] = around;
}
// Of a picture it is four taps of four bytes.
template <class Job>
SPLITDSL_DEVICE void fetch_piece_of_picture(const Job& j, const tile_row& from, int piece, unsigned int around, sixteen_bytes* to) {
    const int taps = j.window.kernel_h * j.window.kernel_w;
    for (int k = 0; k < 4; ++k) {
        if (4 * piece + k >= taps) return;
        const unsigned char* const at = read_by<1>(j, from, 4 * piece + k);
        if (at) begin_copy_of_4(&to->of[k], at);
        else to->of[k] = around;
    }
}

// Bytes are multiplied as they are.
struct no_entry {
    SPLITDSL_DEVICE_MEMBER void begin(int, int) {}
    SPLITDSL_DEVICE_MEMBER void change(unsigned int*, int) const {}
};

// `entry`: what happens to the input's values before they are multiplied: `begin(slice, lane)`, then `change(fragment, half)`. `prepare(row, column)`: reads an end (`bias`
// and more), where a thread has one before it multiplies, so that nobody waits for it. `finish(row, column, sums, end)`.
template <class Value, class Sum, int Rows, int Columns, int Down, int Across, int Stages, bool IsPicture, class Job, class Entry, class Prepare, class Finish>
SPLITDSL_DEVICE void multiply_tiles(const Job& j, unsigned int around, sixteen_bytes* room, Entry entry, const Prepare& prepare, const Finish& finish) {
    constexpr int each = (int)sizeof(Value);
    constexpr int shares = tile_threads / 32 / (Down * Across);
    constexpr int my_rows = Rows / (16 * Down);              // tiles of 16 rows and of 8 columns that are one warp's
    constexpr int my_columns = Columns / (8 * Across);
    constexpr int slice_size = 4 * (Rows + Columns);
    constexpr bool ends_once = Rows * Columns <= 4 * tile_threads;
    constexpr int fetched_rows = Rows > 64 ? Rows / 64 : 1;      // rows that one thread fetches pieces of
    static_assert(Stages * shares * slice_size <= tile_room && my_columns % 2 == 0 && shares * Rows >= 64 && shares * Columns >= 64 && Columns <= 64, "");
    static_assert(shares * Rows * (Columns + 8) <= 4 * tile_room, "");
    const int me = thread_here();
    const int lane = me % 32;
    const int share = me / 32 / (Down * Across);
    const int row_here = me / 32 / Across % Down * 16 * my_rows;
    const int column_here = me / 32 % Across * 8 * my_columns;
    const int columns = j.window.out_channels;
    const int slices = (j.depth + 63) / 64;
    const int steps = (slices + shares - 1) / shares;
    const int tiles_across = (columns + Columns - 1) / Columns;
    const int tiles = (j.rows + Rows - 1) / Rows * tiles_across;
    Sum* const sums = (Sum*)room;
    for (int tile = block_here(); tile < tiles; tile += blocks_here()) {
        const int first_row = tile / tiles_across * Rows;
        const int first_column = tile % tiles_across * Columns;
        tile_row from[fetched_rows];
        SPLITDSL_UNROLL
        for (int k = 0; k < fetched_rows; ++k) from[k] = tile_row_of<each>(j, smaller(first_row + me / 4 % Rows + 64 * k, j.rows - 1));
        const unsigned char* const weight = (const unsigned char*)j.window.weight + (long long)smaller(first_column + me / 4 % Columns, columns - 1) * j.depth;
        const auto fetch = [&](int step) {
            sixteen_bytes* const to = room + step % Stages * (shares * slice_size);
            SPLITDSL_UNROLL
            for (int k = 0; k < shares * Rows / 64; ++k) {
                const int row = me / 4 % Rows + 64 * (k % fetched_rows);
                const int slice = (me / 4 + 64 * k) / Rows;
                const int piece = 4 * (step * shares + slice) + me % 4;
                sixteen_bytes* const at = to + slice * slice_size + place_of_piece(row, me % 4);
                if (IsPicture) fetch_piece_of_picture(j, from[k % fetched_rows], piece, around, at);
                else fetch_piece<each>(j, from[k % fetched_rows], piece, around, at);
            }
            SPLITDSL_UNROLL
            for (int k = 0; k < shares * Columns / 64; ++k) {
                const int slice = (me / 4 + 64 * k) / Columns;
                const int at = step * shares + slice;
                sixteen_bytes* const there = to + slice * slice_size + 4 * Rows + place_of_piece(me / 4 % Columns, me % 4);
                if (each == 1 ? at < slices : 64 * at + 16 * (me % 4) < j.depth) begin_copy_of_16(there, weight + 64 * at + 16 * (me % 4));
                else if (each > 1 && at < slices)
                    for (int q = 0; q < 4; ++q) there->of[q] = 0u;
            }
        };
        Sum sum[my_rows][my_columns][4];
        SPLITDSL_UNROLL
        for (int m = 0; m < my_rows; ++m)
            SPLITDSL_UNROLL
            for (int n = 0; n < my_columns; ++n)
                for (int k = 0; k < 4; ++k) sum[m][n][k] = (Sum)0;
        SPLITDSL_UNROLL
        for (int step = 0; step < Stages - 1; ++step) {
            if (step < steps) fetch(step);
            end_copy_group();
        }
        decltype(prepare(0, 0)) end = {};
        if (ends_once && me < Rows * Columns / 4) {
            const int row = first_row + me / (Columns / 4);
            const int column = first_column + 4 * (me % (Columns / 4));
            if (row < j.rows && column < columns) end = prepare(row, column);
        }
        for (int step = 0; step < steps; ++step) {
            entry.begin(step * shares + share, lane);
            wait_for_copies<Stages - 2>();
            wait_for_block();
            if (step + Stages - 1 < steps) fetch(step + Stages - 1);
            end_copy_group();
            if (step * shares + share >= slices) continue;
            const sixteen_bytes* const values = room + step % Stages * (shares * slice_size) + share * slice_size;
            const sixteen_bytes* const weights = values + 4 * Rows;
            SPLITDSL_UNROLL
            for (int half = 0; half < 2; ++half) {          // 32 bytes of depth each
                unsigned int b[my_columns][2];
                SPLITDSL_UNROLL
                for (int n = 0; n < my_columns; n += 2) load_matrices(b[n], weights + place_of_piece(column_here + 8 * n + lane / 16 * 8 + lane % 8, 2 * half + lane / 8 % 2));
                SPLITDSL_UNROLL
                for (int m = 0; m < my_rows; ++m) {
                    unsigned int a[4];
                    load_matrices(a, values + place_of_piece(row_here + 16 * m + lane % 16, 2 * half + lane / 16));
                    entry.change(a, half);
                    SPLITDSL_UNROLL
                    for (int n = 0; n < my_columns; ++n) multiply_in_tile(Value(), sum[m][n], a, b[n]);
                }
            }
        }
        wait_for_block();
        // Eight more columns a row: the rows that a half warp writes are in different banks.
        SPLITDSL_UNROLL
        for (int m = 0; m < my_rows; ++m)
            SPLITDSL_UNROLL
            for (int n = 0; n < my_columns; ++n)
                SPLITDSL_UNROLL
                for (int k = 0; k < 2; ++k) {
                    two_sums<Sum>* const to = (two_sums<Sum>*)(sums + (share * Rows + row_here + 16 * m + 8 * k + lane / 4) * (Columns + 8) + column_here + 8 * n + 2 * (lane % 4));
                    to->of[0] = sum[m][n][2 * k];
                    to->of[1] = sum[m][n][2 * k + 1];
                }
        wait_for_block();
        for (int i = me; i < Rows * Columns / 4; i += tile_threads) {
            const int row = i / (Columns / 4);
            const int column = 4 * (i % (Columns / 4));
            if (first_row + row >= j.rows || first_column + column >= columns) continue;
            if (!ends_once) end = prepare(first_row + row, first_column + column);
            four_sums<Sum> total = end.bias;
            SPLITDSL_UNROLL
            for (int s = 0; s < shares; ++s) {
                const four_sums<Sum>* const part = (const four_sums<Sum>*)(sums + (s * Rows + row) * (Columns + 8) + column);
                for (int k = 0; k < 4; ++k) total.of[k] += part->of[k];
            }
            finish(first_row + row, first_column + column, total, end);
        }
        wait_for_block();
    }
}

template <int Rows, int Columns, int Down, int Across, int Stages, bool IsPicture>
SPLITDSL_DEVICE void convolve_tiles(const byte_tile_job& j) {
    SPLITDSL_SHARED sixteen_bytes room[tile_room];
    const byte_window_job& w = j.window;
    const byte_terms t = *w.terms;
    const int pixels = w.out_height * w.out_width;
    const auto at = [&](const device_tensor& of, int row, int o) { return (unsigned char*)of.at + row / pixels * of.image + (long long)(row % pixels) * of.pixel + o; };
    const auto prepare = [&](int row, int o) {
        tile_end end;
        end.bias = *(const four_sums<int>*)(w.bias + o);
        end.factor = *(const four_sums<float>*)(w.factor + o);
        end.addend = w.addend.at ? *(const unsigned int*)at(w.addend, row, o) : 0u;
        return end;
    };
    multiply_tiles<unsigned char, int, Rows, Columns, Down, Across, Stages, IsPicture>(j, t.around, room, no_entry(), prepare, [&](int row, int o, const four_sums<int>& total, const tile_end& end) {
        unsigned int bytes = 0;
        for (int k = 0; k < 4; ++k) bytes |= byte_of_sum(total.of[k], end.factor.of[k], w.addend.at != 0, end.addend >> (8 * k) & 255u, t) << (8 * k);
        *(unsigned int*)at(w.out, row, o) = bytes;
    });
}
SPLITDSL_TILE_KERNEL convolve_tiles_128x64(byte_tile_job j) { convolve_tiles<128, 64, 4, 2, 4, false>(j); }
SPLITDSL_TILE_KERNEL convolve_tiles_64x64(byte_tile_job j) { convolve_tiles<64, 64, 2, 2, 3, false>(j); }
SPLITDSL_TILE_KERNEL convolve_tiles_64x32(byte_tile_job j) { convolve_tiles<64, 32, 2, 2, 4, false>(j); }
SPLITDSL_TILE_KERNEL convolve_tiles_32x32(byte_tile_job j) { convolve_tiles<32, 32, 1, 2, 3, false>(j); }
SPLITDSL_TILE_KERNEL convolve_tiles_16x32(byte_tile_job j) { convolve_tiles<16, 32, 1, 2, 4, false>(j); }
SPLITDSL_TILE_KERNEL convolve_tiles_16x16(byte_tile_job j) { convolve_tiles<16, 16, 1, 1, 3, false>(j); }
SPLITDSL_TILE_KERNEL convolve_tiles_of_picture(byte_tile_job j) { convolve_tiles<128, 64, 4, 2, 3, true>(j); }

template <class T>
SPLITDSL_DEVICE void multiply_row_tiles(const byte_tile_job& j) {
    SPLITDSL_SHARED sixteen_bytes room[tile_room];
    const byte_window_job& w = j.window;
    const auto prepare = [&](int, int unit) {
        tile_end end;
        end.bias = *(const four_sums<int>*)(w.bias + unit);
        end.factor = *(const four_sums<float>*)(w.factor + unit);
        end.addend = 0u;
        return end;
    };
    multiply_tiles<unsigned char, int, 16, 16, 1, 1, 3, false>(j, 0u, room, no_entry(), prepare, [&](int row, int unit, const four_sums<int>& total, const tile_end& end) {
        T* const out = (T*)w.out.at + row * w.out.image + unit;
        for (int k = 0; k < 4 && unit + k < w.out_channels; ++k) write(out + k, activated(exact_multiply((float)total.of[k], end.factor.of[k]), j.activation, j.slope));
    });
}
SPLITDSL_KERNELS(multiply_row_tiles, byte_tile_job)

)

} // namespace splitdsl::kernels::cudnn

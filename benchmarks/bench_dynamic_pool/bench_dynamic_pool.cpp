// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file bench_dynamic_pool.cpp
/// Dynamic pooling: bytes a level in every form; its speed and the affine codec's beside memcpy's.
#include "../results.hpp"
#include "codec_code.hpp"

#include <examples/options/exit_status.hpp>
#include <examples/options/numbers.hpp>
#include <splitdsl/codec/dynamic_pool_stream.hpp>
#include <splitdsl/runtime/aligned_buffer.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

namespace {
using namespace splitdsl;

std::vector<float> made_up(const pool_shape& s, std::uint32_t state = 1) {
    std::vector<float> map;
    for (int c = 0; c < s.channels; ++c)
        for (int y = 0; y < s.height; ++y)
            for (int x = 0; x < s.width; ++x) {
                state = state * 1664525 + 1013904223;
                const float v = std::sin(0.02f * static_cast<float>(x * (c % 7 + 1)))
                                + std::sin(0.03f * static_cast<float>(y * (c % 5 + 1))) + static_cast<float>(state >> 8) * 0x1p-26f;
                map.push_back(v > 0 ? v : 0.0f);
            }
    return map;
}

/// Least processor seconds of each of several works over many short turns that alternate: what else the machine does only adds, on a
/// processor's other thread too.
std::vector<double> least_seconds(const std::vector<std::function<void()>>& works) {
    std::vector<double> least(works.size(), 1e9);
    std::vector<int> times(works.size(), 1);
    const auto now = [] {
        std::timespec t{};
        ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
        return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
    };
    const double start = now();
    for (int turn = 0; turn < 300 && (turn < 10 || now() - start < 2); ++turn)
        for (std::size_t k = 0; k < works.size(); ++k) {
            works[k](); // what the one before left in the cache
            const double begin = now();
            for (int i = 0; i < times[k]; ++i) works[k]();
            const double once = (now() - begin) / times[k];
            least[k] = std::min(least[k], once);
            if (turn == 0) times[k] = std::clamp(static_cast<int>(3e-4 / once), 1, 1000);
        }
    return least;
}
/// Floats from a page's first line on, as an arena's maps begin with a line: a vector that begins elsewhere takes two.
struct page_floats {
    explicit page_floats(std::size_t count) : memory{4 * count} {}
    explicit page_floats(const std::vector<float>& from) : page_floats{from.size()} { std::copy(from.begin(), from.end(), data()); }
    float* data() const { return reinterpret_cast<float*>(memory.data()); }
    std::size_t size() const { return memory.size() / 4; }
    aligned_buffer memory;
};
void copied(const page_floats& to, const page_floats& from) {
    std::memcpy(to.data(), from.data(), 4 * from.size());
    asm volatile("" ::"r"(to.data()) : "memory");
}
void filled(const page_floats& to) {
    std::memset(to.data(), 1, 4 * to.size());
    asm volatile("" ::"r"(to.data()) : "memory");
}

/// Bits of a new value as an integer sum of quarters: a cell's has two bits more than a quarter's, a half's one.
std::int64_t sum_bits(const pool_ladder& l, int level) {
    std::int64_t bits = level == 0 ? std::int64_t{l.cell_rows()} * l.cell_columns() * (8 + 2 * l.octaves) : 0;
    const detail::pool_planes planes{l, {}, {}};
    planes.visit(
        level, [](int) {},
        [&](int o, int plane, int, int first, int end) {
            if (plane > 0) bits += std::int64_t{end - first} * (8 + 2 * (l.octaves - o) - (plane == 1 ? 1 : 2));
        });
    return bits;
}

struct row {
    double means{}, means_rice{}, sums{}, lifted{}, lifted_rice{}, means_error{}, lifted_error{};
};
} // namespace

int main(int argc, char** argv) {
    std::string file, json_file;
    pool_shape shape{.channels = 24, .height = 56, .width = 56, .stride = 8};
    pool_sizes sizes{.smallest = 10, .largest = 28, .step = 2};
    bool speed = true;
    CLI::App app{"Bytes a level of a dynamically pooled tensor, in every form; the encoder's speed and the affine codec's beside memcpy's. All measured on "
                 "this machine. SPLITDSL_ISA=baseline (or avx2_fma, avx512) chooses the instruction set."};
    app.add_option("--features", file, "Maps to pool: f32, channels x side x side, any number of them; made up if absent")
        ->option_text("FILE")
        ->check(CLI::ExistingFile);
    app.add_option("--channels", shape.channels, "Channels")->check(options::between(1, 4096))->capture_default_str();
    app.add_option("--side", shape.height, "Height and width")->check(options::between(2, max_pool_side))->capture_default_str();
    app.add_option("--stride", shape.stride, "The paper's k")->check(options::between(2, max_pool_side))->capture_default_str();
    app.add_option("--smallest", sizes.smallest, "Smallest size; 0: side / stride")
        ->check(options::between(0, max_pool_side))
        ->capture_default_str();
    app.add_option("--largest", sizes.largest, "Largest size; 0: 2 side / stride")
        ->check(options::between(0, max_pool_side))
        ->capture_default_str();
    app.add_option("--step", sizes.step, "From size to size")->check(options::between(1, max_pool_side))->capture_default_str();
    app.add_flag("!--no-speed", speed, "Bytes only");
    app.add_option("--json", json_file, "Also write the results to FILE")->option_text("FILE");
    return options::exit_status("bench_dynamic_pool", app, argc, argv, [&] {
        timed::begin_results(json_file);
        shape.width = shape.height;
        const auto [ladder, fault] = try_pool_ladder(shape, sizes);
        if (fault != pool_fault::none) throw option_error(sentence(fault));
        const auto values =
            static_cast<std::size_t>(shape.channels) * static_cast<std::size_t>(shape.height) * static_cast<std::size_t>(shape.width);
        std::vector<float> maps = made_up(shape);
        if (!file.empty()) {
            std::ifstream in{file, std::ios::binary | std::ios::ate};
            const auto size = static_cast<std::size_t>(in.tellg());
            if (size == 0 || size % (4 * values) != 0)
                throw option_error("--features " + file + ": expected a multiple of " + std::to_string(4 * values)
                                   + " bytes (channels x side x side x 4), found " + std::to_string(size));
            maps.resize(size / 4);
            in.seekg(0);
            in.read(reinterpret_cast<char*>(maps.data()), static_cast<std::streamsize>(size));
        }
        const std::size_t count = maps.size() / values;
        const pool_options ways[] = {{pool_form::means, pool_coding::packed},
                                     {pool_form::means, pool_coding::rice},
                                     {pool_form::lifted, pool_coding::packed},
                                     {pool_form::lifted, pool_coding::rice}};
        std::vector<dynamic_pool_encoder> encoders;
        std::vector<dynamic_pool_decoder> decoders;
        for (const pool_options& w : ways) encoders.emplace_back(ladder, w), decoders.emplace_back(ladder, w);

        std::vector<row> rows(static_cast<std::size_t>(ladder.levels));
        for (std::size_t m = 0; m < count; ++m) {
            const float* const map = maps.data() + m * values;
            for (auto& e : encoders) e.pool(map);
            for (auto& d : decoders) d.start();
            for (int i = 0; i < ladder.levels; ++i) {
                row& r = rows[static_cast<std::size_t>(i)];
                for (std::size_t w = 0; w < 4; ++w) {
                    const auto bytes = encoders[w].encode(i);
                    (w == 0   ? r.means
                     : w == 1 ? r.means_rice
                     : w == 2 ? r.lifted
                              : r.lifted_rice) += static_cast<double>(bytes.size()) / static_cast<double>(count);
                    decoders[w].take(i, bytes);
                }
                r.sums += static_cast<double>(1 + (i == 0 ? pool_preamble_bytes : 0)
                                              + static_cast<std::size_t>((sum_bits(ladder, i) * shape.channels + 7) / 8))
                          / static_cast<double>(count);
                // Largest error against means in double precision, in half-steps.
                const int rows_there = ladder.rows(i), o = ladder.octave_of(i), stride = shape.stride >> o,
                          split = ladder.rows_split(ladder.steps(o, i));
                const auto begin_of = [&](int at) { return at < 2 * split ? at * stride / 2 : (at - split) * stride; };
                std::vector<std::uint8_t> out(static_cast<std::size_t>(ladder.values(i)));
                for (const std::size_t w : {std::size_t{0}, std::size_t{2}})
                    for (int c = 0; c < shape.channels; ++c) {
                        decoders[w].rebuild(i, c, out.data());
                        const float* const x = map + static_cast<std::ptrdiff_t>(c) * shape.height * shape.width;
                        const affine_parameters q = encoders[w].parameters();
                        for (int y = 0; y < rows_there; ++y)
                            for (int z = 0; z < rows_there; ++z) {
                                double sum = 0;
                                for (int u = begin_of(y); u < begin_of(y + 1); ++u)
                                    for (int v = begin_of(z); v < begin_of(z + 1); ++v) sum += static_cast<double>(x[u * shape.width + v]);
                                const double mean = sum / ((begin_of(y + 1) - begin_of(y)) * (begin_of(z + 1) - begin_of(z)));
                                double& worst = w == 0 ? r.means_error : r.lifted_error;
                                worst = std::max(worst, 2
                                                            * std::abs(mean / static_cast<double>(q.scale) + q.zero_point
                                                                       - out[static_cast<std::size_t>(y * rows_there + z)]));
                            }
                    }
            }
        }

        nlohmann::json report{{"label", "measured"},  {"tensors", count},       {"channels", shape.channels},
                              {"side", shape.height}, {"stride", shape.stride}, {"levels", nlohmann::json::array()}};
        std::printf("%zu tensor%s %d x %d x %d, stride %d; cumulative bytes when a size is complete (mean of the tensors), largest error in "
                    "half-steps\n",
                    count, count == 1 ? "" : "s", shape.channels, shape.height, shape.width, shape.stride);
        std::printf("%5s %8s | %8s %8s | %8s | %8s %8s | %6s %6s\n", "size", "values", "means", "+rice", "sums", "lifted", "+rice", "means",
                    "lifted");
        row sum;
        for (int i = 0; i < ladder.levels; ++i) {
            const row& r = rows[static_cast<std::size_t>(i)];
            sum.means += r.means, sum.means_rice += r.means_rice, sum.sums += r.sums, sum.lifted += r.lifted, sum.lifted_rice += r.lifted_rice;
            std::printf("%5d %8d | %8.0f %8.0f | %8.0f | %8.0f %8.0f | %6.2f %6.2f\n", ladder.rows(i), ladder.values(i) * shape.channels,
                        sum.means, sum.means_rice, sum.sums, sum.lifted, sum.lifted_rice, r.means_error, r.lifted_error);
            report["levels"].push_back({{"size", ladder.rows(i)},
                                        {"values", ladder.values(i) * shape.channels},
                                        {"means", sum.means},
                                        {"means_rice", sum.means_rice},
                                        {"sums", sum.sums},
                                        {"lifted", sum.lifted},
                                        {"lifted_rice", sum.lifted_rice},
                                        {"means_half_steps", r.means_error},
                                        {"lifted_half_steps", r.lifted_error}});
        }

        if (speed) {
            const codec_code& code = chosen_codec_code();
            report["instruction_set"] = code.instruction_set;
            std::printf("\nspeed with %s code, processor time, least of many turns: GB/s read and written, and as a share of a copy of as many bytes\n",
                        code.instruction_set);
            std::printf("%-34s %8s %8s %8s %8s %8s %8s %8s %8s %9s\n", "dynamic pooling", "copy", "fill", "read", "pool", "of copy", "of read", "portable", "of copy",
                        "encode ns");
            const pool_shape shapes[] = {{16, 32, 32, 8},   {24, 56, 56, 8},    {24, 56, 56, 4},    {32, 56, 56, 4},
                                         {32, 56, 56, 2},   {512, 128, 128, 8}, {512, 128, 128, 4}, {512, 128, 128, 2}};
            for (const pool_shape& s : shapes) {
                // A map that comes from memory is not the one that the call before left in part of a cache; and codes whose every branch was taken just so
                // the call before are written sooner than a frame's ever are.
                const bool far = s.channels * s.height * s.width > 1 << 20;
                std::vector<page_floats> timed;
                for (std::uint32_t seed = 1; seed <= (far ? 3U : 8U); ++seed) timed.emplace_back(made_up(s, seed));
                const page_floats& map = timed[0];
                const page_floats copy{map.size()};
                std::size_t turn = 0;
                const auto another = [&]() -> const page_floats& { return timed[turn++ % timed.size()]; };
                const auto next = [&]() -> const page_floats& { return far ? another() : map; };
                for (const pool_form form : {pool_form::lifted, pool_form::means}) {
                    const pool_ladder l = pool_ladder_of(s, {.step = 2});
                    dynamic_pool_encoder encoder{l, {.form = form}};
                    const double sent = static_cast<double>(l.values(l.levels - 1)) * s.channels, bytes = 4.0 * static_cast<double>(map.size());
                    const std::vector<double> least = least_seconds({[&] { copied(copy, next()); }, [&] { filled(copy); }, [&] { encoder.pool(next().data(), code.pooling); },
                                                                     [&] { encoder.pool(next().data()); }, [&] { code.range(next().data(), map.size()); },
                                                                     [&] { encoder.pool(another().data(), code.pooling); },
                                                                     [&] {
                                                                         encoder.pool(another().data(), code.pooling);
                                                                         for (int i = 0; i < l.levels; ++i) encoder.encode(i);
                                                                     }});
                    const double moved = bytes + 2 * sent, rate = 2 * bytes / least[0], read = bytes / least[4];
                    const double pool = moved / least[2], portable = moved / least[3], encode = (least[6] - least[5]) / sent;
                    std::printf("%4d x %3d x %3d, stride %d, %-7s %8.1f %8.1f %8.1f %8.1f %8.2f %8.2f %8.1f %8.2f %9.1f\n", s.channels, s.height, s.width, s.stride,
                                form == pool_form::means ? "means" : "lifted", rate / 1e9, bytes / least[1] / 1e9, read / 1e9, pool / 1e9, pool / rate,
                                pool / read, portable / 1e9, portable / rate, encode * 1e9);
                    report["speed"].push_back({{"channels", s.channels},
                                               {"side", s.height},
                                               {"stride", s.stride},
                                               {"form", form == pool_form::means ? "means" : "lifted"},
                                               {"copy_gb_s", rate / 1e9},
                                               {"fill_gb_s", bytes / least[1] / 1e9},
                                               {"read_gb_s", read / 1e9},
                                               {"pool_gb_s", pool / 1e9},
                                               {"share_of_copy", pool / rate},
                                               {"portable_gb_s", portable / 1e9},
                                               {"encode_ns_a_value", encode * 1e9}});
                }
            }
            std::printf("\n%-34s %8s %8s %8s %8s\n", "affine codec, 8 bits", "copy", "fill", "GB/s", "share");
            for (const std::size_t floats : {std::size_t{24} << 10, std::size_t{48} << 10, std::size_t{16} << 20}) {
                const page_floats x{floats}, y{floats};
                std::vector<std::uint8_t> q(floats);
                std::uint32_t state = 1;
                for (std::size_t i = 0; i < floats; ++i) state = state * 1664525 + 1013904223, x.data()[i] = static_cast<float>(state >> 8) * 0x3p-24f - 1;
                const affine_parameters with{3.0f / 255, 85};
                const std::vector<double> least =
                    least_seconds({[&] { copied(y, x); }, [&] { filled(y); }, [&] { code.quantise(x.data(), floats, with, q.data()); },
                                   [&] { code.dequantise(q.data(), floats, with, y.data()); }, [&] { code.range(x.data(), floats); }});
                const double n = static_cast<double>(floats), rate = 8 * n / least[0];
                const struct {
                    const char* name;
                    double bytes, seconds;
                } rows_here[] = {{"quantise", 5 * n, least[2]}, {"dequantise", 5 * n, least[3]}, {"range (read only)", 4 * n, least[4]}};
                for (const auto& r : rows_here) {
                    const double got = r.bytes / r.seconds;
                    std::printf("%6zu KB of floats, %-16s %8.1f %8.1f %8.1f %8.2f\n", 4 * floats / 1024, r.name, rate / 1e9, 4 * n / least[1] / 1e9, got / 1e9, got / rate);
                    report["affine"].push_back({{"kb_of_floats", 4 * floats / 1024}, {"what", r.name}, {"copy_gb_s", rate / 1e9}, {"gb_s", got / 1e9}, {"share_of_copy", got / rate}});
                }
            }
        }
        timed::write_results(json_file, std::move(report));
        return 0;
    });
}
